//! Whether an attempt that failed is followed by another one, and when.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};

use crate::maskinporten::ExchangeError;

/// Attempts that one exchange makes for callers who wait.
const MOST: u32 = 3;
/// Attempts where nobody waits but a renewal, which comes again by itself: the second is one that is made at once.
const MOST_OF_A_RENEWAL: u32 = 2;
/// Before the second attempt, and jitter of as much again at most; it doubles from there.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// An attempt that would have less time than this is not begun.
pub(super) const SHORTEST_ATTEMPT: Duration = Duration::from_millis(50);

/// What is worth one more attempt at once, with a new grant: nothing has to pass first. Once each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtOnce {
    /// The clock has been put right since.
    OtherTime,
    /// Maskinporten has seen the grant before (MP-012), and will not have seen a new one.
    UsedBefore,
}

/// The attempts of one exchange.
#[derive(Debug)]
pub(super) struct Retries {
    made: u32,
    pauses: <ExponentialBuilder as BackoffBuilder>::Backoff,
    other_time: bool,
    used_before: bool,
}

impl Retries {
    pub(super) fn new() -> Self {
        let pauses = ExponentialBuilder::new().with_min_delay(FIRST_PAUSE).with_factor(2.0).with_jitter().without_max_times();
        Self { made: 0, pauses: pauses.build(), other_time: false, used_before: false }
    }

    /// Counts an attempt that begins.
    pub(super) fn begin(&mut self) {
        self.made += 1;
    }

    /// How many have begun.
    pub(super) fn made(&self) -> u32 {
        self.made
    }

    /// Whether one more may be made at once for this reason. `until`: when a caller who waits leaves; none: only a renewal waits.
    pub(super) fn may_follow(&self, reason: AtOnce, until: Option<Instant>, now: Instant) -> bool {
        let taken = match reason {
            AtOnce::OtherTime => self.other_time,
            AtOnce::UsedBefore => self.used_before,
        };
        let most = if until.is_some() { MOST } else { MOST_OF_A_RENEWAL };
        !taken && self.made < most && until.is_none_or(|until| now <= latest_beginning(until))
    }

    /// One more is made at once for this reason.
    pub(super) fn follow(&mut self, reason: AtOnce) {
        match reason {
            AtOnce::OtherTime => self.other_time = true,
            AtOnce::UsedBefore => self.used_before = true,
        }
    }

    /// How long to wait before the next attempt. None: this failure is how the exchange ends.
    ///
    /// Never less than the answer asked for, and never so long that a caller who waits would have left by then.
    pub(super) fn pause(&mut self, error: &ExchangeError, until: Option<Instant>, now: Instant) -> Option<Duration> {
        let until = until?;
        if self.made >= MOST || !error.can_pass_by_itself() {
            return None;
        }
        let pause = self.pauses.next()?.max(error.retry_after().unwrap_or_default());
        (now + pause <= latest_beginning(until)).then_some(pause)
    }
}

/// When the last attempt can begin.
pub(super) fn latest_beginning(until: Instant) -> Instant {
    until.checked_sub(SHORTEST_ATTEMPT).unwrap_or(until)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maskinporten::{Refusal, Unavailable};
    use proptest::prelude::*;

    fn outage(retry_after: Option<Duration>) -> ExchangeError {
        ExchangeError::Unavailable(Unavailable { status: 503, said: None, retry_after })
    }

    fn refusal() -> ExchangeError {
        ExchangeError::Refused(Box::new(Refusal {
            status: 400,
            error: "invalid_grant".to_owned(),
            description: String::new(),
            code: None,
            trace_id: None,
            error_uri: None,
        }))
    }

    proptest! {
        /// Whatever the answers ask for and however long each attempt takes.
        #[test]
        fn attempts_are_few_pauses_long_enough_and_nothing_begins_after_the_deadline(
            deadline in 0..20_000_u64,
            answers in proptest::collection::vec((0..6_000_u64, proptest::option::of(0..9_000_u64)), 10),
        ) {
            let began = Instant::now();
            let (until, mut now) = (began + Duration::from_millis(deadline), began);
            let mut retries = Retries::new();
            for (number, (took, retry_after)) in (1..).zip(answers) {
                retries.begin();
                now += Duration::from_millis(took);
                let retry_after = retry_after.map(Duration::from_millis);
                let Some(pause) = retries.pause(&outage(retry_after), Some(until), now) else { break };
                prop_assert!(number < MOST);
                let least = FIRST_PAUSE * 2_u32.pow(number - 1);
                prop_assert!(pause >= least && pause >= retry_after.unwrap_or_default());
                prop_assert!(pause <= (least * 2).max(retry_after.unwrap_or_default()));
                now += pause;
                prop_assert!(now + SHORTEST_ATTEMPT <= until);
            }
            prop_assert!(retries.made() <= MOST);
        }
    }

    #[test]
    fn what_does_not_pass_by_itself_and_what_nobody_waits_for_is_not_tried_again() {
        let now = Instant::now();
        let until = Some(now + Duration::from_secs(60));
        let mut retries = Retries::new();
        retries.begin();
        assert_eq!(retries.pause(&refusal(), until, now), None);
        assert_eq!(retries.pause(&outage(None), None, now), None);
        assert!(retries.pause(&outage(None), until, now).is_some());
    }

    #[test]
    fn at_once_means_once_for_each_reason_and_counts_as_an_attempt() {
        let now = Instant::now();
        let late = Some(now + SHORTEST_ATTEMPT / 2);
        for (until, most) in [(None, MOST_OF_A_RENEWAL), (Some(now + Duration::from_secs(60)), MOST)] {
            let mut retries = Retries::new();
            retries.begin();
            assert!(!retries.may_follow(AtOnce::UsedBefore, late, now), "it would have no time");
            for reason in [AtOnce::UsedBefore, AtOnce::OtherTime] {
                assert_eq!(retries.may_follow(reason, until, now), retries.made() < most);
                retries.follow(reason);
                assert!(!retries.may_follow(reason, until, now));
                retries.begin();
            }
            assert_eq!(retries.pause(&outage(None), until, now), None, "three are made");
        }
    }
}
