//! What an operator types, a file per command.

mod api_key;
mod assembly;
mod banner;
mod check;
mod completions;
mod demo;
mod expiry;
mod file_limit;
mod gravitee;
mod health;
mod init;
mod keygen;
mod man;
mod new_files;
mod reload;
mod serve;
mod service;
mod service_manager;
mod signals;
mod simulate;
mod start_error;
mod stopping;
mod token;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use zeroize::Zeroizing;

use crate::config::{Colours, ConfigError};
use crate::telemetry::{LogFormat, start_logging};

/// What is logged: a level, or `target=level` pairs. Where it is not set, the command's own default.
const LOG_FILTER: &str = "PORTVAKT_LOG";

/// The token service that stands between your gateways and services, and Maskinporten
#[derive(Debug, Parser)]
#[command(name = "portvakt", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,

    /// Log lines as text or json [default: text on a terminal]
    #[arg(long, global = true, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    log_format: Option<LogFormat>,
}

const EXAMPLES: &str = "\
Exit codes: 0 fine, 1 it did not work, 2 wrong usage or configuration. Results
go to stdout, all else to stderr. PORTVAKT_LOG filters the log: a level, or
portvakt=debug,hyper=info. NO_COLOR turns colours off.

To begin with:
  portvakt demo --once      see it at work, with nothing to set up
  portvakt init             make a portvakt.toml from answers to some questions
  portvakt serve            run the service with it";

/// Where the operator's file is.
#[derive(Debug, Args)]
struct ConfigArgument {
    /// The configuration file
    #[arg(long, env = "PORTVAKT_CONFIG", hide_env_values = true, value_name = "FILE", default_value = "portvakt.toml")]
    config: PathBuf,
}

/// In the order in which an operator comes to need them.
#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    Simulate(simulate::Arguments),
    Init(init::Arguments),
    Check(check::Arguments),
    Keygen(keygen::Arguments),
    ApiKey(api_key::Arguments),
    Gravitee(gravitee::Arguments),
    Token(token::Arguments),
    Health(health::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

impl Command {
    /// What is logged when `PORTVAKT_LOG` does not say. None: info.
    fn default_log_filter(&self) -> Option<&'static str> {
        match self {
            // What they show is on stdout already, failures among it.
            Self::Demo(_) | Self::Check(_) => Some("error"),
            // What signs is not news to who asks for one token.
            Self::Token(_) => Some("warn"),
            _ => None,
        }
    }
}

/// How a command that did not do its work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// It did not work: exit code 1.
    Failed,
    /// Wrong usage or configuration, keys included: exit code 2.
    Misused,
}

impl Failure {
    /// Says what went wrong on stderr. `error` is a whole text, whose causes are in it.
    fn failed(error: impl Display) -> Self {
        say(format_args!("error: {error}"));
        Self::Failed
    }

    /// The mistakes of the operator's file, each with its line.
    fn configuration(error: &ConfigError) -> Self {
        let colours = match anstream::AutoStream::choice(&std::io::stderr()) {
            anstream::ColorChoice::Never => Colours::Without,
            _ => Colours::With,
        };
        say(error.render(colours));
        Self::Misused
    }

    /// The same as [`Failure::failed`], for what the operator wrote.
    fn misused(error: impl Display) -> Self {
        say(format_args!("error: {error}"));
        Self::Misused
    }
}

/// One line, or several, on stderr. `eprintln!` would panic where it cannot be written, and who cannot read it has the exit code.
fn say(text: impl Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// One line on stdout: a result. `println!` would panic where nobody reads it.
fn print(line: &str) -> Result<(), Failure> {
    print_bytes(&Zeroizing::new([line.as_bytes(), b"\n"].concat()))
}

/// A whole result on stdout.
fn print_bytes(result: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(result).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::failed(format_args!("the result could not be written to stdout: {error}")))
}

/// A text as TOML has it, in quotes.
fn toml_text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The whole command line's definition, for what is generated from it.
fn definition() -> clap::Command {
    Arguments::command()
}

/// Reads the command line and does what it says.
pub fn run() -> ExitCode {
    let Arguments { command, log_format } = Arguments::parse();
    let filter =
        std::env::var_os(LOG_FILTER).map(|filter| filter.to_string_lossy().into_owned()).filter(|filter| !filter.trim().is_empty());
    if let Err(error) = start_logging(filter.as_deref().or(command.default_log_filter()), log_format) {
        return exit_code(Err(Failure::misused(error)));
    }
    exit_code(match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Keygen(arguments) => keygen::run(&arguments),
        Command::ApiKey(arguments) => api_key::run(&arguments),
        Command::Gravitee(arguments) => gravitee::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    })
}

fn exit_code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed) => ExitCode::from(1),
        Err(Failure::Misused) => ExitCode::from(2),
    }
}
