//! A private JWK (RFC 7517, and RFC 7518 section 6.3 for RSA).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNum;
use openssl::error::ErrorStack;
use openssl::pkey::{PKey, Private};
use openssl::rsa::{Rsa, RsaPrivateKeyBuilder};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::error::KeyError;
use super::file_kind::{Expected, FileKind, without_byte_order_mark};

/// The members that matter; others are passed over (RFC 7517 section 4).
#[derive(Deserialize)]
struct Jwk {
    kty: Option<String>,
    kid: Option<String>,
    #[serde(rename = "use")]
    public_key_use: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    d: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "secret")]
    p: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "secret")]
    q: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "secret")]
    dp: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "secret")]
    dq: Option<Zeroizing<String>>,
    #[serde(default, deserialize_with = "secret")]
    qi: Option<Zeroizing<String>>,
    oth: Option<serde::de::IgnoredAny>,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(Zeroizing::new))
}

/// A private JWK's key, and its `kid`.
pub(super) fn open(bytes: &[u8]) -> Result<(PKey<Private>, String), KeyError> {
    let text = without_byte_order_mark(bytes).trim_ascii();
    match text.first() {
        Some(b'{') => {}
        Some(b'[') => return Err(defect("this is a list of JWKs: keep the one private JWK, without the square brackets")),
        _ => return Err(KeyError::OtherFile { expected: Expected::Jwk, found: FileKind::of(bytes) }),
    }
    let jwk: Jwk = serde_json::from_slice(text).map_err(|error| not_a_jwk(&error))?;
    jwk.check()?;
    let kid = jwk.kid.clone().ok_or(KeyError::Kid("the JWK has no `kid`"))?;
    Ok((PKey::from_rsa(jwk.rsa()?)?, kid))
}

fn defect(text: &str) -> KeyError {
    KeyError::Jwk(text.to_owned())
}

/// serde's own message is not passed on: it shows values, and a value here can be the key.
fn not_a_jwk(error: &serde_json::Error) -> KeyError {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "ends too early: copy the file again",
        serde_json::error::Category::Data => "has a value of the wrong type there: a JWK's values are text (RFC 7518 section 6.3)",
        _ => "is not JSON there, or something follows the JWK",
    };
    KeyError::Jwk(format!("a private JWK is expected, and this, at line {} column {}, {what}", error.line(), error.column()))
}

impl Jwk {
    fn check(&self) -> Result<(), KeyError> {
        match self.kty.as_deref() {
            Some("RSA") => {}
            Some("EC") => return Err(KeyError::NotRsa("EC")),
            Some("OKP") => return Err(KeyError::NotRsa("OKP")),
            Some("oct") => return Err(KeyError::NotRsa("oct")),
            Some(_) => return Err(defect("the JWK's `kty` is unknown: Maskinporten takes keys with `\"kty\":\"RSA\"`")),
            None => {
                return Err(defect(
                    "this is JSON, and not a JWK: it has no `kty`. Keep the one private JWK in the file, not a set of them",
                ));
            }
        }
        if self.d.is_none() {
            return Err(KeyError::PublicKey);
        }
        if self.oth.is_some() {
            return Err(defect("the JWK has more than two primes (`oth`), which is not supported: make a new key"));
        }
        let signs = self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "sign"));
        if self.public_key_use.as_deref().is_some_and(|usage| usage != "sig") || !signs {
            return Err(defect("the JWK is not for signing: its `use` is not `sig`, or its `key_ops` lack `sign`. Use the key that signs"));
        }
        if self.alg.as_deref().is_some_and(|algorithm| algorithm.parse::<crate::maskinporten::Algorithm>().is_err()) {
            return Err(defect("the JWK's `alg` is none that Maskinporten takes: RS256, RS384 or RS512. Make a key for one of them"));
        }
        Ok(())
    }

    fn rsa(&self) -> Result<Rsa<Private>, KeyError> {
        let required = |name, member: Option<&str>| number(name, member)?.ok_or_else(|| missing(name));
        let modulus = required("n", self.n.as_deref())?;
        let exponent = required("e", self.e.as_deref())?;
        let private_exponent = required("d", secret_text(self.d.as_ref()))?;
        let optional = [("p", &self.p), ("q", &self.q), ("dp", &self.dp), ("dq", &self.dq), ("qi", &self.qi)];
        if optional.iter().all(|(_, member)| member.is_none()) {
            return Ok(RsaPrivateKeyBuilder::new(modulus, exponent, private_exponent)?.build());
        }
        let [prime_1, prime_2, exponent_1, exponent_2, coefficient] =
            optional.map(|(name, member)| required(name, secret_text(member.as_ref())));
        let key =
            Rsa::from_private_components(modulus, exponent, private_exponent, prime_1?, prime_2?, exponent_1?, exponent_2?, coefficient?)?;
        // With a wrong prime, OpenSSL still signs, by a slower way that it falls back to.
        if key.check_key().unwrap_or(false) { Ok(key) } else { Err(KeyError::Inconsistent) }
    }
}

fn secret_text(member: Option<&Zeroizing<String>>) -> Option<&str> {
    member.map(|text| text.as_str())
}

fn missing(name: &str) -> KeyError {
    defect(&format!(
        "the JWK has no `{name}`: `n`, `e`, `d` are needed, and of `p`, `q`, `dp`, `dq`, `qi` all or none (RFC 7518 section 6.3.2)"
    ))
}

fn number(name: &str, member: Option<&str>) -> Result<Option<BigNum>, KeyError> {
    let Some(text) = member else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map(Zeroizing::new)
        .map_err(|_| defect(&format!("the JWK's `{name}` is not base64url (RFC 7518 section 6.3): copy the key again")))?;
    let number: Result<BigNum, ErrorStack> = BigNum::from_slice(&bytes);
    Ok(Some(number?))
}
