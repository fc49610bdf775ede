//! The file itself, and the files with secrets that it names.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use rstest::rstest;

use crate::workbench::*;

const FILE: &str = "configuration portvakt.toml";
const SECRETS: &str = "secrets portvakt.toml";

#[rstest]
#[case::unknown_key("environment = \"simulator\"", "enviroment = \"simulator\"", &["line 16, column 1", "unknown key `enviroment`", "write `environment`"])]
#[case::unknown_environment("environment = \"simulator\"", "environment = \"simulater\"", &["there is no environment `simulater`", "write \"simulator\""])]
#[case::unknown_integration("integration = \"krr\"", "integration = \"kr\"", &["there is no integration `kr`", "write \"krr\""])]
#[case::required_and_not_permitted(
    "scopes = [\"folkeregister:deling/*\"]",
    "scopes = [\"folkeregister:deling/*\"], requires = [\"consumer_org\"]",
    &["no request could ever match it", "permit it"]
)]
fn a_mistake_in_the_file(#[case] good: &str, #[case] bad: &str, #[case] words: &[&str]) {
    let bench = Workbench::new();
    assert!(bench.text().contains(good));
    let report = bench.check_text(&bench.text().replacen(good, bad, 1), &[]);
    let failed = report.with_result("failed");
    assert!(failed.iter().all(|line| line.name == FILE), "{}", report.out);
    assert!(failed.iter().any(|line| line.has(words)), "{words:?}: {}", report.out);
    // What does not hang on the mistake is looked at.
    assert!(
        report.names("ok").contains(&"keys krr".to_owned()) && report.names("ok").contains(&"metadata simulator".to_owned()),
        "{}",
        report.out
    );
    for line in report.with_result("skipped") {
        assert_eq!(line.because, FILE, "{line:?}");
    }
}

#[test]
fn every_mistake_is_told_of() {
    let bench = Workbench::new();
    let text = bench.text().replace("environment = \"simulator\"", "enviroment = \"simulator\"");
    let report = bench.check_text(&text, &[]);
    let texts: Vec<String> = report.with_result("failed").into_iter().map(|line| line.text).collect();
    assert_eq!(texts.iter().filter(|text| text.contains("unknown key `enviroment`")).count(), 2, "{texts:?}");
    let skipped = report.names("skipped");
    for name in ["keys freg", "keys krr", "dns portvakt.toml", "exchange freg", "exchange krr"] {
        assert!(skipped.contains(&name.to_owned()), "{skipped:?}");
    }
}

#[rstest]
#[case::broken_syntax("[server\nlisten = 1", &["line 1"])]
#[case::empty("", &["the file has no integration"])]
#[case::not_utf8("\u{0}", &["line 1"])]
fn a_file_that_cannot_be_understood(#[case] text: &str, #[case] words: &[&str]) {
    let bench = Workbench::new();
    let report = bench.check_text(text, &[]);
    assert!(report.with_result("failed").iter().any(|line| line.name == FILE && line.has(words)), "{}", report.out);
    for line in report.with_result("skipped") {
        assert_eq!(line.because, FILE, "{line:?}");
    }
}

#[test]
fn a_file_that_is_not_there() {
    let bench = Workbench::new();
    let report = run_in(bench.directory.path(), &["--format", "json", "--config", "elsewhere.toml"]);
    let skipped: Vec<String> = STAGES[1..].iter().map(|stage| format!("{stage} elsewhere.toml")).collect();
    let skipped: Vec<&str> = skipped.iter().map(String::as_str).collect();
    report.fails("configuration elsewhere.toml", &["elsewhere.toml", "No such file", "--config FILE"], &skipped);
}

#[test]
fn a_file_that_never_comes_is_waited_for_until_the_time_is_up() {
    let bench = Workbench::new();
    assert!(Command::new("mkfifo").arg(bench.path("pipe.toml")).status().unwrap().success());
    let report = run_in(bench.directory.path(), &["--format", "json", "--timeout", "1s", "--config", "pipe.toml"]);
    let skipped: Vec<String> = STAGES[1..].iter().map(|stage| format!("{stage} pipe.toml")).collect();
    let skipped: Vec<&str> = skipped.iter().map(String::as_str).collect();
    report.fails("configuration pipe.toml", &["took longer than 1000 ms"], &skipped);
}

#[rstest]
#[case::missing(|bench: &mut Workbench| std::fs::remove_file(bench.path("virksomhet.p12.password")).unwrap(), &["virksomhet.p12.password", "No such file", "put the file there"])]
#[case::empty(|bench: &mut Workbench| { bench.write("virksomhet.p12.password", "\n"); }, &["holds a line break and nothing else", "write the password into it"])]
fn a_secret_file_that_cannot_be_used(#[case] breaking: fn(&mut Workbench), #[case] words: &[&str]) {
    let mut bench = Workbench::new();
    breaking(&mut bench);
    let report = bench.check(&[]);
    report.fails(SECRETS, words, &["keys krr", "exchange krr"]);
    assert!(report.names("ok").contains(&FREG_EXCHANGE.to_owned()));
}

#[test]
fn a_secret_file_that_others_can_read() {
    let bench = Workbench::new();
    std::fs::set_permissions(bench.path("registered-2048.pem"), Permissions::from_mode(0o644)).unwrap();
    let report = bench.check(&[]);
    report.warns(SECRETS, &["registered-2048.pem", "open to everyone on this machine (mode 0644)", "chmod o="]);
}

#[test]
fn a_ca_file_without_certificates() {
    let mut bench = Workbench::new();
    bench.outbound = "[outbound]\nca_file = \"ca.pem\"".to_owned();
    bench.write("ca.pem", "nothing");
    let report = bench.check(&[]);
    let line = &report.with_result("failed")[0];
    assert_eq!(line.name, FILE);
    line.says(&["no CA certificates", "BEGIN CERTIFICATE", "ca.pem"]);
    assert!(report.names("skipped").contains(&"tls simulator".to_owned()));
}

#[test]
fn a_wrong_outbound_table_is_not_guessed_at() {
    let mut bench = Workbench::new();
    bench.at("https://maskinporten.invalid");
    bench.outbound = "[outbound]\nproxy = \"http://127.0.0.1:1\"\nproxy_user = \"u\"\nproxy_password_file = \"nowhere\"".to_owned();
    let steps = ["dns simulator", "connect simulator", "tls simulator", "metadata simulator", "clock simulator"];
    bench.check(&[]).fails(SECRETS, &["nowhere"], &[&steps[..], &[FREG_EXCHANGE, KRR_EXCHANGE]].concat());
    bench.outbound = "[outbound]\nproxy = \"socks5://127.0.0.1:1\"".to_owned();
    bench.check(&[]).fails(FILE, &["not an http or https URL"], &[&steps[..], &[FREG_EXCHANGE, KRR_EXCHANGE]].concat());
}

#[test]
fn an_api_key_file_that_is_not_there() {
    let mut bench = Workbench::new();
    bench.keys = "[{ file = \"nowhere\" }]".to_owned();
    let report = bench.check(&[]);
    assert_eq!(report.names("failed"), [SECRETS], "{}", report.out);
    assert!(report.names("ok").contains(&FREG_EXCHANGE.to_owned()));
}
