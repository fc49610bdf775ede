//! Renewing ahead of need, so that nobody feels a token end.
//!
//! A token that was handed out from the cache at least once is renewed when four fifths of its life are over, while the old one is
//! still handed out. A prefetched one is kept warm from start-up on, whether anybody asks or not.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{sleep_until, timeout};
use tracing::debug;

use super::arrangement::Arranged;
use super::error::TokenError;
use super::exchanges::{Exchanges, Purpose};
use super::integration::Integration;
use super::request::TokenRequest;
use super::suspension::{Sleeper, sleep, spread_out};
use super::token::Token;
use super::trials::wait_while_open;

/// Between attempts to renew, after what can pass by itself: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// At most this part of what is left of the token: some twenty attempts fit into its last fifth, however short it lives.
const PART: u32 = 16;
/// After a refusal, which does not pass by itself: at first, and at most. At least two more attempts fit into what is left of the token.
const FIRST_PAUSE_WHEN_REFUSED: Duration = Duration::from_secs(5);
const LONGEST_PAUSE_WHEN_REFUSED: Duration = Duration::from_secs(60);
const SHORTEST_PAUSE_WHEN_REFUSED: Duration = Duration::from_millis(250);
/// A life that is shorter than an exchange takes must not make keeping warm a loop without a pause.
const SHORTEST_LIFE: Duration = Duration::from_millis(250);
/// From so many tokens on, those that were pushed out of the cache are looked for and let go of before they are due: however many
/// different tokens callers ask for, at most twice as many wait here as are held.
const ROOM: usize = 1024;
/// How often a prefetched token is asked for when nobody knows how long it lives, and so cannot be kept.
const WITHOUT_LIFETIME: Duration = Duration::from_secs(60);

/// Takes in tokens that will be due, and renews them when they are.
#[derive(Debug)]
pub(super) struct Renewals {
    runtime: Handle,
    exchanges: Arc<Exchanges>,
    /// The timer's end: one message per token and life, so that the request that sends it waits for nobody.
    due: mpsc::UnboundedSender<Due>,
}

/// A token that will be due.
#[derive(Debug)]
struct Due {
    at: Instant,
    /// Whose integration is looked up when it is due: an old configuration, with its key, is not held here.
    request: TokenRequest,
    /// Weak: a token that was pushed out of the cache is not held here until it would have been due.
    token: Weak<Token>,
}

impl Renewals {
    /// Starts the timer, which ends when this value is dropped.
    pub(super) fn start(runtime: Handle, exchanges: Arc<Exchanges>, arranged: Arc<Arranged>) -> Self {
        let (due, incoming) = mpsc::unbounded_channel();
        runtime.spawn(wait_for_due(incoming, Arc::clone(&exchanges), arranged));
        Self { runtime, exchanges, due }
    }

    /// Has a token renewed when it is due. For the first hand-out of its life.
    pub(super) fn schedule(&self, request: &TokenRequest, token: &Arc<Token>) {
        let Some(at) = token.renew_at() else { return };
        let due = Due { at, request: request.clone(), token: Arc::downgrade(token) };
        // Nobody receives only while the service ends.
        let _ = self.due.send(due);
    }

    /// Renews a token at once, in the background. The caller has taken its renewal.
    pub(super) fn begin(&self, integration: &Arc<Integration>, request: &TokenRequest, token: Arc<Token>) {
        self.runtime.spawn(renew(Arc::clone(&self.exchanges), Arc::clone(integration), request.clone(), token));
    }

    /// Keeps a token warm until that is ended. An exchange that is under way then goes on.
    pub(super) fn keep_warm(&self, integration: &Arc<Integration>, request: TokenRequest) -> AbortHandle {
        self.runtime.spawn(keep_warm(Arc::clone(&self.exchanges), Arc::clone(integration), request)).abort_handle()
    }
}

async fn wait_for_due(mut incoming: mpsc::UnboundedReceiver<Due>, exchanges: Arc<Exchanges>, arranged: Arc<Arranged>) {
    let mut waiting = BinaryHeap::new();
    let mut room = ROOM;
    let mut sleeper = Sleeper::new();
    loop {
        let next = waiting.peek().map(|due: &Due| due.at);
        tokio::select! {
            received = incoming.recv() => match received {
                Some(due) => {
                    waiting.push(due);
                    if waiting.len() >= room {
                        waiting.retain(|due| due.token.strong_count() > 0);
                        room = ROOM.max(2 * waiting.len());
                    }
                }
                None => return,
            },
            // All are due earlier by what was slept.
            () = sleeper.woken() => waiting = waiting.into_iter().filter_map(Due::again).collect(),
            () = at(next) => while waiting.peek().is_some_and(|due| due.at <= Instant::now()) {
                if let Some(due) = waiting.pop()
                    && let Some(token) = due.token.upgrade()
                    && let Some(integration) = arranged.load().get(due.request.integration())
                    && token.take_renewal()
                {
                    tokio::spawn(renew(Arc::clone(&exchanges), Arc::clone(integration), due.request, token));
                }
            },
        }
    }
}

