//! What the log says of exchanges that fail: the first failure, then how many more there are, then that it is over.
//!
//! An outage fails a hundred exchanges a second in the same way, and one line tells as much as all of them. At debug each has its own
//! all the same, so that the ID of any request leads to one.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;
use jiff::Timestamp;
use tracing::{debug, info, warn};

use super::integration::Integration;
use super::refusals::Remembered;
use super::request::TokenRequest;
use crate::maskinporten::{Cause, Client, Diagnosis, ExchangeError};

/// How often the same failure is told of.
const EVERY: Duration = Duration::from_secs(60);
/// One that nobody has seen for so long is a new one when it comes back.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);
/// So many failures of one integration are told apart by what was asked for. What is beyond is told of by its kind alone, and there are
/// some dozens of kinds: whatever callers ask for, this does not grow.
const MOST: usize = 64;
/// So many bytes of each text are kept. What was said of a failure can be long, where somebody has asked for very much.
const LONGEST: usize = 2000;

/// The failures of one integration that are not over yet, or only just.
#[derive(Debug, Default)]
pub(super) struct Failures {
    table: Mutex<HashMap<Failure, Course>>,
    hasher: RandomState,
}

/// Which failures are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Failure {
    cause: Cause,
    /// Tells those that the catalogue does not have apart, a little.
    code: &'static str,
    /// What was asked for, where that is what was refused: its hash, for a request can name a person.
    request: Option<u64>,
}

/// How a failure has gone on since it was first told of.
#[derive(Debug)]
struct Course {
    since: Timestamp,
    latest: Latest,
    /// Of the first one.
    scope: Box<str>,
    times: u64,
    last: Instant,
    /// When it was last told of, and how many times it had happened by then.
    told: Instant,
    told_times: u64,
    is_over: bool,
    told_over: bool,
}

/// What the log says of the latest one.
#[derive(Clone, Debug)]
struct Latest {
    code: &'static str,
    trace_id: Option<Box<str>>,
    found: Box<str>,
    remedy: Box<str>,
}

impl Latest {
    fn of(diagnosis: &Diagnosis) -> Self {
        let trace_id = diagnosis.error().refusal().and_then(|refusal| refusal.trace_id.as_deref());
        Self { code: code(diagnosis.error()), trace_id: trace_id.map(cut), found: cut(&diagnosis.found()), remedy: cut(diagnosis.remedy()) }
    }
}

fn cut(text: &str) -> Box<str> {
    let end = (0..=text.len().min(LONGEST)).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default().into()
}

/// Whether a failure is news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occurrence {
    First,
    Again,
}

/// The same failure again and again.
#[derive(Debug)]
pub(super) struct Repeated {
    more: u64,
    since: Timestamp,
    scope: Box<str>,
    latest: Latest,
}

/// A failure that is over.
#[derive(Debug)]
pub(super) struct Over {
    times: u64,
    since: Timestamp,
    scope: Box<str>,
    code: &'static str,
}

impl Failures {
    fn table(&self) -> MutexGuard<'_, HashMap<Failure, Course>> {
        // Nothing that can panic runs while it is held, so a poisoned lock guards a whole table.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a failure.
    pub(super) fn failed(&self, request: &TokenRequest, diagnosis: &Diagnosis, now: Instant) -> Occurrence {
        let cause = diagnosis.known().cause;
        let asked_for = is_of_the_request(cause).then(|| self.hasher.hash_one(request));
        let mut failure = Failure { cause, code: code(diagnosis.error()), request: asked_for };
        let mut table = self.table();
        if table.len() >= MOST && !table.contains_key(&failure) {
            failure.request = None;
        }
        if let Some(course) = table.get_mut(&failure) {
            course.times += 1;
            course.latest = Latest::of(diagnosis);
            course.last = now;
            course.is_over = false;
            return Occurrence::Again;
        }
        let course = Course {
            since: Timestamp::now(),
            latest: Latest::of(diagnosis),
            scope: cut(request.scopes().as_str()),
            times: 1,
            last: now,
            told: now,
            told_times: 1,
            is_over: false,
            told_over: false,
        };
        table.insert(failure, course);
        Occurrence::First
    }

    /// Notes that there was a token; what is over by that and has to be told of.
    pub(super) fn granted(&self, request: &TokenRequest) -> Vec<Over> {
        let mut table = self.table();
        if table.is_empty() {
            return Vec::new();
        }
        let request = self.hasher.hash_one(request);
        let courses = table.iter_mut().filter(|(failure, _)| failure.request.is_none_or(|refused| refused == request));
        courses.filter_map(|(_, course)| course.end()).collect()
    }

