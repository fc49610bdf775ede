use base64::Engine;
use josekit::jws::JwsHeader;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::X509;
use rstest::rstest;

use super::super::{Identification, thumbprint};
use super::*;
use crate::maskinporten::Algorithm;

const CLAIMS: &[u8] = br#"{"aud":"https://test.maskinporten.no/","iss":"x"}"#;

/// Verifies a grant with josekit, and gives its header.
fn verified(grant: &str, algorithm: Algorithm, public_pem: &[u8]) -> JwsHeader {
    use josekit::jws::{RS256, RS384, RS512, deserialize_compact};
    let verifier = match algorithm {
        Algorithm::Rs256 => RS256.verifier_from_pem(public_pem),
        Algorithm::Rs384 => RS384.verifier_from_pem(public_pem),
        Algorithm::Rs512 => RS512.verifier_from_pem(public_pem),
    };
    let (claims, header) = deserialize_compact(grant, &verifier.unwrap()).unwrap();
    assert_eq!(claims, CLAIMS);
    header
}

fn public_pem(certificate: &str) -> Vec<u8> {
    X509::from_pem(&file(certificate)).unwrap().public_key().unwrap().public_key_to_pem().unwrap()
}

#[rstest]
#[case("virksomhet.p12", "virksomhet.pem")]
#[case("virksomhet-legacy.p12", "virksomhet.pem")]
#[case("pairs.p12", "virksomhet.pem")]
#[case("pairs-legacy.p12", "virksomhet.pem")]
#[case("keytool.p12", "virksomhet.pem")]
#[cfg_attr(feature = "vendored-openssl", case("no-mac.p12", "virksomhet.pem"))] // OpenSSL 3.0 opens none without a MAC
#[case("no-encryption.p12", "virksomhet.pem")]
#[case("old-form.p12", "old-form.pem")]
#[case("commfides.p12", "commfides.pem")]
#[case("other-organisation.p12", "other-organisation.pem")]
#[case("expired.p12", "expired.pem")]
#[case("not-yet-valid.p12", "not-yet-valid.pem")]
fn a_pkcs12_file_signs_with_x5c(#[case] name: &str, #[case] certificate: &str) {
    signs_with_x5c(&pkcs12(name).unwrap(), certificate);
}

#[rstest]
#[case("empty-password.p12")]
#[case("empty-password-legacy.p12")]
fn an_empty_password_is_one(#[case] name: &str) {
    signs_with_x5c(&SigningKey::from_pkcs12(&file(name), "", None, now()).unwrap(), "virksomhet.pem");
}

#[rstest]
#[case("virksomhet.pem", "virksomhet.key")]
#[case("virksomhet.pem", "virksomhet-pkcs1.key")]
#[case("virksomhet.pem", "virksomhet-encrypted.key")]
#[case("virksomhet.pem", "virksomhet-encrypted-pkcs1.key")]
#[case("virksomhet-scrambled.pem", "virksomhet.key")]
#[case("virksomhet-with-key.pem", "virksomhet-with-key.pem")]
fn a_pem_certificate_signs_with_x5c(#[case] certificates: &str, #[case] key: &str) {
    let key = certificate_pem(certificates, key).unwrap();
    signs_with_x5c(&key, "virksomhet.pem");
    assert_eq!(key.thumbprint(), pkcs12("virksomhet.p12").unwrap().thumbprint());
}

fn signs_with_x5c(key: &SigningKey, certificate: &str) {
    for algorithm in Algorithm::ALL {
        let header = verified(&key.sign(algorithm, CLAIMS).unwrap(), algorithm, &public_pem(certificate));
        assert_eq!(header.algorithm(), Some(algorithm.name()));
        assert_eq!(header.key_id(), None);
        let chain = header.x509_certificate_chain().unwrap();
        assert_eq!(openssl::sha::sha256(&chain[0]), sha256(certificate));
        let chain: Vec<X509> = chain.iter().map(|der| X509::from_der(der).unwrap()).collect();
        assert_eq!(chain.len(), 2, "the leaf and its issuer, without the root");
        assert!(chain[0].verify(&chain[1].public_key().unwrap()).unwrap());
    }
    assert_eq!(key.kid(), None);
    assert_eq!(*key.certificate().unwrap().sha256(), sha256(certificate));
}

#[test]
fn x5c_has_the_leaf_first_and_no_root_whatever_the_order_in_the_file() {
    let der = |name: &str| openssl::base64::encode_block(&X509::from_pem(&file(name)).unwrap().to_der().unwrap());
    let expected = Identification::X5c(vec![der("virksomhet.pem"), der("issuing.pem")]);
    let parts = [file("root.pem"), file("issuing.pem"), file("virksomhet.pem"), file("issuing-old.pem"), file("issuing.pem")];
    for turn in 0..parts.len() {
        let mut parts = parts.clone();
        parts.rotate_left(turn);
        let key = SigningKey::from_certificate_pem(&parts.concat(), &file("virksomhet.key"), None, now()).unwrap();
        assert_eq!(*key.identification(), expected);
    }
}

