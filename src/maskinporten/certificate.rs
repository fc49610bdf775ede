//! A virksomhetssertifikat: whose it is, who issued it, when it is valid, what it may do.

use std::fmt;
use std::time::{Duration, SystemTime};

use openssl::asn1::{Asn1Object, Asn1Time, Asn1TimeRef};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::x509::{X509, X509KeyUsage, X509NameEntryRef, X509NameRef, X509Ref};
use thiserror::Error;

use super::foreign_text::is_order;

/// What is to be known of a certificate. Plain facts, read once: nothing here checks a signature or a chain.
///
/// `Display` tells it in one line, for a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    sha256: [u8; 32],
    subject: String,
    issuer: String,
    organisation_number: Option<String>,
    validity: Validity,
    key_usage: KeyUsage,
    origin: Origin,
}

/// Why the facts of a certificate cannot be told.
#[derive(Clone, Debug, Error)]
#[error("the certificate cannot be read: {0}")]
pub struct UnreadableCertificate(String);

/// From when until when a certificate is valid, both ends included
/// ([RFC 5280 section 4.1.2.5](https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: SystemTime,
    /// The last moment.
    pub not_after: SystemTime,
}

/// Where a moment lies against a [`Validity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidityState {
    /// Before its first moment.
    NotYetValid,
    /// Within it.
    Valid,
    /// After its last moment.
    Expired,
}

/// The environments that a certificate is for, as its issuer's name tells
/// ([maskinporten_autentisering](https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_jwtgrant)):
/// test certificates are refused in production, and the reverse (MP-120).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From one of Buypass's (`Test4`) or Commfides's (`- TEST`) test CAs.
    Test,
    /// From another CA of Buypass or Commfides.
    Production,
    /// From someone else: a CA made for a test, most likely.
    Unknown,
}

/// What the certificate's key may be used for
/// ([RFC 5280 section 4.2.1.3](https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(Option<X509KeyUsage>);

impl Certificate {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    ///
    /// [`UnreadableCertificate`] when it is not one.
    pub fn from_der(der: &[u8]) -> Result<Self, UnreadableCertificate> {
        X509::from_der(der).and_then(|certificate| Self::read(&certificate)).map_err(|error| UnreadableCertificate(error.to_string()))
    }

    /// Reads the facts out of OpenSSL's certificate.
    pub(super) fn read(certificate: &X509Ref) -> Result<Self, ErrorStack> {
        let mut sha256 = [0; 32];
        openssl::sha::sha256(&certificate.to_der()?).clone_into(&mut sha256);
        Ok(Self {
            sha256,
            subject: one_line(certificate.subject_name()),
            issuer: one_line(certificate.issuer_name()),
            organisation_number: organisation_number(certificate.subject_name()),
            validity: Validity { not_before: moment(certificate.not_before())?, not_after: moment(certificate.not_after())? },
            key_usage: KeyUsage(certificate.key_usage()),
            origin: Origin::of(certificate.issuer_name()),
        })
    }

    /// SHA-256 of its DER: the fingerprint by which an operator chooses among several.
    pub fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Whose it is, in one line: `C=NO, O=…, organizationIdentifier=NTRNO-991825827, CN=…`. Control characters are replaced.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Who issued it, in one line as [`Certificate::subject`].
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The organisation's nine digits: from `organizationIdentifier` (`NTRNO-…`, SEID 2.0), or from `serialNumber` as older
    /// certificates have it. None when neither holds one.
    pub fn organisation_number(&self) -> Option<&str> {
        self.organisation_number.as_deref()
    }

    /// From when until when it is valid.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether it is valid at that moment.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.validity.at(now) == ValidityState::Valid
    }

    /// What its key may be used for.
    pub fn key_usage(&self) -> KeyUsage {
        self.key_usage
    }

    /// Whether it is for test or production.
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; issued by {}; {}; {}; sha256 {}", self.subject, self.issuer, self.validity, self.key_usage, hex::encode(self.sha256))
    }
}

