//! What can be said on the command line, so that nothing is asked.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::super::ConfigArgument;
use super::super::keygen::kid;
use super::answers::{caller_name, client_id, environment_name};
use crate::maskinporten::Scopes;

const EXAMPLES: &str = "\
On a terminal it asks for what the flags leave open. Nothing is overwritten.
stdout has the API keys and nothing else, a line for each caller: they are
shown this once.

Examples:
  portvakt init
  portvakt init --environment test --client-id 2d6f… --new-key --krr
  portvakt init --environment simulator --client-id x --new-key --scope a:b";

/// Write a commented portvakt.toml from answers or flags, and say what to do next
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in crate::commands) struct Arguments {
    #[command(flatten)]
    pub(super) config: ConfigArgument,

    #[command(flatten)]
    pub(super) client: ClientFlags,
    #[command(flatten)]
    pub(super) key: KeyFlags,
    #[command(flatten)]
    pub(super) scopes: ScopeFlags,

    /// Who asks, for logs; repeatable [default: gravitee]
    #[arg(long = "caller", value_name = "NAME", value_parser = caller_name, help_heading = "Who asks for what")]
    pub(super) callers: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "The client at Maskinporten")]
pub(super) struct ClientFlags {
    /// prod, test, simulator, sky-prod, sky-test …
    #[arg(long, value_name = "NAME", value_parser = environment_name)]
    pub(super) environment: Option<String>,
    /// Its client ID, as Samarbeidsportalen shows it
    #[arg(long, value_name = "ID", value_parser = client_id)]
    pub(super) client_id: Option<String>,
    /// A new environment's issuer, to the slash
    #[arg(long, value_name = "URL", requires = "environment")]
    pub(super) issuer: Option<String>,
    /// Its token endpoint [default: issuer + token]
    #[arg(long, value_name = "URL", requires = "environment")]
    pub(super) token_endpoint: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Its key, one of")]
pub(super) struct KeyFlags {
    /// Make one to be registered: key.pem
    #[arg(long, conflicts_with_all = ["pkcs12_file", "private_key_file", "jwk_file", "certificate_file", "password_file"])]
    pub(super) new_key: bool,
    /// A virksomhetssertifikat as PKCS#12
    #[arg(long, value_name = "FILE", conflicts_with_all = ["private_key_file", "jwk_file", "certificate_file", "kid"])]
    pub(super) pkcs12_file: Option<PathBuf>,
    /// A registered key, or a certificate's, in PEM
    #[arg(long, value_name = "FILE", conflicts_with = "jwk_file")]
    pub(super) private_key_file: Option<PathBuf>,
    /// Its virksomhetssertifikat in PEM
    #[arg(long, value_name = "FILE", requires = "private_key_file", conflicts_with = "kid")]
    pub(super) certificate_file: Option<PathBuf>,
    /// A registered key as a private JWK
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kid", "password_file"])]
    pub(super) jwk_file: Option<PathBuf>,
    /// The file with its password
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// Its name at Maskinporten [default: a UUID]
    #[arg(long, value_name = "KID", value_parser = kid)]
    pub(super) kid: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Who asks for what")]
pub(super) struct ScopeFlags {
    /// Folkeregisteret: uten-hjemmel or med-hjemmel
    #[arg(long, value_enum, value_name = "ACCESS", hide_possible_values = true)]
    pub(super) freg: Option<Freg>,
    /// Kontakt- og reservasjonsregisteret
    #[arg(long)]
    pub(super) krr: bool,
    /// Another, or several of one token in quotes; repeatable
    #[arg(long = "scope", value_name = "SCOPE", value_parser = super::wanted::scopes)]
    pub(super) others: Vec<Scopes>,
}

/// The plans of the sector's FREG API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Freg {
    UtenHjemmel,
    MedHjemmel,
}
