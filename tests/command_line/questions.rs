//! `portvakt init` on a terminal: its questions, and somebody who answers them.

use std::fs;

use portvakt::config::Config;

use crate::run::{command, copied, directory, names};
use crate::support::{FREG, FREG_SCOPE, KRR_SCOPE, sha256};
use crate::terminal::{CTRL_C, DOWN, ENTER, ESCAPE, SPACE, Terminal};

#[test]
fn from_answers_to_a_file() {
    let directory = directory();
    let mut terminal = Terminal::start(&mut command(directory.path(), &["init"]));
    terminal.wait_for("Which environment").press(ENTER);
    terminal.wait_for("Client ID at Maskinporten:").press("with space").press(ENTER);
    terminal.wait_for("a space, a line break").press(&"\x7f".repeat(10)).press(FREG).press(ENTER);
    terminal.wait_for("What does the integration sign with?").press(ENTER);
    terminal.wait_for("What are the tokens for?").press(ENTER);
    terminal.wait_for("mark at least one").press(SPACE).press(DOWN).press(DOWN).press(SPACE).press(ENTER);
    terminal.wait_for("Who will ask for tokens?").press(ENTER);
    let (status, out, screen) = terminal.end();
    assert_eq!(status.code(), Some(0), "{screen}");
    assert_eq!(names(directory.path()), ["key.pem", "key.public.jwk", "portvakt.toml"]);
    let config = Config::load(&directory.path().join("portvakt.toml")).unwrap();
    let (integration, caller) = (&config.integrations[0], &config.callers[0]);
    assert_eq!((integration.client_id.as_str(), integration.environment.name(), caller.name.as_str()), (FREG, "test", "gravitee"));
    assert_eq!(caller.may[0].scopes, [FREG_SCOPE, KRR_SCOPE]);
    // The key is on stdout alone, as it is without a terminal.
    let key = out.trim();
    assert_eq!(hex::encode(caller.keys[0].sha256), sha256(key));
    assert!(!screen.contains(key) && screen.contains("maskinporten_api_iss"), "{screen}");
}

#[test]
fn only_what_the_flags_leave_open_is_asked_and_a_key_that_does_not_open_is_asked_for_again() {
    let directory = directory();
    for file in ["virksomhet.p12", "virksomhet.p12.password", "registered-2048.kid"] {
        copied(directory.path(), file);
    }
    let flags = ["init", "--environment", "prod", "--client-id", FREG, "--krr", "--caller", "arkiv"];
    let mut terminal = Terminal::start(&mut command(directory.path(), &flags));
    for password in ["registered-2048.kid", "virksomhet.p12.password"] {
        terminal.wait_for("What does the integration sign with?").press(DOWN).press(ENTER);
        terminal.wait_for("The PKCS#12 file:").press("virksomhet.p12").press(ENTER);
        terminal.wait_for("The file that holds its password:").press(password).press(ENTER);
        if password == "registered-2048.kid" {
            terminal.wait_for("That key cannot be used. virksomhet.p12: the password does not open it");
        }
    }
    let (status, out, screen) = terminal.end();
    assert_eq!(status.code(), Some(0), "{screen}");
    assert!(!screen.contains("Which environment") && !screen.contains("Client ID at"), "{screen}");
    let secret = fs::read_to_string(directory.path().join("virksomhet.p12.password")).unwrap();
    assert!(!screen.contains(secret.trim()) && out.starts_with("pv_"));
    let text = fs::read_to_string(directory.path().join("portvakt.toml")).unwrap();
    assert!(text.contains(r#"key = { pkcs12_file = "virksomhet.p12", password_file = "virksomhet.p12.password" }"#), "{text}");
}

#[test]
fn who_leaves_in_the_middle_leaves_nothing_behind() {
    for leave in [CTRL_C, ESCAPE] {
        let directory = directory();
        let mut terminal = Terminal::start(&mut command(directory.path(), &["init", "--environment", "test", "--new-key"]));
        terminal.wait_for("Client ID at Maskinporten:").press(leave);
        let (status, out, screen) = terminal.end();
        assert_eq!((status.code(), out.as_str()), (Some(1), ""), "{screen}");
        assert!(screen.contains("nothing was written"), "{screen}");
        assert!(names(directory.path()).is_empty());
    }
}
