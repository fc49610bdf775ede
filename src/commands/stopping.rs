//! How the service ends: in order, or at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use tokio::sync::{Notify, mpsc};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::http::{Lifecycle, Phase};
use crate::tokens::TokenService;

/// How long it takes until what has been accepted is in a worker's hands, or connections that were told to end have.
const HAND_OVER: Duration = Duration::from_millis(50);
/// When the listener has closed, requests may still be on their way on connections that were there before: for so long none of these
/// is ended because nothing is asked on it.
const LAST_REQUESTS: Duration = Duration::from_millis(500);
/// How long connections may take to end that are cut off.
const CONNECTIONS_END: Duration = Duration::from_secs(2);
/// How long threads may take to end that have nothing left to do.
const THREADS_END: Duration = Duration::from_millis(500);

/// What the two listeners are stopped by.
#[derive(Debug)]
pub(super) struct Handles {
    pub(super) tokens: ServerHandle,
    pub(super) management: ServerHandle,
    /// Ends both at once, also while they are being stopped in order: then they listen to no handle.
    pub(super) cut_off: Arc<Notify>,
}

/// All that has to be ended.
#[derive(Debug)]
pub(super) struct Ending {
    handles: Handles,
    lifecycle: Arc<Lifecycle>,
    token_service: Arc<TokenService>,
    /// Ends when no connection for tokens is left, and none can come.
    gone: mpsc::Receiver<Infallible>,
    delay: Duration,
    grace: Duration,
}

impl Ending {
    pub(super) fn new(
        handles: Handles,
        lifecycle: Arc<Lifecycle>,
        token_service: Arc<TokenService>,
        gone: mpsc::Receiver<Infallible>,
        (delay, grace): (Duration, Duration),
    ) -> Self {
        Self { handles, lifecycle, token_service, gone, delay, grace }
    }

    /// Not ready any more. New requests are still answered.
    pub(super) fn begin(&self) {
        self.lifecycle.enter(Phase::Stopping);
    }

    /// After the delay no new connections; what is in progress is finished within the grace; management answers until the end.
    pub(super) async fn in_order(&mut self) {
        sleep(self.delay).await;
        self.handles.tokens.pause().await;
        self.lifecycle.enter(Phase::LastCall);
        sleep(HAND_OVER).await;
        debug!("the listener closes");
        self.lifecycle.enter(Phase::Closed);
        sleep(LAST_REQUESTS).await;
        let closing = Instant::now();
        self.lifecycle.enter(Phase::Closing);
        // Without it actix would look after a second whether they have.
        sleep(HAND_OVER).await;
        self.handles.tokens.stop(true).await;
        // Those that were taken in last are no worker's.
        if timeout(self.grace.saturating_sub(closing.elapsed()), self.gone.recv()).await.is_err() {
            self.handles.cut_off.notify_one();
        }
        self.end_exchanges().await;
        self.lifecycle.enter(Phase::Over);
        self.handles.management.stop(true).await;
    }

    /// What is in progress is cut off.
    pub(super) async fn at_once(&mut self) {
        self.handles.cut_off.notify_one();
        self.end_exchanges().await;
    }

    /// Only when the connections are gone: whose exchange is dropped would hear of a defect that is none. If a thread hangs that has some,
    /// the end of the process is theirs too.
    async fn end_exchanges(&mut self) {
        if timeout(CONNECTIONS_END, self.gone.recv()).await.is_err() {
            warn!("a thread that answers requests does not end: the others are not waited for");
            return;
        }
        let token_service = Arc::clone(&self.token_service);
        // On a thread of its own, for it waits for others. It does not panic.
        let _ = spawn_blocking(move || token_service.end(THREADS_END)).await;
    }
}
