//! A key pair that does not exist yet: made, and given out once, for the file that it will be read from.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openssl::bn::BigNumRef;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use serde::Serialize;
use zeroize::Zeroizing;

use super::error::KeyError;
use super::{Algorithm, SigningKey};

/// A new private RSA key, with the `kid` that it is to be registered under.
///
/// Its private half leaves it in two forms, for the one file that it is kept in: what was read from a file, a [`SigningKey`], gives
/// signatures only.
pub struct NewKey {
    key: PKey<Private>,
    signing_key: SigningKey,
    kid: String,
}

/// The members of a private RSA key (RFC 7518 section 6.3.2).
#[derive(Serialize)]
struct PrivateJwk<'a> {
    kty: &'static str,
    e: String,
    #[serde(rename = "use")]
    public_key_use: &'static str,
    kid: &'a str,
    alg: &'static str,
    n: String,
    d: &'a str,
    p: &'a str,
    q: &'a str,
    dp: &'a str,
    dq: &'a str,
    qi: &'a str,
}

impl NewKey {
    /// The lengths that are in use at Maskinporten, in bits. The self-service API documents the first.
    pub const BITS: [u32; 3] = [2048, 3072, 4096];

    /// Makes a key. Takes some tenths of a second, and several seconds for 4096 bits.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the `kid` cannot be one, when there are too few bits, or when OpenSSL fails.
    pub fn make(bits: u32, kid: &str) -> Result<Self, KeyError> {
        let key = PKey::from_rsa(Rsa::generate(bits)?)?;
        let signing_key = SigningKey::registered(key.clone(), kid)?;
        Ok(Self { key, signing_key, kid: kid.to_owned() })
    }

    /// The private key as PKCS#8 in PEM, not encrypted.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when OpenSSL fails.
    pub fn to_pem(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        Ok(Zeroizing::new(self.key.private_key_to_pem_pkcs8()?))
    }

    /// The private key as a JWK with its `kid`, on one line.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when OpenSSL fails.
    pub fn to_jwk(&self, algorithm: Algorithm) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let rsa = self.key.rsa()?;
        let secret = |number: Option<&BigNumRef>| {
            // OpenSSL makes all of them.
            let number = number.ok_or_else(|| KeyError::OpenSsl("the new key lacks one of its numbers".to_owned()))?;
            let bytes = Zeroizing::new(number.to_vec());
            Ok::<_, KeyError>(Zeroizing::new(URL_SAFE_NO_PAD.encode(&*bytes)))
        };
        let (d, p, q) = (secret(Some(rsa.d()))?, secret(rsa.p())?, secret(rsa.q())?);
        let (dp, dq, qi) = (secret(rsa.dmp1())?, secret(rsa.dmq1())?, secret(rsa.iqmp())?);
        let jwk = PrivateJwk {
            kty: "RSA",
            e: URL_SAFE_NO_PAD.encode(rsa.e().to_vec()),
            public_key_use: "sig",
            kid: &self.kid,
            alg: algorithm.name(),
            n: URL_SAFE_NO_PAD.encode(rsa.n().to_vec()),
            d: &d,
            p: &p,
            q: &q,
            dp: &dp,
            dq: &dq,
            qi: &qi,
        };
        // Never grows, so no copy of the key stays behind: 16 bytes of key become 22 characters, eight times over.
        let mut text = Zeroizing::new(Vec::with_capacity(self.key.size() * 8 + self.kid.len() * 6 + 512));
        serde_json::to_writer(&mut *text, &jwk).map_err(|_| KeyError::OpenSsl("the new key has no form as JSON".to_owned()))?;
        text.push(b'\n');
        Ok(text)
    }

    /// The key as it will be once it is read from its file.
    pub fn signing_key(&self) -> &SigningKey {
        &self.signing_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(2048)]
    #[case(3072)]
    fn what_is_given_out_reads_as_the_same_key(#[case] bits: u32) {
        let new = NewKey::make(bits, "a \"kid\" of 2027").unwrap();
        let pem = SigningKey::from_pem(&new.to_pem().unwrap(), None, "another").unwrap();
        let jwk = new.to_jwk(Algorithm::Rs512).unwrap();
        assert!(jwk.capacity() >= jwk.len() && jwk.ends_with(b"}\n"));
        let jwk = SigningKey::from_jwk(&jwk).unwrap();
        for read in [&pem, &jwk] {
            assert_eq!((read.thumbprint(), read.bits()), (new.signing_key().thumbprint(), bits));
        }
        assert_eq!(jwk.kid(), Some("a \"kid\" of 2027"));
    }

    #[test]
    fn no_key_that_maskinporten_would_refuse() {
        assert_eq!(NewKey::make(1024, "kid").err(), Some(KeyError::TooShort { bits: 1024 }));
        assert!(matches!(NewKey::make(2048, " kid").err(), Some(KeyError::Kid(_))));
    }

    #[test]
    fn the_public_half_has_digdirs_members_in_their_order() {
        let new = NewKey::make(2048, "my-kid").unwrap();
        let text = new.signing_key().public_jwk("my-kid", Algorithm::Rs256).unwrap();
        let (start, n) = text.split_once("\"n\":").unwrap();
        assert_eq!(start, r#"{"kty":"RSA","e":"AQAB","use":"sig","kid":"my-kid","alg":"RS256","#);
        assert_eq!(n.len(), 342 + 3, "{n}");
    }
}
