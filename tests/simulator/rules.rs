//! Each rule broken, one at a time, and the answer to it.

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::extension::KeyUsage;
use openssl::x509::{X509, X509NameBuilder};
use portvakt::simulator::{Rule, Simulator};
use serde_json::{Value, json};

use crate::grants::{Draft, JWT_BEARER, ORGANISATION, answer, http, json_of, now, private_key, start, x5c};

type Break = fn(&mut Draft);

fn remove(draft: &mut Draft, claim: &str) {
    draft.claims.remove(claim).unwrap();
}

fn claim(draft: &mut Draft, name: &str, value: impl Into<Value>) {
    draft.claim(name, value);
}

fn header(draft: &mut Draft, name: &str, value: impl Into<Value>) {
    draft.header(name, value);
}

fn times(draft: &mut Draft, issued_at: i64, expires_at: i64) {
    draft.claim("iat", issued_at).claim("exp", expires_at);
}

fn sign_with_certificate(draft: &mut Draft, name: &str) {
    draft.header("x5c", x5c(&format!("{name}.pem")));
    draft.key = private_key(&format!("{name}.key"));
}

/// A certificate of the right organisation that nobody has issued.
fn sign_with_own_certificate(draft: &mut Draft) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("organizationIdentifier", &format!("NTRNO-{ORGANISATION}")).unwrap();
    let name = name.build();
    let mut certificate = X509::builder().unwrap();
    certificate.set_version(2).unwrap();
    certificate.set_serial_number(&BigNum::from_u32(7).unwrap().to_asn1_integer().unwrap()).unwrap();
    certificate.set_subject_name(&name).unwrap();
    certificate.set_issuer_name(&name).unwrap();
    certificate.set_pubkey(&key).unwrap();
    certificate.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    certificate.set_not_after(&Asn1Time::days_from_now(1).unwrap()).unwrap();
    certificate.append_extension(KeyUsage::new().digital_signature().build().unwrap()).unwrap();
    certificate.sign(&key, MessageDigest::sha256()).unwrap();
    draft.header("x5c", json!([openssl::base64::encode_block(&certificate.build().to_der().unwrap())]));
    draft.key = key;
}

fn details(draft: &mut Draft, details: Value) {
    draft.claim("authorization_details", details);
}

