//! Whatever arrives, it is answered: no request makes anything panic.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use support::*;

/// What may stand in a header's value, and much that may not: anything but what ends the line.
fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![8 => 0x20..=0x7Eu8, 1 => 0x80..=0xFFu8, 1 => Just(b'\t'), 1 => 0x01..=0x08u8];
    let bytes = prop::collection::vec(byte, 0..200);
    let json =
        r#"\[?[\[{]{0,40}("type":("[a-z:]{0,9}"|[0-9]{1,30}|\[\]),?){0,3}("[a-z\\u]{0,5}":\{"a":[0-9.eE+-]{0,9}\},?){0,3}[}\]]{0,4}"#
            .prop_map(String::into_bytes);
    let known = prop::sample::select(vec![
        "",
        " ",
        "null",
        "{#a}",
        FREG,
        "freg",
        FREG_SCOPE,
        CONSUMER,
        "23079422568",
        "https://a.no",
        "Bearer",
        "Bearer ",
        "bearer\t",
        API_KEY,
        "no-cache",
    ]);
    prop_oneof![3 => bytes, 2 => json, 5 => known.prop_map(|text| text.as_bytes().to_vec())]
}

fn header() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let name = prop::sample::select(vec![
        "iss",
        "scope",
        "resource",
        "consumer_org",
        "consumer-org",
        "iss-onbehalfof",
        "pid",
        "authorization_details",
        "authorization-details",
        "X-API-Key",
        "Authorization",
        "Cache-Control",
        "X-Request-Id",
        "Content-Length",
        "Expect",
        "Transfer-Encoding",
        "Connection",
    ]);
    (name, header_value())
}

fn target() -> impl Strategy<Value = String> {
    let query = "((iss|scope|resource|pid|consumer_org|iss_onbehalfof|)=?(%[0-9a-fA-F]{0,2}|[a-z:/+{}#;&=.]){0,12}&?){0,5}";
    prop_oneof![4 => query.prop_map(|query| format!("/token?{query}")), 1 => "[!-~]{1,60}", 1 => "/[a-z/%.]{0,20}"]
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![6 => Just("GET"), 2 => Just("POST"), 1 => Just("HEAD"), 1 => Just("PURGE")];
    (method, target(), prop::collection::vec(header(), 0..8), 0..3u8).prop_map(|(method, target, headers, good)| {
        let mut request = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n").into_bytes();
        if good > 0 {
            request.extend_from_slice(format!("X-Gravitee-Api-Key: {API_KEY}\r\n").as_bytes());
        }
        if good > 1 {
            request.extend_from_slice(format!("iss: {FREG}\r\nscope: {FREG_SCOPE}\r\n").as_bytes());
        }
        for (name, value) in headers {
            request.extend_from_slice(name.as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(&value);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    })
}

#[test]
fn every_request_is_answered_and_none_is_a_defect() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let address = portvakt.tokens;
    let mut runner = TestRunner::new(Config { cases: 4000, failure_persistence: None, ..Config::default() });
    runner
        .run(&request(), |request| {
            let mut wire = wire::Wire::connect(address);
            wire.send(&request);
            let shown = String::from_utf8_lossy(&request);
            if shown.contains("\r\nContent-Length:") || shown.contains("\r\nTransfer-Encoding:") {
                // A body that was announced does not come. Without one this would be to hang up.
                wire.finish();
            }
            let answer = wire.head();
            prop_assert!((200..=599).contains(&answer.status) && answer.status != 500, "{shown}\n{answer:?}");
            Ok(())
        })
        .unwrap();
    let log = portvakt.log();
    assert!(!log.iter().any(|line| line.contains("panicked")), "{}", log.join("\n"));
    assert!(simulator.counters().issued > 0, "some of them were good");
}

/// Needs no API key, and is never answered more than a socket holds: without a limit it holds the connection, and a processor, for ever.
#[cfg(target_os = "linux")]
#[test]
fn who_asks_on_and_on_and_reads_no_answer_is_cut_off() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let mut connection = std::net::TcpStream::connect(portvakt.tokens).unwrap();
    connection.set_write_timeout(Some(PATIENCE)).unwrap();
    let requests = b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n".repeat(1000);
    let cut_off = std::iter::repeat_with(|| std::io::Write::write_all(&mut connection, &requests)).find_map(Result::err).unwrap();
    assert!(matches!(cut_off.kind(), std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe), "{cut_off}");
}
