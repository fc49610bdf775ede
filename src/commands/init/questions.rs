//! Questions on a terminal, for what the flags leave open. They are asked on stderr.

use std::fmt;
use std::path::PathBuf;

use inquire::validator::Validation;
use inquire::{InquireError, MultiSelect, Select, Text};

use super::super::keygen::kid;
use super::super::{Failure, say};
use super::answers::{self, Answers, Plan};
use super::flags::Freg;
use super::key::{KeyFiles, PlannedKey};
use super::targets::Targets;
use super::wanted::{self, Wanted};
use crate::maskinporten::Environment;

/// Asks until all is known.
pub(super) fn ask(mut answers: Answers, targets: &Targets) -> Result<Plan, Failure> {
    say("Each question has its own flag: see portvakt init --help. Nothing is written before the last one is answered.");
    if answers.environment.is_none() {
        answers.environment = Some(environment()?);
    }
    if answers.client_id.is_none() {
        let help = "The integration's ID in Samarbeidsportalen, normally a UUID";
        answers.client_id = Some(text("Client ID at Maskinporten:", help, None, answers::client_id)?);
    }
    if answers.key.is_none() {
        answers.key = Some(key(targets)?);
    }
    if answers.wanted.is_empty() {
        answers.wanted = wanted()?;
    }
    if answers.callers.is_empty() {
        let default = answers::default_caller(&answers.wanted);
        let help = "A name for logs and metrics; more can be added to the file";
        answers.callers = vec![text("Who will ask for tokens?", help, Some(&default), answers::caller_name)?];
    }
    answers.complete().map_err(|answers| Failure::misused(answers.missing()))
}

fn environment() -> Result<Environment, Failure> {
    const SIMULATED: &str = "simulator, on this machine, to try it out";
    let options = vec!["test", "prod", "sky-test", "sky-prod", SIMULATED];
    let chosen = Select::new("Which environment of Maskinporten?", options).prompt().map_err(unanswered)?;
    Environment::built_in(chosen).map_or_else(|| answers::simulator().map_err(Failure::failed), Ok)
}

/// The forms that a key can have.
#[derive(Clone, Copy)]
enum Form {
    New,
    Pkcs12,
    Certificate,
    Registered,
    Jwk,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::New => "a new key, to be registered on the integration",
            Self::Pkcs12 => "a virksomhetssertifikat, in a PKCS#12 file (.p12, .pfx)",
            Self::Certificate => "a virksomhetssertifikat, as PEM",
            Self::Registered => "a key that is registered already, as PEM",
            Self::Jwk => "a key that is registered already, as a private JWK",
        })
    }
}

/// Asks again when the files do not open.
fn key(targets: &Targets) -> Result<PlannedKey, Failure> {
    let forms = vec![Form::New, Form::Pkcs12, Form::Certificate, Form::Registered, Form::Jwk];
    loop {
        let form = Select::new("What does the integration sign with?", forms.clone()).prompt().map_err(unanswered)?;
        let files = match form {
            Form::New => {
                targets.are_free(true)?;
                return Ok(PlannedKey::new(None));
            }
            Form::Pkcs12 => KeyFiles::Pkcs12 { file: file("The PKCS#12 file:")?, password: password("its password")? },
            Form::Certificate => KeyFiles::Certificate {
                certificate: file("The certificate, with its chain:")?,
                private_key: file("Its private key (may be the same file):")?,
                password: password("the private key's password, if it has one")?,
            },
            Form::Registered => KeyFiles::Registered {
                private_key: file("The private key:")?,
                password: password("its password, if it has one")?,
                kid: text("Its kid at Maskinporten:", "As Samarbeidsportalen shows it", None, kid)?,
            },
            Form::Jwk => KeyFiles::Jwk { file: file("The private JWK:")? },
        };
        match files.open(targets) {
            Ok(key) => return Ok(key),
            Err(error) => say(format_args!("That key cannot be used. {error}")),
        }
    }
}

fn file(question: &str) -> Result<PathBuf, Failure> {
    let is_file = |text: &str| {
        let path = PathBuf::from(text);
        if path.is_file() { Ok(path) } else { Err("there is no such file".to_owned()) }
    };
    text(question, "A file's name, seen from this directory", None, is_file)
}

fn password(of_what: &str) -> Result<Option<PathBuf>, Failure> {
    let is_file = |text: &str| match PathBuf::from(text) {
        _ if text.is_empty() => Ok(None),
        path if path.is_file() => Ok(Some(path)),
        _ => Err("there is no such file".to_owned()),
    };
    text(&format!("The file that holds {of_what}:"), "Empty: no password. The password itself is never put on the screen", None, is_file)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    FregUtenHjemmel,
    FregMedHjemmel,
    Krr,
    Others,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FregUtenHjemmel => "Folkeregisteret, uten hjemmel",
            Self::FregMedHjemmel => "Folkeregisteret, med hjemmel",
            Self::Krr => "Kontakt- og reservasjonsregisteret",
            Self::Others => "other scopes",
        })
    }
}

fn wanted() -> Result<Wanted, Failure> {
    let purposes = vec![Purpose::FregUtenHjemmel, Purpose::FregMedHjemmel, Purpose::Krr, Purpose::Others];
    let chosen = MultiSelect::new("What are the tokens for?", purposes)
        .with_help_message("Space marks, Enter goes on")
        .with_validator(|chosen: &[inquire::list_option::ListOption<&Purpose>]| {
            Ok(if chosen.is_empty() { Validation::Invalid("mark at least one, with Space".into()) } else { Validation::Valid })
        })
        .prompt()
        .map_err(unanswered)?;
    let freg = if chosen.contains(&Purpose::FregMedHjemmel) {
        Some(Freg::MedHjemmel)
    } else {
        chosen.contains(&Purpose::FregUtenHjemmel).then_some(Freg::UtenHjemmel)
    };
    let others = if chosen.contains(&Purpose::Others) {
        vec![text("Which scopes?", "Separated by spaces; as they are registered on the integration", None, wanted::scopes)?]
    } else {
        Vec::new()
    };
    Ok(Wanted::new(freg, chosen.contains(&Purpose::Krr), others))
}

/// One line, asked for again until it can be used.
fn text<T: 'static>(question: &str, help: &str, default: Option<&str>, read: fn(&str) -> Result<T, String>) -> Result<T, Failure> {
    let check = move |text: &str| {
        Ok(match read(text.trim()) {
            Ok(_) => Validation::Valid,
            Err(why) => Validation::Invalid(why.into()),
        })
    };
    let mut prompt = Text::new(question).with_help_message(help).with_validator(check);
    prompt.default = default;
    let answer = prompt.prompt().map_err(unanswered)?;
    read(answer.trim()).map_err(Failure::misused)
}

fn unanswered(error: InquireError) -> Failure {
    match error {
        InquireError::OperationCanceled | InquireError::OperationInterrupted => {
            Failure::failed("ended before all questions were answered: nothing was written")
        }
        error => {
            Failure::failed(format_args!("the question could not be asked: {error}. With flags nothing is asked: see portvakt init --help"))
        }
    }
}
