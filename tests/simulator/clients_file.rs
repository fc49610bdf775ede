//! The clients file, the quick-start's own, wrong ones, and the command that reads it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use portvakt::simulator::{ClientSettings, RegisteredKey, Settings, Simulator, StartError};

use crate::grants::{CERTIFICATE_CLIENT, Draft, KEY_CLIENT, answer, cert_file, exchange, http, registered};

fn quickstart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/quickstart/clients.toml")
}

#[tokio::test]
async fn the_quick_starts_clients_get_their_tokens() {
    let simulator = Simulator::start(Settings::from_clients_file(&quickstart()).unwrap()).unwrap();
    for (scope, lifetime) in [("folkeregister:deling/offentligutenhjemmel", 119), ("folkeregister:deling/offentligmedhjemmel", 599)] {
        let (_, body) = answer(&simulator, &Draft::with_certificate(&simulator).claim("scope", scope).sign()).await;
        assert_eq!(body["expires_in"], lifetime, "{body}");
    }
    let mut delegated = Draft::with_certificate(&simulator);
    delegated.claim("scope", "folkeregister:deling/offentligutenhjemmel").claim("consumer_org", "889640782");
    assert_eq!(answer(&simulator, &delegated.sign()).await.0, 200);
    let (status, body) = answer(&simulator, &Draft::with_kid(&simulator).claim("scope", "krr:global/kontaktinformasjon.read").sign()).await;
    assert_eq!(status, 200, "{body}");
}

#[test]
fn all_that_a_client_can_be_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clients.toml");
    let text = format!(
        r#"
        lifetime = "2m"
        [[client]]
        client_id = "a"
        organisation = "991825827"
        integration_type = "idporten"
        lifetime = "599s"
        scopes = ["a:b", {{ scope = "a:c", lifetime = "2h", granted = false, integration_types = ["maskinporten"] }}]
        keys = [{{ pem_file = "{}", kid = "k", expires = 2027-01-31 }}, {{ jwk_file = "{}", expires = 2027-01-31T12:00:00+01:00 }}]
        delegations = [{{ consumer_org = "889640782" }}]
        "#,
        cert_file("registered-4096.public.pem").display(),
        cert_file("registered-2048.public.jwk").display()
    );
    fs::write(&file, text).unwrap();
    let settings = Settings::from_clients_file(&file).unwrap();
    assert_eq!((settings.lifetime, settings.trust_anchors.len()), (120, 0));
    let ClientSettings { name, integration_type, lifetime, scopes, keys, delegations, .. } = &settings.clients[0];
    assert_eq!((name.as_str(), integration_type.as_str(), *lifetime), ("a", "idporten", Some(599)));
    assert_eq!((scopes[0].granted, scopes[0].lifetime), (true, None));
    assert_eq!((scopes[1].granted, scopes[1].lifetime, scopes[1].integration_types.len()), (false, Some(7200), 1));
    assert_eq!((delegations[0].consumer_org.as_str(), delegations[0].scopes.len()), ("889640782", 0));
    let expires = format!("{:?}", keys.iter().map(RegisteredKey::expires).collect::<Vec<_>>());
    assert!(expires.contains("1801440000") && expires.contains("1801393200"), "the end of the day in UTC, and a moment: {expires}");
}

