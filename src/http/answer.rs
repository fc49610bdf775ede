//! The answer with a token in it (RFC 6749 section 5.1).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use bytes::Bytes;

use crate::maskinporten::Scopes;
use crate::tokens::Token;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// 200, with the token and the seconds that are left of it now.
pub(super) fn granted(token: &Arc<Token>, scopes: &Scopes, now: Instant) -> HttpResponse {
    let mut response = HttpResponse::with_body(StatusCode::OK, TokenBody::new(token, scopes, now)).map_into_boxed_body();
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The answer's JSON in three parts, so that the token's bytes are shared with the cache and not copied for every request.
///
/// Nothing is escaped, as nothing needs it: a token has RFC 6750's `b64token` characters, scopes have RFC 6749 section 3.3's.
struct TokenBody {
    parts: [Bytes; 3],
    next: usize,
    length: u64,
}

impl TokenBody {
    fn new(token: &Token, scopes: &Scopes, now: Instant) -> Self {
        let scope = token.scope().unwrap_or(scopes.as_str());
        let mut end = Vec::with_capacity(80 + scope.len());
        end.extend_from_slice(br#"","token_type":"Bearer""#);
        if let Some(seconds) = token.expires_in(now) {
            end.extend_from_slice(br#","expires_in":"#);
            end.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
        }
        end.extend_from_slice(br#","scope":""#);
        end.extend_from_slice(scope.as_bytes());
        end.extend_from_slice(br#""}"#);
        let parts = [Bytes::from_static(br#"{"access_token":""#), token.access_token().clone(), end.into()];
        let length = parts.iter().map(|part| part.len() as u64).sum();
        Self { parts, next: 0, length }
    }
}

impl MessageBody for TokenBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let next = self.next;
        self.next += 1;
        Poll::Ready(self.parts.get_mut(next).map(|part| Ok(std::mem::take(part))))
    }
}
