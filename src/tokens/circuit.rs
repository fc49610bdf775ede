//! The circuit of a token endpoint: whether it has been failing for so long that nobody is made to wait for it.
//!
//! It opens when nothing but failures has come for a while, to every integration that asks. While it is open, who needs a token that is
//! not in the cache is told so at once, and one exchange a second is tried ([`trials`](super::trials)); the first success closes it. An
//! integration that has not itself failed since the last success is never held back: what is wrong may be wrong with the others alone.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use prometheus::IntGauge;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};
use tracing::{info, warn};

use super::request::IntegrationId;
use super::trials::Trial;
use crate::maskinporten::{AccessToken, Environment, ExchangeError};

mod state;

use state::{Closed, State};

/// The circuit of one token endpoint, shared by all integrations that ask there.
#[derive(Debug)]
pub(super) struct Circuit {
    environment: Box<str>,
    token_endpoint: Arc<str>,
    is_open: IntGauge,
    /// Something has failed since the last success. While nothing has, nobody takes the lock to find out.
    is_in_trouble: AtomicBool,
    state: Mutex<State<Trial>>,
    opened: Notify,
    /// Nobody asks at this endpoint any more. Set and read under the state's lock, as the gauge may be another circuit's by now.
    is_retired: AtomicBool,
}

/// An open circuit, as whoever is held back is told of it.
#[derive(Debug)]
pub struct OpenCircuit {
    token_endpoint: Arc<str>,
    since: Timestamp,
    error: Arc<ExchangeError>,
    retry_after: Duration,
}

impl OpenCircuit {
    /// What the latest exchange came to.
    pub fn error(&self) -> &ExchangeError {
        &self.error
    }

    /// When to come back: in a second, unless Maskinporten has said later.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

impl fmt::Display for OpenCircuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchanges at {} have been failing since {}, one is tried every second. {}", self.token_endpoint, self.since, self.error)
    }
}

impl Circuit {
    pub(super) fn new(environment: &Environment, is_open: IntGauge) -> Self {
        Self {
            environment: environment.name().into(),
            token_endpoint: environment.token_endpoint().into(),
            is_open,
            is_in_trouble: AtomicBool::new(false),
            state: Mutex::new(State::new()),
            opened: Notify::new(),
            is_retired: AtomicBool::new(false),
        }
    }

    /// An exchange begins.
    pub(super) fn began(&self, integration: IntegrationId, now: Instant) {
        self.state().began(integration, now);
    }

    /// An exchange that began then has ended.
    pub(super) fn ended(&self, integration: IntegrationId, began: Instant, result: &Result<AccessToken, ExchangeError>, now: Instant) {
        match result {
            Err(error) if error.refusal().is_none() => {
                let mut state = self.state();
                if error.can_pass_by_itself() {
                    state.failed(integration, began, error, now);
                } else {
                    state.failed_otherwise(error);
                }
                self.is_in_trouble.store(state.is_in_trouble(), Relaxed);
                self.open_when_due(state, now);
            }
            // A refusal is an answer of Maskinporten's.
            Ok(_) | Err(_) => self.succeeded(now),
        }
    }

    fn succeeded(&self, now: Instant) {
        self.close(self.state(), now, "Maskinporten answers again");
    }

    /// Another configuration may have mended what was wrong: all is tried anew, and what is under way tells nothing of it.
    pub(super) fn begin_anew(&self, now: Instant) {
        self.close(self.state(), now, "the configuration was read again");
    }

    /// Nobody asks here any more: nothing is shown or said of it from now on.
    pub(super) fn retire(&self, now: Instant) {
        let state = self.state();
        self.is_open.set(0);
        self.is_retired.store(true, Relaxed);
        self.close(state, now, "nobody asks there any more");
    }

    fn close(&self, mut state: MutexGuard<'_, State<Trial>>, now: Instant, why: &str) {
        let closed = state.succeeded(now);
        self.is_in_trouble.store(false, Relaxed);
        let Some(Closed { since, lasted, failures, resumed }) = closed else { return };
        let is_retired = self.is_retired.load(Relaxed);
        if !is_retired {
            self.is_open.set(0);
        }
        drop(state);
        let renewals = resumed.len();
        for (renewal, after) in resumed {
            // One whose token has ended meanwhile waits no more.
            let _ = renewal.send(after);
        }
        if is_retired {
            return;
        }
        info!(
            environment = &*self.environment,
            token_endpoint = &*self.token_endpoint,
            %since,
            seconds = lasted.as_secs(),
            failures,
            renewals,
            "the circuit is closed: {why}"
        );
    }

    /// Why an integration's request for a new token is not to wait. `trial`: what to try in its place, when nothing else is.
    ///
    /// True beside it: the trials are to be begun.
    pub(super) fn refuse(
        &self,
        integration: IntegrationId,
        now: Instant,
        trial: impl FnOnce() -> Trial,
    ) -> Option<(Arc<OpenCircuit>, bool)> {
        let mut state = self.state_of_trouble(now)?;
        let (since, error, retry_after) = state.holds_back(integration, now)?;
        let begin = state.trials.refused(integration, now, trial);
        let token_endpoint = Arc::clone(&self.token_endpoint);
        Some((Arc::new(OpenCircuit { token_endpoint, since, error, retry_after }), begin))
    }

    /// Takes in a renewal while the circuit is open: it hears when it is closed, and how long to wait then. None: it need not wait.
    ///
    /// True beside it: the trials are to be begun.
    pub(super) fn hold(
        &self,
        integration: IntegrationId,
        now: Instant,
        ends: Option<Instant>,
        trial: impl FnOnce() -> Trial,
    ) -> Option<(oneshot::Receiver<Duration>, bool)> {
        let mut state = self.state_of_trouble(now)?;
        state.is_open_for(integration).then(|| state.trials.hold(integration, ends, trial()))
    }

    /// Whether an integration's exchanges are held back.
    pub(super) fn is_open_for(&self, integration: IntegrationId) -> bool {
        self.is_in_trouble.load(Relaxed) && self.state().is_open_for(integration)
    }

    /// Ends when it opens the next time after this call.
    pub(super) fn opens(&self) -> Notified<'_> {
        self.opened.notified()
    }

    /// When the next trial is due. None: nobody wants one any more.
    pub(super) fn next_trial(&self) -> Option<Instant> {
        self.state().trials.next()
    }

    /// What to try now.
    pub(super) fn take_trial(&self, now: Instant) -> Option<Trial> {
        self.state().take_trial(now)
    }

    fn state(&self) -> MutexGuard<'_, State<Trial>> {
        // Nothing that can panic runs while it is held, so a poisoned lock guards a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_of_trouble(&self, now: Instant) -> Option<MutexGuard<'_, State<Trial>>> {
        if !self.is_in_trouble.load(Relaxed) {
            return None;
        }
        // That it is due shows when somebody asks: exchanges that hang tell nothing until their time is up.
        self.open_when_due(self.state(), now);
        Some(self.state())
    }

    fn open_when_due(&self, mut state: MutexGuard<'_, State<Trial>>, now: Instant) {
        if self.is_retired.load(Relaxed) {
            return;
        }
        let Some((since, failures, error)) = state.open_when_due(now) else { return };
        self.is_open.set(1);
        drop(state);
        self.opened.notify_waiters();
        warn!(
            environment = &*self.environment,
            token_endpoint = &*self.token_endpoint,
            %since,
            failures,
            %error,
            remedy = error.remedy(),
            mended_by = %error.known().mended_by,
            "the circuit is open: nothing but failures, so who needs a new token is told so at once; one exchange is tried every second"
        );
    }
}