impl Validity {
    /// Where the moment lies.
    pub fn at(&self, now: SystemTime) -> ValidityState {
        if now < self.not_before {
            ValidityState::NotYetValid
        } else if now > self.not_after {
            ValidityState::Expired
        } else {
            ValidityState::Valid
        }
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "valid {} to {}", Date(self.not_before), Date(self.not_after))
    }
}

/// The day of a moment, in UTC.
struct Date(SystemTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::try_from(self.0) {
            Ok(timestamp) => write!(f, "{}", timestamp.to_zoned_datetime(jiff::tz::TimeZone::UTC).date()),
            Err(_) => f.write_str("a day beyond year 9999"),
        }
    }
}

impl Origin {
    /// By the common name: the only place where all of Buypass's and Commfides's test CAs say it.
    fn of(issuer: &X509NameRef) -> Self {
        let has = |nid, words: &[&str]| {
            issuer.entries_by_nid(nid).any(|entry| {
                let value = entry_value(entry);
                words.iter().any(|word| value.contains(word))
            })
        };
        if has(Nid::COMMONNAME, &["Test4", "- TEST"]) {
            Self::Test
        } else if has(Nid::COMMONNAME, &["Buypass", "Commfides"]) || has(Nid::ORGANIZATIONNAME, &["Buypass", "Commfides"]) {
            Self::Production
        } else {
            Self::Unknown
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::Production => "production",
            Self::Unknown => "unknown",
        })
    }
}

impl KeyUsage {
    /// Whether it may sign to authenticate. Also true when the certificate restricts nothing.
    pub fn digital_signature(self) -> bool {
        self.0.is_none_or(|usage| usage.contains(X509KeyUsage::DIGITAL_SIGNATURE))
    }

    /// Whether it may sign as a seal (e-segl). Also true when the certificate restricts nothing.
    pub fn non_repudiation(self) -> bool {
        self.0.is_none_or(|usage| usage.contains(X509KeyUsage::NON_REPUDIATION))
    }

    /// Whether it may sign a grant: either of the two.
    pub fn may_sign(self) -> bool {
        self.digital_signature() || self.non_repudiation()
    }

    /// Whether it says that it may issue other certificates, as a CA's does.
    pub(super) fn may_issue(self) -> bool {
        self.0.is_some_and(|usage| usage.contains(X509KeyUsage::KEY_CERT_SIGN))
    }
}

impl fmt::Display for KeyUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(X509KeyUsage, &str); 9] = [
            (X509KeyUsage::DIGITAL_SIGNATURE, "digitalSignature"),
            (X509KeyUsage::NON_REPUDIATION, "nonRepudiation"),
            (X509KeyUsage::KEY_ENCIPHERMENT, "keyEncipherment"),
            (X509KeyUsage::DATA_ENCIPHERMENT, "dataEncipherment"),
            (X509KeyUsage::KEY_AGREEMENT, "keyAgreement"),
            (X509KeyUsage::KEY_CERT_SIGN, "keyCertSign"),
            (X509KeyUsage::CRL_SIGN, "cRLSign"),
            (X509KeyUsage::ENCIPHER_ONLY, "encipherOnly"),
            (X509KeyUsage::DECIPHER_ONLY, "decipherOnly"),
        ];
        let Some(usage) = self.0 else { return f.write_str("any key usage") };
        let names: Vec<&str> = NAMES.iter().filter(|(flag, _)| usage.contains(*flag)).map(|(_, name)| *name).collect();
        f.write_str(if names.is_empty() { "no key usage" } else { "" })?;
        f.write_str(&names.join(", "))
    }
}

/// OID 2.5.4.97, for which the `openssl` crate has no `Nid` of its own.
const ORGANIZATION_IDENTIFIER: &str = "2.5.4.97";

fn organisation_number(subject: &X509NameRef) -> Option<String> {
    let identifiers = subject.entries().filter(|entry| is_organization_identifier(entry)).map(entry_value);
    let mut seid_2 = identifiers.filter_map(|value| value.strip_prefix("NTRNO-").map(str::to_owned));
    let mut older = subject.entries_by_nid(Nid::SERIALNUMBER).map(entry_value);
    let is_number = |value: &String| value.len() == 9 && value.bytes().all(|byte| byte.is_ascii_digit());
    seid_2.find(is_number).or_else(|| older.find(is_number))
}

