//! An outage that is shorter than tokens live: nobody notices it, and after it Maskinporten is not met with all renewals at once.

use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, LifetimeChange, Stage};

use crate::support::*;

const LIFETIME: Duration = Duration::from_secs(20);
const PREFETCHED: usize = 30;
const TOKENS: usize = 60;

const OPEN: &str = r#"portvakt_circuit_open{environment="simulator"}"#;

/// A start in the middle of an outage: what is prefetched is tried every second, and there as soon as the outage is over.
#[tokio::test]
async fn what_is_prefetched_comes_at_once_when_a_long_outage_is_over() {
    let simulator = simulator();
    simulator.fault(FaultKind::Reset { at: Stage::BeforeHeaders }).unwrap();
    let freg = r#"prefetch = ["test:1", "test:2", "test:3", "test:4"]"#.to_owned();
    let portvakt = Portvakt::start(&Configuration { freg, ..configuration(&simulator) });
    portvakt.wait_for_log(|line| line.contains("the circuit is open"));
    let tried = simulator.counters().received;
    let opened = Instant::now();
    simulator.wait_for_exchanges(tried + 5, PATIENCE).await.unwrap();
    // One that was on its way, and four that are a second apart.
    assert!(opened.elapsed() >= Duration::from_millis(2900), "{:?}", opened.elapsed());
    simulator.clear_faults();
    let mended = Instant::now();
    until("the four tokens", || simulator.counters().issued == 4).await;
    assert!(mended.elapsed() < Duration::from_secs(5), "{:?}", mended.elapsed());
    portvakt.wait_for_log(|line| line.contains("the circuit is closed"));
    until_some("the metric", async || portvakt.metric(OPEN).await.filter(|open| *open < 0.5)).await;
    assert_eq!(portvakt.ask().with("scope", "test:4").send().await.status, 200);
    assert_eq!((simulator.counters().issued, simulator.counters().duplicate_jtis), (4, 0));
}

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
        portvakt.metric(OPEN).await.filter(|open| *open > 0.5)
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
    assert!((2..=opened.elapsed().as_secs() + 2).contains(&tried), "{tried} trials in {:?}", opened.elapsed());

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
