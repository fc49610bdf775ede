//! What the service manager is told, where there is one: systemd, or who else sets `NOTIFY_SOCKET` (sd_notify(3)).
//!
//! The variables are left as they are: to take one away is unsafe in Rust, and Portvakt starts no other programs.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::sleep;
use tracing::{error, warn};

use crate::telemetry::Pulse;

/// From then on nothing else is told: a reload may just be in progress.
static STOPPING: AtomicBool = AtomicBool::new(false);

/// New requests are welcome: after the start, and after a reload, whatever came of it.
pub(super) fn ready() {
    if STOPPING.load(Relaxed) {
        return;
    }
    tell(&[NotifyState::Ready, NotifyState::Status("handing out tokens")]);
}

/// The configuration is being read again. Followed by [`ready`].
pub(super) fn reloading() {
    if STOPPING.load(Relaxed) {
        return;
    }
    // Without the moment, systemd would take an answer to an earlier reload for one to this.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status("reading the configuration again")]),
        Err(error) => warn!(%error, "the service manager was not told of a reload: the monotonic clock cannot be read"),
    }
}

/// The end has begun.
pub(super) fn stopping() {
    STOPPING.store(true, Relaxed);
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is in progress")]);
}

/// Where threads give signs of life, when the service manager waits for such: twice within the time that it looks at.
pub(super) fn pulse() -> Option<Pulse> {
    sd_notify::watchdog_enabled().map(|within| Pulse::new(within / 4))
}

/// Tells the service manager at half of its time that all threads are alive, and nothing when one is not.
pub(super) async fn watch(pulse: Option<Pulse>) -> Infallible {
    let (Some(pulse), Some(within)) = (pulse, sd_notify::watchdog_enabled()) else { return pending().await };
    loop {
        sleep((within / 2).max(Duration::from_millis(1))).await;
        let silent = pulse.silent();
        if silent.is_empty() {
            tell(&[NotifyState::Watchdog]);
        } else {
            error!(silent = silent.join(", "), "a thread gives no sign of life: the service manager is not told that all is well");
        }
    }
}

/// Does nothing where nobody listens.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager could not be told how the service is: NOTIFY_SOCKET names a socket that takes nothing");
    }
}
