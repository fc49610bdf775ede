//! `portvakt init` by flags: what it writes, says and refuses.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use openssl::x509::X509;
use portvakt::config::Config;
use portvakt::simulator::{ClientSettings, RegisteredKey, Settings, Simulator};
use rstest::rstest;
use tempfile::TempDir;

use crate::run::{Said, command, copied, directory, mode, names, run};
use crate::support::{FREG, FREG_SCOPE, FREG_SCOPE_2, KRR_SCOPE, Portvakt, certs, sha256};

const NEEDED: [&str; 6] = ["--environment", "test", "--client-id", FREG, "--freg", "uten-hjemmel"];

fn init(directory: &Path, arguments: &[&str]) -> Said {
    run(directory, &[&["init"], arguments].concat())
}

fn text(directory: &TempDir) -> String {
    fs::read_to_string(directory.path().join("portvakt.toml")).unwrap()
}

/// What it wrote is read without a warning.
#[track_caller]
fn accepted(directory: &Path) -> Config {
    let config = Config::load(&directory.join("portvakt.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    config
}

#[test]
fn from_flags_alone_to_a_commented_file_a_key_and_an_api_key() {
    let directory = directory();
    let said = init(directory.path(), &[&NEEDED[..], &["--new-key"]].concat()).fine();
    assert_eq!(names(directory.path()), ["key.pem", "key.public.jwk", "portvakt.toml"]);
    assert_eq!(mode(&directory.path().join("key.pem")), 0o600);
    // The API key is all of stdout, and stands nowhere else.
    let key = said.out.strip_suffix('\n').unwrap();
    assert!(key.len() == 52 && key.starts_with("pv_"), "{key}");
    let text = text(&directory);
    assert!(!said.err.contains(key) && !text.contains(key));
    assert!(text.contains(&sha256(key)));
    // What goes into Gravitee, and what is to be done next.
    let jwk = fs::read_to_string(directory.path().join("key.public.jwk")).unwrap();
    for words in [
        "maskinporten_api_key     the API key of gravitee-freg, above",
        &format!("maskinporten_api_iss     {FREG}"),
        "http://127.0.0.1:8080/token",
        "\n  portvakt check\n  portvakt serve\n  curl -i -H \"X-Gravitee-Api-Key: $API_KEY\"",
        &format!("-H 'iss: {FREG}' -H 'scope: {FREG_SCOPE}'"),
        jwk.trim(),
        "it will have expired",
        "mode 0600",
    ] {
        assert!(said.err.contains(words), "`{words}` is not in {}", said.err);
    }
    let config = accepted(directory.path());
    let (integration, caller) = (&config.integrations[0], &config.callers[0]);
    assert_eq!((integration.name.as_str(), integration.client_id.as_str(), integration.environment.name()), ("freg-test", FREG, "test"));
    assert_eq!((caller.name.as_str(), caller.may[0].scopes.as_slice()), ("gravitee-freg", [FREG_SCOPE.to_owned()].as_slice()));
}

/// What is commented out is what could stand there.
#[test]
fn its_comments_hold_settings_that_are_accepted() {
    let directory = directory();
    init(directory.path(), &[&NEEDED[..], &["--new-key"]].concat()).fine();
    fs::write(directory.path().join("extra-ca.pem"), "x").unwrap();
    let text = text(&directory);
    let uncommented: Vec<&str> =
        text.lines().map(|line| line.strip_prefix("# ").filter(|setting| setting.split(' ').nth(1) == Some("=")).unwrap_or(line)).collect();
    let settings = uncommented.iter().zip(text.lines()).filter(|(one, other)| *one != other).count();
    assert!(settings >= 7, "{uncommented:#?}");
    fs::write(directory.path().join("portvakt.toml"), uncommented.join("\n")).unwrap();
    accepted(directory.path());
    assert!(text.lines().all(|line| line.chars().count() <= 140 || line.starts_with("may = ")), "{text}");
}

#[rstest]
#[case(&["--freg", "uten-hjemmel"], "freg-simulator", "gravitee-freg", &[FREG_SCOPE], &[FREG_SCOPE])]
#[case(&["--freg", "med-hjemmel"], "freg-simulator", "gravitee-freg", &[FREG_SCOPE, "folkeregister:deling/offentligmedhjemmel folkeregister:deling/offentligutenhjemmel"], &[FREG_SCOPE_2, FREG_SCOPE])]
#[case(&["--krr"], "krr-simulator", "gravitee-krr", &[KRR_SCOPE], &[KRR_SCOPE])]
#[case(&["--krr", "--freg", "uten-hjemmel"], "maskinporten-simulator", "gravitee", &[FREG_SCOPE, KRR_SCOPE], &[FREG_SCOPE, KRR_SCOPE])]
#[case(&["--scope", "a:b a:c", "--scope", "a:c"], "maskinporten-simulator", "gravitee", &["a:b a:c", "a:c"], &["a:b", "a:c"])]
fn what_is_asked_for_is_kept_warm_and_permitted(
    #[case] arguments: &[&str],
    #[case] integration: &str,
    #[case] caller: &str,
    #[case] prefetch: &[&str],
    #[case] scopes: &[&str],
) {
    let directory = directory();
    init(directory.path(), &[&["--environment", "simulator", "--client-id", FREG, "--new-key"], arguments].concat()).fine();
    let config = accepted(directory.path());
    let warm: Vec<&str> = config.integrations[0].prefetch.iter().map(|prefetch| prefetch.scopes.as_str()).collect();
    assert_eq!((config.integrations[0].name.as_str(), warm.as_slice()), (integration, prefetch));
    assert_eq!(
        (config.callers[0].name.as_str(), config.callers[0].may[0].scopes.as_slice()),
        (caller, scopes.iter().map(|&scope| scope.to_owned()).collect::<Vec<_>>().as_slice())
    );
}

#[test]
fn each_caller_has_a_key_of_its_own_in_their_order() {
    let directory = directory();
    let said =
        init(directory.path(), &[&NEEDED[..], &["--new-key", "--caller", "gravitee", "--caller", "arkivet på loftet"]].concat()).fine();
    let keys: Vec<&str> = said.out.lines().collect();
    assert_eq!(keys.len(), 2);
    let config = accepted(directory.path());
    for (key, (caller, name)) in keys.iter().zip(config.callers.iter().zip(["gravitee", "arkivet på loftet"])) {
        assert_eq!((caller.name.as_str(), hex::encode(caller.keys[0].sha256)), (name, sha256(key)));
        assert!(said.err.contains(&format!("The API key of {name}, shown this once:")), "{}", said.err);
    }
}

/// The flags of a key that is in files, and those files.
fn existing_key(directory: &Path, form: &str) -> Vec<String> {
    let flags: &[&str] = match form {
        "pem" => &["--private-key-file", "registered-2048.pem", "--kid", "portvakt-test-2048"],
        "encrypted pem" => &[
            "--private-key-file",
            "registered-2048.encrypted.pem",
            "--kid",
            "portvakt-test-2048",
            "--password-file",
            "virksomhet.p12.password",
        ],
        "jwk" => &["--jwk-file", "registered-2048.private.jwk"],
        "pkcs12" => &["--pkcs12-file", "virksomhet.p12", "--password-file", "virksomhet.p12.password"],
        "old pkcs12" => &["--pkcs12-file", "pairs-legacy.p12", "--password-file", "virksomhet.p12.password"],
        "certificate" => &["--certificate-file", "virksomhet.pem", "--private-key-file", "virksomhet.key"],
        "one pem" => &["--certificate-file", "virksomhet-with-key.pem", "--private-key-file", "virksomhet-with-key.pem"],
        other => panic!("{other}"),
    };
    let files: std::collections::BTreeSet<&&str> = flags.iter().filter(|flag| certs(flag).is_file()).collect();
    for file in files {
        copied(directory, file);
    }
    flags.iter().map(|&flag| flag.to_owned()).collect()
}

/// A simulator that knows the client by both kinds of key.
fn simulator(public_jwk: Option<&str>) -> Simulator {
    let client = [FREG_SCOPE, KRR_SCOPE].into_iter().fold(ClientSettings::new(FREG, "991825827"), ClientSettings::scope);
    let client = match public_jwk {
        Some(jwk) => client.key(RegisteredKey::from_jwk(jwk).unwrap()),
        None => client,
    };
    let trusted = X509::stack_from_pem(&fs::read(certs("ca.pem")).unwrap()).unwrap();
    Simulator::start(trusted.into_iter().fold(Settings::new().client(client), Settings::trust)).unwrap()
}

/// Free ports for the file that was written, and the simulator that runs where it will be asked.
fn served(directory: TempDir, simulator: &Simulator) -> Portvakt {
    let written = text(&directory);
    let changed = written
        .replace("listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:0\"")
        .replace("# listen = \"127.0.0.1:9464\"", "listen = \"127.0.0.1:0\"")
        .replace("http://127.0.0.1:8090", simulator.issuer().trim_end_matches('/'));
    assert_eq!(changed.matches("127.0.0.1:0\"").count(), 2);
    fs::write(directory.path().join("portvakt.toml"), changed).unwrap();
    // With its own ports, others that run on this machine could be in the way.
    let report = run(directory.path(), &["check", "--offline", "--format", "json"]).fine();
    assert!(!report.out.contains("\"warning\""), "{}", report.out);
    Portvakt::start_in(directory)
}

#[rstest]
#[case::pem("pem", true)]
#[case::encrypted_pem("encrypted pem", true)]
#[case::jwk("jwk", true)]
#[case::pkcs12("pkcs12", false)]
#[case::old_pkcs12("old pkcs12", false)]
#[case::certificate("certificate", false)]
#[case::one_pem("one pem", false)]
#[tokio::test]
async fn a_key_that_exists_serves_a_token(#[case] form: &str, #[case] registered: bool) {
    let directory = directory();
    let key = existing_key(directory.path(), form);
    let simulator = simulator(registered.then(|| fs::read_to_string(certs("registered-2048.public.jwk")).unwrap()).as_deref());
    let (issuer, endpoint) = (simulator.issuer().to_owned(), simulator.token_endpoint());
    let flags = ["--environment", "local", "--issuer", &issuer, "--token-endpoint", &endpoint, "--client-id", FREG, "--krr"];
    let key: Vec<&str> = key.iter().map(String::as_str).collect();
    let said = init(directory.path(), &[flags.as_slice(), &key].concat()).fine();
    accepted(directory.path());
    // Only what was made is told to be registered.
    assert!(!said.err.contains("Samarbeidsportalen") && !directory.path().join("key.pem").exists(), "{}", said.err);
    let portvakt = served(directory, &simulator);
    portvakt.ask().with("X-Gravitee-Api-Key", said.out.trim()).with("scope", KRR_SCOPE).send().await.token();
}

#[tokio::test]
async fn a_new_key_serves_a_token_from_the_simulator_with_the_file_that_was_written_for_it() {
    let directory = directory();
    let flags = ["--environment", "simulator", "--client-id", FREG, "--freg", "uten-hjemmel", "--new-key", "--kid", "made 'for' this"];
    let said = init(directory.path(), &flags).fine();
    assert_eq!(names(directory.path()), ["clients.toml", "key.pem", "key.public.jwk", "portvakt.toml"]);
    assert!(said.err.contains("\n  portvakt simulate --clients clients.toml\n  portvakt serve\n"), "{}", said.err);
    accepted(directory.path());
    let simulator = Simulator::start(Settings::from_clients_file(&directory.path().join("clients.toml")).unwrap()).unwrap();
    let portvakt = served(directory, &simulator);
    portvakt.ask().with("X-Gravitee-Api-Key", said.out.trim()).send().await.token();
}

#[test]
fn files_elsewhere_are_named_so_that_they_are_found() {
    let directory = directory();
    let (beside, elsewhere) = (directory.path().join("etc"), directory.path().join("keys"));
    for made in [&beside, &elsewhere, &beside.join("below")] {
        fs::create_dir(made).unwrap();
    }
    copied(&elsewhere, "virksomhet.p12");
    copied(&beside.join("below"), "virksomhet.p12.password");
    let key = ["--pkcs12-file", "keys/virksomhet.p12", "--password-file", "etc/below/virksomhet.p12.password"];
    let said = init(directory.path(), &[&NEEDED[..], &key, &["--config", "etc/portvakt.toml"]].concat()).fine();
    let text = fs::read_to_string(beside.join("portvakt.toml")).unwrap();
    assert!(text.contains("password_file = \"below/virksomhet.p12.password\""), "{text}");
    assert!(text.contains(&format!("pkcs12_file = \"{}\"", elsewhere.join("virksomhet.p12").display())), "{text}");
    assert!(said.err.contains("portvakt serve --config etc/portvakt.toml"), "{}", said.err);
    accepted(&beside);
    // By the environment's variable too, and a new key goes beside it.
    fs::remove_file(beside.join("portvakt.toml")).unwrap();
    let file = beside.join("portvakt.toml");
    let output =
        command(directory.path(), &[&["init"], &NEEDED[..], &["--new-key"]].concat()).env("PORTVAKT_CONFIG", &file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    accepted(&beside);
    assert_eq!(mode(&beside.join("key.pem")), 0o600);
}

#[test]
fn a_secret_file_that_others_can_read_is_said() {
    let directory = directory();
    fs::copy(certs("registered-2048.pem"), directory.path().join("open.pem")).unwrap();
    fs::set_permissions(directory.path().join("open.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let said = init(directory.path(), &[&NEEDED[..], &["--private-key-file", "open.pem", "--kid", "k"]].concat()).fine();
    assert!(said.err.contains("warning:") && said.err.contains("chmod o="), "{}", said.err);
}

#[rstest]
#[case("portvakt.toml")]
#[case("key.pem")]
#[case("key.public.jwk")]
#[case("clients.toml")]
fn nothing_is_overwritten_and_nothing_half_done(#[case] there: &str) {
    let directory = directory();
    fs::write(directory.path().join(there), "of last year").unwrap();
    let flags = ["--environment", "simulator", "--client-id", FREG, "--krr", "--new-key"];
    init(directory.path(), &flags).misused(&format!("{there} exists already, and is never overwritten"));
    assert_eq!(names(directory.path()), [there]);
    assert_eq!(fs::read_to_string(directory.path().join(there)).unwrap(), "of last year");
}

#[rstest]
#[case::nothing(&[], &["--environment", "--client-id", "--new-key", "--freg"])]
#[case::no_client_id(&["--environment", "test", "--krr", "--new-key"], &["--client-id"])]
#[case::no_key(&["--environment", "test", "--krr", "--client-id", "x"], &["--new-key"])]
#[case::no_scope(&["--environment", "test", "--client-id", "x", "--new-key"], &["--freg"])]
#[case::no_environment(&["--client-id", "x", "--new-key", "--krr"], &["--environment"])]
fn without_a_terminal_it_says_what_is_missing(#[case] arguments: &[&str], #[case] missing: &[&str]) {
    let directory = directory();
    let said = init(directory.path(), arguments);
    said.misused("these flags are missing");
    let named: Vec<&str> = said.err.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).collect();
    assert_eq!(named, missing, "{}", said.err);
    assert!(names(directory.path()).is_empty());
}

#[rstest]
#[case(&["--environment", "tset"], "there is no environment tset: known are prod, test, sky-prod, sky-test and simulator")]
#[case(&["--environment", "te st"], "letters, digits")]
#[case(&["--environment", "test", "--issuer", "https://maskinporten.example.no/"], "Digdir's own environment")]
#[case(&["--environment", "local", "--issuer", "http://10.0.0.1/"], "plain http")]
#[case(&["--environment", "local", "--issuer", "maskinporten"], "not an absolute http or https URL")]
#[case(&["--issuer", "https://maskinporten.example.no/"], "--environment")]
#[case(&["--client-id", "2d6f 1b0e"], "a space")]
#[case(&["--client-id", ""], "it is empty")]
#[case(&["--client-id", "null"], "nothing was given")]
#[case(&["--scope", "folkeregister:deling/*"], "whole scopes")]
#[case(&["--scope", "ø"], "RFC 6749")]
#[case(&["--scope", " "], "no scope is named")]
#[case(&["--freg", "begge"], "uten-hjemmel")]
#[case(&["--caller", "none"], "nobody is known")]
#[case(&["--caller", "a\nb"], "control character")]
#[case(&["--caller", "a", "--caller", "a"], "--caller a is there twice")]
#[case(&["--new-key", "--jwk-file", "key.jwk"], "cannot be used with")]
#[case(&["--new-key", "--password-file", "key.pw"], "cannot be used with")]
#[case(&["--pkcs12-file", "virksomhet.p12", "--kid", "k"], "cannot be used with")]
#[case(&["--certificate-file", "virksomhet.pem"], "--private-key-file")]
#[case(&["--private-key-file", "registered-2048.pem"], "needs its --kid")]
#[case(&["--private-key-file", "ec.key", "--kid", "k"], "a key of the kind EC")]
#[case(&["--private-key-file", "nothing.pem", "--kid", "k"], "cannot use `nothing.pem`")]
#[case(&["--pkcs12-file", "virksomhet.p12"], "the password is empty")]
#[case(&["--pkcs12-file", "virksomhet.p12", "--password-file", "registered-2048.kid"], "the password does not open it")]
#[case(&["--certificate-file", "virksomhet.pem", "--private-key-file", "commfides.key"], "not that of the certificate")]
#[case(&["--jwk-file", "registered-2048.public.jwk"], "this is a public key")]
#[case(&["--config", "nowhere/portvakt.toml", "--new-key"], "is no directory")]
fn what_a_flag_cannot_say(#[case] arguments: &[&str], #[case] why: &str) {
    let directory = directory();
    for name in names(&certs("")) {
        std::os::unix::fs::symlink(certs(&name), directory.path().join(&name)).unwrap();
    }
    let before = names(directory.path());
    let said = init(directory.path(), arguments);
    said.misused(why);
    assert_eq!(names(directory.path()), before);
    let password = fs::read_to_string(certs("virksomhet.p12.password")).unwrap();
    assert!(!said.err.contains(password.trim()), "{}", said.err);
}

/// What init writes passes `check --offline`, or is not written.
#[rstest]
#[case::expired("test", "expired.p12", "the certificate has expired")]
#[case::not_yet_valid("test", "not-yet-valid.p12", "the certificate is not valid yet")]
#[case::of_another_environment("prod", "virksomhet.p12", "a test certificate in production")]
fn a_certificate_that_maskinporten_would_refuse_is_told_of_at_once(#[case] environment: &str, #[case] file: &str, #[case] why: &str) {
    let directory = directory();
    copied(directory.path(), file);
    copied(directory.path(), "virksomhet.p12.password");
    let before = names(directory.path());
    let key = ["--pkcs12-file", file, "--password-file", "virksomhet.p12.password"];
    let said = run(directory.path(), &[&["init", "--environment", environment, "--client-id", "x", "--krr"][..], &key].concat());
    said.misused(why);
    assert_eq!(names(directory.path()), before);
}

#[test]
fn an_api_key_that_cannot_be_shown_is_a_failure() {
    let directory = directory();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(directory.path(), &[&["init"], &NEEDED[..], &["--new-key"]].concat()).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    // Nobody has seen the key that the file is about: the file would be of no use.
    assert!(names(directory.path()).is_empty());
}

/// Each time at another moment of the writing.
#[test]
fn interrupted_while_it_writes_it_leaves_no_half_of_its_files() {
    for pause in 0..12 {
        let directory = directory();
        let arguments = ["init", "--environment", "simulator", "--client-id", FREG, "--krr", "--new-key"];
        let mut init = command(directory.path(), &arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let has_ended = loop {
            // Looked at first: between the two it may write the key and end.
            let has_ended = init.try_wait().unwrap().is_some();
            if directory.path().join("key.pem").exists() {
                break has_ended;
            }
            assert!(!has_ended, "it ended without a key");
        };
        // Not waiting for anything: it is the moment that differs.
        for spin in 0..pause * 20_000 {
            std::hint::black_box(spin);
        }
        if !has_ended {
            let pid = rustix::process::Pid::from_child(&init);
            // It may have ended by now.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let output = init.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(names(directory.path()), ["clients.toml", "key.pem", "key.public.jwk", "portvakt.toml"]);
        assert!(output.stdout.starts_with(b"pv_"));
    }
}
