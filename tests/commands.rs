//! The command line: what goes to which stream, exit codes, and how the service ends.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, Stage};
use rstest::rstest;
use rustix::process::Signal;
use support::wire::Wire;
use support::*;
use tempfile::TempDir;

/// What a command that ends by itself has said.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portvakt"));
    command.args(arguments).env_remove("PORTVAKT_CONFIG").env_remove("PORTVAKT_LOG");
    command
}

fn run(arguments: &[&str], stdin: &[u8]) -> Said {
    let mut child = command(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that does not read it may have ended before.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// `serve` with this file, which does not get as far as serving.
fn serve(text: &str) -> (Said, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("portvakt.toml");
    std::fs::write(&file, text).unwrap();
    (run(&["serve", "--config", file.to_str().unwrap()], b""), directory)
}

fn is_silent_on_stdout(said: &Said) {
    assert_eq!(said.out, "");
    assert!(!said.err.contains("panicked"), "{}", said.err);
}

#[rstest]
#[case(&[], 2, "", "Usage: portvakt")]
#[case(&["--help"], 0, "serve", "")]
#[case(&["help"], 0, "simulate", "")]
#[case(&["serve", "--help"], 0, "--config <FILE>", "")]
#[case(&["api-key", "--help"], 0, "hash", "")]
#[case(&["--version"], 0, concat!("portvakt ", env!("CARGO_PKG_VERSION")), "")]
#[case(&["serve", "--version"], 0, env!("CARGO_PKG_VERSION"), "")]
#[case(&["conjure"], 2, "", "conjure")]
#[case(&["api-key"], 2, "", "Usage")]
#[case(&["api-key", "conjure"], 2, "", "conjure")]
#[case(&["serve", "--conjure"], 2, "", "--conjure")]
#[case(&["serve", "--config"], 2, "", "--config")]
#[case(&["serve", "--log-format", "xml"], 2, "", "json")]
#[case(&["simulate"], 2, "", "--clients")]
#[case(&["simulate", "--clients", "/nowhere/clients.toml"], 2, "", "/nowhere/clients.toml")]
fn the_command_line(#[case] arguments: &[&str], #[case] code: i32, #[case] out: &str, #[case] err: &str) {
    let said = run(arguments, b"");
    assert_eq!(said.code, Some(code), "{}{}", said.out, said.err);
    // Help that was asked for is a result; everything else is not.
    let (silent, speaking, words) = if code == 0 { (&said.err, &said.out, out) } else { (&said.out, &said.err, err) };
    assert_eq!(silent, "");
    assert!(speaking.contains(words), "{speaking}");
}

#[test]
fn a_log_filter_that_is_none_is_wrong_usage() {
    let output = command(&["api-key", "new"]).env("PORTVAKT_LOG", "portvakt=loud").output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("PORTVAKT_LOG"));
}

#[test]
fn a_mistyped_level_does_not_silence_the_log() {
    use std::os::unix::ffi::OsStrExt;
    for filter in [b"inof".as_slice(), b"portvakt", b"\xff"] {
        let output = command(&["api-key", "new"]).env("PORTVAKT_LOG", std::ffi::OsStr::from_bytes(filter)).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{filter:?}");
    }
}

#[test]
fn a_stderr_that_cannot_be_written_changes_no_exit_code() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for (arguments, code) in [(["api-key", "new"].as_slice(), 0), (&["serve", "--config", "/nowhere/portvakt.toml"], 2)] {
        assert_eq!(command(arguments).stderr(full()).output().unwrap().status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn a_file_that_never_ends_is_not_read_to_the_end_of_memory() {
    let said = run(&["serve", "--config", "/dev/zero"], b"");
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("larger than"), "{}", said.err);
}

#[test]
fn a_file_that_is_not_there_is_wrong_configuration() {
    let said = run(&["serve", "--config", "/nowhere/portvakt.toml"], b"");
    assert_eq!(said.code, Some(2), "{}", said.err);
    is_silent_on_stdout(&said);
    assert!(said.err.contains("/nowhere/portvakt.toml"), "{}", said.err);
    // The default is the one in the working directory; the environment names another.
    let directory = tempfile::tempdir().unwrap();
    let output = command(&["serve"]).current_dir(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("portvakt.toml"));
    let output = command(&["serve"]).env("PORTVAKT_CONFIG", "/nowhere/else.toml").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/else.toml"));
}

#[test]
fn all_mistakes_of_a_file_go_to_stderr() {
    let text = Configuration {
        issuer: "http://127.0.0.1:1/".into(),
        token_endpoint: "http://127.0.0.1:1/token".into(),
        ..Configuration::default()
    };
    let text = text
        .text()
        .replace("environment = \"simulator\"", "enviroment = \"simulator\"")
        .replace("shutdown_grace = \"10s\"", "shutdown_grace = 10");
    let (said, _directory) = serve(&text);
    assert_eq!(said.code, Some(2), "{}", said.err);
    is_silent_on_stdout(&said);
    for words in ["portvakt.toml", "enviroment", "`environment`", "shutdown_grace"] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    assert!(!said.err.contains('\x1b'), "colours beyond a terminal: {}", said.err);
}

#[test]
fn a_ca_file_without_certificates_is_wrong_configuration_with_file_and_line() {
    let configuration = Configuration {
        issuer: "http://127.0.0.1:1/".into(),
        token_endpoint: "http://127.0.0.1:1/token".into(),
        sections: format!("[outbound]\nca_file = '{}'", certs("registered-2048.kid").display()),
        ..Configuration::default()
    };
    let (said, _directory) = serve(&configuration.text());
    assert_eq!(said.code, Some(2), "{}", said.err);
    is_silent_on_stdout(&said);
    for words in ["there are no CA certificates: no line of the PEM says BEGIN CERTIFICATE", "ca_file = ", "registered-2048.kid"] {
        assert!(said.err.contains(words), "{words} is not in {}", said.err);
    }
}

#[test]
fn a_key_that_does_not_open_is_wrong_configuration_with_file_and_line() {
    let local = |krr_key: String| Configuration {
        issuer: "http://127.0.0.1:1/".into(),
        token_endpoint: "http://127.0.0.1:1/token".into(),
        krr_key,
        ..Configuration::default()
    };
    let password = certs("virksomhet.p12.password");
    let table = [
        (format!("{{ pkcs12_file = '{}' }}", certs("virksomhet.p12").display()), "virksomhet.p12", "password"),
        (format!("{{ pkcs12_file = '{}', password_file = '{}' }}", certs("ec.p12").display(), password.display()), "ec.p12", "EC"),
        (
            format!("{{ pkcs12_file = '{}', password_file = '{}' }}", certs("virksomhet.pem").display(), password.display()),
            "virksomhet.pem",
            "PEM",
        ),
        (format!("{{ private_key_file = '{}', kid = 'x' }}", certs("rsa-1024.key").display()), "rsa-1024.key", "1024"),
    ];
    for (krr_key, file, why) in table {
        let text = local(krr_key).text();
        let line = 1 + text.lines().position(|line| line.starts_with("key = ") && line.contains(file)).unwrap();
        let (said, _directory) = serve(&text);
        assert_eq!(said.code, Some(2), "{}", said.err);
        is_silent_on_stdout(&said);
        for words in ["integration `krr`", file, why, &format!("portvakt.toml:{line}:")] {
            assert!(said.err.contains(words), "{words}: {}", said.err);
        }
    }
    // Two that do not open are told of in one go.
    let text = local(format!("{{ private_key_file = '{}', kid = 'x' }}", certs("rsa-1024.key").display())).text();
    let text = text.replace(certs("registered-2048.pem").to_str().unwrap(), certs("ec.key").to_str().unwrap());
    let (said, _directory) = serve(&text);
    assert!(said.err.contains("integration `krr`") && said.err.contains("integration `freg`"), "{}", said.err);
}

#[rstest]
#[case("listen = \"127.0.0.1:0\"\nshutdown_grace")]
#[case("[management]\nlisten = \"127.0.0.1:0\"")]
fn an_address_that_is_taken_is_no_mistake_of_the_file(#[case] place: &str) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = Configuration {
        issuer: "http://127.0.0.1:1/".into(),
        token_endpoint: "http://127.0.0.1:1/token".into(),
        ..Configuration::default()
    }
    .text();
    assert!(text.contains(place));
    let (said, _directory) = serve(&text.replace(place, &place.replace("127.0.0.1:0", &address)));
    assert_eq!(said.code, Some(1), "{}", said.err);
    is_silent_on_stdout(&said);
    assert!(said.err.contains(&format!("cannot listen on {address}")), "{}", said.err);
}

#[tokio::test]
async fn a_new_key_is_shown_once_and_works() {
    let said = run(&["api-key", "new"], b"");
    assert_eq!(said.code, Some(0), "{}", said.err);
    let [key, line] = said.out.lines().collect::<Vec<_>>()[..] else { panic!("two lines: {}", said.out) };
    assert!(key.len() == 52 && key.starts_with("pv_") && key.bytes().skip(3).all(|byte| byte.is_ascii_alphanumeric()), "{key}");
    assert_eq!(line, format!("{{ sha256 = \"{}\" }}", sha256(key)));
    assert!(!said.err.contains(key) && said.err.contains("once"), "{}", said.err);
    assert_ne!(run(&["api-key", "new"], b"").out.lines().next(), Some(key));
    // `hash` makes the same line of it.
    assert_eq!(run(&["api-key", "hash"], key.as_bytes()).out, format!("{line}\n"));
    let simulator = simulator();
    let more = format!("[[caller]]\nname = \"new\"\nkeys = [{line}]\nmay = [{{ integration = \"freg\", scopes = [\"{FREG_SCOPE}\"] }}]");
    let portvakt = Portvakt::start(&Configuration { more, ..configuration(&simulator) });
    portvakt.ask().with("X-Gravitee-Api-Key", key).send().await.token();
}

/// As `portvakt api-key new | head -n 1`, which its help shows.
#[test]
fn who_reads_the_key_alone_makes_nothing_fail() {
    let mut child = command(&["api-key", "new"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut key = String::new();
    // Unbuffered and gone with the line, as head is.
    let mut stdout = child.stdout.take().unwrap();
    while !key.ends_with('\n') {
        let mut byte = [0];
        stdout.read_exact(&mut byte).unwrap();
        key.push(char::from(byte[0]));
    }
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), key.len()), (Some(0), 53), "{err}");
    assert!(!err.contains("error:"), "{err}");
}

