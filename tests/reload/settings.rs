//! Settings that are neither an integration's client nor a caller's.

use portvakt::simulator::{FaultKind, LifetimeChange};
use std::time::Instant;

use crate::scene::*;
use crate::support::*;

fn with_prefetch(text: &str, scopes: &[&str]) -> String {
    text.replace(&freg_key(2048), &format!("{}\nprefetch = {scopes:?}", freg_key(2048)))
}

#[tokio::test]
async fn what_is_prefetched_comes_and_goes() {
    let simulator = simulator();
    // Renewed again and again while it is kept warm.
    simulator.change_lifetime(lifetime(2)).unwrap();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let text = configuration.text();
    assert_eq!(simulator.counters().received, 0);
    assert_eq!(reload(&portvakt, &with_prefetch(&text, &[FREG_SCOPE])).await, "integration freg: prefetch");
    until("it is kept warm", || exchanges(&simulator, FREG_SCOPE) >= 3).await;
    // Another one in its place: this one is not renewed any more.
    assert_eq!(reload(&portvakt, &with_prefetch(&text, &[FREG_SCOPE_2])).await, "integration freg: prefetch");
    until("the other one is fetched", || exchanges(&simulator, FREG_SCOPE_2) >= 1).await;
    let (until_now, other) = (exchanges(&simulator, FREG_SCOPE), exchanges(&simulator, FREG_SCOPE_2));
    until("the other one is kept warm", || exchanges(&simulator, FREG_SCOPE_2) >= other + 3).await;
    // One renewal may have been under way.
    assert!(exchanges(&simulator, FREG_SCOPE) <= until_now + 1);
    assert_eq!(reload(&portvakt, &text).await, "integration freg: prefetch");
    until("both have ended", || tokens_cached(&portvakt) == 0).await;
}

fn lifetime(seconds: u32) -> LifetimeChange {
    LifetimeChange { seconds, client_id: None, scope: None }
}

fn tokens_cached(portvakt: &Portvakt) -> u64 {
    let answer = raw(portvakt.management, b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let line = answer.lines().find_map(|line| line.strip_prefix("portvakt_tokens_cached ")).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn a_token_that_was_prefetched_is_renewed_as_any_other_while_it_is_in_use() {
    let simulator = simulator();
    simulator.change_lifetime(lifetime(3)).unwrap();
    let configuration = configuration(&simulator);
    let text = configuration.text();
    let portvakt = Portvakt::start(&configuration);
    reload(&portvakt, &with_prefetch(&text, &[FREG_SCOPE])).await;
    until("it is there", || tokens_cached(&portvakt) == 1).await;
    reload(&portvakt, &text).await;
    let before = exchanges(&simulator, FREG_SCOPE);
    let token = portvakt.ask().send().await.token().to_owned();
    // One hand-out is enough: nobody asks while it is renewed.
    until("it is renewed", || exchanges(&simulator, FREG_SCOPE) > before).await;
    until_some("the renewed one is handed out", async || (portvakt.ask().send().await.token() != token).then_some(())).await;
}

#[tokio::test]
async fn what_has_failed_to_be_prefetched_is_tried_again_at_once() {
    let simulator = simulator_with_two_keys();
    // A key that this client has not registered.
    let wrong = format!("key = {{ private_key_file = '{}', kid = \"nobodys\" }}", certs("registered-2048.pem").display());
    let configuration = configuration(&simulator);
    let good = with_prefetch(&configuration.text(), &[FREG_SCOPE]);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("portvakt.toml"), good.replace(&freg_key(2048), &wrong)).unwrap();
    let portvakt = Portvakt::start_in(directory);
    portvakt.wait_for_log(|line| line.contains("\"no token\""));
    let changes = reload(&portvakt, &good).await;
    assert!(changes.contains("integration freg signs with kid portvakt-test-2048"), "{changes}");
    until("it is there", || tokens_cached(&portvakt) == 1).await;
}

#[tokio::test]
async fn room_for_fewer_tokens_and_for_more() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let with_room =
        |tokens: u32| Configuration { sections: format!("[cache]\nmax_tokens = {tokens}"), ..crate::support::configuration(&simulator) };
    for number in 0..20 {
        portvakt.ask().with("scope", &format!("test:{number}")).send().await.token();
    }
    until("they are there", || tokens_cached(&portvakt) == 20).await;
    assert_eq!(reload(&portvakt, &with_room(8).text()).await, "cache.max_tokens");
    // Half of them is this integration's.
    until("few are left", || tokens_cached(&portvakt) <= 4).await;
    portvakt.ask().send().await.token();
    assert_eq!(reload(&portvakt, &with_room(1000).text()).await, "cache.max_tokens");
    let received = simulator.counters().received;
    portvakt.ask().send().await.token();
    assert_eq!(simulator.counters().received, received, "it has stayed");
    for number in 0..20 {
        portvakt.ask().with("scope", &format!("test:{number}")).send().await.token();
    }
    until("there is room", || tokens_cached(&portvakt) == 21).await;
}

