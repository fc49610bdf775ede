//! One exchange per token at a time, detached from whoever asked for it.
//!
//! A caller that hangs up does not cancel the exchange for the others: it runs as a task of its own, and all who want its token wait
//! for one shared result.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout_at};
use tracing::{Instrument, Span, debug};

use super::attempts::{Attempts, Failed, Granted, followed_by_another};
use super::error::TokenError;
use super::failures::answered_from_memory;
use super::integration::Integration;
use super::refusals::AsOf;
use super::request::{CallerId, TokenRequest};
use super::retries::{Retries, latest_beginning};
use super::token::Token;
use super::turns::Turn;
use super::under_way::{Exchange, Kind, Outcome, Place};
use crate::maskinporten::{Diagnosis, ExchangeError};

/// Who asks within this time after an exchange for a fresh token has ended gets the token that it brought.
const FRESH_WINDOW: Duration = Duration::from_secs(1);

/// Exchanges of one integration that are made at once, and as many renewals beside them; more wait for their turn. A burst of different
/// tokens is not to become a burst of connections, nor to let those that are in use run out.
pub(super) const AT_ONCE: usize = 8;

/// Why a token is wanted, which decides what already answers it.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// There is none with enough life left.
    Need(CallerId),
    /// The caller does not want the cached one.
    Fresh(CallerId),
    /// This one is due, or (none) there has not been any: whichever other token is there by now will do.
    Renewal(Option<Arc<Token>>),
}

impl Purpose {
    fn kind(&self) -> Kind {
        match self {
            Self::Need(_) | Self::Renewal(_) => Kind::Ordinary,
            Self::Fresh(_) => Kind::Fresh,
        }
    }

    /// Whose the token will be.
    fn owner(&self) -> Option<CallerId> {
        match self {
            Self::Need(caller) | Self::Fresh(caller) => Some(*caller),
            Self::Renewal(old) => old.as_ref().and_then(|old| old.owner()),
        }
    }

    /// Whose turn its exchange has to wait for. A renewal is nobody's.
    fn caller(&self) -> Option<CallerId> {
        match self {
            Self::Need(caller) | Self::Fresh(caller) => Some(*caller),
            Self::Renewal(_) => None,
        }
    }

    /// Whether the token that is there makes an exchange unnecessary.
    fn is_met_by(&self, token: &Arc<Token>) -> bool {
        let now = Instant::now();
        match self {
            Self::Need(_) => token.is_good(now),
            Self::Fresh(_) => token.is_good(now) && token.is_fresh(now, FRESH_WINDOW),
            Self::Renewal(old) => token.is_good(now) && old.as_ref().is_none_or(|old| !Arc::ptr_eq(old, token)),
        }
    }
}

/// A token that is there, an exchange to wait for, or neither.
pub(super) enum Joined {
    There(Arc<Token>),
    Refused(TokenError),
    UnderWay(watch::Receiver<Option<Outcome>>),
}

impl Joined {
    /// The token, or why there is none. May be dropped at any time: the exchange goes on.
    pub(super) async fn outcome(self) -> Outcome {
        match self {
            Self::There(token) => Ok(token),
            Self::Refused(error) => Err(error),
            Self::UnderWay(mut receiver) => match receiver.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or(Err(TokenError::Defect)),
                Err(_) => Err(TokenError::Defect),
            },
        }
    }
}

/// Makes exchanges, on a runtime of their own.
#[derive(Debug)]
pub(super) struct Exchanges {
    runtime: Handle,
    attempts: Attempts,
    /// Counts exchanges in the order in which they were asked for, so that of two tokens the one asked for later is known.
    order: AtomicU64,
}

impl Exchanges {
    pub(super) fn new(runtime: Handle, attempts: Attempts) -> Self {
        Self { runtime, attempts, order: AtomicU64::new(0) }
    }

    /// Waits for the threads that sign, but no longer than this.
    pub(super) fn end_signatures(&self, within: Duration) {
        self.attempts.end_signatures(within);
    }

