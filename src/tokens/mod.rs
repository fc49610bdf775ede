//! The life of a token: asked for, exchanged once for all who want it, kept, renewed ahead of need, handed on.
//!
//! [`TokenService`] is the one entrance. This room knows nothing of HTTP, API keys or the operator's file.

mod arrangement;
mod attempts;
mod cache;
mod circuit;
mod clock;
mod error;
mod exchanges;
mod failures;
mod integration;
mod refusals;
mod renewal;
mod request;
mod retries;
mod service;
mod signing;
mod suspension;
mod token;
mod trials;
mod turns;
mod under_way;
mod waiting;

pub use circuit::OpenCircuit;
pub use error::TokenError;
pub use refusals::Remembered;
pub use request::{AuthorizationDetails, CallerId, Details, IntegrationId, InvalidAuthorizationDetails, Private, TokenRequest};
pub use service::{Departing, IntegrationSettings, Settings, StartError, TokenService};
pub use token::Token;
