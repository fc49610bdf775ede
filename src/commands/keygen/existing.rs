//! A private key that exists already, in whichever kind of file.

use std::path::Path;
use std::time::SystemTime;

use secrecy::ExposeSecret;
use uuid::Uuid;

use super::super::toml_text;
use crate::config::{read_password_file, read_secret_file};
use crate::maskinporten::{FileKind, SigningKey};

/// The key, and the name that its public half is shown under.
pub(super) struct Existing {
    pub(super) key: SigningKey,
    pub(super) kid: String,
    form: Form,
    files: Files,
}

/// Where it is, as the operator named it.
struct Files {
    key: String,
    password: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Pem,
    Jwk,
    Pkcs12,
}

impl Existing {
    /// Opens it. `kid`: where the file has none inside.
    ///
    /// The error is a whole sentence, with the file's name in it.
    pub(super) fn open(file: &Path, password_file: Option<&Path>, kid: Option<&str>) -> Result<Self, String> {
        let password = password_file.map(read_password_file).transpose()?;
        let contents = read_secret_file(file)?;
        let contents = contents.expose_secret();
        let form = match FileKind::of(contents) {
            FileKind::Pem(_) => Form::Pem,
            FileKind::Json => Form::Jwk,
            // What is none of the three is told of by who reads PKCS#12.
            _ => Form::Pkcs12,
        };
        let wrong = |error| format!("{}: {error}", file.display());
        let secret = password.as_ref().map(ExposeSecret::expose_secret);
        let key = match form {
            // The kid is not looked at yet: a key that does not open is told of first.
            Form::Pem => SigningKey::from_pem(contents, secret, kid.unwrap_or("none yet")).map_err(wrong)?,
            Form::Jwk => SigningKey::from_jwk(contents).map_err(wrong)?,
            Form::Pkcs12 => SigningKey::from_pkcs12(contents, secret.unwrap_or_default(), None, SystemTime::now()).map_err(wrong)?,
        };
        let kid = match (form, key.kid(), kid) {
            (Form::Jwk, Some(own), Some(given)) if own != given => {
                return Err(format!("the JWK in {} has a kid of its own, which is not the one given: leave --kid out", file.display()));
            }
            (Form::Jwk, Some(own), _) => own.to_owned(),
            (_, _, Some(given)) => given.to_owned(),
            (_, _, None) => return Err(kid_missing(file)),
        };
        let named = |path: &Path| path.display().to_string();
        Ok(Self { key, kid, form, files: Files { key: named(file), password: password_file.map(named) } })
    }

    /// The integration's line; none for PKCS#12, whose keys are known by their certificates there.
    pub(super) fn line(&self) -> Option<String> {
        let (file, kid) = (toml_text(&self.files.key), toml_text(&self.kid));
        match (self.form, &self.files.password) {
            (Form::Pem, None) => Some(format!("key = {{ private_key_file = {file}, kid = {kid} }}")),
            (Form::Pem, Some(password)) => {
                Some(format!("key = {{ private_key_file = {file}, kid = {kid}, password_file = {} }}", toml_text(password)))
            }
            (Form::Jwk, _) => Some(format!("key = {{ jwk_file = {file} }}")),
            (Form::Pkcs12, _) => None,
        }
    }
}

/// A kid of our choice would be another than the one in portvakt.toml, and end as MP-124.
fn kid_missing(file: &Path) -> String {
    format!(
        "the key in {} has no kid inside, and none was given. To post a key again, give the kid of its line in portvakt.toml: --kid KID. To register it for the first time, give a new one: --kid {}",
        file.display(),
        Uuid::new_v4()
    )
}
