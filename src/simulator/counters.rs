//! What the simulator has seen, so that a test may check it, and wait for it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::errors::Rule;

/// What the simulator has seen since its start, or since its counters were reset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counters {
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that are open now. A reset leaves this as it is.
    pub open_connections: u64,
    /// Requests at the token endpoint.
    pub received: u64,
    /// Of them, those whose answer was decided. One that is delayed is not yet, one that hangs before its headers never is.
    pub answered: u64,
    /// Tokens issued, also if a fault then mangled the answer.
    pub issued: u64,
    /// Grants refused, also those refused by a fault of kind `error`.
    pub refused: u64,
    /// Requests at the token endpoint that a fault struck, delays and clock skew apart.
    pub faults: u64,
    /// Refusals by [`Rule::name`].
    pub refused_by_code: BTreeMap<&'static str, u64>,
    /// `jti`s remembered at the moment. A reset does not forget them.
    pub jtis: usize,
    /// Grants whose client had used their `jti` before.
    pub duplicate_jtis: u64,
    /// Requests for the metadata.
    pub metadata: u64,
    /// Requests for the public keys.
    pub jwks: u64,
    /// By client ID and the grant's `scope`. What is not a client's is counted under `unknown`; so is the scope of those, and
    /// every scope after the first thousand.
    pub clients: BTreeMap<String, BTreeMap<String, Tally>>,
    /// The last hundred grants, the newest last.
    pub last_grants: VecDeque<SeenGrant>,
}

/// The exchanges of one client for one scope.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
pub struct Tally {
    /// Requests.
    pub received: u64,
    /// Tokens issued.
    pub issued: u64,
    /// Grants refused.
    pub refused: u64,
    /// Requests that a fault struck.
    pub faults: u64,
    /// Refusals by [`Rule::name`].
    pub refused_by_code: BTreeMap<&'static str, u64>,
}

/// A grant, decoded. It can name a person: the simulator is for test persons only, and `Debug` leaves header and claims out.
#[derive(Clone, Serialize)]
pub struct SeenGrant {
    /// The request's place among those at the token endpoint since the start, from 1. A reset does not begin anew.
    pub number: u64,
    /// When it arrived, counted from the simulator's start.
    pub milliseconds: u64,
    /// `Content-Type` of the request.
    pub content_type: String,
    /// The JWT's header. Empty when the assertion was no JWT.
    pub header: Map<String, Value>,
    /// The JWT's claims, not verified.
    pub claims: Map<String, Value>,
    /// `issued`, `refused` or `fault`; null while nothing is decided.
    pub outcome: Option<&'static str>,
    /// What it was refused for: [`Rule::name`].
    pub code: Option<&'static str>,
    /// The fault that struck it.
    pub fault: Option<&'static str>,
}

impl fmt::Debug for SeenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenGrant")
            .field("number", &self.number)
            .field("outcome", &self.outcome)
            .field("code", &self.code)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

const GRANTS_KEPT: usize = 100;
const SCOPES_KEPT: usize = 1000;
const UNKNOWN: &str = "unknown";

/// A request at the token endpoint that was counted, and whose outcome is still to be told.
pub(super) struct Counted {
    number: u64,
    client: String,
    scope: String,
}

/// How a request at the token endpoint ended.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    Issued,
    Refused(Rule),
    /// A fault took the place of a decision.
    Fault,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Issued => "issued",
            Self::Refused(_) => "refused",
            Self::Fault => "fault",
        }
    }
}

/// How far the counting is: what waiters wait for.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    pub(super) received: u64,
    pub(super) answered: u64,
}

/// Counts. A std mutex in async code: nothing awaits while it is held.
pub(super) struct Counting {
    counters: Mutex<Counters>,
    progress: watch::Sender<Progress>,
    open_connections: AtomicU64,
    /// Never reset: a request that was under way then must not be taken for a later one.
    requests: AtomicU64,
    started: Instant,
}

