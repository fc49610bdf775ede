//! How far this machine's clock is from Maskinporten's.

use std::fmt;
use std::time::{Duration, SystemTime};

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
    /// Milliseconds by which our clock is ahead; negative when it is behind.
    pub fn from_millis(ahead: i64) -> Self {
        Self(SignedDuration::from_millis(ahead))
    }

    /// Seconds by which our clock is ahead; negative when it is behind.
    pub fn as_secs_f64(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// How far the clocks are apart, whichever of them is ahead.
    pub fn magnitude(self) -> Duration {
        self.0.unsigned_abs()
    }

    /// Whether ours is ahead.
    pub fn is_ahead(self) -> bool {
        self.0.is_positive()
    }

    /// What Maskinporten's clock says when ours says `ours`.
    pub fn put_right(self, ours: SystemTime) -> SystemTime {
        let put_right = if self.is_ahead() { ours.checked_sub(self.magnitude()) } else { ours.checked_add(self.magnitude()) };
        put_right.unwrap_or(ours)
    }
}

impl fmt::Display for ClockDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.is_ahead() { "ahead of" } else { "behind" };
        write!(f, "this machine's clock is {} s {direction} Maskinporten's", self.magnitude().as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_put_right() {
        let ours = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        for (ahead, theirs) in [(0, 1000), (60_000, 940), (-60_000, 1060)] {
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(theirs);
            assert_eq!(ClockDifference::from_millis(ahead).put_right(ours), theirs, "{ahead}");
        }
    }
}
