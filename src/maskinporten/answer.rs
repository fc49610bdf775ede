//! The token endpoint's answer, read: no network here.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use serde_json::error::Category;
use serde_json::value::RawValue;
use zeroize::{Zeroize, Zeroizing};

use super::access_token::AccessToken;
use super::catalogue::Code;
use super::error::{ExchangeError, Found, NotOAuth, Refusal, Unavailable};
use super::foreign_text::printable;
use super::scope::Scopes;

/// The head of an answer.
pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    pub(super) received: SystemTime,
}

/// What came after the head.
pub(super) enum Body<'a> {
    Whole(&'a [u8]),
    /// The connection ended within it.
    Truncated,
    /// It was larger than an answer may be; the rest was not read.
    TooLarge,
}

/// A token, or the error that the answer tells of. Total: any bytes get an answer.
pub(super) fn read(head: &Head<'_>, body: &Body<'_>) -> Result<AccessToken, ExchangeError> {
    let found = match head.status {
        200..=299 => match members(body).and_then(|members| access_token(&members)) {
            Ok(token) => return Ok(token),
            Err(found) => found,
        },
        300..=399 => Found::Redirect { to: head.header(&LOCATION).and_then(origin) },
        408 | 429 | 500..=599 => return Err(ExchangeError::Unavailable(unavailable(head, body))),
        status => match members(body).and_then(|members| refusal(status, &members)) {
            Ok(refusal) => return Err(ExchangeError::Refused(Box::new(refusal))),
            Err(found) => found,
        },
    };
    Err(ExchangeError::NotOAuth(NotOAuth { status: head.status, found, retry_after: head.retry_after() }))
}

/// The members of a JSON object, unread. Of one that is there twice, the last: so do JavaScript and most others.
type Members<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

fn members<'a>(body: &Body<'a>) -> Result<Members<'a>, Found> {
    let bytes = match *body {
        Body::Whole(bytes) => bytes.trim_ascii(),
        Body::Truncated => return Err(Found::Truncated),
        Body::TooLarge => return Err(Found::TooLarge),
    };
    match bytes.first() {
        None => return Err(Found::Empty),
        Some(b'<') => return Err(Found::Html { title: title(bytes) }),
        Some(_) => {}
    }
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Eof => Found::Truncated,
        Category::Data => Found::Without("members"),
        Category::Syntax | Category::Io => Found::NotJson,
    })
}

fn access_token(members: &Members<'_>) -> Result<AccessToken, Found> {
    let token = secret(members, "access_token").ok_or(Found::Without("access_token"))?;
    let token_type = text(members, "token_type");
    if !token_type.as_deref().is_some_and(|token_type| token_type.eq_ignore_ascii_case("Bearer")) {
        return Err(Found::TokenType(token_type.map(|token_type| printable(&token_type, 40))));
    }
    if !is_bearer_token(&token) {
        return Err(Found::MalformedToken);
    }
    let expires_in = members.get("expires_in").map(|raw| expires_in(raw.get())).transpose()?.flatten();
    let scope = text(members, "scope").and_then(|scope| Scopes::parse(&scope).ok());
    Ok(AccessToken::new(token, expires_in, scope))
}

fn refusal(status: u16, members: &Members<'_>) -> Result<Refusal, Found> {
    let error = text(members, "error").map(|error| printable(&error, 80)).filter(|error| !error.is_empty());
    let (description, trace_id) = text(members, "error_description").map(|text| split_trace_id(&text)).unwrap_or_default();
    let error_uri = text(members, "error_uri").map(|uri| printable(&uri, 256)).filter(|uri| !uri.is_empty());
    Ok(Refusal {
        status,
        error: error.ok_or(Found::Without("error"))?,
        description,
        code: error_uri.as_deref().and_then(Code::from_error_uri),
        trace_id,
        error_uri,
    })
}

fn unavailable(head: &Head<'_>, body: &Body<'_>) -> Unavailable {
    let said = match members(body) {
        Ok(members) => refusal(head.status, &members).ok().map(|refusal| match refusal.description.as_str() {
            "" => refusal.error,
            description => format!("{}: {description}", refusal.error),
        }),
        Err(Found::Html { title }) => title,
        Err(_) => None,
    };
    Unavailable { status: head.status, said, retry_after: head.retry_after() }
}

