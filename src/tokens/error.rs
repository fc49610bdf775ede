//! Why there is no token.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::circuit::OpenCircuit;
use super::refusals::Remembered;
use crate::maskinporten::{Diagnosis, GrantError, Validity};

/// Why there is no token. Cloned to all who waited for it.
#[derive(Clone, Debug, Error)]
pub enum TokenError {
    /// Maskinporten refused, or could not be reached.
    #[error(transparent)]
    Exchange(#[from] Arc<Diagnosis>),
    /// It failed lately, or the answer asked for patience: Maskinporten was not asked again.
    #[error("{0}")]
    Remembered(Remembered),
    /// The integration's certificate is out of its validity, so Maskinporten was not asked.
    #[error("The certificate of integration {integration} is {validity}, and not now")]
    Certificate {
        /// Whose it is.
        integration: Arc<str>,
        /// From when to when it is valid.
        validity: Validity,
    },
    /// The caller has waited as long as it may. The exchange goes on for those who come next.
    #[error("No answer from Maskinporten within {} ms, the wait for a turn included", .0.as_millis())]
    Deadline(Duration),
    /// Nothing but failures has come from the token endpoint for a while: nobody is made to wait for another one.
    #[error("{0}")]
    CircuitOpen(Arc<OpenCircuit>),
    /// More requests wait for this integration's tokens, or for any, than can be waited for.
    #[error("Too many requests wait for tokens already, or too many of them for integration {0}")]
    TooMany(Arc<str>),
    /// The request made no grant.
    #[error(transparent)]
    Grant(#[from] Arc<GrantError>),
    /// The integration was taken out of the configuration while the request was on its way.
    #[error("The integration is not configured any more")]
    Gone,
    /// A defect of ours: the exchange ended without a result.
    #[error("The exchange ended without a result")]
    Defect,
}

impl TokenError {
    /// The failed exchange, if that is what it was; also where it is remembered.
    pub fn diagnosis(&self) -> Option<&Diagnosis> {
        match self {
            Self::Exchange(diagnosis) => Some(diagnosis),
            Self::Remembered(remembered) => Some(remembered.diagnosis()),
            Self::Certificate { .. }
            | Self::Deadline(_)
            | Self::TooMany(_)
            | Self::CircuitOpen(_)
            | Self::Gone
            | Self::Grant(_)
            | Self::Defect => None,
        }
    }

    /// When trying again may help: never before Maskinporten has said, and not soon where somebody has to act first.
    pub(super) fn retry_after(&self, soon: Duration, when_mended: Duration) -> Duration {
        match self {
            Self::Exchange(diagnosis) if diagnosis.error().can_pass_by_itself() => {
                soon.max(diagnosis.error().retry_after().unwrap_or_default())
            }
            Self::Remembered(remembered) => soon.max(remembered.left()),
            Self::CircuitOpen(open) => soon.max(open.retry_after()),
            Self::Exchange(_) | Self::Certificate { .. } => when_mended,
            Self::Deadline(_) | Self::TooMany(_) | Self::Grant(_) | Self::Gone | Self::Defect => soon,
        }
    }
}
