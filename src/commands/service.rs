//! The service as it runs: started from the operator's file, stopped by a signal.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::interval;
use tracing::{info, warn};

use super::reload::{Prepared, Running};
use super::signals::Signals;
use super::start_error::StartError;
use super::{banner, expiry};
use crate::config::Config;
use crate::http::{Doors, Listener, Management};

/// A service that answers, on threads of its own.
#[derive(Debug)]
pub(super) struct Service {
    tokens_address: SocketAddr,
    management_address: SocketAddr,
    management: Arc<Management>,
    handles: Handles,
    /// Tells when, and how, the listeners' thread has ended.
    ended: oneshot::Receiver<io::Result<()>>,
    running: Arc<Running>,
}

/// What the two listeners are stopped by.
#[derive(Debug)]
struct Handles {
    tokens: ServerHandle,
    management: ServerHandle,
}

impl Service {
    /// Opens the keys, takes the addresses, and begins to answer.
    pub(super) fn start(config: &Config) -> Result<Self, StartError> {
        let prepared = Prepared::of(config)?;
        prepared.clients().for_each(|(name, client)| banner::integration(name, client));
        config.callers.iter().for_each(|caller| banner::caller(caller, Timestamp::now()));
        let tokens_listener = Listener::bind(config.server.listen)?;
        let management_listener = Listener::bind(config.management.listen)?;
        let (tokens_address, management_address) = (tokens_listener.address()?, management_listener.address()?);
        let running = Arc::new(Running::start(config, prepared)?);
        let management = Arc::new(Management::new(running.tokens(), running.metrics()));
        let grace = config.server.shutdown_grace;
        let (handles, ended) = on_a_thread(tokens_listener, running.doors(), grace, management_listener, Arc::clone(&management))?;
        management.set_ready(true);
        Ok(Self { tokens_address, management_address, management, handles, ended, running })
    }

    /// What a reload puts another configuration into.
    pub(super) fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running)
    }

    /// Where tokens are handed out.
    pub(super) fn tokens_address(&self) -> SocketAddr {
        self.tokens_address
    }

    /// Where health and metrics are.
    pub(super) fn management_address(&self) -> SocketAddr {
        self.management_address
    }

    /// Runs until SIGTERM or SIGINT, then finishes what is in progress. A second signal ends it at once.
    ///
    /// # Errors
    ///
    /// When the listeners fail.
    pub(super) fn run(mut self, signals: StopSignals) -> io::Result<()> {
        let StopSignals { runtime, mut signals } = signals;
        runtime.block_on(async {
            let mut every = interval(expiry::LOOK_EVERY);
            let signal = loop {
                tokio::select! {
                    signal = signals.next() => break signal,
                    ended = &mut self.ended => return ended.unwrap_or_else(|_| Err(io::Error::other("the listeners' thread ended"))),
                    _ = every.tick() => self.running.say_what_expires(),
                }
            };
            // Before it is said, so that nobody who has read it is told to send more.
            self.management.set_ready(false);
            info!(signal, "stopping: what is in progress is finished first");
            tokio::select! {
                () = self.stop() => info!("stopped"),
                signal = signals.next() => warn!(signal, "stopped at once, by a second signal"),
            }
            Ok(())
        })
    }

    /// Not ready any more; no new connections; what is in progress finished within the grace; the end.
    pub(super) async fn stop(&self) {
        self.management.set_ready(false);
        self.handles.tokens.stop(true).await;
        self.handles.management.stop(true).await;
    }
}

/// Starts both listeners on a thread with actix's runtime, and returns once they answer.
fn on_a_thread(
    tokens: Listener,
    doors: Arc<Doors>,
    grace: Duration,
    management_listener: Listener,
    management: Arc<Management>,
) -> io::Result<(Handles, oneshot::Receiver<io::Result<()>>)> {
    let (send_handles, handles) = mpsc::channel();
    let (send_end, mut ended) = oneshot::channel();
    thread::Builder::new().name("listeners".to_owned()).spawn(move || {
        let served = actix_web::rt::System::new().block_on(async {
            let tokens = tokens.serve_tokens(doors, grace)?;
            let management = management_listener.serve_management(management)?;
            // Whoever started us may have given up: then there is nobody to stop these, and they end with the process.
            let _ = send_handles.send(Handles { tokens: tokens.handle(), management: management.handle() });
            tokio::try_join!(tokens, management).map(|_| ())
        });
        let _ = send_end.send(served);
    })?;
    match handles.recv() {
        Ok(handles) => Ok((handles, ended)),
        // The thread has ended, and says why.
        Err(_) => Err(ended.try_recv().ok().and_then(Result::err).unwrap_or_else(|| io::Error::other("the listeners did not start"))),
    }
}

/// SIGTERM and SIGINT, caught from its making on, with the runtime that waits for them.
///
/// Made before the service starts: a signal that comes between the first answer and [`Service::run`] would otherwise kill the process.
pub(super) struct StopSignals {
    runtime: Runtime,
    signals: Signals,
}

impl StopSignals {
    /// Catches them from now on.
    ///
    /// # Errors
    ///
    /// When the system does not let signals be caught.
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _within = runtime.enter();
            Signals::new()?
        };
        Ok(Self { runtime, signals })
    }
}
