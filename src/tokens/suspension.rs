//! What the machine has slept: the monotonic clock stands still meanwhile, and tokens end all the same.
//!
//! The lives of tokens are counted on the monotonic clock plus what it has missed. That is known from the clock that tells the time: when
//! it goes ahead of the monotonic one from one look to the next, the machine was suspended, or a virtual one paused and its clock then put
//! right, or the clock was set forward for another reason. Nobody can tell which; the last one makes tokens end early, and costs no more
//! than their exchanges. One number for the process, as there is one machine, so that a look at a token's life costs one load more.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rand::RngExt;
use tokio::sync::Notify;

use crate::maskinporten::Moment;

/// Milliseconds that the monotonic clock has missed.
static MISSED: AtomicU64 = AtomicU64::new(0);
static WOKEN: Notify = Notify::const_new();

/// What was to happen while the machine slept happens within this time after it, not all at once.
const SPREAD: Duration = Duration::from_secs(2);
/// Reading both clocks takes no longer, unless the thread was held up in between: then what they say does not belong together.
const ONE_LOOK: Duration = Duration::from_millis(100);

/// Longer than anything that is waited for; a moment further ahead could be none.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

fn missed() -> Duration {
    Duration::from_millis(MISSED.load(Relaxed))
}

/// A moment on the clock that goes on while the machine sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LifeInstant(Instant);

impl LifeInstant {
    pub(super) fn now() -> Self {
        Self::at(Instant::now())
    }

    /// What it is at a moment of the monotonic clock that is about now.
    pub(super) fn at(monotonic: Instant) -> Self {
        Self(monotonic + missed())
    }

    /// When it is or was so on the monotonic clock, if the machine sleeps no more.
    pub(super) fn monotonic(self) -> Instant {
        self.0.checked_sub(missed()).unwrap_or(self.0)
    }

    pub(super) fn after(self, duration: Duration) -> Self {
        Self(self.0 + duration.min(LONGEST))
    }

    pub(super) fn since(self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }
}

/// Looks at both clocks, again and again.
#[derive(Debug)]
pub(super) struct Watch {
    last: Moment,
}

impl Watch {
    pub(super) fn begin() -> Self {
        Self { last: Moment::now() }
    }

    /// How long the machine has slept since the last look. From then on every token's life is shorter by that, and who waits is woken.
    pub(super) fn look(&mut self) -> Option<Duration> {
        let began = Instant::now();
        let now = Moment::now();
        let slept = self.slept(began, now)?;
        MISSED.fetch_add(u64::try_from(slept.as_millis()).unwrap_or(u64::MAX), Relaxed);
        WOKEN.notify_waiters();
        Some(slept)
    }

    fn slept(&mut self, began: Instant, now: Moment) -> Option<Duration> {
        if now.monotonic.saturating_duration_since(began) > ONE_LOOK {
            return None; // the next look will tell
        }
        let last = std::mem::replace(&mut self.last, now);
        now.slept_since(last)
    }
}

/// Notices that the machine has slept, also when that was while nobody waited here.
#[derive(Debug)]
pub(super) struct Sleeper {
    known: u64,
}

impl Sleeper {
    pub(super) fn new() -> Self {
        Self { known: MISSED.load(Relaxed) }
    }

    /// Returns once it is noticed that the machine has slept. May be dropped at any time.
    pub(super) async fn woken(&mut self) {
        loop {
            // From here on nothing is missed.
            let woken = WOKEN.notified();
            let missed = MISSED.load(Relaxed);
            if missed != self.known {
                self.known = missed;
                return;
            }
            woken.await;
        }
    }
}

/// Waits for so long, what the machine sleeps meanwhile included. What is over by that comes back spread out.
pub(super) async fn sleep(duration: Duration) {
    let end = LifeInstant::now().after(duration);
    let mut sleeper = Sleeper::new();
    while !ends_before(tokio::time::sleep_until(end.monotonic().into()), sleeper.woken()).await {
        if end <= LifeInstant::now() {
            tokio::time::sleep(spread()).await;
            return;
        }
    }
}

/// Whether the first of them ends first.
async fn ends_before(first: impl Future<Output = ()>, second: impl Future<Output = ()>) -> bool {
    let (first, second) = (pin!(first), pin!(second));
    tokio::select! {
        () = first => true,
        () = second => false,
    }
}

/// The moment, or one a little later than now if it is over: for what the machine has slept through.
pub(super) fn spread_out(moment: Instant) -> Instant {
    let now = Instant::now();
    if moment > now { moment } else { now + spread() }
}

fn spread() -> Duration {
    SPREAD.mul_f64(rand::rng().random_range(0.0..1.0))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use rstest::rstest;

    use super::*;

    /// What both clocks say so many milliseconds after the beginning.
    fn moment(start: Moment, ours: i64, monotonic: u64) -> Moment {
        let magnitude = Duration::from_millis(ours.unsigned_abs());
        let ours = if ours < 0 { start.ours - magnitude } else { start.ours + magnitude };
        Moment { ours, monotonic: start.monotonic + Duration::from_millis(monotonic) }
    }

    /// Looks, each with what the clock that tells the time and the monotonic one say; and what has been slept by then.
    #[rstest]
    #[case::awake(&[(1000, 1000, 0), (2000, 2000, 0), (3400, 3000, 0)])]
    #[case::slept(&[(1000, 1000, 0), (602_000, 2000, 600_000), (603_000, 3000, 0)])]
    #[case::slept_twice(&[(11_000, 1000, 10_000), (32_000, 2000, 20_000)])]
    #[case::set_back(&[(1000, 1000, 0), (-600_000, 2000, 0), (-599_000, 3000, 0)])]
    #[case::set_forward(&[(3_601_000, 1000, 3_600_000), (3_602_000, 2000, 0)])]
    #[case::held_up(&[(61_000, 61_000, 0), (62_000, 62_000, 0)])]
    #[case::for_a_moment(&[(1900, 1000, 0), (3000, 2000, 0)])]
    fn what_was_slept_is_seen_in_two_clocks(#[case] looks: &[(i64, u64, u64)]) {
        let start = Moment { ours: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000), monotonic: Instant::now() };
        let mut watch = Watch { last: start };
        for (ours, monotonic, slept) in looks {
            let now = moment(start, *ours, *monotonic);
            let expected = (*slept > 0).then(|| Duration::from_millis(*slept));
            assert_eq!(watch.slept(now.monotonic, now), expected, "{ours}");
        }
    }

    #[test]
    fn a_look_that_was_held_up_is_no_look() {
        let start = Moment { ours: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000), monotonic: Instant::now() };
        let mut watch = Watch { last: start };
        // Five seconds between reading the one clock and the other: it is no sleep, neither now nor at the next look.
        let began = start.monotonic + Duration::from_secs(1);
        assert_eq!(watch.slept(began, moment(start, 1000, 6000)), None);
        let now = moment(start, 7000, 7000);
        assert_eq!(watch.slept(now.monotonic, now), None);
    }
}
