//! What is told about the service while it runs: metrics and the log. Called by every room, and calls none.

mod logging;
mod metrics;
mod pulse;
mod reload_metrics;
mod spread_histogram;
mod waiting_metrics;

pub use logging::{InvalidLogFilter, LogFormat, start_logging};
pub use prometheus::Error as MetricsError;

pub use metrics::{CallerMetrics, ClockMetrics, IntegrationMetrics, Metrics, RequestResult};
pub use pulse::Pulse;
pub use reload_metrics::ReloadMetrics;
pub use spread_histogram::SpreadHistogram;
pub use waiting_metrics::WaitingMetrics;
