//! Why an exchange brought no token, and what to do about it.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::catalogue::{Cause, Code, KnownError};

/// Why an exchange brought no token.
///
/// The text (`Display`) says what happened and what it means, in the characters that an `error_description` may have
/// ([RFC 6749 section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)). It never contains a grant or a token. What to do is
/// [`ExchangeError::remedy`]; a [`Diagnosis`](super::Diagnosis) says it for one client and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangeError {
    /// Maskinporten refused the grant: a 4xx with an OAuth error.
    Refused(Box<Refusal>),
    /// Nobody answered: the network, TLS, a proxy, or the time.
    Unreachable(Unreachable),
    /// An answer that asks for patience, or tells of an outage: 408, 429 or 5xx, whatever its body.
    Unavailable(Unavailable),
    /// An answer that is no OAuth answer: most often somebody between us and Maskinporten gave it.
    NotOAuth(NotOAuth),
}

/// Maskinporten's refusal of a grant, taken apart. All texts are cleaned and cut: see [`printable`](super::printable).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status, 400 to 499.
    pub status: u16,
    /// OAuth's own error, such as `invalid_grant`.
    pub error: String,
    /// Maskinporten's description, without the trace ID. Empty when there was none.
    pub description: String,
    /// Maskinporten's code, from `error_uri`.
    pub code: Option<Code>,
    /// What Digdir's support asks for.
    pub trace_id: Option<String>,
    /// Where Maskinporten explains the code.
    pub error_uri: Option<String>,
}

/// A token endpoint from which no answer came.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("No answer from {token_endpoint}: {reason}.")]
pub struct Unreachable {
    /// The URL that was asked.
    pub token_endpoint: String,
    /// What was in the way.
    pub reason: UnreachableReason,
}

/// What was in the way. The `String` is what the operating system, OpenSSL or the proxy said, cleaned and cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnreachableReason {
    /// The HTTP client could not be made, or could not make the request.
    #[error("the request could not be made ({0})")]
    Request(String),
    /// The host's name (the proxy's, where one is used) has no address.
    #[error("the host name could not be resolved ({0})")]
    Dns(String),
    /// No TCP connection: refused, no route, …
    #[error("no connection could be made ({0})")]
    Connect(String),
    /// The TLS handshake failed, for another reason than the certificate.
    #[error("the TLS handshake failed ({0})")]
    Tls(String),
    /// The server's certificate is not one that we trust for this host.
    #[error("the server's certificate is not trusted ({0})")]
    Certificate(String),
    /// The proxy wants to know who we are (407).
    #[error("the proxy asks for a user and a password (407)")]
    ProxyAuthentication,
    /// No connection to the proxy.
    #[error("no connection to the proxy could be made ({0})")]
    ProxyConnection(String),
    /// The proxy opened no tunnel.
    #[error("the proxy opened no tunnel ({0})")]
    Proxy(String),
    /// The time was up.
    #[error("{stage} took longer than {} ms", after.as_millis())]
    TimedOut {
        /// What was being waited for.
        stage: Stage,
        /// The limit that was reached.
        after: Duration,
    },
    /// The connection was closed or reset, or what came over it is not HTTP.
    #[error("the connection ended before the answer came ({0})")]
    Interrupted(String),
}

/// What an exchange waits for, as far as the HTTP client tells: TCP, a proxy's tunnel and TLS are one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The host's address, or the proxy's.
    NameLookup,
    /// TCP, a proxy's tunnel, TLS.
    Connecting,
    /// Sending the grant, and waiting for the head of the answer.
    Answer,
    /// The body of the answer.
    Body,
}

/// An answer with status 408, 429 or 5xx.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable {
    /// The HTTP status.
    pub status: u16,
    /// The OAuth error and description, or the title of an HTML page; cleaned and cut.
    pub said: Option<String>,
    /// How long it asks us to wait; at most [`Unavailable::LONGEST_RETRY_AFTER`], and zero when the moment has passed.
    pub retry_after: Option<Duration>,
}

