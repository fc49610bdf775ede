//! What is tried while a circuit is open: one exchange a second, as long as anybody wants anything.
//!
//! Renewals come to wait here, and take turns with requests that were told at once that there is no token: either may be the one that
//! goes wrong for a reason of its own. Integrations take turns too. Nobody waits for a trial, so that one that hangs does not keep the
//! next one from being made; the token that it brings is kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::sync::oneshot;
use tokio::time::{sleep, sleep_until};

use super::error::TokenError;
use super::exchanges::{Exchanges, Purpose};
use super::integration::Integration;
use super::request::{IntegrationId, TokenRequest};

/// From one trial to the next.
const EVERY: Duration = Duration::from_secs(1);
/// A request that was told that there is no token is tried for so long, for whoever comes next.
const WANTED_FOR: Duration = Duration::from_secs(30);
/// Renewals that have waited are resumed this far apart, so that Maskinporten is not met with all of them at once…
const APART: Duration = Duration::from_millis(20);
/// … over so long a time at least, where there is a token meanwhile, and at most.
const LEAST_SPREAD: Duration = Duration::from_secs(2);
const MOST_SPREAD: Duration = Duration::from_secs(60);

/// An exchange that may be tried.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) integration: Arc<Integration>,
    pub(super) request: TokenRequest,
    pub(super) purpose: Purpose,
}

/// What may be tried, by integration.
#[derive(Debug)]
pub(super) struct Trials<T> {
    wanted: HashMap<IntegrationId, Wanted<T>>,
    /// Of those that want something, the one whose turn is next in front.
    turns: VecDeque<IntegrationId>,
    last: Option<Instant>,
    /// The last one that was not left out because nobody may be tried.
    last_made: Option<Instant>,
    /// Somebody makes them.
    are_made: bool,
}

#[derive(Debug)]
struct Wanted<T> {
    renewals: VecDeque<Held<T>>,
    /// One of the requests that were told that there is no token.
    refused: Option<Refused<T>>,
    last_was_a_renewal: bool,
}

#[derive(Debug)]
struct Refused<T> {
    trial: T,
    until: Instant,
    was_tried: bool,
}

/// A renewal that waits until the circuit is closed, or its token has ended.
#[derive(Debug)]
struct Held<T> {
    trial: T,
    /// None: there is no token, so it waits for ever.
    ends: Option<Instant>,
    resume: oneshot::Sender<Duration>,
}

impl<T: Clone> Trials<T> {
    pub(super) fn new() -> Self {
        Self { wanted: HashMap::new(), turns: VecDeque::new(), last: None, last_made: None, are_made: false }
    }

    /// The circuit has opened.
    pub(super) fn begin(&mut self, now: Instant) {
        (self.last, self.last_made) = (Some(now), None);
    }

    /// True: the trials are to be begun.
    pub(super) fn refused(&mut self, integration: IntegrationId, now: Instant, trial: impl FnOnce() -> T) -> bool {
        let until = now + WANTED_FOR;
        match &mut self.wanted_of(integration).refused {
            Some(refused) if !refused.was_tried => refused.until = until,
            // Another one each time, for one may fail for a reason of its own.
            place => *place = Some(Refused { trial: trial(), until, was_tried: false }),
        }
        !std::mem::replace(&mut self.are_made, true)
    }

    /// True: the trials are to be begun.
    pub(super) fn hold(&mut self, integration: IntegrationId, ends: Option<Instant>, trial: T) -> (oneshot::Receiver<Duration>, bool) {
        let (resume, resumed) = oneshot::channel();
        self.wanted_of(integration).renewals.push_back(Held { trial, ends, resume });
        (resumed, !std::mem::replace(&mut self.are_made, true))
    }

    fn wanted_of(&mut self, integration: IntegrationId) -> &mut Wanted<T> {
        let turns = &mut self.turns;
        self.wanted.entry(integration).or_insert_with(|| {
            turns.push_back(integration);
            Wanted { renewals: VecDeque::new(), refused: None, last_was_a_renewal: false }
        })
    }

    /// When the last one was begun, since the circuit opened.
    pub(super) fn last_made(&self) -> Option<Instant> {
        self.last_made
    }

    /// Somebody who asks makes one.
    pub(super) fn one_is_made(&mut self, now: Instant) {
        self.last_made = Some(now);
    }

    /// When the next one is due. None: nothing is wanted any more, and whoever makes them ends.
    pub(super) fn next(&mut self) -> Option<Instant> {
        self.are_made = !self.wanted.is_empty();
        self.are_made.then(|| self.last.map_or_else(Instant::now, |last| last + EVERY))
    }

