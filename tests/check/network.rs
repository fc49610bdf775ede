//! The way to Maskinporten, broken at each step.

use std::time::{Duration, Instant};

use portvakt::simulator::{Conditions, Endpoint, Fault, FaultKind, Settings, Simulator, Stage};
use rstest::rstest;

use crate::servers;
use crate::support::simulator_settings;
use crate::workbench::*;

/// What is skipped when a step of the way ends it.
fn after(stage: &str) -> Vec<String> {
    let steps = ["dns", "connect", "tls", "metadata", "clock"];
    let next = steps.iter().position(|step| *step == stage).unwrap() + 1;
    let steps = steps[next..].iter().map(|step| format!("{step} simulator"));
    steps.chain([FREG_EXCHANGE.to_owned(), KRR_EXCHANGE.to_owned()]).collect()
}

fn ends_at(bench: &Workbench, stage: &str, words: &[&str]) {
    let skipped = after(stage);
    let skipped: Vec<&str> = skipped.iter().map(String::as_str).collect();
    bench.check(&[]).fails(&format!("{stage} simulator"), words, &skipped);
    assert_eq!(bench.simulator.counters().answered, 0);
}

#[test]
fn a_host_that_has_no_address() {
    let mut bench = Workbench::new();
    bench.at("https://maskinporten.invalid"); // RFC 6761: never in the DNS
    bench.outbound = "[outbound]\nconnect_timeout = \"20s\"\nattempt_timeout = \"20s\"".to_owned();
    ends_at(&bench, "dns", &["could not be resolved", "Check the spelling of the host"]);
}

#[test]
fn a_port_where_nobody_listens() {
    let mut bench = Workbench::new();
    bench.at(&format!("http://{}", servers::closed()));
    ends_at(&bench, "connect", &["refused", "on this machine", "portvakt simulate"]);
}

#[test]
fn tls_of_a_ca_that_is_not_known() {
    let (address, ca) = servers::tls(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let mut bench = Workbench::new();
    bench.at(&format!("https://{address}"));
    ends_at(&bench, "tls", &["CN=localhost", "issued by CN=Somebody's Proxy CA", "not trusted", "self-signed", "ca_file"]);
    // With the CA it is trusted, and the next step is the one that fails.
    bench.write("ca.pem", ca);
    bench.outbound = "[outbound]\nca_file = \"ca.pem\"".to_owned();
    let report = bench.check(&[]);
    assert!(report.names("ok").contains(&"tls simulator".to_owned()), "{}", report.out);
    assert_eq!(report.names("failed")[0], "metadata simulator");
}

#[test]
fn a_port_that_speaks_no_tls() {
    let mut bench = Workbench::new();
    let address = bench.simulator.issuer().trim_start_matches("http://").trim_end_matches('/').to_owned();
    bench.at(&format!("https://{address}"));
    ends_at(&bench, "tls", &["the TLS handshake failed", "Check the port in token_endpoint"]);
}

#[test]
fn tls_that_hangs() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bench = Workbench::new();
    bench.outbound = "[outbound]\nconnect_timeout = \"300ms\"".to_owned();
    bench.at(&format!("https://{}", silent.local_addr().unwrap()));
    ends_at(&bench, "tls", &["took longer than 300 ms"]);
}

#[rstest]
#[case::asks_for_a_password(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", &["407", "outbound.proxy_user"])]
#[case::lets_nobody_through(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", &["403 Forbidden", "have it allow CONNECT"])]
#[case::is_no_proxy(b"SSH-2.0-OpenSSH_9.2\r\n", &["not HTTP", "the proxy's address"])]
fn a_proxy_that(#[case] answer: &'static [u8], #[case] words: &[&str]) {
    let mut bench = Workbench::new();
    bench.at("https://maskinporten.invalid");
    bench.outbound = format!("[outbound]\nproxy = \"http://{}\"", servers::answering(answer));
    ends_at(&bench, "connect", words);
}

