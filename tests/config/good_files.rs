//! Files without a mistake, and what is read from them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use openssl::sha::sha256;
use portvakt::config::{Colours, Config, ConfigError, KeySource, Parameter, Permitted};
use portvakt::maskinporten::Algorithm;
use rstest::rstest;
use secrecy::ExposeSecret;

use crate::workbench::{GOOD, KEY, PASSWORD, Workbench, changed};

const KEYS: &str = "{ sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\" }";

/// contract.md's example, as far as it is built: every key of the file is in it.
const EVERYTHING: &str = r#"
[server]
listen = "127.0.0.1:8080"
shutdown_grace = "10s"
shutdown_delay = "1500ms"
[management]
listen = "[::1]:9465"
[outbound]
connect_timeout = "500ms"
attempt_timeout = "3s"
deadline = "1m"
proxy = "http://proxy.example.no:3128"
proxy_user = "portvakt"
proxy_password_file = "freg.pw"
ca_file = "virksomhet.pem"
[cache]
max_tokens = 50_000
[environment.simulator]
issuer = "http://127.0.0.1:8090/"
token_endpoint = "http://127.0.0.1:8090/token"
[[integration]]
name = "freg-test"
client_id = "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11"
environment = "test"
algorithm = "RS512"
grant_lifetime = "2m"
prefetch = ["folkeregister:deling/offentligutenhjemmel", { scope = "a:c a:b", consumer_org = "889640782", resource = ["https://api.example.no"] }]
key = { pkcs12_file = "freg.p12", password_file = "freg.pw", certificate_sha256 = "0000000000000000000000000000000000000000000000000000000000000001" }
[[integration]]
name = "krr-test"
client_id = "krr"
environment = "simulator"
prefetch = [{ scope = "a:b", iss_onbehalfof = "889640782" }]
key = { certificate_file = "virksomhet.pem", private_key_file = "virksomhet.key", password_file = "freg.pw" }
[[integration]]
name = "registered"
client_id = "registered"
environment = "sky-prod"
key = { private_key_file = "krr.pem", kid = "my-key", password_file = "freg.pw" }
[[integration]]
name = "jwk"
client_id = "with-jwk"
environment = "prod"
key = { jwk_file = "krr.jwk" }
[[caller]]
name = "gravitee-freg"
keys = [
  { sha256 = "9F86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" },
  { sha256 = "1111111111111111111111111111111111111111111111111111111111111111", expires = 2027-01-31 },
  { file = "api-key", expires = 2027-01-31T12:00:00+01:00 },
]
networks = ["10.20.0.0/16", "2001:db8::/32"]
may = [
  { integration = "freg-test", scopes = ["folkeregister:deling/*"] },
  { integration = "krr-test", scopes = ["krr:global/kontaktinformasjon.read"], consumer_org = ["*"], requires = ["consumer_org"], pid = true, resource = ["https://api.example.no"], iss_onbehalfof = ["889640782"], authorization_details = ["urn:altinn:systemuser"] },
]
"#;

fn loaded(text: &str) -> (Workbench, Config) {
    let workbench = Workbench::new();
    let config = workbench.load(text).unwrap_or_else(|error| panic!("{error}"));
    (workbench, config)
}

#[test]
fn what_is_left_out_has_its_default() {
    let (workbench, config) = loaded(GOOD);
    assert_eq!(config.server.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.server.shutdown_grace, Duration::from_secs(30));
    assert_eq!(config.server.shutdown_delay, Duration::ZERO);
    assert_eq!(config.management.listen, "127.0.0.1:9464".parse().unwrap());
    assert_eq!(config.outbound.connect_timeout, Duration::from_secs(2));
    assert_eq!(config.outbound.attempt_timeout, Duration::from_secs(4));
    assert_eq!(config.outbound.deadline, Duration::from_secs(8));
    assert!(config.outbound.proxy.is_none() && config.outbound.ca_file.is_none());
    assert_eq!(config.cache.max_tokens, 100_000);
    assert!(config.warnings.is_empty());
    let [freg, krr] = config.integrations.as_slice() else { panic!("two integrations") };
    assert_eq!((freg.name.as_str(), freg.client_id.as_str()), ("freg", "1111"));
    assert_eq!(freg.environment.issuer(), "http://127.0.0.1:8090/");
    assert_eq!(freg.algorithm, Algorithm::Rs256);
    assert_eq!(freg.grant_lifetime, Duration::from_secs(60));
    assert_eq!(krr.environment.name(), "test");
    assert!(krr.prefetch.is_empty());
    let KeySource::Pkcs12 { file, password, certificate_sha256: None } = &freg.key.source else { panic!("PKCS#12") };
    assert_eq!(file.path, workbench.path().join("freg.p12"));
    assert_eq!(file.contents.expose_secret().as_slice(), KEY.as_bytes());
    assert_eq!(password.expose_secret(), PASSWORD, "without its line break");
    let [caller] = config.callers.as_slice() else { panic!("one caller") };
    assert!(caller.networks.is_empty());
    let [rule] = caller.may.as_slice() else { panic!("one rule") };
    for permitted in [&rule.consumer_org, &rule.iss_onbehalfof, &rule.resource, &rule.authorization_details] {
        assert_eq!(*permitted, Permitted::NOTHING);
    }
    assert!(!rule.pid && rule.requires.is_empty());
}