    /// What has gone on since it was last told of, a minute ago or more; and what is over by now. Forgets what is long past.
    pub(super) fn going_on(&self, now: Instant) -> (Vec<Repeated>, Vec<Over>) {
        let (mut repeated, mut over) = (Vec::new(), Vec::new());
        self.table().retain(|_, course| {
            if now.saturating_duration_since(course.told) < EVERY {
                return true;
            }
            if course.times == course.told_times {
                return !course.is_over && now.saturating_duration_since(course.last) < FORGOTTEN_AFTER;
            }
            repeated.push(course.tell(now));
            // If that was told before, it has come back since.
            course.told_over = false;
            if course.is_over {
                over.extend(course.end());
            }
            true
        });
        (repeated, over)
    }
}

impl Course {
    fn tell(&mut self, now: Instant) -> Repeated {
        let more = self.times - self.told_times;
        (self.told, self.told_times) = (now, self.times);
        Repeated { more, since: self.since, scope: self.scope.clone(), latest: self.latest.clone() }
    }

    /// Told once between two times that it is told of, however often it comes and goes.
    fn end(&mut self) -> Option<Over> {
        self.is_over = true;
        let told_already = std::mem::replace(&mut self.told_over, true);
        let over = || Over { times: self.times, since: self.since, scope: self.scope.clone(), code: self.latest.code };
        (!told_already).then(over)
    }
}

/// Whether it strikes what was asked for: another request of the same integration may well be granted meanwhile.
fn is_of_the_request(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::MalformedValue
            | Cause::ScopeNotRegistered
            | Cause::IntegrationType
            | Cause::ScopeNotGranted
            | Cause::ScopeNotDelegated
            | Cause::DetailsType
            | Cause::DetailsField
            | Cause::DetailsValue
            | Cause::OwnConsumerOrg
            | Cause::Unlisted
    )
}

/// Maskinporten's code if the catalogue has it, otherwise `other`; `none` where there is none. Never a text that came from outside.
pub(super) fn code(error: &ExchangeError) -> &'static str {
    match error.refusal().and_then(|refusal| refusal.code.as_ref()) {
        None => "none",
        Some(code) => code.known().and_then(|known| known.code).unwrap_or("other"),
    }
}

/// One failed exchange: in full the first time, at debug when it is the same again.
pub(super) fn report(
    occurrence: Occurrence,
    client: &Client,
    integration: &str,
    request: &TokenRequest,
    diagnosis: &Diagnosis,
    attempt: u32,
) {
    let scope = request.scopes().as_str();
    let code = code(diagnosis.error());
    let trace_id = diagnosis.error().refusal().and_then(|refusal| refusal.trace_id.as_deref());
    match occurrence {
        Occurrence::First => warn!(
            integration,
            client_id = client.client_id(),
            environment = client.environment().name(),
            scope,
            code,
            trace_id,
            attempt,
            error = diagnosis.found(),
            remedy = diagnosis.remedy(),
            mended_by = %diagnosis.mended_by(),
            "no token"
        ),
        Occurrence::Again => debug!(integration, scope, code, trace_id, attempt, error = diagnosis.found(), "no token, as before"),
    }
}

/// A failure that was told again without asking Maskinporten.
pub(super) fn answered_from_memory(integration: &Integration, request: &TokenRequest, remembered: &Remembered) {
    let error = remembered.diagnosis().error();
    debug!(
        integration = &*integration.name,
        scope = request.scopes().as_str(),
        code = code(error),
        trace_id = error.refusal().and_then(|refusal| refusal.trace_id.as_deref()),
        age_ms = u64::try_from(remembered.age().as_millis()).unwrap_or(u64::MAX),
        left_ms = u64::try_from(remembered.left().as_millis()).unwrap_or(u64::MAX),
        "no token: the failure is remembered, and Maskinporten was not asked"
    );
    integration.metrics.answered_from_memory();
}

impl Repeated {
    pub(super) fn report(&self, integration: &str) {
        warn!(
            integration,
            scope = &*self.scope,
            more = self.more,
            since = %self.since,
            code = self.latest.code,
            trace_id = self.latest.trace_id.as_deref(),
            error = &*self.latest.found,
            remedy = &*self.latest.remedy,
            "the same failure {} more times since it was last said",
            self.more
        );
    }
}

impl Over {
    pub(super) fn report(&self, integration: &str) {
        info!(
            integration,
            scope = &*self.scope,
            times = self.times,
            since = %self.since,
            code = self.code,
            "there are tokens again: this failure is over"
        );
    }
}

#[cfg(test)]
mod tests;
