//! What narrows the checks down, and how a report is written.

use std::fs::File;
use std::process::Command;

use rstest::rstest;

use crate::support::*;
use crate::workbench::*;

#[test]
fn offline_needs_no_network() {
    let mut bench = Workbench::new();
    bench.at("https://maskinporten.invalid");
    bench.krr.environment = "test".to_owned();
    let report = bench.check(&["--offline"]);
    assert_eq!(report.json["result"], "ok", "{}", report.out);
    let skipped = report.with_result("skipped");
    assert!(skipped.iter().all(|line| line.because == "--offline"), "{}", report.out);
    let names = report.names("skipped");
    for stage in ["dns", "connect", "tls", "metadata", "clock"] {
        for environment in ["simulator", "test"] {
            assert!(names.contains(&format!("{stage} {environment}")), "{names:?}");
        }
    }
    assert!(names.contains(&FREG_EXCHANGE.to_owned()) && names.contains(&KRR_EXCHANGE.to_owned()), "{names:?}");
}

#[test]
fn one_integration_alone() {
    let mut bench = Workbench::new();
    bench.krr.environment = "test".to_owned();
    let report = bench.check(&["--integration", "freg"]);
    assert_eq!(report.json["result"], "ok", "{}", report.out);
    let named: Vec<String> = report.lines().into_iter().map(|line| line.name).collect();
    assert!(named.contains(&FREG_EXCHANGE.to_owned()) && named.contains(&"tls simulator".to_owned()), "{named:?}");
    assert!(!named.iter().any(|name| name.contains("krr") || name.ends_with(" test")), "{named:?}");
}

#[rstest]
#[case(&["--integration", "frag"], "did you mean `freg`?")]
#[case(&["--integration", "something-else"], "there are: freg, krr")]
#[case(&["--timeout", "0"], "30s")]
#[case(&["--timeout", "soon"], "30s")]
#[case(&["--timeout", "2h"], "an hour")]
#[case(&["--online"], "--online")]
fn wrong_usage(#[case] arguments: &[&str], #[case] words: &str) {
    let report = Workbench::new().check(arguments);
    assert_eq!((report.code, report.out.as_str()), (Some(2), ""), "{}", report.err);
    assert!(report.err.contains(words), "{}", report.err);
}

#[test]
fn a_format_that_there_is_not_is_wrong_usage() {
    let report = Workbench::new().check_as_text(&["--format", "xml"]);
    assert_eq!((report.code, report.out.as_str()), (Some(2), ""));
    assert!(report.err.contains("json"), "{}", report.err);
}

#[test]
fn text_has_no_colours_where_no_terminal_is() {
    let report = Workbench::new().check_as_text(&["--timeout", "20"]);
    assert_eq!(report.code, Some(0), "{}", report.out);
    assert!(!report.out.contains('\u{1b}') && report.err.is_empty(), "{:?}", report.err);
    assert!(report.out.trim_end().lines().last().unwrap().starts_with("Nothing is wrong: "), "{}", report.out);
}

#[test]
fn a_report_that_cannot_be_written_is_a_failure() {
    let bench = Workbench::new();
    bench.write("portvakt.toml", bench.text());
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_portvakt"));
    let output = command.args(["check", "--offline"]).current_dir(bench.directory.path()).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("stdout"));
}

#[test]
fn the_files_name_can_come_from_the_environment() {
    let bench = Workbench::new();
    bench.write("another.toml", bench.text());
    let report = run_with(bench.directory.path(), &["--format", "json", "--offline"], &[("PORTVAKT_CONFIG", "another.toml")]);
    assert!(report.names("ok").contains(&"configuration another.toml".to_owned()), "{}", report.out);
    assert_eq!(exchanges(&bench.simulator, FREG_SCOPE), 0);
}