impl Counting {
    pub(super) fn new() -> Self {
        Self {
            counters: Mutex::default(),
            progress: watch::Sender::default(),
            open_connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    pub(super) fn snapshot(&self, jtis: usize) -> Counters {
        let mut counters = self.update(|counters| counters.clone());
        counters.jtis = jtis;
        counters.open_connections = self.open_connections.load(Ordering::Relaxed);
        counters
    }

    pub(super) fn reset(&self) {
        self.update(|counters| *counters = Counters::default());
        self.progress.send_replace(Progress::default());
    }

    pub(super) fn connected(&self) {
        self.open_connections.fetch_add(1, Ordering::Relaxed);
        self.update(|counters| counters.connections += 1);
    }

    pub(super) fn disconnected(&self) {
        self.open_connections.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn metadata(&self) {
        self.update(|counters| counters.metadata += 1);
    }

    pub(super) fn jwks(&self) {
        self.update(|counters| counters.jwks += 1);
    }

    pub(super) fn duplicate_jti(&self) {
        self.update(|counters| counters.duplicate_jtis += 1);
    }

    /// A request at the token endpoint. `client` is the ID of a client that is known.
    pub(super) fn received(&self, client: Option<&str>, scope: Option<&str>, mut grant: SeenGrant) -> Counted {
        grant.number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        grant.milliseconds = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let counted = self.update(|counters| {
            counters.received += 1;
            let client = client.unwrap_or(UNKNOWN).to_owned();
            let scopes = counters.clients.entry(client.clone()).or_default();
            let scope = scope.filter(|scope| client != UNKNOWN && (scopes.len() < SCOPES_KEPT || scopes.contains_key(*scope)));
            let scope = scope.unwrap_or(UNKNOWN).to_owned();
            scopes.entry(scope.clone()).or_default().received += 1;
            let number = grant.number;
            counters.last_grants.push_back(grant);
            if counters.last_grants.len() > GRANTS_KEPT {
                counters.last_grants.pop_front();
            }
            Counted { number, client, scope }
        });
        self.progress.send_modify(|progress| progress.received += 1);
        counted
    }

    /// A fault strikes the request; whether a token is issued nevertheless is told by [`Self::decided`].
    pub(super) fn struck(&self, counted: &Counted, fault: &'static str) {
        self.update(|counters| {
            counters.faults += 1;
            counters.tally(counted).faults += 1;
            if let Some(grant) = counters.grant(counted) {
                grant.fault = Some(fault);
            }
        });
    }

    /// The request's answer is decided.
    pub(super) fn decided(&self, counted: &Counted, outcome: Outcome) {
        self.update(|counters| {
            counters.answered += 1;
            match outcome {
                Outcome::Issued => {
                    counters.issued += 1;
                    counters.tally(counted).issued += 1;
                }
                Outcome::Refused(rule) => {
                    counters.refused += 1;
                    *counters.refused_by_code.entry(rule.name()).or_default() += 1;
                    let tally = counters.tally(counted);
                    tally.refused += 1;
                    *tally.refused_by_code.entry(rule.name()).or_default() += 1;
                }
                Outcome::Fault => {}
            }
            if let Some(grant) = counters.grant(counted) {
                grant.outcome = Some(outcome.name());
                grant.code = if let Outcome::Refused(rule) = outcome { Some(rule.name()) } else { None };
            }
        });
        self.progress.send_modify(|progress| progress.answered += 1);
    }

    /// Returns once what is asked for is so; waits as long as it takes.
    pub(super) async fn wait(&self, is_enough: impl FnMut(&Progress) -> bool) {
        // The sender lives as long as `self`, so this cannot end in an error.
        let _ = self.progress.subscribe().wait_for(is_enough).await;
    }

    fn update<T>(&self, change: impl FnOnce(&mut Counters) -> T) -> T {
        change(&mut self.counters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Counters {
    fn tally(&mut self, counted: &Counted) -> &mut Tally {
        self.clients.entry(counted.client.clone()).or_default().entry(counted.scope.clone()).or_default()
    }

    /// None when newer ones have pushed it out, or the counters were reset.
    fn grant(&mut self, counted: &Counted) -> Option<&mut SeenGrant> {
        self.last_grants.iter_mut().rev().find(|grant| grant.number == counted.number)
    }
}
