//! How much is kept, and how long is waited.

use std::time::{Duration, Instant};

use portvakt::simulator::{Conditions, Fault, FaultKind, Stage};

use crate::support::*;

#[tokio::test]
async fn a_flood_on_one_integration_pushes_out_its_own_tokens_only() {
    let simulator = simulator();
    let limited = Configuration {
        sections: "[cache]\nmax_tokens = 21".to_owned(),
        freg: r#"prefetch = ["test:199"]"#.to_owned(),
        ..configuration(&simulator)
    };
    let portvakt = Portvakt::start(&limited);
    let (krr, freg) = (portvakt.ask().with("iss", KRR), portvakt.ask());
    let kept = krr.clone().send().await;
    for number in 0..60 {
        assert_eq!(freg.clone().with("scope", &format!("test:{number}")).send().await.status, 200);
    }
    // A half of what may be kept is each integration's; what is prefetched stands beside it.
    until_some("the bound", async || portvakt.metric("portvakt_tokens_cached").await.filter(|tokens: &f64| (tokens - 12.0).abs() < 0.5))
        .await;
    let asked = simulator.counters().received;
    assert_eq!(krr.send().await.token(), kept.token());
    assert_eq!(freg.clone().with("scope", "test:199").send().await.status, 200);
    // Least recently used went first.
    assert_eq!(freg.clone().with("scope", "test:59").send().await.status, 200);
    assert_eq!(simulator.counters().received, asked);
    assert_eq!(freg.clone().with("scope", "test:0").send().await.status, 200);
    assert_eq!(simulator.counters().received, asked + 1);
}

#[tokio::test]
async fn a_caller_waits_until_the_deadline_and_the_exchange_goes_on_for_the_next() {
    let simulator = simulator();
    let outbound = "[outbound]\ndeadline = \"500ms\"\nattempt_timeout = \"20s\"";
    let portvakt = Portvakt::start(&Configuration { sections: outbound.to_owned(), ..configuration(&simulator) });
    simulator.fault(FaultKind::Delay { milliseconds: 1500 }).unwrap();
    for ask in [portvakt.ask(), portvakt.ask().post()] {
        let sent = Instant::now();
        let late = ask.send().await;
        assert!(sent.elapsed() >= Duration::from_millis(500));
        assert_eq!((late.status, late.error(), late.header("Retry-After")), (504, "temporarily_unavailable", Some("5")), "{}", late.text);
        assert!(late.description().starts_with("No answer from Maskinporten within 500 ms"), "{}", late.text);
    }
    assert_eq!(simulator.wait_for_answers(2, PATIENCE).await.unwrap().received, 2, "the GET's exchange and the POST's");
    let ask = portvakt.ask();
    until_some("the token that came too late", async || Some(ask.clone().send().await).filter(|answer| answer.status == 200)).await;
    assert_eq!(simulator.counters().received, 2);
}

#[tokio::test]
async fn attempts_end_by_their_timeout_and_the_next_caller_tries_anew() {
    let simulator = simulator();
    let outbound = "[outbound]\nattempt_timeout = \"300ms\"\ndeadline = \"20s\"";
    let portvakt = Portvakt::start(&Configuration { sections: outbound.to_owned(), ..configuration(&simulator) });
    for (at, words) in [(Stage::BeforeHeaders, "waiting for the answer"), (Stage::InBody, "reading the answer")] {
        simulator.fault(FaultKind::Hang { at }).unwrap();
        let sent = Instant::now();
        let answer = portvakt.ask().send().await;
        assert!(sent.elapsed() >= Duration::from_millis(900));
        assert_eq!(
            (answer.status, answer.error(), answer.header("Retry-After")),
            (503, "temporarily_unavailable", Some("5")),
            "{}",
            answer.text
        );
        assert!(answer.description().contains("took longer than 300 ms") && answer.description().contains(words), "{}", answer.text);
    }
    simulator.clear_faults();
    assert_eq!(portvakt.ask().send().await.status, 200);
    let counters = simulator.counters();
    assert_eq!((counters.received, counters.duplicate_jtis), (7, 0));
}

