//! What the service manager hears, on a socket that is the test's.

use std::os::unix::net::UnixDatagram;

use rustix::process::Signal;

use crate::support::*;

/// The service with this socket to tell of itself, and what else stands in its environment.
fn start(socket: &UnixDatagram, environment: &[(&str, &str)]) -> Portvakt {
    let simulator = simulator();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("portvakt.toml"), configuration(&simulator).text()).unwrap();
    let mut command = portvakt_command();
    command.env("NOTIFY_SOCKET", socket.local_addr().unwrap().as_pathname().unwrap());
    command.envs(environment.iter().copied());
    Portvakt::start_by(command, directory)
}

fn socket(directory: &tempfile::TempDir) -> UnixDatagram {
    let socket = UnixDatagram::bind(directory.path().join("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn heard(socket: &UnixDatagram) -> String {
    let mut message = [0; 4096];
    let length = socket.recv(&mut message).expect("the service tells something");
    String::from_utf8(message[..length].to_vec()).unwrap()
}

#[test]
fn it_hears_of_the_start_and_of_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let socket = socket(&directory);
    let mut portvakt = start(&socket, &[]);
    assert_eq!(heard(&socket), "READY=1\nSTATUS=handing out tokens\n");
    assert_eq!(raw(portvakt.management, b"GET /health/ready HTTP/1.1\r\nhost: a\r\n\r\n").get(..12), Some("HTTP/1.1 200"));
    portvakt.signal(Signal::TERM);
    assert_eq!(heard(&socket), "STOPPING=1\nSTATUS=finishing what is in progress\n");
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0]).is_err(), "and nothing else: no watchdog was asked for");
}

#[test]
fn it_hears_twice_within_its_time_that_all_threads_are_alive() {
    let directory = tempfile::tempdir().unwrap();
    let socket = socket(&directory);
    let portvakt = start(&socket, &[("WATCHDOG_USEC", "2000000")]);
    assert!(heard(&socket).starts_with("READY=1\n"));
    let first = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(heard(&socket), "WATCHDOG=1\n");
    }
    assert!(first.elapsed() >= std::time::Duration::from_secs(2), "three at half the time each");
    assert!(!portvakt.log().iter().any(|line| line.contains("no sign of life")));
}

#[test]
fn somebody_elses_watchdog_is_left_alone_and_a_socket_that_is_gone_hinders_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let gone = socket(&directory);
    std::fs::remove_file(directory.path().join("notify")).unwrap();
    let mut portvakt = start(&gone, &[("WATCHDOG_USEC", "1000"), ("WATCHDOG_PID", "1")]);
    portvakt.wait_for_log(|line| line.contains("the service manager could not be told"));
    portvakt.signal(Signal::TERM);
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
    assert_eq!(portvakt.log().iter().filter(|line| line.contains("could not be told")).count(), 1, "once");
}

#[test]
fn a_socket_that_nobody_reads_hinders_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let unread = socket(&directory);
    // The least that it keeps to is a beat every 50 ms: soon the socket is full.
    let mut portvakt = start(&unread, &[("WATCHDOG_USEC", "1000")]);
    portvakt.wait_for_log(|line| line.contains("nobody reads what is sent to NOTIFY_SOCKET"));
    assert_eq!(raw(portvakt.management, b"GET /health/ready HTTP/1.1\r\nhost: a\r\n\r\n").get(..12), Some("HTTP/1.1 200"));
    portvakt.signal(Signal::HUP);
    portvakt.wait_for_log(|line| line.contains(r#""message":"reloaded""#));
    portvakt.signal(Signal::TERM);
    assert_eq!(portvakt.wait_for_end().code(), Some(0));
}
