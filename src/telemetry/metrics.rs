//! The metrics, Prometheus' text. Label values come from the configuration, never from a request, and every handle is resolved at
//! start-up: counting is an addition.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector, process_collector::ProcessCollector, proto::LabelPair,
};

use super::reload_metrics::ReloadMetrics;
use super::spread_histogram::SpreadHistogram;
use super::waiting_metrics::WaitingMetrics;

/// Label value where caller or integration is not known.
const NONE: &str = "none";
/// Label value of a code that the catalogue of failures does not have.
const OTHER: &str = "other";

/// All metrics of the service.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    token_requests: IntCounterVec,
    /// How long a token request took, from its head to its answer.
    pub token_request_duration: SpreadHistogram,
    exchanges: IntCounterVec,
    exchange_duration: HistogramVec,
    remembered: IntCounterVec,
    /// Tokens held, prefetched ones included.
    pub tokens_cached: IntGauge,
    certificate_expiry: GaugeVec,
    clock_skew: GaugeVec,
    circuit_open: IntGaugeVec,
    /// Requests that wait for Maskinporten.
    pub waiting: WaitingMetrics,
    /// How the configuration was last read.
    pub last_reload: ReloadMetrics,
    nobody: CallerMetrics,
}

/// How a token request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestResult {
    /// A token was handed out.
    Granted,
    /// Refused by us.
    Refused,
    /// Maskinporten refused, could not be reached, or we failed on the way to it.
    Failed,
}

/// The counters of one caller with one integration, or of those where one of the two is not known.
#[derive(Clone, Debug)]
pub struct CallerMetrics {
    granted: IntCounter,
    refused: IntCounter,
    failed: IntCounter,
}

/// The handles of one integration.
#[derive(Clone, Debug)]
pub struct IntegrationMetrics {
    name: Arc<str>,
    granted: IntCounter,
    failed: IntCounter,
    /// By Maskinporten's error code.
    refused: HashMap<&'static str, IntCounter>,
    duration: Histogram,
    remembered: IntCounter,
}

/// How far our clock is from one environment's.
#[derive(Clone, Debug)]
pub struct ClockMetrics {
    environment: Box<str>,
    skew: GaugeVec,
    /// That nobody is there any more to ask it. Locked while it is set, so that it does not come back.
    is_gone: Arc<Mutex<bool>>,
}

