//! While nothing but failures comes from Maskinporten: nobody is made to wait for it, it is tried every second, and then it is over.

use std::time::{Duration, Instant};

use portvakt::simulator::{Conditions, Fault, FaultKind, Simulator, Stage};
use serde_json::Value;

use crate::support::*;

const OPEN: &str = r#"portvakt_circuit_open{environment="simulator"}"#;
/// A caller waits that long. What is answered well before was not made to wait.
const DEADLINE: Duration = Duration::from_secs(20);
const AT_ONCE: Duration = Duration::from_secs(5);
const TESTS: [&str; 5] = ["test:1", "test:2", "test:3", "test:4", "test:5"];

fn start(simulator: &Simulator, attempt_timeout: &str) -> Portvakt {
    let sections = format!("[outbound]\ndeadline = \"{}s\"\nattempt_timeout = \"{attempt_timeout}\"", DEADLINE.as_secs());
    Portvakt::start(&Configuration { sections, ..configuration(simulator) })
}

fn strike(simulator: &Simulator, kind: FaultKind, client_id: Option<&str>) {
    let conditions = Conditions { client_id: client_id.map(str::to_owned), ..Conditions::default() };
    simulator.fault(Fault { kind, conditions }).unwrap();
}

fn is_held_back(answer: &Answer) -> bool {
    answer.description().contains("one is tried every second")
}

/// Asks for tokens that are not there until somebody is told that the circuit is open.
async fn until_held_back(portvakt: &Portvakt, scopes: &[&str]) -> Answer {
    let mut asking = tokio::task::JoinSet::new();
    let began = Instant::now();
    for scope in scopes.iter().cycle() {
        while asking.len() >= 5 {
            let answer: Answer = asking.join_next().await.unwrap().unwrap();
            assert!(matches!(answer.status, 503 | 504), "{}", answer.text);
            if is_held_back(&answer) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "nobody was told: {}", answer.text);
        }
        asking.spawn(portvakt.ask().with("scope", scope).send());
    }
    unreachable!("there are scopes");
}

fn lines(portvakt: &Portvakt, message: &str) -> Vec<Value> {
    let lines = portvakt.log().into_iter().filter(|line| line.contains(message));
    lines.map(|line| serde_json::from_str(&line).unwrap()).collect()
}

#[tokio::test]
async fn it_opens_after_five_seconds_answers_at_once_tries_every_second_and_closes_with_the_first_success() {
    let simulator = simulator();
    let portvakt = start(&simulator, "3s");
    let cached = portvakt.ask();
    let token = cached.clone().send().await;
    assert_eq!(portvakt.metric(OPEN).await, Some(0.0));
    strike(&simulator, FaultKind::Hang { at: Stage::BeforeHeaders }, None);
    let began = Instant::now();
    let refused = until_held_back(&portvakt, &TESTS).await;
    // An attempt that hangs tells nothing for three seconds, and then nothing has come for five.
    assert!(began.elapsed() >= Duration::from_secs(8), "{:?}", began.elapsed());
    assert_eq!((refused.status, refused.error(), refused.header("Retry-After")), (503, "temporarily_unavailable", Some("1")));
    for words in [&simulator.token_endpoint(), "have been failing since 2", "took longer than 3000 ms"] {
        assert!(refused.description().contains(words), "{}", refused.text);
    }
    assert_eq!(portvakt.metric(OPEN).await, Some(1.0));

    // Those who began to wait before it opened are answered, so that what is seen from here on are trials.
    until_some("the last exchange of a caller", async || {
        portvakt.metric("portvakt_waiting_requests").await.filter(|waiting| *waiting < 0.5)
    })
    .await;
    let quiet = simulator.counters().received + 8;
    for ask in [portvakt.ask().with("scope", "test:6"), portvakt.ask().post(), portvakt.ask().with("scope", "test:7")] {
        let sent = Instant::now();
        let answer = ask.send().await;
        assert!(is_held_back(&answer) && sent.elapsed() < AT_ONCE, "{:?}: {}", sent.elapsed(), answer.text);
    }
    let (first, last) = until_some("trials", async || {
        assert!(is_held_back(&portvakt.ask().with("scope", "test:6").send().await));
        assert_eq!(cached.clone().send().await.token(), token.token(), "a cached token is answered as ever");
        let grants = simulator.counters().last_grants;
        let after = |number: u64| grants.iter().find(|grant| grant.number == number).map(|grant| grant.milliseconds);
        Some((after(quiet)?, after(quiet + 4)?))
    })
    .await;
    // Each hangs for three seconds, and the next one comes a second later all the same.
    assert!((3500..8000).contains(&(last - first)), "five trials took {} ms", last - first);

    simulator.clear_faults();
    until_some("the end of it", async || Some(portvakt.ask().with("scope", "test:6").send().await).filter(|answer| answer.status == 200))
        .await;
    assert_eq!(portvakt.metric(OPEN).await, Some(0.0));
    assert_eq!(portvakt.ask().with("scope", "test:8").send().await.status, 200);
    portvakt.wait_for_log(|line| line.contains("the circuit is closed"));
    let (opened, closed) = (lines(&portvakt, "the circuit is open"), lines(&portvakt, "the circuit is closed"));
    assert_eq!((opened.len(), closed.len()), (1, 1));
    assert_eq!((opened[0]["level"].as_str(), closed[0]["level"].as_str()), (Some("WARN"), Some("INFO")));
    for line in [&opened[0], &closed[0]] {
        assert_eq!(line["environment"], "simulator", "{line}");
        assert_eq!(line["token_endpoint"], simulator.token_endpoint(), "{line}");
        assert!(line["failures"].as_u64() >= Some(5) && line["since"].as_str().unwrap().starts_with('2'), "{line}");
    }
    assert!(opened[0]["error"].as_str().unwrap().contains("took longer than 3000 ms"), "{}", opened[0]);
    assert!(!opened[0]["remedy"].as_str().unwrap().is_empty());
    assert!(closed[0]["seconds"].as_u64() >= Some(5), "{}", closed[0]);
    assert_eq!(simulator.counters().duplicate_jtis, 0);
}

