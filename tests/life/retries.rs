//! What can pass by itself is tried again for callers who wait: three attempts at most, each with a new grant, within the deadline.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, Simulator, Stage};
use rstest::rstest;

use crate::support::*;

fn status(status: u16, retry_after: Option<u64>) -> FaultKind {
    let headers = retry_after.map(|seconds| ("Retry-After".to_owned(), seconds.to_string())).into_iter().collect();
    FaultKind::Status { status, headers, body: String::new() }
}

fn outbound(simulator: &Simulator, lines: &str) -> Configuration {
    Configuration { sections: format!("[outbound]\n{lines}"), ..configuration(simulator) }
}

/// Grants that have arrived, each another one.
fn grants(simulator: &Simulator) -> u64 {
    let counters = simulator.counters();
    let jtis: HashSet<&str> = counters.last_grants.iter().map(|grant| grant.claims["jti"].as_str().unwrap()).collect();
    assert_eq!((counters.duplicate_jtis, jtis.len()), (0, counters.last_grants.len()));
    counters.received
}

#[rstest]
#[case::refused_before_the_head(FaultKind::Reset { at: Stage::BeforeHeaders })]
#[case::reset_in_the_body(FaultKind::Reset { at: Stage::InBody })]
#[case::hang_before_the_head(FaultKind::Hang { at: Stage::BeforeHeaders })]
#[case::hang_in_the_body(FaultKind::Hang { at: Stage::InBody })]
#[case::request_timeout(status(408, None))]
#[case::too_many_requests(status(429, None))]
#[case::internal_error(status(500, None))]
#[case::unavailable(status(503, None))]
#[case::unavailable_until_now(status(503, Some(0)))]
#[case::page(FaultKind::Html { status: 200 })]
#[case::page_of_a_gateway(FaultKind::Html { status: 502 })]
#[case::empty(FaultKind::Empty { status: 200 })]
#[case::truncated(FaultKind::Truncated {})]
#[case::oversized(FaultKind::Oversized { bytes: 100_000 })]
#[case::lifetime(FaultKind::ExpiresIn { value: 0.into() })]
#[tokio::test]
async fn what_passes_is_not_felt_and_what_stays_ends_after_three(#[case] fault: FaultKind) {
    let simulator = simulator();
    let portvakt = Portvakt::start(&outbound(&simulator, "attempt_timeout = \"500ms\"\ndeadline = \"20s\""));
    for ask in [portvakt.ask(), portvakt.ask().post()] {
        simulator.reset_counters();
        simulator.fault(fault.clone().times(1)).unwrap();
        assert_eq!(ask.clone().send().await.status, 200);
        assert_eq!(grants(&simulator), 2, "one that failed, and one that did not");
        simulator.fault(fault.clone()).unwrap();
        let failed = ask.with("scope", "test:1").send().await;
        assert_eq!((failed.status, failed.error()), (503, "temporarily_unavailable"), "{}", failed.text);
        assert_eq!(grants(&simulator), 5, "three more");
    }
    // At debug stands each of them, and the last one as what it is.
    portvakt.wait_for_log(|line| line.contains("no token, as before"));
    let attempts = |message: &str| -> Vec<u64> {
        let line = |line: &String| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let log = portvakt.log();
        log.iter().map(line).filter(|line| line["message"] == message).map(|line| line["attempt"].as_u64().unwrap()).collect()
    };
    assert_eq!(attempts("an attempt failed, and another follows"), [1, 1, 2, 1, 1, 2]);
    assert_eq!(attempts("token received"), [2, 2]);
    assert_eq!((attempts("no token"), attempts("no token, as before")), (vec![3], vec![3]));
    let counted = |result: &str| format!("portvakt_exchanges_total{{code=\"none\",integration=\"freg\",result=\"{result}\"}}");
    assert_eq!(portvakt.metric(&counted("failed")).await, Some(8.0));
    assert_eq!(portvakt.metric(&counted("granted")).await, Some(2.0));
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again_too() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (issuer, token_endpoint) = (format!("http://{nobody}/"), format!("http://{nobody}/token"));
    let portvakt = Portvakt::start(&Configuration { issuer, token_endpoint, ..Configuration::default() });
    let failed = portvakt.ask().send().await;
    assert_eq!((failed.status, failed.header("Retry-After")), (503, Some("5")), "{}", failed.text);
    portvakt.wait_for_log(|line| line.contains("\"message\":\"no token\"") && line.contains("\"attempt\":3"));
}

#[rstest]
#[case(FaultKind::Error { code: "MP-121".to_owned() }, 1)]
#[case(FaultKind::Error { code: "MP-200".to_owned() }, 1)]
#[case(FaultKind::Error { code: "kid-required".to_owned() }, 1)]
// Once more, for the next grant is another one.
#[case(FaultKind::Error { code: "MP-012".to_owned() }, 2)]
#[tokio::test]
async fn what_does_not_pass_by_itself_is_not_tried_again(#[case] fault: FaultKind, #[case] expected: u64) {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(fault).unwrap();
    assert_eq!(portvakt.ask().send().await.status, 502);
    assert_eq!(grants(&simulator), expected);
}