impl Unavailable {
    /// A `Retry-After` beyond one hour is taken as one hour.
    pub const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);
}

/// An answer that is neither a token nor an OAuth error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("The answer (status {status}) is not an OAuth answer: {found}.")]
pub struct NotOAuth {
    /// The HTTP status.
    pub status: u16,
    /// What it was instead.
    pub found: Found,
    /// As in [`Unavailable::retry_after`].
    pub retry_after: Option<Duration>,
}

/// What an answer was instead of a token or an OAuth error. Texts are cleaned and cut.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Found {
    /// A redirect, which is not followed.
    #[error("it redirects to {}", to.as_deref().unwrap_or("no usable address"))]
    Redirect {
        /// Scheme, host and port, or that it is the same host.
        to: Option<String>,
    },
    /// No body at all.
    #[error("it has no body")]
    Empty,
    /// A page for a browser.
    #[error("it is an HTML page {}", title.as_ref().map_or("without a title".to_owned(), |title| format!("with the title '{title}'")))]
    Html {
        /// Its title.
        title: Option<String>,
    },
    /// The connection or the JSON ended too early.
    #[error("it ends in the middle")]
    Truncated,
    /// More than an answer may have.
    #[error("it is larger than 64 KiB")]
    TooLarge,
    /// Some other text.
    #[error("it is not JSON")]
    NotJson,
    /// JSON, but without an `access_token` in a 200, without an `error` in a 4xx, or no object at all.
    #[error("it is JSON, but has no {0}")]
    Without(&'static str),
    /// A token in characters that [RFC 6750 section 2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1) does not allow.
    #[error("its access_token is not a bearer token (RFC 6750 section 2.1)")]
    MalformedToken,
    /// Another `token_type` than Bearer, or none.
    #[error("its token_type is {} instead of Bearer", .0.as_deref().unwrap_or("missing"))]
    TokenType(Option<String>),
    /// A lifetime that is zero, negative or no whole number.
    #[error("its expires_in is {0} instead of a number of seconds above 0")]
    ExpiresIn(String),
}

impl ExchangeError {
    /// Whether it is about the certificate of whoever answered.
    pub fn is_about_a_certificate(&self) -> bool {
        matches!(self, Self::Unreachable(Unreachable { reason: UnreachableReason::Certificate(_), .. }))
    }

    /// What the catalogue knows of it.
    pub fn known(&self) -> &'static KnownError {
        KnownError::of(match self {
            Self::Refused(refusal) => refusal.cause(),
            Self::Unreachable(unreachable) => unreachable.reason.cause(),
            Self::Unavailable(unavailable) => unavailable.cause(),
            Self::NotOAuth(not_oauth) => not_oauth.found.cause(),
        })
    }

    /// Whether the same request may well succeed later although nobody has changed anything.
    ///
    /// A refusal does not: someone has to act, at Digdir or here. Nor does a proxy that wants a password, or a certificate that is not
    /// trusted.
    pub fn can_pass_by_itself(&self) -> bool {
        self.known().passes_by_itself
    }

    /// How long the answer asks us to wait, at most one hour.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(_) | Self::Unreachable(_) => None,
            Self::Unavailable(unavailable) => unavailable.retry_after,
            Self::NotOAuth(not_oauth) => not_oauth.retry_after,
        }
    }

    /// Maskinporten's refusal, if that is what it is.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Unreachable(_) | Self::Unavailable(_) | Self::NotOAuth(_) => None,
        }
    }

    /// What to do about it, whoever it strikes: whole sentences.
    pub fn remedy(&self) -> &'static str {
        self.known().remedy
    }

    /// What was tried and what came back, without what it means.
    pub(super) fn happened(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.to_string(),
            Self::Unreachable(unreachable) => unreachable.to_string(),
            Self::Unavailable(unavailable) => unavailable.to_string(),
            Self::NotOAuth(not_oauth) => not_oauth.to_string(),
        }
    }
}

