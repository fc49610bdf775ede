//! Resident memory is bounded, whatever callers do: floods of different tokens, of waiting requests, of large heads.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::block_in_place;

use crate::load::{Load, request, sum};
use crate::report::{self, Show, count, megabytes};
use crate::stub::Stub;
use crate::support::*;
use crate::world::{is_full, resident, start_by};

/// What an allocator keeps for the next time, and what the first requests of a kind make once.
const SLACK: u64 = 16_000_000;
/// A kept token of 1.1 KB, with all that belongs to it, and as much again for what is under way.
const TOKEN: u64 = 4_000;
/// A connection, the request on it, and the exchange that it waits for; more in a debug build, whose futures are larger.
const WAITING: u64 = 40_000;

/// With one integration, so that nothing is kept free for another.
async fn started(sections: &str) -> (Stub, Portvakt) {
    raise_file_limit();
    let stub = Stub::start().await;
    let (at, key, digest) = (stub.address, certs("registered-2048.pem"), sha256(API_KEY));
    let text = format!(
        r#"
[server]
listen = "127.0.0.1:0"

[management]
listen = "127.0.0.1:0"

{sections}

[environment.stub]
issuer = "http://{at}/"
token_endpoint = "http://{at}/token"

[[integration]]
name = "freg"
client_id = "{FREG}"
environment = "stub"
key = {{ private_key_file = '{key}', kid = "any" }}

[[caller]]
name = "gateway"
keys = [{{ sha256 = "{digest}" }}]
may = [{{ integration = "freg", scopes = ["test:*"] }}]
"#,
        key = key.display()
    );
    let portvakt = block_in_place(|| start_by(portvakt_command(), &text));
    // What is made at first use is there.
    let load = Load::unpaced(portvakt.tokens, 64, 8);
    assert_eq!(sum(&load.run(|number| request(FREG, &format!("test:first-{number}"))).await).failed, 0);
    (stub, portvakt)
}

