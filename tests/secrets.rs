//! No secret in any log line, metric or error, at the most talkative log level: searched for in every form that it could leak in.

// clippy.toml's allowance for tests does not reach the functions that tests call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use openssl::pkey::PKey;
use portvakt::simulator::{FaultKind, Simulator, Stage};
use support::*;

const PID: &str = "23079422568";
const CONSENT_PERSON: &str = "01017012345";
const CONSENT: &str =
    r#"[{"type":"urn:altinn:consent","id":"77ed8698-5ebb-4f7e-b5a7-3b4d6d2a1c0e","from":"urn:altinn:person:identifier-no:01017012345"}]"#;
const UNKNOWN_DETAILS: &str = r#"[{"type":"urn:other","note":"nobody-is-to-read-this"}]"#;
const WRONG_API_KEY: &str = "pv_not-a-key-that-anybody-has";
const WRONG_PASSWORD: &str = "a-password-that-opens-nothing";

/// Something that must be read nowhere.
struct Secret {
    name: String,
    /// Each a text that would give it away.
    forms: Vec<String>,
}

/// A leak may be cut short: a few pieces of a long secret stand for it.
const PIECE: usize = 24;

impl Secret {
    fn new(name: impl Into<String>, secret: impl AsRef<[u8]>) -> Self {
        let secret = secret.as_ref();
        assert!(secret.len() >= 8, "too short to be told from other text");
        let pieces = if secret.len() <= PIECE + 8 {
            vec![secret]
        } else {
            [0, (secret.len() - PIECE) / 2, secret.len() - PIECE].map(|start| &secret[start..start + PIECE]).into()
        };
        Self { name: name.into(), forms: pieces.into_iter().flat_map(forms).collect() }
    }

    fn is_in(&self, text: &str) -> bool {
        self.forms.iter().any(|form| text.contains(form.as_str()))
    }
}

/// As it is, escaped, in hex, as Rust prints bytes, percent-encoded, and in base64 wherever it begins in a longer text.
fn forms(piece: &[u8]) -> Vec<String> {
    let mut forms = vec![hex::encode(piece), hex::encode_upper(piece)];
    if let Ok(text) = std::str::from_utf8(piece) {
        let json = serde_json::to_string(text).unwrap();
        let twice = serde_json::to_string(&json).unwrap();
        forms.extend([text.to_owned(), json.trim_matches('"').to_owned(), twice.trim_matches(['"', '\\']).to_owned()]);
        forms.push(form_urlencoded::byte_serialize(piece).collect());
    }
    let all = |format: fn(u8) -> String| piece.iter().map(|byte| format(*byte)).collect::<Vec<_>>();
    forms.extend([
        all(|byte| format!("%{byte:02X}")).concat(),
        all(|byte| format!("%{byte:02x}")).concat(),
        all(|byte| byte.to_string()).join(", "),
    ]);
    for before in 0..3 {
        let longer = [&[b'x'; 2][..before], piece].concat();
        // What the neighbours share a character with is left out: at the start, and at the end.
        let (first, last) = ([0, 2, 3][before], longer.len() * 8 / 6);
        forms.extend([STANDARD.encode(&longer)[first..last].to_owned(), URL_SAFE.encode(&longer)[first..last].to_owned()]);
    }
    forms.sort();
    forms.dedup();
    forms
}

fn leaked<'a>(secrets: &'a [Secret], text: &str) -> Vec<&'a str> {
    secrets.iter().filter(|secret| secret.is_in(text)).map(|secret| secret.name.as_str()).collect()
}

