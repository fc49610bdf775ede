//! The key that the integration is to sign with: a new one, or one in files that are there.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::super::toml_text;
use super::flags::KeyFlags;
use super::targets::{PRIVATE_KEY, Targets};
use crate::config::{read_password_file, read_secret_file};
use crate::maskinporten::{Algorithm, KeyError, SigningKey};

/// The key, decided.
pub(super) enum PlannedKey {
    /// To be made.
    New { kid: String },
    /// There, and opened.
    Existing(Box<ExistingKey>),
}

/// A key that opens, and how portvakt.toml names it.
pub(super) struct ExistingKey {
    key: SigningKey,
    line: String,
}

/// The files of a key that exists.
#[derive(Clone, Debug)]
pub(super) enum KeyFiles {
    Pkcs12 { file: PathBuf, password: Option<PathBuf> },
    Certificate { certificate: PathBuf, private_key: PathBuf, password: Option<PathBuf> },
    Registered { private_key: PathBuf, password: Option<PathBuf>, kid: String },
    Jwk { file: PathBuf },
}

impl PlannedKey {
    pub(super) fn new(kid: Option<String>) -> Self {
        Self::New { kid: kid.unwrap_or_else(|| Uuid::new_v4().to_string()) }
    }

    /// What the flags say of it, when they say enough.
    pub(super) fn from_flags(flags: &KeyFlags, targets: &Targets) -> Result<Option<Self>, String> {
        if flags.new_key {
            return Ok(Some(Self::new(flags.kid.clone())));
        }
        let password = flags.password_file.clone();
        let files = match (&flags.pkcs12_file, &flags.certificate_file, &flags.private_key_file, &flags.jwk_file, &flags.kid) {
            (Some(file), ..) => KeyFiles::Pkcs12 { file: file.clone(), password },
            (_, Some(certificate), Some(private_key), ..) => {
                KeyFiles::Certificate { certificate: certificate.clone(), private_key: private_key.clone(), password }
            }
            (_, _, Some(private_key), _, Some(kid)) => {
                KeyFiles::Registered { private_key: private_key.clone(), password, kid: kid.clone() }
            }
            (_, _, Some(_), _, None) => {
                return Err(
                    "--private-key-file alone: a registered key needs its --kid, a certificate's key its --certificate-file".to_owned()
                );
            }
            (_, _, _, Some(file), _) => KeyFiles::Jwk { file: file.clone() },
            (_, _, None, None, _) => return Ok(None),
        };
        files.open(targets).map(Some)
    }

    pub(super) fn is_new(&self) -> bool {
        matches!(self, Self::New { .. })
    }

    /// The table of `key = …`.
    pub(super) fn line(&self) -> String {
        match self {
            Self::New { kid } => format!("{{ private_key_file = \"{PRIVATE_KEY}\", kid = {} }}", toml_text(kid)),
            Self::Existing(key) => key.line.clone(),
        }
    }
}

impl ExistingKey {
    /// The public key, when it is a registered one.
    pub(super) fn registered_jwk(&self) -> Result<Option<String>, KeyError> {
        self.key.kid().map(|kid| self.key.public_jwk(kid, Algorithm::default())).transpose()
    }
}

impl KeyFiles {
    /// Opens it, so that a wrong file or password is told of now and not by `serve`.
    pub(super) fn open(&self, targets: &Targets) -> Result<PlannedKey, String> {
        let key = self.signing_key()?;
        Ok(PlannedKey::Existing(Box::new(ExistingKey { key, line: self.line(targets)? })))
    }

    fn signing_key(&self) -> Result<SigningKey, String> {
        let now = SystemTime::now();
        let secret = |password: &Option<PathBuf>| -> Result<Option<SecretString>, String> {
            password.as_deref().map(read_password_file).transpose()
        };
        let wrong = |file: &Path| {
            let file = file.display().to_string();
            move |error: KeyError| format!("{file}: {error}")
        };
        match self {
            Self::Pkcs12 { file, password } => {
                let (contents, password) = (read_secret_file(file)?, secret(password)?);
                let password = password.as_ref().map_or("", |password| password.expose_secret());
                SigningKey::from_pkcs12(contents.expose_secret(), password, None, now).map_err(wrong(file))
            }
            Self::Certificate { certificate, private_key, password } => {
                let (contents, key, password) = (read_secret_file(certificate)?, read_secret_file(private_key)?, secret(password)?);
                let password = password.as_ref().map(ExposeSecret::expose_secret);
                SigningKey::from_certificate_pem(contents.expose_secret(), key.expose_secret(), password, now)
                    .map_err(|error| format!("{} and {}: {error}", certificate.display(), private_key.display()))
            }
            Self::Registered { private_key, password, kid } => {
                let (contents, password) = (read_secret_file(private_key)?, secret(password)?);
                let password = password.as_ref().map(ExposeSecret::expose_secret);
                SigningKey::from_pem(contents.expose_secret(), password, kid).map_err(wrong(private_key))
            }
            Self::Jwk { file } => SigningKey::from_jwk(read_secret_file(file)?.expose_secret()).map_err(wrong(file)),
        }
    }

    fn line(&self, targets: &Targets) -> Result<String, String> {
        let named = |file: &Path| targets.name_of(file).map(|name| toml_text(&name));
        let mut entries = match self {
            Self::Pkcs12 { file, .. } => vec![("pkcs12_file", named(file)?)],
            Self::Certificate { certificate, private_key, .. } => {
                vec![("certificate_file", named(certificate)?), ("private_key_file", named(private_key)?)]
            }
            Self::Registered { private_key, kid, .. } => vec![("private_key_file", named(private_key)?), ("kid", toml_text(kid))],
            Self::Jwk { file } => vec![("jwk_file", named(file)?)],
        };
        if let Self::Pkcs12 { password, .. } | Self::Certificate { password, .. } | Self::Registered { password, .. } = self
            && let Some(password) = password
        {
            entries.push(("password_file", named(password)?));
        }
        let entries: Vec<String> = entries.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
        Ok(format!("{{ {} }}", entries.join(", ")))
    }
}
