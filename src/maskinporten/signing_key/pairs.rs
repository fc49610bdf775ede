//! Key pairs: which key belongs to which certificate, and which of several pairs signs.

use std::cmp::Reverse;
use std::fmt;
use std::time::SystemTime;

use openssl::pkey::{Id, PKey, PKeyRef, Private};
use openssl::x509::X509;

use super::error::KeyError;
use crate::maskinporten::certificate::{Certificate, ValidityState};

/// A private key and its certificate.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) key: PKey<Private>,
    pub(super) x509: X509,
    pub(super) certificate: Certificate,
}

/// Which of several pairs signs, why, and which others were there. `Display` tells it in one line, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    chosen: Certificate,
    by_fingerprint: bool,
    passed_over: Vec<PassedOver>,
}

/// A pair that does not sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// Its certificate.
    pub certificate: Certificate,
    /// Why it does not sign.
    pub because: PassedOverBecause,
}

/// Why a pair does not sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassedOverBecause {
    /// Another one was chosen by its fingerprint.
    NotChosen,
    /// It cannot sign: its kind of key, its length or its key usage.
    Unusable(Box<KeyError>),
    /// Another one is valid now, and it is not.
    OutsideValidity,
    /// It may seal (nonRepudiation) only, and another one has digitalSignature.
    SealOnly,
    /// It is as good as the chosen one in all else, and does not end later.
    EndsNoLater,
}

impl Choice {
    /// The certificate that signs.
    pub fn chosen(&self) -> &Certificate {
        &self.chosen
    }

    /// Whether the operator chose it by its fingerprint; otherwise the rule did: valid now, digitalSignature before
    /// nonRepudiation, then the one that ends last.
    pub fn by_fingerprint(&self) -> bool {
        self.by_fingerprint
    }

    /// The other pairs.
    pub fn passed_over(&self) -> &[PassedOver] {
        &self.passed_over
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = if self.by_fingerprint {
            "it was chosen by its fingerprint"
        } else {
            "it comes first by: valid now, digitalSignature before nonRepudiation, ends last"
        };
        write!(f, "of {} key pairs, this one signs ({rule}): {}", self.passed_over.len() + 1, Brief(&self.chosen))?;
        for other in &self.passed_over {
            write!(f, "; not {}: {}", Brief(&other.certificate), other.because)?;
        }
        Ok(())
    }
}

impl fmt::Display for PassedOverBecause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotChosen => f.write_str("not the one chosen"),
            Self::Unusable(error) => match &**error {
                KeyError::NotRsa(kind) => write!(f, "it is a key of the kind {kind}"),
                KeyError::TooShort { bits } => write!(f, "it has {bits} bits"),
                _ => f.write_str("it may not sign"),
            },
            Self::OutsideValidity => f.write_str("not valid now"),
            Self::SealOnly => f.write_str("it has nonRepudiation only"),
            Self::EndsNoLater => f.write_str("it does not end later"),
        }
    }
}

/// What tells one pair in a file from another.
struct Brief<'a>(&'a Certificate);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256 {} ({}, {})", hex::encode(self.0.sha256()), self.0.key_usage(), self.0.validity())
    }
}

/// All that fit: by public key, whatever the names and IDs in the file say.
///
/// # Errors
///
/// No key, no certificate, or none of the keys is that of a certificate.
pub(super) fn pair_up(keys: &[PKey<Private>], certificates: &[X509]) -> Result<Vec<Pair>, KeyError> {
    if certificates.is_empty() {
        return Err(KeyError::NoCertificate);
    }
    if keys.is_empty() {
        return Err(KeyError::NoKey);
    }
    let mut pairs = Vec::new();
    for x509 in certificates {
        let Ok(public) = x509.public_key() else { continue }; // of a kind that OpenSSL does not know
        if let Some(key) = keys.iter().find(|key| key.public_eq(&public)) {
            pairs.push(Pair { key: key.clone(), x509: x509.clone(), certificate: Certificate::read(x509)? });
        }
    }
    if pairs.is_empty() { Err(KeyError::KeyOfAnother { certificates: list(certificates)? }) } else { Ok(pairs) }
}

/// The pair that signs.
///
/// With a fingerprint, the one that has it; else the best at `now`: valid, then digitalSignature before nonRepudiation,
/// then the one that ends last. When none is valid, the best of the others: its validity is for the caller to judge.
///
/// # Errors
///
/// No pair has the fingerprint, or none (not the chosen one) can sign.
pub(super) fn choose(pairs: Vec<Pair>, fingerprint: Option<[u8; 32]>, now: SystemTime) -> Result<(Pair, Option<Choice>), KeyError> {
    match fingerprint {
        Some(fingerprint) => chosen_by_fingerprint(pairs, fingerprint),
        None => chosen_by_rule(pairs, now),
    }
}

