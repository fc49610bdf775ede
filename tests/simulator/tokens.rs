//! What good grants get.

use josekit::jwk::JwkSet;
use josekit::jws::RS256;
use josekit::jwt;
use openssl::hash::MessageDigest;
use portvakt::simulator::{LifetimeChange, Simulator};
use serde_json::{Map, Value, json};

use crate::grants::{CERTIFICATE_CLIENT, Draft, KEY_CLIENT, ORGANISATION, answer, exchange, http, json_of, now, private_key, start, x5c};

async fn get(url: &str) -> Value {
    let (status, body) = json_of(http().get(url).send().await.unwrap()).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// The claims of a token, verified with the key that the simulator publishes.
async fn verified(simulator: &Simulator, token: &str) -> Map<String, Value> {
    let keys = JwkSet::from_bytes(get(&simulator.jwks_endpoint()).await.to_string()).unwrap();
    let header = jwt::decode_header(token).unwrap();
    let Some(Value::String(kid)) = header.claim("kid") else { panic!("no kid") };
    let verifier = RS256.verifier_from_jwk(keys.get(kid)[0]).unwrap();
    let (payload, _) = jwt::decode_with_verifier(token, &verifier).unwrap();
    payload.claims_set().clone()
}

async fn granted(simulator: &Simulator, draft: &Draft) -> (Value, Map<String, Value>) {
    let (status, body) = answer(simulator, &draft.sign()).await;
    assert_eq!(status, 200, "{body}");
    let claims = verified(simulator, body["access_token"].as_str().unwrap()).await;
    (body, claims)
}

#[tokio::test]
async fn a_grant_with_a_certificate_gets_a_token_that_verifies() {
    let simulator = start();
    let (body, claims) = granted(&simulator, &Draft::with_certificate(&simulator)).await;
    assert_eq!((&body["token_type"], &body["expires_in"], &body["scope"]), (&json!("Bearer"), &json!(119), &json!("a:b")));
    assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
    assert_eq!(claims["iss"], simulator.issuer());
    assert_eq!(claims["client_id"], CERTIFICATE_CLIENT);
    assert_eq!(claims["client_amr"], "virksomhetssertifikat");
    assert_eq!(claims["scope"], "a:b");
    assert_eq!(claims["consumer"], json!({"authority": "iso6523-actorid-upis", "ID": format!("0192:{ORGANISATION}")}));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 119);
    assert!((now() - claims["iat"].as_i64().unwrap()).abs() <= 5);
    for absent in ["aud", "pid", "supplier", "delegation_source", "authorization_details"] {
        assert!(!claims.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn every_shape_of_certificate_and_every_algorithm_is_taken() {
    let simulator = start();
    for name in ["virksomhet", "old-form", "commfides", "seal"] {
        let mut draft = Draft::with_certificate(&simulator);
        draft.header("x5c", x5c(&format!("{name}.pem")));
        draft.key = private_key(&format!("{name}.key"));
        granted(&simulator, &draft).await;
    }
    let mut leaf_alone = Draft::with_certificate(&simulator);
    let leaf = leaf_alone.header["x5c"][0].clone();
    leaf_alone.header("x5c", json!([leaf]));
    granted(&simulator, &leaf_alone).await;
    for (name, digest) in [("RS256", MessageDigest::sha256()), ("RS384", MessageDigest::sha384()), ("RS512", MessageDigest::sha512())] {
        let mut draft = Draft::with_kid(&simulator);
        draft.header("alg", name);
        draft.digest = digest;
        let (_, claims) = granted(&simulator, &draft).await;
        assert_eq!((&claims["client_id"], &claims["client_amr"]), (&json!(KEY_CLIENT), &json!("private_key_jwt")));
    }
}

#[tokio::test]
async fn what_a_grant_asks_for_stands_in_its_token() {
    let simulator = start();
    let mut draft = Draft::with_certificate(&simulator);
    let system_user =
        json!([{"type": "urn:altinn:systemuser", "systemuser_org": {"authority": "iso6523-actorid-upis", "ID": "0192:999888777"}}]);
    draft.claim("scope", "a:delegated").claim("consumer_org", "889640782").claim("resource", json!(["https://api.example.no"]));
    draft.claim("pid", "12345678901").claim("authorization_details", system_user.clone());
    let (_, claims) = granted(&simulator, &draft).await;
    assert_eq!(claims["consumer"]["ID"], "0192:889640782");
    assert_eq!(claims["supplier"]["ID"], format!("0192:{ORGANISATION}"));
    assert_eq!(claims["delegation_source"], "https://www.altinn.no/");
    assert_eq!(claims["aud"], "https://api.example.no");
    assert_eq!(claims["pid"], "12345678901");
    assert_eq!(claims["authorization_details"], system_user);

    for from in ["urn:altinn:person:identifier-no:12345678901", "urn:altinn:organization:identifier-no:889640782"] {
        let consent = json!([{"type": "urn:altinn:consent", "id": "5bd22e80-73b3-4cbf-8a6f-2e4eac1a6d2b", "from": from}]);
        let mut draft = Draft::with_certificate(&simulator);
        draft.claim("authorization_details", consent).claim("iss_onbehalfof", "somebody").claim("scope", "a:b a:c");
        draft.claim("resource", json!(["https://a.example.no", "https://b.example.no"]));
        draft.claim("aud", json!([simulator.issuer()]));
        let (body, claims) = granted(&simulator, &draft).await;
        assert_eq!(body["scope"], "a:b a:c");
        assert_eq!(claims["aud"], json!(["https://a.example.no", "https://b.example.no"]));
    }
}

#[tokio::test]
async fn clocks_may_differ_by_ten_seconds() {
    let simulator = start();
    for off in [-9, 9] {
        let mut draft = Draft::with_kid(&simulator);
        draft.claim("iat", now() + off).claim("exp", now() + off + 120);
        granted(&simulator, &draft).await;
    }
}

#[tokio::test]
async fn lifetimes_follow_scope_and_client_and_change_while_it_runs() {
    let simulator = start();
    let lifetime = async |scope: &str| {
        let (body, _) = granted(&simulator, Draft::with_kid(&simulator).claim("scope", scope)).await;
        body["expires_in"].as_u64().unwrap()
    };
    assert_eq!(lifetime("k:b").await, 119);
    assert_eq!(lifetime("k:long").await, 7199);
    assert_eq!(lifetime("k:long k:b").await, 119);
    let change = |seconds, client_id: Option<&str>, scope: Option<&str>| {
        let change = LifetimeChange { seconds, client_id: client_id.map(str::to_owned), scope: scope.map(str::to_owned) };
        simulator.change_lifetime(change)
    };
    change(5, None, None).unwrap();
    assert_eq!(lifetime("k:long").await, 5);
    change(6, Some(KEY_CLIENT), None).unwrap();
    assert_eq!(lifetime("k:long").await, 6);
    change(7, None, Some("k:long")).unwrap();
    assert_eq!(lifetime("k:long").await, 7);
    change(8, Some(KEY_CLIENT), Some("k:long")).unwrap();
    assert_eq!(lifetime("k:long").await, 8);
    assert_eq!(lifetime("k:b").await, 6);
    for wrong in [change(0, None, None), change(1, Some("nobody"), None), change(1, None, Some("x:y"))] {
        wrong.unwrap_err();
    }
}

#[tokio::test]
async fn a_grant_is_taken_once_however_many_come_at_once() {
    let simulator = start();
    let grant = Draft::with_certificate(&simulator).sign();
    let http = http();
    let exchanges: Vec<_> = (0..50)
        .map(|_| {
            let request = exchange(&http, &simulator, &grant);
            async { json_of(request.await.unwrap()).await }
        })
        .collect();
    let mut statuses = Vec::new();
    for (status, body) in join_all(exchanges).await {
        if status == 400 {
            assert!(body["error_uri"].as_str().unwrap().ends_with("/errors/MP-012"), "{body}");
        }
        statuses.push(status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1);
    let counters = simulator.counters();
    assert_eq!((counters.received, counters.issued, counters.duplicate_jtis, counters.jtis), (50, 1, 49, 1));
}

#[tokio::test]
async fn many_grants_at_once_are_all_answered() {
    let simulator = start();
    let http = http();
    let grants: Vec<String> = (0..100).map(|_| Draft::with_kid(&simulator).sign()).collect();
    let exchanges = grants.iter().map(|grant| {
        let request = exchange(&http, &simulator, grant);
        async { json_of(request.await.unwrap()).await }
    });
    for (status, body) in join_all(exchanges.collect()).await {
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(simulator.counters().issued, 100);
}

#[tokio::test]
async fn metadata_names_the_endpoints() {
    let simulator = start();
    for path in ["oauth-authorization-server", "openid-configuration"] {
        let metadata = get(&format!("{}.well-known/{path}", simulator.issuer())).await;
        assert_eq!(metadata["issuer"], simulator.issuer());
        assert_eq!(metadata["token_endpoint"], simulator.token_endpoint());
        assert_eq!(metadata["jwks_uri"], simulator.jwks_endpoint());
        assert_eq!(metadata["response_types_supported"], json!([]));
    }
    let counters = simulator.counters();
    assert_eq!((counters.metadata, counters.jwks), (2, 0));
}

/// All of them at once, in the order given.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (future, done) in running.iter_mut().filter(|(_, done)| done.is_none()) {
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(value) => *done = Some(value),
                std::task::Poll::Pending => waiting = true,
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().map(|(_, done)| done.unwrap()).collect()
}
