//! A request's head, read in one pass: its size, and the fields that mean something to a door.
//!
//! Names are told apart here and nowhere else: who looks for a field compares a tag, and no text.

use actix_http::Request;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use bytes::Bytes;
use smallvec::SmallVec;
use uuid::Uuid;

use super::error::Problem;
use super::parameter_name::Name;

/// Heads over this, or with more fields, and targets over this are refused.
const HEAD_LIMIT: usize = 32 * 1024;
const FIELD_LIMIT: usize = 64;
const TARGET_LIMIT: usize = 8 * 1024;

/// What tells a request from all others, in answers and in the log.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The fields of a head that mean something to a door.
pub(super) struct Head<'a> {
    /// In the order in which they came. A gateway sends three or four.
    known: SmallVec<[(Field, &'a HeaderValue); 8]>,
    /// As it stood on the wire, but for the target.
    size: usize,
    /// How many fields it has, unknown ones included.
    fields: usize,
}

/// A field that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    RequestId,
    CacheControl,
    /// `X-Gravitee-Api-Key` or `X-API-Key`.
    ApiKey,
    Authorization,
    Parameter(Name),
}

impl Field {
    fn of(name: &HeaderName) -> Option<Self> {
        match name.as_str() {
            "x-request-id" => Some(Self::RequestId),
            "x-gravitee-api-key" | "x-api-key" => Some(Self::ApiKey),
            _ if *name == AUTHORIZATION => Some(Self::Authorization),
            _ if *name == CACHE_CONTROL => Some(Self::CacheControl),
            name => Name::of_header(name).map(Self::Parameter),
        }
    }
}

impl<'a> Head<'a> {
    /// Reads it, whatever it is.
    pub(super) fn of(request: &'a Request) -> Self {
        // The method, two spaces, the version and a line break around the target, and an empty line at the end.
        let around_target = request.method().as_str().len() + " HTTP/1.1\r\n".len() + 1 + "\r\n".len();
        let mut head = Self { known: SmallVec::new(), size: around_target, fields: 0 };
        for (name, value) in request.head().headers() {
            // A colon, a space, a line break.
            head.size += name.as_str().len() + value.len() + 4;
            head.fields += 1;
            if let Some(field) = Field::of(name) {
                head.known.push((field, value));
            }
        }
        head
    }

    /// The fields that mean something, in the order in which they came.
    pub(super) fn known(&self) -> impl Iterator<Item = (Field, &'a HeaderValue)> {
        self.known.iter().copied()
    }

    /// The values of one of them.
    pub(super) fn values(&self, wanted: Field) -> impl Iterator<Item = &'a HeaderValue> {
        self.known().filter(move |(field, _)| *field == wanted).map(|(_, value)| value)
    }

    /// Refuses a head that is larger than anybody needs. actix's own limits lie above ours, so that this answer is JSON too.
    pub(super) fn check(&self, target: &Uri) -> Result<(), Problem> {
        let target = target_length(target);
        let is_too_large = target > TARGET_LIMIT || self.fields > FIELD_LIMIT || self.size + target > HEAD_LIMIT;
        if is_too_large { Err(Problem::HeadTooLarge) } else { Ok(()) }
    }

    /// The caller's own ID when it is one that can go into a log as it is, otherwise a new one.
    pub(super) fn request_id(&self) -> HeaderValue {
        let own = self.values(Field::RequestId).next().filter(|value| is_request_id(value.as_bytes()));
        own.cloned().unwrap_or_else(new_request_id)
    }
}

/// Scheme and host too, where a client sends them (RFC 9112 section 3.2.2).
fn target_length(target: &Uri) -> usize {
    let scheme = target.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = target.authority().map_or(0, |authority| authority.as_str().len());
    scheme + authority + target.path_and_query().map_or(0, |path| path.as_str().len())
}

/// Refuses other methods than these.
pub(super) fn check_method(request: &Request, allowed: &[Method], allow: &'static str) -> Result<(), Problem> {
    if allowed.contains(request.method()) { Ok(()) } else { Err(Problem::MethodNotAllowed { allow }) }
}

fn new_request_id() -> HeaderValue {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = Uuid::new_v4().hyphenated().encode_lower(&mut text);
    // A UUID's characters can stand in a header, so the fallback is never used.
    HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text.as_bytes())).unwrap_or(HeaderValue::from_static("none"))
}

/// `[A-Za-z0-9._-]{1,64}`
fn is_request_id(text: &[u8]) -> bool {
    (1..=64).contains(&text.len()) && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
