use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::KeyUsage;
use openssl::x509::{X509, X509NameBuilder};
use rstest::rstest;

use super::super::pairs::{choose, pair_up};
use super::super::{Choice, PassedOverBecause};
use super::*;

fn by_fingerprint(name: &str, certificate: &str) -> Result<SigningKey, KeyError> {
    SigningKey::from_pkcs12(&file(name), &password(), Some(sha256(certificate)), now())
}

#[rstest]
fn digital_signature_goes_before_non_repudiation(#[values("pairs.p12", "pairs-legacy.p12", "keytool.p12")] name: &str) {
    let key = pkcs12(name).unwrap();
    let choice = key.choice().unwrap();
    assert_eq!(*choice.chosen().sha256(), sha256("virksomhet.pem"));
    assert!(!choice.by_fingerprint());
    let because = |name: &str| &choice.passed_over().iter().find(|pair| *pair.certificate.sha256() == sha256(name)).unwrap().because;
    assert_eq!(*because("seal.pem"), PassedOverBecause::SealOnly);
    assert!(matches!(because("encryption.pem"), PassedOverBecause::Unusable(_)));
    assert_eq!(choice.passed_over().len(), 2);
    let line = choice.to_string();
    for name in ["virksomhet.pem", "seal.pem", "encryption.pem"] {
        assert!(line.contains(&hex::encode(sha256(name))), "{line}");
    }
}

#[rstest]
fn a_fingerprint_chooses_another(#[values("pairs.p12", "pairs-legacy.p12", "keytool.p12")] name: &str) {
    let key = by_fingerprint(name, "seal.pem").unwrap();
    assert_eq!(*key.certificate().unwrap().sha256(), sha256("seal.pem"));
    assert!(key.choice().unwrap().by_fingerprint());
    key.sign(crate::maskinporten::Algorithm::Rs256, b"{}").unwrap();
}

#[test]
fn a_fingerprint_does_not_make_an_encryption_certificate_sign() {
    let usage = "keyEncipherment, dataEncipherment".to_owned();
    assert_eq!(by_fingerprint("pairs.p12", "encryption.pem").unwrap_err(), KeyError::NotForSigning { usage });
}

#[test]
fn a_fingerprint_that_is_not_there_is_answered_with_those_that_are() {
    for (name, there) in [
        ("pairs.p12", vec!["virksomhet.pem", "seal.pem", "encryption.pem"]),
        ("virksomhet.p12", vec!["virksomhet.pem"]), // one pair: a fingerprint counts there too
    ] {
        let error = by_fingerprint(name, "old-form.pem").unwrap_err().to_string();
        assert!(error.contains(&hex::encode(sha256("old-form.pem"))), "{error}");
        for certificate in there {
            assert!(error.contains(&hex::encode(sha256(certificate))), "{error}");
        }
    }
}

#[test]
fn a_fingerprint_of_the_chain_is_not_one_of_a_pair() {
    assert!(matches!(by_fingerprint("virksomhet.p12", "issuing.pem").unwrap_err(), KeyError::NoSuchCertificate { .. }));
}

#[test]
fn nothing_is_chosen_where_there_is_one() {
    assert_eq!(pkcs12("virksomhet.p12").unwrap().choice(), None);
}

/// Valid from one day to another, counted from [`now`].
fn certificate(key: &PKey<Private>, from: i64, until: i64, usage: Option<&KeyUsage>) -> X509 {
    let day = |day: i64| {
        let epoch = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        Asn1Time::from_unix(i64::try_from(epoch).unwrap() + day * 86_400).unwrap()
    };
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "made in a test").unwrap();
    let name = name.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_not_before(&day(from)).unwrap();
    builder.set_not_after(&day(until)).unwrap();
    builder.set_pubkey(key).unwrap();
    if let Some(usage) = usage {
        builder.append_extension(usage.build().unwrap()).unwrap();
    }
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

/// What the pair may do.
#[derive(Clone, Copy)]
enum Usage {
    Signature,
    Seal,
    Any,
}

/// First the one that is to sign, then the other.
#[rstest]
#[case::valid_before_digital_signature([(-10, 10, Usage::Seal), (-10, -1, Usage::Signature)], PassedOverBecause::OutsideValidity)]
#[case::valid_before_ending_last([(-10, 10, Usage::Signature), (5, 900, Usage::Signature)], PassedOverBecause::OutsideValidity)]
#[case::digital_signature_before_ending_last([(-10, 10, Usage::Signature), (-10, 900, Usage::Seal)], PassedOverBecause::SealOnly)]
#[case::ends_last([(-10, 20, Usage::Signature), (-5, 10, Usage::Signature)], PassedOverBecause::EndsNoLater)]
#[case::unrestricted_is_digital_signature_too([(-10, 10, Usage::Any), (-10, 900, Usage::Seal)], PassedOverBecause::SealOnly)]
#[case::none_valid([(-30, -10, Usage::Signature), (-30, -20, Usage::Signature)], PassedOverBecause::EndsNoLater)]
fn the_rule_in_its_order(#[case] certificates: [(i64, i64, Usage); 2], #[case] because: PassedOverBecause) {
    let keys = [(); 2].map(|()| PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap());
    let x509s = [0, 1].map(|index| {
        let (from, until, usage) = certificates[index];
        let mut key_usage = KeyUsage::new();
        let key_usage = match usage {
            Usage::Signature => Some(key_usage.digital_signature()),
            Usage::Seal => Some(key_usage.non_repudiation()),
            Usage::Any => None,
        };
        certificate(&keys[index], from, until, key_usage.map(|usage| &*usage))
    });
    for order in [[0, 1], [1, 0]] {
        let x509s = order.map(|index| x509s[index].clone());
        let pairs = pair_up(&keys, &x509s).unwrap();
        let (chosen, choice): (_, Option<Choice>) = choose(pairs, None, now()).unwrap();
        assert!(chosen.key.public_eq(&keys[0]));
        assert_eq!(choice.unwrap().passed_over()[0].because, because);
    }
}

#[test]
fn a_renewed_certificate_of_the_same_key_is_another_pair() {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let x509s = [certificate(&key, -20, -10, None), certificate(&key, -10, 10, None)];
    let (chosen, _) = choose(pair_up(&[key], &x509s).unwrap(), None, now()).unwrap();
    assert_eq!(chosen.x509, x509s[1]);
}
