//! The real binary on free ports, the simulator as Maskinporten, and ways to talk to them.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test binary uses its part of what stands here"
)]

pub mod wire;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use openssl::x509::X509;
use portvakt::simulator::{ClientSettings, Delegation, RegisteredKey, Settings, Simulator};
use serde_json::Value;
use tempfile::TempDir;

/// Nothing here takes that long unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// An integration with a registered key.
pub const FREG: &str = "11111111-2222-3333-4444-555555555555";
/// An integration with a virksomhetssertifikat.
pub const KRR: &str = "66666666-7777-8888-9999-000000000000";
pub const FREG_SCOPE: &str = "folkeregister:deling/offentligutenhjemmel";
pub const FREG_SCOPE_2: &str = "folkeregister:deling/offentligmedhjemmel";
pub const KRR_SCOPE: &str = "krr:global/kontaktinformasjon.read";
pub const CONSUMER: &str = "889640782";
pub const API_KEY: &str = "the-gateways-key";
pub const OTHER_API_KEY: &str = "the-other-key";

pub fn certs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("certs").join(name)
}

/// A simulator that knows both integrations.
pub fn simulator() -> Simulator {
    Simulator::start(simulator_settings()).expect("the simulator starts")
}

pub fn simulator_settings() -> Settings {
    let key = std::fs::read_to_string(certs("registered-2048.public.jwk")).unwrap();
    let freg = [FREG_SCOPE, FREG_SCOPE_2].into_iter().fold(ClientSettings::new(FREG, "991825827"), ClientSettings::scope);
    let freg = (0..200).fold(freg, |client, number| client.scope(format!("test:{number}").as_str()));
    let delegated = Delegation { consumer_org: CONSUMER.to_owned(), scopes: Vec::new() };
    let second = Delegation { consumer_org: "313367002".to_owned(), scopes: Vec::new() };
    let freg = freg.key(RegisteredKey::from_jwk(&key).unwrap()).delegation(delegated).delegation(second);
    let krr = ClientSettings::new(KRR, "991825827").scope(KRR_SCOPE).scope(FREG_SCOPE);
    let trusted = X509::stack_from_pem(&std::fs::read(certs("ca.pem")).unwrap()).unwrap();
    trusted.into_iter().fold(Settings::new().client(freg).client(krr), Settings::trust)
}

/// The lines of a file with both integrations and two callers; `more` goes at its end.
pub fn configuration(simulator: &Simulator) -> Configuration {
    Configuration { issuer: simulator.issuer().to_owned(), token_endpoint: simulator.token_endpoint(), ..Configuration::default() }
}

/// A portvakt.toml with parts that a test can replace.
pub struct Configuration {
    pub listen: String,
    pub shutdown_grace: String,
    /// More lines of `[server]`.
    pub server: String,
    pub issuer: String,
    pub token_endpoint: String,
    /// Lines of `[outbound]`, `[cache]` and the like.
    pub sections: String,
    /// Lines added to integration `freg`.
    pub freg: String,
    /// The `key = …` of integration `krr`.
    pub krr_key: String,
    /// The caller with [`API_KEY`].
    pub caller: String,
    /// Whole `[[integration]]` and `[[caller]]` tables.
    pub more: String,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:0".to_owned(),
            shutdown_grace: "10s".to_owned(),
            server: String::new(),
            issuer: String::new(),
            token_endpoint: String::new(),
            sections: String::new(),
            freg: String::new(),
            krr_key: format!(
                "{{ pkcs12_file = '{}', password_file = '{}' }}",
                certs("virksomhet.p12").display(),
                certs("virksomhet.p12.password").display()
            ),
            caller: r#"may = [
  { integration = "freg", scopes = ["folkeregister:deling/*", "test:*"], consumer_org = ["*"], pid = true, resource = ["*"], authorization_details = ["*"] },
  { integration = "krr", scopes = ["krr:global/kontaktinformasjon.read", "folkeregister:deling/offentligutenhjemmel"] },
]"#
            .to_owned(),
            more: String::new(),
        }
    }
}

impl Configuration {
    pub fn text(&self) -> String {
        let Self { listen, shutdown_grace, server, issuer, token_endpoint, sections, freg, krr_key, caller, more } = self;
        let (key, digest, other_digest) = (certs("registered-2048.pem"), sha256(API_KEY), sha256(OTHER_API_KEY));
        format!(
            r#"
[server]
listen = "{listen}"
shutdown_grace = "{shutdown_grace}"
{server}
[management]
listen = "127.0.0.1:0"

{sections}

[environment.simulator]
issuer = "{issuer}"
token_endpoint = "{token_endpoint}"

[[integration]]
name = "freg"
client_id = "{FREG}"
environment = "simulator"
key = {{ private_key_file = '{key}', kid = "portvakt-test-2048" }}
{freg}

[[integration]]
name = "krr"
client_id = "{KRR}"
environment = "simulator"
key = {krr_key}

[[caller]]
name = "gateway"
keys = [{{ sha256 = "{digest}" }}]
{caller}

[[caller]]
name = "other"
keys = [{{ sha256 = "{other_digest}" }}]
may = [{{ integration = "krr", scopes = ["{KRR_SCOPE}"] }}]

{more}
"#,
            key = key.display(),
        )
    }
}

pub fn sha256(text: &str) -> String {
    hex::encode(openssl::sha::sha256(text.as_bytes()))
}

/// The binary, with nothing of this machine's settings: a proxy would take what tests send to a host that does not exist.
pub fn portvakt_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portvakt"));
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "PORTVAKT_LOG", "PORTVAKT_CONFIG"] {
        command.env_remove(name);
    }
    command
}

