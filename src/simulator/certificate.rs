//! `x5c`: a virksomhetssertifikat and its chain, verified with OpenSSL.

use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Public};
use openssl::stack::Stack;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::verify::X509VerifyParam;
use openssl::x509::{X509, X509KeyUsage, X509Ref, X509StoreContext, X509VerifyResult};
use serde_json::Value;

use super::errors::{Refusal, Rule};

/// The public key of a virksomhetssertifikat that may sign for `organisation` at this time.
///
/// Errors: [`Rule::MalformedX5c`], [`Rule::InvalidCertificate`], [`Rule::InvalidSignature`] for an expired one, and
/// [`Rule::OrganisationMismatch`].
pub(super) fn signing_key(x5c: &Value, trust_anchors: &[X509], organisation: &str, now: i64) -> Result<PKey<Public>, Refusal> {
    let chain = read(x5c).ok_or(Rule::MalformedX5c)?;
    let Some((leaf, rest)) = chain.split_first() else { return Err(Rule::MalformedX5c.into()) };
    check_order(&chain)?;
    let trusted = verify(leaf, rest, trust_anchors, now).map_err(|_| Rule::InvalidCertificate)?;
    match trusted.as_raw() {
        OK => {}
        HAS_EXPIRED => return Err(Rule::InvalidSignature.into()),
        _ => return Err(Rule::InvalidCertificate.into()),
    }
    let may_sign = leaf.key_usage().is_some_and(|usage| usage.intersects(X509KeyUsage::DIGITAL_SIGNATURE | X509KeyUsage::NON_REPUDIATION));
    if !may_sign {
        return Err(Rule::InvalidCertificate.into());
    }
    if organisation_number(leaf).as_deref() != Some(organisation) {
        return Err(Rule::OrganisationMismatch.into());
    }
    let key = leaf.public_key().map_err(|_| Rule::InvalidCertificate)?;
    if key.id() == Id::RSA && key.bits() >= 2048 { Ok(key) } else { Err(Rule::InvalidCertificate.into()) }
}

/// `X509_V_OK` and `X509_V_ERR_CERT_HAS_EXPIRED` of OpenSSL's x509_vfy.h: the crate names only the first.
const OK: i32 = 0;
const HAS_EXPIRED: i32 = 10;

fn read(x5c: &Value) -> Option<Vec<X509>> {
    x5c.as_array()?.iter().map(|text| X509::from_der(&base64(text.as_str()?)?).ok()).collect()
}

/// base64, not base64url, without line breaks (RFC 7515 section 4.1.6). `decode_block` alone would forgive spaces around it.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    let strict = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    strict.then(|| openssl::base64::decode_block(text).ok()).flatten()
}

/// RFC 7515 section 4.1.6: each certificate certifies the one before it.
fn check_order(chain: &[X509]) -> Result<(), Refusal> {
    let certifies = |pair: &[X509]| matches!(pair, [subject, issuer] if issuer.issued(subject) == X509VerifyResult::OK);
    if chain.windows(2).all(certifies) { Ok(()) } else { Err(Rule::InvalidCertificate.into()) }
}

fn verify(leaf: &X509Ref, rest: &[X509], trust_anchors: &[X509], now: i64) -> Result<X509VerifyResult, ErrorStack> {
    let mut at_this_time = X509VerifyParam::new()?;
    at_this_time.set_time(now);
    // A store's time is set for all who use it, so each verification has its own: the simulator's clock can be off for one request.
    let mut store = X509StoreBuilder::new()?;
    store.set_param(&at_this_time)?;
    for anchor in trust_anchors {
        store.add_cert(anchor.clone())?;
    }
    let mut chain = Stack::new()?;
    for certificate in rest {
        chain.push(certificate.clone())?;
    }
    X509StoreContext::new()?.init(&store.build(), leaf, &chain, |context| {
        context.verify_cert()?;
        Ok(context.error())
    })
}

/// SEID 2.0's organizationIdentifier `NTRNO-991825827`, or the older serialNumber `991825827`.
fn organisation_number(certificate: &X509Ref) -> Option<String> {
    let entry = |nid| {
        let entry = certificate.subject_name().entries_by_nid(nid).next()?;
        entry.data().to_string().ok()
    };
    // OpenSSL knows 2.5.4.97 as organizationIdentifier; the crate has no constant for it.
    let organization_identifier = openssl::asn1::Asn1Object::from_str("2.5.4.97").ok()?.nid();
    entry(organization_identifier)
        .and_then(|value| value.strip_prefix("NTRNO-").map(str::to_owned))
        .or_else(|| entry(Nid::SERIALNUMBER).filter(|number| number.len() == 9 && number.bytes().all(|byte| byte.is_ascii_digit())))
}
