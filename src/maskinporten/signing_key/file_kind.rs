//! What a file is, told by its first bytes, so that a mix-up can be named.

use std::fmt;

use der::{Decode, Header, Reader, SliceReader};
use openssl::pkcs12::Pkcs12;
use openssl::pkey::PKey;
use openssl::x509::X509;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A PKCS#12 file (`.p12`, `.pfx`).
    Pkcs12,
    /// Certificates in PEM.
    PemCertificate,
    /// A private key in PEM.
    PemPrivateKey,
    /// A private JWK.
    Jwk,
}

/// What a file turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// Nothing, or white space only.
    Empty,
    /// PEM, with the first label in it.
    Pem(String),
    /// JSON, as a JWK is.
    Json,
    /// A PKCS#12 file.
    Pkcs12,
    /// A certificate in binary (DER).
    DerCertificate,
    /// A private key in binary (DER).
    DerPrivateKey,
    /// A binary (DER) file of which the end is missing.
    CutShort {
        /// What its own header says.
        expected_bytes: usize,
        /// What is there.
        bytes: usize,
    },
    /// Base64 text without a PEM label.
    Base64,
    /// Text in UTF-16.
    Utf16,
    /// None of these.
    Unknown,
}

/// A byte order mark in front, as Windows editors write it, means nothing and is in every parser's way.
pub(super) fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

impl FileKind {
    /// Tells what it is.
    pub fn of(bytes: &[u8]) -> Self {
        let text = without_byte_order_mark(bytes).trim_ascii();
        if text.is_empty() {
            Self::Empty
        } else if let Some(label) = first_pem_label(text) {
            Self::Pem(label)
        } else if text.starts_with(b"{") || text.starts_with(b"[") {
            Self::Json
        } else if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
            Self::Utf16
        } else if text.starts_with(b"MI") && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=\r\n \t".contains(byte)) {
            Self::Base64
        } else {
            Self::of_binary(bytes)
        }
    }

    fn of_binary(bytes: &[u8]) -> Self {
        if Pkcs12::from_der(bytes).is_ok() {
            Self::Pkcs12
        } else if X509::from_der(bytes).is_ok() {
            Self::DerCertificate
        } else if PKey::private_key_from_der(bytes).is_ok() {
            Self::DerPrivateKey
        } else {
            cut_short(bytes).unwrap_or(Self::Unknown)
        }
    }
}

fn cut_short(bytes: &[u8]) -> Option<FileKind> {
    let mut reader = SliceReader::new(bytes).ok()?;
    let header = Header::decode(&mut reader).ok().filter(|header| header.tag() == der::Tag::Sequence)?;
    let expected_bytes = usize::try_from((reader.position() + header.length()).ok()?).ok()?;
    (expected_bytes > bytes.len()).then_some(FileKind::CutShort { expected_bytes, bytes: bytes.len() })
}

fn first_pem_label(text: &[u8]) -> Option<String> {
    let mut labels = text.split(|byte| *byte == b'\n').filter_map(|line| line.trim_ascii().strip_prefix(b"-----BEGIN "));
    let label = labels.next()?.strip_suffix(b"-----")?;
    let is_label = label.len() <= 40 && label.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
    is_label.then(|| String::from_utf8_lossy(label).into_owned())
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pkcs12 => "a PKCS#12 file (.p12, .pfx)",
            Self::PemCertificate => "a certificate in PEM",
            Self::PemPrivateKey => "a private key in PEM",
            Self::Jwk => "a private JWK",
        })
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            // Without the dashes: texts for an operator are searched for PEM blocks, and what looks like one is masked to its end.
            Self::Pem(label) => write!(f, "PEM (`BEGIN {label}`)"),
            Self::Json => f.write_str("JSON"),
            Self::Pkcs12 => f.write_str("a PKCS#12 file"),
            Self::DerCertificate => f.write_str("a certificate in binary (DER)"),
            Self::DerPrivateKey => f.write_str("a private key in binary (DER)"),
            Self::CutShort { expected_bytes, bytes } => {
                write!(f, "a binary file that was cut short: it has {bytes} bytes, and its own header says {expected_bytes}")
            }
            Self::Base64 => f.write_str("base64 text without a PEM label"),
            Self::Utf16 => f.write_str("text in UTF-16"),
            Self::Unknown => f.write_str("neither PKCS#12, PEM nor JSON"),
        }
    }
}

/// What to do when one thing was asked for and another is there.
pub(super) fn remedy(expected: Expected, found: &FileKind) -> &'static str {
    match (expected, found) {
        (_, FileKind::Empty) => "write the file again: nothing has come into it",
        (_, FileKind::CutShort { .. }) => "copy the file again, in binary mode",
        (_, FileKind::Base64) => "decode it first: base64 -d FILE",
        (_, FileKind::Utf16) => "save it as UTF-8",
        (Expected::Pkcs12, FileKind::Pem(_)) => {
            "name it as the PEM certificate and private key instead, or make a PKCS#12 file: openssl pkcs12 -export -inkey KEY -in CERTIFICATE -out NEW.p12"
        }
        (Expected::PemCertificate | Expected::PemPrivateKey | Expected::Jwk, FileKind::Pkcs12) => {
            "name it as the PKCS#12 file instead, with its password"
        }
        (Expected::Pkcs12 | Expected::PemCertificate, FileKind::DerCertificate) => {
            "a certificate needs its private key beside it; as PEM: openssl x509 -inform DER -in FILE -out NEW.pem"
        }
        (_, FileKind::DerPrivateKey) => "turn it into PEM: openssl pkey -inform DER -in FILE -out NEW.pem",
        (_, FileKind::Json) => "if it is a private JWK, name it as the JWK instead",
        (Expected::PemPrivateKey, FileKind::Pem(label)) if label == "OPENSSH PRIVATE KEY" => {
            "turn a copy of it into PEM: ssh-keygen -p -m PEM -f COPY"
        }
        (Expected::Jwk, FileKind::Pem(_)) => "name it as the PEM private key instead, with its kid",
        _ => "openssl pkcs12 -info -noout -in FILE, or openssl pkey -noout -in FILE, tells what OpenSSL takes it for",
    }
}