#[tokio::test]
async fn trouble_of_one_integration_alone_does_not_open_it_while_another_works() {
    let simulator = simulator();
    let portvakt = start(&simulator, "500ms");
    strike(&simulator, FaultKind::Empty { status: 503 }, Some(FREG));
    let began = Instant::now();
    until_some("eight seconds of failures, side by side with tokens", async || {
        let (failing, working) =
            (portvakt.ask().with("scope", "test:1").send(), portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE).post().send());
        let (failing, working) = tokio::join!(failing, working);
        assert_eq!((failing.status, working.status), (503, 200), "{}", working.text);
        assert!(!is_held_back(&failing), "{}", failing.text);
        (began.elapsed() > Duration::from_secs(8)).then_some(())
    })
    .await;
    assert!(exchanges(&simulator, "test:1") >= 5);
    assert_eq!(portvakt.metric(OPEN).await, Some(0.0));
    assert_eq!(lines(&portvakt, "the circuit is open").len(), 0);
}

#[tokio::test]
async fn an_integration_that_has_not_failed_is_not_held_back_and_its_success_closes_it() {
    let simulator = simulator();
    let portvakt = start(&simulator, "500ms");
    let krr = portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE);
    strike(&simulator, FaultKind::Reset { at: Stage::BeforeHeaders }, Some(FREG));
    until_held_back(&portvakt, &TESTS).await;
    assert_eq!(portvakt.metric(OPEN).await, Some(1.0));
    krr.clone().send().await.token();
    portvakt.wait_for_log(|line| line.contains("the circuit is closed"));
    // Something is wrong with both, and then with one of them only: that one's token is tried too, and ends it.
    simulator.fault(FaultKind::Reset { at: Stage::BeforeHeaders }).unwrap();
    until_some("the circuit to open", async || {
        krr.clone().post().send().await;
        portvakt.ask().with("scope", "test:1").send().await;
        portvakt.metric(OPEN).await.filter(|open| *open > 0.5)
    })
    .await;
    strike(&simulator, FaultKind::Reset { at: Stage::BeforeHeaders }, Some(FREG));
    until_some("a token", async || {
        portvakt.ask().with("scope", "test:1").send().await;
        Some(krr.clone().post().send().await).filter(|answer| answer.status == 200)
    })
    .await;
}

/// What Maskinporten refuses, or is refused by us, is no outage: however long it goes on.
#[tokio::test]
async fn refusals_do_not_open_it() {
    let simulator = simulator();
    let portvakt = start(&simulator, "500ms");
    strike(&simulator, FaultKind::Error { code: "MP-121".to_owned() }, None);
    let began = Instant::now();
    until_some("seven seconds of refusals", async || {
        assert_eq!(portvakt.ask().post().send().await.status, 502);
        (began.elapsed() > Duration::from_secs(7)).then_some(())
    })
    .await;
    assert_eq!(portvakt.metric(OPEN).await, Some(0.0));
}
