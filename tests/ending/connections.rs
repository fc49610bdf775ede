//! Many connections, slow ones, and few files to hold them with.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use portvakt::simulator::{FaultKind, Stage};
use rstest::rstest;
use rustix::process::Signal;

use crate::support::wire::Wire;
use crate::support::*;
use crate::{health, token_request};

/// `serve` under a hard limit of so many files.
fn with_files(files: u32, configuration: &Configuration) -> Portvakt {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("portvakt.toml"), configuration.text()).unwrap();
    let binary = portvakt_command();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit -Sn {files} && ulimit -Hn {files} && exec \"$0\" \"$@\"")).arg(binary.get_program());
    for (name, _) in binary.get_envs() {
        command.env_remove(name);
    }
    Portvakt::start_by(command, directory)
}

/// They say nothing, they begin a request, or they ask for one thing after another on a connection that they keep.
#[rstest]
#[case::silent("")]
#[case::that_begin_a_request("GET /token HTTP/1.1\r\nX-Gravitee")]
#[case::that_ask_and_stay("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n")]
#[tokio::test]
async fn a_thousand_connections_and_few_files(#[case] sent: &str) {
    raise_file_limit();
    let simulator = simulator();
    let mut portvakt = with_files(256, &configuration(&simulator));
    portvakt.wait_for_log(|line| line.contains("few files may be open at once") && line.contains("\"files\":256"));
    let loud = || portvakt.log().into_iter().filter(|line| ["\"ERROR\"", "\"WARN\""].iter().any(|level| line.contains(level)));
    let at_the_start = loud().count();
    let mut regular = Wire::connect(portvakt.tokens);
    assert_eq!(regular.ask(token_request()).status, 200);
    let others: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut other = TcpStream::connect(portvakt.tokens).unwrap();
            other.write_all(sent.as_bytes()).unwrap();
            other
        })
        .collect();
    let management: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(portvakt.management).unwrap()).collect();
    let asked = Instant::now();
    // Who comes now is served: from the cache, by an exchange (not the same one twice), and by management.
    for number in 0..20 {
        let answer = Wire::connect(portvakt.tokens).ask(token_request().replace(FREG_SCOPE, &format!("test:{number}")));
        assert_eq!(answer.status, 200);
        assert_eq!(Wire::connect(portvakt.tokens).ask(token_request()).status, 200);
        assert_eq!(health(portvakt.management, "ready").status, 200);
    }
    assert!(asked.elapsed() < Duration::from_secs(10), "they had to wait for others to be given up: {:?}", asked.elapsed());
    // Who was served before has not been pushed out by those who were not.
    if sent.is_empty() {
        assert_eq!(regular.ask(token_request()).status, 200);
    }
    assert!(portvakt.metric("process_open_fds").await.unwrap() < 250.0);
    assert_eq!(loud().nth(at_the_start), None, "nobody is told of each connection");
    drop((others, management));
    portvakt.signal(Signal::TERM);
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
}

#[test]
fn how_many_connections_there_can_be_is_said_at_the_start() {
    let simulator = simulator();
    let portvakt = with_files(8192, &configuration(&simulator));
    let line = portvakt.wait_for_log(|line| line.contains("connections are held at once"));
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["files"], &line["connections"]), (&8192.into(), &(8192 - 512 - 128).into()));
}

/// The first request's head has a limit of its own.
#[test]
fn a_later_request_that_is_never_finished_is_given_up() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let mut wires = [Wire::connect(portvakt.tokens), Wire::connect(portvakt.management)];
    for wire in &mut wires {
        assert_eq!(wire.ask("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").status, 404);
        wire.send("GET /nothing HTTP/1.1\r\nX-Sl");
    }
    assert!(wires.iter_mut().all(Wire::is_closed));
}

/// Taken for one that is never finished, it would be cut off.
#[tokio::test]
async fn a_request_that_waits_longer_than_that_is_answered() {
    let simulator = simulator();
    let sections = "[outbound]\nattempt_timeout = \"13s\"\ndeadline = \"30s\"".to_owned();
    let portvakt = Portvakt::start(&Configuration { sections, ..configuration(&simulator) });
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }.times(1)).unwrap();
    assert_eq!(Wire::connect(portvakt.tokens).ask(token_request()).checked().status, 200, "the second attempt's");
}

/// A drop now and then keeps the connection alive for TCP.
#[test]
fn who_sends_a_head_drop_by_drop_is_given_up() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let mut connection = TcpStream::connect(portvakt.tokens).unwrap();
    connection.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let asked = Instant::now();
    let mut answer = Vec::new();
    let end = loop {
        assert!(asked.elapsed() < PATIENCE, "it is still listened to");
        if connection.write_all(b"x").is_err() {
            break 0;
        }
        let mut chunk = [0; 1024];
        match connection.read(&mut chunk) {
            Ok(0) => break 0,
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break 0,
        }
    };
    assert_eq!(end, 0);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
}
