//! A failed exchange, explained: what the error says, sharpened by what is known on our side.

use std::fmt;

use super::catalogue::{Cause, KnownError, MendedBy};
use super::certificate::Certificate;
use super::client::Client;
use super::clock::ClockDifference;
use super::error::ExchangeError;
use super::foreign_text::printable;
use super::scope::Scopes;

mod facts;
mod places;
mod scopes;

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
    /// By what it is asked for: `a prefetch`, `a caller's rule`. Whoever asks for a token reads it, so it names no other caller.
    pub asked_by: String,
    /// Where it stands.
    pub place: String,
}

/// A failed exchange, explained: what happened, what it means, who can mend it, and how.
///
/// The text (`Display`) is whole sentences in the characters that an `error_description` may have
/// ([RFC 6749 section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)), and contains no secret.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    error: ExchangeError,
    known: &'static KnownError,
    facts: Vec<String>,
    remedy: String,
}

impl Diagnosis {
    /// Explains an error by what is known.
    pub fn of(error: ExchangeError, circumstances: &Circumstances<'_>) -> Self {
        let known = KnownError::of(sharpened(error.known().cause, circumstances.client));
        let facts = facts::facts(known.cause, &error, circumstances);
        let remedy = sentences([known.remedy.to_owned()].into_iter().chain(places::places(known, &error, circumstances)));
        Self { error, known, facts, remedy }
    }

    /// With the certificates that whoever answered presented, its own first, where the error is about them: they tell who it was, and
    /// which CA would have to be trusted.
    #[must_use]
    pub fn with_presented(mut self, certificates: &[Certificate]) -> Self {
        self.facts.extend(facts::presented(certificates));
        self
    }

    /// The error itself.
    pub fn error(&self) -> &ExchangeError {
        &self.error
    }

    /// What the catalogue says of it, with this client's kind of key.
    pub fn known(&self) -> &'static KnownError {
        self.known
    }

    /// What was tried, what came back, and what that means: whole sentences.
    pub fn found(&self) -> String {
        sentences([self.error.happened(), self.known.meaning.to_owned()].into_iter().chain(self.facts.iter().cloned()))
    }

    /// What to do, and where: whole sentences.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// Who can.
    pub fn mended_by(&self) -> MendedBy {
        self.known.mended_by
    }

    /// The whole text in at most `limit` characters. What is too long is cut where it says what was found, for the remedy is what
    /// people need.
    pub fn within(&self, limit: usize) -> String {
        let what_to_do = self.what_to_do();
        let for_what_was_found = limit.saturating_sub(what_to_do.len() + 1);
        printable(&sentences([printable(&self.found(), for_what_was_found), what_to_do]), limit)
    }

    /// Whose it is to mend, and how.
    pub fn what_to_do(&self) -> String {
        self.known.for_whom(&self.remedy)
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.found(), self.what_to_do())
    }
}

impl std::error::Error for Diagnosis {}

/// MP-124 means something else with a certificate.
fn sharpened(cause: Cause, client: &Client) -> Cause {
    match cause.in_environment(client.environment()) {
        Cause::InvalidSignature if client.key().certificate().is_some() => Cause::InvalidSignatureOfCertificate,
        cause => cause,
    }
}

fn sentences(sentences: impl IntoIterator<Item = String>) -> String {
    sentences.into_iter().filter(|sentence| !sentence.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
