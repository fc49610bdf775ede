//! `portvakt token`: one token, and all that can be seen of how it came about.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use portvakt::simulator::{FaultKind, Rule, Simulator};
use rstest::rstest;
use tempfile::TempDir;

use crate::run::{Said, command, directory, run};
use crate::support::{CONSUMER, FREG, FREG_SCOPE, FREG_SCOPE_2, KRR_SCOPE, claims, configuration, simulator};

const PERSON: &str = "01017012345";

/// A directory with a portvakt.toml for this simulator, and files that name a person.
fn set_up(simulator: &Simulator) -> TempDir {
    let directory = directory();
    let file = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    file("portvakt.toml", &configuration(simulator).text());
    file("pid.txt", &format!("{PERSON}\n"));
    file(
        "details.json",
        &format!(
            r#"[{{"type":"urn:altinn:consent","id":"6c5d7a0e-9a43-4a1f-8a4e-0d2a5b7f2a11","from":"urn:altinn:person:identifier-no:{PERSON}"}}]"#
        ),
    );
    directory
}

fn token(directory: &TempDir, arguments: &[&str]) -> Said {
    run(directory.path(), &[&["token"], arguments].concat())
}

/// The value of a line of the text.
#[track_caller]
fn value<'t>(text: &'t str, name: &str) -> &'t str {
    let value = text.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(' ').map(str::trim));
    value.unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn a_registered_key_the_grant_the_answer_and_the_claims() {
    let simulator = simulator();
    let directory = set_up(&simulator);
    let said = token(&directory, &["--integration", "freg", "--scope", FREG_SCOPE]).fine();
    assert_eq!(said.err, "");
    for (name, expected) in [
        ("alg", "RS256"),
        ("kid", "portvakt-test-2048"),
        ("aud", simulator.issuer()),
        ("iss", FREG),
        ("scope", FREG_SCOPE),
        ("expires_in", "119"),
        ("client_amr", "private_key_jwt"),
    ] {
        assert_eq!(value(&said.out, name), expected, "{}", said.out);
    }
    assert!(value(&said.out, "consumer").contains(r#""ID":"0192:991825827""#), "{}", said.out);
    let moment = value(&said.out, "exp");
    assert!(moment.len() > 21 && moment.as_bytes()[10] == b'T' && moment.contains("Z, in "), "{moment}");
    assert!(value(&said.out, "access_token").ends_with("; --raw prints it"), "{}", said.out);
    assert!(said.out.contains("The grant, signed in ") && said.out.contains("/token, in "), "{}", said.out);
    // No line holds a JWT: neither the grant nor the token can be taken from the screen.
    assert!(
        said.out.split_whitespace().all(|word| word.matches('.').count() < 2 || !word.starts_with("eyJ") || word.len() < 40),
        "{}",
        said.out
    );
    assert_eq!(simulator.counters().answered, 1);
}

#[test]
fn a_certificates_chain_is_shown_by_its_subjects() {
    let simulator = simulator();
    let directory = set_up(&simulator);
    let said = token(&directory, &["--integration", "krr", "--scope", KRR_SCOPE]).fine();
    let chain = value(&said.out, "x5c");
    assert!(chain.starts_with("2 certificates: C=NO, O=DIGITALISERINGSDIREKTORATET") && chain.contains("Buypass"), "{chain}");
    assert_eq!(value(&said.out, "client_amr"), "virksomhetssertifikat");
    // The integration can be named by its client ID, too.
    token(&directory, &["--integration", crate::support::KRR, "--scope", KRR_SCOPE]).fine();
}

/// What a token says is its server's to choose: a person under another name, and what turns a terminal's text round.
#[test]
fn a_persons_number_is_hidden_wherever_the_token_has_it() {
    let simulator = simulator();
    let directory = set_up(&simulator);
    let part = |json: String| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, json);
    let claims = format!(r#"{{"sub":"{PERSON}","details":[{{"from":"no:{PERSON}"}}],"consumer":"0192:991825827","turned":"a\u202eb"}}"#);
    let token_of = format!("{}.{}.{}", part("{}".to_owned()), part(claims), part("signature".to_owned()));
    let body = format!(r#"{{"access_token":"{token_of}","token_type":"Bearer","expires_in":119}}"#);
    simulator.fault(FaultKind::Status { status: 200, headers: [].into(), body }).unwrap();
    let arguments = ["--integration", "freg", "--scope", FREG_SCOPE];
    let said = token(&directory, &arguments).fine();
    assert!(!said.out.contains(PERSON) && !said.out.contains('\u{202e}'), "{}", said.out);
    assert_eq!(value(&said.out, "sub"), "[11 digits]");
    assert_eq!(value(&said.out, "details"), r#"[{"from":"no:[11 digits]"}]"#);
    assert_eq!(value(&said.out, "consumer"), "0192:991825827");
    let said = token(&directory, &[&arguments[..], &["--show-pid"]].concat()).fine();
    assert_eq!(value(&said.out, "sub"), PERSON);
}

#[test]
fn raw_is_the_token_and_nothing_else() {
    let simulator = simulator();
    let directory = set_up(&simulator);
    let said = token(&directory, &["--integration", "freg", "--scope", FREG_SCOPE, "--scope", FREG_SCOPE_2, "--raw"]).fine();
    assert_eq!(said.err, "");
    let token = said.out.strip_suffix('\n').unwrap();
    assert_eq!(claims(token)["scope"], format!("{FREG_SCOPE_2} {FREG_SCOPE}"));
}

#[test]
fn all_parameters_reach_the_grant() {
    let simulator = simulator();
    let directory = set_up(&simulator);
    let parameters = ["--resource", "https://a.example.no", "--resource", "https://b.example.no", "--consumer-org", CONSUMER];
    let said =
        token(&directory, &[&["--integration", "freg", "--scope", FREG_SCOPE, "--pid-file", "pid.txt"], &parameters[..]].concat()).fine();
    assert_eq!(value(&said.out, "resource"), r#"["https://a.example.no","https://b.example.no"]"#);
    assert_eq!(value(&said.out, "consumer_org"), CONSUMER);
    let counters = simulator.counters();
    let grant = counters.last_grants.back().unwrap();
    assert_eq!(grant.claims.get("pid").and_then(|pid| pid.as_str()), Some(PERSON));
}

#[rstest]
#[case::pid(&["--pid-file", "pid.txt"], "pid", "hidden: --show-pid shows it")]
#[case::authorization_details(&["--authorization-details", "details.json"], "authorization_details", "urn:altinn:consent; the rest is hidden: --show-pid shows it")]
fn a_person_is_shown_only_when_that_is_asked_for(#[case] parameters: &[&str], #[case] name: &str, #[case] hidden: &str) {
    let simulator = simulator();
    let directory = set_up(&simulator);
    let arguments = [&["--integration", "freg", "--scope", FREG_SCOPE], parameters].concat();
    let said = token(&directory, &arguments).fine();
    assert_eq!(value(&said.out, name), hidden);
    assert!(!said.out.contains(PERSON) && !said.err.contains(PERSON), "{}{}", said.out, said.err);
    let said = token(&directory, &[arguments.as_slice(), &["--show-pid"]].concat()).fine();
    // In the grant, and in the token.
    assert_eq!(said.out.matches(PERSON).count(), 2, "{}", said.out);
}

#[test]
fn a_person_can_come_from_stdin() {
    let simulator = simulator();
    let directory = set_up(&simulator);
    let arguments = ["token", "--integration", "freg", "--scope", FREG_SCOPE, "--pid-file", "-", "--raw"];
    let mut child = command(directory.path(), &arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PERSON.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(claims(String::from_utf8(output.stdout).unwrap().trim())["pid"], PERSON);
}

#[test]
fn every_refusal_is_named_with_its_trace_id_and_what_mends_it() {
    let simulator = simulator();
    let directory = set_up(&simulator);
    for rule in Rule::all() {
        simulator.fault(FaultKind::Error { code: rule.name().to_owned() }).unwrap();
        for raw in [false, true] {
            let arguments = ["--integration", "freg", "--scope", FREG_SCOPE, "--pid-file", "pid.txt", "--raw"];
            let said = token(&directory, &arguments[..arguments.len() - usize::from(!raw)]);
            assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
            assert!(said.err.contains(rule.error()) && said.err.contains("trace ID "), "{}", said.err);
            assert!(said.err.contains("\nWhat to do: ") && said.err.contains("\nWho can: "), "{}", said.err);
            assert!(rule.code().is_none_or(|code| said.err.contains(code)), "{}", said.err);
            assert!(!said.err.contains(PERSON) && !said.out.contains(PERSON));
            // What was sent is what has to be looked at; a script gets nothing that is no token.
            assert_eq!(said.out.contains("The grant, signed in"), !raw, "{}", said.out);
            assert_eq!(said.out.is_empty(), raw);
        }
    }
}

#[rstest]
#[case::ahead(60, "this machine's clock is 60 s behind Maskinporten's")]
#[case::behind(-60, "this machine's clock is 60 s ahead of Maskinporten's")]
fn a_clock_that_is_off_is_said_and_put_right(#[case] seconds: i64, #[case] words: &str) {
    let simulator = simulator();
    let directory = set_up(&simulator);
    simulator.fault(FaultKind::ClockSkew { seconds }).unwrap();
    let said = token(&directory, &["--integration", "freg", "--scope", FREG_SCOPE]).fine();
    assert!(off(&said.err, words), "{}", said.err);
    assert_eq!(said.out.matches("The grant, signed in").count(), 2, "{}", said.out);
    assert!(value(&said.out, "clock").ends_with("set it right"), "{}", said.out);
    // A script gets its token all the same.
    let said = token(&directory, &["--integration", "freg", "--scope", FREG_SCOPE, "--raw"]).fine();
    assert_eq!(claims(said.out.trim())["client_id"], FREG);
}

/// Dates have whole seconds, and the way takes time: a second less is as right.
fn off(text: &str, words: &str) -> bool {
    ["59 s", "60 s", "61 s"].iter().any(|seconds| text.contains(&words.replace("60 s", seconds)))
}

#[test]
fn an_hour_is_too_much_to_be_put_right() {
    let simulator = simulator();
    let directory = set_up(&simulator);
    simulator.fault(FaultKind::ClockSkew { seconds: 3600 }).unwrap();
    let said = token(&directory, &["--integration", "freg", "--scope", FREG_SCOPE]);
    assert_eq!(said.code, Some(1));
    assert_eq!(simulator.counters().answered, 1);
    assert!(said.err.contains("behind Maskinporten's"), "{}", said.err);
}

#[test]
fn nobody_answers() {
    let simulator = simulator();
    let directory = set_up(&simulator);
    drop(simulator);
    let said = token(&directory, &["--integration", "freg", "--scope", FREG_SCOPE]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("No answer from http://127.0.0.1:") && said.out.contains("No token from"), "{}{}", said.out, said.err);
}

#[rstest]
#[case(&["--scope", FREG_SCOPE], "several integrations: say which with --integration: freg, krr")]
#[case(&["--integration", "frge", "--scope", FREG_SCOPE], "there is no integration frge: there are freg, krr")]
#[case(&["--integration", "freg"], "--scope")]
#[case(&["--integration", "freg", "--scope", "ø"], "--scope: ")]
#[case(&["--integration", "freg", "--scope", " "], "no scope is named")]
#[case(&["--integration", "freg", "--scope", "a:b", "--consumer-org", "88964078"], "9 digits")]
#[case(&["--integration", "freg", "--scope", "a:b", "--consumer-org", CONSUMER, "--iss-onbehalfof", "x"], "cannot be used with")]
#[case(&["--integration", "freg", "--scope", "a:b", "--pid-file", "details.json"], "11 digits")]
#[case(&["--integration", "freg", "--scope", "a:b", "--pid-file", "nothing.txt"], "nothing.txt cannot be read")]
#[case(&["--integration", "freg", "--scope", "a:b", "--pid-file", "-"], "stdin is empty")]
#[case(&["--integration", "freg", "--scope", "a:b", "--pid-file", "-", "--authorization-details", "-"], "cannot both be stdin")]
#[case(&["--integration", "freg", "--scope", "a:b", "--authorization-details", "pid.txt"], "authorization_details is not a JSON array")]
#[case(&["--integration", "freg", "--scope", "a:b", "--authorization-details", "/dev/zero"], "larger than 64 KiB")]
#[case(&["--integration", "freg", "--scope", "a:b", "--raw", "--show-pid"], "cannot be used with")]
#[case(&["--scope", "a:b", "--config", "nowhere.toml"], "nowhere.toml")]
fn what_cannot_be_asked_for(#[case] arguments: &[&str], #[case] why: &str) {
    let simulator = simulator();
    let directory = set_up(&simulator);
    let said = token(&directory, arguments);
    said.misused(why);
    assert!(!said.err.contains(PERSON), "{}", said.err);
    assert_eq!(simulator.counters().answered, 0);
}
