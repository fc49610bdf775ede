//! The whole report as people and programs see it.

use portvakt::simulator::FaultKind;

use crate::support::*;
use crate::workbench::*;

/// What differs from one run to the next.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"(127\.0\.0\.1|\[::1\]):[1-9]\d+", "$1:[port]");
    settings.add_filter(r"/[^\s`]*/\.tmp[A-Za-z0-9]+", "[directory]");
    settings.add_filter(r"after \d+ ms", "after [some] ms");
    settings.add_filter(r"\d+ days left", "[some] days left");
    settings.add_filter(r"[0-9a-f]{32}", "[trace ID]");
    settings
}

fn broken() -> Workbench {
    let mut bench = Workbench::new();
    bench.pkcs12("expired.p12");
    bench.simulator.fault(for_scope(FaultKind::Error { code: "MP-121".into() }, FREG_SCOPE, None)).unwrap();
    bench
}

#[test]
fn text_of_a_good_set_up() {
    settings().bind(|| insta::assert_snapshot!("good_text", Workbench::new().check_as_text(&[]).out));
}

#[test]
fn json_of_a_good_set_up() {
    settings().bind(|| insta::assert_snapshot!("good_json", Workbench::new().check(&[]).out));
}

#[test]
fn text_of_a_broken_set_up() {
    settings().bind(|| insta::assert_snapshot!("broken_text", broken().check_as_text(&[]).out));
}

#[test]
fn json_of_a_broken_set_up() {
    settings().bind(|| insta::assert_snapshot!("broken_json", broken().check(&[]).out));
}

#[test]
fn text_of_a_file_with_mistakes() {
    let bench = Workbench::new();
    bench.write("portvakt.toml", bench.text().replace("client_id", "client-id"));
    settings().bind(|| insta::assert_snapshot!("mistakes_text", run_in(bench.directory.path(), &[]).out));
}

#[test]
fn text_without_the_network() {
    settings().bind(|| insta::assert_snapshot!("offline_text", Workbench::new().check_as_text(&["--offline"]).out));
}
