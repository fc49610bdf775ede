//! The delay, the grace, and a second signal in either.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, Stage};
use rstest::rstest;
use rustix::process::Signal;

use crate::support::wire::Wire;
use crate::support::*;
use crate::{health, token_request, waiting, with_server};

#[tokio::test]
async fn within_the_delay_it_is_not_ready_and_answers_all_the_same() {
    let simulator = simulator();
    let mut portvakt = Portvakt::start(&with_server(&simulator, "shutdown_delay = \"1h\"", "1h"));
    let mut kept = Wire::connect(portvakt.tokens);
    let before = kept.ask(token_request());
    assert_eq!((before.status, before.header("connection")), (200, None));
    portvakt.signal(Signal::TERM);
    portvakt.wait_for_log(|line| line.contains("stopping"));
    let ready = health(portvakt.management, "ready");
    assert_eq!((ready.status, ready.body.as_str()), (503, "not ready: stopping\n"));
    assert_eq!(health(portvakt.management, "live").status, 200);
    // On a connection that was there, on a new one, from the cache and by an exchange: answered, and told to leave.
    for (wire, scope) in [(&mut kept, FREG_SCOPE), (&mut Wire::connect(portvakt.tokens), FREG_SCOPE_2)] {
        let answer = wire.ask(token_request().replace(FREG_SCOPE, scope)).checked();
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert!(wire.is_closed());
    }
    // A refusal too.
    let refused = Wire::connect(portvakt.tokens).ask("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((refused.status, refused.header("connection")), (404, Some("close")));
    portvakt.signal(Signal::TERM);
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
}

#[tokio::test]
async fn after_the_delay_the_listener_is_closed_and_idle_connections_with_it() {
    let simulator = simulator();
    let mut portvakt = Portvakt::start(&with_server(&simulator, "shutdown_delay = \"1s\"", "1h"));
    let mut idle = Wire::connect(portvakt.tokens);
    assert_eq!(idle.ask(token_request()).status, 200);
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    let mut wire = Wire::connect(portvakt.tokens);
    wire.send(token_request().replace(FREG_SCOPE, FREG_SCOPE_2));
    simulator.wait_for_exchanges(2, PATIENCE).await.unwrap();
    let asked = Instant::now();
    portvakt.signal(Signal::INT);
    until("the listener is closed", || TcpStream::connect(portvakt.tokens).is_err()).await;
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(idle.is_closed());
    // The grace has begun, and something is in progress: management goes on answering.
    assert_eq!(health(portvakt.management, "live").status, 200);
    assert_eq!(health(portvakt.management, "ready").status, 503);
    portvakt.signal(Signal::INT);
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
    assert!(wire.is_closed());
}

/// Which came: the first signal's own again, or the other.
#[rstest]
#[case::in_the_delay(Signal::TERM, Signal::TERM, "shutdown_delay = \"1h\"")]
#[case::in_the_delay(Signal::INT, Signal::TERM, "shutdown_delay = \"1h\"")]
#[case::in_the_grace(Signal::TERM, Signal::INT, "")]
#[case::in_the_grace(Signal::INT, Signal::INT, "")]
#[tokio::test]
async fn a_second_signal_cuts_off_what_is_in_progress(#[case] first: Signal, #[case] second: Signal, #[case] server: &str) {
    let simulator = simulator();
    let mut portvakt = Portvakt::start(&with_server(&simulator, server, "1h"));
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    let mut wire = waiting(&portvakt, &simulator).await;
    portvakt.signal(first);
    portvakt.wait_for_log(|line| line.contains("stopping"));
    if server.is_empty() {
        until("the listener is closed", || TcpStream::connect(portvakt.tokens).is_err()).await;
    }
    portvakt.signal(second);
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
    let log = portvakt.log();
    assert!(log.iter().any(|line| line.contains("stopped at once, by a second signal")), "{}", log.join("\n"));
    assert!(!log.iter().any(|line| line.contains("does not end")), "{}", log.join("\n"));
    assert!(!log.iter().any(|line| line.contains("defect") || line.contains("panicked")), "{}", log.join("\n"));
    assert!(wire.is_closed(), "not answered, not even with an error");
}

#[tokio::test]
async fn what_outlives_the_grace_is_cut_off_and_hears_of_no_defect() {
    let simulator = simulator();
    let mut portvakt = Portvakt::start(&with_server(&simulator, "", "0s"));
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    let mut wires = [waiting(&portvakt, &simulator).await, Wire::connect(portvakt.tokens)];
    wires[1].send(token_request().replace("GET", "POST"));
    simulator.wait_for_exchanges(2, PATIENCE).await.unwrap();
    portvakt.signal(Signal::TERM);
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
    assert!(wires.iter_mut().all(Wire::is_closed));
    let log = portvakt.log();
    assert!(!log.iter().any(|line| line.contains("defect") || line.contains("panicked")), "{}", log.join("\n"));
}
