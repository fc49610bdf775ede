//! `POST`, and `Cache-Control: no-cache`: a token newer than the cached one.

use std::time::{Duration, Instant};

use portvakt::simulator::FaultKind;
use tokio::task::JoinSet;

use crate::support::*;

/// Who asks within this time after a fresh token came gets that one.
const WINDOW: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_post_or_no_cache_brings_a_new_token_for_everybody() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let get = portvakt.ask();
    for fresh in
        [get.clone().post(), get.clone().with("Cache-Control", "no-cache"), get.clone().with("cache-control", "max-age=0, No-Cache")]
    {
        let scope = format!("test:{}", simulator.counters().received);
        let (get, fresh) = (get.clone().with("scope", &scope), fresh.with("scope", &scope));
        let old = get.clone().send().await;
        let new = fresh.send().await;
        assert_ne!(new.token(), old.token());
        assert_eq!(get.send().await.token(), new.token());
        assert_eq!(exchanges(&simulator, &scope), 2);
    }
    let other = get.clone().with("Cache-Control", "no-store").send().await;
    assert_eq!(get.send().await.token(), other.token());
    assert_eq!(exchanges(&simulator, FREG_SCOPE), 1);
}

#[tokio::test]
async fn who_asks_for_a_fresh_token_within_a_second_gets_the_one_that_came() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let post = portvakt.ask().post();
    let sent_first = Instant::now();
    let first = post.clone().send().await;
    let came_first = Instant::now();
    let mut shared = false;
    until_some("another token", async || {
        let sent = Instant::now();
        let answer = post.clone().send().await;
        if answer.token() != first.token() {
            // The exchange ended after it was asked for, so within that second it cannot have been another one's turn.
            assert!(Instant::now() > sent_first + WINDOW, "a second exchange within a second");
            return Some(());
        }
        shared = true;
        assert!(sent < came_first + WINDOW, "the same token after more than a second");
        None
    })
    .await;
    assert!(shared || came_first > sent_first + WINDOW / 2);
    assert_eq!(simulator.counters().received, 2);
}

#[tokio::test]
async fn posts_at_once_share_one_exchange() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let old = portvakt.ask().send().await;
    simulator.fault(FaultKind::Delay { milliseconds: 500 }).unwrap();
    let ask = portvakt.ask();
    let callers: JoinSet<_> = (0..40)
        .map(|number| if number % 2 == 0 { ask.clone().post() } else { ask.clone().with("Cache-Control", "no-cache") })
        .map(Ask::send)
        .collect();
    let mut tokens: Vec<String> = callers.join_all().await.iter().map(|answer| answer.token().to_owned()).collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_ne!(tokens[0], old.token());
    assert_eq!(simulator.counters().received, 2);
}

#[tokio::test]
async fn a_post_does_not_wait_for_the_exchange_of_a_get() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(FaultKind::Delay { milliseconds: 700 }.times(1)).unwrap();
    let get = tokio::spawn(portvakt.ask().send());
    simulator.wait_for_exchanges(1, PATIENCE).await.unwrap();
    let sent = Instant::now();
    let fresh = portvakt.ask().post().send().await;
    assert_eq!(simulator.counters().received, 2);
    let older = get.await.unwrap();
    assert_ne!(older.token(), fresh.token());
    // The older exchange ended last, and its token has not taken the fresh one's place.
    assert_eq!(portvakt.ask().send().await.token(), fresh.token());
    let again = portvakt.ask().post().send().await;
    assert!(again.token() == fresh.token() || sent.elapsed() > WINDOW);
}

#[tokio::test]
async fn a_get_shares_the_exchange_of_a_post() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(FaultKind::Delay { milliseconds: 500 }).unwrap();
    let post = tokio::spawn(portvakt.ask().post().send());
    simulator.wait_for_exchanges(1, PATIENCE).await.unwrap();
    let get = portvakt.ask().send().await;
    assert_eq!(get.token(), post.await.unwrap().token());
    assert_eq!(simulator.counters().received, 1);
}

#[tokio::test]
async fn a_post_that_fails_tells_so_and_leaves_the_cached_token() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let old = portvakt.ask().send().await;
    for (fault, status, error) in [
        (FaultKind::Error { code: "MP-200".to_owned() }, 502, "invalid_scope"),
        (
            FaultKind::Status { status: 503, headers: [("Retry-After".to_owned(), "30".to_owned())].into(), body: String::new() },
            503,
            "temporarily_unavailable",
        ),
    ] {
        simulator.fault(fault).unwrap();
        let failed = portvakt.ask().post().send().await;
        assert_eq!((failed.status, failed.error()), (status, error), "{}", failed.text);
        assert_eq!(failed.header("Retry-After"), (status == 503).then_some("30"));
        assert_eq!(portvakt.ask().send().await.token(), old.token());
    }
    simulator.clear_faults();
    // The next one tries anew, at once.
    let new = portvakt.ask().post().send().await;
    assert_ne!(new.token(), old.token());
    assert_eq!(simulator.counters().received, 4);
}
