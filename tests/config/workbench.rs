//! A directory with the files that the operator's file names.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use portvakt::config::{Colours, Config, ConfigError};
use tempfile::TempDir;

/// Small and without a mistake. Tests change a part of it.
pub(crate) const GOOD: &str = r#"[server]
listen = "127.0.0.1:8080"

[environment.simulator]
issuer = "http://127.0.0.1:8090/"
token_endpoint = "http://127.0.0.1:8090/token"

[[integration]]
name = "freg"
client_id = "1111"
environment = "simulator"
prefetch = ["freg:a"]
key = { pkcs12_file = "freg.p12", password_file = "freg.pw" }

[[integration]]
name = "krr"
client_id = "2222"
environment = "test"
key = { private_key_file = "krr.pem", kid = "k1" }

[[caller]]
name = "gateway"
keys = [{ sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }]
may = [{ integration = "freg", scopes = ["freg:*"] }]
"#;

/// What none of the messages may show: the contents of the secret files.
pub(crate) const PASSWORD: &str = "correct-horse-battery";
pub(crate) const KEY: &str = "pretended-private-key";

pub(crate) struct Workbench {
    directory: TempDir,
}

impl Workbench {
    pub(crate) fn new() -> Self {
        let workbench = Self { directory: tempfile::tempdir().unwrap() };
        for name in ["freg.p12", "krr.pem", "krr.jwk", "virksomhet.key"] {
            workbench.write(name, KEY.as_bytes(), 0o600);
        }
        workbench.write("freg.pw", format!("{PASSWORD}\n").as_bytes(), 0o600);
        workbench.write("virksomhet.pem", b"a certificate", 0o644);
        workbench.write("empty", b"", 0o600);
        workbench.write("line-break", b"\n", 0o600);
        workbench.write("latin-1.pw", b"bl\xe5b\xe6r", 0o600);
        workbench.write("open.pw", PASSWORD.as_bytes(), 0o644);
        workbench.write("group.pw", PASSWORD.as_bytes(), 0o640);
        workbench.write("api-key", b"freg-key\r\n", 0o400);
        workbench.write("long-api-key", &[b'k'; 257], 0o600);
        workbench.write("two-lines-api-key", b"one\ntwo\n", 0o600);
        workbench.write("unset-api-key", b"{#properties['key']}", 0o600);
        workbench
    }

    pub(crate) fn write(&self, name: &str, contents: &[u8], mode: u32) {
        let path = self.path().join(name);
        fs::write(&path, contents).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn load(&self, text: impl AsRef<[u8]>) -> Result<Config, ConfigError> {
        let file: PathBuf = self.path().join("portvakt.toml");
        fs::write(&file, text).unwrap();
        Config::load(&file)
    }

    /// What an operator reads, with the temporary directory left out.
    pub(crate) fn complaints(&self, text: impl AsRef<[u8]>) -> String {
        let error = self.load(text).expect_err("this file has a mistake");
        self.shown(&error.render(Colours::Without))
    }

    pub(crate) fn shown(&self, rendered: &str) -> String {
        rendered.replace(&format!("{}/", self.path().display()), "")
    }
}

/// [`GOOD`] with each of the changes made. A change that changes nothing is a mistake of the test.
pub(crate) fn changed(changes: &[(&str, &str)]) -> String {
    let mut text = GOOD.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "`{from}` is not in the good file");
        text = text.replacen(from, to, 1);
    }
    text
}

/// A file with a mistake: what is changed of [`GOOD`], and what an operator reads.
pub(crate) struct Bad {
    pub(crate) name: &'static str,
    pub(crate) changes: &'static [(&'static str, &'static str)],
    pub(crate) expected: &'static str,
}

pub(crate) fn check(cases: &[Bad]) {
    let workbench = Workbench::new();
    for Bad { name, changes, expected } in cases {
        let complaints = workbench.complaints(changed(changes));
        assert_eq!(complaints, expected.trim_matches('\n'), "{name}");
        for secret in [PASSWORD, KEY] {
            assert!(!complaints.contains(secret), "{name} shows a secret");
        }
    }
}
