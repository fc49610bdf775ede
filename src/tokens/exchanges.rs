//! One exchange per token at a time, detached from whoever asked for it.
//!
//! A caller that hangs up does not cancel the exchange for the others: it runs as a task of its own, and all who want its token wait
//! for one shared result.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing::{Instrument, Span};

use super::attempts::{Attempts, Granted};
use super::error::TokenError;
use super::integration::Integration;
use super::request::{CallerId, TokenRequest};
use super::token::Token;

/// Who asks within this time after an exchange for a fresh token has ended gets the token that it brought.
const FRESH_WINDOW: Duration = Duration::from_secs(1);

/// Exchanges of one integration that are made at once, and as many renewals beside them; more wait for their turn. A burst of different
/// tokens is not to become a burst of connections, nor to let those that are in use run out.
pub(super) const AT_ONCE: usize = 32;
/// Exchanges of one integration that may be under way, waiting ones included. Beyond, callers are told at once.
const MOST_UNDER_WAY: usize = 1000;

/// How an exchange ended.
pub(super) type Outcome = Result<Arc<Token>, TokenError>;

/// The exchanges under way, each with the place where its outcome will be.
pub(super) type UnderWay = HashMap<(Kind, TokenRequest), watch::Receiver<Option<Outcome>>>;

/// Two kinds of exchange for one token may be under way side by side: who asks for a fresh token does not share one that began for another reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Ordinary,
    Fresh,
}

/// Why a token is wanted, which decides what already answers it.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "the cache's shares will count by the caller")]
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

/// Takes an exchange off the table when it has ended, however it ended.
struct OffTheTable {
    integration: Arc<Integration>,
    key: (Kind, TokenRequest),
    is_on_it: bool,
}

impl OffTheTable {
    /// Takes it off before it begins, if all who wanted it have left: who comes now begins a new one.
    fn if_nobody_waits(&mut self, sender: &watch::Sender<Option<Outcome>>) -> bool {
        let mut under_way = self.integration.under_way();
        // Under the lock, for that is where whoever comes takes a receiver. The table's own is one.
        if sender.receiver_count() > 1 {
            return false;
        }
        under_way.remove(&self.key);
        self.is_on_it = false;
        true
    }
}

impl Drop for OffTheTable {
    fn drop(&mut self) {
        if self.is_on_it {
            self.integration.under_way().remove(&self.key);
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

    /// The token that meets the purpose, the exchange under way that will bring it, or a new one.
    pub(super) fn join(self: &Arc<Self>, integration: &Arc<Integration>, request: &TokenRequest, purpose: &Purpose) -> Joined {
        let key = (purpose.kind(), request.clone());
        let is_renewal = matches!(purpose, Purpose::Renewal(_));
        let sender = {
            let mut under_way = integration.under_way();
            // Whoever will take any new token may wait for a fresh one; who wants a fresh one may not wait for an older exchange.
            let fresh = || under_way.get(&(Kind::Fresh, request.clone()));
            if let Some(receiver) = under_way.get(&key).or_else(fresh) {
                return Joined::UnderWay(receiver.clone());
            }
            // Looked at again under the lock: an exchange puts its token in the cache before it leaves the table.
            if let Some(token) = integration.cache.get(request).filter(|token| purpose.is_met_by(token)) {
                return Joined::There(token);
            }
            // Renewals are no more than there are tokens in the cache, and a burst of other requests is not to let those run out.
            if under_way.len() >= MOST_UNDER_WAY && !is_renewal {
                return Joined::Refused(TokenError::TooMany(Arc::clone(&integration.name)));
            }
            let (sender, receiver) = watch::channel(None);
            under_way.insert(key.clone(), receiver);
            sender
        };
        let order = self.order.fetch_add(1, Relaxed);
        let receiver = sender.subscribe();
        let integration = Arc::clone(integration);
        let mut off_the_table = OffTheTable { integration: Arc::clone(&integration), key, is_on_it: true };
        let exchanges = Arc::clone(self);
        let exchange = async move {
            let turns = if is_renewal { &integration.renewal_turns } else { &integration.turns };
            // Nobody closes them: this always is a turn.
            let _turn = turns.acquire().await;
            if off_the_table.if_nobody_waits(&sender) {
                return;
            }
            let (kind, request) = &off_the_table.key;
            let granted = exchanges.attempts.token(&integration, request).await;
            let outcome = granted.map(|Granted { token, began }| {
                let token = Arc::new(Token::new(token, request.scopes(), began, order, *kind == Kind::Fresh));
                integration.keep(request, &token);
                token
            });
            drop(off_the_table);
            sender.send_replace(Some(outcome));
        };
        // Its lines in the log belong to the request that began it. A renewal that nobody waits for has none.
        self.runtime.spawn(exchange.instrument(Span::current()));
        Joined::UnderWay(receiver)
    }
}
