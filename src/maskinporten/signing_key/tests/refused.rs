use std::mem::discriminant;

use rstest::rstest;

use super::super::{Expected, FileKind};
use super::*;

fn other(expected: Expected, found: FileKind) -> KeyError {
    KeyError::OtherFile { expected, found }
}

fn pem(label: &str) -> FileKind {
    FileKind::Pem(label.to_owned())
}

#[rstest]
#[case("no-key.p12", KeyError::NoKey)]
#[case("no-certificate.p12", KeyError::NoCertificate)]
#[case("ec.p12", KeyError::NotRsa("EC"))]
#[case("rsa-1024.p12", KeyError::TooShort { bits: 1024 })]
#[case("encryption-only.p12", KeyError::NotForSigning { usage: "keyEncipherment, dataEncipherment".to_owned() })]
#[case("virksomhet.pem", other(Expected::Pkcs12, pem("CERTIFICATE")))]
#[case("virksomhet.key", other(Expected::Pkcs12, pem("PRIVATE KEY")))]
#[case("registered-2048.private.jwk", other(Expected::Pkcs12, FileKind::Json))]
fn as_pkcs12(#[case] name: &str, #[case] expected: KeyError) {
    assert_eq!(pkcs12(name).unwrap_err(), expected);
}

#[test]
fn a_key_of_another_certificate() {
    for result in [pkcs12("wrong-key.p12"), certificate_pem("virksomhet.pem", "seal.key")] {
        let error = result.unwrap_err();
        assert!(matches!(error, KeyError::KeyOfAnother { .. }), "{error}");
        assert!(error.to_string().contains("NTRNO-991825827") && error.to_string().contains(&hex::encode(sha256("virksomhet.pem"))));
        assert!(!error.to_string().contains(&hex::encode(sha256("issuing.pem"))), "the chain is not what the key is for");
    }
}

#[rstest]
#[case("virksomhet.p12")]
#[case("virksomhet-legacy.p12")]
#[case("pairs.p12")]
#[case("keytool.p12")]
#[case("no-encryption.p12")]
#[case("empty-password.p12")]
fn a_wrong_password(#[case] name: &str, #[values("", "wrong", "Portvakt-test-1\n", "Portvakt\0test", "passord med æøå")] wrong: &str) {
    if wrong.is_empty() && name == "empty-password.p12" {
        return;
    }
    let error = SigningKey::from_pkcs12(&file(name), wrong, None, now()).unwrap_err();
    assert_eq!(discriminant(&error), discriminant(&KeyError::WrongPassword { note: None }), "{error}");
    assert!(wrong.is_empty() || !error.to_string().contains(wrong.trim_end()), "{error}");
}

#[test]
fn a_wrong_password_where_no_mac_tells_it() {
    for wrong in ["", "wrong"] {
        let error = SigningKey::from_pkcs12(&file("no-mac.p12"), wrong, None, now()).unwrap_err();
        // The system's OpenSSL may be 3.0, which opens none without a MAC.
        let too_old = cfg!(not(feature = "vendored-openssl")) && error == KeyError::MacMissing;
        assert!(too_old || matches!(error, KeyError::WrongPassword { .. }), "{error}");
    }
}

#[rstest]
#[case("", "the password is empty")]
#[case("Portvakt-test-1\r\n", "line break")]
#[case(" Portvakt-test-1", "white space")]
fn what_is_odd_about_a_password_is_told(#[case] wrong: &str, #[case] note: &str) {
    let error = SigningKey::from_pkcs12(&file("virksomhet.p12"), wrong, None, now()).unwrap_err().to_string();
    assert!(error.contains(note), "{error}");
}

#[rstest]
#[case("virksomhet.p12", other(Expected::PemPrivateKey, FileKind::Pkcs12))]
#[case("registered-2048.private.jwk", other(Expected::PemPrivateKey, FileKind::Json))]
#[case("registered-2048.public.pem", KeyError::PublicKey)]
#[case("virksomhet.pem", KeyError::NoKey)]
#[case("ec.key", KeyError::NotRsa("EC"))]
#[case("rsa-1024.key", KeyError::TooShort { bits: 1024 })]
fn as_pem_key(#[case] name: &str, #[case] expected: KeyError) {
    assert_eq!(SigningKey::from_pem(&file(name), None, "kid").unwrap_err(), expected);
}