#[tokio::test]
async fn how_long_a_caller_waits() {
    let simulator = simulator();
    simulator.fault(FaultKind::Hang { at: portvakt::simulator::Stage::BeforeHeaders }).unwrap();
    let with_deadline = |deadline: &str| Configuration {
        sections: format!("[outbound]\nattempt_timeout = \"60s\"\ndeadline = \"{deadline}\""),
        ..configuration(&simulator)
    };
    let portvakt = Portvakt::start(&with_deadline("60s"));
    assert_eq!(reload(&portvakt, &with_deadline("300ms").text()).await, "outbound.deadline");
    let asked = Instant::now();
    let answer = portvakt.ask().send().await;
    assert_eq!(answer.status, 504);
    assert!(answer.description().contains("within 300 ms"), "{}", answer.description());
    assert!(asked.elapsed() >= std::time::Duration::from_millis(300));
}

#[tokio::test]
async fn how_long_an_attempt_may_take() {
    let simulator = simulator();
    let with_timeout = |timeout: &str| Configuration {
        sections: format!("[outbound]\nattempt_timeout = \"{timeout}\"\ndeadline = \"30s\""),
        ..configuration(&simulator)
    };
    let portvakt = Portvakt::start(&with_timeout("25s"));
    assert_eq!(reload(&portvakt, &with_timeout("200ms").text()).await, "outbound.attempt_timeout");
    simulator.fault(FaultKind::Hang { at: portvakt::simulator::Stage::BeforeHeaders }).unwrap();
    let answer = portvakt.ask().send().await;
    assert!(matches!(answer.status, 503 | 504), "{}", answer.text);
    assert!(!lines(&portvakt, 0, "no token").is_empty());
}

#[tokio::test]
async fn what_only_a_restart_changes_is_said_and_the_rest_is_taken_on() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let text = configuration.text();
    let token = portvakt.ask().send().await.token().to_owned();
    let other = text
        .replacen("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\"", 1)
        .replace("shutdown_grace = \"10s\"", "shutdown_grace = \"11s\"\nshutdown_delay = \"1s\"")
        .replace("name = \"other\"", "name = \"another\"");
    let changes = reload(&portvakt, &other).await;
    assert_eq!(
        changes,
        "caller another added; caller other removed; server.listen waits for a restart; server.shutdown_delay waits for a restart; server.shutdown_grace waits for a restart"
    );
    let warned = line(&portvakt, 0, "a setting cannot change while the service runs", |line| line["setting"] == "server.listen").await;
    assert_eq!(
        (&warned["level"], &warned["in_use"], &warned["in_the_file"]),
        (&"WARN".into(), &"127.0.0.1:0".into(), &"127.0.0.1:1".into())
    );
    assert!(warned["remedy"].as_str().unwrap().contains("Restart"));
    assert_eq!(portvakt.ask().send().await.token(), token);
    assert_eq!(reload(&portvakt, &text).await, "caller other added; caller another removed");
    let from = portvakt.log().len();
    let other = text.replacen("[management]\nlisten = \"127.0.0.1:0\"", "[management]\nlisten = \"127.0.0.1:1\"", 1);
    assert_eq!(reload(&portvakt, &other).await, "management.listen waits for a restart");
    line(&portvakt, from, "a setting cannot change while the service runs", |line| line["setting"] == "management.listen").await;
}

#[tokio::test]
async fn check_sees_what_the_service_sees() {
    let simulator = simulator_with_two_keys();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    reload(&portvakt, &configuration.text().replace(&freg_key(2048), &freg_key(4096))).await;
    let checked = portvakt_command().args(["check", "--offline", "--format", "json", "--config"]).arg(file(&portvakt)).output().unwrap();
    let checked = String::from_utf8(checked.stdout).unwrap();
    let signs_with = &lines(&portvakt, 0, "signs with a registered key").pop().unwrap()["kid"];
    assert_eq!(signs_with, OTHER_KID);
    assert!(checked.contains(OTHER_KID) && !checked.contains(KID), "{checked}");
}
