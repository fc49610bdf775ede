//! The way to an environment, walked a step at a time: for finding out at which step it ends.
//!
//! A [`Probe`] goes where a [`TokenEndpointClient`] with the same settings goes: through the same proxy, with
//! the same trust, within the same limits of time. It sends no grant. The steps are to be taken in this order:
//!
//! ```no_run
//! use portvakt::maskinporten::{Environment, OutboundSettings, probe::Probe};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let environment = Environment::built_in("test").ok_or("no such environment")?;
//! let probe = Probe::new(&OutboundSettings::default())?;
//! let route = probe.route(&environment)?;
//! let addresses = probe.resolve(&route).await?;
//! let connection = probe.connect(&route, &addresses).await?;
//! let handshake = probe.handshake(&route, connection).await?;
//! let answer = probe.metadata(&environment).await?;
//! println!("{route}: {addresses:?}, {:?}, {:?}", handshake.protocol, answer.document);
//! # Ok(())
//! # }
//! ```

mod connection;
mod handshake;
mod metadata;
mod route;
mod tunnel;

use std::fmt;
use std::time::Duration;

use openssl::x509::X509;
use tokio::time::timeout;

pub use self::connection::Connection;
pub use self::handshake::{Handshake, Untrusted};
pub use self::metadata::{Metadata, MetadataAnswer, UnusableMetadata};
pub use self::route::{Route, UnusableRoute};

use super::certificate::Certificate;
use super::environment::Environment;
use super::error::{Stage, UnreachableReason};
use super::exchange::TokenEndpointClient;
use super::outbound::{OutboundError, OutboundSettings, ProxySettings, x509_from_pem};

/// Walks the way to an environment. See the [module](self).
pub struct Probe {
    client: TokenEndpointClient,
    proxy: Option<ProxySettings>,
    ca_certificates: Vec<X509>,
}

impl Probe {
    /// Checks the settings; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// [`OutboundError`] when the proxy, the CA certificates or the timeouts cannot be used.
    pub fn new(settings: &OutboundSettings) -> Result<Self, OutboundError> {
        let ca_certificates = settings.ca_certificates.as_deref().map(x509_from_pem).transpose()?.unwrap_or_default();
        Ok(Self { client: TokenEndpointClient::new(settings)?, proxy: settings.proxy.clone(), ca_certificates })
    }

    /// The certificates that whoever answers for this environment presents, its own first; none where the way ends before.
    ///
    /// An exchange that fails for a certificate does not tell whose it was.
    pub async fn presented(&self, environment: &Environment) -> Vec<Certificate> {
        let walk = async {
            let route = self.route(environment).ok()?;
            let addresses = self.resolve(&route).await.ok()?;
            let connection = self.connect(&route, &addresses).await.ok()?;
            Some(self.handshake(&route, connection).await.ok()?.certificates)
        };
        walk.await.unwrap_or_default()
    }

    /// Ends a step of connecting in time.
    async fn in_time<T>(&self, step: impl Future<Output = Result<T, UnreachableReason>>) -> Result<T, UnreachableReason> {
        let limit: Duration = self.client.outbound.connect_timeout();
        match timeout(limit, step).await {
            Ok(done) => done,
            Err(_) => Err(UnreachableReason::TimedOut { stage: Stage::Connecting, after: limit }),
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").field("client", &self.client).finish_non_exhaustive()
    }
}