/// Broken by the client with a virksomhetssertifikat.
const BY_CERTIFICATE: &[(&str, Rule, Break)] = &[
    ("another aud", Rule::WrongAudience, |draft| claim(draft, "aud", "https://test.maskinporten.no/")),
    ("aud without its slash", Rule::WrongAudience, |draft| {
        let issuer = draft.claims["aud"].as_str().unwrap().trim_end_matches('/').to_owned();
        draft.claim("aud", issuer);
    }),
    ("aud with a slash more", Rule::WrongAudience, |draft| {
        let issuer = format!("{}/", draft.claims["aud"].as_str().unwrap());
        draft.claim("aud", issuer);
    }),
    ("the token endpoint as aud", Rule::WrongAudience, |draft| {
        let endpoint = format!("{}token", draft.claims["aud"].as_str().unwrap());
        draft.claim("aud", endpoint);
    }),
    ("two values of aud", Rule::WrongAudience, |draft| {
        let both = json!([draft.claims["aud"], "https://maskinporten.no/"]);
        draft.claim("aud", both);
    }),
    ("aud as a number", Rule::MalformedValue, |draft| claim(draft, "aud", 1)),
    ("no aud", Rule::MissingClaim, |draft| remove(draft, "aud")),
    ("an unknown client", Rule::ClientNotFound, |draft| claim(draft, "iss", "nobody")),
    ("no iss", Rule::MissingClaim, |draft| remove(draft, "iss")),
    ("a line break behind iss", Rule::MalformedValue, |draft| {
        let client_id = format!("{}\n", draft.claims["iss"].as_str().unwrap());
        draft.claim("iss", client_id);
    }),
    ("iat 15 s ahead", Rule::IssuedInTheFuture, |draft| times(draft, now() + 15, now() + 60)),
    ("iat 15 s ago", Rule::IssuedTooLongAgo, |draft| times(draft, now() - 15, now() + 60)),
    ("iat as text", Rule::MalformedValue, |draft| claim(draft, "iat", now().to_string())),
    ("no iat", Rule::MissingClaim, |draft| remove(draft, "iat")),
    ("121 s", Rule::LivesTooLong, |draft| times(draft, now(), now() + 122)),
    ("exp before iat", Rule::LivesTooLong, |draft| claim(draft, "exp", now() - 5)),
    ("the farthest numbers", Rule::IssuedInTheFuture, |draft| times(draft, i64::MAX, i64::MIN)),
    ("expired", Rule::Expired, |draft| times(draft, now() - 60, now() - 1)),
    ("no exp", Rule::MissingClaim, |draft| remove(draft, "exp")),
    ("no jti", Rule::MissingClaim, |draft| remove(draft, "jti")),
    ("an empty jti", Rule::MalformedValue, |draft| claim(draft, "jti", "")),
    ("no scope", Rule::NoScope, |draft| remove(draft, "scope")),
    ("an empty scope", Rule::NoScope, |draft| claim(draft, "scope", " ")),
    ("a scope with a line break", Rule::MalformedValue, |draft| claim(draft, "scope", "a:b\n")),
    ("two spaces between scopes", Rule::MalformedValue, |draft| claim(draft, "scope", "a:b  a:c")),
    ("a scope that is not registered", Rule::ScopeNotRegistered, |draft| claim(draft, "scope", "a:b x:y")),
    ("an organisation that has delegated nothing", Rule::NotDelegated, |draft| {
        draft.claim("scope", "a:delegated").claim("consumer_org", "999888777");
    }),
    ("a scope that it has not delegated", Rule::NotDelegated, |draft| claim(draft, "consumer_org", "889640782")),
    ("its own organisation as consumer", Rule::OwnConsumerOrg, |draft| claim(draft, "consumer_org", ORGANISATION)),
    ("a consumer of 8 digits", Rule::MalformedValue, |draft| claim(draft, "consumer_org", "88964078")),
    ("two consumers", Rule::TwoConsumers, |draft| {
        draft.claim("scope", "a:delegated").claim("consumer_org", "889640782").claim("iss_onbehalfof", "x");
    }),
    ("a pid of 10 digits", Rule::MalformedValue, |draft| claim(draft, "pid", "1234567890")),
    ("a pid with a letter", Rule::MalformedValue, |draft| claim(draft, "pid", "1234567890a")),
    ("a pid as a number", Rule::MalformedValue, |draft| claim(draft, "pid", 12_345_678_901_i64)),
    ("resource as text", Rule::MalformedValue, |draft| claim(draft, "resource", "https://api.example.no")),
    ("resource without any", Rule::MalformedValue, |draft| claim(draft, "resource", json!([]))),
    ("resource with a number", Rule::MalformedValue, |draft| claim(draft, "resource", json!([1]))),
    ("details that are no array", Rule::MalformedValue, |draft| details(draft, json!({"type": "urn:altinn:systemuser"}))),
    ("details without any", Rule::InvalidDetailsValue, |draft| details(draft, json!([]))),
    ("details of an unknown type", Rule::UnknownDetailsType, |draft| details(draft, json!([{"type": "urn:other"}]))),
    ("details with an unknown field", Rule::UnknownDetailsField, |draft| {
        details(
            draft,
            json!([{"type": "urn:altinn:systemuser", "more": 1, "systemuser_org": {"authority": "iso6523-actorid-upis", "ID": "0192:999888777"}}]),
        );
    }),
    ("details without their organisation", Rule::InvalidDetailsValue, |draft| details(draft, json!([{"type": "urn:altinn:systemuser"}]))),
    ("an organisation without 0192", Rule::InvalidDetailsValue, |draft| {
        details(
            draft,
            json!([{"type": "urn:altinn:systemuser", "systemuser_org": {"authority": "iso6523-actorid-upis", "ID": "999888777"}}]),
        );
    }),
    ("a consent from nobody", Rule::InvalidDetailsValue, |draft| {
        details(draft, json!([{"type": "urn:altinn:consent", "id": "5bd22e80-73b3-4cbf-8a6f-2e4eac1a6d2b", "from": "12345678901"}]));
    }),
    ("a consent without a UUID", Rule::InvalidDetailsValue, |draft| {
        details(draft, json!([{"type": "urn:altinn:consent", "id": "1", "from": "urn:altinn:person:identifier-no:12345678901"}]));
    }),
    ("a claim that nobody knows", Rule::UnknownClaim, |draft| claim(draft, "sub", "me")),
    ("PS256", Rule::Algorithm, |draft| header(draft, "alg", "PS256")),
    ("none", Rule::Algorithm, |draft| header(draft, "alg", "none")),
    ("HS256", Rule::Algorithm, |draft| header(draft, "alg", "HS256")),
    ("an extension in crit", Rule::MalformedValue, |draft| header(draft, "crit", json!(["b64"]))),
    ("another algorithm than alg says", Rule::InvalidSignature, |draft| draft.digest = MessageDigest::sha512()),
    ("another key than the certificate's", Rule::InvalidSignature, |draft| draft.key = private_key("other-organisation.key")),
    ("kid and x5c", Rule::TwoKeysNamed, |draft| header(draft, "kid", "portvakt-test-2048")),
    ("neither kid nor x5c", Rule::NoKeyNamed, |draft| drop(draft.header.remove("x5c"))),
    ("a kid where none is registered", Rule::InvalidSignature, |draft| {
        draft.header.remove("x5c");
        draft.header("kid", "portvakt-test-2048");
    }),
    ("x5c as text", Rule::MalformedX5c, |draft| {
        let leaf = draft.header["x5c"][0].clone();
        draft.header("x5c", leaf);
    }),
    ("x5c without any", Rule::MalformedX5c, |draft| header(draft, "x5c", json!([]))),
    ("x5c with a line break", Rule::MalformedX5c, |draft| {
        let leaf = format!("{}\n", draft.header["x5c"][0].as_str().unwrap());
        draft.header("x5c", json!([leaf]));
    }),
    ("x5c in base64url", Rule::MalformedX5c, |draft| {
        let leaf = draft.header["x5c"][0].as_str().unwrap().replace('+', "-").replace('/', "_");
        draft.header("x5c", json!([leaf]));
    }),
    ("x5c that is no certificate", Rule::MalformedX5c, |draft| header(draft, "x5c", json!(["AAAA"]))),
    ("a chain from its end", Rule::InvalidCertificate, |draft| {
        let chain: Vec<Value> = draft.header["x5c"].as_array().unwrap().iter().rev().cloned().collect();
        draft.header("x5c", chain);
    }),
    ("a certificate of its own", Rule::InvalidCertificate, sign_with_own_certificate),
    ("an expired certificate", Rule::InvalidSignature, |draft| sign_with_certificate(draft, "expired")),
    ("a certificate that is not valid yet", Rule::InvalidCertificate, |draft| sign_with_certificate(draft, "not-yet-valid")),
    ("a certificate for encryption", Rule::InvalidCertificate, |draft| sign_with_certificate(draft, "encryption")),
    ("another organisation's certificate", Rule::OrganisationMismatch, |draft| sign_with_certificate(draft, "other-organisation")),
    ("a key of 1024 bits", Rule::InvalidCertificate, |draft| sign_with_certificate(draft, "rsa-1024")),
];

