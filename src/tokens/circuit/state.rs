//! When a circuit is open, and for whom: the rules, without a lock, a log or a clock of their own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};
use tokio::sync::oneshot;

use crate::maskinporten::ExchangeError;
use crate::tokens::request::IntegrationId;
use crate::tokens::trials::Trials;

/// So many exchanges have failed, over so long a time, before it opens.
const LEAST_FAILURES: u64 = 5;
const FAILING_FOR: Duration = Duration::from_secs(5);
/// An integration that has asked for nothing for so long is not in use: it need not have failed for the circuit to open.
const IN_USE: Duration = Duration::from_secs(15);
/// Failures before a pause of this length say nothing about those after it.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Nor does the last failure about now, when nothing has been tried for so long: the next one who asks is not held back.
const SAYS_NOTHING_AFTER: Duration = Duration::from_secs(10);
/// A page that asks for an hour's patience may be gone in a minute, and tokens end meanwhile: nothing is tried for so long at most.
const LONGEST_PATIENCE: Duration = Duration::from_secs(30);
/// From so many integrations on, those that are not in use are forgotten when another one comes: reloads do not make it grow.
const ROOM: usize = 64;

/// What a circuit knows. `T`: what is tried while it is open.
#[derive(Debug)]
pub(super) struct State<T> {
    members: HashMap<IntegrationId, Member>,
    last_success: Option<Instant>,
    trouble: Option<Trouble>,
    pub(super) trials: Trials<T>,
}

/// An integration that asks at this endpoint.
#[derive(Debug)]
struct Member {
    asked: Instant,
    /// Since the last success, whosoever.
    has_failed: bool,
    /// Maskinporten has said that it is not to be asked before: who asks is told so.
    not_before: Option<Instant>,
    /// Nothing is tried before.
    tried_from: Option<Instant>,
}

/// Nothing but failures, since the last success.
#[derive(Debug)]
struct Trouble {
    began: Instant,
    since: Timestamp,
    failures: u64,
    latest: Arc<ExchangeError>,
    latest_at: Instant,
    is_open: bool,
}

/// What a success has put an end to.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) since: Timestamp,
    pub(super) lasted: Duration,
    pub(super) failures: u64,
    /// Renewals that have waited for it, each with how long it shall wait still.
    pub(super) resumed: Vec<(oneshot::Sender<Duration>, Duration)>,
}

impl<T: Clone> State<T> {
    pub(super) fn new() -> Self {
        Self { members: HashMap::new(), last_success: None, trouble: None, trials: Trials::new() }
    }

    pub(super) fn began(&mut self, integration: IntegrationId, now: Instant) {
        if self.members.len() >= ROOM && !self.members.contains_key(&integration) {
            self.members.retain(|_, member| member.is_in_use(now));
        }
        let member = self.members.entry(integration).or_insert(Member::asks(now));
        member.asked = now;
    }

    /// In a way that can pass by itself.
    pub(super) fn failed(&mut self, integration: IntegrationId, began: Instant, error: &ExchangeError, now: Instant) {
        // One that hung through the end of an outage tells of the outage.
        if self.last_success.is_some_and(|success| began < success) {
            return;
        }
        if self
            .trouble
            .as_ref()
            .is_some_and(|trouble| !trouble.is_open && now.saturating_duration_since(trouble.latest_at) >= FORGOTTEN_AFTER)
        {
            self.forget();
        }
        let member = self.members.entry(integration).or_insert(Member::asks(began));
        member.has_failed = true;
        member.not_before = error.retry_after().map(|wait| now + wait);
        member.tried_from = error.retry_after().map(|wait| now + wait.min(LONGEST_PATIENCE));
        let latest = Arc::new(error.clone());
        if let Some(trouble) = &mut self.trouble {
            trouble.failures += 1;
            (trouble.latest, trouble.latest_at) = (latest, now);
        } else {
            let since = Timestamp::now();
            let since = since.round(Unit::Second).unwrap_or(since);
            self.trouble = Some(Trouble { began: now, since, failures: 1, latest, latest_at: now, is_open: false });
        }
    }

    /// In a way that does not pass by itself, and is no answer of Maskinporten's: nothing is counted, but it is what is told.
    pub(super) fn failed_otherwise(&mut self, error: &ExchangeError) {
        if let Some(trouble) = &mut self.trouble {
            trouble.latest = Arc::new(error.clone());
        }
    }

    pub(super) fn succeeded(&mut self, now: Instant) -> Option<Closed> {
        self.last_success = Some(now);
        let Trouble { since, failures, began, is_open, .. } = self.forget()?;
        is_open.then(|| Closed { since, failures, lasted: now.saturating_duration_since(began), resumed: self.trials.end(now) })
    }

    fn forget(&mut self) -> Option<Trouble> {
        let trouble = self.trouble.take()?;
        for member in self.members.values_mut() {
            *member = Member::asks(member.asked);
        }
        Some(trouble)
    }

    /// Opens when it is due, and then says since when, how many failures there have been, and the latest.
    pub(super) fn open_when_due(&mut self, now: Instant) -> Option<(Timestamp, u64, Arc<ExchangeError>)> {
        let trouble = self.trouble.as_mut().filter(|trouble| !trouble.is_open)?;
        let is_long = trouble.failures >= LEAST_FAILURES && now.saturating_duration_since(trouble.began) >= FAILING_FOR;
        if !is_long || self.members.values().any(|member| !member.has_failed && member.is_in_use(now)) {
            return None;
        }
        trouble.is_open = true;
        self.trials.begin(now);
        Some((trouble.since, trouble.failures, Arc::clone(&trouble.latest)))
    }

    /// Something has failed since the last success.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    pub(super) fn is_open_for(&self, integration: IntegrationId) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.is_open)
            && self.members.get(&integration).is_some_and(|member| member.has_failed)
    }

    /// Since when, by what, and for how long whoever asks shall stay away.
    ///
    /// None when it is not held back; also for one of those who ask when nothing has been tried for long, and the others wait for its end.
    pub(super) fn holds_back(&mut self, integration: IntegrationId, now: Instant) -> Option<(Timestamp, Arc<ExchangeError>, Duration)> {
        let trouble = self.trouble.as_ref().filter(|_| self.is_open_for(integration))?;
        // A trial may hang for long before it fails.
        let last = self.trials.last_made().map_or(trouble.latest_at, |made| made.max(trouble.latest_at));
        let is_recent = now.saturating_duration_since(last) < SAYS_NOTHING_AFTER;
        let member = self.members.get(&integration)?;
        if !is_recent && member.tried_from.is_none_or(|tried_from| tried_from <= now) {
            self.trials.one_is_made(now);
            return None;
        }
        let wait = member.not_before.map_or(Duration::ZERO, |not_before| not_before.saturating_duration_since(now));
        Some((trouble.since, Arc::clone(&trouble.latest), wait.max(Duration::from_secs(1))))
    }

    /// What to try now: nothing of an integration that Maskinporten has asked for patience.
    pub(super) fn take_trial(&mut self, now: Instant) -> Option<T> {
        let members = &self.members;
        let may = |integration| members.get(&integration).and_then(|member| member.tried_from).is_none_or(|tried_from| tried_from <= now);
        self.trials.take(now, may)
    }
}

impl Member {
    fn asks(asked: Instant) -> Self {
        Self { asked, has_failed: false, not_before: None, tried_from: None }
    }

    fn is_in_use(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.asked) < IN_USE
    }
}

#[cfg(test)]
mod tests;
