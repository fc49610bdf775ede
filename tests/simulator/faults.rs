//! Each fault, as a client sees it, also below HTTP.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use portvakt::simulator::{Conditions, Endpoint, Fault, FaultKind, Rule, Simulator, Stage};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::grants::{Draft, JWT_BEARER, KEY_CLIENT, LONG, answer, exchange, http, json_of, start};

async fn struck_by(fault: impl Into<Fault>) -> (Simulator, reqwest::Response) {
    let simulator = start();
    simulator.fault(fault).unwrap();
    let grant = Draft::with_kid(&simulator).sign();
    let response = exchange(&http(), &simulator, &grant).await.unwrap();
    (simulator, response)
}

#[tokio::test]
async fn a_status_with_its_headers_strikes_as_often_as_it_was_told() {
    let headers = BTreeMap::from([("Retry-After".to_owned(), "7".to_owned())]);
    let (simulator, response) = struck_by(FaultKind::Status { status: 503, headers, body: "later".to_owned() }.times(2)).await;
    assert_eq!((response.status().as_u16(), response.headers()["retry-after"].to_str().unwrap()), (503, "7"));
    assert_eq!(response.text().await.unwrap(), "later");
    let grant = Draft::with_kid(&simulator).sign();
    assert_eq!(exchange(&http(), &simulator, &grant).await.unwrap().status(), 503);
    let (status, body) = answer(&simulator, &Draft::with_kid(&simulator).sign()).await;
    assert_eq!(status, 200, "{body}");
    let (_, body) = answer(&simulator, &grant).await;
    assert!(body["error_uri"].as_str().unwrap().ends_with("MP-012"), "a grant that met an outage is used: {body}");
    let counters = simulator.counters();
    assert_eq!((counters.received, counters.answered, counters.issued, counters.refused, counters.faults), (4, 4, 1, 1, 2));
}

#[tokio::test]
async fn html_and_nothing() {
    let (_, response) = struck_by(FaultKind::Html { status: 502 }).await;
    assert_eq!((response.status().as_u16(), response.headers()["content-type"].to_str().unwrap()), (502, "text/html"));
    assert!(response.text().await.unwrap().contains("<html>"));
    let (_, response) = struck_by(FaultKind::Empty { status: 200 }).await;
    assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (200, ""));
}

#[tokio::test]
async fn answers_with_another_member() {
    let table = [
        (FaultKind::WithoutExpiresIn {}, "expires_in", None),
        (FaultKind::ExpiresIn { value: json!(0) }, "expires_in", Some(json!(0))),
        (FaultKind::ExpiresIn { value: json!(-1) }, "expires_in", Some(json!(-1))),
        (FaultKind::ExpiresIn { value: json!("119") }, "expires_in", Some(json!("119"))),
        (FaultKind::ExpiresIn { value: json!(999_999) }, "expires_in", Some(json!(999_999))),
        (FaultKind::ExpiresIn { value: json!({"a": [null]}) }, "expires_in", Some(json!({"a": [null]}))),
        (FaultKind::TokenType { value: "MAC".to_owned() }, "token_type", Some(json!("MAC"))),
    ];
    for (fault, member, expected) in table {
        let (simulator, response) = struck_by(fault).await;
        let (status, body) = json_of(response).await;
        assert_eq!((status, body.get(member)), (200, expected.as_ref()), "{body}");
        assert!(body["access_token"].is_string());
        assert_eq!((simulator.counters().issued, simulator.counters().faults), (1, 1));
    }
}

#[tokio::test]
async fn every_error_can_be_asked_for() {
    let simulator = start();
    for rule in Rule::all() {
        simulator.reset_counters();
        simulator.fault(FaultKind::Error { code: rule.name().to_owned() }).unwrap();
        let (status, body) = answer(&simulator, &Draft::with_kid(&simulator).sign()).await;
        assert_eq!((status, &body["error"]), (400, &json!(rule.error())));
        assert!(body["error_description"].as_str().unwrap().starts_with(rule.description()), "{body}");
        assert_eq!(simulator.counters().refused_by_code, BTreeMap::from([(rule.name(), 1)]));
    }
    let (_, response) = struck_by(FaultKind::Error { code: "MP-250".to_owned() }).await;
    let (_, body) = json_of(response).await;
    assert!(body["error_description"].as_str().unwrap().contains(", k:b (trace_id: "), "the scopes are the request's: {body}");
}