#[test]
fn every_key_of_the_file_is_read() {
    let (_workbench, config) = loaded(EVERYTHING);
    assert_eq!(config.server.shutdown_grace, Duration::from_secs(10));
    assert_eq!(config.server.shutdown_delay, Duration::from_millis(1500));
    assert_eq!(config.management.listen, "[::1]:9465".parse().unwrap());
    assert_eq!(config.outbound.connect_timeout, Duration::from_millis(500));
    assert_eq!(config.outbound.attempt_timeout, Duration::from_secs(3));
    assert_eq!(config.outbound.deadline, Duration::from_secs(60));
    let proxy = config.outbound.proxy.as_ref().unwrap();
    assert_eq!(proxy.url, "http://proxy.example.no:3128");
    let (user, password) = proxy.credentials.as_ref().unwrap();
    assert_eq!((user.as_str(), password.expose_secret()), ("portvakt", PASSWORD));
    assert_eq!(config.outbound.ca_file.as_ref().unwrap().contents.expose_secret().as_slice(), b"a certificate");
    assert_eq!(config.cache.max_tokens, 50_000);
    assert!(config.warnings.is_empty(), "a certificate may be open to all: {:?}", config.warnings);
}

#[test]
fn every_form_of_a_key_is_read() {
    let (_workbench, config) = loaded(EVERYTHING);
    let [freg, krr, registered, jwk] = config.integrations.as_slice() else { panic!("four integrations") };
    assert_eq!((freg.algorithm, freg.grant_lifetime), (Algorithm::Rs512, Duration::from_secs(120)));
    assert!(matches!(&freg.key.source, KeySource::Pkcs12 { certificate_sha256: Some(digest), .. } if digest[31] == 1));
    assert!(matches!(&krr.key.source, KeySource::Certificate { password: Some(_), .. }));
    assert!(matches!(&registered.key.source, KeySource::Registered { kid, password: Some(_), .. } if kid == "my-key"));
    assert!(matches!(&jwk.key.source, KeySource::Jwk { .. }));
    let [plain, full] = freg.prefetch.as_slice() else { panic!("two prefetches") };
    assert_eq!(plain.scopes.as_str(), "folkeregister:deling/offentligutenhjemmel");
    assert_eq!(full.scopes.as_str(), "a:b a:c");
    assert_eq!((full.consumer_org.as_deref(), full.iss_onbehalfof.as_deref()), (Some("889640782"), None));
    assert_eq!(full.resource, ["https://api.example.no"]);
    assert_eq!(krr.prefetch[0].iss_onbehalfof.as_deref(), Some("889640782"));
}

#[test]
fn a_setting_is_found_by_its_line() {
    let (_workbench, config) = loaded(EVERYTHING);
    let freg = &config.integrations[0];
    let rule = &config.callers[0].may[1];
    let places = [
        (freg.client_id_place, "client_id = \""),
        (freg.environment_place, "environment = \""),
        (freg.key.place, "key = {"),
        (freg.prefetch[1].place, "a:c a:b"),
        (rule.scope_places[0], "krr:global/kontaktinformasjon.read\"]"),
    ];
    for (place, text) in places {
        let number = EVERYTHING.lines().position(|line| line.contains(text)).unwrap() + 1;
        assert_eq!(config.line_of(place), format!("line {number} of portvakt.toml"), "{text}");
    }
}

