//! How far this machine's clock is from Maskinporten's, as the `Date` of an answer tells.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use jiff::SignedDuration;

/// The difference between two clocks: ours minus Maskinporten's. Positive when ours is ahead.
///
/// Maskinporten takes a grant only when its `iat` is within 10 seconds of its own clock
/// ([maskinporten_protocol_jwtgrant](https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_jwtgrant)).
///
/// ```
/// use portvakt::maskinporten::ClockDifference;
/// assert_eq!(ClockDifference::from_millis(-61_400).to_string(), "this machine's clock is 61 s behind Maskinporten's");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClockDifference(SignedDuration);

impl ClockDifference {
    /// No difference.
    pub const NONE: Self = Self(SignedDuration::ZERO);

    /// Less than this nobody can tell from none by a `Date`: it has whole seconds, servers keep it for up to a second before they look
    /// at the clock again, and of the round trip only the middle is known. It is a fifth of what Maskinporten takes, so what is left
    /// alone below it makes no grant fail.
    pub const SMALLEST_PUT_RIGHT: Duration = Duration::from_secs(2);

    /// A clock that is further off than this is not put right: whoever relies on it has other troubles too, and should hear of it.
    pub const LARGEST_PUT_RIGHT: Duration = Duration::from_secs(10 * 60);

    /// From here on somebody should be told: half of what Maskinporten takes.
    pub const WORTH_A_WARNING: Duration = Duration::from_secs(5);

    /// An answer that took longer than this tells nothing: its `Date` may be from the start or from the end of that time, and the
    /// middle must not be further from either than [`Self::WORTH_A_WARNING`].
    pub const LONGEST_ROUND_TRIP: Duration = Duration::from_secs(8);

    /// Milliseconds by which our clock is ahead; negative when it is behind.
    pub fn from_millis(ahead: i64) -> Self {
        Self(SignedDuration::from_millis(ahead))
    }

    /// What a `Date` ([RFC 9110 section 6.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.6.1)) tells: the middle of its second
    /// against the middle of the time between question and answer.
    ///
    /// None when it is no date, when the answer took longer than [`Self::LONGEST_ROUND_TRIP`], and when our clock was set meanwhile.
    /// The caller answers for the date being Maskinporten's, and not that of somebody in between.
    pub fn from_date(date: &str, asked: Moment, answered: Moment) -> Option<Self> {
        let theirs = httpdate::parse_http_date(date).ok()?.checked_add(Duration::from_millis(500))?;
        let took = answered.monotonic.saturating_duration_since(asked.monotonic);
        if took > Self::LONGEST_ROUND_TRIP || answered.was_set_since(asked) {
            return None;
        }
        let ours = asked.ours.checked_add(took / 2)?;
        SignedDuration::system_until(theirs, ours).ok().map(Self)
    }

    /// Seconds by which our clock is ahead; negative when it is behind.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// How far the clocks are apart, whichever of them is ahead.
    pub fn magnitude(self) -> Duration {
        self.0.unsigned_abs()
    }

    /// How far this difference is from another one.
    pub fn apart(self, other: Self) -> Duration {
        self.0.saturating_sub(other.0).unsigned_abs()
    }

    /// In the middle between this and another one.
    pub(crate) fn middle(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0) / 2)
    }

    /// Whether ours is ahead.
    pub fn is_ahead(self) -> bool {
        self.0.is_positive()
    }

    /// Too far off to be put right.
    pub fn is_too_large(self) -> bool {
        self.magnitude() > Self::LARGEST_PUT_RIGHT
    }

    /// By how much our clock is put right: not at all where it is as good as right
    /// ([`Self::SMALLEST_PUT_RIGHT`]), nor where it is too far off ([`Self::LARGEST_PUT_RIGHT`]).
    #[must_use]
    pub fn correction(self) -> Self {
        if self.magnitude() < Self::SMALLEST_PUT_RIGHT || self.is_too_large() { Self::NONE } else { self }
    }

    /// What Maskinporten's clock says when ours says `ours`: what a grant is to be made with. See [`Self::correction`].
    pub fn put_right(self, ours: SystemTime) -> SystemTime {
        let correction = self.correction();
        let off = correction.magnitude();
        let put_right = if correction.is_ahead() { ours.checked_sub(off) } else { ours.checked_add(off) };
        put_right.unwrap_or(ours)
    }
}

impl fmt::Display for ClockDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.is_ahead() { "ahead of" } else { "behind" };
        write!(f, "this machine's clock is {} s {direction} Maskinporten's", self.magnitude().as_secs())
    }
}

/// A moment on both of this machine's clocks: the one that tells the time and can be set, and the one that only goes forward.
///
/// Together they tell whether the time was set, or the machine slept, for the second of them stands still meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time, as our clock has it.
    pub ours: SystemTime,
    /// The same on the monotonic clock.
    pub monotonic: Instant,
}