#[test]
fn a_wrong_file_is_named_with_its_line() {
    let client = "[[client]]\nclient_id = \"a\"\norganisation = \"991825827\"\n";
    let ca = cert_file("ca.pem");
    let private = cert_file("registered-2048.private.jwk");
    let short = cert_file("rsa-1024.pem");
    let table = [
        ("client_id = \"a\"".to_owned(), 1, "unknown field `client_id`"),
        (format!("{client}scope = [\"a:b\"]"), 4, "unknown field `scope`, expected one of"),
        (format!("{client}scopes = [\"a:b\", 1]"), 4, "a scope's name, or a table with `scope`"),
        (format!("{client}scopes = [{{ scope = \"a:b\", grant = true }}]"), 4, "unknown field `grant`"),
        (format!("{client}scopes = [\"a b\"]"), 4, "one word without spaces"),
        ("[[client]]\nclient_id = \"a \"\n".to_owned(), 2, "one word without spaces"),
        ("[[client]]\norganisation = \"99182582\"\n".to_owned(), 2, "it has 9 digits"),
        (client.to_owned(), 1, "missing field `scopes`"),
        (format!("{client}scopes = []\nlifetime = 5"), 5, "invalid type: integer"),
        (format!("{client}scopes = []\nlifetime = \"0s\""), 5, "is not a lifetime"),
        (format!("{client}scopes = []\nlifetime = \"1500ms\""), 5, "is not a lifetime"),
        (format!("{client}scopes = []\nkeys = [{{ kid = \"k\" }}]"), 5, "a key is a `jwk_file`, or a `pem_file` and its `kid`"),
        (format!("{client}scopes = []\nkeys = [{{ pem_file = \"k\" }}]"), 5, "a key is a `jwk_file`, or a `pem_file` and its `kid`"),
        (format!("{client}scopes = []\nkeys = [{{ jwk_file = \"k\", kid = \"k\" }}]"), 5, "leave `kid` out"),
        (format!("{client}scopes = []\nkeys = [{{ jwk_file = \"nowhere.jwk\" }}]"), 5, "nowhere.jwk: No such file"),
        (format!("{client}scopes = []\nkeys = [{{ jwk_file = \"{}\" }}]", ca.display()), 5, "not a public RSA key as JWK"),
        (format!("{client}scopes = []\nkeys = [{{ jwk_file = \"{}\" }}]", private.display()), 5, "it is a private key"),
        (format!("{client}scopes = []\nkeys = [{{ pem_file = \"{}\", kid = \"k\" }}]", short.display()), 5, "not a public key in PEM"),
        (format!("{client}scopes = []\nkeys = [{{ jwk_file = \"k\", expires = 2027-01-31T12:00:00 }}]"), 5, "with its offset"),
        (format!("\n\nca_file = \"{}\"\n{client}scopes = []", private.display()), 3, "no certificate in PEM is in it"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clients.toml");
    for (text, line, expected) in table {
        fs::write(&file, &text).unwrap();
        let error = Settings::from_clients_file(&file).unwrap_err().to_string();
        assert!(error.contains("clients.toml") && error.contains(&format!("line {line}")) && error.contains(expected), "{text}\n→ {error}");
    }
    let error = Settings::from_clients_file(&directory.path().join("none.toml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read") && error.contains("none.toml"), "{error}");
}

#[test]
fn settings_that_contradict_themselves_do_not_start() {
    let client = || ClientSettings::new("a", "991825827").key(registered("registered-2048"));
    let another = ClientSettings::new("b", "889640782").key(registered("registered-2048"));
    let start = |settings: Settings| Simulator::start(settings).err().unwrap();
    assert!(matches!(start(Settings::new().client(client()).client(client())), StartError::RepeatedClient(_)));
    assert!(matches!(start(Settings::new().client(client()).client(another)), StartError::RepeatedKid(_)));
    for issuer in ["maskinporten.no", "https://maskinporten.no/a", "ftp://maskinporten.no/", "https://maskinporten.no/?a"] {
        assert!(matches!(start(Settings { issuer: Some(issuer.to_owned()), ..Settings::new() }), StartError::Issuer(_)), "{issuer}");
    }
    assert!(matches!(start(Settings { lifetime: 0, ..Settings::new() }), StartError::Lifetime));
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    assert!(matches!(start(Settings { listen: taken.local_addr().unwrap(), ..Settings::new() }), StartError::Listen { .. }));
}

#[tokio::test]
async fn another_issuer_is_the_one_that_counts() {
    let mut settings = crate::grants::settings();
    settings.issuer = Some("https://maskinporten.example.no".to_owned());
    let simulator = Simulator::start(settings).unwrap();
    assert_eq!(simulator.token_endpoint(), "https://maskinporten.example.no/token");
    let endpoint = format!("http://{}/token", simulator.address());
    let grant = Draft::with_kid(&simulator).sign();
    let form = [("grant_type", crate::grants::JWT_BEARER), ("assertion", &grant)];
    assert_eq!(http().post(endpoint).form(&form).send().await.unwrap().status(), 200);
}

/// `portvakt simulate` on a free port; ended with the test, whatever becomes of it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn portvakt(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portvakt"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[tokio::test]
async fn the_command_says_what_it_does_and_ends_on_sigterm() {
    let file = quickstart();
    let mut running = Running(
        portvakt(&["simulate", "--log-format", "text", "--listen", "127.0.0.1:0", "--clients", file.to_str().unwrap()]).spawn().unwrap(),
    );
    let mut log = BufReader::new(running.0.stderr.take().unwrap());
    let mut read_until = |expected: &str| {
        let mut line = String::new();
        while !line.contains(expected) {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the log ended before {expected}");
        }
        line
    };
    let line = read_until("token endpoint");
    let address: SocketAddr = line.split("token endpoint http://").nth(1).unwrap().trim().trim_end_matches("/token").parse().unwrap();
    read_until(&format!("client KRR ({KEY_CLIENT}) of 991825827, signs with a registered key"));

    // Another simulator, never asked, knows how a grant for this address looks.
    let mut draft = Draft::with_certificate(&crate::grants::start());
    draft
        .claim("aud", format!("http://{address}/"))
        .claim("scope", "folkeregister:deling/offentligutenhjemmel")
        .claim("pid", "12345678901");
    let grant = draft.sign();
    let form = [("grant_type", crate::grants::JWT_BEARER), ("assertion", &grant)];
    for (status, expected) in [(200, "grant accepted: FREG"), (400, "grant refused: FREG")] {
        let response = http().post(format!("http://{address}/token")).form(&form).send().await.unwrap();
        assert_eq!(response.status(), status);
        let line = read_until(expected);
        assert!(line.contains(CERTIFICATE_CLIENT) && !line.contains("12345678901") && !line.contains(&grant), "{line}");
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&running.0), rustix::process::Signal::TERM).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
    let mut stdout = String::new();
    running.0.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
}

#[test]
fn the_command_fails_with_2_for_its_file_and_1_for_its_address() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("clients.toml");
    fs::write(&file, "[[client]]\nname = 1\n").unwrap();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let holding = TcpListener::bind(taken).unwrap();
    let quickstart = quickstart();
    for (arguments, code, expected) in [
        (vec!["simulate"], 2, "--clients"),
        (vec!["simulate", "--clients", file.to_str().unwrap()], 2, "line 2, column 8"),
        (vec!["simulate", "--clients", quickstart.to_str().unwrap(), "--issuer", "nonsense"], 2, "cannot be an issuer"),
        (vec!["simulate", "--clients", quickstart.to_str().unwrap(), "--listen", &taken.to_string()], 1, "cannot listen on 127.0.0.1:"),
    ] {
        let output = portvakt(&arguments).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(errors.contains(expected), "{errors}");
    }
    drop(holding);
}

#[tokio::test]
async fn dropped_in_async_code_it_ends_and_frees_its_port() {
    let simulator = crate::grants::start();
    let grant = Draft::with_kid(&simulator).sign();
    let client = http();
    exchange(&client, &simulator, &grant).await.unwrap();
    let address = simulator.address();
    drop(simulator);
    TcpListener::bind(address).unwrap();
}
