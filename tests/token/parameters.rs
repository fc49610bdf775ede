//! What a request says, and where: headers, query, both, twice, or not at all.

use rstest::rstest;

use crate::door::*;
use crate::support::*;

const SYSTEM_USER: &str =
    r#"[{"type":"urn:altinn:systemuser","systemuser_org":{"authority":"iso6523-actorid-upis","ID":"0192:999888777"}}]"#;
/// The same JSON in other words.
const SAME_SYSTEM_USER: &str =
    r#" [ {"systemuser_org":{"ID":"0192:999888777", "authority":"iso6523-actorid-upis"}, "type":"urn:altinn:\u0073ystemuser"} ]"#;
const OTHER_SYSTEM_USER: &str =
    r#"[{"type":"urn:altinn:systemuser","systemuser_org":{"authority":"iso6523-actorid-upis","ID":"0192:999888778"}}]"#;

/// With the gateway's key, and nothing asked for.
fn bare() -> Request {
    request().without("iss").without("scope")
}

/// With a scope that is of this row alone.
fn asking(scope: &str) -> Request {
    request().with("scope", scope)
}

#[rstest]
#[case::headers(bare().field("iss", FREG).field("scope", FREG_SCOPE))]
#[case::query(bare().target(format!("/token?iss={FREG}&scope={FREG_SCOPE}")))]
#[case::encoded(bare().target("/token?%69ss=11111111%2D2222-3333-4444-555555555555&scope=folkeregister%3Adeling%2Foffentligutenhjemmel"))]
#[case::by_name(bare().target(format!("/token?iss=freg&scope={FREG_SCOPE}")))]
#[case::one_here_one_there(bare().field("iss", FREG).target(format!("/token?scope={FREG_SCOPE}")))]
#[case::both_alike(request().target(format!("/token?iss={FREG}&scope={FREG_SCOPE}")))]
#[case::twice_alike(request().field("iss", FREG).field("ISS", FREG).field("Scope", FREG_SCOPE))]
#[case::absent_beside(request().field("iss", "null").field("scope", "{#x}").target("/token?iss=&scope=null"))]
#[case::spaces_around(request().with("iss", format!("  {FREG}\t")).with("scope", format!(" {FREG_SCOPE} ")).target(format!("/token?iss=+{FREG}+&scope=+{FREG_SCOPE}%20")))]
#[case::unknown_parameters(request().target("/token?foo=bar&SCOPE=x&Iss=y&&=&%zz=%&a=%ff").field("consumer", "x"))]
#[case::optional_ones_absent(request().field("consumer_org", "").field("pid", "null").field("resource", "{#r}").field("authorization_details", "").field("iss_onbehalfof", "{#properties['x']}").target("/token?consumer_org=&resource=null"))]
#[case::absent_ones_in_the_url(request().target("/token?pid=&authorization_details=null&pid={#x}"))]
fn it_may_stand_in_headers_and_query(#[case] request: Request) {
    let answer = door().ask(&request);
    let claims = claims(answer.token());
    assert_eq!((&claims["scope"], &claims["client_id"]), (&FREG_SCOPE.into(), &FREG.into()));
    for optional in ["pid", "consumer_org", "resource", "authorization_details"] {
        assert!(claims.get(optional).is_none(), "{optional}: {claims}");
    }
}