impl Due {
    /// With the moment as it is now. None: nobody holds the token any more.
    fn again(self) -> Option<Self> {
        let at = self.token.upgrade()?.renew_at()?;
        Some(Self { at: spread_out(at), ..self })
    }
}

/// Until this moment; for ever when there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}

/// Tries until there is a new token, or the old one has ended: from then on whoever asks brings it about.
async fn renew(exchanges: Arc<Exchanges>, mut integration: Arc<Integration>, request: TokenRequest, token: Arc<Token>) {
    let mut attempt = 0;
    let purpose = Purpose::Renewal(Some(Arc::clone(&token)));
    loop {
        // An earlier configuration, with its key, is not held for as long as an outage lasts.
        integration = integration.latest();
        if integration.circuit.is_open_for(request.integration()) {
            token.mark_renewal_failed();
            wait_while_open(&exchanges, &integration, &request, &purpose, token.expires_at()).await;
        }
        if !token.is_valid(Instant::now()) || integration.is_gone() {
            // That exchanges fail has been said, and an outage may end every token that there is.
            debug!(integration = &*integration.name, scope = request.scopes().as_str(), attempt, "a token was not renewed in time");
            return;
        }
        let Err(error) = exchanges.join(&integration, &request, &purpose, None).outcome().await else { return };
        token.mark_renewal_failed();
        let pause = pause_while_valid(attempt, &error, token.left(Instant::now()));
        pause_or_circuit(&integration, &request, pause).await;
        attempt += 1;
    }
}

async fn keep_warm(exchanges: Arc<Exchanges>, integration: Arc<Integration>, request: TokenRequest) {
    let (mut attempt, mut old) = (0, None::<Arc<Token>>);
    loop {
        let valid = old.as_ref().filter(|old| old.is_valid(Instant::now()));
        let purpose = Purpose::Renewal(old.clone());
        if integration.circuit.is_open_for(request.integration()) {
            valid.inspect(|old| old.mark_renewal_failed());
            let ends = valid.and_then(|old| old.expires_at());
            wait_while_open(&exchanges, &integration, &request, &purpose, ends).await;
            if ends.is_some_and(|ends| ends <= Instant::now()) {
                continue;
            }
        }
        match exchanges.join(&integration, &request, &purpose, None).outcome().await {
            Ok(token) => {
                attempt = 0;
                // This task renews it, and no timer beside it.
                token.mark_served();
                token.take_renewal();
                let until_due = token.renew_at().map(|renew_at| renew_at.saturating_duration_since(Instant::now()).max(SHORTEST_LIFE));
                sleep(until_due.unwrap_or(WITHOUT_LIFETIME)).await;
                old = token.renew_at().is_some().then_some(token);
            }
            Err(error) => {
                let valid = old.as_ref().filter(|old| old.is_valid(Instant::now()));
                let pause = match valid {
                    Some(old) => {
                        old.mark_renewal_failed();
                        pause_while_valid(attempt, &error, old.left(Instant::now()))
                    }
                    None => error.retry_after(pause(attempt, FIRST_PAUSE, LONGEST_PAUSE), LONGEST_PAUSE),
                };
                pause_or_circuit(&integration, &request, pause).await;
                attempt += 1;
            }
        }
    }
}

/// Sleeps, but not on when the circuit opens: from then on it tells when to go on.
async fn pause_or_circuit(integration: &Integration, request: &TokenRequest, pause: Duration) {
    let opens = integration.circuit.opens();
    if !integration.circuit.is_open_for(request.integration()) {
        // Either way it is time to look again.
        let _ = timeout(pause, opens).await;
    }
}

/// Doubles from attempt to attempt, with jitter so that tokens that failed together do not come back together.
fn pause(attempt: u32, first: Duration, longest: Duration) -> Duration {
    first.saturating_mul(1 << attempt.min(16)).min(longest).mul_f64(rand::rng().random_range(0.5..1.0))
}

/// Not beyond the token's end.
fn pause_while_valid(attempt: u32, error: &TokenError, left: Duration) -> Duration {
    error.retry_after(pause_after_what_passes(attempt, left), pause_after_a_refusal(attempt, left)).min(left)
}

/// Shorter the less is left of the token, so that many attempts fit into it.
fn pause_after_what_passes(attempt: u32, left: Duration) -> Duration {
    let shortest = FIRST_PAUSE.mul_f64(rand::rng().random_range(0.8..1.2));
    pause(attempt, FIRST_PAUSE, LONGEST_PAUSE.min(left / PART)).max(shortest)
}

fn pause_after_a_refusal(attempt: u32, left: Duration) -> Duration {
    // Half of what is left, so that there is time for another one; towards the end not many small ones.
    let longest = (left / 2).max(Duration::from_secs(1)).min(left * 3 / 5).min(LONGEST_PAUSE_WHEN_REFUSED);
    pause(attempt, FIRST_PAUSE_WHEN_REFUSED, longest).max(SHORTEST_PAUSE_WHEN_REFUSED)
}

/// The earliest first, in a heap that gives the greatest.
impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

#[cfg(test)]
mod tests;
