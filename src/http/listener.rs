//! The listeners: one that hands out tokens, and one for management.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::Request;
use actix_web::HttpServer;
use actix_web::dev::{Server, fn_factory, fn_service};
use thiserror::Error;

use super::doors::{Doors, ThreadsDoors};
use super::entrance::enter;
use super::management::{Management, manage};
use super::unread::holding;

/// Above the gateway's 60 s, so that it is never we who close a connection on which a request may already be on its way.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;
/// How long a client may leave an answer unread before its connection is reset. actix sets no such limit, and while it waits it keeps a
/// processor busy asking whether more of what the client sends can be read.
#[cfg(target_os = "linux")]
const UNREAD_PATIENCE: Duration = Duration::from_secs(10);

/// An address that is ours, on which nobody is answered yet.
#[derive(Debug)]
pub struct Listener(TcpListener);

/// An address could not be had.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenerError {
    address: SocketAddr,
    source: io::Error,
}

impl ListenerError {
    /// What the system has against it.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

impl Listener {
    /// Takes an address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`ListenerError`] when it is taken, not this machine's, or not for us.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenerError> {
        let bound = TcpListener::bind(address).and_then(|listener| {
            // The standard library lets 128 wait, and actix leaves a listener as it gets it.
            rustix::net::listen(&listener, BACKLOG)?;
            // RFC 5482; Linux passes it on to every connection that is accepted.
            #[cfg(target_os = "linux")]
            rustix::net::sockopt::set_tcp_user_timeout(&listener, u32::try_from(UNREAD_PATIENCE.as_millis()).unwrap_or(u32::MAX))?;
            Ok(Self(listener))
        });
        bound.map_err(|source| ListenerError { address, source })
    }

    /// Where it listens, with the port that it got.
    ///
    /// # Errors
    ///
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers token requests, on a thread per processor, until the server is stopped. What is in progress then may take `grace` to finish.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub fn serve_tokens(self, doors: Arc<Doors>, grace: Duration) -> io::Result<Server> {
        let server = HttpServer::new(move || {
            // Counted within the thread from here on: a count that all threads share would be fought over with every request.
            let doors = Rc::new(ThreadsDoors::new(Arc::clone(&doors)));
            // No actix App around it: every answer, for an unknown path too, is made in one place, and what an App prepares for each
            // request (routes, extensions, boxed services) would be a tenth of what a cached token costs.
            fn_factory(move || {
                let doors = Rc::clone(&doors);
                let entrance = fn_service(move |request: Request| {
                    let doors = Rc::clone(&doors);
                    async move { Ok::<_, Infallible>(enter(doors, request).await) }
                });
                ready(Ok::<_, Infallible>(entrance))
            })
        });
        // Who closes the connection has hung up: nothing waits for an answer that nobody will read.
        let server = server.h1_allow_half_closed(false);
        Ok(server.keep_alive(KEEP_ALIVE).disable_signals().shutdown_timeout(whole_seconds(grace)).listen(self.0)?.run())
    }

    /// Answers the operator's questions, on a thread of its own.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn serve_management(self, management: Arc<Management>) -> io::Result<Server> {
        let server = HttpServer::new(move || {
            let management = Arc::clone(&management);
            fn_factory(move || {
                let management = Arc::clone(&management);
                let entrance = fn_service(move |mut request: Request| {
                    let payload = request.take_payload();
                    ready(Ok::<_, Infallible>(holding(manage(&management, &request), payload)))
                });
                ready(Ok::<_, Infallible>(entrance))
            })
        });
        Ok(server.workers(1).keep_alive(KEEP_ALIVE).disable_signals().shutdown_timeout(1).listen(self.0)?.run())
    }
}

/// actix counts in seconds: rounded up, for nobody is to be cut off early.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