#[rstest]
#[case("virksomhet.p12", "virksomhet.key", other(Expected::PemCertificate, FileKind::Pkcs12))]
#[case("virksomhet.pem", "virksomhet.p12", other(Expected::PemPrivateKey, FileKind::Pkcs12))]
#[case("virksomhet.key", "virksomhet.key", KeyError::NoCertificate)]
#[case("virksomhet.pem", "virksomhet.pem", KeyError::NoKey)]
#[case("ec.pem", "ec.key", KeyError::NotRsa("EC"))]
#[case("rsa-1024.pem", "rsa-1024.key", KeyError::TooShort { bits: 1024 })]
#[case("encryption.pem", "encryption.key", KeyError::NotForSigning { usage: "keyEncipherment, dataEncipherment".to_owned() })]
fn as_pem_certificate(#[case] certificates: &str, #[case] key: &str, #[case] expected: KeyError) {
    assert_eq!(certificate_pem(certificates, key).unwrap_err(), expected);
}

#[rstest]
fn an_encrypted_pem_key(
    #[values("virksomhet-encrypted.key", "virksomhet-encrypted-pkcs1.key", "registered-4096.encrypted.pem")] name: &str,
    #[values(None, Some(""), Some("wrong"), Some("Portvakt-test-1 "))] password: Option<&str>,
) {
    let error = SigningKey::from_pem(&file(name), password, "kid").unwrap_err();
    match password {
        None => assert_eq!(error, KeyError::PasswordMissing),
        Some(_) => assert!(matches!(error, KeyError::WrongPassword { .. }), "{error}"),
    }
}

#[rstest]
#[case("")]
#[case("  ")]
#[case("kid\n")]
#[case(" kid")]
#[case("k\tid")]
fn a_kid_that_is_none(#[case] kid: &str) {
    assert!(matches!(SigningKey::from_pem(&file("registered-2048.pem"), None, kid).unwrap_err(), KeyError::Kid(_)));
}

#[test]
fn several_private_keys_for_one_kid() {
    let both = [file("registered-2048.pem"), file("registered-4096.pem")].concat();
    assert_eq!(SigningKey::from_pem(&both, None, "kid").unwrap_err(), KeyError::SeveralKeys(2));
}

#[rstest]
#[case(b"", FileKind::Empty)]
#[case(b" \r\n", FileKind::Empty)]
#[case(b"\0\x01\x02", FileKind::Unknown)]
#[case(b"MIIJqQIBAzCCCW8GCSqGSIb3DQEHAaCC\r\nCWAEgglc\n", FileKind::Base64)]
#[case(b"\xFF\xFE-\0-\0", FileKind::Utf16)]
#[case(b"\x30\x82\x10\x00\x02\x01\x03", FileKind::CutShort { expected_bytes: 4100, bytes: 7 })]
fn files_that_are_something_else(#[case] bytes: &[u8], #[case] found: FileKind) {
    assert_eq!(SigningKey::from_pkcs12(bytes, "x", None, now()).unwrap_err(), other(Expected::Pkcs12, found.clone()));
    assert_eq!(SigningKey::from_pem(bytes, None, "kid").unwrap_err(), other(Expected::PemPrivateKey, found.clone()));
    assert_eq!(SigningKey::from_jwk(bytes).unwrap_err(), other(Expected::Jwk, found));
}

#[test]
fn binary_files_are_named() {
    let certificate = openssl::x509::X509::from_pem(&file("virksomhet.pem")).unwrap().to_der().unwrap();
    let key = openssl::pkey::PKey::private_key_from_pem(&file("virksomhet.key")).unwrap();
    for (der, found) in [
        (certificate, FileKind::DerCertificate),
        (key.private_key_to_der().unwrap(), FileKind::DerPrivateKey),
        (key.private_key_to_pkcs8().unwrap(), FileKind::DerPrivateKey),
    ] {
        assert_eq!(SigningKey::from_pkcs12(&der, "x", None, now()).unwrap_err(), other(Expected::Pkcs12, found.clone()));
        assert_eq!(SigningKey::from_pem(&der, None, "kid").unwrap_err(), other(Expected::PemPrivateKey, found));
    }
}

