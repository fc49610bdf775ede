//! contract.md's error table: each row, and which row comes first when several apply.

use crate::door::*;
use crate::support::*;

/// One thing that can be right or wrong about a request: what it does to it, and the row that then applies (status, error).
struct Choice {
    name: &'static str,
    make: fn(Request) -> Request,
    row: Option<(u16, &'static str)>,
}

const fn right(make: fn(Request) -> Request) -> Choice {
    Choice { name: "", make, row: None }
}

const fn wrong(name: &'static str, make: fn(Request) -> Request, status: u16, error: &'static str) -> Choice {
    Choice { name, make, row: Some((status, error)) }
}

const TOO_LARGE: usize = 64 * 1024 + 1;

/// In the order of the table: of two that are wrong, the one further up is the answer.
fn choices() -> Vec<Vec<Choice>> {
    vec![
        vec![right(|it| it), wrong("path", |it| it.target("/tokens"), 404, "invalid_request")],
        vec![right(|it| it), wrong("method", |it| it.method("DELETE"), 405, "invalid_request")],
        vec![right(|it| it), wrong("fields", |it| (0..70).fold(it, |it, _| it.field("X-Field", "1")), 431, "invalid_request")],
        vec![right(|it| it), wrong("body", |it| it.body(vec![b'x'; TOO_LARGE]), 413, "invalid_request")],
        vec![
            right(|it| it),
            wrong("two keys", |it| it.field("X-API-Key", "another"), 400, "invalid_request"),
            wrong("no key", |it| it.without("X-Gravitee-Api-Key"), 401, "invalid_client"),
            wrong("unknown key", |it| it.with("X-Gravitee-Api-Key", "unknown"), 401, "invalid_client"),
            wrong("network", |it| it.with("X-Gravitee-Api-Key", KEY_FROM_ELSEWHERE), 403, "access_denied"),
        ],
        vec![right(|it| it), wrong("malformed", |it| it.field("pid", "1"), 400, "invalid_request")],
        vec![right(|it| it), wrong("iss", |it| it.with("iss", "nobody"), 403, "unauthorized_client")],
        vec![
            right(|it| it.with("scope", "test:0")),
            wrong("scope", |it| it.with("scope", "other:0"), 403, "invalid_scope"),
            wrong("Maskinporten", |it| it.with("scope", "test:unregistered"), 502, "invalid_scope"),
        ],
        vec![right(|it| it), wrong("on behalf of", |it| it.field("iss_onbehalfof", "somebody"), 403, "access_denied")],
    ]
}

/// The place of a row: Maskinporten is asked last, whatever stands last in the list.
fn place(index: usize, choice: &Choice) -> usize {
    if choice.name == "Maskinporten" { usize::MAX } else { index }
}

#[test]
fn of_several_faults_the_one_further_up_the_table_is_the_answer() {
    let door = door();
    let choices = choices();
    let mut combinations: Vec<Vec<&Choice>> = vec![Vec::new()];
    for column in &choices {
        combinations =
            combinations.iter().flat_map(|so_far| column.iter().map(|choice| so_far.iter().copied().chain([choice]).collect())).collect();
    }
    assert_eq!(combinations.len(), 2 * 2 * 2 * 2 * 5 * 2 * 2 * 3 * 2);
    for combination in combinations {
        let made = combination.iter().fold(request(), |it, choice| (choice.make)(it));
        let answer = door.ask(&made);
        let first =
            combination.iter().enumerate().filter(|(_, choice)| choice.row.is_some()).min_by_key(|(index, choice)| place(*index, choice));
        let names: Vec<&str> = combination.iter().map(|choice| choice.name).filter(|name| !name.is_empty()).collect();
        match first.and_then(|(_, choice)| choice.row) {
            None => assert_eq!(answer.status, 200, "{answer:?}"),
            Some((status, error)) => assert_eq!((answer.status, answer.error()), (status, error), "{names:?}: {answer:?}"),
        }
    }
}

#[test]
fn each_row_says_what_happened_and_what_to_do() {
    let door = door();
    let table = [
        (request().target("/nowhere"), 404, "invalid_request", "/token"),
        (request().method("PUT"), 405, "invalid_request", "GET, POST"),
        (request().field("X-Padding", "x".repeat(40_000)), 431, "invalid_request", "32 KiB"),
        (request().body(vec![b'x'; TOO_LARGE]), 413, "invalid_request", "64 KiB"),
        (request().field("X-API-Key", "another"), 400, "invalid_request", "differ"),
        (request().without("X-Gravitee-Api-Key"), 401, "invalid_client", "was not sent"),
        (request().with("X-Gravitee-Api-Key", "unknown"), 401, "invalid_client", "not known here"),
        (request().with("X-Gravitee-Api-Key", KEY_FROM_ELSEWHERE), 403, "access_denied", "network"),
        (request().without("iss"), 400, "invalid_request", "iss was not sent"),
        (request().without("scope"), 400, "invalid_request", "scope was not sent"),
        (request().with("iss", "unknown"), 403, "unauthorized_client", "maskinporten_api_iss"),
        (request().with("scope", "other:scope"), 403, "invalid_scope", "scopes"),
        (request().field("iss_onbehalfof", "somebody"), 403, "access_denied", "iss_onbehalfof"),
        (request().with("scope", "test:unregistered"), 502, "invalid_scope", "MP-200"),
    ];
    for (request, status, error, says) in table {
        let answer = door.ask(&request);
        assert_eq!((answer.status, answer.error()), (status, error), "{answer:?}");
        assert!(answer.description().contains(says), "{says}: {answer:?}");
        assert_eq!(answer.header("www-authenticate"), (status == 401).then_some("Bearer realm=\"portvakt\""), "{answer:?}");
        assert_eq!(answer.header("allow"), (status == 405).then_some("GET, POST"), "{answer:?}");
        assert_eq!(answer.header("retry-after"), None, "{answer:?}");
    }
}

#[test]
fn an_answers_id_leads_to_a_line_of_the_log_that_says_as_much() {
    let door = door();
    let unknown_key = request().with("X-Gravitee-Api-Key", "unknown");
    for (request, id, caller) in [(unknown_key, "id-1", None), (request().with("scope", "other:scope"), "id-2", Some("gateway"))] {
        let answer = door.ask(&request.field("X-Request-Id", id));
        let line = door.portvakt.wait_for_log(|line| line.contains(&format!("\"request_id\":\"{id}\"")));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!((line["level"].as_str(), line["peer"].as_str()), (Some("DEBUG"), Some("127.0.0.1")), "{line}");
        assert_eq!((line["caller"].as_str(), line["description"].as_str()), (caller, Some(answer.description())), "{line}");
    }
}

#[test]
fn what_is_unknown_and_what_is_not_yours_is_answered_alike() {
    let door = door();
    let without_id = |request: &Request| {
        let mut answer = door.ask(request);
        answer.headers.retain(|(name, _)| name != "x-request-id" && name != "date");
        answer.headers.sort();
        (answer.status, answer.headers, answer.body)
    };
    // Expired, unknown, too long to be one.
    let unknown_key = without_id(&request().with("X-Gravitee-Api-Key", "unknown"));
    assert_eq!(without_id(&request().with("X-Gravitee-Api-Key", EXPIRED_KEY)), unknown_key);
    assert_eq!(without_id(&request().with("X-Gravitee-Api-Key", "k".repeat(257))), unknown_key);
    // Caller `other` may have nothing of freg.
    let other = || request().with("X-Gravitee-Api-Key", OTHER_API_KEY);
    let unknown_iss = without_id(&other().with("iss", "no-such-integration"));
    assert_eq!(without_id(&other().with("iss", "freg")), unknown_iss);
    assert_eq!(without_id(&other().with("iss", FREG)), unknown_iss);
    assert_eq!(unknown_iss.0, 403);
}

#[test]
fn every_answer_has_an_id_and_its_callers_own_only_when_it_can_stand_in_a_log() {
    let door = door();
    let longest = "a".repeat(64);
    let requests = [
        request(),
        request().target("/nowhere"),
        request().method("PATCH"),
        request().field("X-Padding", "x".repeat(40_000)),
        request().body(vec![b'x'; TOO_LARGE]),
        request().without("scope"),
        request().with("scope", "test:unregistered"),
    ];
    for request in requests {
        for own in ["a", "A-Z_a.z-09", &longest] {
            let answer = door.ask(&request.clone().field("X-Request-Id", own));
            assert_eq!(answer.header("x-request-id"), Some(own), "{answer:?}");
        }
        let bad = ["", "a b", "a,b", "<b>", "a/b", "a\"b", "ø", "a\tb", &"a".repeat(65)];
        for own in bad {
            let answer = door.ask(&request.clone().field("X-Request-Id", own));
            let id = answer.header("x-request-id").unwrap();
            assert_eq!(id.len(), 36, "{own}: {answer:?}");
        }
        let (one, other) = (door.ask(&request), door.ask(&request));
        assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
    }
}
