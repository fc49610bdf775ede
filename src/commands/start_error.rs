//! Why the service does not start.

use std::io;

use thiserror::Error;

use crate::config::ConfigError;
use crate::http::ListenerError;
use crate::maskinporten::OutboundError;
use crate::telemetry::MetricsError;
use crate::tokens;

/// The service does not start.
#[derive(Debug, Error)]
pub(super) enum StartError {
    /// Something that the file names cannot be used: as wrong as a mistake in the file itself.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// No client for the token endpoints: most likely OpenSSL's own trouble, as the file's values were checked.
    #[error("[outbound]: {0}")]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Listener(#[from] ListenerError),
    #[error(transparent)]
    Tokens(#[from] tokens::StartError),
    #[error("the service's threads could not be started: {0}")]
    Threads(#[from] io::Error),
    #[error(
        "only {0} files may be open at once, which is not enough for a service. Raise the hard limit: LimitNOFILE= in systemd's unit, ulimit -Hn in a shell"
    )]
    Files(usize),
    #[error("the metrics could not be made: {0}")]
    Metrics(#[from] MetricsError),
}
