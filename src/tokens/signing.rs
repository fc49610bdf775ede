//! Where signatures are made: a bounded pool of its own, never a thread that serves requests.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinError;

/// A few threads for work that takes a millisecond of CPU or several.
///
/// It is the pool for blocking work of a runtime that runs nothing else: the name look-ups of the exchanges' runtime have one of their
/// own, so a name server that hangs holds no signature up.
#[derive(Debug)]
pub(super) struct SigningPool {
    threads: Handle,
    /// Held for its end. None from then on.
    runtime: Mutex<Option<Runtime>>,
}

/// Signing gives way to answering: a cached token is not to wait for a processor that makes signatures for others.
const NICENESS: i32 = 5;

impl SigningPool {
    /// As many threads as there are processors: more signatures at once would only slow each other down.
    pub(super) fn new() -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let runtime = Builder::new_current_thread()
            .thread_name("signing")
            .max_blocking_threads(threads)
            .on_thread_start(|| {
                // Linux counts niceness by thread. A machine that refuses it only loses the courtesy.
                let _ = rustix::process::setpriority_process(None, NICENESS);
            })
            .build()?;
        Ok(Self { threads: runtime.handle().clone(), runtime: Mutex::new(Some(runtime)) })
    }

    /// Runs one piece of work. Whoever waits can stop waiting; the work is done all the same.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
        self.threads.spawn_blocking(work).await
    }

    /// Waits for signatures that are being made, but no longer than this. What is asked for from then on is not done.
    pub(super) fn end(&self, within: Duration) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(within);
        }
    }
}

impl Drop for SigningPool {
    fn drop(&mut self) {
        // A runtime that is dropped where tasks run would wait for its threads there, which tokio forbids.
        if let Some(runtime) = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}
