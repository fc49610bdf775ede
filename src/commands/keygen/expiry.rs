//! When a registered key ends.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// The day on which a key that is posted today will have expired at Maskinporten: a year later (MP-121).
pub(in crate::commands) fn expires_at_maskinporten() -> Option<Date> {
    expiry(Timestamp::now().to_zoned_datetime(TimeZone::UTC).date())
}

fn expiry(posted: Date) -> Option<Date> {
    posted.checked_add(1.year()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-11-24", "2027-11-24")]
    #[case("2028-02-29", "2029-02-28")]
    fn a_year_from_the_day_that_it_is_posted(#[case] posted: Date, #[case] expired: Date) {
        assert_eq!(expiry(posted), Some(expired));
    }
}
