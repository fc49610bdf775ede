//! What Maskinporten refused is remembered shortly, and told at once; whoever wants can have it asked all the same.

use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, LifetimeChange};
use rstest::rstest;

use crate::support::*;

fn error(code: &str) -> FaultKind {
    FaultKind::Error { code: code.to_owned() }
}

fn too_many(retry_after: u64) -> FaultKind {
    FaultKind::Status { status: 429, headers: [("Retry-After".to_owned(), retry_after.to_string())].into(), body: String::new() }
}

/// How old it is and how long it is remembered still, in seconds, as the answer says. None: it says nothing of the kind.
fn remembered(answer: &Answer) -> Option<(u64, u64)> {
    let (_, said) = answer.description().split_once(" This is remembered from ")?;
    let (age, said) = said.split_once(" s ago, and will be for ")?;
    let (left, said) = said.split_once(" s more. ")?;
    assert_eq!(said, "POST /token, or Cache-Control: no-cache, asks Maskinporten at once.");
    Some((age.parse().unwrap(), left.parse().unwrap()))
}

async fn from_memory(portvakt: &Portvakt) -> f64 {
    portvakt.metric("portvakt_remembered_failures_total{integration=\"freg\"}").await.unwrap()
}

fn without_what_is_remembered(answer: &Answer) -> (u16, serde_json::Value) {
    let mut json = answer.json.clone();
    let description = answer.description().split(" This is remembered").next().unwrap().to_owned();
    json["error_description"] = description.into();
    (answer.status, json)
}

#[rstest]
#[tokio::test]
async fn a_refusal_is_told_again_without_asking_maskinporten(#[values("MP-200", "MP-121", "own-consumer-org")] code: &str) {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    assert_eq!(from_memory(&portvakt).await.to_bits(), 0.0_f64.to_bits());
    simulator.fault(error(code)).unwrap();
    let began = Instant::now();
    let first = portvakt.ask().send().await;
    assert_eq!((first.status, remembered(&first)), (502, None), "{}", first.text);
    let mut told: u32 = 0;
    for number in 0..30 {
        let again = portvakt.ask().with("X-Request-Id", &format!("again-{number}")).send().await;
        if began.elapsed() >= Duration::from_secs(5) {
            break; // on a machine that stood still
        }
        let (age, left) = remembered(&again).unwrap_or_else(|| panic!("{}", again.text));
        assert!(age < 5 && (1..=5).contains(&left), "{}", again.text);
        // The same status, code and trace ID.
        assert_eq!(without_what_is_remembered(&again), without_what_is_remembered(&first));
        assert_eq!(again.header("Retry-After"), None);
        told += 1;
    }
    assert!(told > 0);
    assert_eq!(simulator.counters().received, 1);
    assert!(from_memory(&portvakt).await >= f64::from(told));
    let line = portvakt.wait_for_log(|line| line.contains("the failure is remembered") && line.contains("\"request_id\":\"again-0\""));
    assert!(line.contains("\"level\":\"DEBUG\"") && line.contains("\"trace_id\":\""), "{line}");
    // Of the exchange that there was, and of no other.
    let failures = portvakt.log().iter().filter(|line| line.contains("\"message\":\"no token\"")).count();
    assert_eq!(failures, 1);
    // What differs in anything is another request.
    simulator.clear_faults();
    assert_eq!(portvakt.ask().with("pid", "23079422568").send().await.status, 200);
}

/// What is too long is cut before it.
#[tokio::test]
async fn however_long_the_refusal_is_it_says_that_it_is_remembered() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let scopes: Vec<String> = (0..8).map(|number| format!("test:{number}{}", "x".repeat(90))).collect();
    let ask = portvakt.ask().with("scope", &scopes.join(" "));
    simulator.fault(error("MP-200")).unwrap();
    let first = ask.clone().send().await;
    assert!(first.status == 502 && first.description().len() > 900, "{}", first.text);
    let sent = Instant::now();
    let again = ask.send().await;
    assert!(remembered(&again).is_some() || sent.elapsed() > Duration::from_secs(4), "{}", again.text);
    assert!(again.description().len() <= 1024 && again.description().contains("Where: "), "{}", again.text);
}

#[rstest]
#[case::post(|ask: Ask| ask.post())]
#[case::no_cache(|ask: Ask| ask.with("Cache-Control", "no-cache"))]
#[tokio::test]
async fn who_asks_for_a_fresh_token_has_it_asked_all_the_same(#[case] fresh: fn(Ask) -> Ask) {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let ask = portvakt.ask();
    simulator.fault(error("MP-200")).unwrap();
    assert_eq!(ask.clone().send().await.status, 502);
    for number in 2..=4 {
        let refused = fresh(ask.clone()).send().await;
        assert_eq!((refused.status, remembered(&refused)), (502, None), "{}", refused.text);
        assert_eq!(simulator.counters().received, number);
    }
    // It began anew each time.
    if let Some((_, left)) = remembered(&ask.clone().send().await) {
        assert!(left <= 5, "{left}");
    }
    simulator.clear_faults();
    let new = fresh(ask.clone()).send().await;
    assert_eq!(ask.send().await.token(), new.token());
}

