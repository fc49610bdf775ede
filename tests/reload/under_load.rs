//! Reloads while requests come in: nobody who could be served notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::scene::*;
use crate::support::*;

const RELOADS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_reloads_and_no_request_fails() {
    let simulator = simulator_with_two_keys();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let text = configuration.text();
    let is_over = Arc::new(AtomicBool::new(false));
    let (asked, revoked_granted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut asking = Vec::new();
    // Tokens from the cache, and fresh ones that are under way while the arrangement changes.
    for (number, ask) in [portvakt.ask(), portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE), portvakt.ask().post(), portvakt.ask()]
        .into_iter()
        .enumerate()
    {
        let (is_over, asked) = (Arc::clone(&is_over), Arc::clone(&asked));
        asking.push(tokio::spawn(async move {
            while !is_over.load(Relaxed) {
                let answer = ask.clone().send().await;
                assert_eq!(answer.status, 200, "{number}: {}", answer.text);
                let client = if number == 1 { KRR } else { FREG };
                assert_eq!(claims(answer.token())["client_id"], client);
                asked.fetch_add(1, Relaxed);
            }
        }));
    }
    for number in 0..RELOADS {
        // Another key each time, and a caller that comes and goes.
        let key = if number % 2 == 0 { freg_key(4096) } else { freg_key(2048) };
        let other = if number % 2 == 0 { sha256("a-newer-key") } else { sha256(OTHER_API_KEY) };
        let before = asked.load(Relaxed);
        reload(&portvakt, &text.replace(&freg_key(2048), &key).replace(&sha256(OTHER_API_KEY), &other)).await;
        let revoked = if number % 2 == 0 { OTHER_API_KEY } else { "a-newer-key" };
        let answer = portvakt.ask().with("X-Gravitee-Api-Key", revoked).with("iss", KRR).with("scope", KRR_SCOPE).send().await;
        revoked_granted.fetch_add(u64::from(answer.status != 401), Relaxed);
        until("more has been asked", || asked.load(Relaxed) > before + 4 || asking.iter().any(tokio::task::JoinHandle::is_finished)).await;
    }
    is_over.store(true, Relaxed);
    for asking in asking {
        asking.await.unwrap();
    }
    assert_eq!(revoked_granted.load(Relaxed), 0);
    assert_eq!(simulator.counters().duplicate_jtis, 0);
}
