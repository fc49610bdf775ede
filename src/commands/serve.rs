//! `portvakt serve`: runs the service until it is told to stop.

use clap::Args;
use tracing::{info, warn};

use super::reload::{Hangups, Reloads};
use super::service::{Service, StopSignals};
use super::start_error::StartError;
use super::{ConfigArgument, Failure, service_manager};
use crate::config::{Config, Loaded};

const EXAMPLES: &str = "\
Two listeners: `server.listen` hands out tokens, `management.listen` has health
and metrics. SIGTERM and SIGINT finish what is in progress; a second one ends
it at once. SIGHUP reloads the file, and so does a change of it or of a file
that it names. All mistakes of the file are reported in one go.

Examples:
  portvakt serve
  portvakt serve --config /etc/portvakt/portvakt.toml --log-format json
  PORTVAKT_LOG=debug portvakt serve     a line for each request without a token";

/// Run the service
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = &arguments.config.config;
    // Before all else: reading keys takes a while, and a signal that is not caught yet would kill the process.
    let signals = StopSignals::catch().map_err(|error| Failure::failed(format_args!("SIGTERM and SIGINT cannot be caught: {error}")))?;
    let hangups = Hangups::catch().map_err(|error| Failure::failed(format_args!("SIGHUP cannot be caught: {error}")))?;
    let Loaded { config, sources } = Config::load_with_sources(file);
    let config = config.map_err(|error| Failure::configuration(&error))?;
    for warning in &config.warnings {
        warn!("{warning}");
    }
    let service = Service::start(&config).map_err(|error| match error {
        StartError::Configuration(error) => Failure::configuration(&error),
        StartError::Outbound(_) => Failure::misused(error),
        _ => Failure::failed(error),
    })?;
    info!(
        version = env!("CARGO_PKG_VERSION"),
        revision = option_env!("PORTVAKT_REVISION"),
        tokens = %format_args!("http://{}", service.tokens_address()),
        management = %format_args!("http://{}", service.management_address()),
        integrations = config.integrations.len(),
        callers = config.callers.len(),
        "listening"
    );
    let files = service.files();
    if files.is_low() {
        warn!(
            files = files.files(),
            connections = files.connections(),
            "few files may be open at once, and a connection is one. Raise the hard limit: LimitNOFILE= in systemd's unit, ulimit -Hn in a shell"
        );
    } else {
        info!(files = files.files(), connections = files.connections(), "this many connections are held at once: more wait");
    }
    if !service.tokens_address().ip().to_canonical().is_loopback() {
        warn!(
            "listening on {} in plain HTTP, beyond loopback: API keys and tokens can be read on their way. Put something that ends TLS in front, or listen on loopback",
            service.tokens_address()
        );
    }
    drop(config);
    let reloads = Reloads::start(file.clone(), sources, service.running(), hangups);
    let _reloads = reloads.map_err(|error| Failure::failed(format_args!("the thread that reloads could not be started: {error}")))?;
    service_manager::ready();
    service.run(signals).map_err(Failure::failed)
}
