//! Maskinporten's clock in one environment, as the answers of all exchanges with it show it.
//!
//! What grants are made with is read without a lock; readings are taken in by exchanges only.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwapOption;
use tracing::{info, warn};

use crate::maskinporten::{Cause, ClockDifference, Environment, KnownError, Moment};
use crate::telemetry::ClockMetrics;

/// The median of so many readings counts: one that a slow answer has spoilt changes nothing.
const READINGS: usize = 5;
/// What was warned about is said again when it has changed by this much, and that it is over when it is this much below a warning.
const MUCH: Duration = Duration::from_secs(5);
const RIGHT_AGAIN: Duration = Duration::from_secs(4);

/// Lines of the log that could come with every exchange: so many a minute, and no more.
const MOST_LINES: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);

/// How far our clock is from an environment's, shared by all integrations in it.
#[derive(Debug)]
pub(super) struct EnvironmentClock {
    environment: Box<str>,
    metrics: ClockMetrics,
    /// None: not known, or not known any more.
    measured: ArcSwapOption<Reading>,
    /// A grant that was put right has been refused for its time all the same.
    misleads: AtomicBool,
    readings: Mutex<Readings>,
    /// Of grants that were refused for their time.
    lines: Mutex<FewLines>,
}

/// A difference, and when it was so.
#[derive(Clone, Copy, Debug)]
struct Reading {
    difference: ClockDifference,
    at: Moment,
}

/// The last few readings, and what was last said of them.
#[derive(Debug, Default)]
struct Readings {
    last: VecDeque<Reading>,
    warned_of: Option<ClockDifference>,
    lines: FewLines,
}

/// How many lines have been written in this minute.
#[derive(Debug, Default)]
struct FewLines {
    since: Option<Instant>,
    written: u32,
}

impl FewLines {
    /// Whether there may be one more. What happens again and again is told by its first lines.
    fn one_more(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= MINUTE) {
            *self = Self { since: Some(now), written: 0 };
        }
        self.written = self.written.saturating_add(1);
        self.written <= MOST_LINES
    }
}

/// What is to be said in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    Off(ClockDifference),
    RightAgain(ClockDifference),
}

impl EnvironmentClock {
    pub(super) fn new(environment: &Environment, metrics: ClockMetrics) -> Self {
        Self {
            environment: environment.name().into(),
            metrics,
            measured: ArcSwapOption::empty(),
            misleads: AtomicBool::new(false),
            readings: Mutex::default(),
            lines: Mutex::default(),
        }
    }

    /// No integration is in this environment any more: it is not shown. What an exchange that is under way still reads is not either.
    pub(super) fn retire(&self) {
        self.metrics.forget();
    }

    /// How far our clock is off now. None: nobody knows, for nothing has been measured since it was last set, or since the machine slept.
    ///
    /// Which of the two has happened cannot be told, and after the one the old difference is wrong, after the other it is not. Without
    /// it, at worst one grant is refused, and that refusal is a new measurement.
    pub(super) fn difference(&self, now: Moment) -> Option<ClockDifference> {
        let measured = self.measured.load();
        measured.as_deref().filter(|reading| !now.was_set_since(reading.at)).map(|reading| reading.difference)
    }

    /// What to make a grant with, and by how much that is put right.
    pub(super) fn time(&self, now: Moment) -> (SystemTime, ClockDifference) {
        let correction = self.correction(now);
        (correction.put_right(now.ours), correction)
    }

    fn correction(&self, now: Moment) -> ClockDifference {
        if self.misleads.load(Relaxed) { ClockDifference::NONE } else { self.difference(now).unwrap_or_default().correction() }
    }

    /// Whether one more attempt, with another time, is worth it after a grant that was put right by `used` has been refused for its time.
    ///
    /// One that was put right and is refused by a clock that goes on saying the same shows that the `Date` is not the one by which grants
    /// are judged: something in front of Maskinporten has set it. Then our clock is left as it is, until a grant made with that is refused.
    pub(super) fn tells_another_time(&self, used: ClockDifference, now: Moment) -> bool {
        let differs = |correction: ClockDifference| correction.apart(used) >= ClockDifference::SMALLEST_PUT_RIGHT;
        if used == ClockDifference::NONE {
            self.misleads.store(false, Relaxed);
        } else if !differs(self.correction(now)) {
            self.follow_no_more(used, now);
        }
        differs(self.correction(now))
    }

    /// Takes in how a second attempt ended, after a grant that was put right by `first` had been refused for its time.
    ///
    /// A `Date` that says something else each time is known by this: the grant that was put right by the newest one is refused as well,
    /// or the one with our clock as it is was granted, and the answer says already that this is wrong again.
    pub(super) fn second_attempt(&self, first: ClockDifference, second: ClockDifference, was_refused_too: bool, now: Moment) {
        if was_refused_too && second != ClockDifference::NONE {
            self.follow_no_more(second, now);
        } else if !was_refused_too && second == ClockDifference::NONE && self.correction(now) != ClockDifference::NONE {
            self.follow_no_more(first, now);
        }
    }

