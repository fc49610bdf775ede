//! The service as it runs: started from the operator's file, stopped by a signal.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::interval;
use tracing::{info, warn};

use super::file_limit::FileLimit;
use super::reload::{Prepared, Running};
use super::signals::Signals;
use super::start_error::StartError;
use super::stopping::{Ending, Handles};
use super::{banner, expiry, service_manager};
use crate::config::Config;
use crate::http::{Doors, Lifecycle, Listener, Management, Phase, Serving};
use crate::telemetry::Pulse;

/// What the operator asks takes no time worth mentioning.
const MANAGEMENT_GRACE: Duration = Duration::from_secs(1);

/// A service that answers, on threads of its own.
#[derive(Debug)]
pub(super) struct Service {
    tokens_address: SocketAddr,
    management_address: SocketAddr,
    ending: Ending,
    /// Where the threads give signs of life, when the service manager wants to know of them.
    pulse: Option<Pulse>,
    files: FileLimit,
    /// Tells when, and how, the listeners' thread has ended.
    ended: oneshot::Receiver<io::Result<()>>,
    running: Arc<Running>,
}

impl Service {
    /// Opens the keys, takes the addresses, and begins to answer.
    pub(super) fn start(config: &Config) -> Result<Self, StartError> {
        let files = FileLimit::raise();
        if let Some(few) = files.files().filter(|_| files.is_too_low()) {
            return Err(StartError::Files(few));
        }
        let prepared = Prepared::of(config)?;
        prepared.clients().for_each(|(name, client)| banner::integration(name, client));
        config.callers.iter().for_each(|caller| banner::caller(caller, Timestamp::now()));
        let tokens_listener = Listener::bind(config.server.listen)?;
        let management_listener = Listener::bind(config.management.listen)?;
        let (tokens_address, management_address) = (tokens_listener.address()?, management_listener.address()?);
        let running = Arc::new(Running::start(config, prepared)?);
        let lifecycle = Arc::new(Lifecycle::starting());
        let management = Arc::new(Management::new(running.tokens(), running.metrics(), Arc::clone(&lifecycle)));
        let pulse = service_manager::pulse();
        if let Some(pulse) = &pulse {
            running.tokens().beside(pulse.beat("the thread that fetches tokens"));
        }
        let (present, gone) = mpsc::channel(1);
        let (connections, grace) = (files.connections(), config.server.shutdown_grace);
        let for_tokens = Serving { connections, grace, lifecycle: Arc::clone(&lifecycle), pulse: pulse.clone(), present };
        let (connections, grace) = (files.management_connections(), MANAGEMENT_GRACE);
        let for_management = Serving { connections, grace, present: mpsc::channel(1).0, ..for_tokens.clone() };
        let listeners = Listeners {
            tokens: (tokens_listener, running.doors(), for_tokens),
            management: (management_listener, management, for_management),
        };
        let (handles, ended) = listeners.on_a_thread()?;
        lifecycle.enter(Phase::Ready);
        let ending = Ending::new(handles, lifecycle, running.tokens(), gone, (config.server.shutdown_delay, config.server.shutdown_grace));
        Ok(Self { tokens_address, management_address, ending, pulse, files, ended, running })
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

    /// How many files it may open, and what follows from it.
    pub(super) fn files(&self) -> &FileLimit {
        &self.files
    }

    /// Runs until SIGTERM or SIGINT, then finishes what is in progress. A second signal ends it at once.
    ///
    /// # Errors
    ///
    /// When the listeners fail.
    pub(super) fn run(mut self, signals: StopSignals) -> io::Result<()> {
        let StopSignals { runtime, mut signals } = signals;
        let pulse = self.pulse.take();
        let life = async {
            let mut every = interval(expiry::LOOK_EVERY);
            let signal = loop {
                tokio::select! {
                    signal = signals.next() => break signal,
                    ended = &mut self.ended => return ended.unwrap_or_else(|_| Err(io::Error::other("the listeners' thread ended"))),
                    _ = every.tick() => self.running.say_what_expires(),
                }
            };
            // Before it is said, so that nobody who has read it is told to send more.
            self.ending.begin();
            service_manager::stopping();
            info!(signal, "stopping: what is in progress is finished first");
            tokio::select! {
                () = self.ending.in_order() => info!("stopped"),
                signal = signals.next() => {
                    self.ending.at_once().await;
                    warn!(signal, "stopped at once, by a second signal");
                }
            }
            Ok(())
        };
        runtime.block_on(async {
            tokio::select! {
                ended = life => ended,
                never = service_manager::watch(pulse) => match never {},
            }
        })
    }

    /// Not ready any more; no new connections; what is in progress finished within the grace; the end.
    pub(super) async fn stop(mut self) {
        self.ending.begin();
        self.ending.in_order().await;
    }
}

/// Both listeners, each with what it answers from and how it serves.
struct Listeners {
    tokens: (Listener, Arc<Doors>, Serving),
    management: (Listener, Arc<Management>, Serving),
}

impl Listeners {
    /// Starts both on a thread with actix's runtime, and returns once they answer.
    fn on_a_thread(self) -> io::Result<(Handles, oneshot::Receiver<io::Result<()>>)> {
        let (send_handles, handles) = std::sync::mpsc::channel();
        let (send_end, mut ended) = oneshot::channel();
        thread::Builder::new().name("listeners".to_owned()).spawn(move || {
            let served = actix_web::rt::System::new().block_on(async {
                let ((tokens, doors, for_tokens), (management, answers, for_management)) = (self.tokens, self.management);
                let tokens = tokens.serve_tokens(doors, for_tokens)?;
                let management = management.serve_management(answers, for_management)?;
                let cut_off = Arc::new(Notify::new());
                let handles = Handles { tokens: tokens.handle(), management: management.handle(), cut_off: Arc::clone(&cut_off) };
                // Whoever started us may have given up: then there is nobody to stop these, and they end with the process.
                let _ = send_handles.send(handles);
                tokio::select! {
                    served = async { tokio::try_join!(tokens, management) } => served.map(|_| ()),
                    // They are dropped, and so end at once.
                    () = cut_off.notified() => Ok(()),
                }
            });
            let _ = send_end.send(served);
        })?;
        match handles.recv() {
            Ok(handles) => Ok((handles, ended)),
            // The thread has ended, and says why.
            Err(_) => Err(ended.try_recv().ok().and_then(Result::err).unwrap_or_else(|| io::Error::other("the listeners did not start"))),
        }
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
