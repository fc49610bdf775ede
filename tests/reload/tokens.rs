//! Which tokens stay, and which are gone.

use portvakt::simulator::LifetimeChange;

use crate::scene::*;
use crate::support::*;

/// What does not make another client of an integration.
#[tokio::test]
async fn a_token_stays_while_client_and_environment_do() {
    let simulator = simulator_with_two_keys();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let text = configuration.text();
    let token = portvakt.ask().send().await.token().to_owned();
    let renamed = text.replace("name = \"freg\"", "name = \"folk\"").replace("integration = \"freg\"", "integration = \"folk\"");
    let table = [
        (text.replace(&freg_key(2048), &freg_key(4096)), "integration freg signs with kid portvakt-test-4096"),
        (renamed.clone(), "integration freg is called folk"),
        (
            renamed.replace(&freg_key(2048), &format!("{}\nalgorithm = \"RS512\"\ngrant_lifetime = \"90s\"", freg_key(2048))),
            "integration folk: algorithm, grant_lifetime",
        ),
        (
            text.replace(&freg_key(2048), &format!("{}\nprefetch = [\"{FREG_SCOPE}\"]", freg_key(2048))),
            "integration freg: algorithm, grant_lifetime, prefetch",
        ),
        (text.clone(), "integration freg: prefetch"),
        (text.replace("\"test:*\"", "\"test:1\""), "caller gateway: may"),
        (
            text.replace("[outbound]", "")
                .replace("[environment.simulator]", "[outbound]\nattempt_timeout = \"3s\"\n\n[environment.simulator]"),
            "outbound.attempt_timeout",
        ),
    ];
    for (text, expected) in table {
        let changes = reload(&portvakt, &text).await;
        assert!(changes.contains(expected), "{changes}");
        assert_eq!(portvakt.ask().send().await.token(), token, "{expected}");
        assert_eq!(simulator.counters().received, 1, "{expected}");
    }
}

#[tokio::test]
async fn the_next_exchange_is_signed_with_the_new_key_and_algorithm() {
    let simulator = simulator_with_two_keys();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    portvakt.ask().send().await.token();
    assert_eq!(newest_kid(&simulator), KID);
    let other = configuration.text().replace(&freg_key(2048), &format!("{}\nalgorithm = \"RS384\"", freg_key(4096)));
    reload(&portvakt, &other).await;
    portvakt.ask().with("scope", FREG_SCOPE_2).send().await.token();
    let counters = simulator.counters();
    let newest = &counters.last_grants.back().unwrap().header;
    assert_eq!((&newest["kid"], &newest["alg"]), (&OTHER_KID.into(), &"RS384".into()));
}

/// Whoever renews it has held the integration since before.
#[tokio::test]
async fn a_renewal_that_was_planned_before_is_signed_with_the_new_key() {
    let simulator = simulator_with_two_keys();
    simulator.change_lifetime(LifetimeChange { seconds: 8, client_id: None, scope: None }).unwrap();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    // Handed out from the cache: then it will be renewed.
    let in_use = async || portvakt.ask().send().await.token() == portvakt.ask().send().await.token();
    until_some("it is in use", async || in_use().await.then_some(())).await;
    reload(&portvakt, &configuration.text().replace(&freg_key(2048), &freg_key(4096))).await;
    // Nobody asks any more.
    until("it is renewed with the new key", || newest_kid(&simulator) == OTHER_KID).await;
}

