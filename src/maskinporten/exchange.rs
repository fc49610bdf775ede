//! A signed grant in, an access token or an error out: one attempt over HTTP.

use std::error::Error;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, DATE};
use reqwest::{Client, Response, Url};
use zeroize::Zeroizing;

use super::access_token::AccessToken;
use super::answer::{self, Body, Head};
use super::clock::{ClockDifference, Moment};
use super::environment::Environment;
use super::error::{ExchangeError, Stage, Unreachable, UnreachableReason};
use super::foreign_text::printable;
use super::grant::Grant;
use super::name_lookup::NameLookupTimedOut;
use super::outbound::{Outbound, OutboundError, OutboundSettings, innermost, openssl_reason};

/// An answer may have 64 KiB; Maskinporten's have about one.
const LARGEST_ANSWER: usize = 64 * 1024;

/// How an exchange ended, and what its answer told of Maskinporten's clock.
#[derive(Debug)]
pub struct Exchanged {
    /// The token, or why there is none.
    pub result: Result<AccessToken, ExchangeError>,
    /// How far our clock is from Maskinporten's. Only an answer of Maskinporten's own tells: a token, or an OAuth error. The page of a
    /// proxy has the proxy's clock, and an outage's may have anybody's.
    pub clock: Option<ClockDifference>,
}

/// Exchanges grants for access tokens, at the token endpoints of any number of environments.
///
/// Connections are kept for 30 s and shared, so one such client serves a whole program.
#[derive(Debug)]
pub struct TokenEndpointClient {
    pub(super) outbound: Outbound,
}

impl TokenEndpointClient {
    /// Checks the settings; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`OutboundError`] when the proxy, the CA certificates or the timeouts cannot be used.
    pub fn new(settings: &OutboundSettings) -> Result<Self, OutboundError> {
        Ok(Self { outbound: Outbound::new(settings)? })
    }

    /// Makes ready what the first exchange in this environment would otherwise have to wait for: reading the system's CA certificates.
    ///
    /// # Errors
    ///
    /// [`OutboundError::Client`] when OpenSSL cannot be set up.
    pub fn prepare(&self, environment: &Environment) -> Result<(), OutboundError> {
        self.outbound.client(environment).map(|_| ())
    }

    /// One attempt: the grant is sent once ([RFC 7523 section 2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)), redirects are
    /// not followed, and it ends within [`OutboundSettings::attempt_timeout`]. Needs Tokio. Dropping the future ends the attempt, though
    /// Maskinporten may have seen the grant by then: a grant is never sent again.
    pub async fn exchange(&self, environment: &Environment, grant: &Grant) -> Exchanged {
        let asked = Moment::now();
        match self.answer(environment, grant).await {
            Err(error) => Exchanged { result: Err(error), clock: None },
            Ok(Answered { result, date, at }) => {
                let is_maskinportens_own = matches!(result, Ok(_) | Err(ExchangeError::Refused(_)));
                let date = date.filter(|_| is_maskinportens_own);
                Exchanged { clock: date.and_then(|date| ClockDifference::from_date(&date, asked, at)), result }
            }
        }
    }

    /// An answer, or why there was none.
    async fn answer(&self, environment: &Environment, grant: &Grant) -> Result<Answered, ExchangeError> {
        let failed =
            |reason| ExchangeError::Unreachable(Unreachable { token_endpoint: printable(environment.token_endpoint(), 200), reason });
        let request = |error: &(dyn Error + 'static)| failed(UnreachableReason::Request(innermost(error)));
        let client = self.outbound.client(environment).map_err(|error| request(&error))?;
        let url = Url::parse(environment.token_endpoint()).map_err(|error| request(&error))?;

        let mut response = send(client, url, grant).await.map_err(|error| failed(self.reason(&error, Stage::Answer)))?;
        let at = Moment::now();
        let body = Received::read(&mut response).await.map_err(|error| failed(self.reason(&error, Stage::Body)))?;
        let head = Head { status: response.status().as_u16(), headers: response.headers(), received: at.ours };
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
        Ok(Answered { result: answer::read(&head, &body.as_body()), date, at })
    }

    /// What was in the way, told from the chain of errors below reqwest's.
    pub(super) fn reason(&self, error: &reqwest::Error, stage: Stage) -> UnreachableReason {
        if error.is_timeout() {
            let (stage, after) = if error.is_connect() {
                (Stage::Connecting, self.outbound.connect_timeout())
            } else {
                (stage, self.outbound.attempt_timeout())
            };
            return UnreachableReason::TimedOut { stage, after };
        }
        if let Some(lookup) = causes(error).find_map(|cause| cause.downcast_ref::<NameLookupTimedOut>()) {
            return UnreachableReason::TimedOut { stage: Stage::NameLookup, after: lookup.limit };
        }
        let detail = innermost(error);
        if error.is_dns() {
            UnreachableReason::Dns(detail)
        } else if let Some(reason) = tunnel_reason(error) {
            reason
        } else if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<native_tls::Error>()) {
            tls_reason(tls)
        } else if error.is_connect() {
            UnreachableReason::Connect(detail)
        } else if error.is_builder() {
            UnreachableReason::Request(detail)
        } else {
            UnreachableReason::Interrupted(detail)
        }
    }
}