fn chosen_by_fingerprint(mut pairs: Vec<Pair>, fingerprint: [u8; 32]) -> Result<(Pair, Option<Choice>), KeyError> {
    let Some(index) = pairs.iter().position(|pair| *pair.certificate.sha256() == fingerprint) else {
        let there: Vec<String> = pairs.iter().map(|pair| Brief(&pair.certificate).to_string()).collect();
        return Err(KeyError::NoSuchCertificate { wanted: hex::encode(fingerprint), there: there.join(", ") });
    };
    let chosen = pairs.remove(index);
    check(&chosen)?;
    let passed_over =
        pairs.into_iter().map(|pair| PassedOver { certificate: pair.certificate, because: PassedOverBecause::NotChosen }).collect();
    Ok(with_choice(chosen, true, passed_over))
}

fn chosen_by_rule(pairs: Vec<Pair>, now: SystemTime) -> Result<(Pair, Option<Choice>), KeyError> {
    let mut usable = Vec::new();
    let mut unusable = Vec::new();
    for pair in pairs {
        match check(&pair) {
            Ok(()) => usable.push(pair),
            Err(error) => unusable.push((pair, error)),
        }
    }
    usable.sort_by_key(|pair| Reverse(rank(&pair.certificate, now)));
    let mut usable = usable.into_iter();
    let Some(chosen) = usable.next() else {
        return Err(unusable.into_iter().next().map_or(KeyError::NoKey, |(_, error)| error));
    };
    let mut passed_over: Vec<PassedOver> = usable
        .map(|pair| PassedOver { because: why_after(&chosen.certificate, &pair.certificate, now), certificate: pair.certificate })
        .collect();
    passed_over.extend(
        unusable
            .into_iter()
            .map(|(pair, error)| PassedOver { certificate: pair.certificate, because: PassedOverBecause::Unusable(Box::new(error)) }),
    );
    Ok(with_choice(chosen, false, passed_over))
}

fn with_choice(chosen: Pair, by_fingerprint: bool, passed_over: Vec<PassedOver>) -> (Pair, Option<Choice>) {
    let choice = (!passed_over.is_empty()).then(|| Choice { chosen: chosen.certificate.clone(), by_fingerprint, passed_over });
    (chosen, choice)
}

fn rank(certificate: &Certificate, now: SystemTime) -> (bool, bool, SystemTime) {
    let validity = certificate.validity();
    (validity.at(now) == ValidityState::Valid, certificate.key_usage().digital_signature(), validity.not_after)
}

fn why_after(chosen: &Certificate, other: &Certificate, now: SystemTime) -> PassedOverBecause {
    let (chosen, other) = (rank(chosen, now), rank(other, now));
    if chosen.0 != other.0 {
        PassedOverBecause::OutsideValidity
    } else if chosen.1 != other.1 {
        PassedOverBecause::SealOnly
    } else {
        PassedOverBecause::EndsNoLater
    }
}

fn check(pair: &Pair) -> Result<(), KeyError> {
    check_key(&pair.key)?;
    let usage = pair.certificate.key_usage();
    if usage.may_sign() { Ok(()) } else { Err(KeyError::NotForSigning { usage: usage.to_string() }) }
}

/// RSA of at least 2048 bits.
pub(super) fn check_key(key: &PKeyRef<Private>) -> Result<(), KeyError> {
    if key.id() != Id::RSA {
        return Err(KeyError::NotRsa(kind(key.id())));
    }
    let bits = key.bits();
    if bits < 2048 { Err(KeyError::TooShort { bits }) } else { Ok(()) }
}

fn kind(id: Id) -> &'static str {
    match id {
        Id::EC => "EC",
        Id::RSA_PSS => "RSA-PSS",
        Id::DSA => "DSA",
        Id::ED25519 => "Ed25519",
        Id::ED448 => "Ed448",
        _ => "that is not RSA",
    }
}

/// Those that a key can be meant for: not the CAs of the chain.
fn list(certificates: &[X509]) -> Result<String, KeyError> {
    let mut lines = Vec::new();
    for x509 in certificates {
        let certificate = Certificate::read(x509)?;
        if certificates.len() == 1 || !certificate.key_usage().may_issue() {
            lines.push(format!("{}, sha256 {}", certificate.subject(), hex::encode(certificate.sha256())));
        }
    }
    Ok(lines.join("; "))
}
