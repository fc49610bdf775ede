//! Looking up a name, and connecting to what it stands for.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

use super::route::Route;
use super::{Probe, tunnel};
use crate::maskinporten::error::{Stage, UnreachableReason};
use crate::maskinporten::foreign_text::printable;

/// What bytes go through: a socket, or TLS over one.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection to the token endpoint's host, before TLS.
pub struct Connection {
    pub(super) stream: Box<dyn Stream>,
    peer: SocketAddr,
}

impl Connection {
    /// Who is at its other end: the proxy, where there is one.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// The other kind of address (IPv4 or IPv6) is tried beside the first after this long: as hyper's connector does.
const FALLBACK: Duration = Duration::from_millis(300);

impl Probe {
    /// The addresses of the host that is connected to first.
    ///
    /// # Errors
    ///
    /// [`UnreachableReason::Dns`] when it has none, or [`UnreachableReason::TimedOut`].
    pub async fn resolve(&self, route: &Route) -> Result<Vec<SocketAddr>, UnreachableReason> {
        let limit = self.client.outbound.connect_timeout();
        let found = match timeout(limit, lookup_host((route.first_host(), route.first_port()))).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(UnreachableReason::Dns(printable(&error.to_string(), 200))),
            Err(_) => return Err(UnreachableReason::TimedOut { stage: Stage::NameLookup, after: limit }),
        };
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { Err(UnreachableReason::Dns("it has no address".to_owned())) } else { Ok(addresses) }
    }

    /// A TCP connection, and through a proxy a tunnel (`CONNECT`).
    ///
    /// # Errors
    ///
    /// [`UnreachableReason::Connect`], [`UnreachableReason::TimedOut`], or what the proxy did instead.
    pub async fn connect(&self, route: &Route, addresses: &[SocketAddr]) -> Result<Connection, UnreachableReason> {
        self.in_time(async {
            let failed = |error: &io::Error| {
                let detail = printable(&error.to_string(), 200);
                match &route.proxy {
                    Some(_) => UnreachableReason::ProxyConnection(detail),
                    None => UnreachableReason::Connect(detail),
                }
            };
            let socket = connect_to_any(addresses).await.map_err(|error| failed(&error))?;
            let peer = socket.peer_addr().map_err(|error| failed(&error))?;
            let stream: Box<dyn Stream> = match &route.proxy {
                None => Box::new(socket),
                Some(proxy) => {
                    let mut stream: Box<dyn Stream> = if proxy.is_tls {
                        self.trusted(&proxy.host, Box::new(socket)).await.map_err(|reason| proxy_tls(&reason))?
                    } else {
                        Box::new(socket)
                    };
                    tunnel::open(&mut stream, route, proxy.authorization.as_ref()).await?;
                    stream
                }
            };
            Ok(Connection { stream, peer })
        })
        .await
    }
}

/// TLS that fails on the way to the proxy is the proxy's matter.
fn proxy_tls(reason: &UnreachableReason) -> UnreachableReason {
    UnreachableReason::ProxyConnection(format!("TLS with the proxy itself: {reason}"))
}

/// Addresses of the kind that comes first, one after another; after a while those of the other kind beside them.
async fn connect_to_any(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let is_first_kind = |address: &SocketAddr| addresses.first().is_some_and(|first| first.is_ipv4() == address.is_ipv4());
    let (preferred, others): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses.iter().copied().partition(is_first_kind);
    if others.is_empty() {
        return one_after_another(&preferred).await;
    }
    let first = one_after_another(&preferred);
    let second = async {
        sleep(FALLBACK).await;
        one_after_another(&others).await
    };
    tokio::pin!(first, second);
    tokio::select! {
        connected = &mut first => match connected {
            Ok(socket) => Ok(socket),
            Err(_) => second.await,
        },
        connected = &mut second => match connected {
            Ok(socket) => Ok(socket),
            Err(_) => first.await,
        },
    }
}

async fn one_after_another(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::other("there is no address to connect to");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}
