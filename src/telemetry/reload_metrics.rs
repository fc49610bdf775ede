//! How the configuration was last read.

use prometheus::{Error, Gauge, Registry};

/// How the configuration was last read.
#[derive(Clone, Debug)]
pub struct ReloadMetrics {
    successful: Gauge,
    success_at: Gauge,
}

impl ReloadMetrics {
    pub(super) fn registered(registry: &Registry) -> Result<Self, Error> {
        let successful = Gauge::new(
            "portvakt_config_last_reload_successful",
            "1 when the configuration is the one that the file has, 0 when the file was changed and could not be used",
        )?;
        successful.set(1.0);
        let success_at = Gauge::new(
            "portvakt_config_last_reload_success_timestamp_seconds",
            "When the configuration was last read without a mistake, in seconds since 1970",
        )?;
        registry.register(Box::new(successful.clone()))?;
        registry.register(Box::new(success_at.clone()))?;
        Ok(Self { successful, success_at })
    }

    /// Notes that the configuration was read without a mistake, at this moment in seconds since 1970.
    pub fn succeeded(&self, at: f64) {
        self.success_at.set(at);
        self.successful.set(1.0);
    }

    /// Notes that it could not be used.
    pub fn failed(&self) {
        self.successful.set(0.0);
    }
}
