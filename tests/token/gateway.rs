//! The gateway's call to the byte, and other clients' ways with HTTP.

use rstest::rstest;
use rustix::process::Signal;

use crate::door::*;
use crate::support::wire::{Wire, check_document};
use crate::support::*;

/// As captured from a real gateway: shared/gravitee.md.
fn captured(key: &str, scope: &str, iss: &str) -> String {
    format!("GET /token HTTP/1.1\r\nX-Gravitee-Api-Key: {key}\r\nscope: {scope}\r\niss: {iss}\r\nhost: 127.0.0.1:34783\r\n\r\n")
}

#[test]
fn the_gateways_call_gets_a_token_that_maskinporten_made() {
    let door = door();
    let answer = door.wire().ask(captured(API_KEY, FREG_SCOPE, FREG)).checked();
    let granted = claims(answer.token());
    assert_eq!((&granted["scope"], &granted["client_id"]), (&FREG_SCOPE.into(), &FREG.into()));
    assert_eq!((&answer.json["token_type"], &answer.json["scope"]), (&"Bearer".into(), &FREG_SCOPE.into()));
    assert!((100..=119).contains(&answer.json["expires_in"].as_u64().unwrap()), "{answer:?}");
    assert_eq!(answer.json.as_object().unwrap().len(), 4);
    assert_eq!((answer.version.as_str(), answer.header("connection")), ("HTTP/1.1", None));
    // And the one with the virksomhetssertifikat.
    let answer = door.wire().ask(captured(API_KEY, KRR_SCOPE, KRR)).checked();
    assert_eq!(claims(answer.token())["client_id"], KRR);
}

#[test]
fn what_the_gateway_did_not_set_is_named_by_its_property_or_attribute() {
    let door = door();
    let table = [
        (captured("{#properties['maskinporten_api_key']}", FREG_SCOPE, FREG), 401, "maskinporten_api_key"),
        (captured(API_KEY, FREG_SCOPE, "{#properties['maskinporten_api_iss']}"), 400, "maskinporten_api_iss"),
        (captured(API_KEY, "{#jsonPath(#context.attributes, '$.scope')}", FREG), 400, "attribute scope"),
        (captured("", FREG_SCOPE, FREG), 401, "maskinporten_api_key"),
        (captured(API_KEY, FREG_SCOPE, ""), 400, "maskinporten_api_iss"),
        (captured(API_KEY, "", FREG), 400, "attribute scope"),
        (captured("null", FREG_SCOPE, FREG), 401, "maskinporten_api_key"),
        (captured(API_KEY, FREG_SCOPE, "null"), 400, "maskinporten_api_iss"),
        (captured(API_KEY, "null", FREG), 400, "attribute scope"),
    ];
    for (request, status, names) in table {
        let answer = door.wire().ask(&request).checked();
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        assert!(answer.description().contains(names), "{request}: {answer:?}");
    }
}

