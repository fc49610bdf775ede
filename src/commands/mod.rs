//! What an operator types. A file per subcommand; what they share is how they end.

mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A token service for Maskinporten: gateways and services ask it for a token, and never hold a private key.
#[derive(Parser)]
#[command(name = "portvakt", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Simulate(simulate::Arguments),
}

/// Why a command did not do what it was asked to. Each is one exit code.
enum Failure {
    /// It was tried, and did not work: 1.
    DidNotWork(String),
    /// Wrong usage or configuration, keys included: 2.
    Configuration(String),
}

/// Runs the command that the process's arguments name.
///
/// Exit codes: 0 fine; 1 it did not work; 2 wrong usage or configuration, keys included.
pub fn run() -> ExitCode {
    // clap ends the process itself when usage is wrong, with 2.
    let done = match Arguments::parse().command {
        Command::Simulate(arguments) => simulate::run(arguments),
    };
    let (code, message) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::DidNotWork(message)) => (1, message),
        Err(Failure::Configuration(message)) => (2, message),
    };
    anstream::eprintln!("portvakt: {message}");
    ExitCode::from(code)
}
