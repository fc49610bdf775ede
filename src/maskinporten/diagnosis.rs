//! A failed exchange, explained: what the error says, sharpened by what is known on our side.

use std::fmt;

use super::client::Client;
use super::clock::ClockDifference;
use super::error::ExchangeError;
use super::scope::Scopes;

/// What is known on our side of an exchange that failed.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Who asked Maskinporten: its environment, key and certificate.
    pub client: &'a Client,
    /// What for.
    pub scopes: &'a Scopes,
    /// How far our clock is from Maskinporten's, where it was measured.
    pub clock: Option<ClockDifference>,
    /// Where the client's settings stand.
    pub setup: &'a Setup,
}

/// Where the settings of a client stand, for whoever has to mend one. Nothing is said of what is `None`.
///
/// Plain texts such as `line 12 of portvakt.toml`: this room does not know the file.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// What the operator calls the client.
    pub integration: Option<String>,
    /// Where its client ID stands.
    pub client_id: Option<String>,
    /// Where its environment stands.
    pub environment: Option<String>,
    /// Where its key stands.
    pub key: Option<String>,
    /// The scopes that the settings name.
    pub scopes: Vec<ScopeSetting>,
}

/// A scope that the settings name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeSetting {
    /// The scope; one that ends in `*` stands for all that begin so.
    pub scope: String,
    /// Who has it asked for: `the prefetch of freg-test`, `caller gravitee-freg`.
    pub asked_by: String,
    /// Where it stands.
    pub place: String,
}

/// A failed exchange, explained: what happened, what it means, and what to do.
///
/// The text (`Display`) is whole sentences in the characters that an `error_description` may have
/// ([RFC 6749 section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)), and contains no secret.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    error: ExchangeError,
    remedy: String,
}

impl Diagnosis {
    /// Explains an error by what is known.
    pub fn of(error: ExchangeError, _circumstances: &Circumstances<'_>) -> Self {
        let remedy = error.remedy().to_owned();
        Self { error, remedy }
    }

    /// The error itself.
    pub fn error(&self) -> &ExchangeError {
        &self.error
    }

    /// What was tried, and what came back: whole sentences.
    pub fn found(&self) -> String {
        self.error.to_string()
    }

    /// What to do: whole sentences.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}