    /// Leaves our clock as it is, until a grant made with that is refused.
    fn follow_no_more(&self, used: ClockDifference, now: Moment) {
        if !self.misleads.swap(true, Relaxed) && self.one_more_line(now) {
            warn!(
                environment = &*self.environment,
                seconds = used.as_secs_f64(),
                remedy = "Find out what sets the Date of Maskinporten's answers on their way here: a proxy, or a gateway.",
                "the Date of Maskinporten's answers misleads: a grant put right by it was refused for its time"
            );
        }
    }

    /// Whether the log may have one more line of a grant that was refused for its time.
    pub(super) fn one_more_line(&self, now: Moment) -> bool {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).one_more(now.monotonic)
    }

    /// Takes a reading in.
    pub(super) fn read(&self, difference: ClockDifference, at: Moment) {
        self.take_in(Reading { difference, at }, false);
    }

    /// Takes in the reading of a grant that was refused for its time. What was measured before is proved wrong by that: our clock has
    /// gone astray since, too slowly to be noticed otherwise.
    pub(super) fn read_from_refusal(&self, difference: ClockDifference, at: Moment) {
        self.take_in(Reading { difference, at }, true);
    }

    fn take_in(&self, reading: Reading, alone: bool) {
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let (difference, news) = readings.take_in(reading, alone);
        self.measured.store(Some(Arc::new(Reading { difference, at: reading.at })));
        self.metrics.set(difference.as_secs_f64());
        match news {
            Some(News::Off(difference)) => self.warn(difference),
            Some(News::RightAgain(difference)) => {
                info!(environment = &*self.environment, seconds = difference.as_secs_f64(), "the clock is right again");
            }
            None => {}
        }
    }

    fn warn(&self, difference: ClockDifference) {
        let meanwhile = if difference.is_too_large() {
            "there are no tokens: grants are put right by 10 minutes at most"
        } else {
            "grants are put right by the difference"
        };
        let remedy = KnownError::of(Cause::IssueTime).remedy;
        warn!(environment = &*self.environment, seconds = difference.as_secs_f64(), %difference, meanwhile, remedy, "the clock is off");
    }
}

impl Readings {
    /// The median with this reading in it, and what is to be said of it.
    fn take_in(&mut self, reading: Reading, alone: bool) -> (ClockDifference, Option<News>) {
        self.last.retain(|earlier| !alone && !reading.at.was_set_since(earlier.at));
        self.last.truncate(READINGS - 1);
        self.last.push_front(reading);
        let median = self.median();
        (median, self.news(median, reading.at))
    }

    fn median(&self) -> ClockDifference {
        let mut differences: Vec<_> = self.last.iter().map(|reading| reading.difference).collect();
        differences.sort_unstable();
        let upper = differences.get(differences.len() / 2).copied().unwrap_or_default();
        match differences.len() % 2 {
            0 => differences.get(differences.len() / 2 - 1).copied().unwrap_or_default().middle(upper),
            _ => upper,
        }
    }

    /// What is held back for there were too many lines is said with a later reading, if it is still so.
    fn news(&mut self, difference: ClockDifference, at: Moment) -> Option<News> {
        let news = match self.warned_of {
            Some(_) if difference.magnitude() <= RIGHT_AGAIN => News::RightAgain(difference),
            Some(said) if difference.apart(said) <= MUCH && difference.is_too_large() == said.is_too_large() => return None,
            _ if difference.magnitude() <= ClockDifference::WORTH_A_WARNING => return None,
            _ => News::Off(difference),
        };
        if !self.lines.one_more(at.monotonic) {
            return None;
        }
        self.warned_of = matches!(news, News::Off(_)).then_some(difference);
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// What both clocks say, a test's own: `ours` and `passed` are seconds.
    #[derive(Clone, Copy)]
    struct Clocks(Moment);

    impl Clocks {
        fn start() -> Self {
            Self(Moment { ours: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000), monotonic: Instant::now() })
        }

        fn pass(&mut self, seconds: u64) -> Moment {
            self.0.ours += Duration::from_secs(seconds);
            self.0.monotonic += Duration::from_secs(seconds);
            self.0
        }

        /// Time goes on, the clock that can be set jumps besides, by so much: what a setting does, and what a sleep does.
        fn jump(&mut self, seconds: i64) -> Moment {
            let by = Duration::from_secs(seconds.unsigned_abs());
            self.0.ours = if seconds < 0 { self.0.ours - by } else { self.0.ours + by };
            self.0
        }
    }

    fn seconds(ahead: i64) -> ClockDifference {
        ClockDifference::from_millis(ahead * 1000)
    }

