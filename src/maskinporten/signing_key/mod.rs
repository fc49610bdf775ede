//! The key that signs an integration's grants: PKCS#12, PEM or JWK in, a signature with `kid` or `x5c` out.
//!
//! A [`SigningKey`] never gives its key away, so that the key may as well be in a security module.

mod chain;
mod error;
mod file_kind;
mod jwk;
mod legacy;
mod new_key;
mod pairs;
mod pem;
mod pkcs12;
mod public_jwk;

use std::fmt;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{HasPublic, PKey, PKeyRef, Private};
use openssl::sign::{Signer, Verifier};
use serde_json::json;
use thiserror::Error;
use zeroize::Zeroizing;

use super::algorithm::Algorithm;
use super::certificate::Certificate;
pub use error::KeyError;
pub use file_kind::{Expected, FileKind};
pub use new_key::NewKey;
pub use pairs::{Choice, PassedOver, PassedOverBecause};

/// A private RSA key, and how Maskinporten knows it.
///
/// Made once, then shared (`Send` and `Sync`): what is the same in each grant's header is encoded when the key is read.
/// `Debug` shows what is public only.
///
/// ```
/// use portvakt::maskinporten::{Algorithm, SigningKey};
/// # let pem = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/certs/registered-2048.pem")).unwrap();
/// let key = SigningKey::from_pem(&pem, None, "my-kid")?;
/// let grant = key.sign(Algorithm::Rs256, br#"{"iss":"my-client-id"}"#).unwrap();
/// assert_eq!(grant.split('.').count(), 3);
/// # Ok::<(), portvakt::maskinporten::KeyError>(())
/// ```
pub struct SigningKey {
    key: PKey<Private>,
    identification: Identification,
    headers: Headers,
    certificate: Option<Certificate>,
    choice: Option<Choice>,
    thumbprint: String,
}

/// How Maskinporten knows a key: one of the two stands in a grant's header, never both
/// ([maskinporten_protocol_jwtgrant](https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_jwtgrant)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identification {
    /// The `kid` of a key that is registered on the client.
    Kid(String),
    /// The virksomhetssertifikat, then its chain in order and without the root: each as base64 (not base64url) of its DER.
    X5c(Vec<String>),
}