/// Broken by the client with a registered key.
const BY_KEY: &[(&str, Rule, Break)] = &[
    ("another key", Rule::InvalidSignature, |draft| draft.key = private_key("registered-4096.pem")),
    ("an unknown kid", Rule::InvalidSignature, |draft| header(draft, "kid", "other")),
    ("a kid with a line break", Rule::MalformedValue, |draft| header(draft, "kid", "portvakt-test-2048\n")),
    ("a kid that is no text", Rule::MalformedValue, |draft| header(draft, "kid", 1)),
    ("an expired key", Rule::ExpiredKey, |draft| {
        draft.header("kid", "portvakt-test-4096");
        draft.key = private_key("registered-4096.pem");
    }),
    ("no kid", Rule::KidRequired, |draft| drop(draft.header.remove("kid"))),
    ("a certificate instead", Rule::KidRequired, |draft| {
        draft.header.remove("kid");
        sign_with_certificate(draft, "virksomhet");
    }),
    ("both", Rule::TwoKeysNamed, |draft| sign_with_certificate(draft, "virksomhet")),
    ("the other client's ID", Rule::InvalidSignature, |draft| claim(draft, "iss", crate::grants::CERTIFICATE_CLIENT)),
    ("a scope that is not granted", Rule::ScopeNotGranted, |draft| claim(draft, "scope", "k:not-granted")),
    ("a scope for another integration type", Rule::IntegrationType, |draft| claim(draft, "scope", "k:login k:b")),
];

