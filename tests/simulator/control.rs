//! The control endpoint, as another team's tests use it.

use std::time::Duration;

use portvakt::simulator::Simulator;
use serde_json::{Value, json};

use crate::grants::{CERTIFICATE_CLIENT, Draft, KEY_CLIENT, LONG, answer, http, json_of, start};

async fn put(simulator: &Simulator, path: &str, body: Value) -> (u16, String) {
    let response = http().put(format!("{}/{path}", simulator.control_endpoint())).body(body.to_string()).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn get(simulator: &Simulator, path: &str) -> (u16, Value) {
    json_of(http().get(format!("{}/{path}", simulator.control_endpoint())).send().await.unwrap()).await
}

async fn delete(simulator: &Simulator, path: &str) {
    let response = http().delete(format!("{}/{path}", simulator.control_endpoint())).send().await.unwrap();
    assert_eq!(response.status(), 204);
}

#[tokio::test]
async fn faults_are_put_shown_counted_down_and_deleted() {
    let simulator = start();
    let two = json!([{"kind": "error", "code": "MP-121", "times": 1}, {"kind": "status", "status": 429, "times": 5}]);
    assert_eq!(put(&simulator, "fault", two).await.0, 204);
    let (_, body) = answer(&simulator, &Draft::with_kid(&simulator).sign()).await;
    assert!(body["error_uri"].as_str().unwrap().ends_with("MP-121"), "{body}");
    let (_, in_force) = get(&simulator, "fault").await;
    let left = json!([{"kind": "status", "status": 429, "headers": {}, "body": "", "times": 5, "endpoint": "token"}]);
    assert_eq!(in_force, left);
    delete(&simulator, "fault").await;
    assert_eq!(get(&simulator, "fault").await.1, json!([]));
    assert_eq!(answer(&simulator, &Draft::with_kid(&simulator).sign()).await.0, 200);
    assert_eq!(put(&simulator, "fault", json!({"kind": "html"})).await.0, 204);
    assert_eq!(get(&simulator, "fault").await.1, json!([{"kind": "html", "status": 502, "endpoint": "token"}]));
}

#[tokio::test]
async fn what_is_wrong_changes_nothing_and_is_explained() {
    let simulator = start();
    assert_eq!(put(&simulator, "fault", json!({"kind": "hang"})).await.0, 204);
    for (path, body, expected) in [
        ("fault", json!({"kind": "explode"}), "unknown variant"),
        ("fault", json!({"kind": "hang", "time": 1}), "unknown field `time`"),
        ("fault", json!([{"kind": "html"}, {"kind": "error", "code": "MP-1"}]), "MP-121"),
        ("lifetime", json!({"seconds": 0}), "`seconds` is 0"),
        ("lifetime", json!({"seconds": 5, "scopes": "a:b"}), "unknown field `scopes`"),
        ("lifetime", json!({"seconds": 5, "scope": "x:y"}), "no client has the scope"),
    ] {
        let (status, text) = put(&simulator, path, body).await;
        assert!(status == 400 && text.contains(expected), "{status} {text}");
    }
    assert_eq!(get(&simulator, "fault").await.1, json!([{"kind": "hang", "at": "before_headers", "endpoint": "token"}]));
}

#[tokio::test]
async fn lifetimes_are_changed_and_forgotten() {
    let simulator = start();
    assert_eq!(put(&simulator, "lifetime", json!({"seconds": 5, "scope": "k:b"})).await.0, 204);
    assert_eq!(answer(&simulator, &Draft::with_kid(&simulator).sign()).await.1["expires_in"], 5);
    delete(&simulator, "lifetime").await;
    assert_eq!(answer(&simulator, &Draft::with_kid(&simulator).sign()).await.1["expires_in"], 119);
}

#[tokio::test]
async fn counters_tell_who_asked_for_what_and_what_was_sent() {
    let simulator = start();
    let grant = Draft::with_kid(&simulator).sign();
    answer(&simulator, &grant).await;
    answer(&simulator, &grant).await;
    let mut with_person = Draft::with_certificate(&simulator);
    answer(&simulator, &with_person.claim("pid", "12345678901").sign()).await;
    answer(&simulator, &Draft::with_certificate(&simulator).claim("iss", "nobody").sign()).await;
    answer(&simulator, "nonsense").await;
    let (status, counters) = get(&simulator, "counters").await;
    assert_eq!(status, 200);
    for (name, expected) in [
        ("received", 5),
        ("answered", 5),
        ("issued", 2),
        ("refused", 3),
        ("faults", 0),
        ("duplicate_jtis", 1),
        ("jtis", 3),
        ("connections", 6),
    ] {
        assert_eq!(counters[name], expected, "{name} of {counters}");
    }
    assert_eq!(counters["refused_by_code"], json!({"MP-012": 1, "MP-100": 1, "not-a-jwt": 1}));
    let of_key_client = json!({"k:b": {"received": 2, "issued": 1, "refused": 1, "faults": 0, "refused_by_code": {"MP-012": 1}}});
    assert_eq!(counters["clients"][KEY_CLIENT], of_key_client);
    assert_eq!(counters["clients"][CERTIFICATE_CLIENT]["a:b"]["issued"], 1);
    assert_eq!(counters["clients"]["unknown"]["unknown"]["refused"], 2);
    let grants = counters["last_grants"].as_array().unwrap();
    assert_eq!(grants.len(), 5);
    assert_eq!(grants[1]["outcome"], "refused");
    assert_eq!(grants[1]["code"], "MP-012");
    assert_eq!(grants[2]["number"], 3);
    assert_eq!(grants[2]["claims"]["pid"], "12345678901");
    assert_eq!(grants[2]["header"]["alg"], "RS256");
    assert_eq!(grants[2]["content_type"], "application/x-www-form-urlencoded");
    assert!(!format!("{:?}", simulator.counters()).contains("12345678901"), "a person's number is not printed");

    delete(&simulator, "counters").await;
    let (_, counters) = get(&simulator, "counters").await;
    assert_eq!((&counters["received"], &counters["jtis"], &counters["last_grants"]), (&json!(0), &json!(3), &json!([])));
    let (_, body) = answer(&simulator, &grant).await;
    assert!(body["error_uri"].as_str().unwrap().ends_with("MP-012"), "a reset does not forget what was used: {body}");
}

#[tokio::test]
async fn the_last_hundred_grants_are_kept() {
    let simulator = start();
    for _ in 0..103 {
        answer(&simulator, "nonsense").await;
    }
    let counters = simulator.counters();
    assert_eq!((counters.last_grants.len(), counters.last_grants[0].number), (100, 4));
}

#[tokio::test]
async fn whoever_waits_is_told_when_enough_has_come() {
    let simulator = start();
    let (grant, next) = (Draft::with_kid(&simulator).sign(), Draft::with_kid(&simulator).sign());
    let waiting = get(&simulator, "counters?at_least=2&answered=2&timeout=20");
    let sending = async {
        answer(&simulator, &grant).await;
        answer(&simulator, &next).await;
    };
    let ((status, counters), ()) = tokio::join!(waiting, sending);
    assert_eq!((status, &counters["answered"]), (200, &json!(2)));
    let (status, counters) = get(&simulator, "counters?at_least=3&timeout=0").await;
    assert_eq!((status, &counters["received"]), (504, &json!(2)));
    assert_eq!(get(&simulator, "counters?at_most=3").await.0, 400);

    assert_eq!(simulator.wait_for_exchanges(2, LONG).await.unwrap().received, 2);
    assert_eq!(simulator.wait_for_answers(2, LONG).await.unwrap().issued, 2);
    let error = simulator.wait_for_answers(3, Duration::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("it received 2 and answered 2"), "{error}");
}

#[tokio::test]
async fn an_error_uri_leads_somewhere() {
    let simulator = start();
    let page = http().get(format!("{}errors/MP-121", simulator.issuer())).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("Expired key"), "{page}");
    assert_eq!(http().get(format!("{}errors/MP-999", simulator.issuer())).send().await.unwrap().status(), 404);
}
