//! Maskinporten's protocol and nothing else: environments, keys, grants, the exchange, and its errors.
//!
//! This room is a library of its own: it knows nothing of caches, API keys or web servers.
//! A [`SigningKey`] makes a [`Client`], a client signs a [`Grant`], and a [`TokenEndpointClient`] exchanges it for an [`AccessToken`]:
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::{Duration, SystemTime};
//!
//! use portvakt::maskinporten::{
//!     Algorithm, Circumstances, Client, Diagnosis, Environment, GrantRequest, OutboundSettings, Scopes, Setup, SigningKey,
//!     TokenEndpointClient,
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::from_pem(&std::fs::read("key.pem")?, None, "my-kid")?;
//! let environment = Environment::built_in("test").ok_or("no such environment")?;
//! let client_id = "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11";
//! let client = Client::new(client_id, environment, Algorithm::Rs256, Duration::from_secs(60), Arc::new(key))?;
//!
//! let scopes = Scopes::parse("folkeregister:deling/offentligutenhjemmel")?;
//! let request = GrantRequest {
//!     scopes: &scopes,
//!     resource: &[],
//!     consumer_org: None,
//!     iss_onbehalfof: None,
//!     authorization_details: None,
//!     pid: None,
//! };
//! let grant = client.grant(&request, SystemTime::now())?;
//!
//! let token_endpoint = TokenEndpointClient::new(&OutboundSettings::default())?;
//! match token_endpoint.exchange(client.environment(), &grant).await.result {
//!     Ok(token) => println!("a token of {} bytes, good for {:?}", token.expose_secret().len(), token.expires_in()),
//!     Err(error) => {
//!         let (setup, clock) = (Setup::default(), None);
//!         println!("{}", Diagnosis::of(error, &Circumstances { client: &client, scopes: &scopes, clock, setup: &setup }));
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod access_token;
mod algorithm;
mod answer;
mod catalogue;
mod certificate;
mod client;
mod clock;
mod diagnosis;
mod environment;
mod error;
mod exchange;
mod foreign_text;
mod grant;
mod name_lookup;
mod outbound;
pub mod probe;
mod scope;
mod signing_key;

pub use access_token::AccessToken;
pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use catalogue::{Cause, Code, KnownError, LookAt, MendedBy};
pub use certificate::{Certificate, KeyUsage, Origin, UnreadableCertificate, Validity, ValidityState};
pub use client::{Client, GrantError, InvalidClient};
pub use clock::{ClockDifference, Moment};
pub use diagnosis::{Circumstances, Diagnosis, ScopeSetting, Setup};
pub use environment::{Environment, InvalidEnvironment};
pub use error::{ExchangeError, Found, NotOAuth, Refusal, Stage, Unavailable, Unreachable, UnreachableReason};
pub use exchange::{Exchanged, TokenEndpointClient};
pub(crate) use foreign_text::is_order;
pub use foreign_text::printable;
pub use grant::{Grant, GrantRequest, InvalidGrantRequest};
pub use outbound::{OutboundError, OutboundSettings, ProxyCredentials, ProxySettings};
pub use scope::{InvalidScope, Scopes};
pub use signing_key::{
    Choice, Expected, FileKind, Identification, KeyError, NewKey, PassedOver, PassedOverBecause, SigningError, SigningKey,
};
