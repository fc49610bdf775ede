//! Keys and certificates that live as long as the demo: made at its start, and nobody but its simulator trusts them.

use std::thread;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkcs12::Pkcs12;
use openssl::pkey::{PKey, Private, Public};
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::x509::extension::{AuthorityKeyIdentifier, BasicConstraints, KeyUsage, SubjectKeyIdentifier};
use openssl::x509::{X509, X509Builder, X509Name};
use thiserror::Error;
use zeroize::Zeroizing;

/// An organisation that does not exist.
pub(super) const ORGANISATION_NUMBER: &str = "999888777";
pub(super) const ORGANISATION_NAME: &str = "EKSEMPELETATEN";

/// The smallest that Maskinporten takes, and the fastest to make.
const BITS: u32 = 2048;
const DAYS: u32 = 2;

/// What the demo signs with.
pub(super) struct ThrowAway {
    /// The test CA, for the simulator to trust.
    pub(super) ca: X509,
    /// A virksomhetssertifikat with its key and the CA.
    pub(super) pkcs12: Zeroizing<Vec<u8>>,
    /// The private half of a key to register, PKCS#8 in PEM.
    pub(super) registered_pem: Zeroizing<Vec<u8>>,
    /// Its public half, for the simulator.
    pub(super) registered_public: PKey<Public>,
}

/// No keys, no demo.
#[derive(Debug, Error)]
pub(super) enum ThrowAwayError {
    #[error(transparent)]
    OpenSsl(#[from] ErrorStack),
    #[error("the thread that makes a key ended without one")]
    Thread,
}

impl ThrowAway {
    /// Makes all of it. Each key takes some tenths of a second, so each has a thread.
    pub(super) fn make(pkcs12_password: &str) -> Result<Self, ThrowAwayError> {
        let [ca_key, key, registered] = thread::scope(|scope| {
            let threads = [(); 3].map(|()| scope.spawn(rsa_key));
            threads.map(|thread| thread.join().map_err(|_| ThrowAwayError::Thread))
        });
        let (ca_key, key, registered) = (ca_key??, key??, registered??);
        let ca = ca(&ca_key)?;
        let certificate = virksomhetssertifikat(&key, &ca, &ca_key)?;
        let mut chain = Stack::new()?;
        chain.push(ca.clone())?;
        let mut pkcs12 = Pkcs12::builder();
        pkcs12.name("virksomhetssertifikat").pkey(&key).cert(&certificate).ca(chain);
        Ok(Self {
            ca,
            pkcs12: Zeroizing::new(pkcs12.build2(pkcs12_password)?.to_der()?),
            registered_pem: Zeroizing::new(registered.private_key_to_pem_pkcs8()?),
            registered_public: PKey::public_key_from_der(&registered.public_key_to_der()?)?,
        })
    }
}

fn rsa_key() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_rsa(Rsa::generate(BITS)?)
}

fn ca(key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let name = name(&[("C", "NO"), ("O", "Portvakt demo"), ("CN", "Portvakt demo Test CA")])?;
    let mut builder = builder(&name, &name, key)?;
    builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
    builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
    let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None))?;
    builder.append_extension(identifier)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

/// In the shape of SEID 2.0: the organisation number stands in `organizationIdentifier`.
fn virksomhetssertifikat(key: &PKey<Private>, ca: &X509, ca_key: &PKey<Private>) -> Result<X509, ErrorStack> {
    let number = format!("NTRNO-{ORGANISATION_NUMBER}");
    let subject = name(&[("C", "NO"), ("O", ORGANISATION_NAME), ("organizationIdentifier", &number), ("CN", ORGANISATION_NAME)])?;
    let issuer = name_of(ca)?;
    let mut builder = builder(&subject, &issuer, key)?;
    builder.append_extension(BasicConstraints::new().critical().build()?)?;
    builder.append_extension(KeyUsage::new().critical().digital_signature().build()?)?;
    let identifier = SubjectKeyIdentifier::new().build(&builder.x509v3_context(Some(ca), None))?;
    builder.append_extension(identifier)?;
    let issuer_identifier = AuthorityKeyIdentifier::new().keyid(true).build(&builder.x509v3_context(Some(ca), None))?;
    builder.append_extension(issuer_identifier)?;
    builder.sign(ca_key, MessageDigest::sha256())?;
    Ok(builder.build())
}

fn builder(subject: &X509Name, issuer: &X509Name, key: &PKey<Private>) -> Result<X509Builder, ErrorStack> {
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let serial = serial.to_asn1_integer()?;
    let (from, until) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(DAYS)?);
    let mut builder = X509Builder::new()?;
    builder.set_version(2)?; // X.509 v3 counts from 0
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&from)?;
    builder.set_not_after(&until)?;
    Ok(builder)
}

fn name(entries: &[(&str, &str)]) -> Result<X509Name, ErrorStack> {
    let mut name = X509Name::builder()?;
    for (field, value) in entries {
        name.append_entry_by_text(field, value)?;
    }
    Ok(name.build())
}

fn name_of(ca: &X509) -> Result<X509Name, ErrorStack> {
    X509Name::from_der(&ca.subject_name().to_der()?)
}