#[tokio::test]
async fn many_different_tokens_at_once_take_nothing_from_others_and_leave_with_those_who_wait() {
    raise_file_limit();
    let simulator = simulator();
    let outbound = "[outbound]\ndeadline = \"4s\"\nattempt_timeout = \"12s\"";
    let portvakt = Portvakt::start(&Configuration { sections: outbound.to_owned(), ..configuration(&simulator) });
    let (kept, other) = (portvakt.ask(), portvakt.ask().with("iss", KRR));
    let token = kept.clone().send().await;
    // From here on nothing comes back for this integration.
    let hang = Conditions { client_id: Some(FREG.to_owned()), ..Conditions::default() };
    simulator.fault(Fault { kind: FaultKind::Hang { at: Stage::BeforeHeaders }, conditions: hang }).unwrap();
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..1000 {
        flood.spawn(kept.clone().with("scope", &format!("test:{number}")).send());
    }
    assert_eq!(kept.send().await.token(), token.token());
    assert_eq!(other.send().await.status, 200);
    // One for the token that is kept, one for the other integration, and 8 of the flood have their turn.
    assert_eq!(simulator.wait_for_exchanges(10, PATIENCE).await.unwrap().received, 10);
    while let Some(late) = flood.join_next().await {
        assert_eq!(late.unwrap().status, 504);
    }
    // Nobody waits any more for those that have had no turn yet: they leave, while those that have had theirs still hang.
    let left = || portvakt.log().iter().filter(|line| line.contains("nobody waits for this token any more: not fetched")).count();
    until("all of them to leave", || left() == 992).await;
    assert!(!portvakt.log().iter().any(|line| line.contains("\"message\":\"no token\"")), "none of the others has ended");
    // So what comes now need not wait for them.
    simulator.clear_faults();
    let next = portvakt.ask().with("scope", "test:0");
    until_some("a turn", async || Some(next.clone().send().await).filter(|answer| answer.status == 200)).await;
    assert_eq!(simulator.counters().received, 11);
}

/// Eight at once, and many wait: another caller's turn comes soon all the same.
#[tokio::test]
async fn a_caller_that_wants_many_tokens_does_not_make_another_wait_for_all_of_them() {
    raise_file_limit();
    let simulator = simulator();
    let caller = format!("may = [{{ integration = \"krr\", scopes = [\"{KRR_SCOPE}\"], resource = [\"*\"] }}]");
    let sections = "[outbound]\ndeadline = \"60s\"".to_owned();
    let portvakt = Portvakt::start(&Configuration { caller, sections, ..configuration(&simulator) });
    simulator.fault(FaultKind::Delay { milliseconds: 1000 }).unwrap();
    let ask = portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE);
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..90 {
        flood.spawn(ask.clone().with("resource", &format!("urn:{number}")).send());
    }
    simulator.wait_for_exchanges(8, PATIENCE).await.unwrap();
    assert_eq!(ask.with("X-Gravitee-Api-Key", OTHER_API_KEY).send().await.status, 200);
    let grants = simulator.counters().last_grants;
    let of_the_other = grants.iter().find(|grant| !grant.claims.contains_key("resource")).unwrap();
    // Without a rotation it would have been the last.
    assert!(of_the_other.number < 70, "{}", of_the_other.number);
}

#[tokio::test]
async fn a_prefetched_token_is_asked_for_again_when_maskinporten_has_said_and_not_before() {
    let simulator = simulator();
    let wait = [("Retry-After".to_owned(), "3".to_owned())].into();
    simulator.fault(FaultKind::Status { status: 429, headers: wait, body: String::new() }.times(1)).unwrap();
    let configuration = Configuration { freg: format!("prefetch = [\"{FREG_SCOPE}\"]"), ..configuration(&simulator) };
    let _portvakt = Portvakt::start(&configuration);
    simulator.wait_for_exchanges(1, PATIENCE).await.unwrap();
    let refused = Instant::now();
    simulator.wait_for_exchanges(2, PATIENCE).await.unwrap();
    assert!(refused.elapsed() >= Duration::from_millis(2900), "{:?}", refused.elapsed());
}
