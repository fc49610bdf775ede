//! `portvakt keygen`: a key to register at Maskinporten, or the public half of one that exists.

mod existing;
mod expiry;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use uuid::Uuid;
use zeroize::Zeroizing;

use self::existing::Existing;
pub(super) use self::expiry::expires_at_maskinporten;
use super::new_files::{NewFiles, Readers};
use super::{Failure, print, say, toml_text};
use crate::maskinporten::{Algorithm, KeyError, NewKey};

const EXAMPLES: &str = "\
The private key goes into a file that only you can read. On stdout comes one
line, the public key, to be posted on the integration in Samarbeidsportalen; on
stderr, the line for portvakt.toml and what to do next.

Examples:
  portvakt keygen
  portvakt keygen --out 2027.jwk --format jwk --bits 4096
  portvakt keygen --from key.pem --kid 0a6c…      to post it again when it has expired
  portvakt keygen --from old.p12 --password-file old.pw --kid 0a6c…";

/// Make a key to register at Maskinporten, or show the public half of one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The file for the private key; none is ever overwritten [default: key.pem or key.jwk]
    #[arg(long, value_name = "FILE", help_heading = "A new key")]
    out: Option<String>,
    /// How the private key is written: PEM (PKCS#8), or a JWK with its kid
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "pem", hide_possible_values = true, help_heading = "A new key")]
    format: Format,
    /// The key's length: 2048, 3072 or 4096
    #[arg(long, value_name = "BITS", default_value = "2048", value_parser = bits(), hide_possible_values = true, help_heading = "A new key")]
    bits: u32,

    /// An existing private key: PEM, a JWK, or PKCS#12
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "format", "bits"], help_heading = "A key that exists")]
    from: Option<PathBuf>,
    /// The file with its password
    #[arg(long, value_name = "FILE", requires = "from", help_heading = "A key that exists")]
    password_file: Option<PathBuf>,

    /// Its name at Maskinporten, unique among all customers [default: a new UUID]
    #[arg(long, value_name = "KID", value_parser = kid, help_heading = "What is registered")]
    kid: Option<String>,
    /// What it signs with: RS256, RS384 or RS512
    #[arg(long, value_name = "ALG", default_value_t, help_heading = "What is registered")]
    algorithm: Algorithm,
}

/// How a private key is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Pem,
    Jwk,
}

fn bits() -> impl TypedValueParser<Value = u32> {
    PossibleValuesParser::new(["2048", "3072", "4096"]).map(|text| text.parse().unwrap_or(2048))
}

/// A kid that a JWK and portvakt.toml can have.
pub(super) fn kid(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("it is empty".to_owned())
    } else if text.trim() != text || text.contains(char::is_control) {
        Err("it begins or ends with a space, or has a control character in it".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.from {
        Some(file) => show_existing(file, arguments),
        None => make(arguments),
    }
}

fn make(arguments: &Arguments) -> Result<(), Failure> {
    let (default_name, key_name) = match arguments.format {
        Format::Pem => ("key.pem", "private_key_file"),
        Format::Jwk => ("key.jwk", "jwk_file"),
    };
    let file = arguments.out.as_deref().unwrap_or(default_name);
    let kid = arguments.kid.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let new = NewKey::make(arguments.bits, &kid).map_err(|error| not_made(&error))?;
    let private_key = private_key(&new, arguments).map_err(|error| not_made(&error))?;
    let public_key = new.signing_key().public_jwk(&kid, arguments.algorithm).map_err(|error| not_made(&error))?;

    let mut files = NewFiles::default();
    files.write(Path::new(file), Readers::OwnerOnly, &private_key, "name another file with --out")?;
    // From here on it exists, whatever becomes of the rest: it can be shown again.
    files.keep();
    say(format_args!(
        "The private key is in {file} (RSA, {} bits, mode 0600), and nowhere else: keep it as the secret that it is.",
        arguments.bits
    ));
    let line = match arguments.format {
        Format::Pem => format!("key = {{ {key_name} = {}, kid = {} }}", toml_text(file), toml_text(&kid)),
        Format::Jwk => format!("key = {{ {key_name} = {} }}", toml_text(file)),
    };
    show(&public_key, Some(&line), arguments.algorithm)
}

fn not_made(error: &KeyError) -> Failure {
    Failure::failed(format_args!("no key could be made: {error}"))
}

fn private_key(new: &NewKey, arguments: &Arguments) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    match arguments.format {
        Format::Pem => new.to_pem(),
        Format::Jwk => new.to_jwk(arguments.algorithm),
    }
}

fn show_existing(file: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let existing = Existing::open(file, arguments.password_file.as_deref(), arguments.kid.as_deref()).map_err(Failure::misused)?;
    let wrong = |error| Failure::misused(format_args!("{}: {error}", file.display()));
    let public_key = existing.key.public_jwk(&existing.kid, arguments.algorithm).map_err(wrong)?;
    say(format_args!("The key in {} (RSA, {} bits, thumbprint {}).", file.display(), existing.key.bits(), existing.key.thumbprint()));
    if let Some(choice) = existing.key.choice() {
        say(choice);
    }
    let line = existing.line();
    if line.is_none() {
        say("The integration needs the private key in a file by itself. To get it out:");
        say(format_args!("  (umask 077; openssl pkcs12 -in {} -nocerts -noenc -out key.pem)", file.display()));
    }
    show(&public_key, line.as_deref(), arguments.algorithm)
}

/// The public key on stdout, and around it, on stderr, where it goes.
fn show(public_key: &str, line: Option<&str>, algorithm: Algorithm) -> Result<(), Failure> {
    say("\nThe public key, for Samarbeidsportalen:");
    print(&format!("[{public_key}]"))?;
    if let Some(line) = line {
        say("\nThe integration's line in portvakt.toml, which looks for a relative file name beside itself:");
        say(format_args!("  {line}"));
        if algorithm != Algorithm::default() {
            say(format_args!("  algorithm = \"{algorithm}\""));
        }
    }
    say("\nWhat to do next:");
    say("  1. In Samarbeidsportalen, open the integration and add the public key to its keys, with the square brackets.");
    say("  2. Put the line into portvakt.toml. Maskinporten knows the key within two minutes.");
    say("  3. portvakt check");
    if let Some(day) = expires_at_maskinporten() {
        say(format_args!("\nPosted today, it will have expired at Maskinporten on {day}: one year from the day that it is posted."));
        say("Post it again before (portvakt keygen --from), or a new one.");
    }
    Ok(())
}