/// The secrets that are there before anybody asks.
fn secrets() -> Vec<Secret> {
    let text = |name: &str| std::fs::read_to_string(certs(name)).unwrap();
    let password = text("virksomhet.p12.password");
    let mut secrets = vec![
        Secret::new("the key's password", password.trim_end()),
        Secret::new("a wrong password", WRONG_PASSWORD),
        Secret::new("an API key", API_KEY),
        Secret::new("another API key", OTHER_API_KEY),
        Secret::new("a wrong API key", WRONG_API_KEY),
        Secret::new("the person of a token", PID),
        Secret::new("the person of a consent", CONSENT_PERSON),
        Secret::new("a consent", CONSENT),
        Secret::new("a consent's ID", "77ed8698-5ebb-4f7e-b5a7-3b4d6d2a1c0e"),
        Secret::new("other authorization details", "nobody-is-to-read-this"),
    ];
    // Base64url of `{"`, with which every JOSE header and every JWT's claims begin; and longer for the forms that need it to be told from other text.
    let jwt = ["eyJhbGci", "eyJraWQi", "eyJ0eXAi", "eyJ4NWMi"].map(|header| forms(header.as_bytes())).concat();
    secrets.push(Secret { name: "a JWT".to_owned(), forms: [jwt, vec!["eyJ".to_owned()]].concat() });
    for file in ["registered-2048.pem", "virksomhet.key"] {
        let key = PKey::private_key_from_pem(text(file).as_bytes()).unwrap().rsa().unwrap();
        let parts = [("d", Some(key.d())), ("p", key.p()), ("q", key.q()), ("dp", key.dmp1()), ("dq", key.dmq1()), ("qi", key.iqmp())];
        for (part, number) in parts {
            secrets.push(Secret::new(format!("{part} of {file}"), number.unwrap().to_vec()));
            secrets.push(Secret::new(format!("{part} of {file}, in decimal"), number.unwrap().to_dec_str().unwrap().as_bytes()));
        }
        for (number, line) in text(file).lines().enumerate().filter(|(_, line)| line.len() > PIECE && !line.contains('-')) {
            // The first line has nothing but what every RSA key has, and the public modulus.
            if number > 8 {
                secrets.push(Secret::new(format!("line {number} of {file}"), line));
            }
        }
    }
    secrets
}

