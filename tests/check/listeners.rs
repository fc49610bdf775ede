//! The listeners' addresses: free, held by a Portvakt, held by somebody else, or not to be had.

use std::net::TcpListener;

use rstest::rstest;

use crate::servers;
use crate::support::*;
use crate::workbench::*;

#[rstest]
#[case::silent(None)]
#[case::a_web_server(Some(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Request-Id: a\r\n\r\nhello\n".as_slice()))]
#[case::no_web_server(Some(b"SSH-2.0-OpenSSH_9.2\r\n".as_slice()))]
fn an_address_that_a_stranger_holds(#[case] answer: Option<&'static [u8]>) {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = answer.map_or_else(|| silent.local_addr().unwrap(), servers::answering);
    let mut bench = Workbench::new();
    bench.listen = address.to_string();
    let words = ["another program holds the address", &format!("sport = :{}", address.port()), "another port in `listen` in [server]"];
    bench.check(&[]).fails(&format!("listeners {address}"), &words, &[]);
    (bench.listen, bench.management) = ("127.0.0.1:0".to_owned(), address.to_string());
    bench.check(&[]).fails(&format!("listeners {address}"), &["another program", "[management]"], &[]);
}

#[test]
fn addresses_that_a_running_portvakt_holds_are_ok() {
    let mut bench = Workbench::new();
    let running = Portvakt::start(&configuration(&bench.simulator));
    (bench.listen, bench.management) = (running.tokens.to_string(), running.management.to_string());
    let report = bench.check(&[]);
    let lines: Vec<Line> = report.with_result("ok").into_iter().filter(|line| line.name.starts_with("listeners")).collect();
    assert_eq!(lines.len(), 2, "{}", report.out);
    for line in lines {
        line.says(&["held by a Portvakt that is running"]);
    }
    // One that belongs to another configuration is in the way.
    bench.management = servers::closed().to_string();
    bench.check(&[]).fails(&format!("listeners {}", running.tokens), &["another program"], &[]);
    // Nor does a management listener hand out tokens, or the reverse.
    (bench.listen, bench.management) = (running.management.to_string(), running.tokens.to_string());
    assert_eq!(bench.check(&[]).names("failed").len(), 2);
}

#[test]
fn plain_http_beyond_loopback() {
    let mut bench = Workbench::new();
    bench.listen = "0.0.0.0:0".to_owned();
    bench.management = "0.0.0.0:0".to_owned();
    bench.check(&[]).warns("listeners 0.0.0.0:0", &["plain HTTP beyond loopback", "ends TLS in front"]);
}

#[test]
fn an_address_of_another_machine() {
    let mut bench = Workbench::new();
    bench.management = "192.0.2.1:9464".to_owned(); // RFC 5737: nobody's
    bench.check(&[]).fails("listeners 192.0.2.1:9464", &["192.0.2.1 is not an address of this machine", "[management]"], &[]);
}
