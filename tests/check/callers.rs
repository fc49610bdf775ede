//! Callers: their keys, networks and rules.

use jiff::{Timestamp, ToSpan};
use rstest::rstest;

use crate::support::*;
use crate::workbench::*;

const GATEWAY: &str = "callers gateway";

fn key(of: &str, days: i64) -> String {
    let expires = Timestamp::now() + (days * 24 + 12).hours();
    format!("{{ sha256 = \"{}\", expires = {} }}", sha256(of), expires.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

#[test]
fn the_only_key_has_expired() {
    let mut bench = Workbench::new();
    bench.keys = format!("[{}]", key(API_KEY, -1));
    let shown = &sha256(API_KEY)[..8];
    bench.check(&["--offline"]).fails_offline(GATEWAY, &["has expired", shown, "this caller is refused", "portvakt api-key new"]);
}

#[rstest]
#[case::one_of_two_has_expired(-1, &["has expired", "Take it out of the file"])]
#[case::soon(10, &["expires in 10 days", "portvakt api-key new"])]
fn a_key_that_ends(#[case] days: i64, #[case] words: &[&str]) {
    let mut bench = Workbench::new();
    bench.keys = format!("[{}, {}]", key(OTHER_API_KEY, days), key(API_KEY, 40));
    bench.check(&[]).warns(GATEWAY, words);
}

#[test]
fn a_key_file_whose_key_was_mistyped() {
    let mut bench = Workbench::new();
    let key = portvakt::access::make_key().unwrap().key;
    bench.keys = "[{ file = \"api-key\" }]".to_owned();
    bench.write("api-key", key.as_bytes());
    assert_eq!(bench.check(&[]).names("warning"), [""; 0]);
    bench.write("api-key", &key[..51]);
    let report = bench.check(&[]);
    report.warns(GATEWAY, &["api-key", "checksum does not fit", "Copy the key again"]);
    assert!(!report.out.contains(&key[3..20]));
}

#[rstest]
#[case::within_another(r#"{ integration = "freg", scopes = ["a:b/*"] }, { integration = "freg", scopes = ["a:*"], pid = true }"#, &["rule 1 (for `freg`) never decides anything", "rule 2 allows all of it"])]
#[case::twice(r#"{ integration = "freg", scopes = ["a:*"] }, { integration = "freg", scopes = ["a:*"] }"#, &["rule 2 (for `freg`) never decides anything", "rule 1"])]
#[case::scope_allowed_already(r#"{ integration = "freg", scopes = ["a:*", "a:b/*"] }"#, &["`a:b/*`, which `a:*` allows already"])]
#[case::every_scope(r#"{ integration = "freg", scopes = ["*"] }"#, &["reaches across API providers", "Name the scopes"])]
#[case::half_a_prefix(r#"{ integration = "freg", scopes = ["folke*"] }"#, &["`folke*`, which reaches across"])]
fn rules_that_should_be_better(#[case] rules: &str, #[case] words: &[&str]) {
    let mut bench = Workbench::new();
    bench.may = format!("may = [{rules}]");
    bench.check(&[]).warns(GATEWAY, words);
}

#[rstest]
#[case::requires_more(r#"{ integration = "freg", scopes = ["a:*"] }, { integration = "freg", scopes = ["a:*", "b:*"], consumer_org = ["*"], requires = ["consumer_org"] }"#)]
#[case::other_integration(r#"{ integration = "freg", scopes = ["a:*"] }, { integration = "krr", scopes = ["a:*"] }"#)]
#[case::permits_more(r#"{ integration = "freg", scopes = ["a:*"] }, { integration = "freg", scopes = ["a:b/*"], resource = ["*"] }"#)]
fn rules_that_each_say_something(#[case] rules: &str) {
    let mut bench = Workbench::new();
    bench.may = format!("may = [{rules}]");
    let report = bench.check(&[]);
    assert_eq!(report.names("warning"), [""; 0], "{}", report.out);
}

#[rstest]
#[case::everywhere(r#"["0.0.0.0/0"]"#, &["every address of its kind", "leave `networks` out"])]
#[case::within_another(r#"["127.0.0.0/8", "127.0.0.1/32"]"#, &["127.0.0.1/32 lies within 127.0.0.0/8"])]
fn networks_that_should_be_better(#[case] networks: &str, #[case] words: &[&str]) {
    let mut bench = Workbench::new();
    bench.may = format!("{}\nnetworks = {networks}", bench.may);
    bench.check(&[]).warns(GATEWAY, words);
}

#[test]
fn networks_from_which_nobody_can_ask() {
    let mut bench = Workbench::new();
    bench.may.push_str("\nnetworks = [\"10.20.0.0/16\"]");
    bench.check(&[]).fails(GATEWAY, &["nobody else reaches the listener on 127.0.0.1", "Add 127.0.0.1/32"], &[]);
}

impl Report {
    /// As [`Report::fails`], where the network is left out.
    fn fails_offline(&self, name: &str, words: &[&str]) {
        assert_eq!(self.names("failed"), [name], "{}", self.out);
        self.with_result("failed")[0].says(words);
        assert!(self.with_result("skipped").iter().all(|line| line.because == "--offline"), "{}", self.out);
    }
}
