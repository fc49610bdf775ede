//! What every door, of either listener, does with a request's head before it looks any closer.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use bytes::Bytes;
use uuid::Uuid;

use super::error::Problem;

/// Heads over this, or with more fields, and targets over this are refused.
const HEAD_LIMIT: usize = 32 * 1024;
const FIELD_LIMIT: usize = 64;
const TARGET_LIMIT: usize = 8 * 1024;

/// What tells a request from all others, in answers and in the log.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Refuses a head that is larger than anybody needs. actix's own limits lie above ours, so that this answer is JSON too.
pub(super) fn check_head(request: &HttpRequest) -> Result<(), Problem> {
    // As it stood on the wire: the method, two spaces, the version and a line break around the target, and an empty line at the end.
    let target = target_length(request.uri());
    let mut size = request.method().as_str().len() + target + " HTTP/1.1\r\n".len() + 1 + "\r\n".len();
    let mut fields = 0;
    for (name, value) in request.headers() {
        // A colon, a space, a line break.
        size += name.as_str().len() + value.len() + 4;
        fields += 1;
    }
    if target > TARGET_LIMIT || fields > FIELD_LIMIT || size > HEAD_LIMIT { Err(Problem::HeadTooLarge) } else { Ok(()) }
}

/// Scheme and host too, where a client sends them (RFC 9112 section 3.2.2).
fn target_length(target: &Uri) -> usize {
    let scheme = target.scheme_str().map_or(0, |scheme| scheme.len() + "://".len());
    let authority = target.authority().map_or(0, |authority| authority.as_str().len());
    scheme + authority + target.path_and_query().map_or(0, |path| path.as_str().len())
}

/// Refuses other methods than these.
pub(super) fn check_method(request: &HttpRequest, allowed: &[Method], allow: &'static str) -> Result<(), Problem> {
    if allowed.contains(request.method()) { Ok(()) } else { Err(Problem::MethodNotAllowed { allow }) }
}

/// The caller's own ID when it is one that can go into a log as it is, otherwise a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let own = headers.get(&X_REQUEST_ID).filter(|value| is_request_id(value.as_bytes()));
    own.cloned().unwrap_or_else(|| {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text = Uuid::new_v4().hyphenated().encode_lower(&mut text);
        // A UUID's characters can stand in a header, so the fallback is never used.
        HeaderValue::from_maybe_shared(Bytes::copy_from_slice(text.as_bytes())).unwrap_or(HeaderValue::from_static("none"))
    })
}

/// `[A-Za-z0-9._-]{1,64}`
fn is_request_id(text: &[u8]) -> bool {
    (1..=64).contains(&text.len()) && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
