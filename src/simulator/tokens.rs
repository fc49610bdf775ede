//! Access tokens: real JWTs, with the claims that Maskinporten's have.

use josekit::jws::alg::rsassa::RsassaJwsSigner;
use josekit::jws::{JwsHeader, RS256};
use josekit::jwt::{self, JwtPayload};
use openssl::error::ErrorStack;
use openssl::rsa::Rsa;
use serde_json::{Map, Value, json};
use thiserror::Error;
use uuid::Uuid;

use super::grant::{Accepted, ClientAuthentication};

/// The simulator's own key, made anew at each start.
pub(super) struct TokenSigner {
    signer: RsassaJwsSigner,
    kid: String,
    /// What the jwks endpoint answers.
    public_keys: Value,
}

/// The key or a signature could not be made.
#[derive(Debug, Error)]
pub enum SigningError {
    /// OpenSSL could not make a key.
    #[error("the simulator's own key could not be made: {0}")]
    Key(#[from] ErrorStack),
    /// josekit could not use the key.
    #[error("the simulator could not sign: {0}")]
    Jose(#[from] josekit::JoseError),
}

impl TokenSigner {
    pub(super) fn new() -> Result<Self, SigningError> {
        let key = Rsa::generate(2048)?;
        let kid = format!("simulator-{}", Uuid::new_v4().simple());
        let public_keys = json!({"keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": kid,
            "n": base64url(&key.n().to_vec()),
            "e": base64url(&key.e().to_vec()),
        }]});
        Ok(Self { signer: RS256.signer_from_der(key.private_key_to_der()?)?, kid, public_keys })
    }

    pub(super) fn public_keys(&self) -> &Value {
        &self.public_keys
    }

    /// A signed token for the grant that lives `lifetime` seconds from `now`.
    pub(super) fn sign(&self, issuer: &str, accepted: &Accepted<'_>, lifetime: u32, now: i64) -> Result<String, SigningError> {
        let mut header = JwsHeader::new();
        header.set_key_id(&self.kid);
        let payload = JwtPayload::from_map(claims(issuer, accepted, lifetime, now))?;
        Ok(jwt::encode_with_signer(&payload, &header, &self.signer)?)
    }
}

fn claims(issuer: &str, accepted: &Accepted<'_>, lifetime: u32, now: i64) -> Map<String, Value> {
    let Accepted { client, claims: asked, authentication } = accepted;
    let organisation = |number: &str| json!({"authority": "iso6523-actorid-upis", "ID": format!("0192:{number}")});
    let client_amr = match authentication {
        ClientAuthentication::RegisteredKey => "private_key_jwt",
        ClientAuthentication::Virksomhetssertifikat => "virksomhetssertifikat",
    };
    let mut claims = Map::new();
    let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    claim("iss", issuer.into());
    claim("client_id", client.client_id.as_str().into());
    claim("client_amr", client_amr.into());
    claim("token_type", "Bearer".into());
    claim("scope", asked.scopes.join(" ").into());
    claim("iat", now.into());
    claim("exp", now.saturating_add(lifetime.into()).into());
    claim("jti", Uuid::new_v4().to_string().into());
    match &asked.consumer_org {
        None => claim("consumer", organisation(&client.organisation)),
        Some(consumer_org) => {
            claim("supplier", organisation(&client.organisation));
            claim("delegation_source", "https://www.altinn.no/".into());
            claim("consumer", organisation(consumer_org))
        }
    };
    match asked.resource.as_slice() {
        [] => None,
        [resource] => claim("aud", resource.as_str().into()),
        several => claim("aud", several.into()),
    };
    if let Some(pid) = &asked.pid {
        claim("pid", pid.as_str().into());
    }
    if let Some(details) = &asked.authorization_details {
        claim("authorization_details", details.clone());
    }
    claims
}

fn base64url(bytes: &[u8]) -> String {
    openssl::base64::encode_block(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}
