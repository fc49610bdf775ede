//! The management listener: health, metrics, and nothing else.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Instant;

use portvakt::simulator::FaultKind;
use support::wire::{RawAnswer, Wire, check_document};
use support::*;

fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nhost: a\r\n\r\n")
}

fn ask(portvakt: &Portvakt, method: &str, target: &str) -> RawAnswer {
    Wire::connect(portvakt.management).ask(request(method, target))
}

/// Time series by name and labels, as they stand in the text.
fn series(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name, value.parse().unwrap())).collect()
}

fn label_values<'a>(text: &'a str, label: &str) -> BTreeSet<&'a str> {
    let marker = format!("{label}=\"");
    text.lines().filter_map(|line| Some(line.split_once(&marker)?.1.split('"').next().unwrap())).collect()
}

fn requests(caller: &str, integration: &str, result: &str) -> String {
    format!("portvakt_token_requests_total{{caller=\"{caller}\",integration=\"{integration}\",result=\"{result}\"}}")
}

fn exchanges(integration: &str, result: &str, code: &str) -> String {
    format!("portvakt_exchanges_total{{code=\"{code}\",integration=\"{integration}\",result=\"{result}\"}}")
}

#[test]
fn health_is_told_though_maskinporten_is_down() {
    let configuration = Configuration {
        issuer: "http://127.0.0.1:1/".into(),
        token_endpoint: "http://127.0.0.1:1/token".into(),
        ..Configuration::default()
    };
    let portvakt = Portvakt::start(&configuration);
    for path in ["/health/live", "/health/ready", "/health/ready?verbose=1"] {
        let answer = ask(&portvakt, "GET", path);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("x-request-id").map(str::len), Some(36));
        assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    }
}

#[test]
fn every_refusal_is_json_and_every_answer_has_its_id() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    for path in ["/health/live", "/health/ready", "/metrics"] {
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = ask(&portvakt, method, path).checked();
            assert_eq!((answer.status, answer.error(), answer.header("allow")), (405, "invalid_request", Some("GET")), "{answer:?}");
        }
        let head = Wire::connect(portvakt.management).send(request("HEAD", path)).head();
        assert_eq!((head.status, head.header("allow")), (405, Some("GET")));
        let large = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-padding: {}\r\n\r\n", "x".repeat(33_000));
        assert_eq!(Wire::connect(portvakt.management).ask(large).checked().status, 431);
        let named = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: mine-1\r\n\r\n");
        assert_eq!(Wire::connect(portvakt.management).ask(named).header("x-request-id"), Some("mine-1"));
        let upgrading = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\n\r\n");
        let answer = Wire::connect(portvakt.management).ask(upgrading);
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    }
}

#[test]
fn a_chunked_body_that_never_ends_holds_no_connection() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    for (status, path) in [(200, "/health/live"), (404, "/")] {
        let mut wire = Wire::connect(portvakt.management);
        let text = format!("GET {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel");
        assert_eq!(wire.ask(text).status, status);
        assert!(wire.is_closed(), "{path}");
    }
}

#[test]
fn nothing_of_the_other_listener_is_here() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let credentials = format!("X-API-Key: {API_KEY}\r\niss: {FREG}\r\nscope: {FREG_SCOPE}");
    for target in ["/", "/token", "/oauth2/token", "/health", "/health/", "/health/live/", "/Metrics", "//metrics", "*"] {
        for method in ["GET", "POST"] {
            let text = format!("{method} {target} HTTP/1.1\r\nhost: a\r\n{credentials}\r\n\r\n");
            let answer = Wire::connect(portvakt.management).ask(text).checked();
            assert_eq!((answer.status, answer.error()), (404, "invalid_request"));
        }
    }
    // And the reverse.
    for target in ["/health/live", "/health/ready", "/metrics", "/status", "/status.json"] {
        let answer = Wire::connect(portvakt.tokens).ask(request("GET", target)).checked();
        assert_eq!(answer.status, 404);
        assert!(!answer.body.contains("/metrics"), "{answer:?}");
    }
    assert_eq!(simulator.counters().received, 0);
}

