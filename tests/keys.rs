//! Every form of a key, end to end: what signs a grant that Maskinporten takes, and what stops the start.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine;
use openssl::hash::MessageDigest;
use openssl::x509::X509;
use portvakt::maskinporten::{Cause, KnownError};
use portvakt::simulator::{ClientSettings, RegisteredKey, Simulator};
use support::*;

/// An integration of this test.
struct Case {
    /// The `key` of the operator's file, its files' names relative to certs/.
    key: &'static str,
    algorithm: &'static str,
    /// The organisation whose certificate signs, and the file with that certificate; or the registered key.
    signs: Signs,
}

enum Signs {
    Certificate { organisation: &'static str, file: &'static str },
    Registered { jwk: &'static str },
}

const fn certificate(key: &'static str, file: &'static str) -> Case {
    Case { key, algorithm: "RS256", signs: Signs::Certificate { organisation: "991825827", file } }
}

const fn registered(key: &'static str, jwk: &'static str) -> Case {
    Case { key, algorithm: "RS256", signs: Signs::Registered { jwk } }
}

impl Case {
    const fn with(self, algorithm: &'static str) -> Self {
        Self { algorithm, ..self }
    }

    const fn of(self, organisation: &'static str) -> Self {
        let Signs::Certificate { file, .. } = self.signs else { panic!() };
        Self { signs: Signs::Certificate { organisation, file }, ..self }
    }
}

const SMALL: &str = "registered-2048.public.jwk";
const LARGE: &str = "registered-4096.public.jwk";

const CASES: [Case; 33] = [
    certificate("pkcs12_file = 'virksomhet.p12', password_file = PASSWORD", "virksomhet.pem"),
    certificate("pkcs12_file = 'virksomhet.p12', password_file = PASSWORD", "virksomhet.pem").with("RS384"),
    certificate("pkcs12_file = 'virksomhet.p12', password_file = PASSWORD", "virksomhet.pem").with("RS512"),
    certificate("pkcs12_file = 'virksomhet-legacy.p12', password_file = PASSWORD", "virksomhet.pem"),
    certificate("pkcs12_file = 'old-form.p12', password_file = PASSWORD", "old-form.pem"),
    certificate("pkcs12_file = 'commfides.p12', password_file = PASSWORD", "commfides.pem"),
    certificate("pkcs12_file = 'other-organisation.p12', password_file = PASSWORD", "other-organisation.pem").of("889640782"),
    // Of three pairs the one with digitalSignature, unless another one is chosen.
    certificate("pkcs12_file = 'pairs.p12', password_file = PASSWORD", "virksomhet.pem"),
    certificate("pkcs12_file = 'pairs-legacy.p12', password_file = PASSWORD", "virksomhet.pem"),
    certificate("pkcs12_file = 'keytool.p12', password_file = PASSWORD", "virksomhet.pem"),
    certificate("pkcs12_file = 'pairs.p12', password_file = PASSWORD, certificate_sha256 = 'SHA256(seal.pem)'", "seal.pem"),
    certificate("pkcs12_file = 'pairs-legacy.p12', password_file = PASSWORD, certificate_sha256 = 'SHA256(seal.pem)'", "seal.pem"),
    certificate("pkcs12_file = 'keytool.p12', password_file = PASSWORD, certificate_sha256 = 'SHA256(virksomhet.pem)'", "virksomhet.pem"),
    certificate("pkcs12_file = 'empty-password.p12'", "virksomhet.pem"),
    certificate("pkcs12_file = 'empty-password-legacy.p12'", "virksomhet.pem"),
    certificate("pkcs12_file = 'no-encryption.p12', password_file = PASSWORD", "virksomhet.pem"),
    certificate("certificate_file = 'virksomhet.pem', private_key_file = 'virksomhet.key'", "virksomhet.pem"),
    certificate("certificate_file = 'virksomhet.pem', private_key_file = 'virksomhet.key'", "virksomhet.pem").with("RS384"),
    certificate("certificate_file = 'virksomhet-scrambled.pem', private_key_file = 'virksomhet-pkcs1.key'", "virksomhet.pem"),
    certificate("certificate_file = 'virksomhet-with-key.pem', private_key_file = 'virksomhet-with-key.pem'", "virksomhet.pem"),
    certificate(
        "certificate_file = 'virksomhet.pem', private_key_file = 'virksomhet-encrypted.key', password_file = PASSWORD",
        "virksomhet.pem",
    ),
    certificate(
        "certificate_file = 'virksomhet.pem', private_key_file = 'virksomhet-encrypted-pkcs1.key', password_file = PASSWORD",
        "virksomhet.pem",
    ),
    certificate("certificate_file = 'seal.pem', private_key_file = 'seal.key'", "seal.pem"),
    certificate("certificate_file = 'other-organisation.pem', private_key_file = 'other-organisation.key'", "other-organisation.pem")
        .of("889640782"),
    registered("private_key_file = 'registered-2048.pem', kid = 'portvakt-test-2048'", SMALL),
    registered("private_key_file = 'registered-2048.pem', kid = 'portvakt-test-2048'", SMALL).with("RS384"),
    registered("private_key_file = 'registered-2048.pkcs1.pem', kid = 'portvakt-test-2048'", SMALL).with("RS512"),
    registered("private_key_file = 'registered-2048.encrypted.pem', password_file = PASSWORD, kid = 'portvakt-test-2048'", SMALL),
    registered("jwk_file = 'registered-2048.private.jwk'", SMALL),
    registered("private_key_file = 'registered-4096.pem', kid = 'portvakt-test-4096'", LARGE),
    registered("private_key_file = 'registered-4096.pkcs1.pem', kid = 'portvakt-test-4096'", LARGE),
    registered("private_key_file = 'registered-4096.encrypted.pem', password_file = PASSWORD, kid = 'portvakt-test-4096'", LARGE),
    registered("jwk_file = 'registered-4096.private.jwk'", LARGE).with("RS512"),
];

/// `{ … }` with whole names and real digests.
fn key_table(key: &str) -> String {
    let key = with_digests(&key.replace("PASSWORD", "'virksomhet.p12.password'"));
    let directory = certs("").display().to_string();
    let mut parts = key.split('\'');
    let mut table = parts.next().unwrap().to_owned();
    while let (Some(quoted), Some(after)) = (parts.next(), parts.next()) {
        let is_file = table.trim_end().ends_with("_file =") && !quoted.starts_with('/');
        write!(table, "'{}{quoted}'{after}", if is_file { directory.as_str() } else { "" }).unwrap();
    }
    format!("{{ {table} }}")
}

/// `SHA256(file)` becomes the fingerprint of the file's first certificate.
fn with_digests(text: &str) -> String {
    let mut text = text.to_owned();
    while let Some((before, rest)) = text.split_once("SHA256(") {
        let (file, after) = rest.split_once(')').unwrap();
        text = format!("{before}{}{after}", hex::encode(leaf(file).digest(MessageDigest::sha256()).unwrap()));
    }
    text
}

fn leaf(file: &str) -> X509 {
    X509::from_pem(&std::fs::read(certs(file)).unwrap()).unwrap()
}

fn client_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

#[tokio::test]
async fn every_form_of_a_key_signs_what_maskinporten_takes() {
    let mut settings = simulator_settings();
    let (mut integrations, mut may) = (String::new(), String::new());
    for (number, Case { key, algorithm, signs }) in CASES.iter().enumerate() {
        let client_id = client_id(number);
        let client = match signs {
            Signs::Certificate { organisation, .. } => ClientSettings::new(&client_id, organisation),
            Signs::Registered { jwk } => {
                let jwk = std::fs::read_to_string(certs(jwk)).unwrap();
                ClientSettings::new(&client_id, "991825827").key(RegisteredKey::from_jwk(&jwk).unwrap())
            }
        };
        settings = settings.client(client.scope("a:b"));
        writeln!(
            integrations,
            "[[integration]]\nname = \"i{number}\"\nclient_id = \"{client_id}\"\nenvironment = \"simulator\"\nalgorithm = \"{algorithm}\"\nkey = {}",
            key_table(key)
        )
        .unwrap();
        writeln!(may, "{{ integration = \"i{number}\", scopes = [\"a:b\"] }},").unwrap();
    }
    let simulator = Simulator::start(settings).unwrap();
    let caller = format!("may = [{may}]");
    let portvakt = Portvakt::start(&Configuration { more: integrations, caller, ..configuration(&simulator) });
    let ask = portvakt.ask().with("scope", "a:b");
    for (number, Case { key, algorithm, signs }) in CASES.iter().enumerate() {
        let answer = ask.clone().with("iss", &client_id(number)).send().await;
        assert_eq!(answer.status, 200, "{key}: {}", answer.text);
        let header = simulator.counters().last_grants.pop_back().unwrap().header;
        assert_eq!(header["alg"], *algorithm, "{key}");
        match signs {
            Signs::Certificate { file, .. } => {
                let chain = header["x5c"].as_array().unwrap();
                let first = base64::engine::general_purpose::STANDARD.decode(chain[0].as_str().unwrap()).unwrap();
                assert_eq!(first, leaf(file).to_der().unwrap(), "{key}");
                assert!(!header.contains_key("kid"), "{key}");
            }
            Signs::Registered { jwk } => {
                assert_eq!(header["kid"], jwk.replace("registered", "portvakt-test").replace(".public.jwk", ""), "{key}");
                assert!(!header.contains_key("x5c"), "{key}");
            }
        }
    }
}

/// What `portvakt serve` says about a file with this key, and how it ends.
fn refused(directory: &Path, key: &str) -> (Option<i32>, String) {
    let text = Configuration {
        issuer: "http://127.0.0.1:1/".to_owned(),
        token_endpoint: "http://127.0.0.1:1/token".to_owned(),
        krr_key: key_table(key),
        ..Configuration::default()
    }
    .text();
    serve(directory, &text)
}

/// What `portvakt serve` says about a file that it cannot serve by, and how it ends.
fn serve(directory: &Path, text: &str) -> (Option<i32>, String) {
    let file = directory.join("portvakt.toml");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_portvakt"))
        .args(["serve", "--log-format", "json", "--config"])
        .arg(file)
        .env("PORTVAKT_LOG", "error")
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.stdout.is_empty());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The key, what is wrong and what to do, and the files that are named.
const REFUSED: [(&str, &str, &[&str]); 30] = [
    ("pkcs12_file = 'virksomhet.p12', password_file = 'README.md'", WRONG_PASSWORD, &["virksomhet.p12"]),
    (
        "pkcs12_file = 'virksomhet.p12'",
        "the password does not open it, or the file was changed since it was made (the password is empty): try it with `openssl pkcs12 -info -noout -in FILE` (PKCS#12; old files need -legacy too) or `openssl pkey -noout -in FILE` (PEM)",
        &["virksomhet.p12"],
    ),
    (
        "private_key_file = 'registered-2048.encrypted.pem', password_file = 'README.md', kid = 'a'",
        WRONG_PASSWORD,
        &["registered-2048.encrypted.pem"],
    ),
    ("pkcs12_file = 'no-key.p12', password_file = PASSWORD", NO_KEY, &["no-key.p12"]),
    ("certificate_file = 'virksomhet.pem', private_key_file = 'virksomhet.pem'", NO_KEY, &["virksomhet.pem", "virksomhet.pem"]),
    ("pkcs12_file = 'no-certificate.p12', password_file = PASSWORD", NO_CERTIFICATE, &["no-certificate.p12"]),
    ("certificate_file = 'virksomhet.key', private_key_file = 'virksomhet.key'", NO_CERTIFICATE, &["virksomhet.key", "virksomhet.key"]),
    ("pkcs12_file = 'wrong-key.p12', password_file = PASSWORD", KEY_OF_ANOTHER, &["wrong-key.p12"]),
    ("certificate_file = 'virksomhet.pem', private_key_file = 'commfides.key'", KEY_OF_ANOTHER, &["virksomhet.pem", "commfides.key"]),
    ("pkcs12_file = 'ec.p12', password_file = PASSWORD", NOT_RSA, &["ec.p12"]),
    ("certificate_file = 'ec.pem', private_key_file = 'ec.key'", NOT_RSA, &["ec.pem", "ec.key"]),
    ("private_key_file = 'ec.key', kid = 'a'", NOT_RSA, &["ec.key"]),
    ("pkcs12_file = 'rsa-1024.p12', password_file = PASSWORD", TOO_SHORT, &["rsa-1024.p12"]),
    ("certificate_file = 'rsa-1024.pem', private_key_file = 'rsa-1024.key'", TOO_SHORT, &["rsa-1024.pem", "rsa-1024.key"]),
    ("private_key_file = 'rsa-1024.key', kid = 'a'", TOO_SHORT, &["rsa-1024.key"]),
    ("pkcs12_file = 'encryption-only.p12', password_file = PASSWORD", NOT_FOR_SIGNING, &["encryption-only.p12"]),
    ("certificate_file = 'encryption.pem', private_key_file = 'encryption.key'", NOT_FOR_SIGNING, &["encryption.pem", "encryption.key"]),
    ("pkcs12_file = 'pairs.p12', password_file = PASSWORD, certificate_sha256 = 'SHA256(encryption.pem)'", NOT_FOR_SIGNING, &["pairs.p12"]),
    (
        "pkcs12_file = 'virksomhet.p12', password_file = PASSWORD, certificate_sha256 = 'SHA256(seal.pem)'",
        "no key pair in it has a certificate with the SHA-256 fingerprint SHA256(seal.pem): there are sha256 SHA256(virksomhet.pem) (digitalSignature, valid 2025-01-01 to 2055-01-01)",
        &["virksomhet.p12"],
    ),
    (
        "pkcs12_file = 'virksomhet.pem', password_file = PASSWORD",
        "a PKCS#12 file (.p12, .pfx) is expected, and this is PEM (`BEGIN CERTIFICATE`): name it as the PEM certificate and private key instead, or make a PKCS#12 file: openssl pkcs12 -export -inkey KEY -in CERTIFICATE -out NEW.p12",
        &["virksomhet.pem"],
    ),
    (
        "pkcs12_file = 'registered-2048.private.jwk', password_file = PASSWORD",
        "a PKCS#12 file (.p12, .pfx) is expected, and this is JSON: if it is a private JWK, name it as the JWK instead",
        &["registered-2048.private.jwk"],
    ),
    (
        "certificate_file = 'virksomhet.p12', private_key_file = 'virksomhet.key'",
        "a certificate in PEM is expected, and this is a PKCS#12 file: name it as the PKCS#12 file instead, with its password",
        &["virksomhet.p12", "virksomhet.key"],
    ),
    (
        "certificate_file = 'virksomhet.pem', private_key_file = 'virksomhet.p12'",
        "a private key in PEM is expected, and this is a PKCS#12 file: name it as the PKCS#12 file instead, with its password",
        &["virksomhet.pem", "virksomhet.p12"],
    ),
    (
        "private_key_file = 'virksomhet.p12', kid = 'a'",
        "a private key in PEM is expected, and this is a PKCS#12 file: name it as the PKCS#12 file instead, with its password",
        &["virksomhet.p12"],
    ),
    (
        "certificate_file = 'virksomhet.pem', private_key_file = 'virksomhet-encrypted.key'",
        PASSWORD_MISSING,
        &["virksomhet.pem", "virksomhet-encrypted.key"],
    ),
    ("private_key_file = 'registered-2048.encrypted.pem', kid = 'a'", PASSWORD_MISSING, &["registered-2048.encrypted.pem"]),
    ("private_key_file = 'registered-2048.public.pem', kid = 'a'", PUBLIC_KEY, &["registered-2048.public.pem"]),
    ("jwk_file = 'registered-2048.public.jwk'", PUBLIC_KEY, &["registered-2048.public.jwk"]),
    (
        "jwk_file = 'registered-2048.pem'",
        "a private JWK is expected, and this is PEM (`BEGIN PRIVATE KEY`): name it as the PEM private key instead, with its kid",
        &["registered-2048.pem"],
    ),
    (
        "jwk_file = 'virksomhet.p12'",
        "a private JWK is expected, and this is a PKCS#12 file: name it as the PKCS#12 file instead, with its password",
        &["virksomhet.p12"],
    ),
];

const WRONG_PASSWORD: &str = "the password does not open it, or the file was changed since it was made (the password has a line break in it): try it with `openssl pkcs12 -info -noout -in FILE` (PKCS#12; old files need -legacy too) or `openssl pkey -noout -in FILE` (PEM)";
const NO_KEY: &str = "there is no private key in it, and nothing can be signed without: export it again with its key (a .p12 file that was made for others to encrypt to has none)";
const NO_CERTIFICATE: &str =
    "there is no certificate in it, and Maskinporten knows this kind of key by its certificate: export it again with its certificate";
const KEY_OF_ANOTHER: &str = "the private key is not that of the certificate (C=NO, O=DIGITALISERINGSDIREKTORATET, organizationIdentifier=NTRNO-991825827, CN=DIGITALISERINGSDIREKTORATET, sha256 SHA256(virksomhet.pem)): find the key that the certificate was ordered with";
const NOT_RSA: &str = "it is a key of the kind EC, and Maskinporten takes RSA keys only: make one, or order a certificate for one";
const TOO_SHORT: &str = "it is an RSA key of 1024 bits, and at least 2048 are needed: make a new one, or order a certificate for one";
const NOT_FOR_SIGNING: &str = "the certificate is for keyEncipherment, dataEncipherment and may not sign, which takes digitalSignature or nonRepudiation: use the pair for signing or authentication that was delivered with it";
const PASSWORD_MISSING: &str = "the private key is encrypted, and no password is given: name the file that holds its password";
const PUBLIC_KEY: &str = "this is a public key, and signing takes the private one that it was made with";

#[test]
fn a_key_that_cannot_be_used_stops_the_start_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    for (key, what, files) in REFUSED {
        let (status, said) = refused(directory.path(), key);
        assert_eq!(status, Some(2), "{key}: {said}");
        let error = format!("error: the key of integration `krr` cannot be used: {}", with_digests(what));
        let files: Vec<String> = files.iter().map(|file| certs(file).display().to_string()).collect();
        let help = format!("= help: the key is in {}", files.join(" and "));
        let place = format!("{}/portvakt.toml:26:7", directory.path().display());
        let line = format!("26 | key = {}", key_table(key));
        for wanted in [&error, &place, &line, &help] {
            assert!(
                said.lines().any(|line| line.trim() == wanted || line.trim() == format!("--> {wanted}")),
                "{key}: no `{wanted}` in\n{said}"
            );
        }
    }
}

