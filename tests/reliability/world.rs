//! What the shows share: who exists, how Portvakt is started, and how still the machine stands meanwhile.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use portvakt::simulator::{RegisteredKey, Settings, Simulator};

use crate::front::NAME;
use crate::support::*;

/// The full forms, for the README's tables.
pub(crate) fn is_full() -> bool {
    std::env::var("PORTVAKT_RELIABILITY").is_ok_and(|form| form == "full")
}

/// Both clients have the scopes `test:0` to `test:199`; freg has two registered keys.
pub(crate) fn settings() -> Settings {
    let mut settings = simulator_settings();
    let second = std::fs::read_to_string(certs("registered-4096.public.jwk")).unwrap();
    settings.clients[0].keys.push(RegisteredKey::from_jwk(&second).unwrap());
    for number in 0..200 {
        settings.clients[1].scopes.push(format!("test:{number}").as_str().into());
    }
    settings
}

pub(crate) fn start_simulator() -> Simulator {
    Simulator::start(settings()).unwrap()
}

/// The first caller may ask both integrations for the scopes `test:…`.
pub(crate) fn configuration_at(issuer: &str, token_endpoint: &str) -> Configuration {
    Configuration {
        issuer: issuer.to_owned(),
        token_endpoint: token_endpoint.to_owned(),
        caller: "may = [{ integration = 'freg', scopes = ['test:*'] }, { integration = 'krr', scopes = ['test:*'] }]".to_owned(),
        ..Configuration::default()
    }
}

/// As an operator has it: a test's own log, of every detail, would be what a flood of requests is slowed by.
const LOG: &str = "info";

pub(crate) fn start(configuration: &Configuration) -> Portvakt {
    start_by(portvakt_command(), &configuration.text())
}

pub(crate) fn start_by(mut command: Command, configuration: &str) -> Portvakt {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("portvakt.toml"), configuration).unwrap();
    command.env("PORTVAKT_LOG", LOG);
    Portvakt::start_by(command, directory)
}

/// With the portvakt.toml in this directory.
pub(crate) fn start_in(directory: tempfile::TempDir) -> Portvakt {
    let mut command = portvakt_command();
    command.env("PORTVAKT_LOG", LOG);
    Portvakt::start_by(command, directory)
}

/// The attempts to exchange a grant that Portvakt has made, of whatever kind.
pub(crate) async fn attempts(portvakt: &Portvakt) -> u64 {
    let text = portvakt.metrics().await;
    let lines = text.lines().filter(|line| line.starts_with("portvakt_exchanges_total{"));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).map(|count| count as u64).sum()
}

/// Bytes of memory that are resident.
pub(crate) async fn resident(portvakt: &Portvakt) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    portvakt.metric("process_resident_memory_bytes").await.map(|bytes| bytes as u64).unwrap()
}

/// An /etc/hosts of a process's own, in a mount namespace of its own, so that a name can cease to resolve while it runs.
pub(crate) struct Hosts {
    file: PathBuf,
    _directory: tempfile::TempDir,
}

impl Hosts {
    /// None where this machine gives no namespaces to its users, or resolves names in another way.
    pub(crate) fn available() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let hosts = Self { file: directory.path().join("hosts"), _directory: directory };
        hosts.name_is_known(true);
        let known =
            |hosts: &Self| hosts.within(Path::new("getent")).args(["ahosts", NAME]).output().is_ok_and(|output| output.status.success());
        let resolves = known(&hosts);
        hosts.name_is_known(false);
        let resolves_no_more = !known(&hosts);
        hosts.name_is_known(true);
        (resolves && resolves_no_more).then_some(hosts)
    }

    /// In place: the file that is mounted is this one.
    pub(crate) fn name_is_known(&self, known: bool) {
        let name = if known { format!("127.0.0.1 {NAME}\n") } else { String::new() };
        std::fs::write(&self.file, format!("127.0.0.1 localhost\n{name}")).unwrap();
    }

    /// This program, with these hosts.
    pub(crate) fn within(&self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        for (name, value) in portvakt_command().get_envs() {
            assert!(value.is_none(), "only taken away");
            command.env_remove(name);
        }
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", r#"mount --bind "$0" /etc/hosts && exec "$@""#]);
        command.arg(&self.file).arg(program);
        command
    }
}

/// Looks every few milliseconds how long this process was not let run: what a test may demand depends on it.
pub(crate) struct Standstill {
    longest: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Standstill {
    pub(crate) fn watch() -> Self {
        let (longest, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (written, over) = (Arc::clone(&longest), Arc::clone(&ended));
        std::thread::spawn(move || {
            let pause = Duration::from_millis(5);
            while !over.load(Relaxed) {
                let before = Instant::now();
                std::thread::sleep(pause);
                let late = before.elapsed().saturating_sub(pause);
                written.fetch_max(u64::try_from(late.as_micros()).unwrap_or(u64::MAX), Relaxed);
            }
        });
        Self { longest, ended }
    }

    pub(crate) fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Relaxed))
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
    }
}
