use super::*;
use crate::maskinporten::{
    Algorithm, Code, Environment, Found, NotOAuth, Refusal, SigningKey, Stage, Unavailable, Unreachable, UnreachableReason,
};
use rstest::rstest;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const CLIENT_ID: &str = "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11";

fn certs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("certs").join(name)
}

fn registered_key() -> SigningKey {
    SigningKey::from_jwk(&std::fs::read(certs("registered-2048.private.jwk")).unwrap()).unwrap()
}

fn certificate_key(name: &str) -> SigningKey {
    let read = |ending: &str| std::fs::read(certs(&format!("{name}.{ending}"))).unwrap();
    SigningKey::from_certificate_pem(&read("pem"), &read("key"), None, SystemTime::now()).unwrap()
}

fn client(environment: &str, key: SigningKey) -> Client {
    let environment = Environment::built_in(environment).unwrap();
    Client::new(CLIENT_ID, environment, Algorithm::Rs256, Duration::from_secs(60), Arc::new(key)).unwrap()
}

fn setup() -> Setup {
    let line = |number: u32| format!("line {number} of portvakt.toml");
    let setting =
        |scope: &str, asked_by: &str, number| ScopeSetting { scope: scope.into(), asked_by: asked_by.into(), place: line(number) };
    Setup {
        integration: Some("freg-test".into()),
        client_id: Some(line(3)),
        environment: Some(line(4)),
        key: Some(line(5)),
        scopes: vec![
            setting("folkeregister:deling/offentligutenhjemmel", "a prefetch", 6),
            setting("folkeregister:deling/*", "a caller's rule", 17),
            setting("krr:global/kontaktinformasjon.read", "a caller's rule", 18),
        ],
    }
}

fn refused(code: &str, description: &str) -> ExchangeError {
    ExchangeError::Refused(Box::new(Refusal {
        status: 400,
        error: "invalid_grant".into(),
        description: description.into(),
        code: Code::from_error_uri(code),
        trace_id: Some("356666143081bbec11d293753e9702ca".into()),
        error_uri: None,
    }))
}

fn diagnosis(error: ExchangeError, client: &Client, scopes: &str, clock: Option<ClockDifference>) -> Diagnosis {
    let scopes = Scopes::parse(scopes).unwrap();
    Diagnosis::of(error, &Circumstances { client, scopes: &scopes, clock, setup: &setup() })
}

const FREG: &str = "folkeregister:deling/offentligutenhjemmel";

#[test]
fn it_reads_as_one_text() {
    let diagnosis = diagnosis(refused("MP-100", "Client not found."), &client("test", registered_key()), FREG, None);
    assert_eq!(
        diagnosis.found(),
        "Maskinporten refused the grant with invalid_grant (MP-100, trace ID 356666143081bbec11d293753e9702ca): Client not found. Maskinporten knows no such client: the client ID is mistyped, or the client lives in another environment. The environment that was asked is test (https://test.maskinporten.no/), for client 2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11 (integration freg-test); one that was made in prod is not known there."
    );
    assert_eq!(
        diagnosis.remedy(),
        "Compare the client ID with the one on the client's page in Samarbeidsportalen, and see which environment that page is for. Where: client_id, line 3 of portvakt.toml; environment, line 4 of portvakt.toml; the client's page, Selvbetjening > Integrasjoner (test) > 2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11."
    );
    assert_eq!(diagnosis.to_string(), format!("{} For whoever runs Portvakt: {}", diagnosis.found(), diagnosis.remedy()));
    assert_eq!(diagnosis.mended_by(), MendedBy::Operator);
}

#[rstest]
#[case("prod", "MP-100", "made in test", "Integrasjoner (production)")]
#[case("sky-test", "MP-100", "made in sky-prod", "Integrasjoner (test)")]
#[case("test", "MP-110", "The aud that was sent is https://test.maskinporten.no/.", "environment, line 4 of portvakt.toml")]
#[case("test", "MP-121", "the kid portvakt-test-2048, and the key in use the thumbprint ", "portvakt keygen --from")]
#[case(
    "test",
    "MP-124",
    "the kid portvakt-test-2048, and the key in use the thumbprint ",
    "key, line 5 of portvakt.toml; the client's page"
)]
#[case(
    "test",
    "MP-200",
    "The scope that was asked for is folkeregister:deling/offentligutenhjemmel.",
    "a prefetch, line 6 of portvakt.toml; a caller's rule, line 17 of portvakt.toml; the client's page"
)]
#[case(
    "test",
    "MP-250",
    "The scope that was asked for is folkeregister:deling/offentligutenhjemmel.",
    "a prefetch, line 6 of portvakt.toml"
)]
#[case("test", "MP-251", "offentligutenhjemmel.", "a caller's rule, line 17 of portvakt.toml")]
#[case("test", "MP-999", "This failure is not in Portvakt's catalogue.", "trace ID")]
fn with_a_registered_key(#[case] environment: &str, #[case] code: &str, #[case] found: &str, #[case] remedy: &str) {
    let diagnosis = diagnosis(refused(code, "No."), &client(environment, registered_key()), FREG, None);
    assert!(diagnosis.found().contains(found), "{diagnosis}");
    assert!(diagnosis.remedy().contains(remedy), "{diagnosis}");
}

