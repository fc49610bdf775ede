//! Each environment that is in use: the way to it a step at a time, what it says of itself, and what its clock says.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::finding::{Finding, Stage};
use super::runner::{Check, Need};
use crate::maskinporten::probe::{Connection, Handshake, Metadata, MetadataAnswer, Probe, Route, UnusableMetadata, UnusableRoute};
use crate::maskinporten::{Cause, ClockDifference, Environment, ExchangeError, KnownError, Unreachable, UnreachableReason};

/// One environment, and what its checks leave for each other.
pub(super) struct Way {
    pub(super) environment: Environment,
    probe: Arc<Probe>,
    route: Result<Route, UnusableRoute>,
    addresses: OnceLock<Vec<std::net::SocketAddr>>,
    connection: Mutex<Option<Connection>>,
    answer: OnceLock<MetadataAnswer>,
}

impl Way {
    pub(super) fn new(environment: Environment, probe: Arc<Probe>) -> Arc<Self> {
        let route = probe.route(&environment);
        Arc::new(Self { environment, probe, route, addresses: OnceLock::new(), connection: Mutex::new(None), answer: OnceLock::new() })
    }

    /// How far our clock is from the environment's, once the check of its metadata is over.
    pub(super) fn clock(&self) -> Option<ClockDifference> {
        self.answer.get().and_then(|answer| answer.clock)
    }

    /// All checks of this environment.
    pub(super) fn checks(self: &Arc<Self>) -> Vec<Check> {
        let name = self.environment.name();
        let of = |stage: Stage| stage.of(name);
        let way = || Arc::clone(self);
        let (for_dns, for_connect, for_tls, for_metadata, for_clock) = (way(), way(), way(), way(), way());
        let (first, target) = match &self.route {
            Ok(route) => (route.first_host().to_owned(), route.to_string()),
            Err(_) => (name.to_owned(), name.to_owned()),
        };
        let url = self.environment.metadata_url().map(String::from).unwrap_or_default();
        vec![
            Check::new(of(Stage::Dns), format!("looking up {first}"), async move { for_dns.dns().await }),
            Check::new(of(Stage::Connect), format!("connecting to {target}"), async move { for_connect.connect().await })
                .needing([Need::Success(of(Stage::Dns))]),
            Check::new(of(Stage::Tls), format!("TLS with {target}"), async move { for_tls.tls().await })
                .needing([Need::Success(of(Stage::Connect))]),
            Check::new(of(Stage::Metadata), format!("fetching {url}"), async move { for_metadata.metadata().await })
                .needing([Need::Success(of(Stage::Tls))]),
            Check::new(of(Stage::Clock), "reading the Date of the metadata's answer", async move { for_clock.judge_clock() })
                .needing([Need::Success(of(Stage::Tls)), Need::End(of(Stage::Metadata))]),
        ]
    }

    async fn dns(&self) -> Vec<Finding> {
        let route = match &self.route {
            Ok(route) => route,
            Err(error) => {
                return vec![Finding::failed(error.to_string(), "Name an HTTP proxy as `proxy` in [outbound], or in HTTPS_PROXY.")];
            }
        };
        match self.probe.resolve(route).await {
            Ok(addresses) => {
                let is_name = route.first_host().parse::<std::net::IpAddr>().is_err();
                let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
                let _ = self.addresses.set(addresses);
                vec![Finding::ok(if is_name { shown.join(", ") } else { "an address, which needs no look-up".to_owned() })]
            }
            Err(reason) => vec![self.failed(reason)],
        }
    }

    async fn connect(&self) -> Vec<Finding> {
        let (Ok(route), Some(addresses)) = (&self.route, self.addresses.get()) else { return Vec::new() };
        match self.probe.connect(route, addresses).await {
            Ok(connection) => {
                let found = match route.proxy() {
                    Some(proxy) => format!("the proxy {proxy} opened a tunnel"),
                    None => format!("connected to {}", connection.peer()),
                };
                *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
                vec![Finding::ok(found)]
            }
            Err(reason) => vec![self.failed(reason)],
        }
    }

