//! A token and the moments of its life.
//!
//! What comes in and goes out here are moments of the monotonic clock; within, lives are counted on one that goes on while the machine
//! sleeps.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rand::RngExt;
use zeroize::Zeroizing;

use super::request::CallerId;
use super::suspension::LifeInstant;
use crate::maskinporten::{AccessToken, Scopes};

/// Milliseconds. With less than this left a token is not handed out unless nothing better can be had: it would not outlive the call that it is for.
const TOO_SHORT: u32 = 5000;

/// A token, as long as it may be handed out.
///
/// Shared by all who hold it: what changes in its life (that it was handed out, that its renewal has begun, or failed) is a few flags, set seldom.
pub struct Token {
    secret: Zeroizing<Box<[u8]>>,
    /// None when they are those that were asked for.
    scopes: Option<Scopes>,
    /// None: Maskinporten did not say how long it lives, so it goes to those who waited for it and to nobody else.
    life: Option<Life>,
    /// The place of its exchange among all, in the order in which they were asked for.
    order: u64,
    /// When the exchange that brought it ended, if somebody had asked for a fresh token.
    fresh_since: Option<LifeInstant>,
    /// Whose request brought it, or the first of those that it has followed. None: it was prefetched.
    owner: Option<CallerId>,
    /// Handed out from the cache at least once, which is what makes it worth renewing.
    served: AtomicBool,
    /// Somebody has taken its renewal on.
    renewal_taken: AtomicBool,
    /// An attempt to renew it has failed.
    renewal_failed: AtomicBool,
    /// Handed out since it was last looked at for room.
    in_use: AtomicBool,
}

/// Small, for there are as many as tokens: one moment, and how long after it the others come. Milliseconds hold 49 days; no token lives
/// longer than one.
#[derive(Debug, Clone, Copy)]
struct Life {
    /// A moment before the exchange, so that our view of the life ends before Maskinporten's.
    began: LifeInstant,
    renewed_after: u32,
    expires_after: u32,
}

impl Life {
    fn new(began: LifeInstant, lifetime: Duration) -> Self {
        // Spread over a tenth of the life, so that tokens that came together are not renewed together.
        let share = rand::rng().random_range(0.75..0.85);
        Self { began, renewed_after: milliseconds(lifetime.mul_f64(share)), expires_after: milliseconds(lifetime) }
    }

    fn renew_at(self) -> LifeInstant {
        self.began.after(Duration::from_millis(self.renewed_after.into()))
    }

    fn last_handout(self) -> LifeInstant {
        self.began.after(Duration::from_millis((self.expires_after - TOO_SHORT.min(self.expires_after / 10)).into()))
    }

    fn expires_at(self) -> LifeInstant {
        self.began.after(Duration::from_millis(self.expires_after.into()))
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("scopes", &self.scopes).field("life", &self.life).finish_non_exhaustive()
    }
}

impl Token {
    /// `began`: before the exchange. `order`: its place among all. `fresh`: somebody asked for a token newer than the cached one. `owner`:
    /// whose request it was; of a renewal, the owner of the token before.
    pub(super) fn new(
        token: AccessToken,
        asked_for: &Scopes,
        began: LifeInstant,
        order: u64,
        fresh: bool,
        owner: Option<CallerId>,
    ) -> Self {
        let life = token.expires_in().map(|lifetime| Life::new(began, lifetime));
        let (secret, scopes) = token.into_parts();
        Self {
            secret,
            scopes: scopes.filter(|scopes| scopes != asked_for),
            life,
            order,
            fresh_since: fresh.then(LifeInstant::now),
            owner,
            served: AtomicBool::new(false),
            renewal_taken: AtomicBool::new(false),
            renewal_failed: AtomicBool::new(false),
            in_use: AtomicBool::new(false),
        }
    }

    /// The token's characters (RFC 6750 `b64token`).
    pub fn access_token(&self) -> &[u8] {
        &self.secret
    }

    /// The scopes that Maskinporten said the token has, when they are not those that were asked for.
    pub fn other_scopes(&self) -> Option<&Scopes> {
        self.scopes.as_ref()
    }