#[test]
fn a_connection_is_used_for_many_requests_good_and_bad() {
    let door = door();
    let mut wire = door.wire();
    for _ in 0..3 {
        assert_eq!(wire.ask(request().bytes()).checked().status, 200);
        assert_eq!(wire.ask(request().target("/nowhere").bytes()).checked().status, 404);
        assert_eq!(wire.ask(request().method("DELETE").bytes()).checked().status, 405);
        assert_eq!(wire.ask(request().without("iss").bytes()).checked().status, 400);
        assert_eq!(wire.ask(request().field("X-Padding", "x".repeat(40_000)).bytes()).checked().status, 431);
        assert_eq!(wire.ask(request().without("X-Gravitee-Api-Key").bytes()).checked().status, 401);
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let door = door();
    let (good, bad, lost) = (request().bytes(), request().without("iss").bytes(), request().target("/nowhere").bytes());
    let with_body = request().body(vec![b'x'; 1000]).bytes();
    let all = [&good[..], &bad, &lost, &with_body, &good, &bad].concat();
    let mut wire = door.wire();
    wire.send(all);
    for status in [200, 400, 404, 200, 200, 400] {
        assert_eq!(wire.answer().checked().status, status);
    }
    let closing = request().field("Connection", "close").bytes();
    assert_eq!(wire.ask([good, closing].concat()).status, 200);
    assert_eq!(wire.answer().checked().header("connection"), Some("close"));
    assert!(wire.is_closed());
}

#[rstest]
#[case("/token/")]
#[case("/Token")]
#[case("//token")]
#[case("/%2ftoken")]
#[case("/token%20")]
#[case("/token;a=b")]
#[case("/./token")]
#[case("/x/../token")]
#[case("/")]
#[case("/?/token")]
#[case("*")]
#[case("/oauth2/token")]
#[case("/health/live")]
#[case("/health/ready")]
#[case("/metrics")]
#[case("http://127.0.0.1/nowhere")]
fn another_path_is_unknown(#[case] target: &str) {
    for method in ["GET", "POST", "OPTIONS", "DELETE"] {
        let answer = door().ask(&request().method(method).target(target));
        assert_eq!((answer.status, answer.error()), (404, "invalid_request"), "{method}: {answer:?}");
        assert_eq!(answer.header("allow"), None);
    }
}

#[test]
fn an_absolute_target_is_a_target() {
    let door = door();
    let port = door.portvakt.tokens.port();
    assert_eq!(door.ask(&request().target(format!("http://127.0.0.1:{port}/token"))).status, 200);
    let query = format!("http://127.0.0.1:{port}/token?iss={FREG}&scope={FREG_SCOPE}");
    assert_eq!(door.ask(&request().without("iss").without("scope").target(query)).status, 200);
}

#[test]
fn other_methods_are_told_which_there_are() {
    let door = door();
    for method in ["OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "get"] {
        let answer = door.ask(&request().method(method));
        assert_eq!((answer.status, answer.error(), answer.header("allow")), (405, "invalid_request", Some("GET, POST")), "{method}");
    }
    let mut wire = door.wire();
    for target in ["/token", "/nowhere"] {
        let head = wire.send(request().method("HEAD").target(target).bytes()).head();
        assert_eq!(head.status, if target == "/token" { 405 } else { 404 });
        assert_eq!(head.header("allow"), (target == "/token").then_some("GET, POST"));
        assert_eq!(head.header("cache-control"), Some("no-store"));
        assert!(head.header("x-request-id").is_some());
    }
    // No body came after a head: the next answer is in its place.
    assert_eq!(wire.ask(request().bytes()).checked().status, 200);
}

#[test]
fn connect_opens_no_tunnel() {
    let door = door();
    let mut wire = door.wire();
    assert_eq!(wire.ask(request().method("CONNECT").target("example.no:443").bytes()).checked().status, 404);
    assert!(wire.is_closed());
    assert_eq!(door.ask(&request().method("CONNECT").target("/token")).status, 405);
}

#[test]
fn java_asks_for_http_2_and_is_answered_in_http_1() {
    let door = door();
    let upgrading = || {
        let upgrade = request().field("Connection", "Upgrade, HTTP2-Settings").field("Upgrade", "h2c");
        upgrade.field("HTTP2-Settings", "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA").field("User-Agent", "Java-http-client/25")
    };
    for request in [upgrading(), upgrading().method("POST").field("Content-Length", "0"), upgrading().without("iss")] {
        let mut wire = door.wire();
        let answer = wire.ask(request.bytes()).checked();
        assert_eq!((answer.version.as_str(), answer.header("upgrade")), ("HTTP/1.1", None), "{answer:?}");
        assert!(matches!(answer.status, 200 | 400), "{answer:?}");
        // actix ends such a connection whatever we answer, so the client must be told.
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        assert!(wire.is_closed());
    }
}

#[test]
fn a_websocket_is_not_waited_for() {
    let door = door();
    let answer = door.ask(&request().field("Connection", "Upgrade").field("Upgrade", "websocket"));
    assert_eq!((answer.status, answer.header("upgrade"), answer.header("connection")), (200, None, Some("close")), "{answer:?}");
}

#[test]
fn http_1_0_is_answered() {
    let door = door();
    let mut wire = door.wire();
    let answer = wire.ask(captured(API_KEY, FREG_SCOPE, FREG).replace("HTTP/1.1", "HTTP/1.0")).checked();
    assert_eq!(answer.status, 200);
    assert!(wire.is_closed());
}

#[test]
fn who_expects_100_continue_gets_it() {
    let door = door();
    let mut wire = door.wire();
    let head = request().field("Content-Length", "4").field("Expect", "100-continue").bytes();
    assert_eq!(wire.ask(head).status, 100);
    assert_eq!(wire.ask("body").checked().status, 200);
    let head = request().method("POST").field("Content-Length", "4").field("Expect", "100-continue").bytes();
    assert_eq!(wire.ask(head).status, 100);
    assert_eq!(wire.ask("body").checked().status, 400);
}

#[tokio::test]
async fn a_real_client_is_answered_too() {
    let door = door();
    for ask in [door.portvakt.ask(), door.portvakt.ask().post(), door.portvakt.ask().without("iss").query(&format!("iss={FREG}"))] {
        let answer = ask.send().await;
        check_document(answer.status, &answer.json);
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

#[test]
fn a_burst_of_connections_waits_to_be_accepted() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let most: usize = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    // While nobody accepts, the kernel keeps as many as the listener has asked it to.
    portvakt.signal(Signal::STOP);
    let wires: Vec<Wire> = (0..most.min(400)).map(|_| Wire::connect(portvakt.tokens)).collect();
    portvakt.signal(Signal::CONT);
    for mut wire in wires {
        assert_eq!(wire.ask(request().bytes()).status, 200);
    }
}