    async fn tls(&self) -> Vec<Finding> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Ok(route), Some(connection)) = (&self.route, connection) else { return Vec::new() };
        if !route.is_tls() {
            return vec![Finding::ok("not needed: plain HTTP, on this machine")];
        }
        match self.probe.handshake(route, connection).await {
            Ok(handshake) => vec![self.judge_handshake(&handshake)],
            Err(reason) => vec![self.failed(reason)],
        }
    }

    fn judge_handshake(&self, handshake: &Handshake) -> Finding {
        let presented = handshake.certificate().map_or_else(
            || "no certificate".to_owned(),
            |certificate| {
                format!("a certificate of {}, issued by {}, {}", certificate.subject(), certificate.issuer(), certificate.validity())
            },
        );
        let Some(untrusted) = &handshake.untrusted else {
            return Finding::ok(format!("{} with {presented}", handshake.protocol));
        };
        let known = self.known(UnreachableReason::Certificate(untrusted.found.clone()));
        let root = handshake.root().unwrap_or("nobody");
        let found = format!(
            "the server presented {presented}, and it is not trusted: {} (the chain ends at {root}). {}",
            untrusted.found, known.meaning
        );
        Finding::failed(found, known.remedy)
    }

    async fn metadata(&self) -> Vec<Finding> {
        match self.probe.metadata(&self.environment).await {
            Ok(answer) => {
                let findings = self.judge_metadata(&answer);
                let _ = self.answer.set(answer);
                findings
            }
            Err(reason) => vec![self.failed(reason)],
        }
    }

    fn judge_metadata(&self, answer: &MetadataAnswer) -> Vec<Finding> {
        let Metadata { issuer, token_endpoint } = match &answer.document {
            Ok(metadata) => metadata,
            Err(error) => return vec![unusable(error)],
        };
        let environment = &self.environment;
        let built_in = Environment::built_in(environment.name()).as_ref() == Some(environment);
        let mut findings = Vec::new();
        if issuer != environment.issuer() {
            let found = format!("it says that the issuer is {issuer}, and {} is what grants are made out to (aud)", environment.issuer());
            findings.push(Finding::failed(found, mismatch_remedy(built_in, environment, "issuer", issuer, "MP-110")));
        }
        if token_endpoint != environment.token_endpoint() {
            let found =
                format!("it says that the token endpoint is {token_endpoint}, and grants are sent to {}", environment.token_endpoint());
            if built_in {
                findings.push(Finding::failed(found, mismatch_remedy(true, environment, "token_endpoint", token_endpoint, "")));
            } else {
                let remedy = "If that is a proxy of your own in front of it, all is well; otherwise correct `token_endpoint`.";
                findings.push(Finding::warning(found, remedy));
            }
        }
        super::finding::or_ok(findings, || "issuer and token endpoint are as configured".to_owned())
    }

    fn judge_clock(&self) -> Vec<Finding> {
        let Some(difference) = self.clock() else {
            return vec![Finding::skipped(
                Stage::Metadata.of(self.environment.name()),
                "no answer of the environment's own said what time it is",
            )];
        };
        let finding = if difference.is_too_large() {
            let found = format!("{difference}: too far for Portvakt to put it right");
            Finding::failed(found, KnownError::of(Cause::IssueTime).remedy)
        } else if difference.magnitude() > ClockDifference::WORTH_A_WARNING {
            let found = format!("{difference}; grants are put right by it meanwhile");
            Finding::warning(found, KnownError::of(Cause::IssueTime).remedy)
        } else {
            Finding::ok("the clocks agree")
        };
        vec![finding]
    }

    /// With the remedy that a failed exchange would have.
    fn failed(&self, reason: UnreachableReason) -> Finding {
        let said = reason.to_string();
        let known = self.known(reason);
        Finding::failed(format!("{said}. {}", known.meaning), known.remedy)
    }

    fn known(&self, reason: UnreachableReason) -> &'static KnownError {
        let token_endpoint = self.environment.token_endpoint().to_owned();
        let known = ExchangeError::Unreachable(Unreachable { token_endpoint, reason }).known();
        KnownError::of(known.cause.in_environment(&self.environment))
    }
}

fn unusable(error: &UnusableMetadata) -> Finding {
    match error {
        UnusableMetadata::Html { .. } => Finding::failed(
            format!("{error}. {}", KnownError::of(Cause::Page).meaning),
            "Check the environment's issuer, for the document is where RFC 8414 has it for that issuer, and have the proxy or firewall on the way let this machine through. Tokens can be had without it.",
        ),
        UnusableMetadata::Status(_) | UnusableMetadata::NotMetadata => Finding::failed(
            error.to_string(),
            "Check the environment's issuer, to the slash: the document is where RFC 8414 has it for that issuer. Tokens can be had without it.",
        ),
    }
}

fn mismatch_remedy(built_in: bool, environment: &Environment, setting: &str, value: &str, code: &str) -> String {
    let name = environment.name();
    if built_in {
        return format!(
            "What Portvakt has built in for `{name}` is out of date, or somebody between answers: look for a newer Portvakt, and check the proxy."
        );
    }
    format!("Write {setting} = \"{value}\" in [environment.{name}], to the slash: with another one every grant is refused ({code}).")
}