/// OpenSSL could not sign with a key that it could sign with when it was read: memory, or a defect.
#[derive(Debug, Error)]
#[error("OpenSSL could not sign: {}", error::reasons(.0))]
pub struct SigningError(#[from] ErrorStack);

/// A JWS header for each algorithm, base64url-encoded and with the dot that follows it.
struct Headers {
    rs256: String,
    rs384: String,
    rs512: String,
}

impl SigningKey {
    /// A key pair out of a PKCS#12 file, which may be encrypted in today's ways (AES) or in those of earlier years (RC2, 3DES).
    ///
    /// Of several pairs, that with the certificate fingerprint `certificate_sha256` signs; without one, the pair that is valid
    /// at `now`, digitalSignature before nonRepudiation, then the one that ends last: [`SigningKey::choice`] tells which. A
    /// certificate outside its validity is taken nonetheless: see [`Certificate::validity`]. For an empty password, both of
    /// its meanings in PKCS#12 (empty, and none) are tried.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong and what to do.
    pub fn from_pkcs12(bytes: &[u8], password: &str, certificate_sha256: Option<[u8; 32]>, now: SystemTime) -> Result<Self, KeyError> {
        let contents = pkcs12::open(bytes, password)?;
        Self::from_pairs(&contents.keys, &contents.certificates, certificate_sha256, now)
    }

    /// A certificate and its private key, both in PEM; they may be in one file, given twice.
    ///
    /// The chain may be in any order. The password is used if the key is encrypted. Of several pairs, one is chosen as in
    /// [`SigningKey::from_pkcs12`].
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong and what to do.
    pub fn from_certificate_pem(
        certificates: &[u8],
        private_key: &[u8],
        password: Option<&str>,
        now: SystemTime,
    ) -> Result<Self, KeyError> {
        Self::from_pairs(&pem::private_keys(private_key, password)?, &pem::certificates(certificates)?, None, now)
    }

    /// A registered key in PEM (PKCS#1, PKCS#8, or either encrypted) and its `kid`. The password is used if the key is encrypted.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong and what to do.
    pub fn from_pem(private_key: &[u8], password: Option<&str>, kid: &str) -> Result<Self, KeyError> {
        let mut keys = pem::private_keys(private_key, password)?;
        match (keys.pop(), keys.len()) {
            (Some(key), 0) => Self::registered(key, kid),
            (_, others) => Err(KeyError::SeveralKeys(others + 1)),
        }
    }

    /// A registered key as a private JWK with its `kid`.
    ///
    /// # Errors
    ///
    /// [`KeyError`] says what is wrong and what to do.
    pub fn from_jwk(jwk: &[u8]) -> Result<Self, KeyError> {
        let (key, kid) = jwk::open(jwk)?;
        Self::registered(key, &kid)
    }

    fn registered(key: PKey<Private>, kid: &str) -> Result<Self, KeyError> {
        pairs::check_key(&key)?;
        if kid.trim().is_empty() {
            return Err(KeyError::Kid("there is no kid"));
        }
        if kid.trim() != kid || kid.contains(char::is_control) {
            return Err(KeyError::Kid("the kid has white space around it or a control character in it"));
        }
        Self::new(key, Identification::Kid(kid.to_owned()), None, None)
    }

    fn from_pairs(
        keys: &[PKey<Private>],
        certificates: &[openssl::x509::X509],
        certificate_sha256: Option<[u8; 32]>,
        now: SystemTime,
    ) -> Result<Self, KeyError> {
        let (pair, choice) = pairs::choose(pairs::pair_up(keys, certificates)?, certificate_sha256, now)?;
        let x5c = chain::x5c(&pair.x509, certificates)?;
        Self::new(pair.key, Identification::X5c(x5c), Some(pair.certificate), choice)
    }

    fn new(
        key: PKey<Private>,
        identification: Identification,
        certificate: Option<Certificate>,
        choice: Option<Choice>,
    ) -> Result<Self, KeyError> {
        check_that_it_signs(&key)?;
        let headers = Headers::new(&identification);
        let thumbprint = thumbprint(&key)?;
        Ok(Self { key, identification, headers, certificate, choice, thumbprint })
    }

    /// Signs claims (a JSON object) to a grant: a JWS in compact serialization
    /// ([RFC 7515 section 7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)), with `alg` and `kid` or `x5c` in its header.
    ///
    /// Takes as long as an RSA signature does: a millisecond for 2048 bits, several for 4096.
    ///
    /// # Errors
    ///
    /// [`SigningError`], for no reason that lies in the claims.
    pub fn sign(&self, algorithm: Algorithm, claims: &[u8]) -> Result<Zeroizing<String>, SigningError> {
        // Three parts and two dots, put together here: josekit would encode the header, 4 KB and more with x5c, each time.
        let header = self.headers.of(algorithm);
        let capacity = header.len() + encoded_len(claims.len()) + 1 + encoded_len(self.key.size());
        let mut grant = Zeroizing::new(String::with_capacity(capacity)); // never grows, so no copy stays behind
        grant.push_str(header);
        URL_SAFE_NO_PAD.encode_string(claims, &mut grant);
        let signature = signature(&self.key, algorithm, grant.as_bytes())?;
        grant.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut grant);
        Ok(grant)
    }

    /// How Maskinporten knows the key.
    pub fn identification(&self) -> &Identification {
        &self.identification
    }

    /// The certificate, for a key that is known by one.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// The `kid`, for a registered key.
    pub fn kid(&self) -> Option<&str> {
        match &self.identification {
            Identification::Kid(kid) => Some(kid),
            Identification::X5c(_) => None,
        }
    }

    /// Which pair signs, and why, when there were several.
    pub fn choice(&self) -> Option<&Choice> {
        self.choice.as_ref()
    }

    /// The length of the key, in bits.
    pub fn bits(&self) -> u32 {
        self.key.bits()
    }

    /// SHA-256 over the public key ([RFC 7638](https://www.rfc-editor.org/rfc/rfc7638)), base64url: the same for the same key, whatever
    /// file it came from.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The public key as a JWK on one line, under this `kid`: what is posted to Maskinporten to register the key, in square brackets.
    ///
    /// # Errors
    ///
    /// [`KeyError::OpenSsl`], for no reason that lies in the key.
    pub fn public_jwk(&self, kid: &str, algorithm: Algorithm) -> Result<String, KeyError> {
        Ok(public_jwk::public_jwk(&self.key, kid, algorithm)?)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid())
            .field("certificate", &self.certificate.as_ref().map(ToString::to_string))
            .field("bits", &self.bits())
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

impl Headers {
    fn new(identification: &Identification) -> Self {
        let header = |algorithm: Algorithm| {
            let header = match identification {
                Identification::Kid(kid) => json!({"alg": algorithm.name(), "kid": kid}),
                Identification::X5c(chain) => json!({"alg": algorithm.name(), "x5c": chain}),
            };
            URL_SAFE_NO_PAD.encode(header.to_string()) + "."
        };
        Self { rs256: header(Algorithm::Rs256), rs384: header(Algorithm::Rs384), rs512: header(Algorithm::Rs512) }
    }

    fn of(&self, algorithm: Algorithm) -> &str {
        match algorithm {
            Algorithm::Rs256 => &self.rs256,
            Algorithm::Rs384 => &self.rs384,
            Algorithm::Rs512 => &self.rs512,
        }
    }
}

fn signature(key: &PKeyRef<Private>, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let mut signer = Signer::new(digest(algorithm), key)?;
    signer.sign_oneshot_to_vec(message)
}

fn digest(algorithm: Algorithm) -> MessageDigest {
    match algorithm {
        Algorithm::Rs256 => MessageDigest::sha256(),
        Algorithm::Rs384 => MessageDigest::sha384(),
        Algorithm::Rs512 => MessageDigest::sha512(),
    }
}

/// Base64 without padding: four characters for three bytes.
fn encoded_len(bytes: usize) -> usize {
    bytes.saturating_mul(4).div_ceil(3)
}

/// A key whose numbers do not belong together would only be told by Maskinporten, as MP-124.
fn check_that_it_signs(key: &PKeyRef<Private>) -> Result<(), KeyError> {
    const MESSAGE: &[u8] = b"portvakt";
    let verified = signature(key, Algorithm::Rs256, MESSAGE)
        .and_then(|signature| Verifier::new(MessageDigest::sha256(), key)?.verify_oneshot(&signature, MESSAGE));
    if verified.unwrap_or(false) { Ok(()) } else { Err(KeyError::Inconsistent) }
}

fn thumbprint<T: HasPublic>(key: &PKeyRef<T>) -> Result<String, ErrorStack> {
    let rsa = key.rsa()?;
    let (e, n) = (URL_SAFE_NO_PAD.encode(rsa.e().to_vec()), URL_SAFE_NO_PAD.encode(rsa.n().to_vec()));
    // The members in this order, and nothing else (RFC 7638 section 3).
    let public = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    Ok(URL_SAFE_NO_PAD.encode(openssl::sha::sha256(public.as_bytes())))
}

#[cfg(test)]
mod tests;
