//! A caller that asks for very many tokens pushes out its own, and others' only beyond their share.

use crate::support::*;

const THIRD_API_KEY: &str = "the-third-key";

/// Three callers that may have tokens of `freg`, which has room for 12.
fn configuration_with_three(simulator: &portvakt::simulator::Simulator) -> Configuration {
    let scopes = r#"[{ integration = "freg", scopes = ["test:*"] }]"#;
    let caller =
        |name: &str, key: &str| format!("[[caller]]\nname = \"{name}\"\nkeys = [{{ sha256 = \"{}\" }}]\nmay = {scopes}\n", sha256(key));
    Configuration {
        sections: "[cache]\nmax_tokens = 24".to_owned(),
        freg: r#"prefetch = ["test:199"]"#.to_owned(),
        more: caller("second", "the-second-key") + &caller("third", THIRD_API_KEY),
        ..configuration(simulator)
    }
}

/// Asks for them one after the other.
async fn ask_for(ask: &Ask, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        assert_eq!(ask.clone().with("scope", &format!("test:{number}")).send().await.status, 200);
    }
}

/// Whether asking for them makes no exchange.
async fn are_kept(simulator: &portvakt::simulator::Simulator, ask: &Ask, numbers: impl IntoIterator<Item = usize>) -> bool {
    let before = simulator.counters().received;
    ask_for(ask, numbers).await;
    simulator.counters().received == before
}

#[tokio::test]
async fn a_flood_of_one_caller_leaves_the_others_their_share() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration_with_three(&simulator));
    let first = portvakt.ask();
    let second = portvakt.ask().with("X-Gravitee-Api-Key", "the-second-key");
    let third = portvakt.ask().with("X-Gravitee-Api-Key", THIRD_API_KEY);
    ask_for(&second, 0..4).await;
    // The second has its share of 4. The first may have what nobody else has, and then pushes out its own.
    ask_for(&first, 100..160).await;
    assert!(are_kept(&simulator, &second, 0..4).await);
    assert!(are_kept(&simulator, &first, 152..160).await);
    // The third takes what is over the first's share, and no more.
    ask_for(&third, 50..90).await;
    assert!(are_kept(&simulator, &second, 0..4).await);
    assert!(are_kept(&simulator, &third, 86..90).await);
    assert_eq!(portvakt.metric("portvakt_tokens_cached").await, Some(13.0), "one is prefetched, and stands outside");
    assert!(are_kept(&simulator, &first, 156..160).await, "its own share");
    assert!(are_kept(&simulator, &first, [199]).await);
}

#[tokio::test]
async fn a_token_in_use_is_kept_whoever_uses_it_and_a_fresh_one_is_still_its_owners() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration_with_three(&simulator));
    let first = portvakt.ask();
    let second = portvakt.ask().with("X-Gravitee-Api-Key", "the-second-key");
    ask_for(&second, 0..4).await;
    // The first brings the token that the second uses too.
    ask_for(&first, [100]).await;
    assert_eq!(second.clone().with("scope", "test:100").post().send().await.status, 200);
    for number in 101..140 {
        ask_for(&first, [number]).await;
        assert!(are_kept(&simulator, &second, [100]).await, "in use");
    }
    // It is counted as the first's: the second has its share of 4 beside it.
    assert!(are_kept(&simulator, &second, 0..4).await);
}