#[rstest]
#[case("prod", "virksomhet", "MP-120", "it is a test certificate, valid ", "environment, line 4")]
#[case("prod", "virksomhet", "MP-120", "asked is prod, which takes production certificates alone.", "key, line 5")]
#[case("test", "virksomhet", "MP-120", "asked is test, which takes test certificates alone.", "valid virksomhetssertifikat")]
#[case("test", "virksomhet", "MP-122", "The certificate's number is 991825827.", "key, line 5 of portvakt.toml; client_id, line 3")]
#[case("test", "other-organisation", "MP-122", "The certificate's number is ", "a client that the certificate's organisation owns")]
#[case("test", "virksomhet", "MP-123", "was signed with the certificate of ", "portvakt check --offline")]
#[case("test", "virksomhet", "MP-124", "was signed with the certificate of ", "its own private key")]
#[case(
    "test",
    "virksomhet",
    "no code: client requires pre-registered jwk and no kid",
    "was signed with the certificate of ",
    "{ private_key_file, kid } or { jwk_file }"
)]
fn with_a_certificate(#[case] environment: &str, #[case] key: &str, #[case] code: &str, #[case] found: &str, #[case] remedy: &str) {
    let diagnosis = diagnosis(refused(code, code), &client(environment, certificate_key(key)), FREG, None);
    assert!(diagnosis.found().contains(found), "{diagnosis}");
    assert!(diagnosis.remedy().contains(remedy), "{diagnosis}");
}

#[test]
fn a_ca_that_nobody_knows_is_not_digdirs() {
    let reason = UnreachableReason::Certificate("unable to get local issuer certificate".into());
    let error = ExchangeError::Unreachable(Unreachable { token_endpoint: "https://test.maskinporten.no/token".into(), reason });
    let presented =
        Certificate::from_der(&openssl::x509::X509::from_pem(&std::fs::read(certs("issuing.pem")).unwrap()).unwrap().to_der().unwrap());
    let of = |environment| diagnosis(error.clone(), &client(environment, registered_key()), FREG, None);
    for environment in ["prod", "test", "sky-test"] {
        assert_eq!(of(environment).known().cause, Cause::TlsBrokenOpen, "{environment}");
    }
    let found = of("test").with_presented(&[presented.unwrap()]).found();
    assert!(
        found.contains("It is the certificate of C=NO, O=Portvakt test data") && found.contains("; the CA that it leads to is C=NO"),
        "{found}"
    );
    assert_eq!(of("test").with_presented(&[]).found(), of("test").found());
}

#[test]
fn a_thumbprint_is_that_of_the_key_in_use() {
    let key = registered_key();
    let thumbprint = key.thumbprint().to_owned();
    let found = diagnosis(refused("MP-124", ""), &client("test", key), FREG, None).found();
    assert!(found.contains(&format!("thumbprint {thumbprint} (RFC 7638)")), "{found}");
}

#[rstest]
#[case("Token request contains invalid scopes for client, a:b", "a:b a:c", "The scope is a:b.")]
#[case("Invalid scopes: a:c, a:b.", "a:b a:c a:d", "The scopes are a:b, a:c.")]
#[case("Invalid scopes [a:b]", "a:b a:c", "The scope is a:b.")]
#[case("No", "a:b a:c", "The scopes that were asked for are a:b, a:c.")]
#[case("No a:bc", "a:b", "The scope that was asked for is a:b.")]
#[case("No", "a:1 a:2 a:3 a:4 a:5 a:6", "a:1, a:2, a:3, a:4, 2 more.")]
fn the_scope_is_the_one_that_maskinporten_named(#[case] description: &str, #[case] asked_for: &str, #[case] expected: &str) {
    let found = diagnosis(refused("MP-200", description), &client("test", registered_key()), asked_for, None).found();
    assert!(found.ends_with(expected), "{found}");
}

