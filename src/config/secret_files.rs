//! The files that the operator's file names: read, with a word when others can read what is secret.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretBox, SecretString};
use zeroize::Zeroizing;

use super::File;
use super::findings::Findings;
use super::mistake::{Severity, Subject};
use super::reader::{Item, quotable};

/// No key, password or certificate chain is larger; a device that never ends is not read to the end of memory.
const LARGEST: u64 = 1024 * 1024;
/// A group is often given access on purpose: that is how Kubernetes and systemd hand secrets to a service.
const OTHERS: u32 = 0o007;

/// A file that is not secret itself, a certificate for example.
pub(super) fn public(item: Item<'_>, directory: &Path, findings: &mut Findings) -> Option<File> {
    read(item, directory, Subject::Configuration, findings).map(|(file, _)| file)
}

/// A file that only Portvakt should be able to read.
pub(super) fn secret(item: Item<'_>, directory: &Path, findings: &mut Findings) -> Option<File> {
    let (file, mode) = read(item, directory, Subject::SecretFile, findings)?;
    if mode & OTHERS == 0 {
        return Some(file);
    }
    let path = file.path.display();
    findings.secret_file(
        Severity::Warning,
        item.place,
        format!("`{}` holds a secret and is open to everyone on this machine (mode {:04o})", quotable(&path.to_string()), mode & 0o7777),
        format!("run `chmod o= {path}`"),
    );
    Some(file)
}

/// A password: a secret file's contents without one trailing line break.
pub(super) fn password(item: Item<'_>, directory: &Path, findings: &mut Findings) -> Option<SecretString> {
    let file = secret(item, directory, findings)?;
    match password_in(file.contents.expose_secret()) {
        Ok(password) => Some(password),
        Err(Unusable { why, help }) => {
            let text = format!("`{}` {why}", quotable(&file.path.display().to_string()));
            findings.secret_file(Severity::Error, item.place, text, help);
            None
        }
    }
}

fn password_in(contents: &[u8]) -> Result<SecretString, Unusable> {
    let unusable = |why: &str, help| Unusable { why: why.to_owned(), help };
    let contents = without_line_break(contents);
    if contents.is_empty() {
        return Err(unusable("holds a line break and nothing else", "write the password into it"));
    }
    match std::str::from_utf8(contents) {
        Ok(password) => Ok(SecretString::from(password.to_owned())),
        Err(_) => Err(unusable("is not a password in UTF-8", "save it as UTF-8 text, without a byte order mark")),
    }
}

/// A file that a command is given by its name, read as one that the operator's file names.
///
/// # Errors
///
/// Why it cannot be used, in a sentence with its name.
pub fn read_secret_file(path: &Path) -> Result<SecretBox<Vec<u8>>, String> {
    match contents(path) {
        Ok((contents, _)) => Ok(SecretBox::new(Box::new(contents))),
        Err(Unusable { why, .. }) => Err(format!("cannot use `{}`: {why}", quotable(&path.display().to_string()))),
    }
}

/// The same for a file that holds a password.
///
/// # Errors
///
/// Why it cannot be used, in a sentence with its name, and what to do.
pub fn read_password_file(path: &Path) -> Result<SecretString, String> {
    let contents = read_secret_file(path)?;
    password_in(contents.expose_secret())
        .map_err(|Unusable { why, help }| format!("`{}` {why}: {help}", quotable(&path.display().to_string())))
}

/// The contents without one line break at the end.
pub(super) fn without_line_break(contents: &[u8]) -> &[u8] {
    contents.strip_suffix(b"\r\n").or_else(|| contents.strip_suffix(b"\n")).unwrap_or(contents)
}

fn read(item: Item<'_>, directory: &Path, subject: Subject, findings: &mut Findings) -> Option<(File, u32)> {
    let name = item.text(findings)?;
    if name.is_empty() {
        item.wrong(format!("`{}` is empty: it names a file", item.field.name), findings);
        return None;
    }
    let path = directory.join(name);
    findings.source(&path);
    match contents(&path) {
        Ok((contents, mode)) => Some((File { path, contents: SecretBox::new(Box::new(contents)), place: item.place }, mode)),
        Err(Unusable { why, help }) => {
            let text = format!("cannot use `{}`: {why}", quotable(&path.display().to_string()));
            match subject {
                Subject::Configuration => findings.mistake(item.place, text, help),
                Subject::SecretFile => findings.secret_file(Severity::Error, item.place, text, help),
            }
            None
        }
    }
}

struct Unusable {
    why: String,
    help: &'static str,
}

fn contents(path: &Path) -> Result<(Vec<u8>, u32), Unusable> {
    let by_system = |error: std::io::Error| {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "correct the name (a relative one is relative to this file), or put the file there",
            std::io::ErrorKind::PermissionDenied => "let the user that Portvakt runs as read it",
            _ => "name a file that can be read",
        };
        Unusable { why: error.to_string(), help }
    };
    let unusable = |why: &str| Unusable { why: why.to_owned(), help: "name the file that holds it" };
    let metadata = fs::metadata(path).map_err(by_system)?;
    if !metadata.is_file() {
        return Err(unusable("it is not a regular file")); // a pipe would make the start wait for ever
    }
    // Large enough from the beginning, so that no copy is left behind where the buffer grew.
    let capacity = usize::try_from(metadata.len().min(LARGEST)).unwrap_or_default() + 64;
    let mut contents = Zeroizing::new(Vec::with_capacity(capacity));
    fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut contents)).map_err(by_system)?;
    if contents.is_empty() {
        return Err(unusable("it is empty"));
    }
    if u64::try_from(contents.len()).is_ok_and(|length| length > LARGEST) {
        return Err(unusable("it is larger than 1 MiB"));
    }
    Ok((std::mem::take(&mut *contents), metadata.permissions().mode()))
}
