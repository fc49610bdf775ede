//! SIGTERM and SIGINT: what ends a command.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Both signals. From the moment that this value is made they no longer end the process by themselves.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Needs a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// For what takes a moment and is not to be left half done. Needs no runtime.
    pub(super) fn passed_over() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let _within = runtime.enter();
        Self::new()
    }

    /// The next one's name.
    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
