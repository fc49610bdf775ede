//! Name look-up with a limit of its own, so that a DNS server that does not answer is told from a host that does not.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use thiserror::Error;
use tokio::net::lookup_host;
use tokio::time::timeout;

type BoxError = Box<dyn Error + Send + Sync>;

/// Asks the system, as reqwest would, but not for longer than the limit.
#[derive(Debug)]
pub(super) struct NameLookup {
    limit: Duration,
}

/// No answer within the limit. It stands in the chain of causes of reqwest's error.
#[derive(Debug, Error)]
#[error("no answer within {} ms", limit.as_millis())]
pub(super) struct NameLookupTimedOut {
    pub(super) limit: Duration,
}

impl NameLookup {
    /// A little less than a connection may take, so that it is this limit which is reached.
    pub(super) fn for_connect_timeout(connect_timeout: Duration) -> Self {
        Self { limit: connect_timeout.mul_f64(0.9) }
    }
}

impl Resolve for NameLookup {
    fn resolve(&self, name: Name) -> Resolving {
        let limit = self.limit;
        // Port 0: the URL's port is put in its place.
        Box::pin(async move { within(limit, lookup_host((name.as_str(), 0))).await })
    }
}

/// The addresses that a look-up finds within the limit.
pub(super) async fn within(
    limit: Duration,
    look_up: impl Future<Output = io::Result<impl Iterator<Item = SocketAddr>>>,
) -> Result<Addrs, BoxError> {
    let addresses: Vec<SocketAddr> = timeout(limit, look_up).await.map_err(|_| NameLookupTimedOut { limit })??.collect();
    Ok(Box::new(addresses.into_iter()))
}
