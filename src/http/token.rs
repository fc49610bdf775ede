//! The gateway's callout: `GET /token` for a token, `POST /token` for a fresh one.

use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use actix_http::Request;
use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::Method;
use actix_web::http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use futures_core::Stream;
use tokio::time::timeout;
use tracing::Instrument;

use super::answer::granted;
use super::credentials::api_key;
use super::doors::{Asked, ThreadsDoors, request_span};
use super::error::Problem;
use super::head::{Field, Head, check_method};
use super::parameters::Parameters;
use crate::telemetry::RequestResult;
use crate::tokens::TokenRequest;

/// A body that nobody asked for is read to its end, so that the connection can be used again, but not for ever.
const BODY_LIMIT: usize = 64 * 1024;
/// As long as actix waits for a head. Who gets no token because of a body that never ends should hear of it soon.
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// The answer to a request to `/token`, whatever it is.
pub(super) async fn answer<'a>(
    doors: &ThreadsDoors,
    request: &'a Request,
    head: &Head<'a>,
    payload: &mut Payload,
    id: &HeaderValue,
) -> HttpResponse {
    let mut asked = Asked::now(doors);
    match token(doors, request, head, payload, id, &mut asked).await {
        Ok(response) => {
            doors.doors().count(&asked, RequestResult::Granted);
            response
        }
        Err(problem) => {
            doors.doors().count(&asked, problem.result());
            asked.report(request, id, &problem);
            problem.answer()
        }
    }
}

/// What it says here is the order in which contract and error table have it.
async fn token<'a>(
    doors: &ThreadsDoors,
    request: &'a Request,
    head: &Head<'a>,
    payload: &mut Payload,
    id: &HeaderValue,
    asked: &mut Asked,
) -> Result<HttpResponse, Problem> {
    check_method(request, &[Method::GET, Method::POST], "GET, POST")?;
    head.check(request.uri())?;
    let without_body = matches!(payload, Payload::None); // as nearly every request is
    let has_body = !without_body && has_body(request, payload).await?;
    if !without_body {
        asked.arrangement = doors.arrangement(); // a key may have been revoked while the body came
    }
    let arrangement = Rc::clone(&asked.arrangement);
    let caller = arrangement.access.identify(api_key(head)?).ok_or(Problem::UnknownApiKey)?;
    asked.caller = Some(caller.place());
    if !request.peer_addr().is_some_and(|peer| caller.may_ask_from(peer.ip())) {
        return Err(Problem::Network);
    }
    if has_body && request.method() == Method::POST {
        return Err(Problem::BodyNotTaken);
    }
    let Parameters { iss, scopes, details } = Parameters::of(head, request.uri())?;
    let entitlement = caller.entitlement(&iss).ok_or(Problem::UnknownIntegration)?;
    asked.integration = Some(entitlement.integration());
    let mut wanted = TokenRequest::new(entitlement.integration(), scopes);
    if let Some(details) = details {
        wanted = wanted.with(details);
    }
    entitlement.allow(&wanted)?;
    let fresh = request.method() == Method::POST || no_cache(head);
    // Of a request with a body not when its head came: the body may have taken seconds since then.
    let now = if without_body { asked.at } else { Instant::now() };
    if !fresh && let Some(token) = doors.tokens().cached(&wanted, now) {
        return Ok(granted(&token, wanted.scopes(), now));
    }
    // Boxed, so that the future of the many that are answered from the cache stays small; and they pay for no span.
    let span = request_span(id);
    let token = if fresh {
        Box::pin(doors.tokens().fresh_token(&wanted, caller.id()).instrument(span)).await?
    } else {
        Box::pin(doors.tokens().token(&wanted, caller.id()).instrument(span)).await?
    };
    Ok(granted(&token, wanted.scopes(), Instant::now()))
}

/// Reads a body to its end and drops it; true when there was one.
async fn has_body(request: &Request, payload: &mut Payload) -> Result<bool, Problem> {
    let headers = request.head().headers();
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.trim().parse().ok());
    match length {
        Some(length) if length > BODY_LIMIT => return Err(Problem::BodyTooLarge),
        Some(0) => return Ok(false),
        // RFC 9112 section 6.3. The parser would read on for what asks to be upgraded, to the connection's end.
        None if !headers.contains_key(TRANSFER_ENCODING) => return Ok(false),
        _ => {}
    }
    let read = Box::pin(drop_body(payload));
    timeout(BODY_PATIENCE, read).await.unwrap_or(Err(Problem::BodyBroken))
}

async fn drop_body(payload: &mut Payload) -> Result<bool, Problem> {
    let mut size = 0;
    while let Some(chunk) = std::future::poll_fn(|context| Pin::new(&mut *payload).poll_next(context)).await {
        size += chunk.map_err(|_| Problem::BodyBroken)?.len();
        if size > BODY_LIMIT {
            return Err(Problem::BodyTooLarge);
        }
    }
    Ok(size > 0)
}

/// `Cache-Control: no-cache` (RFC 9111 section 5.2.1.4).
fn no_cache(head: &Head<'_>) -> bool {
    head.values(Field::CacheControl).any(|value| {
        let directives = value.as_bytes().split(|&byte| byte == b',');
        directives.map(<[u8]>::trim_ascii).any(|directive| directive.eq_ignore_ascii_case(b"no-cache"))
    })
}
