//! What the doors share: whom to ask, and how a request is counted and told of.

use std::sync::Arc;
use std::time::Instant;

use actix_http::Request;
use actix_web::http::header::HeaderValue;
use tracing::field::display;
use tracing::{Level, Span, debug, enabled, error, error_span};

use super::error::Problem;
use crate::access::{Access, Caller};
use crate::telemetry::{CallerMetrics, Metrics, RequestResult};
use crate::tokens::{CallerId, IntegrationId, TokenService};

/// Whom the doors ask: who may have what, and for tokens.
#[derive(Debug)]
pub struct Doors {
    pub(super) access: Access,
    pub(super) tokens: Arc<TokenService>,
    metrics: Arc<Metrics>,
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
    pub(super) fn report(&self, request: &Request, id: &HeaderValue, who: &Asked, problem: &Problem) {
        if !problem.is_defect() && !enabled!(Level::DEBUG) {
            return; // and nobody pays for a span that nothing is said in
        }
        let _within = request_span(id).entered();
        let peer = request.peer_addr().map(|peer| display(peer.ip()));
        let caller = who.caller.and_then(|caller| self.access.callers().get(caller.index())).map(Caller::name);
        if problem.is_defect() {
            error!(peer, caller, description = problem.description(), "a defect");
        } else {
            debug!(peer, caller, description = problem.description(), "a request got no token");
        }
    }

    /// Counts a token request and how long it took.
    pub(super) fn count(&self, who: &Asked, result: RequestResult) {
        let handles = who.caller.and_then(|caller| self.caller_metrics.get(caller.index()));
        let counters = match (handles, who.integration) {
            (None, _) => self.metrics.nobody(),
            (Some(handles), None) => &handles.without_integration,
            (Some(handles), Some(id)) => {
                let of_integration = handles.by_integration.iter().find(|(known, _)| *known == id);
                of_integration.map_or(&handles.without_integration, |(_, counters)| counters)
            }
        };
        counters.count(result);
        self.metrics.token_request_duration.observe(who.at.elapsed().as_secs_f64());
    }
}

/// Marks the log's lines that belong to a request with its ID, those of an exchange that it begins too. At the level of errors, so that
/// no filter takes the ID from a line that it lets through.
pub(super) fn request_span(id: &HeaderValue) -> Span {
    error_span!("request", request_id = id.to_str().unwrap_or_default())
}

/// When somebody asked, and who, as far as it was found out.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) at: Instant,
    pub(super) caller: Option<CallerId>,
    pub(super) integration: Option<IntegrationId>,
}

impl Asked {
    /// By nobody who is known yet.
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), caller: None, integration: None }
    }
}