/// Scattered over all of them, the same in every run (splitmix64).
fn scattered(number: u64, over: u64) -> u64 {
    let mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ (mixed >> 31)) % over
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_different_tokens_leaves_memory_bounded() {
    let (requests, tokens, kept) = if is_full() { (1_000_000, 200_000, 10_000) } else { (8_000, 2_000, 500) };
    let (_stub, portvakt) = started(&format!("[cache]\nmax_tokens = {kept}")).await;
    let load = |requests| Load::unpaced(portvakt.tokens, requests, 32);
    let idle = resident(&portvakt).await;
    // As many as are kept, and a tenth of all to fill what else there is.
    let first = load(requests / 10).run(move |number| request(FREG, &format!("test:{}", scattered(number, tokens)))).await;
    let warm = resident(&portvakt).await;
    let rest = load(requests - requests / 10);
    let rest = rest.run(move |number| request(FREG, &format!("test:{}", scattered(number + requests / 10, tokens)))).await;
    let after = resident(&portvakt).await;
    let (first, rest) = (sum(&first), sum(&rest));
    assert_eq!((first.failed, rest.failed), (0, 0));
    let held = portvakt.metric("portvakt_tokens_cached").await.unwrap();
    #[allow(clippy::cast_precision_loss)]
    let most_held = kept as f64 * 1.1 + 100.0;
    assert!(held <= most_held, "{held} tokens are held, and {kept} were allowed");
    let most = idle + kept * TOKEN + SLACK;
    assert!(after < most, "{} before, {} after a tenth, {} at the end", megabytes(idle), megabytes(warm), megabytes(after));
    report::row(
        Show::Tokens,
        &format!("{} requests over {} tokens, of which {} are kept", count(requests), count(tokens), count(kept)),
        &format!(
            "resident: {} before, {} after the first tenth, {} at the end; {} failed",
            megabytes(idle),
            megabytes(warm),
            megabytes(after),
            first.failed + rest.failed
        ),
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_who_wait_for_a_slow_upstream_leave_memory_bounded() {
    let (stub, portvakt) = started("[outbound]\ndeadline = \"6s\"\nattempt_timeout = \"6s\"").await;
    let room = getrlimit(Resource::Nofile).maximum.unwrap_or(100_000).saturating_sub(500);
    let waiting = room.min(if is_full() { 10_000 } else { 1_500 });
    let before = resident(&portvakt).await;
    stub.answer_after(Duration::from_secs(60));
    let load = Load::unpaced(portvakt.tokens, waiting, usize::try_from(waiting).unwrap());
    let answered = tokio::spawn(load.run(|number| request(FREG, &format!("test:slow-{number}"))));
    let during = most_until(&portvakt, || answered.is_finished()).await;
    let answered = answered.await.unwrap();
    assert!(answered.iter().all(|sent| matches!(sent.status, Some(503 | 504))), "{:?}", answered.iter().find(|sent| sent.status.is_none()));
    // Integration freg is the only one, and may have all the room.
    let waited = answered.iter().filter(|asked| asked.took() > Duration::from_secs(3)).count();
    assert!(waited as u64 >= waiting * 95 / 100, "{waited} of {waiting} waited");
    let allowed = before + waiting * WAITING + SLACK;
    assert!(during < allowed, "{} before, {} while {waiting} wait", megabytes(before), megabytes(during));
    let after = settled(&portvakt, before + SLACK + waiting * 2_000).await;
    report::row(
        Show::Waiting,
        &format!("{} of {} requests wait for an upstream that does not answer", count(waited as u64), count(waiting)),
        &format!("resident: {} before, {} meanwhile, {} after", megabytes(before), megabytes(during), megabytes(after)),
    );
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_large_heads_leaves_memory_bounded() {
    let (_stub, portvakt) = started("").await;
    let connections: u64 = if is_full() { 1_000 } else { 300 };
    let before = resident(&portvakt).await;
    // 64 fields in a little less than 32 KiB, and the line that would end it never comes.
    let mut head = String::from("GET /token HTTP/1.1\r\n");
    for number in 0..64 {
        write!(head, "x-{number:02}: {}\r\n", "a".repeat(500)).unwrap();
    }
    assert!(head.len() < 32 * 1024);
    let (head, cut_off) = (Arc::new(head), Arc::new(AtomicU64::new(0)));
    for _ in 0..connections {
        let (head, cut_off, address) = (Arc::clone(&head), Arc::clone(&cut_off), portvakt.tokens);
        tokio::spawn(async move {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(head.as_bytes()).await.unwrap();
            // 408, or nothing: in any case it does not go on.
            let _ = tokio::io::copy(&mut connection, &mut tokio::io::sink()).await;
            cut_off.fetch_add(1, Relaxed);
        });
    }
    let during = most_until(&portvakt, || cut_off.load(Relaxed) == connections).await;
    let allowed = before + connections * 100_000 + SLACK;
    assert!(during < allowed, "{} before, {} with {connections} heads", megabytes(before), megabytes(during));
    assert_eq!(portvakt.ask().with("scope", "test:first-1").send().await.status, 200);
    let after = settled(&portvakt, before + SLACK + connections * 10_000).await;
    report::row(
        Show::Heads,
        &format!("heads of 64 fields and 32 KiB on {} connections, which never end", count(connections)),
        &format!("resident: {} before, {} meanwhile, {} after; all were cut off", megabytes(before), megabytes(during), megabytes(after)),
    );
}

/// The most that was resident until something is so.
async fn most_until(portvakt: &Portvakt, is_so: impl Fn() -> bool) -> u64 {
    let (mut most, begun) = (0, Instant::now());
    while !is_so() {
        assert!(begun.elapsed() < 4 * PATIENCE, "it goes on and on");
        most = most.max(resident(portvakt).await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    most
}

/// Waits until so much or less is resident: an allocator gives back what it holds little by little.
async fn settled(portvakt: &Portvakt, wanted: u64) -> u64 {
    let begun = Instant::now();
    loop {
        let now = resident(portvakt).await;
        if now <= wanted {
            return now;
        }
        assert!(begun.elapsed() < PATIENCE, "{} are still resident, and {} were to be", megabytes(now), megabytes(wanted));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