/// What the program is built from: as whoever builds it says, or as git does.
fn revision() -> String {
    if let Ok(revision) = std::env::var("PORTVAKT_REVISION") {
        return revision;
    }
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    match output {
        Ok(output) if output.status.success() => String::from_utf8(output.stdout).unwrap().trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[tokio::test]
async fn every_counter_starts_at_0() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let answer = ask(&portvakt, "GET", "/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let series = series(&answer.body);
    let mut expected: Vec<String> = Vec::new();
    for result in ["granted", "refused", "failed"] {
        let callers = [("none", "none"), ("gateway", "none"), ("gateway", "freg"), ("gateway", "krr"), ("other", "none"), ("other", "krr")];
        expected.extend(callers.map(|(caller, integration)| requests(caller, integration, result)));
        expected.extend(["freg", "krr"].map(|integration| exchanges(integration, result, "none")));
    }
    // Alerts look at increases, and the first refusal of its kind is one.
    for code in ["MP-012", "MP-121", "MP-200", "MP-303", "other"] {
        expected.extend(["freg", "krr"].map(|integration| exchanges(integration, "refused", code)));
    }
    expected
        .extend(["freg", "krr"].map(|integration| format!("portvakt_exchange_duration_seconds_count{{integration=\"{integration}\"}}")));
    expected.extend(["freg", "krr"].map(|integration| format!("portvakt_remembered_failures_total{{integration=\"{integration}\"}}")));
    expected.extend(["portvakt_token_request_duration_seconds_count", "portvakt_tokens_cached"].map(str::to_owned));
    expected.extend(["waiting_requests", "waiting_requests_refused_total"].map(|name| format!("portvakt_{name}")));
    expected.push("portvakt_circuit_open{environment=\"simulator\"}".to_owned());
    for name in expected {
        assert_eq!(series.get(name.as_str()), Some(&0.0), "{name}:\n{}", answer.body);
    }
    let build = format!("portvakt_build_info{{revision=\"{}\",version=\"{}\"}}", revision(), env!("CARGO_PKG_VERSION"));
    assert_eq!(series.get(build.as_str()), Some(&1.0), "{}", answer.body);
    for of_the_process in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"] {
        assert!(series.contains_key(of_the_process), "{of_the_process}");
    }
    // No other names than contract.md's, each explained.
    let known = [
        "token_requests_total",
        "token_request_duration_seconds",
        "exchanges_total",
        "exchange_duration_seconds",
        "remembered_failures_total",
        "tokens_cached",
        "certificate_expiry_timestamp_seconds",
        "config_last_reload_successful",
        "config_last_reload_success_timestamp_seconds",
        "circuit_open",
        "waiting_requests",
        "waiting_requests_refused_total",
        "build_info",
    ];
    let kinds: Vec<&str> = answer.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for name in kinds {
        let ours = name.strip_prefix("portvakt_").is_some_and(|name| known.contains(&name));
        assert!(ours || name.starts_with("process_"), "{name}");
        assert!(answer.body.contains(&format!("# HELP {name} ")), "{name}");
    }
}

#[tokio::test]
async fn each_request_and_each_exchange_is_counted_once_where_it_belongs() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let statuses = [
        (portvakt.ask(), 200),
        (portvakt.ask(), 200),
        (portvakt.ask().with("iss", "krr").with("scope", KRR_SCOPE), 200),
        (portvakt.ask().with("scope", "other:scope"), 403),
        (portvakt.ask().with("scope", "test:unregistered"), 502),
        (portvakt.ask().with("iss", "nobody"), 403),
        (portvakt.ask().without("iss"), 400),
        (portvakt.ask().with("X-Gravitee-Api-Key", OTHER_API_KEY), 403),
        (portvakt.ask().with("X-Gravitee-Api-Key", "unknown"), 401),
        (portvakt.ask().without("X-Gravitee-Api-Key"), 401),
    ];
    let asked = statuses.len();
    for (ask, status) in statuses {
        let answer = ask.send().await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
    // What is not at /token is no token request.
    assert_eq!(Wire::connect(portvakt.tokens).ask(request("GET", "/nowhere")).status, 404);
    simulator.fault(FaultKind::Html { status: 503 }).unwrap();
    assert_eq!(portvakt.ask().with("scope", "test:1").send().await.status, 503);
    let metrics = portvakt.metrics().await;
    let series = series(&metrics);
    let expected = [
        (requests("gateway", "freg", "granted"), 2.0),
        (requests("gateway", "krr", "granted"), 1.0),
        (requests("gateway", "freg", "refused"), 1.0),
        (requests("gateway", "freg", "failed"), 2.0),
        (requests("gateway", "none", "refused"), 2.0),
        (requests("other", "none", "refused"), 1.0),
        (requests("none", "none", "refused"), 2.0),
        (exchanges("freg", "granted", "none"), 1.0),
        (exchanges("krr", "granted", "none"), 1.0),
        (exchanges("freg", "refused", "MP-200"), 1.0),
        #[allow(clippy::cast_precision_loss)]
        ("portvakt_token_request_duration_seconds_count".to_owned(), asked as f64 + 1.0),
    ];
    for (name, value) in expected {
        assert_eq!(series.get(name.as_str()), Some(&value), "{name}:\n{metrics}");
    }
    assert!(series[exchanges("freg", "failed", "none").as_str()] >= 1.0, "{metrics}");
    // The cache counts itself once a second.
    let began = Instant::now();
    while portvakt.metric("portvakt_tokens_cached").await != Some(2.0) {
        assert!(began.elapsed() < PATIENCE, "{}", portvakt.metrics().await);
    }
}

#[tokio::test]
async fn no_label_value_comes_from_a_request_or_an_answer() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let before = portvakt.metrics().await;
    let strange = ["nobody", "freg\"}", "a{b=\"c\"}", "\u{1}", "none", "11111111-2222-3333-4444-555555555556", "FREG"];
    for name in strange {
        for header in ["iss", "scope", "X-Gravitee-Api-Key", "X-Request-Id"] {
            if name.chars().all(|character| !character.is_control()) {
                portvakt.ask().with(header, name).send().await;
            }
        }
    }
    for code in ["MP-999", "MP-121", "MP-12345", "XX-1"] {
        let body = format!("{{\"error\":\"invalid_grant\",\"error_uri\":\"https://x.example.no/errors/{code}\"}}");
        simulator.fault(FaultKind::Status { status: 400, headers: BTreeMap::new(), body }).unwrap();
        assert_eq!(portvakt.ask().with("scope", &format!("test:{}", code.len())).post().send().await.status, 502);
    }
    let metrics = portvakt.metrics().await;
    assert_eq!(label_values(&metrics, "caller"), BTreeSet::from(["gateway", "none", "other"]));
    assert_eq!(label_values(&metrics, "integration"), BTreeSet::from(["freg", "krr", "none"]));
    assert_eq!(label_values(&metrics, "result"), BTreeSet::from(["failed", "granted", "refused"]));
    assert_eq!(label_values(&metrics, "code"), label_values(&before, "code"));
    let counted = |code: &str| metrics.contains(&format!("{} 1", exchanges("freg", "refused", code)));
    assert!(counted("MP-121") && metrics.contains(&format!("{} 2", exchanges("freg", "refused", "other"))), "{metrics}");
    for secret in [API_KEY, FREG, FREG_SCOPE] {
        assert!(!metrics.contains(secret), "{secret}");
    }
}

#[test]
fn a_refusal_here_names_what_is_here() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let answer = ask(&portvakt, "GET", "/nowhere");
    check_document(answer.status, &answer.json);
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert!(answer.description().contains(path), "{answer:?}");
        assert_eq!(ask(&portvakt, "GET", path).status, 200);
    }
}