    fn clock() -> EnvironmentClock {
        let metrics = crate::telemetry::Metrics::new().unwrap();
        EnvironmentClock::new(&Environment::built_in("test").unwrap(), metrics.clock("test"))
    }

    #[rstest]
    #[case(&[60], 60)]
    #[case(&[60, 62], 61)]
    #[case(&[60, 0, 62], 60)]
    #[case(&[0, 0, 600, 0, 0], 0)]
    #[case(&[60, 60, 60, 60, 60, 0, 0], 60)]
    #[case(&[60, 60, 60, 60, 60, 0, 0, 0], 0)]
    fn the_median_of_the_last_few_counts(#[case] readings: &[i64], #[case] expected: i64) {
        let (clock, mut clocks) = (clock(), Clocks::start());
        assert_eq!(clock.difference(clocks.0), None);
        for reading in readings {
            clock.read(seconds(*reading), clocks.pass(30));
        }
        assert_eq!(clock.difference(clocks.pass(3600)), Some(seconds(expected)));
    }

    #[test]
    fn a_refusal_for_the_time_counts_alone() {
        let (clock, mut clocks) = (clock(), Clocks::start());
        for _ in 0..5 {
            clock.read(seconds(0), clocks.pass(30));
        }
        clock.read_from_refusal(seconds(20), clocks.pass(30));
        assert_eq!(clock.difference(clocks.0), Some(seconds(20)));
        let (time, corrected) = clock.time(clocks.0);
        assert_eq!((time, corrected), (clocks.0.ours - Duration::from_secs(20), seconds(20)));
    }

    #[rstest]
    #[case(-60)]
    #[case(60)]
    #[case(28_800)]
    fn what_was_measured_before_the_clock_was_set_or_the_machine_slept_counts_no_more(#[case] jump: i64) {
        let (clock, mut clocks) = (clock(), Clocks::start());
        for _ in 0..5 {
            clock.read(seconds(60), clocks.pass(30));
        }
        assert_eq!(clock.difference(clocks.pass(1)), Some(seconds(60)));
        clocks.jump(jump);
        assert_eq!(clock.difference(clocks.0), None);
        assert_eq!(clock.time(clocks.0), (clocks.0.ours, ClockDifference::NONE));
        // The first reading since then is the only one that there is.
        clock.read(seconds(0), clocks.pass(1));
        assert_eq!(clock.difference(clocks.pass(1)), Some(seconds(0)));
    }

    #[test]
    fn a_date_that_misleads_is_not_followed() {
        let (clock, mut clocks) = (clock(), Clocks::start());
        clock.read(seconds(60), clocks.pass(1));
        assert!(clock.tells_another_time(seconds(60), clocks.0), "our own clock's");
        assert_eq!(clock.time(clocks.0), (clocks.0.ours, ClockDifference::NONE));
        assert_eq!(clock.difference(clocks.0), Some(seconds(60)), "what it says is shown all the same");
        // Without it, it is the same: so it was our clock.
        assert!(clock.tells_another_time(ClockDifference::NONE, clocks.0));
        assert_eq!(clock.time(clocks.0).1, seconds(60));
    }

    #[test]
    fn what_comes_and_goes_is_said_a_few_times_a_minute() {
        let (mut readings, mut clocks) = (Readings::default(), Clocks::start());
        let mut said =
            |clocks: &mut Clocks, difference| readings.take_in(Reading { difference: seconds(difference), at: clocks.pass(1) }, true).1;
        let news: Vec<_> = (0..30).filter_map(|number| said(&mut clocks, 60 * (number % 2))).collect();
        assert_eq!(news.len(), usize::try_from(MOST_LINES).unwrap(), "{news:?}");
        assert_eq!(news.last(), Some(&News::RightAgain(seconds(0))));
        // It is not lost: when there may be lines again, what is so then is said.
        clocks.pass(60);
        assert_eq!(said(&mut clocks, 60), Some(News::Off(seconds(60))));
    }

    #[test]
    fn what_is_said_of_it() {
        let (mut readings, mut clocks) = (Readings::default(), Clocks::start());
        let table = [
            (0, None),
            (5, None),
            (6, Some(News::Off(seconds(6)))),
            (6, None),
            (11, None),
            (12, Some(News::Off(seconds(12)))),
            (-12, Some(News::Off(seconds(-12)))),
            (-5, None),
            (-4, Some(News::RightAgain(seconds(-4)))),
            (-5, None),
            (598, Some(News::Off(seconds(598)))),
            (601, Some(News::Off(seconds(601)))),
            (604, None),
            (0, Some(News::RightAgain(seconds(0)))),
        ];
        for (number, (difference, expected)) in table.into_iter().enumerate() {
            let (_, news) = readings.take_in(Reading { difference: seconds(difference), at: clocks.pass(1) }, true);
            assert_eq!(news, expected, "row {number}: {difference}");
        }
    }
}