#[tokio::test]
async fn a_truncated_answer_breaks_off() {
    let (simulator, response) = struck_by(FaultKind::Truncated {}).await;
    assert_eq!(response.status(), 200);
    assert!(response.text().await.is_err());
    let mut socket = send(&simulator, &Draft::with_kid(&simulator).sign()).await;
    let mut received = Vec::new();
    timeout(LONG, socket.read_to_end(&mut received)).await.unwrap().expect("closed, not reset");
    let received = String::from_utf8(received).unwrap();
    let (head, body) = received.split_once("\r\n\r\n").unwrap();
    let promised: usize = head.to_lowercase().split_once("content-length: ").unwrap().1.split("\r\n").next().unwrap().parse().unwrap();
    assert!(!body.is_empty() && body.len() < promised, "{} of {promised}", body.len());
}

#[tokio::test]
async fn an_oversized_answer_comes_in_full() {
    let (_, response) = struck_by(FaultKind::Oversized { bytes: 1_000_000 }).await;
    assert_eq!(response.content_length(), None);
    let text = response.text().await.unwrap();
    assert_eq!(text.len(), 1_000_000);
    let body: Value = serde_json::from_str(&text).unwrap();
    assert!(body["access_token"].as_str().unwrap().len() > 900_000);
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let simulator = start();
    for at in [Stage::BeforeHeaders, Stage::InBody] {
        simulator.fault(FaultKind::Reset { at }).unwrap();
        let mut socket = send(&simulator, &Draft::with_kid(&simulator).sign()).await;
        let mut received = Vec::new();
        let error = timeout(LONG, socket.read_to_end(&mut received)).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{at:?}");
        assert_eq!(received.starts_with(b"HTTP/1.1 200"), at == Stage::InBody, "{at:?}");
        let error = exchange(&http(), &simulator, &Draft::with_kid(&simulator).sign()).await;
        match error {
            Err(error) => assert!(!error.is_timeout(), "{at:?}: {error:?}"),
            Ok(response) => assert!(response.bytes().await.is_err() && at == Stage::InBody),
        }
    }
    simulator.clear_faults();
    assert_eq!(answer(&simulator, &Draft::with_kid(&simulator).sign()).await.0, 200);
}

/// How long nothing must come before it is taken for hanging.
const QUIET: Duration = Duration::from_millis(150);

