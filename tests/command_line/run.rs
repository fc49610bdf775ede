//! Commands that end by themselves, and directories to run them in.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a command has said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = crate::support::portvakt_command();
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command
}

pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Said {
    let output = command(directory, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

impl Said {
    /// It did what it should, and no part of it panicked.
    #[track_caller]
    pub(crate) fn fine(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    /// Wrong usage: nothing on stdout, and the words on stderr.
    #[track_caller]
    pub(crate) fn misused(&self, words: &str) {
        assert_eq!(self.code, Some(2), "{}{}", self.out, self.err);
        assert_eq!(self.out, "");
        assert!(self.err.contains(words) && !self.err.contains("panicked"), "`{words}` is not in {}", self.err);
    }
}

/// An empty directory, and how many files came into it.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(crate) fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode() & 0o7777
}

/// A file of certs/ in this directory, with the mode that it should have (git does not keep that).
pub(crate) fn copied(directory: &Path, name: &str) -> PathBuf {
    let (from, to) = (crate::support::certs(name), directory.join(name));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to).unwrap();
    file.write_all(&std::fs::read(from).unwrap()).unwrap();
    to
}
