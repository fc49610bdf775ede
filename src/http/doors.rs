//! What the doors share: whom to ask, and how a request is counted and told of.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_http::Request;
use actix_web::http::header::HeaderValue;
use arc_swap::{ArcSwap, Guard};
use tracing::field::display;
use tracing::{Level, Span, debug, enabled, error, error_span};

use super::error::Problem;
use crate::access::{Access, Caller};
use crate::telemetry::{CallerMetrics, Metrics, RequestResult};
use crate::tokens::{IntegrationId, TokenService};

/// Whom the doors ask: who may have what, and for tokens.
#[derive(Debug)]
pub struct Doors {
    arrangement: ArcSwap<Arrangement>,
    tokens: Arc<TokenService>,
    metrics: Arc<Metrics>,
}

/// Who may have what, by one configuration: a request sees one and the same from its beginning to its end.
#[derive(Debug)]
pub(super) struct Arrangement {
    pub(super) access: Access,
    /// By caller, then by integration; what a caller may not have is counted without an integration.
    caller_metrics: Vec<CallerHandles>,
    /// The names that they are counted by.
    names: HashSet<Counted>,
}

/// A caller's name, and an integration's where it is known.
type Counted = (Box<str>, Option<Arc<str>>);

#[derive(Debug)]
struct CallerHandles {
    without_integration: CallerMetrics,
    by_integration: Vec<(IntegrationId, CallerMetrics)>,
}

/// The doors as one thread has them.
///
/// Both counts are of this thread alone: one that all threads share would be fought over with every request.
#[derive(Debug)]
pub(super) struct ThreadsDoors {
    doors: Arc<Doors>,
    latest: RefCell<Rc<Held>>,
}

/// An arrangement that a thread counts the holders of.
#[derive(Debug)]
pub(super) struct Held(Arc<Arrangement>);

impl Deref for Held {
    type Target = Arrangement;

    fn deref(&self) -> &Arrangement {
        &self.0
    }
}

impl Doors {
    /// `integrations`: their names.
    pub fn new(access: Access, tokens: Arc<TokenService>, metrics: Arc<Metrics>, integrations: &[(IntegrationId, Arc<str>)]) -> Self {
        let arrangement = ArcSwap::from_pointee(Arrangement::new(access, &metrics, integrations));
        Self { arrangement, tokens, metrics }
    }

    /// From now on these may ask, and for this. One arrangement at a time is made.
    pub fn rearrange(&self, access: Access, integrations: &[(IntegrationId, Arc<str>)]) {
        let after = Arc::new(Arrangement::new(access, &self.metrics, integrations));
        let before = self.arrangement.swap(Arc::clone(&after));
        for (caller, integration) in before.names.difference(&after.names) {
            self.metrics.forget_caller(caller, integration.as_deref());
        }
    }

    /// Counts a token request and how long it took.
    pub(super) fn count(&self, who: &Asked, result: RequestResult) {
        let handles = who.caller.and_then(|caller| who.arrangement.caller_metrics.get(caller));
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

impl Arrangement {
    fn new(access: Access, metrics: &Metrics, integrations: &[(IntegrationId, Arc<str>)]) -> Self {
        let mut names = HashSet::new();
        let mut counters = |caller: &str, integration: Option<Arc<str>>| {
            let counters = metrics.caller(caller, integration.as_deref());
            names.insert((caller.into(), integration));
            counters
        };
        let mut handles = |caller: &Caller| CallerHandles {
            without_integration: counters(caller.name(), None),
            by_integration: caller
                .entitlements()
                .iter()
                .map(|entitlement| {
                    let id = entitlement.integration();
                    let name = integrations.iter().find(|(known, _)| *known == id).map(|(_, name)| Arc::clone(name));
                    (id, counters(caller.name(), name))
                })
                .collect(),
        };
        let caller_metrics = access.callers().iter().map(&mut handles).collect();
        Self { access, caller_metrics, names }
    }
}

impl ThreadsDoors {
    pub(super) fn new(doors: Arc<Doors>) -> Self {
        let latest = RefCell::new(Rc::new(Held(doors.arrangement.load_full())));
        Self { doors, latest }
    }

    pub(super) fn doors(&self) -> &Doors {
        &self.doors
    }

    pub(super) fn tokens(&self) -> &TokenService {
        &self.doors.tokens
    }

    /// Who may have what by now.
    pub(super) fn arrangement(&self) -> Rc<Held> {
        let latest = self.doors.arrangement.load();
        let mut held = self.latest.borrow_mut(); // by nobody else: nothing below gives way to another request
        if !Arc::ptr_eq(&held.0, &latest) {
            *held = Rc::new(Held(Guard::into_inner(latest)));
        }
        Rc::clone(&held)
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
    /// Who may have what, as it was when the request was looked at.
    pub(super) arrangement: Rc<Held>,
    /// The caller's place in it.
    pub(super) caller: Option<usize>,
    pub(super) integration: Option<IntegrationId>,
}

impl Asked {
    /// By nobody who is known yet.
    pub(super) fn now(doors: &ThreadsDoors) -> Self {
        Self { at: Instant::now(), arrangement: doors.arrangement(), caller: None, integration: None }
    }

    /// Says in the log why a request got no token, so that its answer's `X-Request-Id` leads somewhere: at debug, for anybody can send
    /// such requests. A defect of ours is told as an error.
    pub(super) fn report(&self, request: &Request, id: &HeaderValue, problem: &Problem) {
        if !problem.is_defect() && !enabled!(Level::DEBUG) {
            return; // and nobody pays for a span that nothing is said in
        }
        let _within = request_span(id).entered();
        let peer = request.peer_addr().map(|peer| display(peer.ip()));
        let caller = self.caller.and_then(|caller| self.arrangement.access.callers().get(caller)).map(Caller::name);
        if problem.is_defect() {
            error!(peer, caller, description = problem.description(), "a defect");
        } else {
            debug!(peer, caller, description = problem.description(), "a request got no token");
        }
    }
}
