//! A clock that is not Maskinporten's: it is measured, grants are put right by it, and the first call gets a token.

use std::collections::{BTreeMap, HashSet};

use portvakt::simulator::{Conditions, Fault, FaultKind, Simulator, Stage};
use rstest::rstest;

use crate::support::*;

const SKEW: &str = "portvakt_clock_skew_seconds{environment=\"simulator\"}";

/// The simulator's clock is ahead by so much: ours is behind it.
fn skew(seconds: i64) -> FaultKind {
    FaultKind::ClockSkew { seconds }
}

fn asking(portvakt: &Portvakt, number: usize) -> Ask {
    portvakt.ask().with("scope", &format!("test:{number}"))
}

/// Lines of the log with this message.
fn lines(portvakt: &Portvakt, message: &str) -> Vec<String> {
    let wanted = format!("\"message\":\"{message}\"");
    portvakt.log().into_iter().filter(|line| line.contains(&wanted)).collect()
}

/// Received, and refused.
fn counted(simulator: &Simulator) -> (u64, u64) {
    let counters = simulator.counters();
    assert_eq!(counters.duplicate_jtis, 0);
    (counters.received, counters.refused)
}

fn is_about(value: Option<f64>, expected: f64) -> bool {
    // A date's whole second, and a machine that is slow.
    value.is_some_and(|value| (value - expected).abs() < 2.0)
}

const RETRIED: &str = "a grant was refused for its time: one more attempt, with the clock put right";

#[rstest]
#[tokio::test]
async fn a_clock_that_is_off_gets_its_first_token_all_the_same(
    #[values(60, -60, 540, -540)] seconds: i64,
    #[values("GET", "POST")] method: &str,
) {
    let simulator = simulator();
    simulator.fault(skew(seconds)).unwrap();
    let portvakt = Portvakt::start(&configuration(&simulator));
    assert_eq!(portvakt.metric(SKEW).await, None, "nothing has been measured");
    assert_eq!(asking(&portvakt, 1).method(method).send().await.status, 200);
    assert_eq!(counted(&simulator), (2, 1), "one refusal, and one more attempt at once");
    // From now on it is known, for every client in that environment.
    assert_eq!(asking(&portvakt, 2).method(method).send().await.status, 200);
    assert_eq!(portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE).send().await.status, 200);
    assert_eq!(counted(&simulator), (4, 1));
    #[allow(clippy::cast_precision_loss)]
    let expected = -seconds as f64;
    assert!(is_about(portvakt.metric(SKEW).await, expected), "{:?}", portvakt.metric(SKEW).await);

    portvakt.wait_for_log(|line| line.contains("the clock is off"));
    let warnings = lines(&portvakt, "the clock is off");
    assert_eq!(warnings.len(), 1, "once: {warnings:?}");
    let said = if seconds > 0 { "s behind Maskinporten's" } else { "s ahead of Maskinporten's" };
    for part in ["\"level\":\"WARN\"", "\"environment\":\"simulator\"", said, "Synchronise this machine's clock"] {
        assert!(warnings[0].contains(part), "{part}: {warnings:?}");
    }
    let retried = lines(&portvakt, RETRIED);
    assert!(retried.len() == 1 && retried[0].contains("\"trace_id\":\""), "{retried:?}");
    assert!(lines(&portvakt, "no token").is_empty());
}

#[rstest]
#[tokio::test]
async fn within_what_maskinporten_takes_no_grant_is_refused(#[values(0, 1, -1, 8, -8)] seconds: i64) {
    let simulator = simulator();
    if seconds != 0 {
        simulator.fault(skew(seconds)).unwrap();
    }
    let portvakt = Portvakt::start(&configuration(&simulator));
    for number in 1..=6 {
        assert_eq!(asking(&portvakt, number).send().await.status, 200);
    }
    assert_eq!(counted(&simulator), (6, 0));
    #[allow(clippy::cast_precision_loss)]
    let expected = -seconds as f64;
    assert!(is_about(portvakt.metric(SKEW).await, expected), "{:?}", portvakt.metric(SKEW).await);
    assert_eq!(lines(&portvakt, "the clock is off").len(), usize::from(seconds.abs() > 5));
    // A clock that is as good as right is left alone; one that is not is put right, although nobody refused it.
    let grant = simulator.counters().last_grants.pop_back().unwrap();
    let off = grant.claims["iat"].as_i64().unwrap() - seconds_since_1970();
    assert!(off.abs_diff(if seconds.abs() > 5 { seconds } else { 0 }) <= 2, "{off}");
}