#[rstest]
#[case::plain("some-key", "some-key")]
#[case::a_line("some-key\n", "some-key")]
#[case::a_windows_line("some-key\r\n", "some-key")]
#[case::the_longest(&"k".repeat(256), &"k".repeat(256))]
#[case::inner_space("some key", "some key")]
fn hash_drops_one_line_break(#[case] stdin: &str, #[case] key: &str) {
    let said = run(&["api-key", "hash"], stdin.as_bytes());
    assert_eq!((said.code, said.out), (Some(0), format!("{{ sha256 = \"{}\" }}\n", sha256(key))), "{}", said.err);
}

#[rstest]
#[case::nothing(b"", "no key")]
#[case::a_line_break(b"\n", "no key")]
#[case::two_line_breaks(b"some-key\n\n", "line break")]
#[case::two_lines(b"some\nkey", "line break")]
#[case::a_lone_return(b"some-key\r", "begins or ends")]
#[case::a_space_behind(b"some-key \n", "begins or ends")]
#[case::a_control_character(b"some\x00key", "control character")]
#[case::too_long(&[b'k'; 257], "256 bytes")]
#[case::endless(&vec![b'k'; 200_000], "256 bytes")]
#[case::binary(b"\xff\xfe\x00", "stdin")]
#[case::null(b"null", "no key was given")]
#[case::unevaluated(b"{#properties['key']}", "no key was given")]
#[case::ours_cut_short(b"pv_0123456789", "checksum")]
#[case::ours_mistyped(b"pv_0123456789012345678901234567890123456789012xxxxxx", "checksum")]
fn hash_refuses_what_can_be_no_key(#[case] stdin: &[u8], #[case] why: &str) {
    let said = run(&["api-key", "hash"], stdin);
    assert_eq!(said.code, Some(2), "{}", said.err);
    is_silent_on_stdout(&said);
    assert!(said.err.contains(why), "{}", said.err);
    assert!(!said.err.contains("some") && !said.err.contains("0123456789") && !said.err.contains("kkkk"), "{}", said.err);
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let output = command(&["api-key", "new"]).stdout(full()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("stdout") && !said.contains("panicked"), "{said}");
}

