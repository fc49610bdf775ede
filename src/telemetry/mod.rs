//! What is told about the service while it runs: metrics and the log. Called by every room, and calls none.

mod logging;
mod metrics;
mod pulse;
mod spread_histogram;

pub use logging::{InvalidLogFilter, LogFormat, start_logging};
pub use prometheus::Error as MetricsError;

pub use metrics::{CallerMetrics, ClockMetrics, IntegrationMetrics, Metrics, RequestResult, WaitingMetrics};
pub use pulse::Pulse;
pub use spread_histogram::SpreadHistogram;
