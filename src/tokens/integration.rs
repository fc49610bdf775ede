//! An integration: its client, its tokens, and what is under way for it.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::TokenCache;
use super::clock::EnvironmentClock;
use super::exchanges::AT_ONCE;
use super::failures::Failures;
use super::refusals::Refusals;
use super::request::TokenRequest;
use super::token::Token;
use super::turns::Turns;
use super::under_way::UnderWay;
use crate::maskinporten::{Client, Setup};
use crate::telemetry::IntegrationMetrics;

/// An integration with its tokens and the exchanges under way for it.
#[derive(Debug)]
pub(super) struct Integration {
    pub(super) name: Arc<str>,
    pub(super) client: Arc<Client>,
    /// Where its settings stand, for whoever has to mend one.
    pub(super) setup: Setup,
    pub(super) cache: TokenCache,
    pub(super) metrics: IntegrationMetrics,
    /// Its environment's, shared with the others that are there.
    pub(super) clock: Arc<EnvironmentClock>,
    pub(super) failures: Failures,
    pub(super) refusals: Refusals,
    /// Locked only when a token is missing, or due.
    under_way: Mutex<UnderWay>,
    pub(super) turns: Turns,
    pub(super) renewal_turns: Turns,
    /// That the certificate is out of its validity was said in the log: once is enough, as nothing slows these failures down.
    pub(super) certificate_reported: AtomicBool,
}

impl Integration {
    pub(super) fn new(
        name: Arc<str>,
        client: Client,
        setup: Setup,
        cache: TokenCache,
        metrics: IntegrationMetrics,
        clock: Arc<EnvironmentClock>,
    ) -> Self {
        Self {
            name,
            client: Arc::new(client),
            setup,
            cache,
            metrics,
            clock,
            failures: Failures::default(),
            refusals: Refusals::new(),
            under_way: Mutex::default(),
            turns: Turns::new(AT_ONCE),
            renewal_turns: Turns::new(AT_ONCE),
            certificate_reported: AtomicBool::new(false),
        }
    }

    pub(super) fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // Nothing that can panic runs while it is held, so a poisoned lock guards a whole table.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a token, unless one that was asked for later is there by now: of two exchanges side by side the older may end last.
    pub(super) fn keep(&self, request: &TokenRequest, token: &Arc<Token>) {
        let _one_at_a_time = self.under_way();
        if !self.cache.get(request).is_some_and(|there| there.was_asked_for_after(token)) {
            self.cache.put(request, token);
        }
    }
}
