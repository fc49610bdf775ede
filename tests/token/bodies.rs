//! Bodies that nobody asked for.

use crate::door::*;

const LIMIT: usize = 64 * 1024;

fn chunked(size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 64);
    for start in (0..size).step_by(10_000) {
        let length = 10_000.min(size - start);
        bytes.extend_from_slice(format!("{length:x}\r\n").as_bytes());
        bytes.extend(std::iter::repeat_n(b'x', length));
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

fn chunked_request(size: usize) -> Vec<u8> {
    let mut bytes = request().field("Transfer-Encoding", "chunked").bytes();
    bytes.extend(chunked(size));
    bytes
}

#[test]
fn on_get_it_is_dropped_up_to_64_kib_and_the_connection_is_used_again() {
    let door = door();
    let mut wire = door.wire();
    for size in [1, 100, 10_000, LIMIT] {
        assert_eq!(wire.ask(request().body(vec![b'x'; size]).bytes()).checked().status, 200, "{size}");
        assert_eq!(wire.ask(chunked_request(size)).checked().status, 200, "{size} chunked");
    }
    assert_eq!(wire.ask(request().body(Vec::new()).bytes()).checked().status, 200);
    assert_eq!(wire.ask(request().bytes()).checked().status, 200);
}

#[test]
fn beyond_that_it_is_refused_whether_or_not_its_length_was_said() {
    let door = door();
    for method in ["GET", "POST"] {
        let request = request().method(method);
        assert_eq!(door.ask(&request.clone().body(vec![b'x'; LIMIT + 1])).status, 413);
        let mut bytes = request.field("Transfer-Encoding", "chunked").bytes();
        bytes.extend(chunked(LIMIT + 1));
        assert_eq!(door.wire().ask(bytes).checked().status, 413);
    }
}

#[test]
fn a_length_beyond_it_is_refused_before_the_body_comes() {
    let door = door();
    let head = request().field("Content-Length", (LIMIT + 1).to_string()).bytes();
    assert_eq!(door.wire().ask(head).checked().status, 413);
    let head = request().field("Content-Length", u64::MAX.to_string()).bytes();
    assert_eq!(door.wire().ask(head).checked().status, 413);
}

#[test]
fn a_body_that_comes_in_pieces_is_waited_for() {
    let door = door();
    let mut wire = door.wire();
    let bytes = request().body(vec![b'x'; 3000]).bytes();
    for piece in bytes.chunks(100) {
        wire.send(piece);
    }
    assert_eq!(wire.answer().checked().status, 200);
}

#[test]
fn the_seconds_that_are_left_are_counted_from_when_the_body_has_come() {
    let door = door();
    let request = || request().with("scope", "test:30");
    let at_first = door.ask(&request()).json["expires_in"].as_u64().unwrap();
    let mut slow = door.wire();
    slow.send(request().field("Content-Length", "1").bytes());
    let left = || door.ask(&request()).json["expires_in"].as_u64().unwrap();
    let later = std::iter::repeat_with(left).find(|left| *left + 2 <= at_first).unwrap();
    let answer = slow.send("x").answer().checked();
    assert!(answer.json["expires_in"].as_u64().unwrap() <= later, "{answer:?}, {later} s were left before");
}

#[test]
fn what_never_comes_to_its_end_is_not_waited_for_for_ever() {
    let door = door();
    let (mut head, mut body, mut broken) = (door.wire(), door.wire(), door.wire());
    // Half a head: the parser's answer. Half a body: ours. Both after 5 s.
    head.send("GET /token HTTP/1.1\r\nho");
    body.send(request().field("Content-Length", "10").bytes()).send("12345");
    broken.send(request().field("Content-Length", "10").bytes()).send("12345").finish();
    let answer = head.answer();
    assert_eq!(answer.status, 408);
    assert!(answer.is_bare() && head.is_closed());
    let answer = body.answer().checked();
    assert_eq!((answer.status, answer.error()), (400, "invalid_request"));
    assert!(answer.description().contains("to its end"), "{answer:?}");
    assert!(body.is_closed());
    // A client that has sent its last: whether it still hears the answer is the parser's affair; the service goes on.
    assert!(broken.is_closed() || broken.answer().status == 400);
    assert_eq!(door.ask(&request()).status, 200);
}

#[test]
fn a_chunked_body_that_never_ends_holds_no_connection() {
    let door = door();
    let endless = |request: Request| [request.field("Transfer-Encoding", "chunked").bytes(), b"5\r\nhel".to_vec()].concat();
    let requests = [
        (404, request().target("/nothing")),
        (404, request().target("/nothing").field("Connection", "close")),
        (405, request().method("PUT")),
        (431, request().field("X-Padding", "x".repeat(33_000))),
        (400, request()),
    ];
    for (status, request) in requests {
        let mut wire = door.wire();
        assert_eq!(wire.ask(endless(request)).checked().status, status);
        assert!(wire.is_closed(), "{status}");
    }
}

#[test]
fn post_with_a_body_is_shown_the_door_for_it() {
    let door = door();
    let form = b"grant_type=client_credentials".to_vec();
    let with_body = || request().method("POST").body(form.clone());
    let answer = door.ask(&with_body().field("Content-Type", "application/x-www-form-urlencoded"));
    assert_eq!((answer.status, answer.error()), (400, "invalid_request"));
    assert!(answer.description().contains("/oauth2/token"), "{answer:?}");
    assert_eq!(door.ask(&with_body().without("X-Gravitee-Api-Key")).status, 401);
    let mut bytes = request().method("POST").field("Transfer-Encoding", "chunked").bytes();
    bytes.extend(chunked(1));
    assert_eq!(door.wire().ask(bytes).checked().status, 400);
}

#[test]
fn post_without_a_body_gets_a_fresh_token() {
    let door = door();
    let request = || request().with("scope", "test:10");
    let cached = door.ask(&request()).token().to_owned();
    assert_eq!(door.ask(&request()).token(), cached);
    let fresh = door.ask(&request().method("POST")).token().to_owned();
    assert_ne!(fresh, cached);
    assert_eq!(door.ask(&request()).token(), fresh);
    let request = |number: u32| request().with("scope", format!("test:{number}"));
    let empty_bodies = [
        |it: Request| it.method("POST").field("Content-Length", "0").bytes(),
        |it: Request| [it.method("POST").field("Transfer-Encoding", "chunked").bytes(), b"0\r\n\r\n".to_vec()].concat(),
        |it: Request| it.field("Cache-Control", "no-cache").bytes(),
        |it: Request| it.field("Cache-Control", "max-age=0, No-Cache").bytes(),
        |it: Request| it.field("Cache-Control", "no-transform").field("cache-control", "no-cache").bytes(),
    ];
    for (number, bytes) in (11..).zip(empty_bodies) {
        let cached = door.ask(&request(number)).token().to_owned();
        let fresh = door.wire().ask(bytes(request(number))).checked().token().to_owned();
        assert_ne!(fresh, cached);
    }
    for (number, value) in [(20, "no-store"), (21, "max-age=0"), (22, "x-no-cache")] {
        let cached = door.ask(&request(number)).token().to_owned();
        assert_eq!(door.ask(&request(number).field("Cache-Control", value)).token(), cached, "{value}");
    }
}
