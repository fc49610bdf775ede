//! contract.md's limits, to the byte: what is just short enough, and one more.

use crate::door::*;

fn answered(request: &Request) -> (u16, String, String) {
    let answer = door().ask(request);
    (answer.status, answer.error().to_owned(), answer.description().to_owned())
}

/// In a header and in the query: `length` bytes of a value that begins so, and the status.
#[track_caller]
fn at(name: &str, start: &str, length: usize, status: u16) {
    let value = format!("{start}{}", "x".repeat(length - start.len()));
    let in_header = request().with(name, &value);
    let in_query = request().without(name).target(format!("/token?{name}={value}"));
    for request in [in_header, in_query] {
        let (found, _, description) = answered(&request);
        assert_eq!(found, status, "{name} of {length} bytes: {description}");
        assert_eq!(description.contains("bytes long"), status == 400, "{description}");
    }
}

#[test]
fn iss_has_256_bytes() {
    at("iss", "a", 256, 403);
    at("iss", "a", 257, 400);
}

#[test]
fn scope_has_4096_bytes() {
    // Allowed to the caller, and then unknown to Maskinporten.
    at("scope", "test:", 4096, 502);
    at("scope", "test:", 4097, 400);
}

#[test]
fn scope_is_measured_as_it_was_sent() {
    let scopes = |length: usize| format!("test:1{}test:2", " ".repeat(length - 12));
    assert_eq!(answered(&request().with("scope", scopes(4096))).0, 200);
    assert_eq!(answered(&request().with("scope", scopes(4097))).0, 400);
}

#[test]
fn a_resource_has_2048_bytes() {
    at("resource", "https://api.example.no/", 2048, 200);
    at("resource", "https://api.example.no/", 2049, 400);
}

#[test]
fn there_are_eight_resources() {
    let with = |count: usize| (0..count).fold(request(), |it, number| it.field("resource", format!("https://{number}.example.no")));
    assert_eq!(answered(&with(8)).0, 200);
    assert_eq!(answered(&with(9)).0, 400);
    let query = |count: usize| (0..count).fold("/token?".to_owned(), |it, number| format!("{it}resource=https://{number}.example.no&"));
    assert_eq!(answered(&request().target(query(8))).0, 200);
    assert_eq!(answered(&request().target(query(9))).0, 400);
    // The same one again is no other one.
    let same = (0..20).fold(request(), |it, _| it.field("resource", "https://api.example.no"));
    assert_eq!(answered(&same).0, 200);
}

#[test]
fn authorization_details_have_8192_bytes() {
    let text = r#"[{"type":"urn:altinn:systemuser","systemuser_org":{"authority":"iso6523-actorid-upis","ID":"0192:999888777"}}"#;
    let details = |length: usize| format!("{text}{}]", " ".repeat(length - text.len() - 1));
    assert_eq!(answered(&request().field("authorization_details", details(8192))).0, 200);
    let (status, error, description) = answered(&request().field("authorization_details", details(8193)));
    assert_eq!((status, error.as_str()), (400, "invalid_request"));
    assert!(description.contains("8193 bytes long"), "{description}");
}

#[test]
fn an_api_key_has_256_bytes() {
    let with = |key: String| answered(&request().with("X-Gravitee-Api-Key", key));
    assert_eq!(with(long_key()).0, 200);
    assert_eq!(with(long_key() + "k").0, 401);
}
