//! Maskinporten's protocol and nothing else: environments, keys, grants, the exchange, and its errors.
//!
//! This room is a library of its own: it knows nothing of caches, API keys or web servers.

mod access_token;
mod algorithm;
mod answer;
mod catalogue;
mod environment;
mod error;
mod exchange;
mod foreign_text;
mod grant;
mod outbound;
mod scope;

pub use access_token::AccessToken;
pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use catalogue::{Code, KnownError};
pub use environment::{Environment, InvalidEnvironment};
pub use error::{ExchangeError, Found, NotOAuth, Refusal, Stage, Unavailable, Unreachable, UnreachableReason};
pub use exchange::TokenEndpointClient;
pub use foreign_text::printable;
pub use grant::{Grant, GrantRequest, InvalidGrantRequest};
pub use outbound::{OutboundError, OutboundSettings, ProxyCredentials, ProxySettings};
pub use scope::{InvalidScope, Scopes};
