//! How many requests may wait for Maskinporten at the same time.
//!
//! An upstream that hangs is not to fill this process with requests, nor one integration's to take the room of another's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::request::IntegrationId;
use crate::telemetry::WaitingMetrics;

/// Over all integrations.
const MOST: usize = 10_000;

/// Counts the requests that wait. Its lock is held for an addition, and by requests only whose token is not in the cache.
#[derive(Debug)]
pub(super) struct Waiting {
    counts: Mutex<Counts>,
    metrics: WaitingMetrics,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Only of those for which somebody waits.
    by_integration: HashMap<IntegrationId, usize>,
}

/// A request that waits, until dropped: also when its client hangs up, or the deadline ends it.
#[derive(Debug)]
pub(super) struct Waits {
    waiting: Arc<Waiting>,
    integration: IntegrationId,
}

impl Waiting {
    pub(super) fn new(metrics: WaitingMetrics) -> Self {
        Self { counts: Mutex::default(), metrics }
    }

    /// Room for one more request. None: too many wait.
    ///
    /// `alone`: there is no other integration, so it may have all the room. Otherwise it has at most as much as is still free: one whose
    /// upstream hangs fills a half, the next one half of what is left, and there is always room for another.
    pub(super) fn admit(self: &Arc<Self>, integration: IntegrationId, alone: bool) -> Option<Waits> {
        let mut counts = self.counts();
        let free = MOST.saturating_sub(counts.all);
        let own = counts.by_integration.get(&integration).copied().unwrap_or_default();
        if free == 0 || !alone && own >= free {
            self.metrics.refused.inc();
            return None;
        }
        counts.all += 1;
        counts.by_integration.insert(integration, own + 1);
        drop(counts);
        self.metrics.waiting.inc();
        Some(Waits { waiting: Arc::clone(self), integration })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing that can panic runs while it is held, so a poisoned lock guards whole counts.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        let mut counts = self.waiting.counts();
        counts.all = counts.all.saturating_sub(1);
        if let Some(own) = counts.by_integration.get_mut(&self.integration) {
            *own -= 1;
            if *own == 0 {
                counts.by_integration.remove(&self.integration);
            }
        }
        drop(counts);
        self.waiting.metrics.waiting.dec();
    }
}

#[cfg(test)]
mod tests;