#[tokio::test]
async fn a_grant_that_was_used_before_is_followed_by_a_new_one_at_once() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let used_before = || FaultKind::Error { code: "MP-012".to_owned() };
    simulator.fault(used_before().times(1)).unwrap();
    assert_eq!(portvakt.ask().send().await.status, 200);
    assert_eq!(grants(&simulator), 2);
    // It counts as an attempt.
    simulator.faults(vec![used_before().times(1), status(503, None).into()]).unwrap();
    assert_eq!(portvakt.ask().with("scope", "test:1").send().await.status, 503);
    assert_eq!(grants(&simulator), 5);
    // And so does the clock's.
    simulator.faults(vec![FaultKind::ClockSkew { seconds: 90 }.into(), status(503, None).times(2)]).unwrap();
    assert_eq!(portvakt.ask().with("scope", "test:2").send().await.status, 502, "refused for its time, and no fourth attempt");
    assert_eq!(grants(&simulator), 8);
    simulator.faults(vec![FaultKind::ClockSkew { seconds: -90 }.into(), status(503, None).times(1)]).unwrap();
    assert_eq!(portvakt.ask().with("scope", "test:3").send().await.status, 200, "an outage, a wrong clock, a token");
    assert_eq!(grants(&simulator), 11);
}

#[tokio::test]
async fn a_renewal_makes_one_attempt_and_three_when_a_caller_waits_for_it() {
    let simulator = simulator();
    simulator.faults(vec![FaultKind::Delay { milliseconds: 300 }.into(), status(503, None).into()]).unwrap();
    let prefetch = Configuration { freg: "prefetch = [\"test:1\"]".to_owned(), ..configuration(&simulator) };
    let portvakt = Portvakt::start(&prefetch);
    let attempts = |number: u64| {
        let ending = format!("\"attempt\":{number}");
        portvakt.log().into_iter().filter(|line| line.contains("\"message\":\"no token") && line.contains(&ending)).count()
    };
    until("two renewals that failed", || attempts(1) >= 2).await;
    assert_eq!(attempts(3), 0);
    // The next one is under way: who asks now waits for it.
    let arrived = simulator.counters().received;
    simulator.wait_for_exchanges(arrived + 1, PATIENCE).await.unwrap();
    assert_eq!(portvakt.ask().with("scope", "test:1").send().await.status, 503);
    until("its last attempt", || attempts(3) == 1).await;
    grants(&simulator);
}

#[tokio::test]
async fn retry_after_is_waited_for_where_the_deadline_allows() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(status(429, Some(1)).times(1)).unwrap();
    let sent = Instant::now();
    assert_eq!(portvakt.ask().send().await.status, 200);
    assert!(sent.elapsed() >= Duration::from_secs(1), "{:?}", sent.elapsed());
    assert_eq!(grants(&simulator), 2);
    simulator.fault(status(429, Some(30))).unwrap();
    let sent = Instant::now();
    let refused = portvakt.ask().with("scope", "test:1").send().await;
    assert!(sent.elapsed() < Duration::from_secs(8), "it waited for nothing");
    assert_eq!((refused.status, refused.header("Retry-After")), (503, Some("30")), "{}", refused.text);
    assert_eq!(grants(&simulator), 3);
}

/// What hangs is cut off, and tried again while there is time.
#[tokio::test]
async fn an_attempt_that_hangs_leaves_time_for_others() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&outbound(&simulator, "attempt_timeout = \"300ms\"\ndeadline = \"20s\""));
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }.times(2)).unwrap();
    let sent = Instant::now();
    assert_eq!(portvakt.ask().send().await.status, 200);
    assert!(sent.elapsed() >= Duration::from_millis(900), "{:?}", sent.elapsed());
    assert_eq!(grants(&simulator), 3);
}

#[rstest]
// The second attempt is under way when the time is up.
#[case("attempt_timeout = \"600ms\"\ndeadline = \"1s\"", FaultKind::Hang { at: Stage::BeforeHeaders }, 504, 2)]
// What would have no time is not begun: the answer is the last failure, at once.
#[case("attempt_timeout = \"300ms\"\ndeadline = \"400ms\"", FaultKind::Hang { at: Stage::BeforeHeaders }, 503, 1)]
#[case("deadline = \"1s\"", status(503, Some(1)), 503, 1)]
#[tokio::test]
async fn nothing_goes_on_past_the_deadline(#[case] lines: &str, #[case] fault: FaultKind, #[case] expected: u16, #[case] most: u64) {
    let simulator = simulator();
    let portvakt = Portvakt::start(&outbound(&simulator, lines));
    simulator.fault(fault).unwrap();
    let answer = portvakt.ask().send().await;
    // On a machine that stands still the deadline comes first, and then there were fewer attempts.
    assert!(answer.status == expected || answer.status == 504, "{}", answer.text);
    portvakt.wait_for_log(|line| line.contains("\"message\":\"no token\""));
    assert!(grants(&simulator) <= most);
}

/// The attempt that hangs was begun by a caller who has left; for one who came later there is time for another.
#[tokio::test]
async fn who_joins_late_is_not_sent_away_for_the_first_ones_deadline() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&outbound(&simulator, "attempt_timeout = \"5s\"\ndeadline = \"3s\""));
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }.times(1)).unwrap();
    assert_eq!(portvakt.ask().send().await.status, 504);
    assert_eq!(portvakt.ask().send().await.status, 200);
    assert_eq!(grants(&simulator), 2);
}

#[tokio::test]
async fn a_pause_is_nobodys_turn() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let scopes: Vec<String> = (0..12).map(|number| format!("test:{number}")).collect();
    simulator.faults(scopes.iter().map(|scope| for_scope(status(503, Some(6)), scope, Some(1))).collect()).unwrap();
    let waiting: tokio::task::JoinSet<_> = scopes.iter().map(|scope| portvakt.ask().with("scope", scope).send()).collect();
    simulator.wait_for_answers(12, PATIENCE).await.unwrap();
    let failed = Instant::now();
    assert_eq!(portvakt.ask().send().await.status, 200);
    assert!(failed.elapsed() < Duration::from_secs(5), "it waited for those that wait");
    for answer in waiting.join_all().await {
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    assert_eq!(grants(&simulator), 25);
}
