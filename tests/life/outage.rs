//! An outage that is shorter than tokens live: nobody notices it, and after it Maskinporten is not met with all renewals at once.

use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, LifetimeChange, Stage};

use crate::support::*;

const LIFETIME: Duration = Duration::from_secs(20);
const PREFETCHED: usize = 30;
const TOKENS: usize = 60;

#[tokio::test]
async fn tokens_survive_an_outage_and_their_renewals_are_spread_out_after_it() {
    let simulator = simulator();
    simulator.change_lifetime(LifetimeChange { seconds: 20, client_id: None, scope: None }).unwrap();
    let prefetch: Vec<String> = (0..PREFETCHED).map(|number| format!("\"test:{number}\"")).collect();
    let freg = format!("prefetch = [{}]", prefetch.join(", "));
    let sections = "[outbound]\nattempt_timeout = \"500ms\"\ndeadline = \"2s\"".to_owned();
    let portvakt = Portvakt::start(&Configuration { freg, sections, ..configuration(&simulator) });
    let ask = portvakt.ask();
    let all = async || {
        for number in 0..TOKENS {
            ask.clone().with("scope", &format!("test:{number}")).send().await.token();
        }
    };
    all().await;
    let began = Instant::now();
    all().await;
    assert_eq!(simulator.counters().issued, TOKENS as u64);

    // From here on nothing comes. Requests for other tokens open the circuit before the first of these is due.
    simulator.fault(FaultKind::Reset { at: Stage::BeforeHeaders }).unwrap();
    until_some("the circuit to open", async || {
        ask.clone().with("scope", "test:100").send().await;
        all().await;
        portvakt.metric(r#"portvakt_circuit_open{environment="simulator"}"#).await.filter(|open| *open > 0.5)
    })
    .await;
    let before = simulator.counters().received;
    let opened = Instant::now();
    until_some("all of them are due", async || {
        all().await;
        (began.elapsed() >= LIFETIME.mul_f64(0.86)).then_some(())
    })
    .await;
    // Those who wait take turns, one a second: 60 that are due make no flood.
    let tried = simulator.counters().received - before;
    assert!(tried as f64 <= opened.elapsed().as_secs_f64() + 1.5 && tried >= 2, "{tried} trials in {:?}", opened.elapsed());

    simulator.clear_faults();
    simulator.reset_counters();
    until_some("all to be renewed", async || {
        all().await;
        (simulator.counters().issued >= TOKENS as u64).then_some(())
    })
    .await;
    let arrived: Vec<u64> = simulator.counters().last_grants.iter().map(|grant| grant.milliseconds).collect();
    let most = arrived.iter().map(|first| arrived.iter().filter(|other| (*first..first + 100).contains(*other)).count()).max();
    assert!(most <= Some(20), "{most:?} in 100 ms: {arrived:?}");
    assert!(arrived.last().unwrap() - arrived[0] >= 500, "{arrived:?}");
    all().await;
}
