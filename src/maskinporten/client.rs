//! A client at Maskinporten: what an organisation calls an integration.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use thiserror::Error;
use uuid::Uuid;

use super::algorithm::Algorithm;
use super::environment::Environment;
use super::grant::{Claims, Grant, GrantRequest, InvalidGrantRequest, Issuer};
use super::signing_key::{SigningError, SigningKey};

/// A client at Maskinporten ("integrasjon"), and what it needs to sign a grant.
pub struct Client {
    id: Box<str>,
    environment: Environment,
    algorithm: Algorithm,
    grant_lifetime: Duration,
    key: Arc<SigningKey>,
}

/// Why Maskinporten would refuse every grant of this client.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidClient {
    /// No client has such an ID.
    #[error("the client ID is empty or has a space or a line break in it; Maskinporten's are UUIDs: copy it from Samarbeidsportalen")]
    ClientId,
    /// Longer than Maskinporten takes, or less than the second that its claims can say.
    #[error("a grant's lifetime is from 1 s to 120 s, which {} ms is not", .0.as_millis())]
    GrantLifetime(Duration),
}

/// Why there is no grant.
#[derive(Debug, Error)]
pub enum GrantError {
    /// What was asked for cannot be put into a grant.
    #[error(transparent)]
    Request(#[from] InvalidGrantRequest),
    /// The key did not sign.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

impl Client {
    /// The longest that Maskinporten takes
    /// ([maskinporten_protocol_jwtgrant](https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_jwtgrant)).
    pub const LONGEST_GRANT_LIFETIME: Duration = Duration::from_secs(120);

    /// `grant_lifetime` counts in whole seconds, rounded down.
    ///
    /// # Errors
    ///
    /// [`InvalidClient`] when Maskinporten would refuse every grant.
    pub fn new(
        client_id: &str,
        environment: Environment,
        algorithm: Algorithm,
        grant_lifetime: Duration,
        key: Arc<SigningKey>,
    ) -> Result<Self, InvalidClient> {
        if client_id.is_empty() || client_id.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err(InvalidClient::ClientId);
        }
        if grant_lifetime.as_secs() == 0 || grant_lifetime > Self::LONGEST_GRANT_LIFETIME {
            return Err(InvalidClient::GrantLifetime(grant_lifetime));
        }
        Ok(Self { id: client_id.into(), environment, algorithm, grant_lifetime, key })
    }

    /// Its ID at Maskinporten ("integrasjons-ID").
    pub fn client_id(&self) -> &str {
        &self.id
    }

    /// Where it lives.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What signs its grants.
    pub fn key(&self) -> &Arc<SigningKey> {
        &self.key
    }

    /// A new grant, with a `jti` of its own: one grant is good for one exchange. Signing takes a millisecond of CPU or several, so call
    /// it where that disturbs nobody.
    ///
    /// # Errors
    ///
    /// [`GrantError`] when the request contradicts itself, or when the key does not sign.
    pub fn grant(&self, request: &GrantRequest<'_>, now: SystemTime) -> Result<Grant, GrantError> {
        let issuer = Issuer { audience: self.environment.issuer(), client_id: &self.id, lifetime: self.grant_lifetime };
        let jti = Uuid::new_v4();
        let claims = Claims::to_json(issuer, request, jti, now)?;
        Ok(Grant::new(self.key.sign(self.algorithm, &claims)?, jti))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("client_id", &self.id)
            .field("environment", &self.environment.name())
            .field("algorithm", &self.algorithm)
            .field("grant_lifetime", &self.grant_lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maskinporten::Scopes;
    use openssl::rsa::Rsa;
    use rstest::rstest;
    use std::collections::HashSet;

    fn key() -> Arc<SigningKey> {
        let pem = Rsa::generate(2048).unwrap().private_key_to_pem().unwrap();
        Arc::new(SigningKey::from_pem(&pem, None, "my-kid").unwrap())
    }

    fn client(client_id: &str, grant_lifetime: Duration) -> Result<Client, InvalidClient> {
        Client::new(client_id, Environment::built_in("test").unwrap(), Algorithm::Rs256, grant_lifetime, key())
    }

    #[rstest]
    #[case(0, false)]
    #[case(999, false)]
    #[case(1_000, true)]
    #[case(60_000, true)]
    #[case(120_000, true)]
    #[case(120_001, false)]
    fn lifetimes_that_maskinporten_takes(#[case] milliseconds: u64, #[case] good: bool) {
        assert_eq!(client("2d6f1b0e", Duration::from_millis(milliseconds)).is_ok(), good);
    }

    #[rstest]
    #[case("")]
    #[case(" 2d6f1b0e")]
    #[case("2d6f1b0e\n")]
    fn client_ids_that_nobody_has(#[case] client_id: &str) {
        assert_eq!(client(client_id, Duration::from_secs(60)).unwrap_err(), InvalidClient::ClientId);
    }

    #[test]
    fn every_grant_is_a_new_one() {
        let client = client("2d6f1b0e", Duration::from_secs(60)).unwrap();
        let scopes = Scopes::parse("a:read").unwrap();
        let request = GrantRequest {
            scopes: &scopes,
            resource: &[],
            consumer_org: None,
            iss_onbehalfof: None,
            authorization_details: None,
            pid: None,
        };
        let grants: Vec<Grant> = (0..20).map(|_| client.grant(&request, SystemTime::now()).unwrap()).collect();
        assert_eq!(grants.iter().map(Grant::jti).collect::<HashSet<_>>().len(), 20);
        assert_eq!(grants.iter().map(Grant::expose_secret).collect::<HashSet<_>>().len(), 20);
        for grant in &grants {
            let payload = grant.expose_secret().split('.').nth(1).unwrap();
            let claims: serde_json::Value = serde_json::from_slice(&base64url(payload)).unwrap();
            assert_eq!(claims["jti"], grant.jti().to_string());
            assert_eq!(grant.jti().get_version_num(), 4);
        }
    }

    fn base64url(text: &str) -> Vec<u8> {
        let padded = text.replace('-', "+").replace('_', "/") + &"=".repeat((4 - text.len() % 4) % 4);
        openssl::base64::decode_block(&padded).unwrap()
    }
}