fn seconds_since_1970() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[rstest]
#[tokio::test]
async fn a_clock_that_is_eleven_minutes_off_is_not_put_right(#[values(660, -660)] seconds: i64) {
    let simulator = simulator();
    simulator.fault(skew(seconds)).unwrap();
    let portvakt = Portvakt::start(&configuration(&simulator));
    for number in 1..=3 {
        let answer = asking(&portvakt, number).send().await;
        assert_eq!((answer.status, answer.error()), (502, "invalid_grant"), "{}", answer.text);
        let said = |text: &str| answer.description().contains(text);
        let direction = if seconds > 0 { "s behind Maskinporten's" } else { "s ahead of Maskinporten's" };
        assert!(["659", "660"].iter().any(|off| said(&format!("this machine's clock is {off} {direction}"))), "{}", answer.text);
        assert!(said("put right by 10 minutes at most") && said("Synchronise this machine's clock"), "{}", answer.text);
    }
    assert_eq!(counted(&simulator), (3, 3), "another attempt would be refused too");
    #[allow(clippy::cast_precision_loss)]
    let expected = -seconds as f64;
    assert!(is_about(portvakt.metric(SKEW).await, expected), "{:?}", portvakt.metric(SKEW).await);
    let warnings = lines(&portvakt, "the clock is off");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("there are no tokens: grants are put right by 10 minutes at most"), "{warnings:?}");
}

#[tokio::test]
async fn what_is_not_maskinportens_own_answer_says_nothing_of_its_clock() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let status = |status, body: &str| FaultKind::Status { status, headers: BTreeMap::new(), body: body.to_owned() };
    let faults = [
        FaultKind::Html { status: 200 },
        FaultKind::Html { status: 403 },
        FaultKind::Html { status: 503 },
        FaultKind::Empty { status: 200 },
        FaultKind::Empty { status: 400 },
        FaultKind::Truncated {},
        FaultKind::Reset { at: Stage::InBody },
        status(503, "Service Unavailable"),
        status(400, "{\"fault\":\"a gateway's own\"}"),
        status(302, ""),
    ];
    for (number, kind) in faults.into_iter().enumerate() {
        let name = format!("{kind:?}");
        simulator.faults(vec![skew(60).into(), kind.into()]).unwrap();
        assert_eq!(asking(&portvakt, number).send().await.status, 503, "{name}");
        assert_eq!(portvakt.metric(SKEW).await, None, "{name}");
    }
    simulator.clear_faults();
    simulator.reset_counters();
    // On a slow machine these failures have opened the circuit, and it is a second until an exchange is tried.
    until_some("a token", async || Some(portvakt.ask().send().await).filter(|answer| answer.status == 200)).await;
    assert_eq!(counted(&simulator).1, 0, "the grants had the right time");
    assert!(is_about(portvakt.metric(SKEW).await, 0.0));
    assert!(lines(&portvakt, "the clock is off").is_empty());
}

#[tokio::test]
async fn each_environment_has_its_own_clock() {
    let (first, second) = (simulator(), simulator());
    first.fault(skew(60)).unwrap();
    second.fault(skew(-120)).unwrap();
    let more = format!(
        r#"
[environment.second]
issuer = "{}"
token_endpoint = "{}"

[[integration]]
name = "freg-second"
client_id = "{FREG}-second"
environment = "second"
key = {{ private_key_file = '{}', kid = "portvakt-test-2048" }}

[[caller]]
name = "second"
keys = [{{ sha256 = "{}" }}]
may = [{{ integration = "freg-second", scopes = ["test:*"] }}]
"#,
        second.issuer(),
        second.token_endpoint(),
        certs("registered-2048.pem").display(),
        sha256("a third key"),
    );
    let portvakt = Portvakt::start(&Configuration { more, ..configuration(&first) });
    for number in 1..=3 {
        assert_eq!(asking(&portvakt, number).send().await.status, 200);
        // Nobody there knows this client: a refusal tells of the clock as well as a token.
        let there = asking(&portvakt, number).with("X-Gravitee-Api-Key", "a third key").with("iss", "freg-second").send().await;
        assert_eq!((there.status, there.json["maskinporten_code"].as_str()), (502, Some("MP-100")), "{}", there.text);
    }
    assert_eq!(counted(&first), (4, 1));
    let of_second = portvakt.metric("portvakt_clock_skew_seconds{environment=\"second\"}").await;
    assert!(is_about(portvakt.metric(SKEW).await, -60.0) && is_about(of_second, 120.0), "{}", portvakt.metrics().await);
    // Both clients sign with the same key, on the same machine, each by its own environment's time.
    let issued_at = |simulator: &Simulator| simulator.counters().last_grants.pop_back().unwrap().claims["iat"].as_i64().unwrap();
    let apart = issued_at(&first) - issued_at(&second);
    assert!(apart.abs_diff(180) <= 3, "{apart}");
}

#[tokio::test]
async fn no_third_attempt_and_none_that_would_change_nothing() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    for (number, code) in ["MP-130", "issue-time-after-now", "iat-out-of-tolerance"].into_iter().enumerate() {
        // The clock is right, and Maskinporten refuses all the same: the same again would be refused the same.
        simulator.reset_counters();
        simulator.fault(FaultKind::Error { code: code.to_owned() }).unwrap();
        assert_eq!(asking(&portvakt, number).send().await.status, 502);
        assert_eq!(counted(&simulator), (1, 1), "{code}");
    }
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.reset_counters();
    let refusing = FaultKind::Error { code: "MP-130".to_owned() };
    simulator.faults(vec![skew(60).into(), refusing.into()]).unwrap();
    assert_eq!(asking(&portvakt, 1).send().await.status, 502);
    assert_eq!(counted(&simulator), (2, 2), "the clock is off: one more attempt, and no third");
    let failed = lines(&portvakt, "no token");
    assert!(failed.len() == 1 && failed[0].contains("\"attempt\":2"), "{failed:?}");
    // Other refusals get no second attempt, however far off the clock is.
    for (number, code) in ["MP-121", "MP-200", "kid-required"].into_iter().enumerate() {
        simulator.reset_counters();
        let fault = Fault::from(FaultKind::Error { code: code.to_owned() });
        simulator.faults(vec![skew(-300).into(), fault]).unwrap();
        assert_eq!(asking(&portvakt, number + 2).send().await.status, 502);
        assert_eq!(counted(&simulator), (1, 1), "{code}");
    }
}

