//! `portvakt health`: whether the service is ready.

use std::fs;
use std::net::TcpListener;

use crate::run::{directory, run};
use crate::support::{Portvakt, configuration, simulator};

#[test]
fn a_service_that_is_ready() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    let address = portvakt.management.to_string();
    let said = run(directory().path(), &["health", "--address", &address]).fine();
    assert_eq!((said.out.as_str(), said.err.as_str()), ("ready\n", ""));
    // By the file, too; a listener on all addresses is reached by loopback.
    for everywhere in [address.clone(), address.replace("127.0.0.1", "0.0.0.0")] {
        let file = portvakt.directory.path().join("with-port.toml");
        let text = fs::read_to_string(portvakt.directory.path().join("portvakt.toml")).unwrap();
        fs::write(&file, text.replace("[management]\nlisten = \"127.0.0.1:0\"", &format!("[management]\nlisten = \"{everywhere}\"")))
            .unwrap();
        run(directory().path(), &["health", "--config", file.to_str().unwrap()]).fine();
    }
}

#[test]
fn nobody_is_there_or_somebody_else_is() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    drop(taken);
    let said = run(directory().path(), &["health", "--address", &address]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains(&format!("no answer from http://{address}/health/ready: Connection refused")), "{}", said.err);
    let simulator = simulator();
    let said = run(directory().path(), &["health", "--address", &simulator.address().to_string()]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    assert!(said.err.contains("answers 404"), "{}", said.err);
}

#[test]
fn a_port_that_nobody_can_know() {
    let portvakt_toml = directory();
    run(portvakt_toml.path(), &["health"]).misused("portvakt.toml");
    let flags = ["init", "--environment", "test", "--client-id", "x", "--krr", "--new-key"];
    run(portvakt_toml.path(), &flags).fine();
    let file = portvakt_toml.path().join("portvakt.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("# listen = \"127.0.0.1:9464\"", "listen = \"127.0.0.1:0\"")).unwrap();
    run(portvakt_toml.path(), &["health"]).misused("--address");
}