    /// Whole seconds that are left, rounded down, at least 1. None when nobody knows.
    pub fn expires_in(&self, now: Instant) -> Option<u64> {
        self.life.map(|life| life.expires_at().since(LifeInstant::at(now)).as_secs().max(1))
    }

    /// Enough of its life is left to hand it out.
    pub(super) fn is_good(&self, now: Instant) -> bool {
        self.life.is_some_and(|life| LifeInstant::at(now) < life.last_handout())
    }

    /// It still works, though perhaps not for long: better than no token at all.
    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.life.is_some_and(|life| LifeInstant::at(now) < life.expires_at())
    }

    /// It still works, and its renewal has failed: whoever asks need not wait for that to happen again.
    pub(super) fn is_the_best_to_be_had(&self, now: Instant) -> bool {
        self.renewal_failed.load(Relaxed) && self.is_valid(now)
    }

    /// What is left of its life: zero when it has ended, or when nobody knows how long it lives.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.life.map_or(Duration::ZERO, |life| life.expires_at().since(LifeInstant::at(now)))
    }

    /// From when on it may be renewed, if the machine does not sleep until then. None: it cannot be, as nobody knows how long it lives.
    pub(super) fn renew_at(&self) -> Option<Instant> {
        self.life.map(|life| life.renew_at().monotonic())
    }

    /// When it ends, if the machine does not sleep until then.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.ends().map(LifeInstant::monotonic)
    }

    /// When it ends.
    pub(super) fn ends(&self) -> Option<LifeInstant> {
        self.life.map(Life::expires_at)
    }

    /// Whose it is.
    pub(super) fn owner(&self) -> Option<CallerId> {
        self.owner
    }

    /// How many bytes it has.
    pub(super) fn length(&self) -> usize {
        self.secret.len() + self.scopes.as_ref().map_or(0, |scopes| scopes.as_str().len())
    }

    /// The exchange that brought it was asked for after the other's.
    pub(super) fn was_asked_for_after(&self, other: &Self) -> bool {
        self.order > other.order
    }

    /// It came from an exchange for a fresh token that ended less than `window` ago.
    pub(super) fn is_fresh(&self, now: Instant, window: Duration) -> bool {
        self.fresh_since.is_some_and(|since| LifeInstant::at(now).since(since) < window)
    }

    /// Notes that it was handed out from the cache; true the first time.
    pub(super) fn mark_served(&self) -> bool {
        // Looked at before it is written: a hot token's flag stays shared between processors.
        !self.served.load(Relaxed) && !self.served.swap(true, Relaxed)
    }

    /// Notes that it is in use.
    pub(super) fn mark_in_use(&self) {
        if !self.in_use.load(Relaxed) {
            self.in_use.store(true, Relaxed);
        }
    }

    /// Whether it was handed out since this was last asked.
    pub(super) fn take_use(&self) -> bool {
        self.in_use.swap(false, Relaxed)
    }

    /// Takes its renewal on; true for the first who asks.
    pub(super) fn take_renewal(&self) -> bool {
        !self.renewal_taken.load(Relaxed) && !self.renewal_taken.swap(true, Relaxed)
    }

    /// Whoever has taken its renewal on does not renew it any more: it is renewed when it is due if somebody asks for it, as any other is.
    pub(super) fn give_renewal_back(&self) {
        self.served.store(false, Relaxed);
        self.renewal_taken.store(false, Relaxed);
    }

    /// Notes that an attempt to renew it has failed.
    pub(super) fn mark_renewal_failed(&self) {
        self.renewal_failed.store(true, Relaxed);
    }
}

#[cfg(test)]
impl Token {
    /// One that begins now, for tests of what keeps tokens.
    pub(super) fn of(owner: Option<CallerId>, secret: &[u8], lifetime: Duration) -> Self {
        Self {
            secret: Zeroizing::new(secret.into()),
            scopes: None,
            life: Some(Life::new(LifeInstant::now(), lifetime)),
            order: 0,
            fresh_since: None,
            owner,
            served: AtomicBool::new(false),
            renewal_taken: AtomicBool::new(false),
            renewal_failed: AtomicBool::new(false),
            in_use: AtomicBool::new(false),
        }
    }
}
