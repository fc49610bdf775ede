//! The gateway's door: `/token`.

mod support;

use support::*;

#[tokio::test]
async fn the_gateways_call_gets_a_token_that_maskinporten_made() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let answer = portvakt.ask().send().await;
    let claims = claims(answer.token());
    assert_eq!(claims["scope"], FREG_SCOPE);
    assert_eq!(claims["client_id"], FREG);
    assert_eq!(answer.json["token_type"], "Bearer");
    assert_eq!(answer.json["scope"], FREG_SCOPE);
    assert!((110..=119).contains(&answer.json["expires_in"].as_u64().unwrap()), "{}", answer.text);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("x-request-id").unwrap().len(), 36);
    let again = portvakt.ask().send().await;
    assert_eq!(again.token(), answer.token());
    assert_eq!(simulator.counters().issued, 1);
}