#[tokio::test]
async fn what_hangs_keeps_its_connection_and_ends_with_the_simulator() {
    let simulator = start();
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    let mut before_headers = send(&simulator, &Draft::with_kid(&simulator).sign()).await;
    let counters = simulator.wait_for_exchanges(1, LONG).await.unwrap();
    assert_eq!((counters.received, counters.answered), (1, 0));
    let mut buffer = [0; 8 * 1024];
    timeout(QUIET, before_headers.read(&mut buffer)).await.expect_err("nothing comes");

    simulator.fault(FaultKind::Hang { at: Stage::InBody }).unwrap();
    let mut in_body = send(&simulator, &Draft::with_kid(&simulator).sign()).await;
    let read = timeout(LONG, in_body.read(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
    while let Ok(read) = timeout(QUIET, in_body.read(&mut buffer)).await {
        assert_ne!(read.unwrap(), 0, "the connection stays open");
    }
    assert_eq!(simulator.counters().open_connections, 2);

    let begun = Instant::now();
    drop(simulator);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for mut socket in [before_headers, in_body] {
        let ended = timeout(LONG, socket.read(&mut buffer)).await.unwrap();
        assert!(matches!(ended, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn a_client_that_gives_up_on_what_hangs_is_forgotten() {
    let simulator = start();
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    let socket = send(&simulator, &Draft::with_kid(&simulator).sign()).await;
    simulator.wait_for_exchanges(1, LONG).await.unwrap();
    drop(socket);
    timeout(LONG, async {
        while simulator.counters().open_connections > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_delay_comes_before_the_true_answer_and_before_another_fault() {
    let simulator = start();
    let delay = || FaultKind::Delay { milliseconds: 200 };
    let begun = Instant::now();
    simulator.fault(delay().times(1)).unwrap();
    assert_eq!(answer(&simulator, &Draft::with_kid(&simulator).sign()).await.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(simulator.counters().faults, 0, "a delay is not counted as a fault");

    let begun = Instant::now();
    simulator.faults(vec![delay().into(), FaultKind::Empty { status: 500 }.into()]).unwrap();
    let response = exchange(&http(), &simulator, &Draft::with_kid(&simulator).sign()).await.unwrap();
    assert_eq!(response.status(), 500);
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_skewed_clock_judges_grants_and_shows_in_every_date() {
    for (seconds, rule) in [(-3600, Rule::IssuedInTheFuture), (3600, Rule::Expired), (60, Rule::IssuedTooLongAgo)] {
        let (simulator, response) = struck_by(FaultKind::ClockSkew { seconds }).await;
        let metadata = http().get(format!("{}.well-known/oauth-authorization-server", simulator.issuer())).send().await.unwrap();
        for date in [response.headers(), metadata.headers()].map(|headers| headers["date"].to_str().unwrap().to_owned()) {
            let date: SystemTime = date.parse::<actix_web::http::header::HttpDate>().unwrap().into();
            let skewed = if seconds < 0 {
                SystemTime::now() - Duration::from_secs(3600)
            } else {
                SystemTime::now() + Duration::from_secs(seconds.unsigned_abs())
            };
            let off = skewed.duration_since(date).unwrap_or_else(|error| error.duration());
            assert!(off < Duration::from_secs(20), "{seconds}: {date:?}");
        }
        let (_, body) = json_of(response).await;
        assert!(body["error_description"].as_str().unwrap().starts_with(rule.description()), "{seconds}: {body}");
        simulator.clear_faults();
        assert_eq!(answer(&simulator, &Draft::with_kid(&simulator).sign()).await.0, 200);
    }
}

#[tokio::test]
async fn a_skewed_date_judges_nothing() {
    for seconds in [-3600, 3600] {
        let (simulator, response) = struck_by(FaultKind::DateSkew { seconds }).await;
        let date: SystemTime = response.headers()["date"].to_str().unwrap().parse::<actix_web::http::header::HttpDate>().unwrap().into();
        let off = date.duration_since(SystemTime::now()).unwrap_or_else(|error| error.duration());
        assert!(off.abs_diff(Duration::from_secs(3600)) < Duration::from_secs(20), "{seconds}: {date:?}");
        assert_eq!(date > SystemTime::now(), seconds > 0);
        assert_eq!(response.status(), 200);
        assert_eq!(simulator.counters().faults, 0, "a skew is not counted as a fault");
    }
}

#[tokio::test]
async fn a_fault_can_be_for_one_client_one_scope_or_another_endpoint() {
    let simulator = start();
    let when = |conditions| Fault { kind: FaultKind::Empty { status: 500 }, conditions };
    let status = async |draft: Draft| exchange(&http(), &simulator, &draft.sign()).await.unwrap().status().as_u16();
    simulator.fault(when(Conditions { client_id: Some(KEY_CLIENT.to_owned()), ..Conditions::default() })).unwrap();
    assert_eq!(status(Draft::with_kid(&simulator)).await, 500);
    assert_eq!(status(Draft::with_certificate(&simulator)).await, 200);

    simulator.fault(when(Conditions { scope: Some("a:c".to_owned()), ..Conditions::default() })).unwrap();
    let mut both_scopes = Draft::with_certificate(&simulator);
    both_scopes.claim("scope", "a:b a:c");
    assert_eq!(status(both_scopes).await, 500);
    assert_eq!(status(Draft::with_certificate(&simulator)).await, 200);

    for (endpoint, path) in [(Endpoint::Metadata, ".well-known/oauth-authorization-server"), (Endpoint::Jwks, "jwk")] {
        simulator.fault(when(Conditions { endpoint, ..Conditions::default() })).unwrap();
        let response = http().get(format!("{}{path}", simulator.issuer())).send().await.unwrap();
        assert_eq!(response.status(), 500);
        assert_eq!(status(Draft::with_certificate(&simulator)).await, 200);
    }
}

#[tokio::test]
async fn a_fault_can_strike_at_random() {
    let simulator = start();
    let control = format!("{}/fault", simulator.control_endpoint());
    let put = async |fault: Value| http().put(&control).body(fault.to_string()).send().await.unwrap().status().as_u16();
    assert_eq!(put(json!({"kind": "status", "status": 500, "probability": 1.5})).await, 400);
    assert_eq!(put(json!({"kind": "status", "status": 500, "probability": 0.5})).await, 204);
    let (_, told) = json_of(http().get(&control).send().await.unwrap()).await;
    assert_eq!(told[0]["probability"], json!(0.5), "{told}");
    let mut struck = 0;
    for _ in 0..100 {
        let response = exchange(&http(), &simulator, &Draft::with_kid(&simulator).sign()).await.unwrap();
        struck += u64::from(response.status() == 500);
    }
    // 50 on average; that it is none, or all, happens once in 2^99 runs.
    let counters = simulator.counters();
    assert_eq!((counters.faults, counters.issued, counters.duplicate_jtis), (struck, 100 - struck, 0));
    assert!((1..100).contains(&struck), "{struck}");
}

/// Sends a grant over a socket of its own, so that a test sees what comes back byte for byte.
async fn send(simulator: &Simulator, grant: &str) -> TcpStream {
    let body =
        form_urlencoded::Serializer::new(String::new()).append_pair("grant_type", JWT_BEARER).append_pair("assertion", grant).finish();
    let head = format!(
        "POST /token HTTP/1.1\r\nHost: simulator\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut socket = TcpStream::connect(simulator.address()).await.unwrap();
    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    socket
}
