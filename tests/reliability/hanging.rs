//! An upstream that hangs for one integration takes nothing from another's.

use std::time::Duration;

use portvakt::simulator::{Conditions, Fault, FaultKind, Stage};
use tokio::task::block_in_place;

use crate::load::{Load, Sum, request, sum};
use crate::report::{self, Show, count, time};
use crate::support::*;
use crate::world::{Standstill, configuration_at, is_full, start, start_simulator};

/// Every number another token: the scopes of a request are a set, and there are more pairs of them than requests.
fn another_token(iss: &'static str, first: u64) -> impl Fn(u64) -> Vec<u8> + Send + Sync + 'static {
    move |number| {
        let number = first + number;
        let (one, other) = (number / 99, 100 + number % 99);
        request(iss, &format!("test:{one} test:{other}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_hangs_for_one_integration_takes_nothing_from_anothers() {
    raise_file_limit();
    let (simulator, portvakt) = block_in_place(|| {
        let simulator = start_simulator();
        let mut configuration = configuration_at(simulator.issuer(), &simulator.token_endpoint());
        configuration.sections = "[outbound]\nattempt_timeout = \"3s\"\ndeadline = \"6s\"".to_owned();
        let portvakt = start(&configuration);
        (simulator, portvakt)
    });
    let (rate, flood_rate, lasting) =
        if is_full() { (40.0, 300.0, Duration::from_secs(30)) } else { (20.0, 100.0, Duration::from_secs(6)) };
    let standstill = Standstill::watch();
    let uncached = |first: u64| Load::paced(portvakt.tokens, rate, lasting, 64).run(another_token(KRR, first));
    // The first exchanges pay for connections, and for what is made at first use.
    Load::paced(portvakt.tokens, rate, Duration::from_secs(1), 8).run(another_token(KRR, 9000)).await;
    let before = sum(&uncached(0).await);

    let hang = Conditions { client_id: Some(FREG.to_owned()), ..Conditions::default() };
    simulator.fault(Fault { kind: FaultKind::Hang { at: Stage::BeforeHeaders }, conditions: hang }).unwrap();
    let flood = Load::paced(portvakt.tokens, flood_rate, lasting + Duration::from_secs(1), 4000);
    let flood = tokio::spawn(flood.run(another_token(FREG, 0)));
    let seen = simulator.counters().received;
    simulator.wait_for_exchanges(seen + 1, PATIENCE).await.unwrap();
    let during = sum(&uncached(4000).await);
    let flood = sum(&flood.await.unwrap());

    assert_eq!((before.failed, during.failed), (0, 0), "{before:?}, {during:?}");
    assert_eq!(flood.failed, flood.requests, "its upstream hangs");
    // To wait for a turn of the other's would cost as much as an attempt takes, or the deadline.
    assert!(during.median < 3 * before.median + Duration::from_millis(500) + standstill.longest(), "{before:?}, {during:?}");
    assert!(during.p99 < Duration::from_millis(2500) + 4 * standstill.longest(), "{before:?}, {during:?}");
    let written = |Sum { median, p99, .. }| format!("p50 {}, p99 {}", time(median), time(p99));
    report::row(
        Show::Hanging,
        &format!("the upstream hangs for one integration, which is asked for {flood_rate} new tokens a second; the other for {rate}/s"),
        &format!(
            "the other's uncached requests: {} before, {} during; {} of {} failed",
            written(before),
            written(during),
            during.failed,
            count(during.requests as u64)
        ),
    );
}