    /// What to try now, of an integration that may. What waits no more is let go of.
    pub(super) fn take(&mut self, now: Instant, may: impl Fn(IntegrationId) -> bool) -> Option<T> {
        self.last = Some(now);
        self.wanted.retain(|&integration, wanted| {
            wanted.renewals.retain(|held| held.waits(now));
            // Of one that may not be tried yet, whoever asked has been told when to come back.
            wanted.refused.take_if(|refused| refused.until <= now || !may(integration));
            !wanted.renewals.is_empty() || wanted.refused.is_some()
        });
        self.turns.retain(|integration| self.wanted.contains_key(integration));
        let turn = self.turns.iter().position(|&integration| may(integration))?;
        let integration = self.turns.remove(turn)?;
        self.turns.push_back(integration);
        self.last_made = Some(now);
        self.wanted.get_mut(&integration)?.take()
    }

    /// The circuit is closed: what waits is resumed, each after its time.
    pub(super) fn end(&mut self, now: Instant) -> Vec<(oneshot::Sender<Duration>, Duration)> {
        self.turns.clear();
        let held = self.wanted.drain().flat_map(|(_, wanted)| wanted.renewals).filter(|held| held.waits(now));
        let (with_token, without): (Vec<_>, Vec<_>) = held.partition(|held| held.ends.is_some());
        spread(without, Duration::ZERO, now).chain(spread(with_token, LEAST_SPREAD, now)).collect()
    }
}

/// Side by side over a time that is longer the more there are, each somewhere in its own part of it.
fn spread<T>(held: Vec<Held<T>>, least: Duration, now: Instant) -> impl Iterator<Item = (oneshot::Sender<Duration>, Duration)> {
    let count = u32::try_from(held.len()).unwrap_or(u32::MAX);
    let spread = APART.saturating_mul(count).clamp(least, MOST_SPREAD);
    (0..).zip(held).map(move |(place, held)| {
        let part = (f64::from(place) + rand::rng().random_range(0.0..1.0)) / f64::from(count);
        // Half of what is left of its token is for the attempts that may still fail.
        let most = held.ends.map_or(spread, |ends| spread.min(ends.saturating_duration_since(now) / 2));
        (held.resume, most.mul_f64(part))
    })
}

impl<T> Held<T> {
    fn waits(&self, now: Instant) -> bool {
        !self.resume.is_closed() && self.ends.is_none_or(|ends| now < ends)
    }
}

impl<T: Clone> Wanted<T> {
    /// A renewal and a request in turn. The renewal goes on waiting.
    fn take(&mut self) -> Option<T> {
        if (self.last_was_a_renewal || self.renewals.is_empty())
            && let Some(refused) = &mut self.refused
        {
            self.last_was_a_renewal = false;
            refused.was_tried = true;
            return Some(refused.trial.clone());
        }
        self.last_was_a_renewal = true;
        self.renewals.rotate_left(usize::from(self.renewals.len() > 1));
        self.renewals.back().map(|held| held.trial.clone())
    }
}

/// Why a request for a new token is told at once that there is none, while the circuit is open. It is tried in the background.
pub(super) fn refuse(
    exchanges: &Arc<Exchanges>,
    integration: &Arc<Integration>,
    request: &TokenRequest,
    purpose: &Purpose,
) -> Result<(), TokenError> {
    let trial = || Trial { integration: Arc::clone(integration), request: request.clone(), purpose: purpose.clone() };
    let Some((open, begin)) = integration.circuit.refuse(request.integration(), Instant::now(), trial) else { return Ok(()) };
    if begin {
        exchanges.runtime().spawn(try_while_wanted(Arc::clone(exchanges), Arc::clone(integration)));
    }
    Err(TokenError::CircuitOpen(open))
}

/// Waits while the circuit is open, and then for this renewal's turn; or until the token ends, if there is one.
pub(super) async fn wait_while_open(
    exchanges: &Arc<Exchanges>,
    integration: &Arc<Integration>,
    request: &TokenRequest,
    purpose: &Purpose,
    ends: Option<Instant>,
) {
    let wait = async {
        let trial = || Trial { integration: Arc::clone(integration), request: request.clone(), purpose: purpose.clone() };
        // One that is gone is not tried any more.
        while !integration.is_gone()
            && let Some((resumed, begin)) = integration.circuit.hold(request.integration(), Instant::now(), ends, trial)
        {
            if begin {
                tokio::spawn(try_while_wanted(Arc::clone(exchanges), Arc::clone(integration)));
            }
            // An error: it was let go of, for its token has ended.
            sleep(resumed.await.unwrap_or_default()).await;
        }
    };
    match ends {
        Some(ends) => drop(tokio::time::timeout_at(ends.into(), wait).await),
        None => wait.await,
    }
}

async fn try_while_wanted(exchanges: Arc<Exchanges>, integration: Arc<Integration>) {
    let circuit = Arc::clone(&integration.circuit);
    drop(integration);
    while let Some(next) = circuit.next_trial() {
        sleep_until(next.into()).await;
        if let Some(trial) = circuit.take_trial(Instant::now()) {
            let exchanges = Arc::clone(&exchanges);
            tokio::spawn(async move { exchanges.try_once(&trial.integration, &trial.request, &trial.purpose).await });
        }
    }
}

#[cfg(test)]
mod tests;
