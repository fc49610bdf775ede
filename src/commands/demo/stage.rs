//! Where the demo plays: a directory with keys and a portvakt.toml, a simulated Maskinporten, and the service itself.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use openssl::error::ErrorStack;
use tempfile::TempDir;
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::super::service::Service;
use super::super::start_error::StartError;
use super::throwaway::{ORGANISATION_NAME, ORGANISATION_NUMBER, ThrowAway, ThrowAwayError};
use crate::access::{Digest, make_key};
use crate::config::{Config, ConfigError};
use crate::simulator::{self, ClientSettings, InvalidKey, RegisteredKey, Settings, Simulator};

pub(super) const UTEN_HJEMMEL: &str = "folkeregister:deling/offentligutenhjemmel";
pub(super) const MED_HJEMMEL: &str = "folkeregister:deling/offentligmedhjemmel";
pub(super) const KONTAKTINFORMASJON: &str = "krr:global/kontaktinformasjon.read";

const FREG_SCOPES: [&str; 2] = [UTEN_HJEMMEL, MED_HJEMMEL];
const KRR_SCOPES: [&str; 1] = [KONTAKTINFORMASJON];

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// The gateway, for Folkeregisteret: all of its scopes.
    GatewayFreg,
    /// The gateway, for Kontakt- og reservasjonsregisteret.
    GatewayKrr,
    /// A system of its own, that may only read without hjemmel.
    Archive,
}

/// Whose token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integration {
    /// Signs with a virksomhetssertifikat.
    Freg,
    /// Signs with a registered key.
    Krr,
}

impl Caller {
    pub(super) const ALL: [Self; 3] = [Self::GatewayFreg, Self::GatewayKrr, Self::Archive];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::GatewayFreg => "gateway-freg",
            Self::GatewayKrr => "gateway-krr",
            Self::Archive => "archive",
        }
    }

    /// Its rules, as they stand in the file.
    fn may(self) -> String {
        let scopes = match self {
            Self::GatewayFreg => "folkeregister:deling/*",
            Self::GatewayKrr => KONTAKTINFORMASJON,
            Self::Archive => UTEN_HJEMMEL,
        };
        let integration = if self == Self::GatewayKrr { Integration::Krr } else { Integration::Freg };
        format!("{{ integration = \"{}\", scopes = [\"{scopes}\"] }}", integration.name())
    }
}

impl Integration {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Freg => "freg",
            Self::Krr => "krr",
        }
    }

    pub(super) fn client_id(self) -> &'static str {
        match self {
            Self::Freg => "11111111-2222-3333-4444-555555555555",
            Self::Krr => "66666666-7777-8888-9999-000000000000",
        }
    }
}

/// Everything that runs. The directory is removed when it is dropped.
pub(super) struct Stage {
    pub(super) simulator: Simulator,
    service: Service,
    api_keys: Vec<(Caller, Zeroizing<String>)>,
    kid: String,
    directory: TempDir,
}

