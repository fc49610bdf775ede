//! The API key: three places, and what is no key.

use rstest::rstest;

use crate::door::*;
use crate::support::*;

fn without_key() -> Request {
    request().without("X-Gravitee-Api-Key")
}

#[test]
fn it_may_stand_in_three_places() {
    let door = door();
    let bearer = |scheme: &str| format!("{scheme} {API_KEY}");
    let good = [
        without_key().field("X-Gravitee-Api-Key", API_KEY),
        without_key().field("x-api-key", API_KEY),
        without_key().field("Authorization", bearer("Bearer")),
        without_key().field("authorization", bearer("bearer")),
        without_key().field("AUTHORIZATION", bearer("BEARER")),
        without_key().field("Authorization", format!("Bearer   {API_KEY}  ")),
        // The same key in all places, and twice in one.
        request().field("X-API-Key", API_KEY).field("Authorization", bearer("Bearer")),
        request().field("X-Gravitee-Api-Key", API_KEY),
        // Another scheme is somebody else's.
        request().field("Authorization", "Basic dXNlcjpwYXNzd29yZA=="),
        request().field("Authorization", "BearerX y"),
        // What is absent says nothing against what is there.
        request().field("X-API-Key", "").field("Authorization", "Bearer null"),
        request().field("X-API-Key", "{#properties['maskinporten_api_key']}"),
        without_key().field("X-API-Key", long_key()),
        without_key().field("X-API-Key", FOREIGN_KEY),
    ];
    for request in good {
        assert_eq!(door.ask(&request).status, 200, "{request:?}");
    }
}

#[rstest]
#[case(without_key().field("X-Gravitee-Api-Key", "one").field("X-API-Key", "two"))]
#[case(without_key().field("X-Gravitee-Api-Key", "one").field("Authorization", "Bearer two"))]
#[case(without_key().field("X-API-Key", "one").field("Authorization", "bearer two"))]
#[case(request().field("X-Gravitee-Api-Key", "another"))]
#[case(request().field("X-API-Key", API_KEY.to_uppercase()))]
#[case(request().field("X-API-Key", "k".repeat(257)))]
#[case(without_key().field("Authorization", "Bearer one").field("Authorization", "Bearer two"))]
fn two_that_differ_are_refused(#[case] request: Request) {
    let answer = door().ask(&request);
    assert_eq!((answer.status, answer.error()), (400, "invalid_request"));
    assert!(!answer.body.contains(API_KEY));
}

#[rstest]
#[case(without_key(), "was not sent")]
#[case(without_key().field("X-Gravitee-Api-Key", ""), "arrived empty")]
#[case(without_key().field("X-Gravitee-Api-Key", "   "), "arrived empty")]
#[case(without_key().field("X-API-Key", "null"), "arrived as the word null")]
#[case(without_key().field("Authorization", "Bearer"), "arrived empty")]
#[case(without_key().field("Authorization", "Bearer null"), "arrived as the word null")]
#[case(without_key().field("Authorization", "Basic dXNlcjpwYXNzd29yZA=="), "was not sent")]
#[case(without_key().field("X-Gravitee-Api-Key", "{#properties['maskinporten_api_key']}"), "did not evaluate")]
#[case(without_key().field("X-Gravitee-Api-Key", "pv_{#x}"), "did not evaluate")]
#[case(without_key().field("X-API-Key", "").field("X-Gravitee-Api-Key", "{#x}"), "did not evaluate")]
fn none_is_said_to_be_none(#[case] request: Request, #[case] says: &str) {
    let answer = door().ask(&request);
    assert_eq!((answer.status, answer.error()), (401, "invalid_client"));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"portvakt\""));
    assert!(answer.description().contains(says), "{answer:?}");
    assert!(answer.description().contains("maskinporten_api_key"), "{answer:?}");
}

#[rstest]
#[case::by_one_character(&API_KEY[1..])]
#[case::in_another_case("The-Gateways-Key")]
#[case::the_digest_itself(&sha256(API_KEY))]
#[case::too_long(&"k".repeat(257))]
#[case::another_encoding("n\u{f8}kkel ")]
fn what_is_not_the_key_is_unknown(#[case] key: &str) {
    let key = if key.starts_with('n') { b"n\xf8kkel".to_vec() } else { key.as_bytes().to_vec() };
    let answer = door().ask(&without_key().field("X-API-Key", key));
    assert_eq!((answer.status, answer.error()), (401, "invalid_client"));
    assert!(answer.description().contains("not known here"), "{answer:?}");
}