#[test]
fn callers_are_read_with_their_keys_and_rules() {
    let (_workbench, config) = loaded(EVERYTHING);
    let caller = &config.callers[0];
    assert_eq!(caller.keys[0].sha256, sha256(b"test"));
    assert_eq!(caller.keys[0].expires, None);
    assert_eq!(caller.keys[1].expires.unwrap().to_string(), "2027-02-01T00:00:00Z", "the whole day in UTC");
    assert_eq!(caller.keys[2].sha256, sha256(b"freg-key"), "without its line break");
    assert_eq!(caller.keys[2].expires.unwrap().to_string(), "2027-01-31T11:00:00Z");
    assert_eq!(caller.networks, ["10.20.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
    let rule = &caller.may[1];
    assert_eq!(
        (rule.integration.as_str(), rule.scopes.as_slice()),
        ("krr-test", ["krr:global/kontaktinformasjon.read".to_owned()].as_slice())
    );
    assert_eq!(rule.consumer_org, Permitted::Any);
    assert_eq!(rule.iss_onbehalfof, Permitted::These(vec!["889640782".to_owned()]));
    assert_eq!(rule.resource, Permitted::These(vec!["https://api.example.no".to_owned()]));
    assert_eq!(rule.authorization_details, Permitted::These(vec!["urn:altinn:systemuser".to_owned()]));
    assert!(rule.pid);
    assert_eq!(rule.requires, [Parameter::ConsumerOrg]);
}

#[rstest]
#[case::port_zero_never_collides("listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:0\"\n[management]\nlisten = \"127.0.0.1:0\"")]
#[case::nothing_in_progress_is_waited_for("listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:8080\"\nshutdown_grace = \"0s\"")]
#[case::no_delay("listen = \"127.0.0.1:8080\"", "listen = \"127.0.0.1:8080\"\nshutdown_delay = \"0s\"")]
#[case::a_pkcs12_without_a_password(", password_file = \"freg.pw\"", "")]
#[case::a_fingerprint_as_openssl_prints_it(", password_file", &format!(", certificate_sha256 = \"{}\", password_file", vec!["AB"; 32].join(":")))]
#[case::every_scope("\"freg:*\"", "\"*\"")]
#[case::a_name_that_is_its_own_client_id("\"2222\"", "\"krr\"")]
#[case::two_rules_for_one_integration("may = [", "may = [{ integration = \"freg\", scopes = [\"freg:a\"] }, ")]
#[case::two_keys(KEYS, &format!("{KEYS}, {{ file = \"api-key\" }}"))]
#[case::a_leap_second(KEYS, "{ file = \"api-key\", expires = 2026-12-31T23:59:60Z }")]
#[case::a_secret_that_its_group_may_read("freg.pw", "group.pw")]
#[case::a_byte_order_mark("[server]", "\u{feff}[server]")]
#[case::line_ends_of_windows("[server]\n", "[server]\r\n")]
#[case::a_comment_about_keys("[server]", "# never paste -----BEGIN PRIVATE KEY----- here\n[server]")]
fn this_is_no_mistake(#[case] from: &str, #[case] to: &str) {
    let (_, config) = loaded(&changed(&[(from, to)]));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[rstest]
#[case::open_to_all("open.pw", "is open to everyone on this machine (mode 0644)")]
fn a_secret_file_that_others_can_read_is_a_warning(#[case] file: &str, #[case] expected: &str) {
    let (workbench, config) = loaded(&changed(&[("freg.pw", file)]));
    let [warning] = config.warnings.as_slice() else { panic!("one warning") };
    let underline = "^".repeat(file.len() + 2);
    let rendered = workbench.shown(&warning.render(Colours::Without));
    assert_eq!(
        rendered,
        format!(
            "warning: `{file}` holds a secret and {expected}
  --> portvakt.toml:13:51
   |
13 | key = {{ pkcs12_file = \"freg.p12\", password_file = \"{file}\" }}
   |                                                   {underline}
   |
   = help: run `chmod o= {file}`"
        )
    );
}

#[test]
fn a_later_failure_is_shown_at_the_place_that_it_concerns() {
    let (workbench, config) = loaded(GOOD);
    let KeySource::Registered { private_key, .. } = &config.integrations[1].key.source else { panic!("a registered key") };
    let key = config.mistake(config.integrations[1].key.place, "the key is too short", "make one with 2048 bits");
    let file = config.mistake(private_key.place, "the file has no key", "name another one");
    assert_eq!(workbench.shown(&file.to_string()), "portvakt.toml:19:28: the file has no key; name another one");
    assert_eq!(
        workbench.shown(&ConfigError::from(vec![file, key]).to_string()),
        "error: the key is too short
  --> portvakt.toml:19:7
   |
19 | key = { private_key_file = \"krr.pem\", kid = \"k1\" }
   |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = help: make one with 2048 bits

error: the file has no key
  --> portvakt.toml:19:28
   |
19 | key = { private_key_file = \"krr.pem\", kid = \"k1\" }
   |                            ^^^^^^^^^
   |
   = help: name another one"
    );
}

#[test]
fn nothing_secret_is_in_the_debug_form() {
    let (_workbench, config) = loaded(EVERYTHING);
    let shown = format!("{config:?} {config:#?}");
    for secret in [PASSWORD, KEY, "freg-key", &format!("{:?}", KEY.as_bytes())] {
        assert!(!shown.contains(secret), "{secret}");
    }
}

/// The keys themselves are made elsewhere; here only their names count.
#[test]
fn the_quick_starts_file_is_good() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/quickstart/portvakt.toml")).unwrap();
    let workbench = Workbench::new();
    let local = text.replace("../../certs/", "");
    for name in ["virksomhet.p12", "virksomhet.p12.password", "registered-2048.pem"] {
        assert!(local.contains(&format!("\"{name}\"")), "{name}");
        workbench.write(name, b"x", 0o600);
    }
    let config = workbench.load(local).unwrap_or_else(|error| panic!("{error}"));
    for (caller, key) in config.callers.iter().zip(["freg-quickstart-key", "krr-quickstart-key"]) {
        assert!(text.contains(&format!("`{key}`")), "the file tells the key");
        assert_eq!(caller.keys[0].sha256, sha256(key.as_bytes()), "{key}");
    }
}