#[rstest]
#[case::iss_twice(request().field("iss", "freg"), "iss is given more than once")]
#[case::iss_in_both(request().target("/token?iss=freg"), "iss is given more than once")]
#[case::iss_twice_in_the_query(bare().target("/token?iss=a&iss=b&scope=c"), "iss is given more than once")]
#[case::scope_twice(request().field("scope", FREG_SCOPE_2), "scope is given more than once")]
#[case::scope_in_both(request().target("/token?scope=a"), "scope is given more than once")]
#[case::more_scopes(request().field("scope", format!("{FREG_SCOPE} {FREG_SCOPE_2}")), "scope is given more than once")]
#[case::consumer_twice(request().field("consumer_org", CONSUMER).field("consumer-org", "313367002"), "consumer_org is given more than once")]
#[case::consumer_in_both(request().field("consumer-org", CONSUMER).target("/token?consumer_org=313367002"), "consumer_org is given more than once")]
#[case::on_behalf_of_twice(request().field("iss-onbehalfof", "a").field("iss_onbehalfof", "b"), "iss_onbehalfof is given more than once")]
#[case::pid_twice(request().field("pid", "01017012345").field("pid", "01017012346"), "pid is given more than once")]
#[case::details_twice(request().field("authorization-details", SYSTEM_USER).field("authorization_details", OTHER_SYSTEM_USER), "authorization_details is given more than once")]
#[case::resource_in_both(request().field("resource", "https://a.example.no").target("/token?resource=https://b.example.no"), "resource is given as header and in the query")]
#[case::one_resource_more(request().field("resource", "https://a.example.no").target("/token?resource=https://b.example.no&resource=https://a.example.no"), "resource is given as header and in the query")]
#[case::both_consumers(request().field("consumer_org", CONSUMER).field("iss_onbehalfof", "x"), "cannot be given together")]
#[case::both_consumers_in_two_places(request().field("consumer_org", CONSUMER).target("/token?iss_onbehalfof=x"), "cannot be given together")]
#[case::pid_in_the_url(request().target("/token?pid=01017012345"), "pid stands in the URL")]
#[case::pid_in_both(request().field("pid", "01017012345").target("/token?pid=01017012345"), "pid stands in the URL")]
#[case::details_in_the_url(request().target("/token?authorization_details=%5B%5D"), "authorization_details stands in the URL")]
#[case::details_with_hyphen_in_the_url(request().target("/token?authorization-details=%5B%5D"), "authorization_details stands in the URL")]
#[case::short_consumer(request().field("consumer_org", "88964078"), "consumer_org is malformed")]
#[case::long_consumer(request().field("consumer_org", "0192:889640782"), "consumer_org is malformed")]
#[case::no_digits(request().target("/token?consumer_org=88964078x"), "consumer_org is malformed")]
#[case::short_pid(request().field("pid", "0101701234"), "pid is malformed")]
#[case::spaced_pid(request().field("pid", "010170 12345"), "pid is malformed")]
#[case::resource_without_scheme(request().field("resource", "api.example.no"), "resource is malformed")]
#[case::resource_with_fragment(request().field("resource", "https://api.example.no/#a"), "resource is malformed")]
#[case::resource_with_space(request().target("/token?resource=https://api.example.no/a+b"), "resource is malformed")]
#[case::details_no_json(request().field("authorization_details", "urn:altinn:systemuser"), "authorization_details is malformed")]
#[case::details_no_array(request().field("authorization_details", r#"{"type":"a"}"#), "authorization_details is malformed")]
#[case::details_empty(request().field("authorization_details", "[]"), "authorization_details is malformed")]
#[case::details_without_type(request().field("authorization_details", r#"[{"type":"a"},{}]"#), "authorization_details is malformed")]
#[case::details_too_deep(request().field("authorization_details", format!("[{{\"type\":\"a\",\"x\":{}{}}}]", "[".repeat(3000), "]".repeat(3000))), "authorization_details is malformed")]
#[case::quote_in_scope(request().with("scope", "a\"b"), "scope is malformed")]
#[case::backslash_in_scope(request().with("scope", "a\\b"), "scope is malformed")]
#[case::tab_in_scope(request().with("scope", "a\tb"), "scope is malformed")]
#[case::line_break_in_scope(bare().field("iss", FREG).target("/token?scope=a%0ab"), "scope has characters")]
#[case::foreign_scope(request().with("scope", "bl\u{e5}b\u{e6}r"), "scope has characters")]
#[case::foreign_iss(request().with("iss", b"\xff\xfe"), "iss has characters")]
#[case::foreign_iss_in_the_query(bare().field("scope", FREG_SCOPE).target("/token?iss=%ff%00"), "iss has characters")]
#[case::foreign_pid(request().field("pid", "0101701234\u{b2}"), "pid has characters")]
#[case::foreign_on_behalf_of(request().field("iss_onbehalfof", "a b"), "iss_onbehalfof is malformed")]
#[case::iss_of_spaces_in_the_query(bare().field("scope", FREG_SCOPE).target("/token?iss=%20+"), "iss arrived empty")]
#[case::scope_of_spaces_in_the_query(bare().field("iss", FREG).target("/token?scope=++"), "scope arrived empty")]
#[case::iss_null(bare().field("scope", FREG_SCOPE).target("/token?iss=null"), "iss arrived as the word null")]
#[case::iss_unevaluated(bare().field("scope", FREG_SCOPE).field("iss", "{#properties['maskinporten_api_iss']}"), "maskinporten_api_iss")]
#[case::scope_unevaluated(bare().field("iss", FREG).target("/token?scope={#jsonPath(#context.attributes,'$.scope')}"), "attribute scope")]
#[case::iss_cut_off(bare().target("/token?scope={#jsonPath(#context.attributes,'$.scope')}&iss=x"), "scope arrived as an expression")]
#[case::iss_in_braces(bare().target("/token?iss={#properties['maskinporten_api_iss']}&scope=x"), "iss arrived as an expression")]
#[case::encoded_expression(bare().target("/token?iss=%7B%23properties%5B'maskinporten_api_iss'%5D%7D&scope=x"), "iss arrived as an expression")]
#[case::neither(bare(), "iss was not sent")]
fn a_request_that_contradicts_itself_or_says_nothing_is_refused(#[case] request: Request, #[case] says: &str) {
    let answer = door().ask(&request);
    assert_eq!((answer.status, answer.error()), (400, "invalid_request"), "{answer:?}");
    assert!(answer.description().contains(says), "{answer:?}");
    for secret in ["0101701234", "999888777", "889640782"] {
        assert!(!answer.body.contains(secret), "{answer:?}");
    }
}

