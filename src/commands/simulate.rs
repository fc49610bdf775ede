//! `portvakt simulate`: the Maskinporten simulator alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use tracing::{info, warn};

use super::Failure;
use super::file_limit::FileLimit;
use super::signals::Signals;
use crate::simulator::{ClientSettings, Settings, Simulator, StartError};

const EXAMPLES: &str = "\
It verifies grants by every rule that Digdir documents, and answers with signed
tokens that open no real door, or with Maskinporten's errors. Faults are
injected, and counters read, at its control endpoint, /_simulator.

Examples:
  portvakt simulate --clients deploy/quickstart/clients.toml
  F='{\"kind\":\"error\",\"code\":\"MP-121\",\"times\":1}'
  curl -X PUT -d \"$F\" http://127.0.0.1:8090/_simulator/fault
  curl -s http://127.0.0.1:8090/_simulator/counters";

/// Run a Maskinporten to develop and test against
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090", help_heading = "Where it is reached")]
    listen: SocketAddr,
    /// The clients that it knows, as in deploy/quickstart/clients.toml
    #[arg(long, value_name = "FILE", help_heading = "Whom it knows")]
    clients: PathBuf,
    /// The issuer, to the slash, when others reach it by another name [default: http://ADDRESS/]
    #[arg(long, value_name = "URL", help_heading = "Where it is reached")]
    issuer: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut settings = Settings::from_clients_file(&arguments.clients).map_err(Failure::misused)?;
    settings.listen = arguments.listen;
    settings.issuer.clone_from(&arguments.issuer);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        // Before the start, so that a signal that comes during it is not missed.
        let mut signals = Signals::new().map_err(Failure::failed)?;
        FileLimit::raise();
        let simulator = Simulator::start(settings).map_err(|error| not_started(&error))?;
        introduce(&simulator);
        let signal = signals.next().await;
        info!(signal, "stopped");
        Ok(())
    })
}

fn not_started(error: &StartError) -> Failure {
    match error {
        StartError::Listen { .. } | StartError::Thread(_) | StartError::Signing(_) => Failure::failed(error),
        StartError::RepeatedClient(_) | StartError::RepeatedKid(_) | StartError::Issuer(_) | StartError::Lifetime => {
            Failure::misused(error)
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
