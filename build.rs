//! Tells the program which commit it is built from, for `portvakt_build_info` and `--version`.
//!
//! `PORTVAKT_REVISION` where it is set (a container is built without the history), otherwise what git says; without either, nothing,
//! and the program says `unknown`.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=PORTVAKT_REVISION");
    if std::env::var_os("PORTVAKT_REVISION").is_some() {
        return;
    }
    // What HEAD points at changes with each commit, and git writes both moments into this log.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    if let Some(revision) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=PORTVAKT_REVISION={revision}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}
