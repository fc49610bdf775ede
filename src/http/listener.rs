//! The listeners: one that hands out tokens, and one for management.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_http::{ConnectionType, HttpService, Request};
use actix_server::Server;
use actix_service::{Service as _, ServiceFactory, ServiceFactoryExt, fn_factory, fn_service};
use actix_web::HttpResponse;
use actix_web::rt::net::TcpStream;
use thiserror::Error;
use tokio::sync::mpsc;

use super::connection::Connections;
use super::doors::{Doors, ThreadsDoors};
use super::entrance::enter;
use super::lifecycle::{Lifecycle, Phase};
use super::management::{Management, manage};
use super::seconds::whole_seconds;
use super::unread::holding;
use crate::telemetry::Pulse;

/// Above the gateway's 60 s, so that it is never we who close a connection on which a request may already be on its way.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may go on sending what is not read, after its answer.
const LINGER: Duration = Duration::from_secs(1);
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

    /// Answers token requests, on a thread per processor, until the server is stopped.
    ///
    /// # Errors
    ///
    /// When the system gives no threads.
    pub fn serve_tokens(self, doors: Arc<Doors>, serving: Serving) -> io::Result<Server> {
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        let lifecycle = Arc::clone(&serving.lifecycle);
        self.serve(workers, Phase::Closing, serving, move || {
            // Counted within the thread from here on: a count that all threads share would be fought over with every request.
            let (doors, lifecycle) = (Rc::new(ThreadsDoors::new(Arc::clone(&doors))), Rc::new(Arc::clone(&lifecycle)));
            // No actix App around it: every answer, for an unknown path too, is made in one place, and what an App prepares for each
            // request (routes, extensions, boxed services) would be a tenth of what a cached token costs.
            fn_factory(move || {
                let (doors, lifecycle) = (Rc::clone(&doors), Rc::clone(&lifecycle));
                let entrance = fn_service(move |request: Request| {
                    let (doors, lifecycle) = (Rc::clone(&doors), Rc::clone(&lifecycle));
                    async move {
                        let mut response = enter(doors, request).await;
                        if lifecycle.has_come_to(Phase::Stopping) {
                            // So that clients leave by themselves, and none asks on a connection that is just being closed.
                            response.head_mut().set_connection_type(ConnectionType::Close);
                        }
                        Ok::<_, Infallible>(response)
                    }
                });
                ready(Ok::<_, ()>(entrance))
            })
        })
    }

    /// Answers the operator's questions, on a thread of its own, until the server is stopped.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn serve_management(self, management: Arc<Management>, serving: Serving) -> io::Result<Server> {
        self.serve(1, Phase::Over, serving, move || {
            let management = Arc::clone(&management);
            fn_factory(move || {
                let management = Arc::clone(&management);
                let entrance = fn_service(move |mut request: Request| {
                    let payload = request.take_payload();
                    ready(Ok::<_, Infallible>(holding(manage(&management, &request), payload)))
                });
                ready(Ok::<_, ()>(entrance))
            })
        })
    }

    /// What actix's `HttpServer` does, with connections that end when they should: it takes no others than the system's.
    fn serve<Factory, Entrance>(self, workers: usize, closing: Phase, serving: Serving, entrance: Factory) -> io::Result<Server>
    where
        Factory: Fn() -> Entrance + Clone + Send + 'static,
        Entrance: ServiceFactory<Request, Config = (), Response = HttpResponse, Error = Infallible, InitError = ()> + 'static,
        Entrance::Future: 'static,
    {
        let Serving { connections, grace, lifecycle, pulse, present } = serving;
        let workers = workers.min(MOST_WORKERS);
        let connections = (connections / workers).max(1);
        let server = Server::build().workers(workers).disable_signals().shutdown_timeout(whole_seconds(grace));
        // Beyond, they wait to be accepted.
        let server = server.max_concurrent_connections(connections);
        let (last, course) = (self.0.try_clone()?, Arc::clone(&lifecycle));
        let service = move || {
            let open = Rc::new(Connections::new(connections, present.clone()));
            let lifecycle = Arc::clone(&lifecycle);
            actix_web::rt::spawn(Rc::clone(&open).look_after(async move { lifecycle.come_to(closing).await }));
            if let Some(pulse) = &pulse {
                actix_web::rt::spawn(pulse.beat("a thread that answers requests"));
            }
            let http = HttpService::build().keep_alive(KEEP_ALIVE).client_disconnect_timeout(LINGER).h1(entrance());
            fn_service(move |stream: TcpStream| {
                let peer = stream.peer_addr().ok();
                ready(Ok((open.take(stream), peer)))
            })
            .and_then(http)
        };
        if closing == Phase::Closing {
            actix_web::rt::spawn(last_call(last, service.clone(), course));
        }
        Ok(server.listen("portvakt", self.0, service)?.run())
    }
}

/// Takes connections while actix's own acceptor no longer does, until there are none in the queue and it is time to close.
///
/// When actix stops, it drops those that it has accepted and not yet given to a worker, and closes the listener with whoever is still in
/// its queue. Here the last ones are taken in on this thread, which has nothing else to do by then.
async fn last_call<Make, Service>(listener: TcpListener, make: Make, lifecycle: Arc<Lifecycle>)
where
    Make: Fn() -> Service,
    Service: ServiceFactory<TcpStream, Config = ()>,
    <Service::Service as actix_service::Service<TcpStream>>::Future: 'static,
{
    lifecycle.come_to(Phase::LastCall).await;
    let (Ok(service), Ok(listener)) = (make().new_service(()).await, tokio::net::TcpListener::from_std(listener)) else { return };
    let serve = |stream| {
        let served = service.call(stream);
        actix_web::rt::spawn(async move {
            let _ = served.await;
        });
    };
    loop {
        tokio::select! {
            taken = listener.accept() => match taken {
                Ok((stream, _)) => serve(stream),
                // No file is left for it, perhaps: it waits a moment in the queue.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            () = lifecycle.come_to(Phase::Closed) => break,
        }
    }
    let Ok(listener) = listener.into_std() else { return };
    // Who is in the queue when it closes is reset unheard: so it closes with nothing between that and the last look.
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Ok(stream) = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream)) {
                    serve(stream);
                }
            }
            // It has left the queue by itself; others may still be there.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {}
            Err(_) => break,
        }
    }
    // For actix too, which holds it open until it is stopped. What it cannot be told so just stays in the queue until then.
    let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Read);
}

/// actix takes no more.
const MOST_WORKERS: usize = 512;

/// How a listener serves.
#[derive(Clone, Debug)]
pub struct Serving {
    /// How many connections are held at once, over all threads.
    pub connections: usize,
    /// How long what is in progress may take to finish once the server is stopped.
    pub grace: Duration,
    /// Where the service is between its start and its end.
    pub lifecycle: Arc<Lifecycle>,
    /// Where its threads give signs of life, if somebody looks.
    pub pulse: Option<Pulse>,
    /// Gone once no connection is left, and none can come.
    pub present: mpsc::Sender<Infallible>,
}