/// A request to /token that waits for the simulator, which has it.
async fn waiting(portvakt: &Portvakt, simulator: &portvakt::simulator::Simulator) -> Wire {
    let mut wire = Wire::connect(portvakt.tokens);
    wire.send(format!("GET /token HTTP/1.1\r\nX-Gravitee-Api-Key: {API_KEY}\r\nscope: {FREG_SCOPE}\r\niss: {FREG}\r\nhost: a\r\n\r\n"));
    simulator.wait_for_exchanges(1, PATIENCE).await.unwrap();
    wire
}

fn is_ready(portvakt: &Portvakt) -> u16 {
    Wire::connect(portvakt.management).ask("GET /health/ready HTTP/1.1\r\nhost: a\r\n\r\n").status
}

#[rstest]
#[case(Signal::TERM)]
#[case(Signal::INT)]
#[tokio::test]
async fn a_signal_ends_the_service_once_what_is_in_progress_is_finished(#[case] signal: Signal) {
    let simulator = simulator();
    let mut portvakt = Portvakt::start(&configuration(&simulator));
    simulator.fault(FaultKind::Delay { milliseconds: 1500 }).unwrap();
    let mut wire = waiting(&portvakt, &simulator).await;
    assert_eq!(is_ready(&portvakt), 200);
    portvakt.signal(signal);
    portvakt.wait_for_log(|line| line.contains("stopping"));
    assert_eq!(is_ready(&portvakt), 503);
    // The listener closes while the answer is still waited for; each attempt before that only finds it open.
    while TcpStream::connect(portvakt.tokens).is_ok() {
        assert_eq!(simulator.counters().answered, 0, "the answer came, and the listener is still open");
        std::thread::yield_now();
    }
    assert_eq!(simulator.counters().answered, 0, "the listener closed only when the answer had come");
    let answer = wire.answer().checked();
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(wire.is_closed());
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
    assert!(portvakt.log().last().unwrap().contains("stopped"));
}

