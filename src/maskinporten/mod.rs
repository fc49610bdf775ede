//! Maskinporten's protocol and nothing else: environments, keys, grants, the exchange, and its errors.
//!
//! This room is a library of its own: it knows nothing of caches, API keys or web servers.

mod algorithm;
mod environment;
mod scope;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use environment::{Environment, InvalidEnvironment};
pub use scope::{InvalidScope, Scopes};
