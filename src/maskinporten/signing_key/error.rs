//! Why a key cannot be used, and what to do.

use openssl::error::ErrorStack;
use thiserror::Error;

use super::file_kind::{self, Expected, FileKind};

/// Why a key cannot be used. Each message says what was found and what to do; none has anything of a key or a password in it.
///
/// A file's name is not in it: whoever read the file puts it in front.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Another kind of file than was asked for.
    #[error("{expected} is expected, and this is {found}: {}", file_kind::remedy(*expected, found))]
    OtherFile {
        /// What was asked for.
        expected: Expected,
        /// What is there.
        found: FileKind,
    },
    /// The right kind, but OpenSSL cannot read it.
    #[error(
        "{expected} is expected, and OpenSSL cannot read this one ({reason}): it was probably changed or cut on its way, so copy it again"
    )]
    Unreadable {
        /// What was asked for.
        expected: Expected,
        /// What OpenSSL says.
        reason: String,
    },
    /// The password does not open it.
    #[error(
        "the password does not open it, or the file was changed since it was made{}: try it with `openssl pkcs12 -info -noout -in FILE` (PKCS#12; old files need -legacy too) or `openssl pkey -noout -in FILE` (PEM)",
        .note.map(|note| format!(" ({note})")).unwrap_or_default()
    )]
    WrongPassword {
        /// What is odd about the password, when something is.
        note: Option<&'static str>,
    },
    /// Encrypted, and no password was given.
    #[error("the private key is encrypted, and no password is given: name the file that holds its password")]
    PasswordMissing,
    /// Old encryption, and this OpenSSL cannot do it.
    #[error(
        "it is encrypted in an old way (RC2, 3DES or DES) that OpenSSL needs its legacy provider for, which could not be loaded ({reason}): install the provider (legacy.so), or encrypt the file anew: openssl pkcs12 -legacy -in FILE -noenc | openssl pkcs12 -export -out NEW.p12"
    )]
    LegacyProviderMissing {
        /// What OpenSSL says.
        reason: String,
    },
    /// An encryption or a MAC that OpenSSL does not know, with its legacy provider loaded.
    #[error("it is encrypted in a way that OpenSSL does not support ({reason}): export it anew from where it came from, with AES-256")]
    UnsupportedEncryption {
        /// What OpenSSL says.
        reason: String,
    },
    /// A PKCS#12 file without a MAC, and an OpenSSL that is too old to open one.
    #[error(
        "the PKCS#12 file has no MAC, and this OpenSSL opens none without: make one that has it: openssl pkcs12 -nomacver -in FILE -noenc | openssl pkcs12 -export -out NEW.p12"
    )]
    MacMissing,
    /// No private key in it.
    #[error(
        "there is no private key in it, and nothing can be signed without: export it again with its key (a .p12 file that was made for others to encrypt to has none)"
    )]
    NoKey,
    /// A public key where a private one is needed.
    #[error("this is a public key, and signing takes the private one that it was made with")]
    PublicKey,
    /// Keys, but none that could be opened.
    #[error(
        "there is a private key in it, but it does not open with the password that opens the file: give both the same password, by exporting it again"
    )]
    KeyStaysLocked,
    /// No certificate in it.
    #[error(
        "there is no certificate in it, and Maskinporten knows this kind of key by its certificate: export it again with its certificate"
    )]
    NoCertificate,
    /// Key and certificate do not belong together.
    #[error("the private key is not that of the certificate ({certificates}): find the key that the certificate was ordered with")]
    KeyOfAnother {
        /// The certificates that are there.
        certificates: String,
    },
    /// Several private keys where there is one `kid`.
    #[error("there are {0} private keys in it, and a kid names one: keep that one in the file")]
    SeveralKeys(usize),
    /// Not an RSA key.
    #[error("it is a key of the kind {0}, and Maskinporten takes RSA keys only: make one, or order a certificate for one")]
    NotRsa(&'static str),
    /// An RSA key that is too short.
    #[error("it is an RSA key of {bits} bits, and at least 2048 are needed: make a new one, or order a certificate for one")]
    TooShort {
        /// Its length.
        bits: u32,
    },
    /// No certificate that may sign.
    #[error(
        "the certificate is for {usage} and may not sign, which takes digitalSignature or nonRepudiation: use the pair for signing or authentication that was delivered with it"
    )]
    NotForSigning {
        /// What it may do.
        usage: String,
    },
    /// The certificate that was chosen is not there, or has no key.
    #[error("no key pair in it has a certificate with the SHA-256 fingerprint {wanted}: there are {there}")]
    NoSuchCertificate {
        /// The one that was asked for, in hex.
        wanted: String,
        /// Those that are there, with their fingerprints.
        there: String,
    },
    /// No `kid`, or one with white space or control characters around or in it.
    #[error("{0}: give the kid of the key as it is registered at Maskinporten")]
    Kid(&'static str),
    /// Not the JWK of a private RSA key.
    #[error("{0}")]
    Jwk(String),
    /// The key does not verify what it signed, so its numbers do not belong together.
    #[error(
        "the numbers of the key do not belong together: a signature made with it does not verify. Export the key again, or make a new one"
    )]
    Inconsistent,
    /// OpenSSL failed at something that has nothing to do with the file.
    #[error("OpenSSL failed: {0}")]
    OpenSsl(String),
}

impl From<ErrorStack> for KeyError {
    fn from(error: ErrorStack) -> Self {
        Self::OpenSsl(reasons(&error))
    }
}

/// What OpenSSL says, without its source files and line numbers.
pub(super) fn reasons(error: &ErrorStack) -> String {
    let mut reasons: Vec<&str> = error.errors().iter().filter_map(openssl::error::Error::reason).collect();
    reasons.dedup();
    if reasons.is_empty() { "without a reason".to_owned() } else { reasons.join("; ") }
}

/// What is odd about a password that did not work, without showing anything of it.
pub(super) fn odd_about(password: &str) -> Option<&'static str> {
    if password.is_empty() {
        Some("the password is empty")
    } else if password.contains('\0') {
        Some("the password has a zero byte in it")
    } else if password.contains(['\r', '\n']) {
        Some("the password has a line break in it")
    } else if password.trim() != password {
        Some("the password begins or ends with white space")
    } else {
        None
    }
}
