//! Why an exchange brought no token, and what to do about it.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::catalogue::{Code, KnownError};

/// Why an exchange brought no token.
///
/// The text (`Display`) says what happened, then what to do, in the characters that an `error_description` may have
/// ([RFC 6749 section 5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)). It never contains a grant or a token.
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
    /// The proxy could not be reached, or opened no tunnel.
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

/// What an exchange waits for, as far as the HTTP client tells: name lookup, TCP and TLS are one stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Name lookup, TCP, a proxy's tunnel, TLS.
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
    /// Whether the same request may well succeed later although nobody has changed anything.
    ///
    /// A refusal does not: someone has to act, at Digdir or here. Nor does a proxy that wants a password, or a certificate that is not
    /// trusted.
    pub fn can_pass_by_itself(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Unreachable(unreachable) => {
                !matches!(unreachable.reason, UnreachableReason::ProxyAuthentication | UnreachableReason::Certificate(_))
            }
            Self::Unavailable(_) | Self::NotOAuth(_) => true,
        }
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

    /// What to do about it: whole sentences.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.remedy(),
            Self::Unreachable(unreachable) => unreachable.reason.remedy(),
            Self::Unavailable(_) => "Wait: this passes by itself, or Digdir's status page tells of an outage.",
            Self::NotOAuth(_) => {
                "Somebody between here and Maskinporten may have answered: check the token endpoint, the proxy and the firewall."
            }
        }
    }
}

impl std::error::Error for ExchangeError {}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unreachable(unreachable) => unreachable.fmt(f),
            Self::Unavailable(unavailable) => unavailable.fmt(f),
            Self::NotOAuth(not_oauth) => not_oauth.fmt(f),
        }?;
        write!(f, " {}", self.remedy())
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

    /// Whether it comes of clocks that differ: see [`KnownError::is_for_the_clock`].
    pub fn is_for_the_clock(&self) -> bool {
        self.known().is_some_and(KnownError::is_for_the_clock)
    }

    /// What mends it.
    pub fn remedy(&self) -> &'static str {
        self.known().map_or("This failure is not in Portvakt's catalogue: ask Digdir's support, with the trace ID.", |known| known.remedy)
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
            f.write_str(".")?;
        } else {
            write!(f, ": {}{}", self.description, if self.description.ends_with(['.', '!', '?']) { "" } else { "." })?;
        }
        match self.known() {
            Some(known) => write!(f, " {}", known.meaning),
            None => Ok(()),
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
            Self::Connecting => "connecting",
            Self::Answer => "waiting for the answer",
            Self::Body => "reading the answer's body",
        })
    }
}

