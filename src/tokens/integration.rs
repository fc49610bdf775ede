//! An integration: how it is configured now, and what stays when that changes: its tokens, and what is under way for it.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::cache::TokenCache;
use super::circuit::Circuit;
use super::clock::EnvironmentClock;
use super::exchanges::AT_ONCE;
use super::failures::Failures;
use super::refusals::Refusals;
use super::request::{IntegrationId, TokenRequest};
use super::token::Token;
use super::turns::Turns;
use super::under_way::UnderWay;
use crate::maskinporten::probe::Probe;
use crate::maskinporten::{Client, Setup, TokenEndpointClient};
use crate::telemetry::IntegrationMetrics;

/// An integration as it is configured, with its tokens and the exchanges under way for it.
///
/// It never changes. Another configuration makes another value, which has the lasting parts of this one. Whoever holds this one for long
/// asks for the [latest](Integration::latest).
#[derive(Debug)]
pub(super) struct Integration {
    pub(super) name: Arc<str>,
    pub(super) client: Arc<Client>,
    /// Where its settings stand, for whoever has to mend one.
    pub(super) setup: Setup,
    pub(super) metrics: IntegrationMetrics,
    pub(super) way_out: WayOut,
    /// That the certificate is out of its validity was said in the log: once is enough, as nothing slows these failures down.
    pub(super) certificate_reported: AtomicBool,
    lasting: Arc<Lasting>,
}

/// What stays when an integration is configured in another way.
#[derive(Debug)]
pub(super) struct Lasting {
    pub(super) id: IntegrationId,
    pub(super) cache: TokenCache,
    /// Its environment's, shared with the others that are there.
    pub(super) clock: Arc<EnvironmentClock>,
    /// Its token endpoint's, shared in the same way.
    pub(super) circuit: Arc<Circuit>,
    pub(super) failures: Failures,
    pub(super) refusals: Refusals,
    /// Locked only when a token is missing, or due.
    under_way: Mutex<UnderWay>,
    pub(super) turns: Turns,
    pub(super) renewal_turns: Turns,
    /// As it is configured by now. Weak: that holds this.
    latest: Mutex<Weak<Integration>>,
    is_gone: AtomicBool,
}

impl Deref for Integration {
    type Target = Lasting;

    fn deref(&self) -> &Lasting {
        &self.lasting
    }
}

/// What another configuration of an integration brings.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) name: Arc<str>,
    pub(super) client: Client,
    pub(super) setup: Setup,
    pub(super) metrics: IntegrationMetrics,
    pub(super) way_out: WayOut,
}

/// How Maskinporten is reached.
#[derive(Clone, Debug)]
pub(super) struct WayOut {
    /// What grants are exchanged with.
    pub(super) endpoint: Arc<TokenEndpointClient>,
    /// Goes the same way, to find out whose certificate it was that is not trusted.
    pub(super) probe: Arc<Probe>,
    /// How long a caller waits at most.
    pub(super) deadline: Duration,
}

impl Integration {
    /// One that has not been there before.
    pub(super) fn new(
        id: IntegrationId,
        configured: Configured,
        cache: TokenCache,
        clock: Arc<EnvironmentClock>,
        circuit: Arc<Circuit>,
    ) -> Arc<Self> {
        let lasting = Lasting {
            id,
            cache,
            clock,
            circuit,
            failures: Failures::default(),
            refusals: Refusals::new(),
            under_way: Mutex::default(),
            turns: Turns::new(AT_ONCE),
            renewal_turns: Turns::new(AT_ONCE),
            latest: Mutex::default(),
            is_gone: AtomicBool::new(false),
        };
        Self::of(configured, Arc::new(lasting))
    }

    /// The same client in the same environment, configured in another way: its tokens are as good as before.
    pub(super) fn successor(&self, configured: Configured) -> Arc<Self> {
        Self::of(configured, Arc::clone(&self.lasting))
    }

    fn of(configured: Configured, lasting: Arc<Lasting>) -> Arc<Self> {
        let Configured { name, client, setup, metrics, way_out } = configured;
        let certificate_reported = AtomicBool::new(false);
        let integration = Arc::new(Self { name, client: Arc::new(client), setup, metrics, way_out, certificate_reported, lasting });
        *integration.latest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&integration);
        integration
    }

    /// As it is configured by now. One that is gone stays as it was.
    pub(super) fn latest(self: &Arc<Self>) -> Arc<Self> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        latest.unwrap_or_else(|| Arc::clone(self))
    }

    /// It is not configured any more. Who has asked for a token before gets it, and nobody else.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Relaxed)
    }

    /// Lets go of its tokens, and keeps none from now on: an exchange that is under way does not put its own back.
    pub(super) fn retire(&self) {
        let _no_token_is_kept_meanwhile = self.under_way();
        self.is_gone.store(true, Relaxed);
        self.cache.clear();
    }

    pub(super) fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // Nothing that can panic runs while it is held, so a poisoned lock guards a whole table.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a token, unless one that was asked for later is there by now: of two exchanges side by side the older may end last.
    pub(super) fn keep(&self, request: &TokenRequest, token: &Arc<Token>) {
        let _one_at_a_time = self.under_way();
        if !self.is_gone() && !self.cache.get(request).is_some_and(|there| there.was_asked_for_after(token)) {
            self.cache.put(request, token);
        }
    }
}
