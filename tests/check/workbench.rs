//! A set-up that is good until a test breaks it, and what `check` says of it.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use portvakt::simulator::Simulator;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::*;

/// All in one directory of its own: `portvakt.toml`, and the files that it names, readable by their owner alone.
pub(crate) struct Workbench {
    pub(crate) directory: TempDir,
    pub(crate) simulator: Simulator,
    pub(crate) listen: String,
    pub(crate) management: String,
    /// Lines of `[outbound]`, with its head.
    pub(crate) outbound: String,
    pub(crate) issuer: String,
    pub(crate) token_endpoint: String,
    pub(crate) freg: Integration,
    pub(crate) krr: Integration,
    /// The keys of the one caller.
    pub(crate) keys: String,
    /// The rules of the one caller, and more lines of its table.
    pub(crate) may: String,
    /// Whole tables.
    pub(crate) more: String,
}

/// The lines of an `[[integration]]`.
pub(crate) struct Integration {
    pub(crate) client_id: String,
    pub(crate) environment: String,
    pub(crate) key: String,
    pub(crate) prefetch: String,
}

/// What `check` has said.
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) json: Value,
}

/// A line of the report.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// `keys freg`
    pub(crate) name: String,
    pub(crate) result: String,
    /// What was found, and what to do.
    pub(crate) text: String,
    pub(crate) because: String,
    pub(crate) code: String,
    pub(crate) trace_id: String,
}

pub(crate) const FREG_EXCHANGE: &str = "exchange freg folkeregister:deling/offentligutenhjemmel";
pub(crate) const KRR_EXCHANGE: &str = "exchange krr krr:global/kontaktinformasjon.read";

impl Workbench {
    pub(crate) fn new() -> Self {
        Self::with(simulator())
    }

    /// With another simulator.
    pub(crate) fn with(simulator: Simulator) -> Self {
        let environment = || "simulator".to_owned();
        let bench = Self {
            directory: tempfile::tempdir().unwrap(),
            listen: "127.0.0.1:0".to_owned(),
            management: "127.0.0.1:0".to_owned(),
            outbound: String::new(),
            issuer: simulator.issuer().to_owned(),
            token_endpoint: simulator.token_endpoint(),
            freg: Integration {
                client_id: FREG.to_owned(),
                environment: environment(),
                key: r#"{ private_key_file = "registered-2048.pem", kid = "portvakt-test-2048" }"#.to_owned(),
                prefetch: format!("[\"{FREG_SCOPE}\"]"),
            },
            krr: Integration {
                client_id: KRR.to_owned(),
                environment: environment(),
                key: r#"{ pkcs12_file = "virksomhet.p12", password_file = "virksomhet.p12.password" }"#.to_owned(),
                prefetch: "[]".to_owned(),
            },
            keys: format!("[{{ sha256 = \"{}\" }}]", sha256(API_KEY)),
            may: format!(
                "may = [{{ integration = \"freg\", scopes = [\"folkeregister:deling/*\"] }}, {{ integration = \"krr\", scopes = [\"{KRR_SCOPE}\"] }}]"
            ),
            more: String::new(),
            simulator,
        };
        bench.copy("registered-2048.pem").copy("virksomhet.p12").copy("virksomhet.p12.password");
        bench
    }

