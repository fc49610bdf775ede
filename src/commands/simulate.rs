//! `portvakt simulate`: the Maskinporten simulator alone.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Failure;
use crate::simulator::{ClientSettings, Settings, Simulator, StartError};

/// Runs a Maskinporten to develop and test against.
///
/// It verifies grants by every rule that Digdir documents, and answers with signed tokens that open no real door, or with
/// Maskinporten's errors. Faults are injected, and counters read, at its control endpoint, /_simulator.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// The clients that it knows, as in deploy/quickstart/clients.toml
    #[arg(long, value_name = "FILE")]
    clients: PathBuf,
    /// The issuer, to the slash, when others reach it by another name than the address [default: http://ADDRESS/]
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
}

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    log_to_stderr();
    let mut settings = Settings::from_clients_file(&arguments.clients).map_err(|error| Failure::Configuration(error.to_string()))?;
    settings.listen = arguments.listen;
    settings.issuer = arguments.issuer;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(did_not_work)?;
    runtime.block_on(async {
        // Before the start, so that a signal that comes during it is not missed.
        let mut interrupted = signal(SignalKind::interrupt()).map_err(did_not_work)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(did_not_work)?;
        let simulator = Simulator::start(settings).map_err(|error| not_started(&error))?;
        introduce(&simulator);
        tokio::select! {
            _ = interrupted.recv() => info!("interrupted"),
            _ = terminated.recv() => info!("terminated"),
        }
        Ok(())
    })
}

fn did_not_work(error: impl Display) -> Failure {
    Failure::DidNotWork(error.to_string())
}

fn not_started(error: &StartError) -> Failure {
    match error {
        StartError::Listen { .. } | StartError::Thread(_) | StartError::Signing(_) => Failure::DidNotWork(error.to_string()),
        StartError::RepeatedClient(_) | StartError::RepeatedKid(_) | StartError::Issuer(_) | StartError::Lifetime => {
            Failure::Configuration(error.to_string())
        }
    }
}

fn introduce(simulator: &Simulator) {
    info!("issuer {}, token endpoint {}", simulator.issuer(), simulator.token_endpoint());
    info!("faults and counters at {}/fault and {0}/counters", simulator.control_endpoint());
    for ClientSettings { client_id, name, organisation, scopes, keys, .. } in simulator.clients() {
        let signs_with = if keys.is_empty() { "a virksomhetssertifikat" } else { "a registered key" };
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.scope.as_str()).collect();
        info!("client {name} ({client_id}) of {organisation}, signs with {signs_with}, scopes {}", scopes.join(" "));
    }
    if !simulator.address().ip().to_canonical().is_loopback() {
        warn!("listening on {} beyond loopback: whoever reaches it can inject faults and read the claims of grants", simulator.address());
    }
}

/// Our own lines only: a fault that cuts an answer off is an error to the server below.
fn log_to_stderr() {
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false).with_ansi(false);
    let ours = Targets::new().with_target("portvakt", LevelFilter::INFO);
    tracing_subscriber::registry().with(lines).with(ours).init();
}
