//! Maskinporten's protocol and nothing else: environments, keys, grants, the exchange, and its errors.
//!
//! This room is a library of its own: it knows nothing of caches, API keys or web servers.

mod algorithm;
mod certificate;
mod environment;
mod scope;
mod signing_key;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use certificate::{Certificate, KeyUsage, Origin, UnreadableCertificate, Validity, ValidityState};
pub use environment::{Environment, InvalidEnvironment};
pub use scope::{InvalidScope, Scopes};
pub use signing_key::{Choice, Expected, FileKind, Identification, KeyError, PassedOver, PassedOverBecause, SigningError, SigningKey};