#[tokio::test]
async fn what_was_measured_before_makes_no_grant_wrong_for_long() {
    let simulator = simulator();
    simulator.fault(skew(60)).unwrap();
    let portvakt = Portvakt::start(&configuration(&simulator));
    for number in 1..=6 {
        assert_eq!(asking(&portvakt, number).send().await.status, 200);
    }
    // As if our clock had crept to the right time since: no step shows it, and the readings of an hour ago are all wrong.
    simulator.clear_faults();
    simulator.reset_counters();
    assert_eq!(asking(&portvakt, 7).send().await.status, 200);
    assert_eq!(counted(&simulator), (2, 1), "a refusal, and one more attempt at once");
    assert_eq!(asking(&portvakt, 8).send().await.status, 200);
    assert_eq!(counted(&simulator), (3, 1));
    assert!(is_about(portvakt.metric(SKEW).await, 0.0));
    portvakt.wait_for_log(|line| line.contains("the clock is right again"));
}

#[tokio::test]
async fn all_who_ask_at_once_get_their_tokens() {
    let simulator = simulator();
    simulator.fault(skew(-90)).unwrap();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let mut answers = tokio::task::JoinSet::new();
    for number in 0..40 {
        answers.spawn(asking(&portvakt, number).send());
    }
    let answers = answers.join_all().await;
    let tokens: HashSet<&str> = answers.iter().map(Answer::token).collect();
    assert_eq!(tokens.len(), 40);
    let (received, refused) = counted(&simulator);
    assert_eq!(received - refused, 40, "{received} {refused}");
}

#[rstest]
#[tokio::test]
async fn a_date_that_is_not_the_one_that_grants_are_judged_by_does_no_harm_for_long(#[values(30, -30)] seconds: i64) {
    let simulator = simulator();
    simulator.fault(FaultKind::DateSkew { seconds }).unwrap();
    let portvakt = Portvakt::start(&configuration(&simulator));
    for number in 1..=5 {
        assert_eq!(asking(&portvakt, number).send().await.status, 200);
    }
    assert_eq!(counted(&simulator), (6, 1), "the second grant was put right, which was wrong");
    let misled = portvakt.wait_for_log(|line| line.contains("the Date of Maskinporten's answers misleads"));
    assert!(misled.contains("\"level\":\"WARN\""), "{misled}");
    // And if it is the clock after all, it is put right again.
    simulator.fault(skew(seconds)).unwrap();
    for number in 6..=9 {
        assert_eq!(asking(&portvakt, number).send().await.status, 200);
    }
    assert_eq!(counted(&simulator), (11, 2));
}

/// A grant is judged by the right clock, which is ours too; what changes with each answer is its `Date`.
#[rstest]
#[case::two_that_differ(&[120, 1])]
#[case::each_another(&[300, -200, 90, -400, 500])]
#[tokio::test]
async fn a_date_that_says_something_else_each_time_does_no_harm_for_long(#[case] dates: &[i64]) {
    let simulator = simulator();
    let date =
        |seconds: i64| Fault { kind: FaultKind::DateSkew { seconds }, conditions: Conditions { times: Some(1), ..Conditions::default() } };
    simulator.faults(dates.iter().cycle().take(60).copied().map(date).collect()).unwrap();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let mut without_a_token = 0;
    for number in 1..=20 {
        without_a_token += usize::from(asking(&portvakt, number).send().await.status != 200);
    }
    assert!(without_a_token <= 1, "{without_a_token}");
    let (received, refused) = counted(&simulator);
    assert!(refused <= 2 && received <= 22, "{received} exchanges, {refused} of them refused");
    portvakt.wait_for_log(|line| line.contains("the Date of Maskinporten's answers misleads"));
}

#[tokio::test]
async fn a_refusal_for_the_clock_that_never_ends_fills_no_log() {
    let simulator = simulator();
    simulator.faults(vec![skew(60).into(), FaultKind::Error { code: "MP-130".to_owned() }.into()]).unwrap();
    let portvakt = Portvakt::start(&configuration(&simulator));
    for number in 1..=30 {
        assert_eq!(asking(&portvakt, number).send().await.status, 502);
    }
    assert_eq!(counted(&simulator), (60, 60), "two grants each, and no third");
    let of_the_clock = portvakt.log().into_iter().filter(|line| line.contains("refused for its time") || line.contains("the clock is"));
    assert!((1..=25).contains(&of_the_clock.count()));
}
