//! Who holds which token until when: a cache per integration.
//!
//! One per integration, so that a flood of requests to one pushes out only its own tokens. Least recently used goes first: moka's
//! default policy, TinyLFU, throws nearly all new tokens out of a full, warm cache. Prefetched tokens stand outside it and are never
//! pushed out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use foldhash::quality::RandomState;
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::request::TokenRequest;
use super::token::Token;

/// The tokens of one integration.
#[derive(Debug)]
pub(super) struct TokenCache {
    now: ArcSwap<Tokens>,
}

/// The tokens, in the places that one configuration has for them.
#[derive(Debug)]
struct Tokens {
    capacity: u64,
    /// What is prefetched: the places are fixed, so a look-up takes no lock.
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
        Self { now: ArcSwap::from_pointee(Tokens::new(capacity, prefetched)) }
    }

    /// The token for this request, however short its life may still be. Waits for nobody.
    pub(super) fn get(&self, request: &TokenRequest) -> Option<Arc<Token>> {
        self.now.load().get(request)
    }

    /// Keeps a token in place of the one before. One whose life nobody knows is not kept.
    pub(super) fn put(&self, request: &TokenRequest, token: &Arc<Token>) {
        self.now.load().put(request, token);
    }

    /// Makes room for more or fewer tokens, and for others that are prefetched. All that have room stay. One that is kept at this very
    /// moment may be lost: then whoever asks next brings another one about.
    pub(super) fn rearrange(&self, capacity: u64, prefetched: impl IntoIterator<Item = TokenRequest>) {
        let before = self.now.load_full();
        let mut after = Tokens::new(capacity, prefetched);
        if capacity == before.capacity {
            after.asked_for = before.asked_for.clone(); // the same one: it is shared
        } else {
            before.asked_for.iter().for_each(|(request, token)| after.put(&request, &token));
        }
        for (request, place) in &before.prefetched {
            let Some(token) = place.load_full() else { continue };
            if !after.prefetched.contains_key(request) {
                token.give_renewal_back();
            }
            after.put(request, &token);
        }
        for (request, place) in after.prefetched.iter().filter(|(_, place)| place.load().is_none()) {
            place.store(after.asked_for.get(request));
        }
        let after = Arc::new(after);
        self.now.store(Arc::clone(&after));
        // Not before: until then they are looked for there.
        after.prefetched.keys().for_each(|request| after.asked_for.invalidate(request));
    }

    /// Lets go of all tokens.
    pub(super) fn clear(&self) {
        let now = self.now.load();
        now.asked_for.invalidate_all();
        now.asked_for.run_pending_tasks();
        now.prefetched.values().for_each(|place| place.store(None));
    }

    /// How many tokens are held, about.
    pub(super) fn len(&self) -> u64 {
        let now = self.now.load();
        let prefetched = now.prefetched.values().filter(|place| place.load().is_some()).count();
        now.asked_for.entry_count() + prefetched as u64
    }

    /// Lets go of what has expired: moka keeps it until somebody touches the cache.
    pub(super) fn tidy(&self) {
        let tokens = self.now.load_full();
        tokens.asked_for.run_pending_tasks();
        let now = Instant::now();
        for place in tokens.prefetched.values() {
            let expired = place.load_full().filter(|token| token.expires_at().is_some_and(|expires_at| expires_at <= now));
            if let Some(expired) = expired {
                // Only that one: a renewal may have put another there meanwhile.
                place.compare_and_swap(&expired, None);
            }
        }
    }
}

impl Tokens {
    fn new(capacity: u64, prefetched: impl IntoIterator<Item = TokenRequest>) -> Self {
        Self {
            capacity,
            prefetched: prefetched.into_iter().map(|request| (request, ArcSwapOption::empty())).collect(),
            asked_for: Cache::builder()
                .max_capacity(capacity)
                .eviction_policy(EvictionPolicy::lru())
                .expire_after(AtItsOwnTime)
                .build_with_hasher(RandomState::default()),
        }
    }

    fn get(&self, request: &TokenRequest) -> Option<Arc<Token>> {
        match self.prefetched.get(request) {
            Some(place) => place.load_full(),
            None => self.asked_for.get(request),
        }
    }

    fn put(&self, request: &TokenRequest, token: &Arc<Token>) {
        if token.expires_at().is_none() {
            return;
        }
        match self.prefetched.get(request) {
            Some(place) => place.store(Some(Arc::clone(token))),
            None => self.asked_for.insert(request.clone(), Arc::clone(token)),
        }
    }
}