impl UnreachableReason {
    fn remedy(&self) -> &'static str {
        match self {
            Self::Request(_) => "Check the token endpoint and the outbound settings.",
            Self::Dns(_) => "Check the spelling of the host (or of the proxy), and this machine's DNS.",
            Self::Connect(_) | Self::TimedOut { stage: Stage::Connecting, .. } => {
                "Check that the firewall lets this machine out, or that the proxy it must use is configured."
            }
            Self::Tls(_) => "Check that nothing on the way, a proxy for one, breaks TLS open, and that the port speaks TLS.",
            Self::Certificate(_) => {
                "If a proxy on the way breaks TLS open, add its CA to the trusted ones (ca_file); otherwise check the host and this machine's CA certificates."
            }
            Self::ProxyAuthentication => "Configure the proxy's user and password.",
            Self::Proxy(_) => "Check the proxy's address, and that it lets this machine through to the token endpoint.",
            Self::TimedOut { .. } | Self::Interrupted(_) => {
                "Wait: this mostly passes by itself. If it stays, check the proxy and the firewall on the way."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maskinporten::printable;

    fn unreachable(reason: UnreachableReason) -> ExchangeError {
        ExchangeError::Unreachable(Unreachable { token_endpoint: "https://test.maskinporten.no/token".into(), reason })
    }

    fn refused(code: Option<&str>, description: &str, trace_id: Option<&str>) -> ExchangeError {
        ExchangeError::Refused(Box::new(Refusal {
            status: 400,
            error: "invalid_grant".into(),
            description: description.into(),
            code: code.and_then(Code::from_error_uri),
            trace_id: trace_id.map(Into::into),
            error_uri: None,
        }))
    }

    #[test]
    fn the_text_says_what_happened_then_what_to_do() {
        let texts = [
            (
                refused(Some("MP-121"), "Expired key.", Some("abc")),
                "Maskinporten refused the grant with invalid_grant (MP-121, trace ID abc): Expired key. The registered key has expired: a key lives one year from the day it was posted. Post a new key on the client, or the same key again.",
            ),
            (
                refused(Some("MP-999"), "Who knows", None),
                "Maskinporten refused the grant with invalid_grant (MP-999): Who knows. This failure is not in Portvakt's catalogue: ask Digdir's support, with the trace ID.",
            ),
            (
                refused(None, "", None),
                "Maskinporten refused the grant with invalid_grant. This failure is not in Portvakt's catalogue: ask Digdir's support, with the trace ID.",
            ),
            (
                refused(None, "Issue time is after now", Some("abc")),
                "Maskinporten refused the grant with invalid_grant (trace ID abc): Issue time is after now. The grant's iat is more than 10 seconds from Maskinporten's clock. Synchronise this machine's clock.",
            ),
            (
                unreachable(UnreachableReason::TimedOut { stage: Stage::Connecting, after: Duration::from_secs(2) }),
                "No answer from https://test.maskinporten.no/token: connecting took longer than 2000 ms. Check that the firewall lets this machine out, or that the proxy it must use is configured.",
            ),
            (
                ExchangeError::Unavailable(Unavailable { status: 503, said: Some("Maintenance".into()), retry_after: None }),
                "Maskinporten, or something in front of it, answered with status 503 (Maintenance). Wait: this passes by itself, or Digdir's status page tells of an outage.",
            ),
            (
                ExchangeError::NotOAuth(NotOAuth { status: 200, found: Found::Html { title: Some("Log in".into()) }, retry_after: None }),
                "The answer (status 200) is not an OAuth answer: it is an HTML page with the title 'Log in'. Somebody between here and Maskinporten may have answered: check the token endpoint, the proxy and the firewall.",
            ),
        ];
        for (error, expected) in texts {
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn what_passes_by_itself() {
        assert!(!refused(Some("MP-012"), "", None).can_pass_by_itself());
        assert!(!unreachable(UnreachableReason::ProxyAuthentication).can_pass_by_itself());
        assert!(!unreachable(UnreachableReason::Certificate("self-signed".into())).can_pass_by_itself());
        assert!(unreachable(UnreachableReason::Connect("refused".into())).can_pass_by_itself());
        let wait = Some(Duration::from_secs(7));
        let unavailable = ExchangeError::Unavailable(Unavailable { status: 429, said: None, retry_after: wait });
        assert!(unavailable.can_pass_by_itself());
        assert_eq!(unavailable.retry_after(), wait);
    }

    #[test]
    fn every_text_has_only_what_an_error_description_may_have() {
        let reasons = [
            UnreachableReason::Request("x".into()),
            UnreachableReason::Dns("x".into()),
            UnreachableReason::Connect("x".into()),
            UnreachableReason::Tls("x".into()),
            UnreachableReason::Certificate("x".into()),
            UnreachableReason::ProxyAuthentication,
            UnreachableReason::Proxy("x".into()),
            UnreachableReason::TimedOut { stage: Stage::Answer, after: Duration::ZERO },
            UnreachableReason::TimedOut { stage: Stage::Body, after: Duration::ZERO },
            UnreachableReason::Interrupted("x".into()),
        ];
        let found = [
            Found::Redirect { to: None },
            Found::Empty,
            Found::Html { title: None },
            Found::Truncated,
            Found::TooLarge,
            Found::NotJson,
            Found::Without("access_token"),
            Found::MalformedToken,
            Found::TokenType(None),
            Found::ExpiresIn("0".into()),
        ];
        let not_oauth = |found| ExchangeError::NotOAuth(NotOAuth { status: 200, found, retry_after: None });
        for error in reasons.map(unreachable).into_iter().chain(found.map(not_oauth)) {
            let text = error.to_string();
            assert_eq!(printable(&text, 1000), text);
            assert!(text.ends_with('.'), "{text}");
        }
    }
}
