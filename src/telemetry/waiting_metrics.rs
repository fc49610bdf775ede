//! Requests that wait for Maskinporten.

use prometheus::{Error, IntCounter, IntGauge, Registry};

/// Requests that wait for Maskinporten.
#[derive(Clone, Debug)]
pub struct WaitingMetrics {
    /// Now.
    pub waiting: IntGauge,
    /// Those that were refused, as too many waited.
    pub refused: IntCounter,
}

impl WaitingMetrics {
    pub(super) fn registered(registry: &Registry) -> Result<Self, Error> {
        let waiting = IntGauge::new("portvakt_waiting_requests", "Requests that wait for Maskinporten")?;
        let refused = IntCounter::new(
            "portvakt_waiting_requests_refused_total",
            "Requests for tokens that were not in the cache, refused because too many waited already",
        )?;
        registry.register(Box::new(waiting.clone()))?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Self { waiting, refused })
    }
}