fn is_organization_identifier(entry: &X509NameEntryRef) -> bool {
    // Whether its text is a name or digits depends on OpenSSL's version, so both sides are made by it.
    Asn1Object::from_str(ORGANIZATION_IDENTIFIER).is_ok_and(|object| object.to_string() == entry.object().to_string())
}

fn one_line(name: &X509NameRef) -> String {
    let entries = name.entries().map(|entry| {
        let key = match entry.object().nid() {
            _ if is_organization_identifier(entry) => "organizationIdentifier".to_owned(),
            Nid::UNDEF => entry.object().to_string(),
            nid => nid.short_name().map_or_else(|_| entry.object().to_string(), str::to_owned),
        };
        format!("{key}={}", entry_value(entry))
    });
    entries.collect::<Vec<_>>().join(", ")
}

/// The text of a part of a name. It comes from a file and goes into logs, so what a terminal takes for orders is replaced, and what
/// separates the parts is escaped as RFC 4514 section 2.4 has it.
fn entry_value(entry: &X509NameEntryRef) -> String {
    let Ok(text) = entry.data().to_string() else { return "(not text)".to_owned() };
    let mut value = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            ',' | '\\' => value.extend(['\\', character]),
            _ if is_order(character) => value.push(char::REPLACEMENT_CHARACTER),
            _ => value.push(character),
        }
    }
    value
}

