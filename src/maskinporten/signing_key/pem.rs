//! PEM files: certificates, and private keys as PKCS#1, PKCS#8, or either encrypted.

use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use super::error::{KeyError, odd_about, reasons};
use super::file_kind::{Expected, FileKind, without_byte_order_mark};
use super::legacy::with_legacy_if_needed;

/// One `-----BEGIN …-----` to its `-----END …-----`.
struct Block<'a> {
    label: &'a str,
    text: &'a [u8],
}

/// All certificates of a file, in its order; other blocks are passed over.
pub(super) fn certificates(bytes: &[u8]) -> Result<Vec<X509>, KeyError> {
    let blocks = blocks(bytes);
    if blocks.is_empty() {
        return Err(KeyError::OtherFile { expected: Expected::PemCertificate, found: FileKind::of(bytes) });
    }
    let mut certificates = Vec::new();
    for block in blocks.iter().filter(|block| matches!(block.label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")) {
        certificates.push(block.certificate()?);
    }
    if certificates.is_empty() { Err(KeyError::NoCertificate) } else { Ok(certificates) }
}

/// All private keys of a file, in its order; other blocks are passed over. The password is used for those that are encrypted.
pub(super) fn private_keys(bytes: &[u8], password: Option<&str>) -> Result<Vec<PKey<Private>>, KeyError> {
    let blocks = blocks(bytes);
    if blocks.is_empty() {
        return Err(KeyError::OtherFile { expected: Expected::PemPrivateKey, found: FileKind::of(bytes) });
    }
    let mut keys = Vec::new();
    for block in blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY")) {
        keys.push(block.private_key(password)?);
    }
    if !keys.is_empty() {
        Ok(keys)
    } else if blocks.iter().any(|block| block.label.ends_with("PUBLIC KEY")) {
        Err(KeyError::PublicKey)
    } else {
        Err(KeyError::NoKey)
    }
}

fn blocks(bytes: &[u8]) -> Vec<Block<'_>> {
    let bytes = without_byte_order_mark(bytes);
    let mut blocks = Vec::new();
    let mut begun: Option<(&str, usize)> = None;
    let mut position = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let start = position;
        position += line.len();
        let line = line.trim_ascii();
        if let Some(label) = label(line, b"-----BEGIN ") {
            begun = Some((label, start));
        } else if let Some((open, start)) = begun.filter(|(open, _)| label(line, b"-----END ") == Some(*open)) {
            blocks.extend(bytes.get(start..position).map(|text| Block { label: open, text }));
            begun = None;
        }
    }
    blocks
}

fn label<'a>(line: &'a [u8], prefix: &[u8]) -> Option<&'a str> {
    std::str::from_utf8(line.strip_prefix(prefix)?.strip_suffix(b"-----")?).ok()
}

impl Block<'_> {
    fn certificate(&self) -> Result<X509, KeyError> {
        let unreadable = |reason| KeyError::Unreadable { expected: Expected::PemCertificate, reason };
        if self.has_headers() {
            return Err(unreadable("a certificate is never encrypted".to_owned())); // OpenSSL would ask the terminal for a password
        }
        X509::from_pem(self.text).map_err(|error| unreadable(reasons(&error)))
    }

    fn private_key(&self, password: Option<&str>) -> Result<PKey<Private>, KeyError> {
        if self.label == "OPENSSH PRIVATE KEY" {
            return Err(KeyError::OtherFile { expected: Expected::PemPrivateKey, found: FileKind::Pem(self.label.to_owned()) });
        }
        if !(self.label == "ENCRYPTED PRIVATE KEY" || self.has_headers()) {
            return self.open("").map_err(|error| KeyError::Unreadable { expected: Expected::PemPrivateKey, reason: reasons(&error) });
        }
        let password = password.ok_or(KeyError::PasswordMissing)?;
        with_legacy_if_needed(|| self.open(password))?.map_err(|_| KeyError::WrongPassword { note: odd_about(password) })
    }

    /// Always with a password, be it an empty one: without, OpenSSL would ask the terminal for it.
    fn open(&self, password: &str) -> Result<PKey<Private>, ErrorStack> {
        PKey::private_key_from_pem_passphrase(self.text, password.as_bytes())
    }

    /// `Proc-Type: 4,ENCRYPTED` of the traditional form (RFC 1421 section 4.6.1.1).
    fn has_headers(&self) -> bool {
        self.text.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_start().starts_with(b"Proc-Type:"))
    }
}