/// `portvakt serve`, until dropped.
pub struct Portvakt {
    pub child: Child,
    pub tokens: SocketAddr,
    pub management: SocketAddr,
    log: Arc<Log>,
    pub directory: TempDir,
}

#[derive(Default)]
struct Log {
    lines: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Portvakt {
    pub fn start(configuration: &Configuration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("portvakt.toml"), configuration.text()).unwrap();
        Self::start_in(directory)
    }

    /// With the portvakt.toml in this directory.
    pub fn start_in(directory: TempDir) -> Self {
        Self::start_by(portvakt_command(), directory)
    }

    /// By a command that is the binary, or becomes it. What it does not say of the log is that everything is told.
    pub fn start_by(mut command: Command, directory: TempDir) -> Self {
        if !command.get_envs().any(|(name, value)| name == "PORTVAKT_LOG" && value.is_some()) {
            command.env("PORTVAKT_LOG", "trace");
        }
        let mut child = command
            .args(["serve", "--log-format", "json", "--config"])
            .arg(directory.path().join("portvakt.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        let (written, stderr) = (Arc::clone(&log), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                written.lines.lock().unwrap().0.push(line);
                written.changed.notify_all();
            }
            written.lines.lock().unwrap().1 = true;
            written.changed.notify_all();
        });
        let listening = log.wait_for(|line| line.contains(r#""message":"listening""#));
        let listening: Value = serde_json::from_str(&listening).unwrap();
        let address = |name: &str| listening[name].as_str().unwrap().trim_start_matches("http://").parse().unwrap();
        Self { tokens: address("tokens"), management: address("management"), child, log, directory }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.tokens)
    }

    /// Everything logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lines.lock().unwrap().0.clone()
    }

    /// Waits for a line of the log.
    pub fn wait_for_log(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.log.wait_for(wanted)
    }

    /// Waits until the process has ended, however it ended.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        self.log.wait_for_end();
        self.child.wait().unwrap()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// A request to the token listener with [`API_KEY`], integration `freg` and its scope, unless said otherwise.
    pub fn ask(&self) -> Ask {
        Ask::new(self.url("/token"))
    }

    pub async fn metrics(&self) -> String {
        client().get(format!("http://{}/metrics", self.management)).send().await.unwrap().text().await.unwrap()
    }

    /// The value of one time series, by its name and labels as they stand in the text.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics().await;
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

impl Log {
    fn wait_for(&self, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock().unwrap();
        loop {
            if let Some(line) = lines.0.iter().find(|line| wanted(line)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !lines.1, "this line never came; the log is:\n{}", lines.0.join("\n"));
            lines = self.changed.wait_timeout(lines, left).unwrap().0;
        }
    }
}

impl Log {
    fn wait_for_end(&self) {
        let lines = self.lines.lock().unwrap();
        let (lines, waited) = self.changed.wait_timeout_while(lines, PATIENCE, |lines| !lines.1).unwrap();
        assert!(!waited.timed_out(), "it goes on; the log is:\n{}", lines.0.join("\n"));
    }
}

impl Drop for Portvakt {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// One request.
#[derive(Clone)]
pub struct Ask {
    url: String,
    method: reqwest::Method,
    headers: Vec<(String, String)>,
    query: String,
    client: reqwest::Client,
}

/// One answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    /// Null when it is no JSON.
    pub json: Value,
}

impl Ask {
    fn new(url: String) -> Self {
        let headers = [("X-Gravitee-Api-Key", API_KEY), ("iss", FREG), ("scope", FREG_SCOPE)];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { url, method: reqwest::Method::GET, headers, query: String::new(), client: client() }
    }

    pub fn post(mut self) -> Self {
        self.method = reqwest::Method::POST;
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = method.parse().unwrap();
        self
    }

    /// In place of what is there by that name.
    pub fn with(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// Beside what is there by that name.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub fn query(mut self, query: &str) -> Self {
        self.query = format!("?{query}");
        self
    }

    pub async fn send(self) -> Answer {
        let mut request = self.client.request(self.method, format!("{}{}", self.url, self.query));
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        Answer { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }
}

impl Answer {
    pub fn token(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json["access_token"].as_str().unwrap()
    }

    pub fn error(&self) -> &str {
        self.json["error"].as_str().unwrap_or_default()
    }

    pub fn description(&self) -> &str {
        self.json["error_description"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Bytes in, the answer's bytes out, on a connection of its own: for what no HTTP client would send.
pub fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_all(request).unwrap();
    read_answer(&mut connection)
}

/// One answer, by its Content-Length.
pub fn read_answer(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
        match connection.read(&mut chunk) {
            Ok(0) | Err(_) => return String::from_utf8_lossy(&answer).into_owned(),
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
        }
    }
}

/// The claims of a token, not verified.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// Room for thousands of connections, for this process and those that it starts from now on.
pub fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// Waits until something is so, by looking again and again: for what nobody tells of.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    until_some(what, async || is_so().then_some(())).await
}

/// Waits until there is something, by looking again and again.
pub async fn until_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many grants for exactly this scope (a grant's scopes in their order) have arrived.
pub fn exchanges(simulator: &Simulator, scope: &str) -> u64 {
    simulator.counters().clients.values().filter_map(|scopes| scopes.get(scope)).map(|tally| tally.received).sum()
}

/// A fault for one scope only.
pub fn for_scope(kind: portvakt::simulator::FaultKind, scope: &str, times: Option<u32>) -> portvakt::simulator::Fault {
    let mut fault = portvakt::simulator::Fault::from(kind);
    fault.conditions.scope = Some(scope.to_owned());
    fault.conditions.times = times;
    fault
}
