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

use super::expiry::{self, Expiries};
use super::signals::Signals;
use super::start_error::StartError;
use super::{assembly, banner};
use crate::access::Access;
use crate::config::Config;
use crate::http::{Doors, Listener, Management};
use crate::maskinporten::Client;
use crate::telemetry::Metrics;
use crate::tokens::TokenService;

/// A service that answers, on threads of its own.
#[derive(Debug)]
pub(super) struct Service {
    tokens_address: SocketAddr,
    management_address: SocketAddr,
    management: Arc<Management>,
    handles: Handles,
    /// Tells when, and how, the listeners' thread has ended.
    ended: oneshot::Receiver<io::Result<()>>,
    expiries: Expiries,
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
        let clients = assembly::clients(config)?;
        for (integration, client) in config.integrations.iter().zip(&clients) {
            banner::integration(&integration.name, client);
        }
        config.callers.iter().for_each(|caller| banner::caller(caller, Timestamp::now()));
        let mut expiries = Expiries::of(config, &clients);
        expiries.say(Timestamp::now());
        let ways_out = assembly::ways_out(config, &clients)?;
        let tokens_listener = Listener::bind(config.server.listen)?;
        let management_listener = Listener::bind(config.management.listen)?;
        let (tokens_address, management_address) = (tokens_listener.address()?, management_listener.address()?);
        let names: Vec<Arc<str>> = config.integrations.iter().map(|integration| integration.name.as_str().into()).collect();
        let metrics = Arc::new(Metrics::new()?);
        tell_of_certificates(&metrics, &names, &clients);
        let settings = assembly::token_service(config, clients, &names, ways_out);
        let token_service = Arc::new(TokenService::start(settings, &metrics)?);
        let access = Access::new(assembly::callers(config, &token_service.integrations().collect::<Vec<_>>()));
        let management = Arc::new(Management::new(Arc::clone(&token_service), Arc::clone(&metrics)));
        let doors = Arc::new(Doors::new(access, token_service, metrics, &names));
        let grace = config.server.shutdown_grace;
        let (handles, ended) = on_a_thread(tokens_listener, doors, grace, management_listener, Arc::clone(&management))?;
        management.set_ready(true);
        Ok(Self { tokens_address, management_address, management, handles, ended, expiries })
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
                    _ = every.tick() => self.expiries.say(Timestamp::now()),
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

fn tell_of_certificates(metrics: &Metrics, names: &[Arc<str>], clients: &[Client]) {
    for (name, client) in names.iter().zip(clients) {
        if let Some(expires) = client.key().certificate().and_then(banner::expires) {
            metrics.certificate_expires(name, expires.as_duration().as_secs_f64());
        }
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
