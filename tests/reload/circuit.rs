//! What a reload does while Maskinporten does nothing but fail.

use portvakt::simulator::{FaultKind, Simulator};

use crate::scene::*;
use crate::support::*;
use crate::tokens::without_freg;

const OPEN: &str = r#"portvakt_circuit_open{environment="simulator"}"#;

/// Grants of this client that the simulator has seen.
fn grants(simulator: &Simulator, client_id: &str) -> u64 {
    simulator.counters().clients.get(client_id).map_or(0, |scopes| scopes.values().map(|tally| tally.received).sum())
}

/// Asks until nobody is made to wait any more.
async fn until_open(portvakt: &Portvakt, asks: &[Ask]) {
    let mut asks = asks.iter().cycle();
    until_some("the open circuit", async || {
        let answer = asks.next().unwrap().clone().send().await;
        assert_eq!(answer.status, 503, "{}", answer.text);
        portvakt.metric(OPEN).await.filter(|open| *open > 0.5)
    })
    .await;
}

#[tokio::test]
async fn an_integration_that_is_gone_is_not_tried_any_more_and_what_is_left_is_tried_anew() {
    let simulator = simulator();
    simulator.fault(FaultKind::Empty { status: 500 }).unwrap();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let (freg, krr) = (portvakt.ask(), portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE));
    until_open(&portvakt, &[freg.clone(), krr.clone()]).await;
    // From now on it is tried, though nobody asks any more.
    freg.send().await;
    let before = grants(&simulator, FREG);
    until("a trial", || grants(&simulator, FREG) > before).await;

    reload(&portvakt, &without_freg(&configuration.text())).await;
    assert_eq!(portvakt.metric(OPEN).await, Some(0.0), "what was wrong may be mended");
    // One may have been on its way.
    until("the last answer", || simulator.counters().received == simulator.counters().answered).await;
    let before = grants(&simulator, FREG);
    until_open(&portvakt, std::slice::from_ref(&krr)).await;
    krr.clone().send().await;
    let tried = grants(&simulator, KRR);
    until("trials of the one that is left", || grants(&simulator, KRR) >= tried + 3).await;
    assert_eq!(grants(&simulator, FREG), before, "it is gone, and Maskinporten was asked");
    simulator.clear_faults();
    until_some("a token", async || Some(krr.clone().send().await).filter(|answer| answer.status == 200)).await;
}
