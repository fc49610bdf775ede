//! What makes the service read its configuration anew.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::process::Signal;

use crate::scene::*;
use crate::support::*;

/// A caller that is not there before.
fn third(key: &str) -> String {
    format!("[[caller]]\nname = \"third\"\nkeys = [{{ {key} }}]\nmay = [{{ integration = \"freg\", scopes = [\"{FREG_SCOPE}\"] }}]\n")
}

#[tokio::test]
async fn sighup_reads_it_anew_and_the_metrics_say_so() {
    let simulator = simulator();
    let portvakt = Portvakt::start(&configuration(&simulator));
    assert!(successful(&portvakt).await);
    let started = last_success(&portvakt).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!(started <= now && started > now - 60.0, "{started}, {now}");
    portvakt.signal(Signal::HUP);
    let reloaded = line(&portvakt, 0, "reloaded", |_| true).await;
    assert_eq!((&reloaded["because"], &reloaded["changes"]), (&"SIGHUP".into(), &NOTHING.into()));
    assert!(last_success(&portvakt).await > started);
    assert!(successful(&portvakt).await);
}

/// Waits until a new caller may ask, and looks at why.
async fn third_may_ask_because(portvakt: &Portvakt, from: usize, expected: &Path) {
    let reloaded = line(portvakt, from, "reloaded", |line| line["changes"] != NOTHING).await;
    let because = reloaded["because"].as_str().unwrap();
    assert!(because.contains(&expected.display().to_string()) && because.contains("changed"), "{because}");
    portvakt.ask().with("X-Gravitee-Api-Key", "third-key").send().await.token();
}

#[tokio::test]
async fn a_file_that_is_edited_in_place() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let more = third(&format!("sha256 = \"{}\"", sha256("third-key")));
    fs::write(file(&portvakt), Configuration { more, ..configuration }.text()).unwrap();
    third_may_ask_because(&portvakt, 0, &file(&portvakt)).await;
}

#[tokio::test]
async fn a_file_that_is_renamed_over_the_old_one() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let portvakt = Portvakt::start(&configuration);
    let more = third(&format!("sha256 = \"{}\"", sha256("third-key")));
    rename_over(&file(&portvakt), Configuration { more, ..configuration }.text());
    third_may_ask_because(&portvakt, 0, &file(&portvakt)).await;
}

#[tokio::test]
async fn a_directory_that_is_swapped_as_kubernetes_does_it() {
    let simulator = simulator();
    let configuration = configuration(&simulator);
    let directory = tempfile::tempdir().unwrap();
    let version = |name: &str, text: &str| {
        fs::create_dir(directory.path().join(name)).unwrap();
        fs::write(directory.path().join(name).join("portvakt.toml"), text).unwrap();
    };
    version("..2026_1", &configuration.text());
    symlink("..2026_1", directory.path().join("..data")).unwrap();
    symlink("..data/portvakt.toml", directory.path().join("portvakt.toml")).unwrap();
    let more = third(&format!("sha256 = \"{}\"", sha256("third-key")));
    version("..2026_2", &Configuration { more, ..configuration }.text());
    let portvakt = Portvakt::start_in(directory);
    let directory = portvakt.directory.path();
    symlink("..2026_2", directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    fs::remove_dir_all(directory.join("..2026_1")).unwrap();
    third_may_ask_because(&portvakt, 0, &file(&portvakt)).await;
}

#[tokio::test]
async fn the_file_of_an_api_key() {
    let simulator = simulator();
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("third.key");
    fs::write(&key_file, "an-older-key\n").unwrap();
    let more = third(&format!("file = '{}'", key_file.display()));
    fs::write(directory.path().join("portvakt.toml"), Configuration { more, ..configuration(&simulator) }.text()).unwrap();
    let portvakt = Portvakt::start_in(directory);
    portvakt.ask().with("X-Gravitee-Api-Key", "an-older-key").send().await.token();
    fs::write(&key_file, "third-key\n").unwrap();
    third_may_ask_because(&portvakt, 0, &key_file).await;
    assert_eq!(portvakt.ask().with("X-Gravitee-Api-Key", "an-older-key").send().await.status, 401);
    let changes = changes(&portvakt, 0).await;
    let (new, old) = (&sha256("third-key")[..8], &sha256("an-older-key")[..8]);
    assert_eq!(changes, format!("caller third: API key {new} added; caller third: API key {old} removed"));
}

#[tokio::test]
async fn the_file_of_a_key() {
    let simulator = simulator_with_two_keys();
    let directory = tempfile::tempdir().unwrap();
    let jwk = directory.path().join("key.jwk");
    fs::copy(certs("registered-2048.private.jwk"), &jwk).unwrap();
    let text = configuration(&simulator).text().replace(&freg_key(2048), &format!("key = {{ jwk_file = '{}' }}", jwk.display()));
    fs::write(directory.path().join("portvakt.toml"), text).unwrap();
    let portvakt = Portvakt::start_in(directory);
    let token = portvakt.ask().send().await.token().to_owned();
    rename_over(&jwk, fs::read(certs("registered-4096.private.jwk")).unwrap());
    let changes = changes(&portvakt, 0).await;
    assert!(changes.starts_with(&format!("integration freg signs with kid {OTHER_KID} (key ")), "{changes}");
    assert!(changes.contains(&format!(" in place of kid {KID} (key ")), "{changes}");
    // The token is as good as before, and the next one is signed for with the new key.
    assert_eq!(portvakt.ask().send().await.token(), token);
    assert_eq!((newest_kid(&simulator).as_str(), simulator.counters().received), (KID, 1));
    assert_ne!(portvakt.ask().post().send().await.token(), token);
    assert_eq!(newest_kid(&simulator), OTHER_KID);
    assert_eq!(lines(&portvakt, 0, "signs with a registered key").last().unwrap()["kid"], OTHER_KID);
}

#[tokio::test]
async fn the_file_of_a_password() {
    let simulator = simulator();
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("virksomhet.pw");
    fs::copy(certs("virksomhet.p12.password"), &password).unwrap();
    let krr_key = format!("{{ pkcs12_file = '{}', password_file = '{}' }}", certs("virksomhet.p12").display(), password.display());
    fs::write(directory.path().join("portvakt.toml"), Configuration { krr_key, ..configuration(&simulator) }.text()).unwrap();
    let portvakt = Portvakt::start_in(directory);
    fs::write(&password, "another one\n").unwrap();
    let refused = line(&portvakt, 0, "not reloaded: the configuration cannot be used", |_| true).await;
    assert!(refused["because"].as_str().unwrap().contains("virksomhet.pw"), "{refused}");
    portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE).send().await.token();
    fs::copy(certs("virksomhet.p12.password"), &password).unwrap();
    assert_eq!(line(&portvakt, 0, "reloaded", |_| true).await["changes"], NOTHING);
}
