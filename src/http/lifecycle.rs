//! Where the service is between its start and its end: what both listeners go by, and who ends them moves on.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use tokio::sync::watch;

/// The service's phases, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Nobody is to be sent here yet.
    Starting,
    /// New requests are welcome.
    Ready,
    /// New requests are still answered, but should go elsewhere: each answer is the last one on its connection.
    Stopping,
    /// The thread that ends things takes new connections, and the workers finish with those that they have been given.
    LastCall,
    /// Nobody takes new connections.
    Closed,
    /// Connections on which nothing is asked are ended.
    Closing,
    /// The same for management.
    Over,
}

/// The phase that the service is in.
#[derive(Debug)]
pub struct Lifecycle {
    /// The same as in `changed`, for who looks with every request: a watch channel is read under a lock.
    phase: AtomicU8,
    changed: watch::Sender<Phase>,
}

impl Lifecycle {
    /// Nobody is welcome until [`Phase::Ready`].
    pub fn starting() -> Self {
        Self { phase: AtomicU8::new(Phase::Starting as u8), changed: watch::Sender::new(Phase::Starting) }
    }

    /// Goes on to a phase. There is no way back.
    pub fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Relaxed);
        self.changed.send_if_modified(|now| {
            let is_later = phase > *now;
            *now = phase.max(*now);
            is_later
        });
    }

    /// Whether it is in this phase, or a later one.
    pub fn has_come_to(&self, phase: Phase) -> bool {
        self.phase.load(Relaxed) >= phase as u8
    }

    /// Waits for a phase.
    pub(super) async fn come_to(&self, phase: Phase) {
        // The sender is ours: it does not go away meanwhile.
        let _ = self.changed.subscribe().wait_for(|now| *now >= phase).await;
    }
}