#[test]
fn a_key_that_is_named_wrongly_stops_the_start_and_says_what_to_write() {
    let directory = tempfile::tempdir().unwrap();
    let forms =
        "write one of { pkcs12_file, password_file }, { certificate_file, private_key_file }, { private_key_file, kid } or { jwk_file }";
    let table = [
        (
            "private_key_file = 'registered-2048.pem'",
            "`private_key_file` alone: a registered key needs its `kid`, a certificate's key its `certificate_file`",
            forms,
        ),
        ("certificate_file = 'virksomhet.pem'", "`certificate_file` without the `private_key_file` that belongs to it", forms),
        ("jwk_file = 'registered-2048.private.jwk', kid = 'a'", "`kid` beside `jwk_file`: a JWK has its own `kid`", forms),
        (
            "private_key_file = 'registered-2048.pem', kid = ''",
            "`kid` is empty, begins or ends with a space, or has a control character",
            "write for example `kid = \"my-key-2027\"`",
        ),
        (
            "pkcs12_file = '/not/there.p12', password_file = PASSWORD",
            "cannot use `/not/there.p12`: No such file or directory (os error 2)",
            "correct the name (a relative one is relative to this file), or put the file there",
        ),
        (
            "pkcs12_file = 'virksomhet.p12', password_file = '/not/there'",
            "cannot use `/not/there`: No such file or directory (os error 2)",
            "correct the name (a relative one is relative to this file), or put the file there",
        ),
    ];
    for (key, what, help) in table {
        let (status, said) = refused(directory.path(), key);
        assert_eq!(status, Some(2), "{key}: {said}");
        assert!(said.contains(&format!("error: {what}\n")) && said.contains(&format!("= help: {help}\n")), "{key}: {said}");
        assert!(said.contains("portvakt.toml:26:"), "{said}");
    }
}