#[test]
fn a_leaf_without_its_chain_is_a_chain_of_one() {
    let key = certificate_pem("seal.pem", "seal.key").unwrap();
    assert!(matches!(key.identification(), Identification::X5c(chain) if chain.len() == 1));
}

#[rstest]
#[case(2048)]
#[case(4096)]
fn a_registered_key_signs_with_its_kid(#[case] bits: u32) {
    let kid = String::from_utf8(file(&format!("registered-{bits}.kid"))).unwrap();
    let kid = kid.trim_end();
    let pem = |kind: &str| SigningKey::from_pem(&file(&format!("registered-{bits}.{kind}")), Some(&password()), kid).unwrap();
    let jwk = SigningKey::from_jwk(&file(&format!("registered-{bits}.private.jwk"))).unwrap();
    let public = file(&format!("registered-{bits}.public.pem"));
    for key in [pem("pem"), pem("pkcs1.pem"), pem("encrypted.pem"), jwk] {
        for algorithm in Algorithm::ALL {
            let header = verified(&key.sign(algorithm, CLAIMS).unwrap(), algorithm, &public);
            assert_eq!((header.algorithm(), header.key_id()), (Some(algorithm.name()), Some(kid)));
            assert_eq!(header.x509_certificate_chain(), None);
        }
        assert_eq!(key.kid(), Some(kid));
        assert_eq!(key.bits(), bits);
        assert_eq!(key.certificate(), None);
        assert_eq!(key.thumbprint(), pem("pem").thumbprint());
    }
}

#[test]
fn a_grant_takes_no_more_room_than_was_made_for_it() {
    let key = pkcs12("virksomhet.p12").unwrap();
    for length in 0..50 {
        let grant = key.sign(Algorithm::Rs256, &vec![b'x'; length]).unwrap();
        assert_eq!(grant.capacity(), grant.len(), "a string that grows leaves copies of the grant in memory");
    }
}

#[test]
fn a_jwk_may_leave_out_the_primes_and_have_other_members() {
    let mut jwk: serde_json::Value = serde_json::from_slice(&file("registered-2048.private.jwk")).unwrap();
    for member in ["p", "q", "dp", "dq", "qi", "use", "alg"] {
        jwk.as_object_mut().unwrap().remove(member);
    }
    jwk["x-other"] = 1.into();
    jwk["key_ops"] = serde_json::json!(["sign"]);
    let key = SigningKey::from_jwk(jwk.to_string().as_bytes()).unwrap();
    verified(&key.sign(Algorithm::Rs256, CLAIMS).unwrap(), Algorithm::Rs256, &file("registered-2048.public.pem"));
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_do_no_harm() {
    let windows = |name: &str| {
        let text = String::from_utf8(file(name)).unwrap().replace('\n', "\r\n");
        [b"\xEF\xBB\xBF".as_slice(), text.as_bytes()].concat()
    };
    SigningKey::from_pem(&windows("registered-2048.pem"), None, "kid").unwrap();
    SigningKey::from_pem(&windows("registered-2048.encrypted.pem"), Some(&password()), "kid").unwrap();
    SigningKey::from_jwk(&windows("registered-2048.private.jwk")).unwrap();
    SigningKey::from_certificate_pem(&windows("virksomhet-scrambled.pem"), &windows("virksomhet.key"), None, now()).unwrap();
}

/// RFC 7638 section 3.1.
#[test]
fn the_thumbprint_is_that_of_the_rfc() {
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W\
             -5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt\
             -bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let n = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(n).unwrap();
    let bn = |bytes: &[u8]| openssl::bn::BigNum::from_slice(bytes).unwrap();
    let key = PKey::from_rsa(Rsa::from_public_components(bn(&n), bn(&[1, 0, 1])).unwrap()).unwrap();
    assert_eq!(thumbprint(&key).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn debug_shows_what_is_public_only() {
    let key = SigningKey::from_jwk(&file("registered-2048.private.jwk")).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains("portvakt-test-2048") && shown.contains(key.thumbprint()));
    let jwk: serde_json::Value = serde_json::from_slice(&file("registered-2048.private.jwk")).unwrap();
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        let secret = jwk[member].as_str().unwrap();
        assert!(!shown.contains(&secret[..12]));
    }
    assert!(format!("{:?}", pkcs12("virksomhet.p12").unwrap()).contains("NTRNO-991825827"));
}
