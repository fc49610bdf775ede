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
async fn an_attempt_ends_by_its_timeout_and_the_next_caller_tries_anew() {
    let simulator = simulator();
    let outbound = "[outbound]\nattempt_timeout = \"300ms\"";
    let portvakt = Portvakt::start(&Configuration { sections: outbound.to_owned(), ..configuration(&simulator) });
    for (at, words) in [(Stage::BeforeHeaders, "waiting for the answer"), (Stage::InBody, "reading the answer")] {
        simulator.fault(FaultKind::Hang { at }.times(1)).unwrap();
        let sent = Instant::now();
        let answer = portvakt.ask().send().await;
        assert!(sent.elapsed() >= Duration::from_millis(300));
        assert_eq!(
            (answer.status, answer.error(), answer.header("Retry-After")),
            (503, "temporarily_unavailable", Some("5")),
            "{}",
            answer.text
        );
        assert!(answer.description().contains("took longer than 300 ms") && answer.description().contains(words), "{}", answer.text);
    }
    assert_eq!(portvakt.ask().send().await.status, 200);
    let counters = simulator.counters();
    assert_eq!((counters.received, counters.duplicate_jtis), (3, 0));
}

#[tokio::test]
async fn too_many_different_tokens_at_once_are_refused_at_once_and_take_nothing_from_others() {
    raise_file_limit();
    let simulator = simulator();
    let outbound = "[outbound]\ndeadline = \"4s\"\nattempt_timeout = \"6s\"";
    let portvakt = Portvakt::start(&Configuration { sections: outbound.to_owned(), ..configuration(&simulator) });
    let (kept, other) = (portvakt.ask(), portvakt.ask().with("iss", KRR));
    let token = kept.clone().send().await;
    // From here on nothing comes back for this integration.
    let hang = Conditions { client_id: Some(FREG.to_owned()), ..Conditions::default() };
    simulator.fault(Fault { kind: FaultKind::Hang { at: Stage::BeforeHeaders }, conditions: hang }).unwrap();
    let mut flood = tokio::task::JoinSet::new();
    for number in 0..1010 {
        flood.spawn(kept.clone().with("scope", &format!("test:{number}")).send());
    }
    // Ten too many, and the thousand go on waiting.
    for _ in 0..10 {
        let refused = flood.join_next().await.unwrap().unwrap();
        assert_eq!(
            (refused.status, refused.error(), refused.header("Retry-After")),
            (503, "temporarily_unavailable", Some("1")),
            "{}",
            refused.text
        );
        assert!(refused.description().starts_with("Too many requests wait for tokens already"), "{}", refused.text);
    }
    assert_eq!(kept.send().await.token(), token.token());
    assert_eq!(other.send().await.status, 200);
    // One for the token that is kept, one for the other integration, and 32 of the flood have their turn.
    assert_eq!(simulator.wait_for_exchanges(34, PATIENCE).await.unwrap().received, 34);
    while let Some(late) = flood.join_next().await {
        assert_eq!(late.unwrap().status, 504);
    }
    // Nobody waits for those that have had no turn yet, so they are not fetched; and what comes now need not wait for them.
    simulator.clear_faults();
    let next = portvakt.ask().with("scope", "test:0");
    until_some("a turn", async || Some(next.clone().send().await).filter(|answer| answer.status == 200)).await;
    assert_eq!(simulator.counters().received, 35);
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