#[test]
fn scopes_are_sets_wherever_they_stand() {
    let door = door();
    let asks = [
        asking("test:30 test:31"),
        asking("test:31 test:30"),
        asking("test:31  test:30   test:31"),
        asking("test:30 test:31").field("scope", "test:31 test:30 test:30"),
        asking("test:30 test:31").target("/token?scope=test:31+test:30"),
        bare().field("iss", "freg").target("/token?scope=test:31%20test:30"),
        bare().target(format!("/token?iss={FREG}&scope=+test:30++test:31+test:30%20")),
    ];
    let tokens: Vec<String> = asks.iter().map(|request| door.ask(request).token().to_owned()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(door.simulator.counters().clients[FREG]["test:30 test:31"].received, 1);
    assert_eq!(door.ask(&asks[1]).json["scope"], "test:30 test:31");
    assert_ne!(door.ask(&asking("test:30")).token(), tokens[0]);
}

#[test]
fn what_was_said_stands_in_the_grant_however_it_was_said() {
    let door = door();
    let table = [
        (
            "consumer_org",
            vec![
                asking("test:40").field("consumer_org", CONSUMER),
                asking("test:40").field("consumer-org", CONSUMER),
                asking("test:40").target(format!("/token?consumer_org={CONSUMER}")),
                asking("test:40")
                    .field("Consumer-Org", CONSUMER)
                    .field("CONSUMER_ORG", CONSUMER)
                    .target(format!("/token?consumer_org={CONSUMER}")),
            ],
        ),
        (
            "pid",
            vec![
                asking("test:41").field("pid", "01017012345"),
                asking("test:41").field("PID", "01017012345").field("pid", " 01017012345 "),
            ],
        ),
        (
            "authorization_details",
            vec![
                asking("test:42").field("authorization_details", SYSTEM_USER),
                asking("test:42").field("authorization-details", SAME_SYSTEM_USER),
                asking("test:42").field("authorization-details", SYSTEM_USER).field("authorization_details", SAME_SYSTEM_USER),
            ],
        ),
        (
            "resource",
            vec![
                asking("test:43").field("resource", "https://a.example.no").field("resource", "https://b.example.no"),
                asking("test:43")
                    .field("resource", "https://b.example.no")
                    .field("resource", "https://a.example.no")
                    .field("resource", "https://b.example.no"),
                asking("test:43").target("/token?resource=https%3A%2F%2Fb.example.no&resource=https://a.example.no"),
                asking("test:43")
                    .field("resource", "https://a.example.no")
                    .field("resource", "https://b.example.no")
                    .target("/token?resource=https://b.example.no&resource=https://a.example.no"),
            ],
        ),
    ];
    for (claim, asks) in table {
        let tokens: Vec<String> = asks.iter().map(|request| door.ask(request).token().to_owned()).collect();
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{claim}");
        let scope = claims(&tokens[0])["scope"].as_str().unwrap().to_owned();
        let counters = door.simulator.counters();
        assert_eq!(counters.clients[FREG][&scope].received, 1, "{claim}");
        assert_ne!(door.ask(&asking(&scope)).token(), tokens[0], "{claim}");
        let grants = counters.last_grants;
        let grant = grants.iter().find(|grant| grant.claims["scope"] == scope.as_str()).unwrap();
        let expected = match claim {
            "consumer_org" => CONSUMER.into(),
            "pid" => "01017012345".into(),
            "authorization_details" => serde_json::from_str(SYSTEM_USER).unwrap(),
            _ => serde_json::json!(["https://a.example.no", "https://b.example.no"]),
        };
        assert_eq!(grant.claims[claim], expected);
    }
}
