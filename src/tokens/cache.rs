//! Who holds which token until when: a cache per integration.
//!
//! One per integration, so that a flood of requests to one pushes out only its own tokens. Least recently used goes first: moka's
//! default policy, TinyLFU, throws nearly all new tokens out of a full, warm cache. Prefetched tokens stand outside it and are never
//! pushed out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use foldhash::quality::RandomState;
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::request::TokenRequest;
use super::token::Token;

/// The tokens of one integration.
#[derive(Debug)]
pub(super) struct TokenCache {
    /// What is prefetched: the places are fixed at start-up, so a look-up takes no lock.
    prefetched: HashMap<TokenRequest, ArcSwapOption<Token>, RandomState>,
    asked_for: Cache<TokenRequest, Arc<Token>, RandomState>,
}

/// Each token expires at its own time.
struct AtItsOwnTime;

impl Expiry<TokenRequest, Arc<Token>> for AtItsOwnTime {
    fn expire_after_create(&self, _: &TokenRequest, token: &Arc<Token>, created_at: Instant) -> Option<Duration> {
        token.expires_at().map(|expires_at| expires_at.saturating_duration_since(created_at))
    }

    fn expire_after_update(&self, _: &TokenRequest, token: &Arc<Token>, updated_at: Instant, _: Option<Duration>) -> Option<Duration> {
        token.expires_at().map(|expires_at| expires_at.saturating_duration_since(updated_at))
    }
}

impl TokenCache {
    /// Room for `capacity` tokens besides the prefetched ones.
    pub(super) fn new(capacity: u64, prefetched: impl IntoIterator<Item = TokenRequest>) -> Self {
        Self {
            prefetched: prefetched.into_iter().map(|request| (request, ArcSwapOption::empty())).collect(),
            asked_for: Cache::builder()
                .max_capacity(capacity)
                .eviction_policy(EvictionPolicy::lru())
                .expire_after(AtItsOwnTime)
                .build_with_hasher(RandomState::default()),
        }
    }

    /// The token for this request, however short its life may still be. Waits for nobody.
    pub(super) fn get(&self, request: &TokenRequest) -> Option<Arc<Token>> {
        match self.prefetched.get(request) {
            Some(place) => place.load_full(),
            None => self.asked_for.get(request),
        }
    }

    /// Keeps a token in place of the one before. One whose life nobody knows is not kept.
    pub(super) fn put(&self, request: &TokenRequest, token: &Arc<Token>) {
        if token.expires_at().is_none() {
            return;
        }
        match self.prefetched.get(request) {
            Some(place) => place.store(Some(Arc::clone(token))),
            None => self.asked_for.insert(request.clone(), Arc::clone(token)),
        }
    }

    /// How many tokens are held, about.
    pub(super) fn len(&self) -> u64 {
        let prefetched = self.prefetched.values().filter(|place| place.load().is_some()).count();
        self.asked_for.entry_count() + prefetched as u64
    }

    /// Lets go of what has expired: moka keeps it until somebody touches the cache.
    pub(super) fn tidy(&self) {
        self.asked_for.run_pending_tasks();
        let now = Instant::now();
        for place in self.prefetched.values() {
            let expired = place.load_full().filter(|token| token.expires_at().is_some_and(|expires_at| expires_at <= now));
            if let Some(expired) = expired {
                // Only that one: a renewal may have put another there meanwhile.
                place.compare_and_swap(&expired, None);
            }
        }
    }
}
