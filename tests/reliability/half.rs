//! Half of all exchanges fail at random, in mixed ways, for a minute: who has been served once goes on being served.

use std::collections::BTreeMap;
use std::time::Duration;

use portvakt::simulator::{Conditions, Fault, FaultKind, LifetimeChange, Stage};
use tokio::task::block_in_place;

use crate::load::{Asked, Load, Sum, request, sum};
use crate::report::{self, Show, count, time};
use crate::support::*;
use crate::world::{Standstill, attempts, configuration_at, is_full, start, start_simulator};

const TOKENS: u64 = 50;
const LIFETIME: u32 = 6;
/// A machine that stands still for so long keeps tokens from being renewed, whatever the service does.
const STANDSTILL: Duration = Duration::from_millis(250);

/// One half altogether, in equal parts.
fn half_of_all() -> Vec<Fault> {
    let status = |status| FaultKind::Status { status, headers: BTreeMap::new(), body: String::new() };
    let kinds = [
        status(500),
        status(503),
        FaultKind::Reset { at: Stage::BeforeHeaders },
        FaultKind::Reset { at: Stage::InBody },
        FaultKind::Html { status: 200 },
        FaultKind::Html { status: 502 },
        FaultKind::Empty { status: 200 },
        FaultKind::Truncated {},
    ];
    let each = 0.5 / 8.0;
    let mut rest = 1.0;
    kinds
        .into_iter()
        .map(|kind| {
            // Of those that the faults before it have left.
            let probability = each / rest;
            rest -= each;
            Fault { kind, conditions: Conditions { probability: Some(probability), ..Conditions::default() } }
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_of_all_exchanges_fail_and_no_request_does() {
    for _ in 0..3 {
        let (simulator, portvakt) = block_in_place(|| {
            let simulator = start_simulator();
            simulator.change_lifetime(LifetimeChange { seconds: LIFETIME, client_id: None, scope: None }).unwrap();
            let portvakt = start(&configuration_at(simulator.issuer(), &simulator.token_endpoint()));
            (simulator, portvakt)
        });
        let ask = |number: u64| request(FREG, &format!("test:{}", number % TOKENS));
        let warm = Load::unpaced(portvakt.tokens, 2 * TOKENS, 8);
        assert!(warm.run(ask).await.iter().all(Asked::is_granted));
        let (asked_before, standstill) = (attempts(&portvakt).await, Standstill::watch());
        simulator.faults(half_of_all()).unwrap();
        let (rate, lasting) = if is_full() { (500.0, Duration::from_secs(60)) } else { (200.0, Duration::from_secs(10)) };
        let sent = Load::paced(portvakt.tokens, rate, lasting, 64).run(ask).await;
        let Sum { requests, failed, p99, slowest, .. } = sum(&sent);
        let (counters, exchanges) = (simulator.counters(), attempts(&portvakt).await - asked_before);
        assert_eq!(counters.duplicate_jtis, 0);
        let share = 100 * counters.faults / exchanges.max(1);
        assert!(exchanges > TOKENS && (25..75).contains(&share), "{share} % of {exchanges} exchanges failed");
        if failed > 0 && standstill.longest() > STANDSTILL {
            continue;
        }
        let failing = sent.iter().find(|sent| !sent.is_granted());
        assert_eq!(failed, 0, "of {requests} requests; {share} % of {exchanges} exchanges failed; the first: {failing:?}");
        report::row(
            Show::Half,
            &format!("half of all exchanges fail at random, for {} s at {rate}/s, {TOKENS} tokens of {LIFETIME} s", lasting.as_secs()),
            &format!(
                "{failed} of {} requests failed; p99 {}, slowest {}; {} of {} exchanges failed, no `jti` twice",
                count(requests as u64),
                time(p99),
                time(slowest),
                count(counters.faults),
                count(exchanges)
            ),
        );
        return;
    }
    panic!("the machine stood still each time");
}