#[test]
fn a_signal_as_early_as_can_be_is_heeded() {
    let simulator = simulator();
    let mut portvakt = Portvakt::start(&configuration(&simulator));
    portvakt.signal(Signal::TERM);
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
}

#[tokio::test]
async fn connections_on_which_nothing_is_asked_hold_nothing_up() {
    let simulator = simulator();
    let mut portvakt = Portvakt::start(&configuration(&simulator));
    let mut used = waiting(&portvakt, &simulator).await;
    assert_eq!(used.answer().status, 200);
    let mut silent = Wire::connect(portvakt.tokens);
    let mut halfway = Wire::connect(portvakt.tokens);
    halfway.send("GET /token HTTP/1.1\r\nX-Gravitee");
    let mut management = Wire::connect(portvakt.management);
    assert_eq!(management.ask("GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
    let asked = Instant::now();
    portvakt.signal(Signal::TERM);
    assert!(used.is_closed() && silent.is_closed() && management.is_closed());
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?} of a grace of 10 s", asked.elapsed());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let simulator = simulator();
    let sections = "[outbound]\nattempt_timeout = \"20s\"\ndeadline = \"20s\"".to_owned();
    let mut portvakt = Portvakt::start(&Configuration { shutdown_grace: "60s".into(), sections, ..configuration(&simulator) });
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    let mut wire = waiting(&portvakt, &simulator).await;
    let asked = Instant::now();
    portvakt.signal(Signal::TERM);
    portvakt.wait_for_log(|line| line.contains("stopping"));
    portvakt.signal(Signal::INT);
    portvakt.wait_for_end();
    assert!(wire.is_closed());
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn when_the_grace_is_over_it_ends() {
    let simulator = simulator();
    let sections = "[outbound]\nattempt_timeout = \"20s\"\ndeadline = \"20s\"".to_owned();
    let mut portvakt = Portvakt::start(&Configuration { shutdown_grace: "1s".into(), sections, ..configuration(&simulator) });
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    let mut wire = waiting(&portvakt, &simulator).await;
    let asked = Instant::now();
    portvakt.signal(Signal::TERM);
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
    assert!(wire.is_closed());
    let took = asked.elapsed();
    assert!(took >= Duration::from_millis(900) && took < Duration::from_secs(6), "{took:?}");
}

#[test]
fn plain_http_beyond_loopback_is_said_in_the_log() {
    let simulator = simulator();
    for (listen, said) in [("0.0.0.0:0", true), ("[::]:0", true), ("127.0.0.1:0", false), ("[::1]:0", false)] {
        let mut portvakt = Portvakt::start(&Configuration { listen: listen.into(), ..configuration(&simulator) });
        portvakt.signal(Signal::TERM);
        portvakt.wait_for_end();
        let warnings = portvakt.log().into_iter().filter(|line| line.contains("WARN") && line.contains("plain HTTP")).count();
        assert_eq!(warnings, usize::from(said), "{listen}");
    }
}

#[test]
fn the_simulator_says_so_when_its_address_is_taken() {
    let clients = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/quickstart/clients.toml");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = run(&["simulate", "--listen", &address, "--clients", clients], b"");
    assert_eq!(said.code, Some(1), "{}", said.err);
    is_silent_on_stdout(&said);
    assert!(said.err.contains(&address), "{}", said.err);
}
