//! What is asked for: from flags, and from files for what can name a person, since others can see a command line.

use std::fs::File;
use std::io::{Read, stdin};

use zeroize::Zeroizing;

use crate::maskinporten::{GrantRequest, Scopes};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "What to ask for")]
pub(super) struct Parameters {
    /// As which: its name, or its client ID [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(super) integration: Option<String>,
    /// A scope, or several in quotes; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,
    /// An audience of the token; may be repeated
    #[arg(long, value_name = "URL")]
    resource: Vec<String>,
    /// The organisation that has delegated in Altinn: 9 digits
    #[arg(long, value_name = "NUMBER", value_parser = organisation_number, conflicts_with = "iss_onbehalfof")]
    consumer_org: Option<String>,
    /// The party that the client acts for
    #[arg(long, value_name = "ID")]
    iss_onbehalfof: Option<String>,
    /// A file with a JSON array; - is stdin
    #[arg(long, value_name = "FILE")]
    authorization_details: Option<String>,
    /// A file with a person's 11 digits; - is stdin
    #[arg(long, value_name = "FILE")]
    pid_file: Option<String>,
}

/// What is asked for, checked as far as it can be without Maskinporten.
pub(super) struct Request {
    pub(super) scopes: Scopes,
    resource: Vec<String>,
    consumer_org: Option<String>,
    iss_onbehalfof: Option<String>,
    authorization_details: Option<Zeroizing<String>>,
    pid: Option<Zeroizing<String>>,
}

impl Request {
    /// The error is a whole sentence, and shows nothing that a file holds.
    pub(super) fn read(arguments: &Parameters) -> Result<Self, String> {
        let from_stdin = |file: &Option<String>| file.as_deref() == Some("-");
        if from_stdin(&arguments.authorization_details) && from_stdin(&arguments.pid_file) {
            return Err("--authorization-details and --pid-file cannot both be stdin: put one of them into a file".to_owned());
        }
        let scopes = Scopes::parse(&arguments.scopes.join(" ")).map_err(|error| format!("--scope: {error}"))?;
        let read = |file: &Option<String>, flag| file.as_deref().map(|file| contents(file, flag)).transpose();
        let authorization_details = read(&arguments.authorization_details, "--authorization-details")?;
        let pid = read(&arguments.pid_file, "--pid-file")?;
        if pid.as_ref().is_some_and(|pid| pid.len() != 11 || !pid.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err("--pid-file: it does not hold 11 digits and nothing else".to_owned());
        }
        Ok(Self {
            scopes,
            resource: arguments.resource.clone(),
            consumer_org: arguments.consumer_org.clone(),
            iss_onbehalfof: arguments.iss_onbehalfof.clone(),
            authorization_details,
            pid,
        })
    }

    pub(super) fn as_grant_request(&self) -> GrantRequest<'_> {
        GrantRequest {
            scopes: &self.scopes,
            resource: &self.resource,
            consumer_org: self.consumer_org.as_deref(),
            iss_onbehalfof: self.iss_onbehalfof.as_deref(),
            authorization_details: self.authorization_details.as_deref().map(String::as_str),
            pid: self.pid.as_deref().map(String::as_str),
        }
    }
}

fn organisation_number(text: &str) -> Result<String, String> {
    let good = text.len() == 9 && text.bytes().all(|byte| byte.is_ascii_digit());
    if good { Ok(text.to_owned()) } else { Err("an organisation number has 9 digits, and nothing else".to_owned()) }
}

/// A text of at most 64 KiB, without the white space around it.
fn contents(file: &str, flag: &str) -> Result<Zeroizing<String>, String> {
    const LARGEST: u64 = 64 * 1024;
    let mut text = Zeroizing::new(String::new());
    let read = match file {
        "-" => stdin().take(LARGEST + 1).read_to_string(&mut text),
        file => File::open(file).and_then(|opened| opened.take(LARGEST + 1).read_to_string(&mut text)),
    };
    let name = if file == "-" { "stdin" } else { file };
    read.map_err(|error| format!("{flag}: {name} cannot be read: {error}"))?;
    if u64::try_from(text.len()).is_ok_and(|length| length > LARGEST) {
        return Err(format!("{flag}: {name} is larger than 64 KiB"));
    }
    let trimmed = text.trim();
    if trimmed.is_empty() { Err(format!("{flag}: {name} is empty")) } else { Ok(Zeroizing::new(trimmed.to_owned())) }
}