#[test]
fn all_keys_that_cannot_be_used_are_told_of_in_one_go() {
    let directory = tempfile::tempdir().unwrap();
    let text = Configuration {
        issuer: "http://127.0.0.1:1/".to_owned(),
        token_endpoint: "http://127.0.0.1:1/token".to_owned(),
        krr_key: key_table("pkcs12_file = 'ec.p12', password_file = PASSWORD"),
        ..Configuration::default()
    };
    let text = text.text().replace("registered-2048.pem", "virksomhet.pem");
    let (status, said) = serve(directory.path(), &text);
    assert_eq!(status, Some(2));
    assert!(said.contains("error: the key of integration `freg` cannot be used: "), "{said}");
    assert!(said.contains("error: the key of integration `krr` cannot be used: "), "{said}");
}

#[tokio::test]
async fn a_certificate_out_of_its_validity_stops_nobody_but_its_own_integration() {
    let simulator = simulator();
    let known = KnownError::of(Cause::OwnCertificateNotValid);
    for (file, validity) in [("expired.p12", "valid 2020-01-01 to 2023-01-01"), ("not-yet-valid.p12", "valid 2052-01-01 to 2055-01-01")] {
        simulator.reset_counters();
        let krr_key = key_table(&format!("pkcs12_file = '{file}', password_file = PASSWORD"));
        let portvakt = Portvakt::start(&Configuration { krr_key, ..configuration(&simulator) });
        let warning = portvakt.wait_for_log(|line| line.contains("the certificate is out of its validity"));
        assert!(warning.contains("WARN") && warning.contains(r#""integration":"krr""#), "{warning}");
        let krr = portvakt.ask().with("iss", KRR).with("scope", KRR_SCOPE);
        for ask in [krr.clone(), krr.post()] {
            let answer = ask.send().await;
            assert_eq!((answer.status, answer.error(), answer.header("Retry-After")), (503, "temporarily_unavailable", Some("60")));
            assert_eq!(
                answer.description(),
                format!("The certificate of integration krr is {validity}, and not now. {} {}", known.meaning, known.what_to_do())
            );
        }
        let refused = portvakt.wait_for_log(|line| line.contains("no token until the certificate is valid"));
        assert!(refused.contains(known.remedy) && refused.contains("\"mended_by\":\"whoever runs Portvakt\""), "{refused}");
        assert_eq!(simulator.counters().received, 0, "Maskinporten is not asked");
        assert_eq!(portvakt.ask().send().await.status, 200, "the others serve");
    }
}

/// Nothing is fetched here: Maskinporten would have the last word.
#[test]
fn a_certificate_for_the_other_kind_of_environment_starts_with_a_warning() {
    let simulator = simulator();
    let integration = |name: &str, environment: &str, key: &str| {
        format!("[[integration]]\nname = \"{name}\"\nclient_id = \"{name}-id\"\nenvironment = \"{environment}\"\nkey = {key}\n")
    };
    let key = configuration(&simulator).krr_key;
    let more = ["prod", "sky-prod", "test", "sky-test"].map(|environment| integration(&format!("in-{environment}"), environment, &key));
    let mut portvakt = Portvakt::start(&Configuration { more: more.concat(), ..configuration(&simulator) });
    portvakt.signal(rustix::process::Signal::TERM);
    portvakt.wait_for_end();
    let log = portvakt.log();
    let warned =
        |line: &&String| line.contains("WARN") && line.contains("a test certificate in production: Maskinporten refuses it (MP-120)");
    let warnings: Vec<&String> = log.iter().filter(warned).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for integration in ["in-prod", "in-sky-prod"] {
        assert!(warnings.iter().any(|line| line.contains(&format!("\"integration\":\"{integration}\""))), "{warnings:?}");
    }
}