impl Moment {
    /// Both clocks may go apart by so much before it is taken for more than the time between reading one and the other.
    const SET: Duration = Duration::from_secs(1);

    /// This moment.
    pub fn now() -> Self {
        Self { ours: SystemTime::now(), monotonic: Instant::now() }
    }

    /// Whether since then our clock was set, or the machine slept: what was known of the clock then is not known now.
    pub fn was_set_since(self, then: Self) -> bool {
        self.missed_since(then).is_none_or(|missed| missed.unsigned_abs() >= Self::SET)
    }

    /// How long the machine has slept since then, or how far our clock was set forward. None: neither, or by no more than clocks may go
    /// apart, or the clock was set back.
    pub fn slept_since(self, then: Self) -> Option<Duration> {
        let missed = self.missed_since(then).filter(SignedDuration::is_positive)?.unsigned_abs();
        (missed >= Self::SET).then_some(missed)
    }

    /// How far our clock has gone ahead of the monotonic one since then. None: further than can be counted.
    fn missed_since(self, then: Self) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(self.monotonic.saturating_duration_since(then.monotonic)).unwrap_or(SignedDuration::MAX);
        SignedDuration::system_until(then.ours, self.ours).ok().map(|told| told.saturating_sub(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

    #[rstest]
    #[case(0, 0)]
    #[case(1_999, 0)]
    #[case(-1_999, 0)]
    #[case(2_000, 2_000)]
    #[case(60_000, 60_000)]
    #[case(-60_000, -60_000)]
    #[case(600_000, 600_000)]
    #[case(-600_000, -600_000)]
    #[case(600_001, 0)]
    #[case(-660_000, 0)]
    fn a_clock_is_put_right_where_it_is_off_and_not_too_far(#[case] ahead: i64, #[case] corrected: i64) {
        let ours = EPOCH + Duration::from_secs(10_000);
        let difference = ClockDifference::from_millis(ahead);
        let theirs = EPOCH + Duration::from_millis(u64::try_from(10_000_000 - corrected).unwrap());
        assert_eq!(difference.put_right(ours), theirs);
        assert_eq!(difference.correction(), ClockDifference::from_millis(corrected));
    }

    /// `Thu, 01 Jan 1970 00:16:40 GMT` is second 1000.
    #[rstest]
    #[case("Thu, 01 Jan 1970 00:16:40 GMT", 1_000_500, 0, Some(0))]
    #[case("Thu, 01 Jan 1970 00:16:40 GMT", 1_000_000, 1_000, Some(0))]
    #[case("Thu, 01 Jan 1970 00:16:40 GMT", 1_060_400, 200, Some(60_000))]
    #[case("Thu, 01 Jan 1970 00:17:40 GMT", 1_000_400, 200, Some(-60_000))]
    #[case("Thu, 01 Jan 1970 00:16:40 GMT", 1_000_500, 8_000, Some(4_000))]
    #[case("Thu, 01 Jan 1970 00:16:40 GMT", 1_000_500, 8_001, None)]
    #[case("Thu, 01 Jan 1970 00:16:40", 1_000_500, 0, None)]
    #[case("", 1_000_500, 0, None)]
    fn a_date_is_read_in_the_middle_of_the_round_trip(
        #[case] date: &str,
        #[case] asked: u64,
        #[case] took: u64,
        #[case] expected: Option<i64>,
    ) {
        let (asked, answered) = moments(asked, took, took);
        let found = ClockDifference::from_date(date, asked, answered);
        assert_eq!(found, expected.map(ClockDifference::from_millis));
    }

    #[rstest]
    #[case(200, 200, true)]
    #[case(200, 1_100, true)]
    #[case(200, 1_201, false)]
    #[case(60_200, 200, false)]
    #[case(200, 60_200, false)]
    fn a_clock_that_was_set_meanwhile_tells_nothing(#[case] told: u64, #[case] passed: u64, #[case] usable: bool) {
        let (asked, answered) = moments(1_000_000, told, passed);
        assert_eq!(answered.was_set_since(asked), !usable);
        let slept = told.checked_sub(passed).filter(|_| !usable).map(Duration::from_millis);
        assert_eq!(answered.slept_since(asked), slept);
        if passed < 8_000 {
            assert_eq!(ClockDifference::from_date("Thu, 01 Jan 1970 00:16:40 GMT", asked, answered).is_some(), usable);
        }
    }

    /// Milliseconds: when our clock said that it was asked, how much later it said that it was answered, and how much time passed.
    fn moments(asked: u64, told: u64, passed: u64) -> (Moment, Moment) {
        let monotonic = Instant::now();
        let asked = EPOCH + Duration::from_millis(asked);
        let answered = Moment { ours: asked + Duration::from_millis(told), monotonic: monotonic + Duration::from_millis(passed) };
        (Moment { ours: asked, monotonic }, answered)
    }
}