/// An answer, read.
struct Answered {
    result: Result<AccessToken, ExchangeError>,
    /// Whoever's it is.
    date: Option<String>,
    /// When its head was there.
    at: Moment,
}

async fn send(client: &Client, url: Url, grant: &Grant) -> Result<Response, reqwest::Error> {
    let body = Bytes::from_owner(form(grant));
    client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body).send().await
}

/// Zeroed once it is sent; reqwest's own `form` would leave it in memory.
fn form(grant: &Grant) -> Zeroizing<String> {
    const FIELD_NAMES_AND_TYPE: usize = 128;
    // A grant has no character that needs escaping, so the text never outgrows its first memory.
    let text = String::with_capacity(FIELD_NAMES_AND_TYPE + grant.expose_secret().len());
    let mut form = form_urlencoded::Serializer::new(text);
    form.append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer").append_pair("assertion", grant.expose_secret());
    Zeroizing::new(form.finish())
}

/// The body of an answer, as far as it came. Zeroed when dropped: it may hold a token.
enum Received {
    Whole(Zeroizing<Vec<u8>>),
    Truncated,
    TooLarge,
}

impl Received {
    /// Fails only when the time is up.
    async fn read(response: &mut Response) -> Result<Self, reqwest::Error> {
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok());
        if announced.is_some_and(|length| length > LARGEST_ANSWER) {
            return Ok(Self::TooLarge);
        }
        let mut body = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(4096)));
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > LARGEST_ANSWER => return Ok(Self::TooLarge),
                Ok(Some(chunk)) => append(&mut body, &chunk),
                Ok(None) => return Ok(Self::Whole(body)),
                Err(error) if error.is_timeout() => return Err(error),
                Err(_) => return Ok(Self::Truncated),
            }
        }
    }

    fn as_body(&self) -> Body<'_> {
        match self {
            Self::Whole(bytes) => Body::Whole(bytes),
            Self::Truncated => Body::Truncated,
            Self::TooLarge => Body::TooLarge,
        }
    }
}

/// A `Vec` that grows by itself leaves its old content behind in freed memory.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let needed = body.len() + chunk.len();
    if needed > body.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * body.capacity())));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&error| error.source())
}

/// What a proxy did instead of opening a tunnel. hyper-util's error type is not public, so its text has to tell; a test holds it to that.
fn tunnel_reason(error: &reqwest::Error) -> Option<UnreachableReason> {
    let text = causes(error).map(ToString::to_string).find(|text| text.starts_with("tunnel error: "))?;
    let detail = innermost(error).replace("tunnel error: ", "");
    Some(if text.ends_with("proxy authorization required") {
        UnreachableReason::ProxyAuthentication
    } else if text.ends_with("failed to create underlying connection") {
        UnreachableReason::ProxyConnection(detail)
    } else {
        UnreachableReason::Proxy(detail)
    })
}

fn tls_reason(error: &native_tls::Error) -> UnreachableReason {
    let stack = error.source().and_then(|cause| cause.downcast_ref::<openssl::error::ErrorStack>());
    let reason = match stack {
        Some(stack) => openssl_reason(stack),
        None => error.source().map_or_else(|| error.to_string(), innermost),
    };
    if reason != "certificate verify failed" {
        return UnreachableReason::Tls(printable(&reason, 200));
    }
    // native-tls puts what the verification found in brackets at the end.
    let text = error.to_string();
    let found = text.strip_suffix(')').and_then(|text| text.rsplit_once('(')).map_or(reason.as_str(), |(_, found)| found);
    UnreachableReason::Certificate(printable(found, 200))
}

#[cfg(test)]
mod tests;