    /// Where exchanges are made.
    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// One exchange that nobody waits for, beside those under way and without a turn. Its token is kept.
    pub(super) async fn try_once(&self, integration: &Arc<Integration>, request: &TokenRequest, purpose: &Purpose) {
        let integration = &integration.latest();
        if integration.is_gone() {
            return;
        }
        let order = self.order.fetch_add(1, Relaxed);
        let (as_of, mut retries) = (integration.refusals.as_of(), Retries::new());
        match self.attempts.token(integration, request, &mut retries, None).await {
            Ok(granted) => {
                kept(integration, request, granted, order, purpose);
            }
            Err(Failed::Exchange(error)) => {
                self.failed(integration, request, error, retries.made(), as_of).await;
            }
            // It was said where it came about.
            Err(Failed::WithoutGrant(_)) => {}
        }
    }

    /// Explains why there is no token, and remembers it.
    async fn failed(
        &self,
        integration: &Integration,
        request: &TokenRequest,
        error: ExchangeError,
        attempts: u32,
        as_of: AsOf,
    ) -> Arc<Diagnosis> {
        let diagnosis = self.attempts.explain(integration, request, error, attempts).await;
        integration.refusals.remember(request, &diagnosis, as_of, Instant::now());
        diagnosis
    }

    /// The token that meets the purpose, the exchange under way that will bring it, or a new one. `until`: when a caller who waits leaves;
    /// none for a renewal, which comes again by itself.
    pub(super) fn join(
        self: &Arc<Self>,
        integration: &Arc<Integration>,
        request: &TokenRequest,
        purpose: &Purpose,
        until: Option<Instant>,
    ) -> Joined {
        let integration = &integration.latest();
        let (place, receiver, begins_at) = {
            let mut under_way = integration.under_way();
            // Whoever will take any new token may wait for a fresh one; who wants a fresh one may not wait for an older exchange.
            let kinds: &[Kind] = if purpose.kind() == Kind::Fresh { &[Kind::Fresh] } else { &[Kind::Ordinary, Kind::Fresh] };
            if let Some(exchange) = kinds.iter().find_map(|kind| under_way.get(&(*kind, request.clone()))) {
                return Joined::UnderWay(exchange.join(purpose.caller(), until));
            }
            // Looked at again under the lock: an exchange puts its token in the cache before it leaves the table.
            if let Some(token) = integration.cache.get(request).filter(|token| purpose.is_met_by(token)) {
                return Joined::There(token);
            }
            let begins_at = match recalled(integration, request, purpose, until) {
                Ok(begins_at) => begins_at,
                Err(error) => return Joined::Refused(error),
            };
            let place = Place::take(integration, &mut under_way, (purpose.kind(), request.clone()));
            let receiver = place.exchange().join(purpose.caller(), until);
            (place, receiver, begins_at)
        };
        let order = self.order.fetch_add(1, Relaxed);
        let (exchanges, purpose) = (Arc::clone(self), purpose.clone());
        let exchange = async move {
            let mut place = place;
            if let Some(outcome) = exchanges.make(&mut place, &purpose, order, begins_at).await {
                place.tell(outcome);
            }
        };
        // Its lines in the log belong to the request that began it. A renewal that nobody waits for has none.
        self.runtime.spawn(exchange.instrument(Span::current()));
        Joined::UnderWay(receiver)
    }

