//! `portvakt demo`, as somebody sees it who has just cloned the project.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/curl.rs"]
mod curl;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use curl::Curl;
use rstest::rstest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The demo, with its files below `temporary`.
fn demo(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portvakt"));
    command.arg("demo").args(arguments).env("TMPDIR", temporary).env_remove("PORTVAKT_LOG").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn once(temporary: &Path) -> Output {
    demo(temporary, &["--once"]).output().unwrap()
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn once_shows_each_step_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let output = once(temporary.path());
    let (shown, errors) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{shown}{errors}");
    assert_eq!(errors, "", "the log is quiet");
    for expected in [
        "1. Folkeregisteret uten hjemmel",
        "2. The same again",
        "took the token from its cache",
        "3. Folkeregisteret med hjemmel",
        "4. Kontakt- og reservasjonsregisteret",
        "RS256, x5c with 1 certificate",
        "RS256, kid demo-",
        "consumer 0192:999888777",
        "5. 200 callers at once",
        "signed one grant, exchanged it once, and gave the token to all",
        "6. Maskinporten is down",
        "403 invalid_scope: This caller may not have",
        "502 invalid_scope: Maskinporten refused the grant",
        "MP-200, trace_id ",
        "All 8 steps went as they should: 207 calls, 5 exchanges with Maskinporten.",
    ] {
        assert!(shown.contains(expected), "{expected} is not in:\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "no colours without a terminal:\n{shown}");
    assert!(!shown.contains("Try it by hand"), "{shown}");
    assert!(shown.split_whitespace().all(|word| word.len() < 100), "no token is shown whole:\n{shown}");
    assert!(is_empty(temporary.path()), "its files are removed");
}

#[test]
fn with_nowhere_to_write_it_says_so_and_fails() {
    let temporary = tempfile::tempdir().unwrap();
    let nowhere = temporary.path().join("is-not-there");
    let output = once(&nowhere);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("error: the demo's files could not be written below"), "{errors}");
    assert!(errors.contains(nowhere.to_str().unwrap()), "{errors}");
}

/// A demo that stays up, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[rstest]
#[case(Signal::INT)]
#[case(Signal::TERM)]
#[tokio::test]
async fn it_stays_up_for_its_own_curl_lines_until_a_signal_ends_it(#[case] signal: Signal) {
    let temporary = tempfile::tempdir().unwrap();
    let mut running = Running(demo(temporary.path(), &[]).spawn().unwrap());
    let mut screen = BufReader::new(running.0.stdout.take().unwrap());
    let lines: Vec<String> = screen.by_ref().lines().map(Result::unwrap).take_while(|line| !line.starts_with("Ctrl-C ends")).collect();
    let curls: Vec<Curl> = lines.iter().filter(|line| line.starts_with("curl ")).map(|line| Curl::parse(line)).collect();
    let mut answers = Vec::new();
    for curl in curls {
        answers.push(curl.send().await);
    }
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 403, 200, 204, 502, 200, 200], "{lines:#?}{answers:#?}");

    let json = |index: usize| serde_json::from_str::<Value>(&answers[index].1).unwrap();
    assert!(json(0)["expires_in"].as_u64().unwrap() > 0);
    assert_eq!(json(1)["error"], "invalid_scope");
    let counted = r#"portvakt_token_requests_total{caller="gateway-freg",integration="freg",result="granted"} 204"#;
    assert!(answers[2].1.contains(counted), "{}", answers[2].1);
    assert_eq!(json(4)["maskinporten_code"], "MP-121");
    assert_eq!(json(6)["refused_by_code"]["MP-121"], 1);

    assert!(!is_empty(temporary.path()), "its files are there while it runs");
    kill_process(Pid::from_child(&running.0), signal).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    assert!(is_empty(temporary.path()), "its files are removed");
}