impl RequestResult {
    /// As the label has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    ///
    /// Only when two of our own metrics have one name: a defect.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let token_requests = IntCounterVec::new(
            Opts::new(
                "portvakt_token_requests_total",
                "Token requests, by caller, integration (none where not known) and result: granted, refused (by us), failed (Maskinporten, or on the way to it)",
            ),
            &["caller", "integration", "result"],
        )?;
        // A cached token takes microseconds, an exchange tens or hundreds of milliseconds, a deadline seconds.
        let token_request_duration = SpreadHistogram::new(
            &HistogramOpts::new("portvakt_token_request_duration_seconds", "From a token request's head to its answer").buckets(vec![
                0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
            ]),
        )?;
        let exchanges = IntCounterVec::new(
            Opts::new(
                "portvakt_exchanges_total",
                "Exchanges with Maskinporten, by integration, result (granted, refused, failed) and Maskinporten's error code (none, other)",
            ),
            &["integration", "result", "code"],
        )?;
        let exchange_duration = HistogramVec::new(
            HistogramOpts::new("portvakt_exchange_duration_seconds", "One exchange with Maskinporten, signing included")
                .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0]),
            &["integration"],
        )?;
        let remembered = IntCounterVec::new(
            Opts::new(
                "portvakt_remembered_failures_total",
                "Token requests that were told a failure that is remembered, without asking Maskinporten, by integration",
            ),
            &["integration"],
        )?;
        let tokens_cached = IntGauge::new("portvakt_tokens_cached", "Tokens held, prefetched ones included")?;
        let certificate_expiry = GaugeVec::new(
            Opts::new(
                "portvakt_certificate_expiry_timestamp_seconds",
                "The last moment of an integration's certificate, in seconds since 1970; none for a registered key",
            ),
            &["integration"],
        )?;
        let clock_skew = GaugeVec::new(
            Opts::new(
                "portvakt_clock_skew_seconds",
                "This machine's clock minus Maskinporten's: positive when this machine's is ahead. From the first exchange on",
            ),
            &["environment"],
        )?;
        let circuit_open = IntGaugeVec::new(
            Opts::new(
                "portvakt_circuit_open",
                "1 while exchanges at an environment's token endpoint do nothing but fail, so that nobody is made to wait for them",
            ),
            &["environment"],
        )?;
        let build_info = Gauge::with_opts(
            Opts::new("portvakt_build_info", "Always 1; the labels say what runs")
                .const_label("version", env!("CARGO_PKG_VERSION"))
                .const_label("revision", option_env!("PORTVAKT_REVISION").unwrap_or("unknown")),
        )?;
        build_info.set(1.0);
        registry.register(Box::new(token_requests.clone()))?;
        registry.register(Box::new(token_request_duration.clone()))?;
        registry.register(Box::new(exchanges.clone()))?;
        registry.register(Box::new(exchange_duration.clone()))?;
        registry.register(Box::new(remembered.clone()))?;
        registry.register(Box::new(tokens_cached.clone()))?;
        registry.register(Box::new(certificate_expiry.clone()))?;
        registry.register(Box::new(clock_skew.clone()))?;
        registry.register(Box::new(circuit_open.clone()))?;
        registry.register(Box::new(build_info))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let waiting = WaitingMetrics::registered(&registry)?;
        let last_reload = ReloadMetrics::registered(&registry)?;
        let nobody = CallerMetrics::new(&token_requests, NONE, NONE);
        Ok(Self {
            registry,
            token_requests,
            token_request_duration,
            exchanges,
            exchange_duration,
            remembered,
            tokens_cached,
            certificate_expiry,
            clock_skew,
            circuit_open,
            waiting,
            last_reload,
            nobody,
        })
    }

    /// The counters of requests whose caller is not known.
    pub fn nobody(&self) -> &CallerMetrics {
        &self.nobody
    }

    /// The counters of a caller; `integration` none: where the integration is not known, or not this caller's.
    pub fn caller(&self, caller: &str, integration: Option<&str>) -> CallerMetrics {
        CallerMetrics::new(&self.token_requests, caller, integration.unwrap_or(NONE))
    }

    /// The handles of an integration. `codes`: Maskinporten's, as refusals are counted by them, so that each count starts at 0.
    pub fn integration(&self, name: &str, codes: impl IntoIterator<Item = &'static str>) -> IntegrationMetrics {
        let counter = |result: RequestResult, code: &'static str| self.exchanges.with_label_values(&[name, result.name(), code]);
        let refused = codes.into_iter().chain([NONE, OTHER]).map(|code| (code, counter(RequestResult::Refused, code)));
        IntegrationMetrics {
            name: name.into(),
            granted: counter(RequestResult::Granted, NONE),
            failed: counter(RequestResult::Failed, NONE),
            refused: refused.collect(),
            duration: self.exchange_duration.with_label_values(&[name]),
            remembered: self.remembered.with_label_values(&[name]),
        }
    }

    /// Shows nothing of a caller any more. `integration`: as for [`Metrics::caller`].
    pub fn forget_caller(&self, caller: &str, integration: Option<&str>) {
        for result in [RequestResult::Granted, RequestResult::Refused, RequestResult::Failed] {
            // What is not there is not shown.
            let _ = self.token_requests.remove_label_values(&[caller, integration.unwrap_or(NONE), result.name()]);
        }
    }

    /// Shows nothing of an integration any more. Exchanges that are under way still count, where nobody sees it.
    pub fn forget_integration(&self, handles: &IntegrationMetrics) {
        let name = &*handles.name;
        for code in handles.refused.keys() {
            let _ = self.exchanges.remove_label_values(&[name, RequestResult::Refused.name(), *code]);
        }
        for result in [RequestResult::Granted, RequestResult::Failed] {
            let _ = self.exchanges.remove_label_values(&[name, result.name(), NONE]);
        }
        let _ = self.exchange_duration.remove_label_values(&[name]);
        let _ = self.remembered.remove_label_values(&[name]);
    }

    /// Tells when the certificates of the integrations end, in seconds since 1970. Of others nothing is shown any more.
    pub fn certificates_expire<'a>(&self, ends: impl IntoIterator<Item = (&'a str, f64)>) {
        let ends: Vec<(&str, f64)> = ends.into_iter().collect();
        for family in self.certificate_expiry.collect() {
            let labels = family.get_metric().iter().filter_map(|metric| metric.get_label().first());
            for shown in labels.map(LabelPair::value).filter(|shown| !ends.iter().any(|(name, _)| name == shown)) {
                let _ = self.certificate_expiry.remove_label_values(&[shown]);
            }
        }
        for (name, at) in ends {
            self.certificate_expiry.with_label_values(&[name]).set(at);
        }
    }

    /// The handle of an environment's clock. It shows nothing before its first value.
    pub fn clock(&self, environment: &str) -> ClockMetrics {
        ClockMetrics { environment: environment.into(), skew: self.clock_skew.clone(), is_gone: Arc::default() }
    }

    /// The handle of an environment's circuit, which starts at 0: closed.
    pub fn circuit(&self, environment: &str) -> IntGauge {
        let handle = self.circuit_open.with_label_values(&[environment]);
        handle.set(0);
        handle
    }

    /// Nothing is shown any more of a circuit whose environment is gone.
    pub fn forget_circuit(&self, environment: &str) {
        // An error: it is gone already.
        let _ = self.circuit_open.remove_label_values(&[environment]);
    }

    /// Everything, in Prometheus' text format.
    ///
    /// # Errors
    ///
    /// Only when a metric of ours cannot be written: a defect.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl ClockMetrics {
    /// Seconds by which our clock is ahead; negative when it is behind.
    pub fn set(&self, ahead: f64) {
        let is_gone = self.is_gone.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_gone {
            self.skew.with_label_values(&[&*self.environment]).set(ahead);
        }
    }

    /// Shows nothing any more, whatever is set.
    pub fn forget(&self) {
        let mut is_gone = self.is_gone.lock().unwrap_or_else(PoisonError::into_inner);
        *is_gone = true;
        let _ = self.skew.remove_label_values(&[&*self.environment]);
    }
}

