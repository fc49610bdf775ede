//! What is generated from the command line's own definition: completions and manual pages.

use std::fs;

use rstest::rstest;

use crate::run::{directory, names, run};

const COMMANDS: [&str; 13] =
    ["serve", "demo", "simulate", "init", "check", "keygen", "api-key", "gravitee", "token", "health", "completions", "man", "help"];

#[rstest]
#[case("bash", "complete -F _portvakt")]
#[case("zsh", "#compdef portvakt")]
#[case("fish", "complete -c portvakt")]
#[case("elvish", "set edit:completion:arg-completer[portvakt]")]
#[case("powershell", "Register-ArgumentCompleter")]
fn completions_know_every_command_and_option(#[case] shell: &str, #[case] words: &str) {
    let said = run(directory().path(), &["completions", shell]).fine();
    assert_eq!(said.err, "");
    assert!(said.out.contains(words), "{}", said.out);
    for word in COMMANDS.iter().copied().chain(["password-file", "log-format", "new-key"]) {
        assert!(said.out.contains(word), "{word} is not in {shell}'s");
    }
}

#[test]
fn bash_can_read_its_completions() {
    let directory = directory();
    let said = run(directory.path(), &["completions", "bash"]).fine();
    fs::write(directory.path().join("completions"), said.out).unwrap();
    // -n: read, not run. A machine without bash has nobody to complete for.
    if let Ok(status) = std::process::Command::new("bash").arg("-n").arg(directory.path().join("completions")).status() {
        assert!(status.success());
    }
}

#[rstest]
#[case(&["completions", "tcsh"])]
#[case(&["completions"])]
fn shells_that_are_none(#[case] arguments: &[&str]) {
    run(directory().path(), arguments).misused("SHELL");
}

#[test]
fn a_manual_page_for_every_command() {
    let directory = directory();
    let said = run(directory.path(), &["man"]).fine();
    assert!(said.out.contains(".TH portvakt 1") && said.err.is_empty(), "{}", said.out);
    run(directory.path(), &["man", "--dir", "man/man1"]).fine();
    let pages = names(&directory.path().join("man/man1"));
    for command in COMMANDS {
        assert!(command == "help" || pages.contains(&format!("portvakt-{command}.1")), "{pages:?}");
    }
    let keygen = fs::read_to_string(directory.path().join("man/man1/portvakt-keygen.1")).unwrap();
    assert!(keygen.contains("Samarbeidsportalen") && keygen.contains("\\-\\-password\\-file"), "{keygen}");
    // Again, over the old ones, as an update does.
    run(directory.path(), &["man", "--dir", "man/man1"]).fine();
}

#[test]
fn a_directory_that_cannot_be_made_is_a_failure() {
    let directory = directory();
    fs::write(directory.path().join("man"), "").unwrap();
    let said = run(directory.path(), &["man", "--dir", "man/man1"]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{}", said.err);
    assert!(said.err.contains("could not be written"), "{}", said.err);
}
