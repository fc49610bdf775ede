//! A service, its file, and ways to change it.

use std::io::copy;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

use openssl::x509::X509;
use portvakt::simulator::{ClientSettings, RegisteredKey, Settings, Simulator};
use rustix::process::Signal;
use serde_json::Value;

use crate::support::*;

pub(crate) const KID: &str = "portvakt-test-2048";
pub(crate) const OTHER_KID: &str = "portvakt-test-4096";
pub(crate) const NOTHING: &str = "nothing has changed";

/// A simulator that knows both integrations, the first one with two keys and each with both scopes.
pub(crate) fn simulator_with_two_keys() -> Simulator {
    let key = |bits: u32| {
        let jwk = std::fs::read_to_string(certs(&format!("registered-{bits}.public.jwk"))).unwrap();
        RegisteredKey::from_jwk(&jwk).unwrap()
    };
    let freg = ClientSettings::new(FREG, "991825827").scope(FREG_SCOPE).scope(FREG_SCOPE_2).key(key(2048)).key(key(4096));
    let krr = ClientSettings::new(KRR, "991825827").scope(KRR_SCOPE).scope(FREG_SCOPE);
    let trusted = X509::stack_from_pem(&std::fs::read(certs("ca.pem")).unwrap()).unwrap();
    Simulator::start(trusted.into_iter().fold(Settings::new().client(freg).client(krr), Settings::trust)).unwrap()
}

/// `key = …` of integration `freg`, as [`Configuration`] has it.
pub(crate) fn freg_key(bits: u32) -> String {
    format!("key = {{ private_key_file = '{}', kid = \"portvakt-test-{bits}\" }}", certs(&format!("registered-{bits}.pem")).display())
}

pub(crate) fn file(portvakt: &Portvakt) -> PathBuf {
    portvakt.directory.path().join("portvakt.toml")
}

/// Puts a file in another one's place in one step.
pub(crate) fn rename_over(path: &std::path::Path, contents: impl AsRef<[u8]>) {
    let beside = path.with_extension("new");
    std::fs::write(&beside, contents).unwrap();
    std::fs::rename(beside, path).unwrap();
}

/// The log's lines with this message, from the line `from` on.
pub(crate) fn lines(portvakt: &Portvakt, from: usize, message: &str) -> Vec<Value> {
    let log = portvakt.log();
    let lines = log.iter().skip(from).map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["message"] == message).collect()
}

/// Waits for a line with this message that comes after the first `from` lines.
pub(crate) async fn line(portvakt: &Portvakt, from: usize, message: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until_some(message, async || lines(portvakt, from, message).into_iter().find(&wanted)).await
}

/// Has the service take on another file by SIGHUP; what has changed by that.
pub(crate) async fn reload(portvakt: &Portvakt, text: &str) -> String {
    let from = portvakt.log().len();
    rename_over(&file(portvakt), text);
    portvakt.signal(Signal::HUP);
    changes(portvakt, from).await
}

/// What has changed by the first reload after the first `from` lines that has changed anything.
pub(crate) async fn changes(portvakt: &Portvakt, from: usize) -> String {
    // On a slow machine the change of the file may have been noticed before the signal came: then this has changed nothing more.
    let reloaded = line(portvakt, from, "reloaded", |line| line["changes"] != NOTHING).await;
    assert_eq!(reloaded["level"], "INFO");
    reloaded["changes"].as_str().unwrap().to_owned()
}

pub(crate) async fn successful(portvakt: &Portvakt) -> bool {
    portvakt.metric("portvakt_config_last_reload_successful").await.unwrap() > 0.5
}

pub(crate) async fn last_success(portvakt: &Portvakt) -> f64 {
    portvakt.metric("portvakt_config_last_reload_success_timestamp_seconds").await.unwrap()
}

/// The `kid` of the newest grant.
pub(crate) fn newest_kid(simulator: &Simulator) -> String {
    simulator.counters().last_grants.back().unwrap().header["kid"].as_str().unwrap().to_owned()
}

/// Stands in front of a simulator, and holds what comes until it is opened.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    state: Arc<(Mutex<GateState>, Condvar)>,
}

#[derive(Default)]
struct GateState {
    held: usize,
    is_open: bool,
}

impl Gate {
    pub(crate) fn in_front_of(simulator: &Simulator) -> Self {
        let (listener, to) = (TcpListener::bind("127.0.0.1:0").unwrap(), simulator.address());
        let address = listener.local_addr().unwrap();
        let state = Arc::<(Mutex<GateState>, Condvar)>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let (lock, changed) = &*state;
                    lock.lock().unwrap().held += 1;
                    drop(changed.wait_while(lock.lock().unwrap(), |state| !state.is_open).unwrap());
                    pass_on(&connection, &TcpStream::connect(to).unwrap());
                });
            }
        });
        Self { address, state }
    }

    /// How many have come, held or not.
    pub(crate) fn held(&self) -> usize {
        self.state.0.lock().unwrap().held
    }

    pub(crate) fn open(&self) {
        self.state.0.lock().unwrap().is_open = true;
        self.state.1.notify_all();
    }
}

fn pass_on(from: &TcpStream, to: &TcpStream) {
    std::thread::scope(|scope| {
        for (mut from, mut to) in [(from, to), (to, from)] {
            scope.spawn(move || {
                let _ = copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
}