    /// Makes attempts until one brings a token, or the failure is final. None: all who wanted it had left before the next attempt.
    async fn make(&self, place: &mut Place, purpose: &Purpose, order: u64, begins_at: Option<Instant>) -> Option<Outcome> {
        let integration = Arc::clone(place.integration());
        let request = place.request().clone();
        let as_of = integration.refusals.as_of();
        let (exchange, mut retries) = (Arc::clone(place.exchange()), Retries::new());
        let first = async {
            if let Some(moment) = begins_at {
                sleep_until(moment.into()).await;
            }
            turn(&integration, &exchange, purpose).await
        };
        let Some(mut turn) = place.while_wanted(first).await else {
            debug!(
                integration = &*integration.name,
                scope = request.scopes().as_str(),
                "nobody waits for this token any more: not fetched"
            );
            return None;
        };
        loop {
            // Meanwhile another exchange may have brought a token: one for a fresh one, beside this.
            if let Some(token) = integration.cache.get(&request).filter(|token| purpose.is_met_by(token)) {
                return Some(Ok(token));
            }
            // As it is configured by now: the turn may have been long in coming.
            let integration = integration.latest();
            let error = match self.attempts.token(&integration, &request, &mut retries, exchange.until()).await {
                Ok(granted) => return Some(Ok(kept(&integration, &request, granted, order, purpose))),
                Err(Failed::WithoutGrant(error)) => return Some(Err(error)),
                Err(Failed::Exchange(error)) => error,
            };
            let pause = retries.pause(&error, exchange.until(), Instant::now());
            // A pause is nobody's turn.
            drop(turn);
            let next = if let Some(pause) = pause {
                followed_by_another(&integration, &request, &error, retries.made(), pause);
                let next = async {
                    sleep(pause).await;
                    self::turn(&integration, &exchange, purpose).await
                };
                in_time(&exchange, place.while_wanted(next)).await
            } else {
                None
            };
            turn = match next {
                Some(Some(turn)) => turn,
                ended => {
                    let diagnosis = self.failed(&integration, &request, error, retries.made(), as_of).await;
                    return ended.is_none().then(|| Err(diagnosis.into()));
                }
            };
        }
    }
}

/// A turn of whoever it is for: a renewal's own, or a caller's as soon as one waits for it. Hundreds of renewals may be before it.
async fn turn(integration: &Integration, exchange: &Exchange, purpose: &Purpose) -> Turn {
    if !matches!(purpose, Purpose::Renewal(_)) {
        return integration.turns.take(purpose.caller()).await;
    }
    let of_a_caller = async {
        let caller = exchange.first_caller().await;
        integration.turns.take(Some(caller)).await
    };
    tokio::select! {
        turn = integration.renewal_turns.take(None) => turn,
        turn = of_a_caller => turn,
    }
}

/// What comes of this, as long as an attempt may begin for any caller who has joined by then.
async fn in_time<T>(exchange: &Exchange, what: impl Future<Output = T>) -> Option<T> {
    let mut what = pin!(what);
    let mut until = exchange.until()?;
    loop {
        if let Ok(come) = timeout_at(latest_beginning(until).into(), &mut what).await {
            return Some(come);
        }
        until = exchange.until().filter(|later| *later > until)?;
    }
}

/// Keeps a token that has come. What was refused before it is forgotten.
fn kept(integration: &Integration, request: &TokenRequest, granted: Granted, order: u64, purpose: &Purpose) -> Arc<Token> {
    let Granted { token, began } = granted;
    let is_fresh = purpose.kind() == Kind::Fresh;
    let token = Arc::new(Token::new(token, request.scopes(), began, order, is_fresh, purpose.owner()));
    integration.keep(request, &token);
    integration.refusals.forget(request);
    token
}

/// What is remembered of this request decides: when its exchange may begin (none: at once), or that there is none.
fn recalled(
    integration: &Integration,
    request: &TokenRequest,
    purpose: &Purpose,
    until: Option<Instant>,
) -> Result<Option<Instant>, TokenError> {
    match purpose {
        Purpose::Renewal(_) => return Ok(None),
        Purpose::Fresh(_) => {
            integration.refusals.forget(request);
            return Ok(None);
        }
        Purpose::Need(_) => {}
    }
    let now = Instant::now();
    let Some(remembered) = integration.refusals.recall(request, now) else { return Ok(None) };
    let begins_at = now + remembered.left();
    if remembered.asks_to_wait() && until.is_some_and(|until| begins_at <= latest_beginning(until)) {
        return Ok(Some(begins_at));
    }
    answered_from_memory(integration, request, &remembered);
    Err(TokenError::Remembered(remembered))
}
