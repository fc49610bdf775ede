//! Signs of life from the threads that must not hang.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

/// Where threads give signs of life, and where those that gave none are found.
#[derive(Clone, Debug)]
pub struct Pulse {
    every: Duration,
    beats: Arc<Mutex<Vec<Beat>>>,
}

#[derive(Debug)]
struct Beat {
    of: &'static str,
    /// Weak: a thread that has ended, as all do at the end, hangs no more.
    seen: Weak<AtomicBool>,
}

impl Pulse {
    /// Signs are given this often.
    pub fn new(every: Duration) -> Self {
        Self { every, beats: Arc::default() }
    }

    /// Gives signs for as long as it is run. Spawned where what is meant would stop it by hanging.
    pub fn beat(&self, of: &'static str) -> impl Future<Output = ()> + Send + 'static {
        let seen = Arc::new(AtomicBool::new(true));
        self.beats.lock().unwrap_or_else(PoisonError::into_inner).push(Beat { of, seen: Arc::downgrade(&seen) });
        // Zero would be refused.
        let every = self.every.max(Duration::from_millis(1));
        async move {
            let mut every = interval(every);
            every.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                every.tick().await;
                seen.store(true, Relaxed);
            }
        }
    }

    /// What has given no sign since this was asked last.
    pub fn silent(&self) -> Vec<&'static str> {
        let mut beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.retain(|beat| beat.seen.strong_count() > 0);
        beats.iter().filter(|beat| beat.seen.upgrade().is_some_and(|seen| !seen.swap(false, Relaxed))).map(|beat| beat.of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_gives_no_sign_is_found() {
        let pulse = Pulse::new(Duration::from_millis(1));
        let (worker, other) = (tokio::spawn(pulse.beat("a worker")), pulse.beat("another"));
        assert_eq!(pulse.silent(), [""; 0], "both have just begun");
        let worker_beats = async || {
            while pulse.silent() != ["another"] {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), worker_beats()).await.unwrap();
        worker.abort();
        let _ = worker.await;
        assert_eq!(pulse.silent(), ["another"], "the worker is gone, and hangs no more");
        drop(other);
        assert_eq!(pulse.silent(), [""; 0]);
    }
}
