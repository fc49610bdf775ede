//! The exchanges under way: where the outcome of each will be, and whether anybody still waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, watch};

use super::error::TokenError;
use super::integration::Integration;
use super::request::{CallerId, TokenRequest};
use super::token::Token;

/// How an exchange ended.
pub(super) type Outcome = Result<Arc<Token>, TokenError>;

/// The exchanges under way of one integration.
pub(super) type UnderWay = HashMap<Wanted, Arc<Exchange>>;

/// What an exchange is to bring.
pub(super) type Wanted = (Kind, TokenRequest);

/// Two kinds of exchange for one token may be under way side by side: who asks for a fresh token does not share one that began for another reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Ordinary,
    Fresh,
}

/// An exchange under way. It holds no receiver itself: those that there are belong to who waits.
#[derive(Debug)]
pub(super) struct Exchange {
    outcome: watch::Sender<Option<Outcome>>,
    /// None: only a renewal waits, which comes again by itself.
    callers: Mutex<Option<Callers>>,
    joined: Notify,
}

/// The callers who wait for an exchange.
#[derive(Clone, Copy, Debug)]
struct Callers {
    /// Whose turns it may take: the first one's.
    first: CallerId,
    /// Until when attempts may begin: until the last of them leaves.
    until: Instant,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self { outcome: watch::Sender::new(None), callers: Mutex::default(), joined: Notify::new() }
    }

    /// Somebody waits for it from now on; a caller until that moment.
    pub(super) fn join(&self, caller: Option<CallerId>, until: Option<Instant>) -> watch::Receiver<Option<Outcome>> {
        if let (Some(caller), Some(until)) = (caller, until) {
            let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
            let before = callers.unwrap_or(Callers { first: caller, until });
            *callers = Some(Callers { until: until.max(before.until), ..before });
            self.joined.notify_waiters();
        }
        self.outcome.subscribe()
    }

    /// Until when attempts may begin for a caller who waits. None: no caller does.
    pub(super) fn until(&self) -> Option<Instant> {
        self.callers().map(|callers| callers.until)
    }

    /// The first caller who waits for it, once there is one.
    pub(super) async fn first_caller(&self) -> CallerId {
        loop {
            // Made before it is looked, so that nobody who joins in between is missed.
            let joined = self.joined.notified();
            if let Some(Callers { first, .. }) = self.callers() {
                return first;
            }
            joined.await;
        }
    }

    fn callers(&self) -> Option<Callers> {
        *self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of an exchange on the table, given up when it has ended, however it ended.
pub(super) struct Place {
    integration: Arc<Integration>,
    wanted: Wanted,
    exchange: Arc<Exchange>,
    is_on_the_table: bool,
}

impl Place {
    /// Puts a new exchange on the table. Its caller holds the lock.
    pub(super) fn take(integration: &Arc<Integration>, under_way: &mut UnderWay, wanted: Wanted) -> Self {
        let exchange = Arc::new(Exchange::new());
        under_way.insert(wanted.clone(), Arc::clone(&exchange));
        Self { integration: Arc::clone(integration), wanted, exchange, is_on_the_table: true }
    }

    pub(super) fn integration(&self) -> &Arc<Integration> {
        &self.integration
    }

    pub(super) fn request(&self) -> &TokenRequest {
        &self.wanted.1
    }

    pub(super) fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// What comes of this, as long as anybody waits for the exchange. None: all have left, it is off the table, and who comes now begins a new one.
    pub(super) async fn while_wanted<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        let mut what = std::pin::pin!(what);
        loop {
            let exchange = Arc::clone(&self.exchange);
            tokio::select! {
                biased;
                () = exchange.outcome.closed() => if self.leave_if_nobody_waits() {
                    return None;
                },
                come = &mut what => return Some(come),
            }
        }
    }

    fn leave_if_nobody_waits(&mut self) -> bool {
        let mut under_way = self.integration.under_way();
        // Under the lock, for that is where whoever comes joins.
        if self.exchange.outcome.receiver_count() > 0 {
            return false;
        }
        under_way.remove(&self.wanted);
        self.is_on_the_table = false;
        true
    }

    /// Leaves the table, and tells all who wait.
    pub(super) fn tell(self, outcome: Outcome) {
        let exchange = Arc::clone(&self.exchange);
        drop(self);
        exchange.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_on_the_table {
            self.integration.under_way().remove(&self.wanted);
        }
    }
}
