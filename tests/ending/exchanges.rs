//! The end while exchanges are in progress, over TLS: OpenSSL clears up when a process ends, and no thread may be at it then.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use portvakt::simulator::{FaultKind, Simulator};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::servers::tls_in_front_of;
use crate::support::wire::Wire;
use crate::support::*;
use crate::{token_request, with_server};

const CYCLES: usize = 50;
const AT_ONCE: usize = 4;

#[test]
fn fifty_starts_and_ends_amid_exchanges_over_tls() {
    let simulator = simulator();
    // Some have an answer just when it ends, some wait for one.
    simulator.fault(FaultKind::Delay { milliseconds: 20 }).unwrap();
    let (address, ca) = tls_in_front_of(simulator.address(), "localhost");
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let cycle @ ..CYCLES = next.fetch_add(1, Relaxed) {
                    start_and_end(&simulator, &format!("https://localhost:{}/token", address.port()), &ca, cycle);
                }
            });
        }
    });
    assert!(simulator.counters().issued > 0, "exchanges were made");
}

fn start_and_end(simulator: &Simulator, token_endpoint: &str, ca: &[u8], cycle: usize) {
    let directory: TempDir = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ca.pem"), ca).unwrap();
    let configuration = with_server(simulator, "", "0s");
    let configuration = Configuration {
        token_endpoint: token_endpoint.to_owned(),
        sections: format!("{}\nca_file = \"ca.pem\"", configuration.sections),
        freg: "prefetch = [\"test:101\", \"test:102\", \"test:103\"]".to_owned(),
        ..configuration
    };
    std::fs::write(directory.path().join("portvakt.toml"), configuration.text()).unwrap();
    let mut portvakt = Portvakt::start_in(directory);
    let mut wires: Vec<Wire> = (0..cycle % 10).map(|_| Wire::connect(portvakt.tokens)).collect();
    for (index, wire) in wires.iter_mut().enumerate() {
        wire.send(token_request().replace(FREG_SCOPE, &format!("test:{index}")));
    }
    portvakt.signal(Signal::TERM);
    if cycle.is_multiple_of(2) {
        portvakt.wait_for_log(|line| line.contains("stopping"));
        portvakt.signal(Signal::TERM);
    }
    let ended = portvakt.wait_for_end();
    assert_eq!(ended.code(), Some(0), "cycle {cycle}: {ended}\n{}", portvakt.log().join("\n"));
    let log = portvakt.log();
    assert!(!log.iter().any(|line| line.contains("defect") || line.contains("panicked")), "{}", log.join("\n"));
}