#[tokio::test]
async fn each_rule_broken_alone_is_answered_with_its_own_error() {
    let simulator = start();
    let certificate = BY_CERTIFICATE.iter().map(|case| (Draft::with_certificate as fn(&Simulator) -> Draft, case));
    let key = BY_KEY.iter().map(|case| (Draft::with_kid as fn(&Simulator) -> Draft, case));
    for (draft, (what, rule, break_it)) in certificate.chain(key) {
        let mut draft = draft(&simulator);
        break_it(&mut draft);
        assert_refused(what, *rule, &simulator, answer(&simulator, &draft.sign()).await);
    }
}

fn assert_refused(what: &str, rule: Rule, simulator: &Simulator, (status, body): (u16, Value)) {
    assert_eq!(status, 400, "{what}: {body}");
    assert_eq!(body["error"], rule.error(), "{what}: {body}");
    let description = body["error_description"].as_str().unwrap_or_else(|| panic!("{what}: {body}"));
    assert!(description.starts_with(rule.description()), "{what}: {body}");
    let trace_id = description.split_once(" (trace_id: ").and_then(|(_, rest)| rest.strip_suffix(')')).unwrap();
    assert!(trace_id.len() == 32 && trace_id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{what}: {body}");
    let uri = rule.code().map(|code| format!("{}errors/{code}", simulator.issuer()));
    assert_eq!(body.get("error_uri").and_then(Value::as_str), uri.as_deref(), "{what}: {body}");
}

#[tokio::test]
async fn what_is_quoted_is_answered_word_for_word() {
    let simulator = start();
    let mut draft = Draft::with_certificate(&simulator);
    let (_, body) = answer(&simulator, &draft.claim("scope", "x:y a:b").sign()).await;
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with("Token request contains invalid scopes for client, x:y (trace_id: "), "{body}");
    let mut draft = Draft::with_kid(&simulator);
    draft.header.remove("kid");
    let (_, body) = answer(&simulator, &draft.sign()).await;
    let description = body["error_description"].as_str().unwrap();
    assert!(description.starts_with("The client requires pre-registered jwk and no key identifier (kid) provided (trace_id: "), "{body}");
    let (_, body) = answer(&simulator, &Draft::with_certificate(&simulator).claim("sub", "me").sign()).await;
    assert!(body["error_description"].as_str().unwrap().starts_with("Invalid assertion (trace_id: "), "{body}");
}

#[tokio::test]
async fn a_request_that_is_no_exchange_is_refused() {
    let simulator = start();
    let grant = || Draft::with_certificate(&simulator).sign();
    let form = "application/x-www-form-urlencoded";
    let encode = |pairs: &[(&str, &str)]| form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let table = [
        ("JSON", Rule::NotAForm, "application/json", encode(&[("grant_type", JWT_BEARER), ("assertion", &grant())])),
        ("no grant_type", Rule::FormParameter, form, encode(&[("assertion", &grant())])),
        ("another grant_type", Rule::GrantType, form, encode(&[("grant_type", "client_credentials"), ("assertion", &grant())])),
        ("no assertion", Rule::FormParameter, form, encode(&[("grant_type", JWT_BEARER)])),
        (
            "two assertions",
            Rule::FormParameter,
            form,
            encode(&[("grant_type", JWT_BEARER), ("assertion", &grant()), ("assertion", &grant())]),
        ),
        (
            "a secret too",
            Rule::OtherAuthentication,
            form,
            encode(&[("grant_type", JWT_BEARER), ("assertion", &grant()), ("client_secret", "x")]),
        ),
        ("no JWT", Rule::NotAJwt, form, encode(&[("grant_type", JWT_BEARER), ("assertion", "a.b.c")])),
        ("two parts", Rule::NotAJwt, form, encode(&[("grant_type", JWT_BEARER), ("assertion", "e30.e30")])),
        ("a part too many", Rule::NotAJwt, form, encode(&[("grant_type", JWT_BEARER), ("assertion", &format!("{}.e30", grant()))])),
        ("a body without end", Rule::NotAForm, form, "x".repeat(300_000)),
    ];
    for (what, rule, content_type, body) in table {
        let request = http().post(simulator.token_endpoint()).header("Content-Type", content_type).body(body);
        assert_refused(what, rule, &simulator, json_of(request.send().await.unwrap()).await);
    }
    let request = http().post(simulator.token_endpoint()).basic_auth("a", Some("b"));
    let request = request.form(&[("grant_type", JWT_BEARER), ("assertion", &grant())]);
    assert_refused("Authorization", Rule::OtherAuthentication, &simulator, json_of(request.send().await.unwrap()).await);
    let response = http().get(simulator.token_endpoint()).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["allow"].to_str().unwrap()), (405, "POST"));
}