#[rstest]
#[case("krr:global/kontaktinformasjon.reed", Some("krr:global/kontaktinformasjon.read, line 18 of portvakt.toml"))]
#[case("folkeregister:deling/offentligutenhjemel", Some("folkeregister:deling/offentligutenhjemmel, line 6 of portvakt.toml"))]
#[case("folkeregister:deling/offentligmedhjemmel", None)]
#[case("krr:global/kontaktinformasjon.read", None)]
#[case("a:b", None)]
fn a_near_match_that_is_configured(#[case] scope: &str, #[case] expected: Option<&str>) {
    let found = diagnosis(refused("MP-200", ""), &client("test", registered_key()), scope, None).found();
    match expected {
        Some(near) => assert!(found.ends_with(&format!("A near match is configured: {near}.")), "{found}"),
        None => assert!(!found.contains("near match"), "{found}"),
    }
}

#[rstest]
#[case("MP-130", Some(-61_400), Some("this machine's clock is 61 s behind Maskinporten's."))]
#[case("issue time is after now", Some(60_000), Some("this machine's clock is 60 s ahead of Maskinporten's."))]
#[case("MP-130", Some(400), Some("held up on its way"))]
#[case("MP-130", None, None)]
fn a_clock_that_was_measured(#[case] code: &str, #[case] ahead: Option<i64>, #[case] expected: Option<&str>) {
    let clock = ahead.map(ClockDifference::from_millis);
    let diagnosis = diagnosis(refused(code, code), &client("test", registered_key()), FREG, clock);
    assert_eq!(diagnosis.found().contains("By the Date of its answers"), expected.is_some(), "{diagnosis}");
    assert!(diagnosis.found().contains(expected.unwrap_or_default()), "{diagnosis}");
    assert!(diagnosis.remedy().contains("Synchronise this machine's clock"), "{diagnosis}");
}

#[test]
fn settings_that_stand_nowhere_are_not_spoken_of() {
    let (client, scopes) = (client("test", registered_key()), Scopes::parse(FREG).unwrap());
    let circumstances = Circumstances { client: &client, scopes: &scopes, clock: None, setup: &Setup::default() };
    let remedy_of = |code| Diagnosis::of(refused(code, ""), &circumstances).remedy().to_owned();
    assert!(!remedy_of("MP-110").contains("Where:"));
    assert!(
        remedy_of("MP-100")
            .ends_with("Where: the client's page, Selvbetjening > Integrasjoner (test) > 2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11.")
    );
}

fn on_the_way() -> Vec<ExchangeError> {
    let unreachable = |reason| ExchangeError::Unreachable(Unreachable { token_endpoint: "https://x.example.no/token".into(), reason });
    let after = Duration::from_secs(2);
    let timed_out = |stage| UnreachableReason::TimedOut { stage, after };
    let not_oauth = |found| ExchangeError::NotOAuth(NotOAuth { status: 200, found, retry_after: None });
    let unavailable = |status| ExchangeError::Unavailable(Unavailable { status, said: None, retry_after: None });
    vec![
        unreachable(UnreachableReason::Dns("no such host".into())),
        unreachable(timed_out(Stage::NameLookup)),
        unreachable(timed_out(Stage::Connecting)),
        unreachable(timed_out(Stage::Answer)),
        unreachable(UnreachableReason::Certificate("self-signed".into())),
        unreachable(UnreachableReason::ProxyAuthentication),
        unavailable(429),
        unavailable(503),
        not_oauth(Found::Html { title: Some("Log in".into()) }),
        not_oauth(Found::Redirect { to: None }),
        not_oauth(Found::ExpiresIn("0".into())),
    ]
}

#[test]
fn each_text_says_what_happened_what_it_means_and_what_to_do_in_what_an_error_description_may_have() {
    let long = printable(&"\u{f8}\"\\ ".repeat(80), 300);
    let refusals = KnownError::all().filter_map(|known| known.code).map(|code| refused(code, &long));
    let keys = [registered_key(), certificate_key("virksomhet")];
    let clients = keys.map(|key| {
        let environment = Environment::custom(&long, "https://example.no/", "https://example.no/token").unwrap();
        Client::new(&"x".repeat(500), environment, Algorithm::Rs256, Duration::from_secs(60), Arc::new(key)).unwrap()
    });
    for error in refusals.chain(on_the_way()) {
        for client in &clients {
            let diagnosis = diagnosis(error.clone(), client, FREG, Some(ClockDifference::from_millis(60_000)));
            let text = diagnosis.within(1024);
            assert!(text.len() <= 1024 && text.ends_with(diagnosis.remedy()), "{text}");
            assert!(diagnosis.remedy().starts_with(diagnosis.known().remedy) && diagnosis.remedy().ends_with('.'), "{diagnosis}");
            assert!(diagnosis.found().contains(diagnosis.known().meaning), "{diagnosis}");
            if error.refusal().is_none() {
                assert_eq!(text, diagnosis.to_string());
            }
        }
    }
}
