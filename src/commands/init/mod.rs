//! `portvakt init`: from answers or flags to a portvakt.toml, an API key for each caller, and what to do next.

mod answers;
mod configuration;
mod flags;
mod key;
mod next_steps;
mod questions;
mod targets;
mod wanted;

use std::io::{IsTerminal, stderr, stdin};
use std::path::Path;

use zeroize::Zeroizing;

use self::answers::{Answers, Plan};
use self::configuration::CallerLine;
pub(super) use self::flags::Arguments;
use self::key::PlannedKey;
use self::next_steps::Done;
use self::targets::Targets;
use super::check::key_failure;
use super::new_files::{NewFiles, Readers};
use super::signals::Signals;
use super::{Failure, print, say};
use crate::access::make_key;
use crate::config::Config;
use crate::maskinporten::{Algorithm, NewKey};

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let targets = Targets::beside(&arguments.config.config)?;
    targets.are_free(arguments.key.new_key)?;
    let answers = Answers::from_flags(arguments, &targets).map_err(Failure::misused)?;
    let plan = match answers.complete() {
        Ok(plan) => plan,
        // The questions are asked on stderr, for stdout may be caught in a file.
        Err(answers) if stdin().is_terminal() && stderr().is_terminal() => questions::ask(*answers, &targets)?,
        Err(answers) => return Err(Failure::misused(answers.missing())),
    };
    targets.are_free(matches!(plan.key, PlannedKey::New { .. }))?;
    carry_out(&plan, &targets)
}

/// All files or none.
fn carry_out(plan: &Plan, targets: &Targets) -> Result<(), Failure> {
    // It takes a second at most. Ended within it, files would be left behind, and with them an API key that nobody has seen.
    let _signals = Signals::passed_over().map_err(|error| Failure::failed(format_args!("signals cannot be passed over: {error}")))?;
    let mut files = NewFiles::default();
    let public_key = match &plan.key {
        PlannedKey::New { kid } => {
            let new = NewKey::make(2048, kid).map_err(Failure::failed)?;
            files.write(&targets.private_key, Readers::OwnerOnly, &new.to_pem().map_err(Failure::failed)?, targets::ANOTHER)?;
            Some(new.signing_key().public_jwk(kid, Algorithm::default()).map_err(Failure::failed)?)
        }
        PlannedKey::Existing(key) => key.registered_jwk().map_err(Failure::failed)?,
    };
    if let Some(jwk) = &public_key
        && (plan.key.is_new() || plan.is_simulated())
    {
        files.write(&targets.public_key, Readers::Everyone, format!("[{jwk}]\n").as_bytes(), targets::ANOTHER)?;
    }

    let mut api_keys: Vec<Zeroizing<String>> = Vec::new();
    let mut callers = Vec::new();
    for name in &plan.callers {
        let made = make_key().map_err(|error| Failure::failed(format_args!("OpenSSL gave no randomness for an API key: {error}")))?;
        callers.push(CallerLine { name, digest: made.digest });
        api_keys.push(made.key);
    }
    let text = configuration::text(plan, targets, &callers);
    files.write(&targets.configuration, Readers::Everyone, text.as_bytes(), targets::ANOTHER)?;
    if plan.is_simulated() && public_key.is_some() {
        files.write(&targets.clients, Readers::Everyone, configuration::clients(plan).as_bytes(), targets::ANOTHER)?;
    }
    let warnings = accepted(&targets.configuration)?;

    let clients = plan.is_simulated() && public_key.is_some();
    let done = Done { plan, targets, public_key: public_key.as_deref().filter(|_| plan.key.is_new()), clients };
    say(done.files());
    for warning in warnings {
        say(format_args!("warning: {warning}"));
    }
    for (caller, key) in plan.callers.iter().zip(&api_keys) {
        say(format_args!("\nThe API key of {caller}, shown this once:"));
        print(key)?;
    }
    // Not before: a file for an API key that nobody has seen is of no use.
    files.keep();
    say(done.what_to_do());
    Ok(())
}

/// What `serve` would read is read here, and what it would warn of is said. A file of our own that it refuses is a defect. A key that
/// `check` fails, for its certificate has expired or is another environment's, is better told of now.
fn accepted(file: &Path) -> Result<Vec<String>, Failure> {
    let config = Config::load(file).map_err(|error| Failure::configuration(&error))?;
    match key_failure(&config) {
        None => Ok(config.warnings.iter().map(ToString::to_string).collect()),
        Some(found) => {
            Err(Failure::misused(format_args!("the key cannot be used here: {}. Nothing was written", found.trim_end_matches('.'))))
        }
    }
}