#[test]
fn a_proxy_that_is_down() {
    let mut bench = Workbench::new();
    bench.at("https://maskinporten.invalid");
    let proxy = servers::closed();
    bench.outbound = format!("[outbound]\nproxy = \"http://{proxy}\"");
    ends_at(&bench, "connect", &["no connection to the proxy", "refused", "outbound.proxy, or HTTPS_PROXY"]);
    // The same when the environment names it.
    bench.outbound = String::new();
    bench.write("portvakt.toml", bench.text());
    let variables = [("HTTPS_PROXY", &*format!("http://user:hunter2@{proxy}"))];
    let report = run_with(bench.directory.path(), &["--format", "json"], &variables);
    assert_eq!(report.names("failed"), ["connect simulator"], "{}", report.out);
    assert!(report.out.contains(&proxy.to_string()) && report.out.contains("HTTPS_PROXY"), "{}", report.out);
    assert!(!report.out.contains("hunter2") && !report.err.contains("hunter2"));
    // One that may not be used is not.
    let variables = [variables[0], ("NO_PROXY", ".invalid")];
    assert_eq!(run_with(bench.directory.path(), &["--format", "json"], &variables).names("failed"), ["dns simulator"]);
}

#[test]
fn a_good_way_through_a_proxy_that_wants_a_password() {
    let issuer = Some("https://maskinporten.invalid/".to_owned());
    let simulator = Simulator::start(Settings { issuer, ..simulator_settings() }).unwrap();
    let (tls, ca) = servers::tls_in_front_of(simulator.address(), "maskinporten.invalid");
    let proxy = servers::proxy_to(tls, "Basic dTpodW50ZXIy"); // u:hunter2
    let mut bench = Workbench::with(simulator);
    bench.at("https://maskinporten.invalid");
    bench.write("ca.pem", ca).write("proxy.pw", "hunter2");
    bench.outbound =
        format!("[outbound]\nca_file = \"ca.pem\"\nproxy = \"http://{proxy}\"\nproxy_user = \"u\"\nproxy_password_file = \"proxy.pw\"");
    let report = bench.check(&[]);
    assert_eq!((report.names("failed"), report.names("skipped")), (vec![], vec![]), "{}", report.out);
    let lines = report.with_result("ok");
    let line = |name: &str| lines.iter().find(|line| line.name == name).unwrap_or_else(|| panic!("{}", report.out));
    line("connect simulator").says(&[&format!("the proxy {proxy} opened a tunnel")]);
    line("tls simulator").says(&["TLSv1.3", "CN=maskinporten.invalid", "issued by CN=An Organisation's CA"]);
    line(FREG_EXCHANGE).says(&["lives 119 s"]);
    assert!(!report.out.contains("hunter2") && !report.out.contains("dTpodW50ZXIy"));
    // A server chooses its certificate's names: what turns the text round, or ends the line, does not reach the terminal.
    line("tls simulator").says(&["O=\u{FFFD}gnihtemos esle\u{FFFD}failed"]);
    // With another password it is the proxy's line that fails.
    bench.write("proxy.pw", "hunter3");
    let report = bench.check(&[]);
    assert_eq!(report.names("failed"), ["connect simulator"]);
}

#[test]
fn a_socks_proxy() {
    let mut bench = Workbench::new();
    bench.at("https://maskinporten.invalid");
    bench.write("portvakt.toml", bench.text());
    let report = run_with(bench.directory.path(), &["--format", "json"], &[("ALL_PROXY", "socks5://127.0.0.1:1080")]);
    assert_eq!(report.names("failed"), ["dns simulator"]);
    report.with_result("failed")[0].says(&["socks5", "HTTP proxies only", "[outbound]"]);
}

fn at_metadata(kind: FaultKind) -> Fault {
    Fault { kind, conditions: Conditions { endpoint: Endpoint::Metadata, ..Conditions::default() } }
}