fn jwk_with(member: &str, value: serde_json::Value) -> String {
    let mut jwk: serde_json::Value = serde_json::from_slice(&file("registered-2048.private.jwk")).unwrap();
    jwk[member] = value;
    jwk.to_string()
}

#[rstest]
#[case("kid", serde_json::Value::Null, "no `kid`")]
#[case("kid", "".into(), "no kid")]
#[case("kty", "EC".into(), "kind EC")]
#[case("kty", "XX".into(), "`kty`")]
#[case("kty", serde_json::Value::Null, "no `kty`")]
#[case("use", "enc".into(), "not for signing")]
#[case("key_ops", serde_json::json!(["decrypt"]), "not for signing")]
#[case("alg", "PS256".into(), "`alg`")]
#[case("d", serde_json::Value::Null, "public key")]
#[case("d", "not base64url!".into(), "`d` is not base64url")]
#[case("p", "AQAB".into(), "do not belong together")]
#[case("d", 17.into(), "wrong type")]
#[case("p", serde_json::Value::Null, "no `p`")]
#[case("q", "".into(), "do not belong together")]
#[case("n", serde_json::Value::Null, "no `n`")]
#[case("n", "AQAB".into(), "do not belong together")]
#[case("n", "".into(), "do not belong together")]
#[case("oth", serde_json::json!([]), "two primes")]
fn as_jwk(#[case] member: &str, #[case] value: serde_json::Value, #[case] says: &str) {
    let error = SigningKey::from_jwk(jwk_with(member, value).as_bytes()).unwrap_err().to_string();
    assert!(error.contains(says), "{error}");
}

#[test]
fn a_jwk_whose_numbers_are_of_two_keys() {
    let mut jwk: serde_json::Value = serde_json::from_slice(&file("registered-2048.private.jwk")).unwrap();
    for member in ["p", "q", "dp", "dq", "qi"] {
        jwk.as_object_mut().unwrap().remove(member);
    }
    jwk["d"] = "AQAB".into();
    assert_eq!(SigningKey::from_jwk(jwk.to_string().as_bytes()).unwrap_err(), KeyError::Inconsistent);
}

#[test]
fn a_public_jwk_a_set_and_a_list_are_named() {
    assert_eq!(SigningKey::from_jwk(&file("registered-2048.public.jwk")).unwrap_err(), KeyError::PublicKey);
    let private = String::from_utf8(file("registered-2048.private.jwk")).unwrap();
    for (text, says) in [(format!("[{private}]"), "list"), (format!("{{\"keys\":[{private}]}}"), "no `kty`")] {
        let error = SigningKey::from_jwk(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert_eq!(SigningKey::from_jwk(&file("registered-2048.pem")).unwrap_err(), other(Expected::Jwk, pem("PRIVATE KEY")));
    assert_eq!(SigningKey::from_jwk(&file("virksomhet.p12")).unwrap_err(), other(Expected::Jwk, FileKind::Pkcs12));
}

#[test]
fn no_message_shows_a_value_of_a_jwk() {
    let jwk: serde_json::Value = serde_json::from_slice(&file("registered-2048.private.jwk")).unwrap();
    let secret = jwk["d"].as_str().unwrap();
    // The private exponent where a list, and a text that ends, are expected: serde's own message shows it.
    for text in [jwk_with("key_ops", secret.into()), jwk_with("kid", serde_json::json!([secret])), format!("{{\"d\":\"{secret}")] {
        let error = SigningKey::from_jwk(text.as_bytes()).unwrap_err();
        assert!(!error.to_string().contains(&secret[..8]) && !format!("{error:?}").contains(&secret[..8]), "{error}");
    }
}
