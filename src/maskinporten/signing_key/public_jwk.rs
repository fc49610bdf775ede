//! The public half of a key, as Samarbeidsportalen takes it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::error::ErrorStack;
use openssl::pkey::{HasPublic, PKeyRef};
use serde::Serialize;

use crate::maskinporten::Algorithm;

/// The members of Digdir's own example, in its order, and no others.
#[derive(Serialize)]
struct PublicJwk<'a> {
    kty: &'static str,
    e: String,
    #[serde(rename = "use")]
    public_key_use: &'static str,
    kid: &'a str,
    alg: &'static str,
    n: String,
}

/// The public key of an RSA key as a JWK (RFC 7517, RFC 7518 section 6.3.1), on one line.
pub(super) fn public_jwk<T: HasPublic>(key: &PKeyRef<T>, kid: &str, algorithm: Algorithm) -> Result<String, ErrorStack> {
    let rsa = key.rsa()?;
    let [e, n] = [rsa.e(), rsa.n()].map(|number| URL_SAFE_NO_PAD.encode(number.to_vec()));
    let jwk = PublicJwk { kty: "RSA", e, public_key_use: "sig", kid, alg: algorithm.name(), n };
    // Texts in a struct: nothing in it can fail to become JSON.
    Ok(serde_json::to_string(&jwk).unwrap_or_default())
}
