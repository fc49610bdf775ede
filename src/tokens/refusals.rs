//! What Maskinporten refused, remembered shortly: who asks for it again is told so at once, and Maskinporten is left in peace.
//!
//! Also how long an answer asked us to wait. Kept by a digest that begins with a secret of this process, for a request can name a person.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use openssl::sha::Sha256;

use super::request::TokenRequest;
use crate::maskinporten::Diagnosis;

/// How long a refusal is remembered: at first, and at most. It doubles each time that the same is refused again after that; what is
/// refused meanwhile, as a renewal can be, is remembered for as long as the last time.
const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// What nobody has been refused for this long after it was remembered begins anew.
const BEGINS_ANEW_AFTER: Duration = Duration::from_secs(60);
/// Bytes of what is remembered for one integration, about: a thousand refusals and more. The least recently used go first.
const ROOM: u64 = 2 * 1024 * 1024;
/// What an entry takes besides its texts, about.
const ENTRY: usize = 512;

/// What is remembered for one integration.
pub(super) struct Refusals {
    secret: [u8; 32],
    remembered: Cache<Key, Arc<Entry>, RandomState>,
    /// Counts how often all was forgotten.
    forgotten: AtomicU64,
}

type Key = [u8; 32];

#[derive(Debug)]
struct Entry {
    diagnosis: Arc<Diagnosis>,
    since: Instant,
    until: Instant,
    /// How long the last refusal is remembered. Zero: there was none, only an answer that asked us to wait.
    lasts: Duration,
    weight: u32,
}

/// When an exchange began, as far as this room is concerned: what it learns counts only if nothing was forgotten since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AsOf(u64);

/// A failure that is remembered, so that Maskinporten was not asked again.
#[derive(Clone, Debug)]
pub struct Remembered {
    diagnosis: Arc<Diagnosis>,
    age: Duration,
    left: Duration,
}

impl Remembered {
    /// The failure.
    pub fn diagnosis(&self) -> &Diagnosis {
        &self.diagnosis
    }

    /// How long ago it happened.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// For how long it is still remembered.
    pub fn left(&self) -> Duration {
        self.left
    }

    /// It is no refusal: the answer asked for patience, and what it was about passes by itself.
    pub(super) fn asks_to_wait(&self) -> bool {
        self.diagnosis.error().can_pass_by_itself()
    }
}

impl fmt::Display for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnosis.fmt(f)
    }
}

/// Kept for as long as the next refusal would be a repetition.
struct UntilItBeginsAnew;

impl Expiry<Key, Arc<Entry>> for UntilItBeginsAnew {
    fn expire_after_create(&self, _: &Key, entry: &Arc<Entry>, created_at: Instant) -> Option<Duration> {
        Some((entry.until + BEGINS_ANEW_AFTER).saturating_duration_since(created_at))
    }

    fn expire_after_update(&self, _: &Key, entry: &Arc<Entry>, updated_at: Instant, _: Option<Duration>) -> Option<Duration> {
        Some((entry.until + BEGINS_ANEW_AFTER).saturating_duration_since(updated_at))
    }
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self {
            secret: rand::random(),
            remembered: Cache::builder()
                .max_capacity(ROOM)
                .weigher(|_, entry: &Arc<Entry>| entry.weight)
                .eviction_policy(EvictionPolicy::lru())
                .expire_after(UntilItBeginsAnew)
                .build_with_hasher(RandomState::default()),
            forgotten: AtomicU64::new(0),
        }
    }

    /// To be taken before an exchange begins, and given back with what it learns.
    pub(super) fn as_of(&self) -> AsOf {
        AsOf(self.forgotten.load(SeqCst))
    }

    /// Remembers a failure, if it does not pass by itself or the answer asked us to wait.
    pub(super) fn remember(&self, request: &TokenRequest, diagnosis: &Arc<Diagnosis>, as_of: AsOf, now: Instant) {
        let error = diagnosis.error();
        let passes = error.can_pass_by_itself();
        let wait = error.retry_after().unwrap_or_default();
        if passes && wait.is_zero() {
            return;
        }
        let key = self.key(request);
        let before = self.remembered.get(&key).filter(|before| now < before.until + BEGINS_ANEW_AFTER);
        let lasted = before.as_ref().map_or(Duration::ZERO, |before| before.lasts);
        let is_over = before.is_none_or(|before| before.until <= now);
        let lasts = match lasted {
            lasted if passes => lasted,
            Duration::ZERO => FIRST,
            lasted if is_over => (lasted * 2).min(LONGEST),
            lasted => lasted,
        };
        let until = now + if passes { wait } else { lasts };
        let weight = u32::try_from(ENTRY + diagnosis.found().len() + diagnosis.remedy().len()).unwrap_or(u32::MAX);
        self.remembered.insert(key, Arc::new(Entry { diagnosis: Arc::clone(diagnosis), since: now, until, lasts, weight }));
        // Looked at after it was put there: whoever forgets all counts first, and then throws away what is there.
        if self.as_of() != as_of {
            self.remembered.invalidate(&key);
        }
    }

    /// What is remembered of this request.
    pub(super) fn recall(&self, request: &TokenRequest, now: Instant) -> Option<Remembered> {
        let entry = self.remembered.get(&self.key(request)).filter(|entry| now < entry.until)?;
        let age = now.saturating_duration_since(entry.since);
        Some(Remembered { diagnosis: Arc::clone(&entry.diagnosis), age, left: entry.until - now })
    }

    /// Begins anew with this request: a token came for it, or somebody wants to try all the same.
    pub(super) fn forget(&self, request: &TokenRequest) {
        self.remembered.invalidate(&self.key(request));
    }

    /// Forgets all, also what exchanges that are under way will learn: the configuration has changed.
    pub(super) fn clear(&self) {
        self.forgotten.fetch_add(1, SeqCst);
        self.remembered.invalidate_all();
    }

    /// Lets go of what has expired: moka keeps it until somebody touches the cache.
    pub(super) fn tidy(&self) {
        self.remembered.run_pending_tasks();
    }

    fn key(&self, request: &TokenRequest) -> Key {
        let mut digest = Digest(Sha256::new());
        digest.write(&self.secret);
        request.hash(&mut digest);
        digest.0.finish()
    }
}

impl fmt::Debug for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusals").field("remembered", &self.remembered.entry_count()).finish_non_exhaustive()
    }
}

/// Feeds a digest with what identifies a request.
struct Digest(Sha256);

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not what it is for: the digest is longer than this.
    fn finish(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests;