fn moment(time: &Asn1TimeRef) -> Result<SystemTime, ErrorStack> {
    let since_epoch = Asn1Time::from_unix(0)?.diff(time)?;
    let seconds = i64::from(since_epoch.days) * 86_400 + i64::from(since_epoch.secs);
    let span = Duration::from_secs(seconds.unsigned_abs());
    let moment = if seconds < 0 { SystemTime::UNIX_EPOCH.checked_sub(span) } else { SystemTime::UNIX_EPOCH.checked_add(span) };
    Ok(moment.unwrap_or(SystemTime::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use openssl::x509::X509Name;
    use rstest::rstest;

    fn certificate(name: &str) -> Certificate {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("certs").join(name);
        let x509 = X509::from_pem(&std::fs::read(path).unwrap()).unwrap();
        Certificate::from_der(&x509.to_der().unwrap()).unwrap()
    }

    #[rstest]
    #[case("virksomhet.pem", "991825827", Origin::Test, "digitalSignature")]
    #[case("old-form.pem", "991825827", Origin::Test, "digitalSignature, nonRepudiation")]
    #[case("commfides.pem", "991825827", Origin::Test, "digitalSignature, nonRepudiation")]
    #[case("other-organisation.pem", "889640782", Origin::Test, "digitalSignature")]
    #[case("seal.pem", "991825827", Origin::Test, "nonRepudiation")]
    #[case("encryption.pem", "991825827", Origin::Test, "keyEncipherment, dataEncipherment")]
    #[case("issuing.pem", "983163327", Origin::Test, "keyCertSign, cRLSign")]
    fn the_facts(#[case] name: &str, #[case] organisation_number: &str, #[case] origin: Origin, #[case] usage: &str) {
        let certificate = certificate(name);
        assert_eq!(certificate.organisation_number(), Some(organisation_number));
        assert_eq!(certificate.origin(), origin);
        assert_eq!(certificate.key_usage().to_string(), usage);
    }

    #[test]
    fn names_in_one_line() {
        let new = certificate("virksomhet.pem");
        let digdir = "C=NO, O=DIGITALISERINGSDIREKTORATET";
        assert_eq!(new.subject(), format!("{digdir}, organizationIdentifier=NTRNO-991825827, CN=DIGITALISERINGSDIREKTORATET"));
        let issuer = "C=NO, O=Portvakt test data, organizationIdentifier=NTRNO-983163327, CN=Buypass Class 3 Test4 CA G2 ST Business";
        assert_eq!(new.issuer(), issuer);
        let old = certificate("old-form.pem");
        assert_eq!(old.subject(), format!("{digdir}, serialNumber=991825827, CN=DIGITALISERINGSDIREKTORATET"));
        assert!(certificate("other-organisation.pem").subject().ends_with("CN=PRØVEDRIFT ÆØÅ AS"));
    }

    #[rstest]
    #[case("virksomhet.pem", 1_735_689_600, 2_682_374_400)] // 2025-01-01, 2055-01-01
    #[case("expired.pem", 1_577_836_800, 1_672_531_200)] // 2020-01-01, 2023-01-01
    fn validity_to_the_second(#[case] name: &str, #[case] from: u64, #[case] until: u64) {
        let certificate = certificate(name);
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(certificate.validity(), Validity { not_before: at(from), not_after: at(until) });
        for (moment, state) in [
            (from - 1, ValidityState::NotYetValid),
            (from, ValidityState::Valid),
            (until, ValidityState::Valid),
            (until + 1, ValidityState::Expired),
        ] {
            assert_eq!(certificate.validity().at(at(moment)), state);
            assert_eq!(certificate.is_valid_at(at(moment)), state == ValidityState::Valid);
        }
        assert_eq!(certificate.validity().at(SystemTime::UNIX_EPOCH), ValidityState::NotYetValid);
    }

    fn name(entries: &[(&str, &str)]) -> X509Name {
        let mut builder = X509Name::builder().unwrap();
        for (field, value) in entries {
            builder.append_entry_by_text(field, value).unwrap();
        }
        builder.build()
    }

    #[rstest]
    #[case(&[("O", "Buypass AS-983163327"), ("CN", "Buypass Class 3 Test4 CA 3")], Origin::Test)]
    #[case(&[("O", "Buypass AS"), ("CN", "Buypass Class 3 Test4 CA G2 HT Business")], Origin::Test)]
    #[case(&[("O", "Buypass AS-983163327"), ("CN", "Buypass Class 3 CA 3")], Origin::Production)]
    #[case(&[("O", "Buypass AS"), ("CN", "Buypass Class 3 CA G2 ST Business")], Origin::Production)]
    #[case(&[("O", "Commfides Norge AS"), ("CN", "Commfides Legal Person - G3 - TEST")], Origin::Test)]
    #[case(&[("O", "Commfides Norge AS"), ("CN", "CPN Enterprise-Norwegian SHA256 CA - TEST2")], Origin::Test)]
    #[case(&[("O", "Commfides Norge AS - 988 312 495"), ("CN", "CPN Enterprise-Norwegian SHA256 CA")], Origin::Production)]
    #[case(&[("O", "Someone"), ("CN", "Their CA")], Origin::Unknown)]
    #[case(&[], Origin::Unknown)]
    fn test_or_production_by_the_issuer(#[case] issuer: &[(&str, &str)], #[case] origin: Origin) {
        assert_eq!(Origin::of(&name(issuer)), origin);
    }

    #[rstest]
    #[case(&[("organizationIdentifier", "NTRNO-991825827"), ("serialNumber", "889640782")], Some("991825827"))]
    #[case(&[("serialNumber", "991825827")], Some("991825827"))]
    #[case(&[("organizationIdentifier", "VATSE-991825827"), ("serialNumber", "991825827")], Some("991825827"))]
    #[case(&[("organizationIdentifier", "991825827")], None)]
    #[case(&[("organizationIdentifier", "NTRNO-99182582")], None)]
    #[case(&[("serialNumber", "UN:NO-991825827")], None)]
    #[case(&[("serialNumber", "99182582x")], None)]
    #[case(&[("CN", "991825827")], None)]
    fn organisation_numbers(#[case] subject: &[(&str, &str)], #[case] expected: Option<&str>) {
        assert_eq!(organisation_number(&name(subject)).as_deref(), expected);
    }

    #[test]
    fn a_name_cannot_break_a_log_line_or_pass_for_two_parts() {
        let line = one_line(&name(&[("CN", "A\nfake line\u{1b}[31m\u{202e}\u{2028}, O=Other")]));
        assert_eq!(line, "CN=A\u{FFFD}fake line\u{FFFD}[31m\u{FFFD}\u{FFFD}\\, O=Other");
    }

    #[test]
    fn what_is_no_certificate() {
        assert!(Certificate::from_der(b"\x30\x03\x02\x01\x01").is_err());
    }
}