    /// With a file out of `certs`.
    pub(crate) fn copy(&self, name: &str) -> &Self {
        self.write(name, fs::read(certs(name)).unwrap())
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The integration `krr` signs with this PKCS#12 out of `certs`.
    pub(crate) fn pkcs12(&mut self, name: &str) {
        self.copy(name);
        self.krr.key = format!("{{ pkcs12_file = \"{name}\", password_file = \"virksomhet.p12.password\" }}");
    }

    /// Both integrations live at this address.
    pub(crate) fn at(&mut self, base: &str) {
        self.issuer = format!("{base}/");
        self.token_endpoint = format!("{base}/token");
    }

    pub(crate) fn text(&self) -> String {
        let Self { listen, management, outbound, issuer, token_endpoint, keys, may, more, .. } = self;
        let mut text = format!(
            "[server]\nlisten = \"{listen}\"\n\n[management]\nlisten = \"{management}\"\n\n{outbound}\n\n[environment.simulator]\nissuer = \"{issuer}\"\ntoken_endpoint = \"{token_endpoint}\"\n"
        );
        for (name, Integration { client_id, environment, key, prefetch }) in [("freg", &self.freg), ("krr", &self.krr)] {
            write!(
                text,
                "\n[[integration]]\nname = \"{name}\"\nclient_id = \"{client_id}\"\nenvironment = \"{environment}\"\nprefetch = {prefetch}\nkey = {key}\n"
            )
            .unwrap();
        }
        write!(text, "\n[[caller]]\nname = \"gateway\"\nkeys = {keys}\n{may}\n\n{more}\n").unwrap();
        text
    }

    /// The report as JSON, parsed, of this set-up.
    pub(crate) fn check(&self, arguments: &[&str]) -> Report {
        self.check_text(&self.text(), arguments)
    }

    /// The same, with another text in the file.
    pub(crate) fn check_text(&self, text: &str, arguments: &[&str]) -> Report {
        self.write("portvakt.toml", text);
        run_in(self.directory.path(), &[&["--format", "json"], arguments].concat())
    }

    /// The report as text.
    pub(crate) fn check_as_text(&self, arguments: &[&str]) -> Report {
        self.write("portvakt.toml", self.text());
        run_in(self.directory.path(), arguments)
    }
}

/// `portvakt check` in this directory. Variables that name proxies or files of the machine's are not passed on.
pub(crate) fn run_in(directory: &Path, arguments: &[&str]) -> Report {
    run_with(directory, arguments, &[])
}

pub(crate) fn run_with(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Report {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portvakt"));
    command.arg("check").args(arguments).current_dir(directory).stdin(Stdio::null());
    for name in ["PORTVAKT_CONFIG", "PORTVAKT_LOG", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(!err.contains("panicked"), "{err}");
    Report { code: output.status.code(), json: serde_json::from_str(&out).unwrap_or(Value::Null), out, err }
}

/// In the contract's order.
pub(crate) const STAGES: [&str; 11] =
    ["configuration", "secrets", "keys", "callers", "listeners", "dns", "connect", "tls", "metadata", "clock", "exchange"];

impl Report {
    /// All lines. Panics unless the document is what the contract has.
    pub(crate) fn lines(&self) -> Vec<Line> {
        let checks = self.json["checks"].as_array().unwrap_or_else(|| panic!("no document: {}{}", self.out, self.err));
        let lines: Vec<Line> = checks.iter().map(Line::read).collect();
        let stages: Vec<&str> = checks.iter().map(|check| check["stage"].as_str().unwrap()).collect();
        let places: Vec<usize> = stages.iter().map(|stage| STAGES.iter().position(|known| known == stage).unwrap()).collect();
        assert!(places.is_sorted(), "{stages:?}");
        assert!(STAGES.iter().all(|stage| stages.contains(stage)), "{stages:?}");
        let has = |result: &str| lines.iter().any(|line| line.result == result);
        let expected = if has("failed") {
            "failed"
        } else if has("warning") {
            "warning"
        } else {
            "ok"
        };
        assert_eq!(self.json["result"], expected, "{}", self.out);
        assert_eq!(self.code, Some(i32::from(expected == "failed")), "{}{}", self.out, self.err);
        lines
    }

    /// Those that ended so.
    pub(crate) fn with_result(&self, result: &str) -> Vec<Line> {
        self.lines().into_iter().filter(|line| line.result == result).collect()
    }

    /// Their names, in order, each once.
    pub(crate) fn names(&self, result: &str) -> Vec<String> {
        let mut names: Vec<String> = self.with_result(result).into_iter().map(|line| line.name).collect();
        names.dedup();
        names
    }

    /// Panics unless this line failed with these words, all others are well or skipped because of it, and these are.
    pub(crate) fn fails(&self, name: &str, words: &[&str], skipped: &[&str]) -> Line {
        assert_eq!(self.names("failed"), [name], "{}", self.out);
        let line = self.with_result("failed").remove(0);
        line.says(words);
        for other in self.with_result("skipped") {
            assert_eq!(other.because, name, "{other:?}");
        }
        assert_eq!(self.names("skipped"), skipped, "{}", self.out);
        line
    }

    /// Panics unless this line is a warning with these words, and all others are ok.
    pub(crate) fn warns(&self, name: &str, words: &[&str]) {
        assert_eq!(self.names("warning"), [name], "{}", self.out);
        assert!(self.with_result("warning").iter().any(|line| line.has(words)), "{words:?}: {}", self.out);
        assert_eq!((self.names("failed").len(), self.names("skipped").len()), (0, 0), "{}", self.out);
    }
}

impl Line {
    fn read(check: &Value) -> Self {
        let text = |member: &str| check[member].as_str().unwrap_or_default().to_owned();
        let line = Self {
            name: format!("{} {}", text("stage"), text("subject")),
            result: text("result"),
            text: format!("{} {}", text("found"), text("remedy")),
            because: text("because"),
            code: text("maskinporten_code"),
            trace_id: text("trace_id"),
        };
        assert!(!text("subject").is_empty() && !text("found").is_empty(), "{check}");
        assert_eq!(line.result == "skipped", !line.because.is_empty(), "{check}");
        let is_bad = ["failed", "warning"].contains(&line.result.as_str());
        assert_eq!(is_bad, !text("remedy").is_empty(), "{check}");
        assert!(is_bad || ["ok", "skipped"].contains(&line.result.as_str()), "{check}");
        assert!(line.result == "skipped" || !text("tried").is_empty(), "{check}");
        line
    }

    pub(crate) fn has(&self, words: &[&str]) -> bool {
        words.iter().all(|word| self.text.contains(word))
    }

    pub(crate) fn says(&self, words: &[&str]) {
        assert!(self.has(words), "{words:?}: {self:?}");
    }
}
