//! Why there is no token.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::maskinporten::{Diagnosis, GrantError, Validity};

/// Why there is no token. Cloned to all who waited for it.
#[derive(Clone, Debug, Error)]
pub enum TokenError {
    /// Maskinporten refused, or could not be reached.
    #[error(transparent)]
    Exchange(#[from] Arc<Diagnosis>),
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
    /// More different tokens are being fetched for this integration than can be waited for.
    #[error("Too many tokens of integration {0} are being fetched at the same time")]
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
    /// When trying again may help: never before Maskinporten has said, and not soon where somebody has to act first.
    pub(super) fn retry_after(&self, soon: Duration, when_mended: Duration) -> Duration {
        match self {
            Self::Exchange(diagnosis) if diagnosis.error().can_pass_by_itself() => {
                soon.max(diagnosis.error().retry_after().unwrap_or_default())
            }
            Self::Exchange(_) | Self::Certificate { .. } => when_mended,
            Self::Deadline(_) | Self::TooMany(_) | Self::Grant(_) | Self::Gone | Self::Defect => soon,
        }
    }
}
