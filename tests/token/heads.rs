//! The limits of a head, and what the parser refuses below them.

use rstest::rstest;

use crate::door::*;
use crate::support::*;

/// The request with a field that makes its head that many bytes long.
fn padded(size: usize) -> Request {
    let empty = request().field("X-Padding", "").bytes().len();
    request().field("X-Padding", "x".repeat(size - empty))
}

/// The request with a query that makes its target that many bytes long.
fn stretched(target: &str, size: usize) -> Request {
    request().target(format!("{target}{}", "x".repeat(size - target.len())))
}

#[test]
fn a_head_of_32_kib_is_read_and_one_byte_more_is_refused() {
    let door = door();
    assert_eq!(padded(32 * 1024).bytes().len(), 32 * 1024);
    assert_eq!(door.ask(&padded(32 * 1024)).status, 200);
    let answer = door.ask(&padded(32 * 1024 + 1));
    assert_eq!((answer.status, answer.error()), (431, "invalid_request"));
    assert_eq!(door.ask(&padded(100_000)).status, 431);
    assert_eq!(door.ask(&padded(32 * 1024 + 1).target("/nowhere")).status, 404);
}

#[test]
fn sixty_four_fields_are_read_and_one_more_is_refused() {
    let door = door();
    let with = |count: usize| (request().fields()..count).fold(request(), |it, number| it.field(&format!("X-{number}"), "1"));
    assert_eq!(door.ask(&with(64)).status, 200);
    for count in [65, 80, 96] {
        assert_eq!(door.ask(&with(count)).status, 431, "{count}");
    }
    let same = (request().fields()..65).fold(request(), |it, _| it.field("X-Same", "1"));
    assert_eq!(door.ask(&same).status, 431);
}

#[test]
fn a_target_of_8_kib_is_read_and_one_byte_more_is_refused() {
    let door = door();
    assert_eq!(door.ask(&stretched("/token?x=", 8192)).status, 200);
    assert_eq!(door.ask(&stretched("/token?x=", 8193)).status, 431);
    assert_eq!(door.ask(&stretched("http://localhost/token?x=", 8192)).status, 200);
    assert_eq!(door.ask(&stretched("http://localhost/token?x=", 8193)).status, 431);
    assert_eq!(door.ask(&stretched("/token?x=", 30_000)).status, 431);
    assert_eq!(door.ask(&stretched("/nowhere?x=", 8193)).status, 404);
}

#[test]
fn values_of_16_kb_and_any_bytes_in_fields_that_nobody_reads_do_no_harm() {
    let door = door();
    assert_eq!(door.ask(&request().field("X-Large", "x".repeat(16_000))).status, 200);
    assert_eq!(door.ask(&request().field("X-Foreign", b"bl\xe5b\xe6r \xc3\xb8 \x80\xff")).status, 200);
    assert_eq!(door.ask(&request().field("Cookie", b"\xff")).status, 200);
    for (name, status) in [("scope", 400), ("iss", 400), ("X-Gravitee-Api-Key", 401), ("resource", 400), ("authorization_details", 400)] {
        let answer = door.ask(&request().with(name, "x".repeat(16_000)));
        assert_eq!(answer.status, status, "{name}: {answer:?}");
    }
}

#[rstest]
#[case::no_http("hello\r\n\r\n", 400)]
#[case::tls("\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03\r\n\r\n", 400)]
#[case::http_2("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400)]
#[case::no_host("GET /token HTTP/1.1\r\n\r\n", 400)]
#[case::two_hosts("GET /token HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400)]
#[case::a_space_before_the_colon("GET /token HTTP/1.1\r\nhost : a\r\n\r\n", 400)]
#[case::a_control_character("GET /token HTTP/1.1\r\nhost: a\r\nscope: a\x00b\r\n\r\n", 400)]
#[case::two_lengths("POST /token HTTP/1.1\r\nhost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400)]
#[case::a_negative_length("POST /token HTTP/1.1\r\nhost: a\r\nContent-Length: -1\r\n\r\n", 400)]
#[case::length_and_chunks("POST /token HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)]
#[case::another_encoding("POST /token HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400)]
fn what_is_no_http_gets_a_bare_answer_and_no_more(#[case] bytes: &str, #[case] status: u16) {
    // Held to the end: the service ends with the last test that holds it.
    let door = door();
    let mut wire = door.wire();
    let answer = wire.ask(bytes);
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.is_bare(), "{answer:?}");
    assert!(wire.is_closed());
}

#[test]
fn what_is_beyond_the_parsers_own_limits_gets_a_bare_answer_and_no_more() {
    let door = door();
    let mut wire = door.wire();
    let many = (0..100).fold(request(), |it, number| it.field(&format!("X-{number}"), "1"));
    let answer = wire.ask(many.bytes());
    assert!(matches!(answer.status, 400 | 431) && answer.is_bare(), "{answer:?}");
    assert!(wire.is_closed());
    // To the byte what the parser holds: nothing is left unread that would reset the connection.
    let mut endless = b"GET /token HTTP/1.1\r\nhost: a\r\nX-Padding: ".to_vec();
    endless.resize(128 * 1024, b'x');
    let answer = door.wire().ask(endless);
    assert!(answer.status == 431 && answer.is_bare(), "{answer:?}");
    assert_eq!(door.ask(&request()).status, 200);
}

#[test]
fn a_connection_on_which_nothing_is_said_disturbs_nobody() {
    let door = door();
    let silent: Vec<_> = (0..50).map(|_| door.wire()).collect();
    assert_eq!(door.ask(&request()).status, 200);
    drop(silent);
    assert_eq!(door.ask(&request().with("scope", FREG_SCOPE_2)).status, 200);
}