#[test]
fn a_secret_that_leaks_is_found_in_every_form() {
    let secrets = secrets();
    let innocent = r#"{"level":"INFO","message":"token received","scope":"a:b","jti":"4d1a90c2-e7f0-4b35-a000-000000000000"}"#;
    assert_eq!(leaked(&secrets, innocent), [""; 0]);
    let key = PKey::private_key_from_pem(&std::fs::read(certs("registered-2048.pem")).unwrap()).unwrap();
    let der = key.private_key_to_der().unwrap();
    let planted = [
        ("the person of a token", format!("pid={PID}")),
        ("the person of a token", STANDARD.encode(format!("a{PID}b"))),
        ("the person of a token", URL_SAFE.encode(format!("ab{PID}"))),
        ("the person of a token", STANDARD.encode(format!(r#"{{"pid":"{PID}"}}"#))),
        ("the person of a token", hex::encode(PID)),
        ("the person of a token", format!("{:?}", PID.as_bytes())),
        ("a consent", format!("details: {CONSENT}")),
        ("a consent", format!("{CONSENT:?}")),
        ("a consent", serde_json::to_string(&serde_json::json!({"message": format!("{CONSENT:?}")})).unwrap()),
        ("a consent", form_urlencoded::byte_serialize(CONSENT.as_bytes()).collect()),
        ("a consent", CONSENT[..40].to_owned()),
        ("a wrong API key", format!("X-API-Key: {WRONG_API_KEY}\r\n")),
        ("a JWT", "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln".to_owned()),
        ("a JWT", STANDARD.encode("assertion=eyJhbGciOiJSUzI1NiJ9")),
        ("d of registered-2048.pem", hex::encode(&der)),
        ("d of registered-2048.pem", STANDARD.encode(&der)),
        ("d of registered-2048.pem", format!("{der:?}")),
        ("d of registered-2048.pem", std::fs::read_to_string(certs("registered-2048.private.jwk")).unwrap()),
        ("p of registered-2048.pem, in decimal", key.rsa().unwrap().p().unwrap().to_dec_str().unwrap().to_string()),
        ("line 9 of registered-2048.pem", std::fs::read_to_string(certs("registered-2048.pem")).unwrap()),
    ];
    for (name, text) in planted {
        let line = format!("{innocent}{text}{innocent}");
        assert!(leaked(&secrets, &line).contains(&name), "not found in: {text}");
    }
}

/// All that was read on the way, and the tokens among it.
#[derive(Default)]
struct Heard {
    errors: String,
    tokens: Vec<Secret>,
}

impl Heard {
    async fn ask(&mut self, expected: u16, ask: Ask) {
        let answer = ask.send().await;
        assert_eq!(answer.status, expected, "{}", answer.text);
        if expected == 200 {
            let token = answer.token();
            for (part, segment) in ["header", "claims", "signature"].iter().zip(token.split('.')).skip(1) {
                self.tokens.push(Secret::new(format!("the {part} of a token"), segment));
            }
        } else {
            writeln!(self.errors, "{:?} {}", answer.headers, answer.text).unwrap();
        }
    }

    fn raw(&mut self, portvakt: &Portvakt, request: &str) {
        self.errors.push_str(&raw(portvakt.tokens, request.as_bytes()));
    }
}

#[tokio::test]
async fn no_secret_is_in_any_log_line_metric_or_error() {
    let simulator = simulator();
    let sections = "[outbound]\ndeadline = \"6s\"\nattempt_timeout = \"300ms\"".to_owned();
    let freg = format!(r#"prefetch = ["{FREG_SCOPE_2}"]"#);
    let portvakt = Portvakt::start(&Configuration { sections, freg, ..configuration(&simulator) });
    portvakt.wait_for_log(|line| line.contains("token received"));
    let mut heard = Heard::default();
    granted(&mut heard, &portvakt).await;
    refused(&mut heard, &portvakt).await;
    not_even_http(&mut heard, &portvakt);
    failed(&mut heard, &portvakt, &simulator).await;
    let metrics = portvakt.metrics().await;
    portvakt.signal(rustix::process::Signal::TERM);
    portvakt.wait_for_log(|line| line.contains(r#""message":"stopped""#));

    let log = portvakt.log();
    // Otherwise nothing would be found because nothing was said.
    assert!(log.iter().any(|line| line.contains("DEBUG") && line.contains(r#""target":"reqwest"#)), "dependencies are heard too");
    assert!(log.iter().filter(|line| line.contains("no token")).count() >= 8 && heard.tokens.len() >= 10, "{}", log.join("\n"));
    let mut secrets = secrets();
    secrets.extend(heard.tokens);
    for line in log.iter().map(String::as_str).chain(metrics.lines()).chain(heard.errors.lines()) {
        let leaked = leaked(&secrets, line);
        assert!(leaked.is_empty(), "{leaked:?} in: {line}");
    }
}

async fn granted(heard: &mut Heard, portvakt: &Portvakt) {
    let ask = portvakt.ask();
    for ask in [
        ask.clone(),
        ask.clone().post(),
        ask.clone().with("iss", KRR).with("scope", KRR_SCOPE),
        ask.clone().with("pid", PID),
        ask.clone().with("pid", PID).post(),
        ask.clone().with("authorization-details", CONSENT),
        ask.clone().without("X-Gravitee-Api-Key").with("Authorization", &format!("Bearer {API_KEY}")),
    ] {
        heard.ask(200, ask.clone()).await;
        heard.ask(200, ask).await;
    }
}

async fn refused(heard: &mut Heard, portvakt: &Portvakt) {
    let ask = portvakt.ask();
    let with_key = |key: &str| ask.clone().with("X-Gravitee-Api-Key", key);
    for (status, ask) in [
        (401, with_key(WRONG_API_KEY)),
        (401, with_key(&WRONG_API_KEY.repeat(20))),
        (401, ask.clone().without("X-Gravitee-Api-Key").query(&format!("api_key={API_KEY}"))),
        (
            401,
            ask.clone().without("X-Gravitee-Api-Key").with("Authorization", &format!("Basic {}", STANDARD.encode(format!("a:{API_KEY}")))),
        ),
        (400, ask.clone().and("X-API-Key", WRONG_API_KEY)),
        (403, with_key(OTHER_API_KEY).with("pid", PID)),
        (403, with_key(OTHER_API_KEY).with("iss", KRR).with("scope", KRR_SCOPE).with("pid", PID)),
        (403, with_key(OTHER_API_KEY).with("iss", KRR).with("scope", KRR_SCOPE).with("authorization_details", CONSENT)),
        (403, ask.clone().with("scope", PID)),
        (403, ask.clone().with("iss", PID)),
        (400, ask.clone().with("pid", &format!("{PID}x"))),
        (400, ask.clone().with("pid", PID).and("pid", CONSENT_PERSON)),
        (400, ask.clone().query(&format!("pid={PID}"))),
        (400, ask.clone().query(&format!("authorization_details={CONSENT_PERSON}"))),
        (400, ask.clone().with("consumer_org", PID)),
        (400, ask.clone().with("resource", PID)),
        (400, ask.clone().with("authorization_details", &CONSENT.replace('}', ""))),
        (400, ask.clone().with("authorization_details", &format!("{{\"a\":{CONSENT}}}"))),
        (400, ask.clone().with("authorization_details", CONSENT).and("authorization-details", UNKNOWN_DETAILS)),
        (400, ask.clone().with("authorization_details", &CONSENT.replacen(',', &format!(",{}", " ".repeat(9000)), 1))),
        (405, ask.clone().method("DELETE").with("pid", PID)),
        (431, ask.clone().with("pid", &PID.repeat(3000))),
        (431, ask.clone().query(&format!("scope={}", PID.repeat(800)))),
    ] {
        heard.ask(status, ask).await;
    }
}

/// What an HTTP client would not send, and what ends in the middle.
fn not_even_http(heard: &mut Heard, portvakt: &Portvakt) {
    let fields = format!("/token HTTP/1.1\r\nHost: a\r\nX-API-Key: {API_KEY}\r\niss: {FREG}\r\nscope: {FREG_SCOPE}\r\npid: {PID}\r\n");
    heard.raw(portvakt, &format!("GET {fields}a b: {PID}\r\n\r\n"));
    heard.raw(portvakt, &format!("GET {fields}Content-Length: {PID}x\r\n\r\n"));
    heard.raw(portvakt, &format!("GET /token?pid={PID} {API_KEY}\r\n{API_KEY}\r\n\r\n"));
    heard.raw(portvakt, &format!("{PID} {fields}\r\n"));
    heard.raw(portvakt, &format!("POST {fields}Content-Length: 40\r\n\r\nclient_secret={API_KEY}&pid={PID}"));
    heard.raw(portvakt, &format!("POST {fields}Transfer-Encoding: chunked\r\n\r\n{API_KEY}\r\n"));
    heard.raw(portvakt, &format!("GET {fields}{}\r\n", format!("X-Some: {PID}\r\n").repeat(8000)));
    let mut cut = TcpStream::connect(portvakt.tokens).unwrap();
    write!(cut, "POST {fields}Content-Length: 400\r\n\r\n{PID}").unwrap();
    cut.shutdown(Shutdown::Write).unwrap();
    heard.errors.push_str(&read_answer(&mut cut));
}

async fn failed(heard: &mut Heard, portvakt: &Portvakt, simulator: &Simulator) {
    // A server that repeats what it was sent, and a person's number on an error page.
    let echo = serde_json::json!({"error": "invalid_grant", "error_description": format!("eyJhbGciOiJSUzI1NiJ9.e30.c2lnbmF0dXJl of {PID} {CONSENT_PERSON}")});
    let page = format!("<html><fields><title>{PID} eyJhbGciOiJSUzI1NiJ9.eyJwaWQiOiIyMzA3OTQyMjU2OCJ9</title></fields></html>");
    let answer = |status: u16, body: &str| FaultKind::Status { status, headers: [].into(), body: body.to_owned() };
    let person = portvakt.ask().with("authorization_details", CONSENT);
    for (number, (status, fault)) in (1..).zip([
        (502, FaultKind::Error { code: "MP-303".to_owned() }),
        (502, FaultKind::Error { code: "MP-200".to_owned() }),
        (502, answer(400, &echo.to_string())),
        (503, answer(500, &echo.to_string())),
        (503, answer(502, &page)),
        (503, answer(200, &page)),
        (503, answer(200, &format!(r#"{{"access_token":"eyJhbGciOiJSUzI1NiJ9 {PID}","token_type":"Bearer"}}"#))),
        (503, answer(200, &format!(r#"{{"access_token":"eyJhbGciOiJSUzI1NiJ9.e30.c2ln","token_type":"eyJhbGciOiJSUzI1NiJ9.e30.{PID}"}}"#))),
        (503, FaultKind::Truncated {}),
        (503, FaultKind::Reset { at: Stage::BeforeHeaders }),
        (503, FaultKind::Hang { at: Stage::InBody }),
    ]) {
        simulator.fault(fault).unwrap();
        heard.ask(status, person.clone().with("scope", &format!("test:{number}"))).await;
        simulator.clear_faults();
    }
    // Maskinporten itself does not know these.
    heard.ask(502, portvakt.ask().with("authorization_details", UNKNOWN_DETAILS)).await;
    let unknown_field = CONSENT.replace("\"from\"", &format!("\"{CONSENT_PERSON}\""));
    heard.ask(502, portvakt.ask().with("authorization_details", &unknown_field)).await;
}

#[tokio::test]
async fn a_deadline_tells_no_secret_either() {
    let simulator = simulator();
    simulator.fault(FaultKind::Hang { at: Stage::BeforeHeaders }).unwrap();
    let sections = "[outbound]\ndeadline = \"200ms\"".to_owned();
    let portvakt = Portvakt::start(&Configuration { sections, ..configuration(&simulator) });
    let mut heard = Heard::default();
    heard.ask(504, portvakt.ask().with("pid", PID)).await;
    heard.ask(504, portvakt.ask().with("authorization_details", CONSENT).post()).await;
    let secrets = secrets();
    for line in portvakt.log().iter().map(String::as_str).chain(heard.errors.lines()) {
        assert_eq!(leaked(&secrets, line), [""; 0], "{line}");
    }
}

#[test]
fn a_start_that_fails_tells_no_secret() {
    let key = std::fs::read_to_string(certs("virksomhet.key")).unwrap();
    let wrong_keys = [
        format!("{{ pkcs12_file = '{}', password_file = 'wrong' }}", certs("virksomhet.p12").display()),
        format!("{{ private_key_file = '{}', password_file = 'wrong', kid = 'a' }}", certs("registered-2048.encrypted.pem").display()),
        format!("{{ pkcs12_file = '{}', password = '{WRONG_PASSWORD}' }}", certs("virksomhet.p12").display()),
        format!("{{ private_key = '''{key}''', kid = 'a' }}"),
        format!("'''{key}'''"),
        format!("{{ private_key_file = '''{key}''', kid = 'a' }}"),
        format!("{{ private_key_file = '{}', kid = '''{key}''' }}", certs("virksomhet.key").display()),
    ];
    let secrets = secrets();
    for key in wrong_keys {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("wrong"), WRONG_PASSWORD).unwrap();
        let configuration = Configuration {
            issuer: "http://127.0.0.1:1/".to_owned(),
            token_endpoint: "http://127.0.0.1:1/token".to_owned(),
            krr_key: key,
            ..Configuration::default()
        };
        std::fs::write(directory.path().join("portvakt.toml"), configuration.text()).unwrap();
        for format in ["json", "text"] {
            let output = Command::new(env!("CARGO_BIN_EXE_portvakt"))
                .args(["serve", "--log-format", format, "--config"])
                .arg(directory.path().join("portvakt.toml"))
                .env("PORTVAKT_LOG", "trace")
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("error: "), "{said}");
            for line in said.lines() {
                assert_eq!(leaked(&secrets, line), [""; 0], "{line}");
            }
        }
    }
}
