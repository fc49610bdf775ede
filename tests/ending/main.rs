//! How the service ends, and how many connections it bears: through signals, sockets and the service manager's own.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod exchanges;
#[allow(dead_code, reason = "the checks' tests use the others")]
#[path = "../check/servers.rs"]
mod servers;
mod service_manager;
mod stopping;
mod under_load;

use std::net::SocketAddr;

use portvakt::simulator::Simulator;
use support::wire::{RawAnswer, Wire};
use support::*;

/// A request for the token of integration `freg`.
fn token_request() -> String {
    format!("GET /token HTTP/1.1\r\nX-Gravitee-Api-Key: {API_KEY}\r\nscope: {FREG_SCOPE}\r\niss: {FREG}\r\nhost: a\r\n\r\n")
}

/// With these lines in `[server]`.
fn with_server(simulator: &Simulator, server: &str, shutdown_grace: &str) -> Configuration {
    let sections = "[outbound]\nattempt_timeout = \"60s\"\ndeadline = \"60s\"".to_owned();
    Configuration { server: server.to_owned(), shutdown_grace: shutdown_grace.to_owned(), sections, ..configuration(simulator) }
}

/// A request to /token that waits for the simulator, which has it.
async fn waiting(portvakt: &Portvakt, simulator: &Simulator) -> Wire {
    let mut wire = Wire::connect(portvakt.tokens);
    wire.send(token_request());
    simulator.wait_for_exchanges(1, PATIENCE).await.unwrap();
    wire
}

/// What management says at this path, on a connection of its own.
fn health(management: SocketAddr, path: &str) -> RawAnswer {
    Wire::connect(management).ask(format!("GET /health/{path} HTTP/1.1\r\nhost: a\r\n\r\n"))
}
