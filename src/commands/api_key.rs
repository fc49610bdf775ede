//! `portvakt api-key`: a new key, shown once, or the digest of one that exists.

use std::io::{IsTerminal, Read, stdin};

use clap::Subcommand;
use zeroize::Zeroizing;

use super::{Failure, print, say};
use crate::access::{Digest, has_wrong_checksum, make_key};

/// Longer than any door takes.
const API_KEY_LIMIT: usize = 256;

const EXAMPLES: &str = "\
Only the digest of a key stands in portvakt.toml. Whoever has the key itself
can ask for tokens: hand it over as you would a password.

Examples:
  portvakt api-key new                  the key, and the line for the caller
  portvakt api-key new | head -n 1      the key alone
  portvakt api-key hash < gateway.key   the line for a key that exists";

const NEW_EXAMPLES: &str = "\
stdout: the key (pv_ and 49 characters, the last six a checksum), then the line
for the caller's `keys`.

Examples:
  portvakt api-key new
  portvakt api-key new | head -n 1 > gateway.key";

const HASH_EXAMPLES: &str = "\
The key is read from stdin, for others can see a command line. One trailing
line break is dropped.

Examples:
  portvakt api-key hash < gateway.key
  portvakt api-key hash                 type or paste it, then Enter and Ctrl-D";

/// Make API keys for callers, and their digests for portvakt.toml
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key: it is shown once, with the line for portvakt.toml
    #[command(after_help = NEW_EXAMPLES)]
    New,
    /// Read a key from stdin, and print the line for portvakt.toml
    #[command(after_help = HASH_EXAMPLES)]
    Hash,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::New => new(),
        Command::Hash => hash(),
    }
}

fn new() -> Result<(), Failure> {
    let made = make_key().map_err(|error| Failure::failed(format_args!("OpenSSL gave no randomness for a key: {error}")))?;
    say("The key, shown this once. It belongs where the caller keeps its secrets:");
    print(&made.key)?;
    say("The line for the caller's keys in portvakt.toml:");
    print(&line(made.digest))
}

fn hash() -> Result<(), Failure> {
    if stdin().is_terminal() {
        say("Type or paste the key, then end the line and press Ctrl-D:");
    }
    let mut text = Zeroizing::new(String::new());
    let read = stdin().take(64 * 1024).read_to_string(&mut text);
    read.map_err(|error| Failure::misused(format_args!("the key could not be read from stdin: {error}")))?;
    // As secret files are read: one trailing line break is dropped.
    let key = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n')).unwrap_or(&text);
    check(key).map_err(Failure::misused)?;
    print(&line(Digest::of(key.as_bytes())))
}

fn check(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        Err("stdin held no key. Give it there: portvakt api-key hash < FILE")
    } else if key.len() > API_KEY_LIMIT {
        Err("the key is longer than 256 bytes, and would never be accepted. Make a shorter one: portvakt api-key new")
    } else if key.trim() != key || key.contains(char::is_control) {
        Err("the key begins or ends with a space, or holds a line break or another control character, which no header can carry")
    } else if key.eq_ignore_ascii_case("null") || key.contains("{#") {
        Err("the key is a text that means in a request that no key was given. Make another one: portvakt api-key new")
    } else if has_wrong_checksum(key) {
        Err(
            "the key begins as ours do, but its checksum does not fit: a character is missing or mistyped. Copy it again from where it was shown",
        )
    } else {
        Ok(())
    }
}

fn line(digest: Digest) -> String {
    format!("{{ sha256 = \"{}\" }}", digest.to_hex())
}
