//! The answer with a token in it (RFC 6749 section 5.1).

use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};

use crate::maskinporten::Scopes;
use crate::tokens::Token;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What stands around token, lifetime and scope, with room for a lifetime.
const AROUND: usize = 96;

/// 200, with the token and the seconds that are left of it now.
pub(super) fn granted(token: &Token, scopes: &Scopes, now: Instant) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::OK).body(body(token, scopes, now));
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// Nothing is escaped, as nothing needs it: a token has RFC 6750's `b64token` characters, scopes have RFC 6749 section 3.3's.
///
/// The token is copied, once: handing its shared memory on would count holders of a hot token in one place for all threads, which takes
/// longer than copying a kilobyte, and HTTP copies it behind the head in any case.
fn body(token: &Token, scopes: &Scopes, now: Instant) -> Vec<u8> {
    let access_token = token.access_token();
    let scope = token.other_scopes().unwrap_or(scopes).as_str();
    let mut body = Vec::with_capacity(access_token.len() + scope.len() + AROUND);
    body.extend_from_slice(br#"{"access_token":""#);
    body.extend_from_slice(access_token);
    body.extend_from_slice(br#"","token_type":"Bearer""#);
    if let Some(seconds) = token.expires_in(now) {
        body.extend_from_slice(br#","expires_in":"#);
        body.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
    }
    body.extend_from_slice(br#","scope":""#);
    body.extend_from_slice(scope.as_bytes());
    body.extend_from_slice(br#""}"#);
    body
}
