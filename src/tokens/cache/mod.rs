//! Who holds which token until when: a cache per integration.
//!
//! One per integration, so that a flood of requests to one pushes out only its own tokens; and within it a share for each caller
//! (`shares.rs`), so that a caller that asks for very many pushes out its own. Prefetched tokens stand outside the shares and are never
//! pushed out.
//!
//! A look-up is one in a concurrent map and waits for nobody. Whatever changes the map does so under one lock, with the ledger of what is
//! held.

mod shares;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::quality::RandomState;
use papaya::Guard;

use self::shares::Shares;
use super::request::TokenRequest;
use super::suspension::LifeInstant;
use super::token::Token;

/// Bytes of a token and its request that take one place of the room: many more than nearly all have. What has more takes several places,
/// so that the memory is bounded too.
const PLACE: usize = 4096;
/// So many are looked at in one go for whether they have ended: nobody waits for the lock for long.
const LOOKED_AT: usize = 4096;

/// The tokens of one integration.
pub(super) struct TokenCache {
    tokens: papaya::HashMap<Arc<TokenRequest>, Kept, RandomState>,
    ledger: Mutex<Ledger>,
}

/// A token, and where the ledger has it.
#[derive(Clone)]
struct Kept {
    token: Arc<Token>,
    /// None: it is prefetched.
    key: Option<usize>,
}

/// What is in the map, for whoever changes it.
struct Ledger {
    /// What is kept warm, with its token when there is one.
    prefetched: HashMap<Arc<TokenRequest>, Option<Arc<Token>>, RandomState>,
    asked_for: Shares<Entry>,
}

struct Entry {
    request: Arc<TokenRequest>,
    token: Arc<Token>,
    ends: Option<LifeInstant>,
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// Room for `capacity` tokens besides the prefetched ones, shared by `callers`.
    pub(super) fn new(capacity: usize, callers: usize, prefetched: impl IntoIterator<Item = TokenRequest>) -> Self {
        let prefetched = prefetched.into_iter().map(|request| (Arc::new(request), None)).collect();
        Self {
            tokens: papaya::HashMap::with_hasher(RandomState::default()),
            ledger: Mutex::new(Ledger { prefetched, asked_for: Shares::new(capacity, callers) }),
        }
    }

    /// The token for this request, however short its life may still be. Waits for nobody.
    pub(super) fn get(&self, request: &TokenRequest) -> Option<Arc<Token>> {
        self.tokens.pin().get(request).map(|kept| Arc::clone(&kept.token))
    }

    /// Keeps a token in place of the one before, which it is then counted as. One whose life nobody knows is not kept.
    pub(super) fn put(&self, request: &TokenRequest, token: &Arc<Token>) {
        if token.expires_at().is_none() {
            return;
        }
        let mut ledger = self.ledger();
        if let Some((request, _)) = ledger.prefetched.get_key_value(request) {
            let request = Arc::clone(request);
            self.tokens.pin().insert(Arc::clone(&request), Kept { token: Arc::clone(token), key: None });
            ledger.prefetched.insert(request, Some(Arc::clone(token)));
            return;
        }
        let before = self.tokens.pin().get(request).and_then(|kept| kept.key);
        let (owner, request) = match before.and_then(|key| ledger.asked_for.remove(key)) {
            Some((owner, before)) => (owner, before.request),
            None => (token.owner(), Arc::new(request.clone())),
        };
        self.keep(&mut ledger, owner, request, Arc::clone(token));
    }

