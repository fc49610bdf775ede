//! `portvakt check`: what works, what does not, and what to do, stage by stage.
//!
//! `plan` makes the list of checks from the operator's file, a file per stage says how each is done, `runner` carries them out, and
//! `text` and `json` tell of them.

mod callers;
mod configuration;
mod definition;
mod environments;
mod exchanges;
mod finding;
mod json;
mod keys;
mod listeners;
mod plan;
mod progress;
mod rules;
mod runner;
mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::SignedDuration;
use tokio::time::Instant;

use self::finding::Verdict;
pub(super) use self::keys::failure as key_failure;
use self::plan::Scope;
use self::progress::Progress;
use self::runner::Done;
use super::{ConfigArgument, Failure};
use crate::config::{Config, ConfigError, Inspection, nearest};

const EXAMPLES: &str = "\
Looks at the configuration file, keys, callers and listeners, then at the way
to Maskinporten, and makes a real exchange for each token that is prefetched or
that a caller may ask for. It can be run beside a service that is running. Exit
code: 0 when nothing failed, 1 when something did.

Examples:
  portvakt check
  portvakt check --offline
  portvakt check --offline --gravitee freg.json
  portvakt check --integration freg-test --format json";

/// Find out what works, what does not, and what to do about it
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// Leave out all that needs the network
    #[arg(long, help_heading = "What to look at")]
    offline: bool,
    /// This integration alone, by name or client ID, and its environment
    #[arg(long, value_name = "NAME", help_heading = "What to look at")]
    integration: Option<String>,
    /// Also at an API definition for Gravitee: an export of the console's, v2 or v4
    #[arg(long, value_name = "FILE", help_heading = "What to look at")]
    gravitee: Option<PathBuf>,
    /// The report as text, for people, or as json, for programs
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text", hide_possible_values = true, help_heading = "The report")]
    format: Format,
    /// How long all checks together may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout, help_heading = "What to look at")]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// `30s`, `2m`, or a number of seconds.
fn timeout(text: &str) -> Result<Duration, String> {
    let seconds = || text.parse().ok().map(Duration::from_secs);
    let with_unit = || text.parse::<SignedDuration>().ok().and_then(|signed| Duration::try_from(signed).ok());
    let longest = Duration::from_secs(60 * 60);
    let duration = seconds().or_else(with_unit).filter(|duration| !duration.is_zero() && *duration <= longest);
    duration.ok_or_else(|| "write a number with its unit, `30s` or `2m`, an hour at most".to_owned())
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let began = Instant::now();
    let inspected = inspect(&arguments.config.config, arguments.timeout);
    let wanted = match (&arguments.integration, &inspected) {
        (Some(wanted), Ok(inspection)) => Some(known(wanted, inspection)?),
        (wanted, _) => wanted.clone(),
    };
    let done = carry_out(arguments, wanted.as_deref(), inspected, began + arguments.timeout)?;
    let result = done.iter().flat_map(|done| &done.findings).map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok);
    let result = if result == Verdict::Skipped { Verdict::Ok } else { result };
    let written = write(arguments.format, result, &done);
    written.map_err(|error| Failure::failed(format_args!("the report could not be written to stdout: {error}")))?;
    // The report has said what failed.
    if result == Verdict::Failed { Err(Failure::Failed) } else { Ok(()) }
}

/// Reads the file on a thread of its own: a pipe that nobody writes into would be waited for without end.
fn inspect(path: &Path, timeout: Duration) -> Result<Inspection, ConfigError> {
    let (send, inspected) = mpsc::channel();
    let file = path.to_owned();
    thread::spawn(move || {
        // Nobody receives once the time is up.
        let _ = send.send(Config::inspect(&file));
    });
    inspected.recv_timeout(timeout).unwrap_or_else(|_| {
        let error = io::Error::new(io::ErrorKind::TimedOut, format!("reading it took longer than {} ms", timeout.as_millis()));
        Err(ConfigError::Unreadable { path: path.to_owned(), error })
    })
}

/// The name of the integration that is meant, by its name or its client ID as `iss` may have either; as far as the file can be read.
fn known(wanted: &str, inspection: &Inspection) -> Result<String, Failure> {
    let Some(config) = &inspection.config else { return Ok(wanted.to_owned()) };
    if let Some(integration) = config.integrations.iter().find(|integration| integration.client_id == wanted) {
        return Ok(integration.name.clone());
    }
    let integrations = config.integrations.iter().map(|integration| integration.name.as_str());
    let names: Vec<&str> = integrations.chain(inspection.left_out.iter().map(String::as_str)).collect();
    if names.contains(&wanted) {
        return Ok(wanted.to_owned());
    }
    let help = nearest(wanted, &names).map_or_else(|| format!("there are: {}", names.join(", ")), |name| format!("did you mean `{name}`?"));
    Err(Failure::misused(format_args!("the configuration has no integration `{wanted}`: {help}")))
}

fn carry_out(
    arguments: &Arguments,
    integration: Option<&str>,
    inspected: Result<Inspection, ConfigError>,
    deadline: Instant,
) -> Result<Vec<Done>, Failure> {
    let file = arguments.config.config.display().to_string();
    let scope = Scope { file: &file, offline: arguments.offline, integration, gravitee: arguments.gravitee.as_deref() };
    let checks = plan::checks(inspected, &scope);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format_args!("the threads for the checks could not be started: {error}")))?;
    let progress = Progress::on_a_terminal(checks.len());
    let done = runtime.block_on(runner::run(checks, deadline, &progress));
    progress.end();
    // Threads that still close connections are waited for: OpenSSL clears up when the process ends, and must not be in use then. A name
    // look-up that hangs is not.
    runtime.shutdown_timeout(Duration::from_millis(500));
    Ok(done)
}

fn write(format: Format, result: Verdict, done: &[Done]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match format {
        Format::Text => text::write(&mut out, done)?,
        Format::Json => json::write(&mut out, result, done)?,
    }
    out.flush()
}