/// `freg` under another client ID, and then in another environment.
#[tokio::test]
async fn tokens_are_gone_when_another_client_takes_the_name() {
    let simulator = simulator_with_two_keys();
    let there = simulator_with_two_keys();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let ask = portvakt.ask().with("iss", "freg");
    let first = ask.clone().send().await.token().to_owned();
    // KRR's client, under freg's name; the integration krr gets another client ID.
    let text = configuration.text();
    let with_krrs =
        text.replace(KRR, "somebody-else").replace(FREG, KRR).replace(&freg_key(2048), &format!("key = {}", configuration.krr_key));
    let changes = reload(&portvakt, &with_krrs).await;
    assert!(changes.contains("integration krr has another client ID or environment"), "{changes}");
    let second = ask.clone().send().await.token().to_owned();
    assert_eq!(claims(&second)["client_id"], KRR);
    assert_eq!(portvakt.ask().with("iss", FREG).send().await.status, 403);
    // Back again: a token of before is not handed out.
    reload(&portvakt, &text).await;
    let third = ask.clone().send().await.token().to_owned();
    assert_eq!(claims(&third)["client_id"], FREG);
    assert!(third != first && third != second);
    // The same client, elsewhere.
    let elsewhere = text.replace(simulator.issuer(), there.issuer()).replace(&simulator.token_endpoint(), &there.token_endpoint());
    let changes = reload(&portvakt, &elsewhere).await;
    assert!(changes.contains("integration freg has another client ID or environment"), "{changes}");
    let fourth = ask.clone().send().await.token().to_owned();
    assert_eq!(claims(&fourth)["iss"], there.issuer());
    assert_eq!(there.counters().received, 1);
    until_some("nothing else is held", async || (portvakt.metric("portvakt_tokens_cached").await == Some(1.0)).then_some(())).await;
}

#[tokio::test]
async fn removed_and_added_again_it_is_a_new_one() {
    let simulator = simulator_with_two_keys();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let first = portvakt.ask().send().await.token().to_owned();
    let text = configuration.text();
    assert_eq!(reload(&portvakt, &without_freg(&text)).await, "integration freg removed; caller gateway: may");
    let refused = portvakt.ask().send().await;
    assert_eq!((refused.status, refused.error()), (403, "unauthorized_client"));
    assert_eq!(portvakt.metric("portvakt_tokens_cached").await, Some(0.0));
    assert_eq!(reload(&portvakt, &text).await, "integration freg added; caller gateway: may");
    assert_ne!(portvakt.ask().send().await.token(), first);
    assert_eq!(simulator.counters().received, 2);
}

/// Without the integration, and without the rule that names it.
pub(crate) fn without_freg(text: &str) -> String {
    let (before, rest) = text.split_once("[[integration]]\nname = \"freg\"").unwrap();
    let (_, rest) = rest.split_once("[[integration]]").unwrap();
    let rest: Vec<&str> = rest.lines().filter(|line| !line.contains("integration = \"freg\"")).collect();
    format!("{before}[[integration]]{}\n", rest.join("\n"))
}

/// What becomes of the integration while an exchange is under way for it.
#[derive(Clone, Copy, Debug)]
enum Meanwhile {
    Removed,
    AnotherEnvironment,
}

#[rstest::rstest]
#[case(Meanwhile::Removed)]
#[case(Meanwhile::AnotherEnvironment)]
#[tokio::test]
async fn an_exchange_under_way_puts_no_token_back(#[case] meanwhile: Meanwhile) {
    let simulator = simulator_with_two_keys();
    let there = simulator_with_two_keys();
    let gate = Gate::in_front_of(&simulator);
    let sections = "[outbound]\nattempt_timeout = \"60s\"\ndeadline = \"60s\"".to_owned();
    let configuration = Configuration { token_endpoint: format!("http://{}/token", gate.address), sections, ..configuration(&simulator) };
    let portvakt = Portvakt::start(&configuration);
    let text = configuration.text();
    let waiting = tokio::spawn(portvakt.ask().send());
    until("the exchange is under way", || gate.held() == 1).await;
    let without = match meanwhile {
        Meanwhile::Removed => without_freg(&text),
        Meanwhile::AnotherEnvironment => {
            text.replace(simulator.issuer(), there.issuer()).replace(&configuration.token_endpoint, &there.token_endpoint())
        }
    };
    reload(&portvakt, &without).await;
    assert_eq!(simulator.counters().received, 0);
    gate.open();
    // Who asked when it was there was allowed to.
    let late = waiting.await.unwrap().token().to_owned();
    assert_eq!(claims(&late)["iss"], simulator.issuer());
    assert_eq!(portvakt.metric("portvakt_tokens_cached").await, Some(0.0));
    match meanwhile {
        Meanwhile::Removed => assert_eq!(portvakt.ask().send().await.status, 403),
        Meanwhile::AnotherEnvironment => {
            assert_eq!(claims(portvakt.ask().send().await.token())["iss"], there.issuer());
        }
    }
    reload(&portvakt, &text).await;
    assert_ne!(portvakt.ask().send().await.token(), late);
    assert_eq!(simulator.counters().received, 2);
}
