//! What the service manager is told, where there is one: systemd, or who else sets `NOTIFY_SOCKET` (sd_notify(3)).
//!
//! The variables are left as they are: to take one away is unsafe in Rust, and Portvakt starts no other programs.

use std::convert::Infallible;
use std::future::pending;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
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
    watchdog().map(|within| Pulse::new(within / 4))
}

/// Tells the service manager at half of its time that all threads are alive, and nothing when one is not.
pub(super) async fn watch(pulse: Option<Pulse>) -> Infallible {
    let (Some(pulse), Some(within)) = (pulse, watchdog()) else { return pending().await };
    let mut said = Vec::new();
    loop {
        sleep(within / 2).await;
        let silent = pulse.silent();
        if silent.is_empty() {
            tell(&[NotifyState::Watchdog]);
        } else if silent != said {
            error!(silent = silent.join(", "), "a thread gives no sign of life: the service manager is not told that all is well");
        }
        said = silent;
    }
}

/// Within what time it wants to hear of us. Zero is none; what no machine can keep to is taken as the least that one can.
fn watchdog() -> Option<Duration> {
    const LEAST: Duration = Duration::from_millis(100);
    sd_notify::watchdog_enabled().filter(|within| !within.is_zero()).map(|within| within.max(LEAST))
}

/// So many messages wait for a service manager that reads none.
const UNREAD: usize = 16;

/// Does nothing where nobody listens. Sent on a thread of its own, which may hang: a socket that nobody reads takes so many and no more.
fn tell(states: &[NotifyState<'static>]) {
    static SENDER: OnceLock<Option<SyncSender<Vec<NotifyState<'static>>>>> = OnceLock::new();
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    let sender = SENDER.get_or_init(|| {
        let (sender, states) = sync_channel(UNREAD);
        let sending = move || states.into_iter().for_each(|states: Vec<NotifyState<'static>>| send(&states));
        thread::Builder::new().name("notify".to_owned()).spawn(sending).ok().map(|_| sender)
    });
    if sender.as_ref().is_none_or(|sender| sender.try_send(states.to_vec()).is_err()) {
        not_told("nobody reads what is sent to NOTIFY_SOCKET");
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        not_told(&format!("NOTIFY_SOCKET names a socket that takes nothing: {error}"));
    }
}

/// Said once: it would be so with each message.
fn not_told(why: &str) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Relaxed) {
        warn!(why, "the service manager could not be told how the service is");
    }
}