/// Until it is forgotten Maskinporten is not asked; then it is, and the next time it is remembered for longer.
#[tokio::test]
async fn what_is_refused_again_is_remembered_for_longer_and_a_token_ends_that() {
    let simulator = simulator();
    simulator.change_lifetime(LifetimeChange { seconds: 1, client_id: None, scope: None }).unwrap();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let ask = portvakt.ask();
    simulator.fault(error("MP-200")).unwrap();
    let began = Instant::now();
    assert_eq!(ask.clone().send().await.status, 502);
    let asked_again = until_some("Maskinporten to be asked again", async || {
        let sent = Instant::now();
        let refused = ask.clone().send().await;
        (simulator.counters().received == 2).then_some((sent, refused))
    });
    let (sent, refused) = asked_again.await;
    assert!(Instant::now() >= began + Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!((refused.status, remembered(&refused)), (502, None), "{}", refused.text);
    let twice = ask.clone().send().await;
    assert!(sent.elapsed() > Duration::from_secs(4) || remembered(&twice).unwrap().1 > 5, "{}", twice.text);
    // Who wants it asked all the same begins anew.
    assert_eq!(ask.clone().post().send().await.status, 502);
    if let Some((_, left)) = remembered(&ask.clone().send().await) {
        assert!(left <= 5, "{left}");
    }
    // A token comes for it, and ends.
    simulator.clear_faults();
    let token = ask.clone().post().send().await.token().to_owned();
    simulator.fault(error("MP-200")).unwrap();
    let refused = until_some("the end of the token", async || {
        let answer = ask.clone().send().await;
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.await.status, 502, "{token}");
    if let Some((_, left)) = remembered(&ask.send().await) {
        assert!(left <= 5, "{left}");
    }
}

#[tokio::test]
async fn what_stays_is_remembered_and_what_passes_is_not() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(FaultKind::Html { status: 502 }).unwrap();
    for number in 1..=2 {
        let failed = portvakt.ask().send().await;
        assert_eq!((failed.status, remembered(&failed)), (503, None), "{}", failed.text);
        assert_eq!(simulator.counters().received, 3 * number);
    }
    assert_eq!(from_memory(&portvakt).await.to_bits(), 0.0_f64.to_bits());
}

#[tokio::test]
async fn nobody_asks_sooner_than_maskinporten_has_said() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(too_many(60)).unwrap();
    let first = portvakt.ask().send().await;
    let refused = Instant::now();
    assert_eq!((first.status, first.header("Retry-After")), (503, Some("60")), "{}", first.text);
    for _ in 0..10 {
        let again = portvakt.ask().send().await;
        let (_, left) = remembered(&again).unwrap_or_else(|| panic!("{}", again.text));
        assert_eq!((again.status, again.header("Retry-After")), (503, Some(&*left.to_string())), "{}", again.text);
        assert!(left <= 60 && left >= 60 - refused.elapsed().as_secs() - 1, "{left}");
    }
    assert_eq!(simulator.counters().received, 1);
    // It said so of this token, and whoever has a reason may ask all the same.
    simulator.clear_faults();
    assert_eq!(portvakt.ask().with("scope", "test:1").send().await.status, 200);
    assert_eq!(portvakt.ask().post().send().await.status, 200);
    assert_eq!(portvakt.ask().send().await.status, 200);
    assert_eq!(simulator.counters().received, 3);
}

#[tokio::test]
async fn who_can_wait_until_maskinporten_has_said_waits() {
    let simulator = simulator();
    let sections = "[outbound]\ndeadline = \"4s\"".to_owned();
    let portvakt = Portvakt::start(&Configuration { sections, ..configuration(&simulator) });
    simulator.fault(too_many(6).times(1)).unwrap();
    assert_eq!(portvakt.ask().send().await.header("Retry-After"), Some("6"));
    let refused = Instant::now();
    let waited = until_some("a token", async || {
        let (sent, answer) = (Instant::now(), portvakt.ask().send().await);
        (answer.status == 200).then_some((sent, Instant::now()))
    });
    let (sent, answered) = waited.await;
    // Not before six seconds were over, and one that was asked for within its deadline before that waited.
    assert!(answered > refused + Duration::from_millis(5500), "{:?}", answered - refused);
    assert!(sent < refused + Duration::from_millis(3500) || answered - sent < Duration::from_millis(3500));
    assert_eq!(simulator.counters().received, 2);
}

/// A renewal that is refused tells those who ask, and one that brings a token ends that.
#[tokio::test]
async fn renewals_tell_what_they_learn() {
    let simulator = simulator();
    simulator.change_lifetime(LifetimeChange { seconds: 8, client_id: None, scope: None }).unwrap();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let ask = portvakt.ask();
    // In use, and so it will be renewed.
    let old = ask.clone().send().await;
    assert_eq!(ask.clone().send().await.token(), old.token());
    simulator.fault(error("MP-200")).unwrap();
    portvakt.wait_for_log(|line| line.contains("\"message\":\"no token\""));
    let refused = until_some("the end of the token", async || {
        let answer = ask.clone().send().await;
        (answer.status != 200).then_some(answer)
    });
    let refused = refused.await;
    let (_, left) = remembered(&refused).unwrap_or_else(|| panic!("{}", refused.text));
    assert!(left <= 5, "renewals that come one after the other are no repetition: {}", refused.text);
}
