//! What is sent to Maskinporten: exactly what its documentation asks for.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::support::*;

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The claims that were asked for; those that every grant has are checked and taken out.
async fn sent(
    portvakt: &Portvakt,
    simulator: &portvakt::simulator::Simulator,
    ask: Ask,
    client_id: &str,
    lifetime: u64,
) -> (Map<String, Value>, Value) {
    let before = seconds();
    assert_eq!(ask.send().await.status, 200, "{:?}", portvakt.log().last());
    let grant = simulator.counters().last_grants.pop_back().unwrap();
    assert_eq!(grant.content_type, "application/x-www-form-urlencoded");
    let mut claims = Value::from(grant.claims);
    let members = claims.as_object_mut().unwrap();
    assert_eq!(members.remove("aud").unwrap(), simulator.issuer());
    assert_eq!(members.remove("iss").unwrap(), client_id);
    let issued_at = members.remove("iat").unwrap().as_u64().unwrap();
    assert!((before..=seconds()).contains(&issued_at), "iat is {issued_at}, and it is {before}");
    assert_eq!(members.remove("exp").unwrap(), issued_at + lifetime);
    let jti = members.remove("jti").unwrap();
    assert_eq!(uuid::Uuid::parse_str(jti.as_str().unwrap()).unwrap().get_version_num(), 4);
    (grant.header, claims)
}

#[tokio::test]
async fn a_grant_has_the_claims_that_were_asked_for_and_no_others() {
    let simulator = simulator();
    let portvakt =
        Portvakt::start(&Configuration { freg: "grant_lifetime = \"90s\"\nalgorithm = \"RS384\"".to_owned(), ..configuration(&simulator) });
    let system_user = r#"[{"type":"urn:altinn:systemuser","systemuser_org":{"authority":"iso6523-actorid-upis","ID":"0192:999888777"}}]"#;
    let ask = portvakt.ask();
    let table = [
        (ask.clone(), json!({"scope": FREG_SCOPE})),
        (ask.clone().with("scope", "test:2 test:1"), json!({"scope": "test:1 test:2"})),
        (ask.clone().with("consumer-org", CONSUMER), json!({"scope": FREG_SCOPE, "consumer_org": CONSUMER})),
        (ask.clone().with("pid", "23079422568"), json!({"scope": FREG_SCOPE, "pid": "23079422568"})),
        (
            ask.clone().and("resource", "https://b.example.no").and("resource", "https://a.example.no"),
            json!({"scope": FREG_SCOPE, "resource": ["https://a.example.no", "https://b.example.no"]}),
        ),
        (ask.clone().query("resource=urn:a"), json!({"scope": FREG_SCOPE, "resource": ["urn:a"]})),
        (
            ask.clone().with("authorization_details", system_user),
            json!({"scope": FREG_SCOPE, "authorization_details": serde_json::from_str::<Value>(system_user).unwrap()}),
        ),
    ];
    for (ask, expected) in table {
        let (header, claims) = sent(&portvakt, &simulator, ask, FREG, 90).await;
        assert_eq!(claims, expected);
        assert_eq!((header["alg"].as_str(), header["kid"].as_str()), (Some("RS384"), Some("portvakt-test-2048")));
        assert!(!header.contains_key("x5c"));
    }
    assert_eq!(simulator.counters().duplicate_jtis, 0);
}

#[tokio::test]
async fn a_grant_by_certificate_carries_its_chain_and_no_kid() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let ask = portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE);
    let (header, claims) = sent(&portvakt, &simulator, ask, KRR, 60).await;
    assert_eq!(claims, json!({"scope": KRR_SCOPE}));
    assert_eq!(header["alg"], "RS256");
    assert!(!header.contains_key("kid"));
    assert_eq!(header["x5c"].as_array().unwrap().len(), 2, "the certificate and its issuer, without the root");
}

#[tokio::test]
async fn what_only_a_grant_can_say_is_refused_by_maskinporten_and_passed_on() {
    let simulator = simulator();
    let caller = format!(r#"may = [{{ integration = "freg", scopes = ["{FREG_SCOPE}"], iss_onbehalfof = ["*"], consumer_org = ["*"] }}]"#);
    let portvakt = Portvakt::start(&Configuration { caller, ..configuration(&simulator) });
    let on_behalf = portvakt.ask().with("iss-onbehalfof", "client-of-theirs");
    let (_, claims) = sent(&portvakt, &simulator, on_behalf, FREG, 60).await;
    assert_eq!(claims, json!({"scope": FREG_SCOPE, "iss_onbehalfof": "client-of-theirs"}));
    let not_delegated = portvakt.ask().with("consumer_org", "974760673").send().await;
    assert_eq!((not_delegated.status, not_delegated.json["maskinporten_code"].as_str()), (502, Some("MP-251")), "{}", not_delegated.text);
}