/// The stage could not be set.
#[derive(Debug, Error)]
pub(super) enum StageError {
    #[error("the demo's keys could not be made: {0}")]
    Keys(#[from] ThrowAwayError),
    #[error("OpenSSL gave no randomness for an API key: {0}")]
    ApiKey(ErrorStack),
    #[error("the demo's key cannot be registered at its simulator: {0}")]
    Registered(#[from] InvalidKey),
    #[error("the demo's files could not be written below {}: {source}", directory.display())]
    Files { directory: PathBuf, source: io::Error },
    #[error("the simulator did not start: {0}")]
    Simulator(#[from] simulator::StartError),
    #[error("the demo's own portvakt.toml is refused:\n{0}")]
    Configuration(#[from] ConfigError),
    #[error("the service did not start: {0}")]
    Service(#[from] StartError),
}

impl Stage {
    /// Makes keys, writes them down beside a portvakt.toml, and starts both sides from there.
    pub(super) fn set() -> Result<Self, StageError> {
        let mut api_keys = Vec::new();
        for caller in Caller::ALL {
            api_keys.push((caller, make_key().map_err(StageError::ApiKey)?.key));
        }
        let password = make_key().map_err(StageError::ApiKey)?.key;
        let keys = ThrowAway::make(&password)?;
        let kid = format!("demo-{}", Uuid::new_v4());
        let simulator = simulator(&keys, &kid)?;

        let failed = |source| StageError::Files { directory: std::env::temp_dir(), source };
        let directory = tempfile::Builder::new().prefix("portvakt-demo-").permissions(Permissions::from_mode(0o700)).tempdir();
        let directory = directory.map_err(failed)?;
        let configuration = configuration(&simulator, &kid, &api_keys);
        let files = [
            ("virksomhetssertifikat.p12", keys.pkcs12.as_slice()),
            ("virksomhetssertifikat.password", password.as_bytes()),
            ("registered.pem", &keys.registered_pem),
            ("portvakt.toml", configuration.as_bytes()),
        ];
        for (name, contents) in files {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(directory.path().join(name));
            file.and_then(|mut file| file.write_all(contents)).map_err(failed)?;
        }

        let service = Service::start(&Config::load(&directory.path().join("portvakt.toml"))?)?;
        Ok(Self { simulator, service, api_keys, kid, directory })
    }

    /// Where tokens are handed out.
    pub(super) fn tokens(&self) -> SocketAddr {
        self.service.tokens_address()
    }

    /// Where health and metrics are.
    pub(super) fn management(&self) -> SocketAddr {
        self.service.management_address()
    }

    pub(super) fn kid(&self) -> &str {
        &self.kid
    }

    /// The file that the service was started with.
    pub(super) fn configuration_file(&self) -> PathBuf {
        self.directory.path().join("portvakt.toml")
    }

    pub(super) fn api_key(&self, caller: Caller) -> &str {
        self.api_keys.iter().find(|(known, _)| *known == caller).map_or("", |(_, key)| key.as_str())
    }

    /// Ends the service, the simulator, and the directory.
    pub(super) async fn clear(self) -> io::Result<()> {
        self.service.stop().await;
        self.directory.close()
    }
}

fn simulator(keys: &ThrowAway, kid: &str) -> Result<Simulator, StageError> {
    let client = |integration: Integration, scopes: &[&str]| {
        let client = ClientSettings::new(integration.client_id(), ORGANISATION_NUMBER);
        scopes.iter().fold(client, |client, scope| client.scope(*scope))
    };
    let registered = RegisteredKey::new(kid, keys.registered_public.clone())?;
    let settings = Settings::new()
        .trust(keys.ca.clone())
        .client(client(Integration::Freg, &FREG_SCOPES))
        .client(client(Integration::Krr, &KRR_SCOPES).key(registered));
    Ok(Simulator::start(settings)?)
}

/// The operator's file, as one would write it.
fn configuration(simulator: &Simulator, kid: &str, api_keys: &[(Caller, Zeroizing<String>)]) -> String {
    let (freg, krr) = (Integration::Freg, Integration::Krr);
    let mut text = format!(
        r#"# Written by `portvakt demo`, and removed when it ends. Organisation, keys and certificates are made up.

[server]
listen = "127.0.0.1:0"
shutdown_grace = "1s"

[management]
listen = "127.0.0.1:0"

[environment.simulator]
issuer = "{issuer}"
token_endpoint = "{token_endpoint}"

# Folkeregisteret, signed with the virksomhetssertifikat of {ORGANISATION_NAME}.
[[integration]]
name = "{freg_name}"
client_id = "{freg_id}"
environment = "simulator"
key = {{ pkcs12_file = "virksomhetssertifikat.p12", password_file = "virksomhetssertifikat.password" }}

# Kontakt- og reservasjonsregisteret, signed with a registered key.
[[integration]]
name = "{krr_name}"
client_id = "{krr_id}"
environment = "simulator"
key = {{ private_key_file = "registered.pem", kid = "{kid}" }}
"#,
        issuer = simulator.issuer(),
        token_endpoint = simulator.token_endpoint(),
        freg_name = freg.name(),
        freg_id = freg.client_id(),
        krr_name = krr.name(),
        krr_id = krr.client_id(),
    );
    text.extend(api_keys.iter().map(|(caller, key)| {
        let (name, digest, may) = (caller.name(), Digest::of(key.as_bytes()).to_hex(), caller.may());
        format!("\n[[caller]]\nname = \"{name}\"\nkeys = [{{ sha256 = \"{digest}\" }}]\nmay = [{may}]\n")
    }));
    text
}