impl CallerMetrics {
    fn new(token_requests: &IntCounterVec, caller: &str, integration: &str) -> Self {
        let counter = |result: RequestResult| token_requests.with_label_values(&[caller, integration, result.name()]);
        Self { granted: counter(RequestResult::Granted), refused: counter(RequestResult::Refused), failed: counter(RequestResult::Failed) }
    }

    /// Counts one token request.
    pub fn count(&self, result: RequestResult) {
        match result {
            RequestResult::Granted => self.granted.inc(),
            RequestResult::Refused => self.refused.inc(),
            RequestResult::Failed => self.failed.inc(),
        }
    }
}

impl IntegrationMetrics {
    /// Counts a token request that was told a failure from memory.
    pub fn answered_from_memory(&self) {
        self.remembered.inc();
    }

    /// Counts an exchange that brought a token.
    pub fn exchange_granted(&self, took: Duration) {
        self.granted.inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// Counts one that did not. `code` is one of the catalogue's, `none` or `other`: never a text that came from outside.
    pub fn exchange_failed(&self, result: RequestResult, code: &'static str, took: Duration) {
        let refused = || self.refused.get(code).or_else(|| self.refused.get(OTHER));
        match result {
            RequestResult::Refused => refused().unwrap_or(&self.failed).inc(),
            RequestResult::Granted | RequestResult::Failed => self.failed.inc(),
        }
        self.duration.observe(took.as_secs_f64());
    }
}
