//! Thousands of requests that wait: bounded, and no integration's wait is another's.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portvakt::simulator::{Conditions, Fault, FaultKind, Stage};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::*;

const WAITING: &str = "portvakt_waiting_requests";
const REFUSED: &str = "portvakt_waiting_requests_refused_total";
/// Longer than these tests take: nobody is answered because of it.
const LONG: &str = "[outbound]\ndeadline = \"120s\"\nattempt_timeout = \"120s\"";

/// A request for a token of integration `freg` on a connection of its own. No HTTP client: there are thousands.
async fn ask(address: SocketAddr, number: usize) -> TcpStream {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let scope = format!("test:{}", number % 200);
    let request = format!("GET /token HTTP/1.1\r\nHost: x\r\nX-Gravitee-Api-Key: {API_KEY}\r\niss: {FREG}\r\nscope: {scope}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

async fn answer(mut connection: TcpStream) -> String {
    let (mut text, mut chunk) = (String::new(), [0; 4096]);
    while !text.ends_with('}') {
        match connection.read(&mut chunk).await.unwrap() {
            0 => break,
            count => text.push_str(std::str::from_utf8(&chunk[..count]).unwrap()),
        }
    }
    text
}

/// So many requests, some hundred at a time on their way; their answers when they come.
async fn flood(address: SocketAddr, many: usize) -> JoinSet<String> {
    let mut answers = JoinSet::new();
    for first in (0..many).step_by(500) {
        let mut connecting = JoinSet::new();
        for number in first..many.min(first + 500) {
            connecting.spawn(ask(address, number));
        }
        for connection in connecting.join_all().await {
            answers.spawn(answer(connection));
        }
    }
    answers
}

fn assert_refused(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("Too many requests wait for tokens already") && answer.contains("temporarily_unavailable"), "{answer}");
}

async fn until_waiting(portvakt: &Portvakt, many: f64) {
    until_some("the count of those who wait", async || portvakt.metric(WAITING).await.filter(|waiting| (waiting - many).abs() < 0.5)).await;
}

/// How long fresh tokens of the other integration take, the longest of some.
async fn longest(other: &Ask) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        let sent = Instant::now();
        other.clone().send().await.token();
        longest = longest.max(sent.elapsed());
    }
    longest
}

#[tokio::test]
async fn one_integration_whose_upstream_hangs_takes_nothing_from_anothers() {
    raise_file_limit();
    let simulator = simulator();
    let portvakt = Portvakt::start(&Configuration { sections: LONG.to_owned(), ..configuration(&simulator) });
    let other = portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE).with("Cache-Control", "no-cache");
    let usual = longest(&other).await;
    assert_eq!(portvakt.metric(WAITING).await, Some(0.0));
    let hang = Conditions { client_id: Some(FREG.to_owned()), ..Conditions::default() };
    simulator.fault(Fault { kind: FaultKind::Hang { at: Stage::BeforeHeaders }, conditions: hang }).unwrap();
    let mut answers = flood(portvakt.tokens, 6100).await;
    // It may have as much as it leaves free for others: a half.
    for _ in 0..1100 {
        assert_refused(&answers.join_next().await.unwrap().unwrap());
    }
    until_waiting(&portvakt, 5000.0).await;
    assert_eq!(portvakt.metric(REFUSED).await, Some(1100.0));
    let now = longest(&other).await;
    // Nothing of a deadline's or an attempt's length; how fast this machine is at the moment is not what is tested.
    assert!(now < usual * 10 + Duration::from_secs(2), "{usual:?} before, {now:?} while 5,000 wait");
    // They hang up, and are not counted any more.
    answers.shutdown().await;
    until_waiting(&portvakt, 0.0).await;
}

#[tokio::test]
async fn ten_thousand_wait_for_one_integration_alone_and_the_next_one_is_told_at_once() {
    raise_file_limit();
    // A Maskinporten that takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let taking = tokio::spawn(async move {
        let mut taken = Vec::new();
        loop {
            taken.push(silent.accept().await.unwrap());
        }
    });
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("portvakt.toml"), alone(address)).unwrap();
    let portvakt = Portvakt::start_in(directory);
    let mut answers = flood(portvakt.tokens, 10_000).await;
    until_waiting(&portvakt, 10_000.0).await;
    assert_eq!(portvakt.metric(REFUSED).await, Some(0.0), "all of them wait");
    for number in 0..3 {
        assert_refused(&answer(ask(portvakt.tokens, number).await).await);
    }
    assert_eq!(portvakt.metric(REFUSED).await, Some(3.0));
    let waiting = answers.try_join_next();
    assert!(waiting.is_none(), "{waiting:?}");
    // The connections are closed: who waited is told what happened.
    taking.abort();
    while let Some(answer) = answers.join_next().await {
        let answer = answer.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && !answer.contains("Too many"), "{answer}");
    }
    until_waiting(&portvakt, 0.0).await;
}

fn alone(maskinporten: SocketAddr) -> String {
    let (key, digest) = (certs("registered-2048.pem"), sha256(API_KEY));
    let mut text = String::new();
    write!(
        text,
        r#"
[server]
listen = "127.0.0.1:0"
[management]
listen = "127.0.0.1:0"
{LONG}
[environment.simulator]
issuer = "http://{maskinporten}/"
token_endpoint = "http://{maskinporten}/token"
[[integration]]
name = "freg"
client_id = "{FREG}"
environment = "simulator"
key = {{ private_key_file = '{key}', kid = "portvakt-test-2048" }}
[[caller]]
name = "gateway"
keys = [{{ sha256 = "{digest}" }}]
may = [{{ integration = "freg", scopes = ["test:*"] }}]
"#,
        key = key.display(),
    )
    .unwrap();
    text
}
