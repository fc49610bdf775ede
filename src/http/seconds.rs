//! Durations in whole seconds, as `Retry-After` and actix count them.

use std::time::Duration;

/// Rounded up: nobody is to come back too early, or to be cut off too early.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
