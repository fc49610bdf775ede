//! How long a token is said to live, and how long it is handed out.

use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, LifetimeChange};
use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn expires_in_counts_down() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let before = Instant::now();
    let first = portvakt.ask().send().await;
    let said = first.json["expires_in"].as_u64().unwrap();
    // Rounded down: of 119 s less than 119 are left once the answer is here.
    let least = 119 - before.elapsed().as_secs() - 1;
    assert!((least..119).contains(&said), "{said}");
    let ask = portvakt.ask();
    let later = until_some("a lower expires_in", async || {
        let answer = ask.clone().send().await;
        assert_eq!(answer.token(), first.token());
        let left = answer.json["expires_in"].as_u64().unwrap();
        assert!(left <= said);
        (left < said).then_some(left)
    });
    later.await;
    assert_eq!(simulator.counters().received, 1);
}

#[tokio::test]
async fn expires_in_is_taken_by_the_contracts_rules() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    // What Maskinporten says; what we say (none: no token).
    let table = [
        (json!(0), None),
        (json!(-1), None),
        (json!(1.5), None),
        (json!("soon"), None),
        (json!("0"), None),
        (json!([119]), None),
        (json!(1), Some(1)),
        (json!("119"), Some(119)),
        (json!(86_400), Some(86_400)),
        (json!(86_401), Some(7200)),
        (json!(999_999), Some(7200)),
    ];
    for (number, (value, expected)) in table.into_iter().enumerate() {
        let scope = format!("test:{number}");
        simulator.fault(FaultKind::ExpiresIn { value: value.clone() }).unwrap();
        let began = Instant::now();
        let answer = portvakt.ask().with("scope", &scope).send().await;
        let Some(expected) = expected else {
            assert_eq!((answer.status, answer.error()), (503, "temporarily_unavailable"), "{value}");
            assert!(answer.description().contains("its expires_in is "), "{}", answer.text);
            simulator.clear_faults();
            assert_eq!(portvakt.ask().with("scope", &scope).send().await.status, 200, "what was no token is not remembered");
            continue;
        };
        let said = answer.json["expires_in"].as_u64().unwrap();
        let least = expected - began.elapsed().as_secs() - 1;
        assert!(said >= 1 && said <= expected && said >= least, "{value} became {said}");
    }
}

#[tokio::test]
async fn a_token_without_a_lifetime_goes_to_all_who_waited_and_is_not_kept() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    for (fault, scope) in [(FaultKind::WithoutExpiresIn {}, "test:1"), (FaultKind::ExpiresIn { value: Value::Null }, "test:2")] {
        simulator.reset_counters();
        simulator.faults(vec![FaultKind::Delay { milliseconds: 500 }.into(), fault.into()]).unwrap();
        let ask = portvakt.ask().with("scope", scope);
        let first = tokio::spawn(ask.clone().send());
        simulator.wait_for_exchanges(1, PATIENCE).await.unwrap();
        let (second, first) = (ask.clone().send().await, first.await.unwrap());
        assert_eq!(first.token(), second.token());
        assert_eq!(simulator.counters().received, 1);
        for answer in [&first, &second] {
            assert!(answer.json.get("expires_in").is_none(), "{}", answer.text);
            assert_eq!((answer.json["token_type"].as_str(), answer.json["scope"].as_str()), (Some("Bearer"), Some(scope)));
        }
        assert_ne!(ask.send().await.token(), first.token());
        assert_eq!(simulator.counters().received, 2);
    }
    assert_eq!(portvakt.metric("portvakt_tokens_cached").await, Some(0.0));
}

#[tokio::test]
async fn a_token_that_is_about_to_end_is_handed_out_only_if_nothing_better_can_be_had() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    tokio::join!(the_last_tenth_is_not_handed_out(&simulator, &portvakt), the_last_tenth_is_better_than_nothing(&simulator, &portvakt),);
}

const LIFETIME: Duration = Duration::from_secs(4);

/// For a person, so that nothing is renewed ahead.
async fn the_last_tenth_is_not_handed_out(simulator: &portvakt::simulator::Simulator, portvakt: &Portvakt) {
    let scope = "test:1";
    simulator.change_lifetime(LifetimeChange { seconds: 4, client_id: None, scope: Some(scope.to_owned()) }).unwrap();
    let ask = portvakt.ask().with("scope", scope).with("pid", "23079422568");
    let first = ask.clone().send().await;
    let latest_beginning = Instant::now();
    until_some("another token", async || {
        let sent = Instant::now();
        let answer = ask.clone().send().await;
        if answer.token() != first.token() {
            return Some(());
        }
        assert!(sent < latest_beginning + LIFETIME * 9 / 10, "handed out with less than a tenth of its life left");
        None
    })
    .await;
    assert_eq!(exchanges(simulator, scope), 2);
}

async fn the_last_tenth_is_better_than_nothing(simulator: &portvakt::simulator::Simulator, portvakt: &Portvakt) {
    // The last tenth is short: on a machine that stands still in it, it is tried with another token.
    for scope in ["test:2", "test:3", "test:4", "test:5"] {
        simulator.change_lifetime(LifetimeChange { seconds: 4, client_id: None, scope: Some(scope.to_owned()) }).unwrap();
        let ask = portvakt.ask().with("scope", scope).with("pid", "23079422568");
        let earliest_beginning = Instant::now();
        let first = ask.clone().send().await;
        simulator.fault(for_scope(FaultKind::Html { status: 502 }, scope, None)).unwrap();
        let mut seen = false;
        let refused = until_some("the end of the token", async || {
            let answer = ask.clone().send().await;
            if Instant::now() < earliest_beginning + LIFETIME {
                assert_eq!(answer.token(), first.token(), "there is a valid token");
                seen |= exchanges(simulator, scope) > 1;
            }
            (answer.status != 200).then_some(answer)
        })
        .await;
        assert_eq!((refused.status, refused.error()), (503, "temporarily_unavailable"));
        if seen {
            return;
        }
    }
    panic!("the machine stood still each time");
}
