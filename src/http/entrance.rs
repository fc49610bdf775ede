//! Where every request to the token listener comes in, and every answer goes out.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, Uri};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use tracing::field::display;
use tracing::{debug, error};
use uuid::Uuid;

use super::error::Problem;
use super::token;
use super::unread::holding;
use crate::access::{Access, Caller};
use crate::telemetry::{CallerMetrics, Metrics, RequestResult};
use crate::tokens::{IntegrationId, TokenService};

/// Heads over this, or with more fields, and targets over this are refused.
const HEAD_LIMIT: usize = 32 * 1024;
const FIELD_LIMIT: usize = 64;
const TARGET_LIMIT: usize = 8 * 1024;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What the doors share: whom to ask.
#[derive(Debug)]
pub struct Doors {
    pub(super) access: Access,
    pub(super) tokens: Arc<TokenService>,
    pub(super) metrics: Arc<Metrics>,
    /// By caller, then by integration; what a caller may not have is counted without an integration.
    caller_metrics: Vec<CallerHandles>,
}

#[derive(Debug)]
struct CallerHandles {
    without_integration: CallerMetrics,
    by_integration: Vec<(IntegrationId, CallerMetrics)>,
}

impl Doors {
    /// `integration_names`: in the order in which the token service got them.
    pub fn new(access: Access, tokens: Arc<TokenService>, metrics: Arc<Metrics>, integration_names: &[Arc<str>]) -> Self {
        let handles = |caller: &Caller| {
            let of = |id: IntegrationId| {
                let name = integration_names.get(id.index()).map(AsRef::as_ref);
                (id, metrics.caller(caller.name(), name))
            };
            CallerHandles {
                without_integration: metrics.caller(caller.name(), None),
                by_integration: caller.entitlements().iter().map(|entitlement| of(entitlement.integration())).collect(),
            }
        };
        let caller_metrics = access.callers().iter().map(handles).collect();
        Self { access, tokens, metrics, caller_metrics }
    }

    /// Says in the log why a request got no token, so that its answer's `X-Request-Id` leads somewhere: at debug, for anybody can send
    /// such requests. A defect of ours is told as an error.
    pub(super) fn report(&self, request: &HttpRequest, id: &HeaderValue, who: &Asked, problem: &Problem) {
        let request_id = id.to_str().unwrap_or_default();
        let peer = request.peer_addr().map(|peer| display(peer.ip()));
        let caller = who.caller.and_then(|caller| self.access.callers().get(caller)).map(Caller::name);
        if problem.is_defect() {
            error!(request_id, peer, caller, description = problem.description(), "a defect");
        } else {
            debug!(request_id, peer, caller, description = problem.description(), "a request got no token");
        }
    }

    /// Counts a token request and how long it took.
    pub(super) fn count(&self, who: &Asked, result: RequestResult, started: Instant) {
        let handles = who.caller.and_then(|caller| self.caller_metrics.get(caller));
        let counters = match (handles, who.integration) {
            (None, _) => self.metrics.nobody(),
            (Some(handles), None) => &handles.without_integration,
            (Some(handles), Some(id)) => {
                let of_integration = handles.by_integration.iter().find(|(known, _)| *known == id);
                of_integration.map_or(&handles.without_integration, |(_, counters)| counters)
            }
        };
        counters.count(result);
        self.metrics.token_request_duration.observe(started.elapsed().as_secs_f64());
    }
}

/// Who asked, as far as it was found out.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// [`crate::access::CallerId`]'s place.
    pub(super) caller: Option<usize>,
    pub(super) integration: Option<IntegrationId>,
}

/// Takes a request in, leads it to its door, and its answer out.
#[expect(clippy::redundant_allocation, reason = "a count of each thread's own beside the one that all threads share")]
pub(super) async fn enter(doors: Rc<Arc<Doors>>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let id = request_id(request.headers());
    let mut payload = payload.into_inner();
    let response = match request.path() {
        "/token" => token::answer(&doors, &request, &mut payload, &id).await,
        _ => Problem::UnknownPath.answer(),
    };
    marked(&request, holding(response, payload), id)
}

/// What every answer has, of either listener: it can be told from others, and nobody keeps it.
pub(super) fn marked(request: &HttpRequest, mut response: HttpResponse, id: HeaderValue) -> HttpResponse {
    if request.head().upgrade() {
        // Java's client asks for HTTP/2 so. actix would echo the wish, and end the connection without a word.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(X_REQUEST_ID, id);
    response
}

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
