//! The clients file of `portvakt simulate`: TOML in, [`Settings`] out. `deploy/quickstart/clients.toml` is a commented one.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use openssl::x509::X509;
use serde::{Deserialize, Deserializer, de};
use thiserror::Error;
use toml::Spanned;
use toml::value::Datetime;

use super::settings::{ClientSettings, DEFAULT_LIFETIME, Delegation, InvalidKey, RegisteredKey, ScopeSettings, Settings};

/// What is wrong with a clients file, and where.
#[derive(Debug, Error)]
pub enum ClientsFileError {
    /// The file itself cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Not TOML, an unknown key, a value that is not of the right kind: toml's own words, with line and column.
    #[error("{}: {source}", path.display())]
    Parse {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and where.
        source: Box<toml::de::Error>,
    },
    /// A file that it names is not what it should be.
    #[error("{}, line {line}: {}: {reason}", path.display(), named.display())]
    NamedFile {
        /// The clients file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The file that is named there.
        named: PathBuf,
        /// What is wrong with that.
        reason: String,
    },
}

impl Settings {
    /// Reads a clients file. The files that it names are relative to it.
    ///
    /// # Errors
    ///
    /// [`ClientsFileError`] names file and line.
    pub fn from_clients_file(path: &Path) -> Result<Self, ClientsFileError> {
        let text = fs::read_to_string(path).map_err(|source| ClientsFileError::Read { path: path.to_owned(), source })?;
        let file: ClientsFile =
            toml::from_str(&text).map_err(|source| ClientsFileError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        let place = Place { path, text: &text };
        let trust_anchors = file.ca_file.as_ref().map(|named| place.read(named, certificates)).transpose()?.unwrap_or_default();
        let clients = file.client.into_iter().map(|client| client.settings(&place)).collect::<Result<_, _>>()?;
        let lifetime = file.lifetime.map_or(DEFAULT_LIFETIME, |lifetime| lifetime.0);
        Ok(Self { trust_anchors, clients, lifetime, ..Self::default() })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientsFile {
    ca_file: Option<Spanned<PathBuf>>,
    lifetime: Option<Lifetime>,
    client: Vec<Client>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Client {
    #[serde(rename = "client_id")]
    id: WithoutSpaces,
    name: Option<String>,
    organisation: OrganisationNumber,
    scopes: Vec<Scope>,
    #[serde(default)]
    keys: Vec<Key>,
    #[serde(default)]
    delegations: Vec<DelegationInFile>,
    integration_type: Option<String>,
    lifetime: Option<Lifetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScopeInFile {
    scope: WithoutSpaces,
    lifetime: Option<Lifetime>,
    #[serde(default = "yes")]
    granted: bool,
    #[serde(default)]
    integration_types: Vec<String>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyInFile {
    jwk_file: Option<Spanned<PathBuf>>,
    pem_file: Option<Spanned<PathBuf>>,
    kid: Option<String>,
    expires: Option<Expiry>,
}

#[derive(Deserialize)]
#[serde(try_from = "KeyInFile")]
struct Key {
    form: KeyForm,
    expires: Option<Expiry>,
}

enum KeyForm {
    Jwk { file: Spanned<PathBuf> },
    Pem { file: Spanned<PathBuf>, kid: String },
}

impl TryFrom<KeyInFile> for Key {
    type Error = &'static str;

    fn try_from(key: KeyInFile) -> Result<Self, Self::Error> {
        let form = match (key.jwk_file, key.pem_file, key.kid) {
            (Some(file), None, None) => KeyForm::Jwk { file },
            (None, Some(file), Some(kid)) => KeyForm::Pem { file, kid },
            (Some(_), None, Some(_)) => return Err("a jwk_file has its kid inside: leave `kid` out"),
            _ => return Err("a key is a `jwk_file`, or a `pem_file` and its `kid`"),
        };
        Ok(Self { form, expires: key.expires })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DelegationInFile {
    consumer_org: OrganisationNumber,
    #[serde(default)]
    scopes: Vec<String>,
}

impl Client {
    fn settings(self, place: &Place<'_>) -> Result<ClientSettings, ClientsFileError> {
        let mut settings = ClientSettings::new(&self.id.0, &self.organisation.0);
        settings.scopes = self.scopes.into_iter().map(|Scope(scope)| scope).collect();
        settings.keys = self.keys.into_iter().map(|key| key.registered(place)).collect::<Result<_, _>>()?;
        settings.lifetime = self.lifetime.map(|lifetime| lifetime.0);
        settings.delegations = self
            .delegations
            .into_iter()
            .map(|delegation| Delegation { consumer_org: delegation.consumer_org.0, scopes: delegation.scopes })
            .collect();
        if let Some(name) = self.name {
            settings.name = name;
        }
        if let Some(integration_type) = self.integration_type {
            settings.integration_type = integration_type;
        }
        Ok(settings)
    }
}

impl Key {
    fn registered(self, place: &Place<'_>) -> Result<RegisteredKey, ClientsFileError> {
        let key = match &self.form {
            KeyForm::Jwk { file } => place.read(file, |bytes| Ok(RegisteredKey::from_jwk(&String::from_utf8_lossy(bytes))?))?,
            KeyForm::Pem { file, kid } => place.read(file, |bytes| Ok(RegisteredKey::from_pem(kid, bytes)?))?,
        };
        Ok(match self.expires {
            Some(Expiry(expires)) => key.expiring(expires),
            None => key,
        })
    }
}

/// Where an error is.
struct Place<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Place<'_> {
    fn read<T>(&self, named: &Spanned<PathBuf>, parse: impl FnOnce(&[u8]) -> Result<T, NotUsable>) -> Result<T, ClientsFileError> {
        let file = self.path.parent().unwrap_or(Path::new("")).join(named.get_ref());
        let bytes = fs::read(&file).map_err(|error| self.wrong(named, &error.to_string()))?;
        parse(&bytes).map_err(|NotUsable(reason)| self.wrong(named, &reason))
    }

    fn wrong(&self, named: &Spanned<PathBuf>, reason: &str) -> ClientsFileError {
        ClientsFileError::NamedFile {
            path: self.path.to_owned(),
            line: self.line(&named.span()),
            named: self.path.parent().unwrap_or(Path::new("")).join(named.get_ref()),
            reason: reason.to_owned(),
        }
    }

    fn line(&self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
    }
}

struct NotUsable(String);

impl From<InvalidKey> for NotUsable {
    fn from(error: InvalidKey) -> Self {
        Self(error.to_string())
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<X509>, NotUsable> {
    match X509::stack_from_pem(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(NotUsable("no certificate in PEM is in it".to_owned())),
        Err(error) => Err(NotUsable(format!("it is not certificates in PEM: {error}"))),
    }
}

/// A scope's name, or a table that says more about it.
struct Scope(ScopeSettings);

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Scope;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a scope's name, or a table with `scope`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scope, E> {
                let WithoutSpaces(scope) = WithoutSpaces::try_from(text.to_owned()).map_err(E::custom)?;
                Ok(Scope(scope.as_str().into()))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Scope, A::Error> {
                let ScopeInFile { scope, lifetime, granted, integration_types } =
                    ScopeInFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let lifetime = lifetime.map(|lifetime| lifetime.0);
                Ok(Scope(ScopeSettings { scope: scope.0, lifetime, granted, integration_types }))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A value that a stray space or line break would make another.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct WithoutSpaces(String);

impl TryFrom<String> for WithoutSpaces {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = text.is_empty() || text.chars().any(|character| character.is_whitespace() || character.is_control());
        if wrong { Err(format!("{text:?} must be one word without spaces or line breaks")) } else { Ok(Self(text)) }
    }
}

#[derive(Deserialize)]
#[serde(try_from = "String")]
struct OrganisationNumber(String);

impl TryFrom<String> for OrganisationNumber {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let right = text.len() == 9 && text.bytes().all(|byte| byte.is_ascii_digit());
        if right { Ok(Self(text)) } else { Err(format!("{text:?} is not an organisation number: it has 9 digits")) }
    }
}

/// Whole seconds, written as `"119s"` or `"2m"`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Lifetime(u32);

impl TryFrom<String> for Lifetime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let duration: Option<jiff::SignedDuration> = text.parse().ok();
        let seconds = duration.filter(|duration| duration.subsec_nanos() == 0).and_then(|duration| u32::try_from(duration.as_secs()).ok());
        match seconds {
            Some(seconds) if seconds > 0 => Ok(Self(seconds)),
            _ => Err(format!(
                "{text:?} is not a lifetime: write whole seconds, minutes or hours, 1 s at least, as in \"119s\", \"10m\" or \"2h\""
            )),
        }
    }
}

/// A date is valid to the end of that day in UTC; a date-time is taken as it is.
#[derive(Deserialize)]
#[serde(try_from = "Datetime")]
struct Expiry(SystemTime);

impl TryFrom<Datetime> for Expiry {
    type Error = String;

    fn try_from(datetime: Datetime) -> Result<Self, String> {
        let text = datetime.to_string();
        let end_of_day = || {
            let day: jiff::civil::Date = text.parse().ok()?;
            TimeZone::UTC.to_timestamp(day.tomorrow().ok()?.to_datetime(Time::midnight())).ok()
        };
        let moment = if datetime.time.is_none() { end_of_day() } else { text.parse::<jiff::Timestamp>().ok() };
        moment
            .and_then(|moment| SystemTime::try_from(moment).ok())
            .map(Self)
            .ok_or_else(|| format!("{text} must be a date, or a date-time with its offset, such as 2027-01-31T12:00:00Z"))
    }
}