/// What is wrong with the metadata keeps no exchange from being tried.
#[rstest]
#[case::missing(FaultKind::Status { status: 404, headers: [].into(), body: String::new() }, &["status 404", "RFC 8414"])]
#[case::another_issuer(
    FaultKind::Status { status: 200, headers: [].into(), body: r#"{"issuer":"https://other.example.no","token_endpoint":"x"}"#.into() },
    &["the issuer is https://other.example.no", "issuer = \"https://other.example.no\" in [environment.simulator]", "MP-110"]
)]
#[case::no_json(FaultKind::Empty { status: 200 }, &["not JSON with issuer", "RFC 8414"])]
#[case::a_proxys_page(FaultKind::Html { status: 403 }, &["HTML page with the title 'Bad gateway'", "comes from something on the way", "the environment's issuer"])]
#[case::a_hang(FaultKind::Hang { at: Stage::BeforeHeaders }, &["took longer than 1500 ms"])]
fn metadata(#[case] kind: FaultKind, #[case] words: &[&str]) {
    let mut bench = Workbench::new();
    bench.outbound = "[outbound]\nattempt_timeout = \"1500ms\"".to_owned();
    bench.simulator.fault(at_metadata(kind)).unwrap();
    let report = bench.check(&[]);
    assert_eq!(report.names("failed"), ["metadata simulator"], "{}", report.out);
    assert!(report.with_result("failed")[0].has(words), "{}", report.out);
    let ok = report.names("ok");
    assert!(ok.contains(&FREG_EXCHANGE.to_owned()) && ok.contains(&KRR_EXCHANGE.to_owned()), "{}", report.out);
}

#[test]
fn a_page_of_a_proxys_says_nothing_of_the_clock() {
    let bench = Workbench::new();
    bench.simulator.fault(at_metadata(FaultKind::Html { status: 200 })).unwrap();
    let report = bench.check(&[]);
    report.fails("metadata simulator", &["HTML"], &["clock simulator"]);
}

#[test]
fn a_clock_that_is_a_minute_off_is_put_right() {
    for seconds in [60, -60] {
        let bench = Workbench::new();
        bench.simulator.fault(FaultKind::ClockSkew { seconds }).unwrap();
        let direction = if seconds > 0 { "behind" } else { "ahead" };
        let report = bench.check(&[]);
        report.warns("clock simulator", &[direction, "Synchronise this machine's clock"]);
        assert!(report.with_result("warning")[0].has(&["59 s"]) || report.with_result("warning")[0].has(&["60 s"]), "{}", report.out);
    }
}

#[test]
fn a_clock_that_only_a_refusal_tells_of_is_put_right_too() {
    let bench = Workbench::new();
    let page = at_metadata(FaultKind::Html { status: 403 });
    bench.simulator.faults(vec![FaultKind::ClockSkew { seconds: 60 }.into(), page]).unwrap();
    bench.check(&[]).fails("metadata simulator", &["HTML"], &["clock simulator"]);
}

#[test]
fn a_date_that_somebody_on_the_way_has_set() {
    let mut bench = Workbench::new();
    bench.may = "may = [{ integration = \"freg\", scopes = [\"folkeregister:deling/*\"] }]".to_owned();
    let skew = || FaultKind::DateSkew { seconds: 60 };
    bench.simulator.faults(vec![skew().into(), at_metadata(skew())]).unwrap();
    let report = bench.check(&[]);
    assert_eq!(report.names("warning"), ["clock simulator", FREG_EXCHANGE], "{}", report.out);
    report.with_result("warning")[1].says(&["the Date of the answers misleads", "a proxy, or a gateway"]);
}

#[test]
fn a_clock_that_is_an_hour_off() {
    let bench = Workbench::new();
    bench.simulator.fault(FaultKind::ClockSkew { seconds: 3600 }).unwrap();
    let words = ["behind Maskinporten's", "too far", "Synchronise this machine's clock"];
    bench.check(&[]).fails("clock simulator", &words, &[FREG_EXCHANGE, KRR_EXCHANGE]);
}

#[test]
fn what_hangs_ends_at_the_deadline() {
    let mut bench = Workbench::new();
    bench.outbound = "[outbound]\nattempt_timeout = \"10m\"\ndeadline = \"10m\"".to_owned();
    bench.simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    let began = Instant::now();
    let report = bench.check(&["--timeout", "2s"]);
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(report.names("failed"), [FREG_EXCHANGE, KRR_EXCHANGE]);
    report.with_result("failed")[0].says(&["the time for all checks was over", "--timeout"]);
    // What was not even begun did not fail.
    bench.simulator.fault(at_metadata(FaultKind::Hang { at: Stage::BeforeHeaders })).unwrap();
    bench.check(&["--timeout", "1s"]).fails("metadata simulator", &["--timeout"], &["clock simulator", FREG_EXCHANGE, KRR_EXCHANGE]);
}
