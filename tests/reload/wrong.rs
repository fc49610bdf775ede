//! A configuration that cannot be used changes nothing, is told of, and is taken on as soon as it is mended.

use std::fs;

use rstest::rstest;
use rustix::process::Signal;

use crate::scene::*;
use crate::support::*;

const REFUSED: &str = "not reloaded: the configuration cannot be used";
const SECRET: &str = "pv_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG123456";

/// What a file is that was right before.
#[derive(Clone, Copy, Debug)]
enum Wrong {
    Syntax,
    UnknownKeys,
    KeyThatDoesNotOpen,
    MissingKeyFile,
    MissingFile,
    /// Reading it would wait for somebody who writes.
    Pipe,
    CaFile,
    NotUtf8,
}

#[rstest]
#[case(Wrong::Syntax, "it has a mistake, see above", 1)]
#[case(Wrong::UnknownKeys, "it has 2 mistakes, see above", 2)]
#[case(Wrong::KeyThatDoesNotOpen, "it has a mistake, see above", 1)]
#[case(Wrong::MissingKeyFile, "it has a mistake, see above", 1)]
#[case(Wrong::MissingFile, "cannot read the configuration file", 0)]
#[case(Wrong::Pipe, "it is not a regular file", 0)]
#[case(Wrong::CaFile, "it has a mistake, see above", 1)]
#[case(Wrong::NotUtf8, "it has a mistake, see above", 1)]
#[tokio::test]
async fn a_wrong_file_changes_nothing(#[case] wrong: Wrong, #[case] why: &str, #[case] mistakes: usize) {
    let simulator = simulator();
    let directory = tempfile::tempdir().unwrap();
    let (key, ca) = (directory.path().join("key.pem"), directory.path().join("ca.pem"));
    fs::copy(certs("registered-2048.pem"), &key).unwrap();
    fs::copy(certs("ca.pem"), &ca).unwrap();
    let sections = format!("[outbound]\nca_file = '{}'", ca.display());
    let text = Configuration { sections, ..configuration(&simulator) }.text();
    let text = text.replace(&certs("registered-2048.pem").display().to_string(), &key.display().to_string());
    fs::write(directory.path().join("portvakt.toml"), &text).unwrap();
    let portvakt = Portvakt::start_in(directory);
    let (token, started) = (portvakt.ask().send().await.token().to_owned(), last_success(&portvakt).await);

    // Whatever else stands in it is not taken on either: here nobody may ask any more.
    let revoked = text.replace(&sha256(API_KEY), &sha256("another-key"));
    match wrong {
        Wrong::Syntax => rename_over(&file(&portvakt), format!("{revoked}\n[[caller")),
        Wrong::UnknownKeys => {
            rename_over(&file(&portvakt), revoked.replace("shutdown_grace", "shutdown_grave") + "\n[cachee]\n");
        }
        Wrong::KeyThatDoesNotOpen => {
            fs::write(&key, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
            rename_over(&file(&portvakt), revoked);
        }
        Wrong::MissingKeyFile => {
            fs::remove_file(&key).unwrap();
            rename_over(&file(&portvakt), revoked);
        }
        Wrong::MissingFile => fs::remove_file(file(&portvakt)).unwrap(),
        Wrong::Pipe => {
            fs::remove_file(file(&portvakt)).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(file(&portvakt)).status().unwrap().success());
        }
        Wrong::CaFile => {
            fs::write(&ca, "no certificate").unwrap();
            rename_over(&file(&portvakt), revoked);
        }
        Wrong::NotUtf8 => rename_over(&file(&portvakt), [revoked.as_bytes(), b"# \xf8\n"].concat()),
    }
    portvakt.signal(Signal::HUP);
    let refused = line(&portvakt, 0, REFUSED, |_| true).await;
    assert_eq!(refused["level"], "ERROR");
    assert!(refused["error"].as_str().unwrap().contains(why), "{refused}");
    assert!(refused["file"].as_str().unwrap().ends_with("portvakt.toml"), "{refused}");
    let told = lines(&portvakt, 0, "a mistake in the configuration");
    // Noticed twice on a slow machine: by the change, and by the signal.
    assert!(told.len() >= mistakes && told.len().is_multiple_of(mistakes.max(1)), "{told:?}");
    for told in &told {
        assert_eq!(told["level"], "ERROR");
        assert!(told["line"].as_u64().unwrap() >= 1 && told["column"].as_u64().unwrap() >= 1, "{told}");
        assert!(!told["error"].as_str().unwrap().is_empty() && !told["remedy"].as_str().unwrap().is_empty(), "{told}");
    }
    assert!(!successful(&portvakt).await);
    assert!((last_success(&portvakt).await - started).abs() < f64::EPSILON, "when it was last right is as it was");
    assert_eq!(portvakt.ask().send().await.token(), token);
    assert_eq!(portvakt.ask().with("X-Gravitee-Api-Key", "another-key").send().await.status, 401);
    assert_ne!(portvakt.ask().post().send().await.token(), token);

    // Mended, and noticed without a signal.
    let from = portvakt.log().len();
    fs::copy(certs("registered-2048.pem"), &key).unwrap();
    fs::copy(certs("ca.pem"), &ca).unwrap();
    rename_over(&file(&portvakt), text);
    let reloaded = line(&portvakt, from, "reloaded", |_| true).await;
    assert_eq!(reloaded["changes"], NOTHING);
    assert!(reloaded["because"].as_str().unwrap().contains("changed"), "{reloaded}");
    assert!(successful(&portvakt).await);
    assert!(last_success(&portvakt).await > started);
    portvakt.ask().send().await.token();
}

#[tokio::test]
async fn a_file_that_appears_is_noticed_and_one_that_stays_wrong_is_not_tried_again() {
    let simulator = simulator();
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("third.key");
    let more = format!(
        "[[caller]]\nname = \"third\"\nkeys = [{{ file = '{}' }}]\nmay = [{{ integration = \"freg\", scopes = [\"{FREG_SCOPE}\"] }}]\n",
        key.display()
    );
    let configuration = configuration(&simulator);
    fs::write(directory.path().join("portvakt.toml"), configuration.text()).unwrap();
    let portvakt = Portvakt::start_in(directory);
    rename_over(&file(&portvakt), Configuration { more, ..configuration }.text());
    line(&portvakt, 0, REFUSED, |_| true).await;
    // SIGHUP tries all the same; a change of nothing does not.
    portvakt.signal(Signal::HUP);
    until("the second refusal", || lines(&portvakt, 0, REFUSED).len() == 2).await;
    let because: Vec<_> = lines(&portvakt, 0, REFUSED).iter().map(|line| line["because"].as_str().unwrap().to_owned()).collect();
    assert!(because[0].contains("changed") && because[1] == "SIGHUP", "{because:?}");
    fs::write(&key, "third-key").unwrap();
    let reloaded = line(&portvakt, 0, "reloaded", |_| true).await;
    assert_eq!((&reloaded["changes"], lines(&portvakt, 0, REFUSED).len()), (&"caller third added".into(), 2));
    portvakt.ask().with("X-Gravitee-Api-Key", "third-key").send().await.token();
}

#[tokio::test]
async fn secrets_in_a_wrong_file_are_masked() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    rename_over(&file(&portvakt), configuration.text().replace(&sha256(API_KEY), SECRET));
    portvakt.signal(Signal::HUP);
    line(&portvakt, 0, REFUSED, |_| true).await;
    assert!(!portvakt.log().iter().any(|line| line.contains(SECRET)));
}
