//! Which requests share a token, and which never do.

use std::collections::HashSet;

use portvakt::simulator::{ClientSettings, RegisteredKey, Settings, Simulator};

use crate::support::*;

const CONSENT: &str =
    r#"[{"type":"urn:altinn:consent","id":"77ed8698-5ebb-4f7e-b5a7-3b4d6d2a1c0e","from":"urn:altinn:person:identifier-no:23079422568"}]"#;
const OTHER_CONSENT: &str =
    r#"[{"type":"urn:altinn:consent","id":"77ed8698-5ebb-4f7e-b5a7-3b4d6d2a1c0e","from":"urn:altinn:person:identifier-no:01017012345"}]"#;

#[tokio::test]
async fn requests_that_differ_in_anything_never_share_a_token() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let ask = portvakt.ask();
    let with = |headers: &[(&str, &str)]| headers.iter().fold(ask.clone(), |ask, (name, value)| ask.and(name, value));
    let differing = [
        ask.clone(),
        ask.clone().with("iss", KRR),
        ask.clone().with("scope", FREG_SCOPE_2),
        ask.clone().with("scope", &format!("{FREG_SCOPE} {FREG_SCOPE_2}")),
        with(&[("consumer_org", CONSUMER)]),
        with(&[("consumer_org", "313367002")]),
        with(&[("pid", "23079422568")]),
        with(&[("pid", "01017012345")]),
        with(&[("pid", "23079422568"), ("consumer_org", CONSUMER)]),
        with(&[("resource", "https://a.example.no")]),
        with(&[("resource", "https://a.example.no/")]),
        with(&[("resource", "https://b.example.no")]),
        with(&[("resource", "https://a.example.no"), ("resource", "https://b.example.no")]),
        with(&[("authorization_details", CONSENT)]),
        with(&[("authorization_details", OTHER_CONSENT)]),
        with(&[("authorization_details", CONSENT), ("pid", "23079422568")]),
    ];
    let count = differing.len();
    let mut tokens = HashSet::new();
    for ask in &differing {
        let token = ask.clone().send().await.token().to_owned();
        assert!(tokens.insert(token), "a token for two requests that differ");
    }
    // All of them are there now, each for its own request.
    for ask in differing {
        assert!(tokens.remove(ask.send().await.token()));
    }
    assert_eq!(simulator.counters().received, u64::try_from(count).unwrap());
}

#[tokio::test]
async fn requests_that_say_the_same_in_other_words_share_a_token() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let ask = portvakt.ask();
    let details = |text: &str| ask.clone().with("authorization_details", text);
    let both = format!("{FREG_SCOPE} {FREG_SCOPE_2}");
    let other_order = format!("{FREG_SCOPE_2} {FREG_SCOPE} {FREG_SCOPE_2}");
    let alike = [
        vec![
            ask.clone(),
            ask.clone().with("iss", "freg"),
            ask.clone().without("iss").query(&format!("iss={FREG}")),
            ask.clone().without("scope").query(&format!("scope={}", FREG_SCOPE.replace(':', "%3A").replace('/', "%2F"))),
            ask.clone().with("scope", &format!("{FREG_SCOPE} {FREG_SCOPE}")),
            ask.clone().and("consumer_org", "null").and("pid", ""),
        ],
        vec![
            ask.clone().with("scope", &both),
            ask.clone().with("scope", &other_order),
            ask.clone().without("scope").query(&format!("scope={}", both.replace(' ', "+"))),
            ask.clone().without("scope").query(&format!("scope={}", other_order.replace(' ', "%20"))),
        ],
        vec![
            ask.clone().with("consumer_org", CONSUMER),
            ask.clone().with("consumer-org", CONSUMER),
            ask.clone().query(&format!("consumer_org={CONSUMER}")),
        ],
        vec![
            ask.clone().and("resource", "https://a.example.no").and("resource", "https://b.example.no"),
            ask.clone()
                .and("resource", "https://b.example.no")
                .and("resource", "https://a.example.no")
                .and("resource", "https://b.example.no"),
            ask.clone().query("resource=https://b.example.no&resource=https%3A%2F%2Fa.example.no"),
        ],
        vec![
            details(CONSENT),
            details(
                &CONSENT
                    .replace(':', " : ")
                    .replace(" : altinn : consent", ":altinn:consent")
                    .replace("urn : altinn : person : identifier-no : ", "urn:altinn:person:identifier-no:"),
            ),
            details(&CONSENT.replace("urn:altinn:consent", "urn:altinn:\\u0063onsent")),
            ask.clone().with("authorization-details", CONSENT),
        ],
    ];
    for (number, alike) in (1..).zip(alike) {
        let mut tokens = HashSet::new();
        for ask in alike {
            tokens.insert(ask.send().await.token().to_owned());
        }
        assert_eq!((tokens.len(), simulator.counters().received), (1, number));
    }
}

#[tokio::test]
async fn two_environments_never_share_a_token() {
    let here = simulator();
    let key = RegisteredKey::from_jwk(&std::fs::read_to_string(certs("registered-2048.public.jwk")).unwrap()).unwrap();
    let there_id = "99999999-2222-3333-4444-555555555555";
    let there = Simulator::start(Settings::new().client(ClientSettings::new(there_id, "991825827").scope(FREG_SCOPE).key(key))).unwrap();
    let more = format!(
        r#"
[environment.there]
issuer = "{}"
token_endpoint = "{}"

[[integration]]
name = "freg-there"
client_id = "{there_id}"
environment = "there"
key = {{ private_key_file = '{}', kid = "portvakt-test-2048" }}

[[caller]]
name = "third"
keys = [{{ sha256 = "{}" }}]
may = [
  {{ integration = "freg", scopes = ["{FREG_SCOPE}"] }},
  {{ integration = "freg-there", scopes = ["{FREG_SCOPE}"] }},
]
"#,
        there.issuer(),
        there.token_endpoint(),
        certs("registered-2048.pem").display(),
        sha256("third-key"),
    );
    let portvakt = Portvakt::start(&Configuration { more, ..configuration(&here) });
    let ask = portvakt.ask().with("X-Gravitee-Api-Key", "third-key");
    for _ in 0..2 {
        for (iss, environment) in [(FREG, &here), (there_id, &there)] {
            let answer = ask.clone().with("iss", iss).send().await;
            let claims = claims(answer.token());
            assert_eq!((claims["iss"].as_str(), claims["client_id"].as_str()), (Some(environment.issuer()), Some(iss)));
        }
    }
    assert_eq!((here.counters().received, there.counters().received), (1, 1));
}