impl Head<'_> {
    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Seconds or an HTTP-date ([RFC 9110 section 10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)). A date counts
    /// from the answer's own `Date`, so that a clock of ours that is off does not matter.
    fn retry_after(&self) -> Option<Duration> {
        let value = self.header(&RETRY_AFTER)?.trim();
        let wait = if is_digits(value) {
            value.parse().map_or(Duration::MAX, Duration::from_secs)
        } else {
            let until = httpdate::parse_http_date(value).ok()?;
            let now = self.header(&DATE).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(self.received);
            until.duration_since(now).unwrap_or_default()
        };
        Some(wait.min(Unavailable::LONGEST_RETRY_AFTER))
    }
}

/// `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`: b64token of RFC 6750 section 2.1.
fn is_bearer_token(token: &[u8]) -> bool {
    let unpadded = token.iter().rposition(|byte| *byte != b'=').and_then(|last| token.get(..=last));
    unpadded.is_some_and(|bytes| bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte)))
}

/// Beyond this a lifetime is a mistake…
const LONGEST_LIFETIME: u64 = 24 * 60 * 60;
/// …and Maskinporten's longest is taken instead.
const LIFETIME_INSTEAD: Duration = Duration::from_secs(2 * 60 * 60);

/// A whole number above zero, as a number or as text; `null` is taken as missing.
fn expires_in(json: &str) -> Result<Option<Duration>, Found> {
    if json == "null" {
        return Ok(None);
    }
    let written: Cow<'_, str> = serde_json::from_str::<String>(json).map_or(Cow::Borrowed(json), Cow::Owned);
    if !is_digits(&written) || written.bytes().all(|digit| digit == b'0') {
        return Err(Found::ExpiresIn(printable(&written, 40)));
    }
    match written.parse() {
        Ok(seconds) if seconds <= LONGEST_LIFETIME => Ok(Some(Duration::from_secs(seconds))),
        _ => Ok(Some(LIFETIME_INSTEAD)),
    }
}

/// `u64::from_str` takes a plus sign too.
fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn text(members: &Members<'_>, name: &str) -> Option<String> {
    serde_json::from_str(members.get(name)?.get()).ok()
}

/// As [`text`], leaving no copy behind but the one that it returns (and, of a token with escapes in it, the parser's own).
fn secret(members: &Members<'_>, name: &str) -> Option<Zeroizing<Box<[u8]>>> {
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    let Text(text) = serde_json::from_str(members.get(name)?.get()).ok()?;
    let secret = Zeroizing::new(text.as_bytes().into());
    if let Cow::Owned(mut copy) = text {
        copy.zeroize();
    }
    Some(secret)
}

/// `Expired key. (trace_id: 356666143081bbec11d293753e9702ca)`, taken apart.
fn split_trace_id(text: &str) -> (String, Option<String>) {
    const LONGEST_DESCRIPTION: usize = 300;
    let parts = text.trim_end().strip_suffix(')').and_then(|text| text.rsplit_once("(trace_id:"));
    let is_trace_id = |id: &str| (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match parts.map(|(description, id)| (description, id.trim())) {
        Some((description, id)) if is_trace_id(id) => (printable(description, LONGEST_DESCRIPTION), Some(id.to_owned())),
        _ => (printable(text, LONGEST_DESCRIPTION), None),
    }
}

/// Where a redirect leads, without path and query, which may hold what is nobody's business.
fn origin(location: &str) -> Option<String> {
    match reqwest::Url::parse(location) {
        Ok(url) => url.host_str().map(|_| printable(&url.origin().ascii_serialization(), 120)),
        Err(_) => location.starts_with('/').then(|| "another path of the same host".to_owned()),
    }
}

pub(super) fn title(html: &[u8]) -> Option<String> {
    let html = String::from_utf8_lossy(html);
    // ASCII lower case keeps every position.
    let lower = html.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let start = tag + lower.get(tag..)?.find('>')? + 1;
    let end = start + lower.get(start..)?.find('<')?;
    Some(printable(html.get(start..end)?, 120)).filter(|title| !title.is_empty())
}

#[cfg(test)]
mod tests;