    /// Another room, other callers, other requests that are kept warm. Tokens stay as far as they fit, and answers are given meanwhile.
    pub(super) fn rearrange(&self, capacity: usize, callers: usize, prefetched: impl IntoIterator<Item = TokenRequest>) {
        let mut ledger = self.ledger();
        let prefetched: HashSet<TokenRequest, RandomState> = prefetched.into_iter().collect();
        ledger.asked_for.resize(capacity, callers);
        let mut no_more = Vec::new();
        ledger.prefetched.retain(|request, token| {
            let stays = prefetched.contains(&**request);
            if !stays && let Some(token) = token.take() {
                no_more.push((Arc::clone(request), token));
            }
            stays
        });
        for request in prefetched {
            if ledger.prefetched.contains_key(&request) {
                continue;
            }
            let kept = self.tokens.pin().get(&request).and_then(|kept| kept.key);
            let request = match kept.and_then(|key| ledger.asked_for.remove(key)) {
                Some((_, Entry { request, token, .. })) => {
                    self.tokens.pin().insert(Arc::clone(&request), Kept { token: Arc::clone(&token), key: None });
                    ledger.prefetched.insert(request, Some(token));
                    continue;
                }
                None => Arc::new(request),
            };
            ledger.prefetched.insert(request, None);
        }
        while let Some(gone) = ledger.asked_for.next_too_many(Entry::was_used) {
            self.tokens.pin().remove(&gone.request);
        }
        for (request, token) in no_more {
            token.give_renewal_back();
            self.keep(&mut ledger, token.owner(), request, token);
        }
    }

    /// Lets go of all tokens.
    pub(super) fn clear(&self) {
        let mut ledger = self.ledger();
        ledger.asked_for.clear();
        ledger.prefetched.values_mut().for_each(|place| *place = None);
        let guard = self.tokens.guard();
        self.tokens.clear(&guard);
        guard.flush();
    }

    /// How many tokens are held.
    pub(super) fn len(&self) -> usize {
        let ledger = self.ledger();
        ledger.asked_for.len() + ledger.prefetched.values().flatten().count()
    }

    /// Lets go of the tokens that have ended; how many these were.
    pub(super) fn tidy(&self) -> usize {
        let now = LifeInstant::now();
        let mut ended = self.tidy_prefetched(now);
        let mut from = 0;
        loop {
            // Locked anew each time, so that nobody waits for all of them.
            let mut ledger = self.ledger();
            let end = ledger.asked_for.end();
            for key in from..end.min(from + LOOKED_AT) {
                if ledger.asked_for.get(key).is_some_and(|entry| entry.ends.is_none_or(|ends| ends <= now))
                    && let Some((_, entry)) = ledger.asked_for.remove(key)
                {
                    self.tokens.pin().remove(&entry.request);
                    ended += 1;
                }
            }
            drop(ledger);
            from += LOOKED_AT;
            if from >= end {
                break;
            }
        }
        // What was taken out of the map is let go of now, not only when more is.
        self.tokens.guard().flush();
        ended
    }

    fn tidy_prefetched(&self, now: LifeInstant) -> usize {
        let mut ended = 0;
        for (request, place) in &mut self.ledger().prefetched {
            if place.as_ref().is_some_and(|token| token.ends().is_none_or(|ends| ends <= now)) {
                self.tokens.pin().remove(request);
                *place = None;
                ended += 1;
            }
        }
        ended
    }

    /// Makes room, and puts a token there. Whoever looks it up meanwhile finds the one before, if there was one.
    fn keep(&self, ledger: &mut Ledger, owner: Option<super::CallerId>, request: Arc<TokenRequest>, token: Arc<Token>) {
        let places = (token.length() + request.length()) / PLACE + 1;
        while let Some(gone) = ledger.asked_for.next_to_go(owner, places, Entry::was_used) {
            self.tokens.pin().remove(&gone.request);
        }
        if !ledger.asked_for.may_put(owner, places) {
            self.tokens.pin().remove(&request);
            return;
        }
        let entry = Entry { request: Arc::clone(&request), token: Arc::clone(&token), ends: token.ends() };
        let key = ledger.asked_for.insert(owner, places, entry);
        self.tokens.pin().insert(request, Kept { token, key: Some(key) });
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Nothing that can panic runs while it is held, so a poisoned lock guards a whole ledger.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn was_used(&self) -> bool {
        self.token.take_use()
    }
}

#[cfg(test)]
mod tests;