impl std::error::Error for ExchangeError {}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.happened(), self.known().meaning)
    }
}

impl Refusal {
    /// What the catalogue knows of it: by its code, or by its description when it has none.
    pub fn known(&self) -> Option<&'static KnownError> {
        match &self.code {
            Some(code) => code.known(),
            None => KnownError::by_description(&self.description),
        }
    }

    /// Whether it comes of clocks that differ: the same request, with a grant of the right time, is not refused for this.
    pub fn is_for_the_clock(&self) -> bool {
        matches!(self.cause(), Cause::GrantExpired | Cause::IssueTime)
    }

    /// What mends it, whoever it strikes: whole sentences.
    pub fn remedy(&self) -> &'static str {
        KnownError::of(self.cause()).remedy
    }

    fn cause(&self) -> Cause {
        self.known().map_or(Cause::Unlisted, |known| known.cause)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Maskinporten refused the grant with {}", self.error)?;
        match (&self.code, &self.trace_id) {
            (Some(code), Some(trace_id)) => write!(f, " ({code}, trace ID {trace_id})"),
            (Some(code), None) => write!(f, " ({code})"),
            (None, Some(trace_id)) => write!(f, " (trace ID {trace_id})"),
            (None, None) => Ok(()),
        }?;
        if self.description.is_empty() {
            f.write_str(".")
        } else {
            write!(f, ": {}{}", self.description, if self.description.ends_with(['.', '!', '?']) { "" } else { "." })
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Maskinporten, or something in front of it, answered with status {}", self.status)?;
        match &self.said {
            Some(said) => write!(f, " ({said})."),
            None => f.write_str("."),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NameLookup => "looking up the host's name",
            Self::Connecting => "connecting",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the answer's body",
        })
    }
}

impl UnreachableReason {
    fn cause(&self) -> Cause {
        match self {
            Self::Request(_) => Cause::Request,
            Self::Dns(_) => Cause::NameLookup,
            Self::Connect(_) => Cause::Connection,
            Self::Tls(_) => Cause::Tls,
            Self::Certificate(found) => certificate_cause(found),
            Self::ProxyAuthentication => Cause::ProxyAuthentication,
            Self::ProxyConnection(_) => Cause::ProxyConnection,
            Self::Proxy(_) => Cause::Proxy,
            Self::TimedOut { stage: Stage::NameLookup, .. } => Cause::NameLookupTimedOut,
            Self::TimedOut { stage: Stage::Connecting, .. } => Cause::ConnectionTimedOut,
            Self::TimedOut { stage: Stage::Answer | Stage::Body, .. } => Cause::AnswerTimedOut,
            Self::Interrupted(_) => Cause::Interrupted,
        }
    }
}

/// By the words of OpenSSL's verification: `native-tls` passes nothing else on.
fn certificate_cause(found: &str) -> Cause {
    if found.contains("mismatch") {
        Cause::CertificateOfAnotherHost
    } else if found.contains("expired") || found.contains("not yet valid") {
        Cause::ServerCertificateNotValid
    } else {
        Cause::UnknownCa
    }
}

impl Unavailable {
    fn cause(&self) -> Cause {
        if self.status == 429 { Cause::TooManyRequests } else { Cause::Outage }
    }
}

impl Found {
    fn cause(&self) -> Cause {
        match self {
            Self::Redirect { .. } => Cause::Redirect,
            Self::Html { .. } => Cause::Page,
            Self::Truncated => Cause::Truncated,
            Self::Empty | Self::TooLarge | Self::NotJson | Self::Without(_) => Cause::NotOAuth,
            Self::MalformedToken | Self::TokenType(_) | Self::ExpiresIn(_) => Cause::OddToken,
        }
    }
}

#[cfg(test)]
mod tests;
