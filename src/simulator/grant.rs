//! A grant: taken apart, and held against every rule of Maskinporten's, in one order.

use std::time::{Duration, SystemTime};

use openssl::hash::MessageDigest;
use openssl::pkey::{PKeyRef, Public};
use openssl::sign::Verifier;
use openssl::x509::X509;
use serde_json::{Map, Value};

use super::certificate;
use super::claims::Claims;
use super::errors::{Refusal, Rule};
use super::settings::ClientSettings;

/// `iat` may be this many seconds off the simulator's clock, either way.
pub(super) const CLOCK_TOLERANCE: i64 = 10;
/// `exp` may be this many seconds after `iat`.
pub(super) const LONGEST_GRANT: i64 = 120;

/// A JWT in compact form (RFC 7515 section 3.1), taken apart and not verified.
pub(super) struct Grant {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    signed: String,
    signature: Vec<u8>,
}

impl Grant {
    pub(super) fn parse(assertion: &str) -> Result<Self, Refusal> {
        let parse = || {
            let (signed, signature) = assertion.rsplit_once('.')?;
            let (header, claims) = signed.split_once('.')?;
            let object = |part: &str| serde_json::from_slice(&base64url(part)?).ok();
            Some(Self { header: object(header)?, claims: object(claims)?, signed: signed.to_owned(), signature: base64url(signature)? })
        };
        parse().ok_or_else(|| Rule::NotAJwt.into())
    }

    /// A claim's text, unverified.
    pub(super) fn claim(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }

    fn is_signed_by(&self, key: &PKeyRef<Public>, digest: MessageDigest) -> bool {
        let verify = || {
            let mut verifier = Verifier::new(digest, key)?;
            verifier.verify_oneshot(&self.signature, self.signed.as_bytes())
        };
        verify().unwrap_or(false)
    }
}

/// base64url without padding (RFC 7515 section 2).
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        return None;
    }
    let mut standard = text.replace('-', "+").replace('_', "/");
    standard.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    certificate::base64(&standard)
}

/// How a client has shown that it is itself.
#[derive(Clone, Copy)]
pub(super) enum ClientAuthentication {
    RegisteredKey,
    Virksomhetssertifikat,
}

/// A grant that breaks no rule, and whose it is.
pub(super) struct Accepted<'a> {
    pub(super) client: &'a ClientSettings,
    pub(super) claims: Claims,
    pub(super) authentication: ClientAuthentication,
}

/// What a grant is held against.
pub(super) struct Rules<'a> {
    pub(super) issuer: &'a str,
    pub(super) clients: &'a [ClientSettings],
    pub(super) trust_anchors: &'a [X509],
    /// Seconds since 1970, by the simulator's clock.
    pub(super) now: i64,
    /// Whether this `jti` has not come from this client before.
    pub(super) first_use: FirstUse,
}

/// Whether a `jti` was seen before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum FirstUse {
    Yes,
    No,
}

impl<'a> Rules<'a> {
    /// The first rule that the grant breaks: its form, who it is from, when it is from, what it asks for.
    pub(super) fn judge(&self, grant: &Grant) -> Result<Accepted<'a>, Refusal> {
        let claims = Claims::read(&grant.claims)?;
        let client = self.clients.iter().find(|client| client.client_id == claims.client_id).ok_or(Rule::ClientNotFound)?;
        let authentication = self.authenticate(grant, client)?;
        self.check_audience_and_time(&claims)?;
        if self.first_use == FirstUse::No {
            return Err(Rule::UsedBefore.into());
        }
        check_scopes(&claims, client)?;
        check_delegation(&claims, client)?;
        Ok(Accepted { client, claims, authentication })
    }

    fn authenticate(&self, grant: &Grant, client: &ClientSettings) -> Result<ClientAuthentication, Refusal> {
        let digest = match grant.header.get("alg").and_then(Value::as_str) {
            Some("RS256") => MessageDigest::sha256(),
            Some("RS384") => MessageDigest::sha384(),
            Some("RS512") => MessageDigest::sha512(),
            _ => return Err(Rule::Algorithm.into()),
        };
        if grant.header.contains_key("crit") {
            return Err(Rule::MalformedValue.by("crit")); // RFC 7515 section 4.1.11: an extension that is not understood
        }
        let signed_by = |key: &PKeyRef<Public>| grant.is_signed_by(key, digest);
        match (grant.header.get("kid"), grant.header.get("x5c")) {
            (Some(_), Some(_)) => Err(Rule::TwoKeysNamed.into()),
            (Some(kid), None) => {
                self.check_registered_key(kid, client, signed_by)?;
                Ok(ClientAuthentication::RegisteredKey)
            }
            (None, _) if !client.keys.is_empty() => Err(Rule::KidRequired.into()),
            (None, Some(x5c)) => {
                let key = certificate::signing_key(x5c, self.trust_anchors, &client.organisation, self.now)?;
                if signed_by(&key) { Ok(ClientAuthentication::Virksomhetssertifikat) } else { Err(Rule::InvalidSignature.into()) }
            }
            (None, None) => Err(Rule::NoKeyNamed.into()),
        }
    }

    fn check_registered_key(
        &self,
        kid: &Value,
        client: &ClientSettings,
        signed_by: impl FnOnce(&PKeyRef<Public>) -> bool,
    ) -> Result<(), Refusal> {
        let Some(kid) = kid.as_str().filter(|kid| kid.trim() == *kid && !kid.chars().any(char::is_control)) else {
            return Err(Rule::MalformedValue.by("kid"));
        };
        let key = client.keys.iter().find(|key| key.kid == kid).ok_or(Rule::InvalidSignature)?;
        if key.expires.is_some_and(|expires| seconds(expires) <= self.now) {
            return Err(Rule::ExpiredKey.into());
        }
        if signed_by(&key.key) { Ok(()) } else { Err(Rule::InvalidSignature.into()) }
    }

    fn check_audience_and_time(&self, claims: &Claims) -> Result<(), Refusal> {
        if !matches!(claims.audience.as_slice(), [audience] if audience == self.issuer) {
            return Err(Rule::WrongAudience.into());
        }
        // Saturating: the claims are whatever the client wrote.
        let age = self.now.saturating_sub(claims.issued_at);
        let lifetime = claims.expires_at.saturating_sub(claims.issued_at);
        if age < -CLOCK_TOLERANCE {
            return Err(Rule::IssuedInTheFuture.into());
        }
        if !(1..=LONGEST_GRANT).contains(&lifetime) {
            return Err(Rule::LivesTooLong.into());
        }
        if claims.expires_at <= self.now {
            return Err(Rule::Expired.into());
        }
        if age > CLOCK_TOLERANCE {
            return Err(Rule::IssuedTooLongAgo.into());
        }
        Ok(())
    }
}

fn check_scopes(claims: &Claims, client: &ClientSettings) -> Result<(), Refusal> {
    let registered = |scope: &str| client.scopes.iter().find(|known| known.scope == scope);
    refuse_scopes(claims, Rule::ScopeNotRegistered, |scope| registered(scope).is_none())?;
    refuse_scopes(claims, Rule::IntegrationType, |scope| {
        registered(scope)
            .is_some_and(|known| !known.integration_types.is_empty() && !known.integration_types.contains(&client.integration_type))
    })?;
    refuse_scopes(claims, Rule::ScopeNotGranted, |scope| registered(scope).is_some_and(|known| !known.granted))
}

fn check_delegation(claims: &Claims, client: &ClientSettings) -> Result<(), Refusal> {
    let Some(consumer_org) = &claims.consumer_org else { return Ok(()) };
    if *consumer_org == client.organisation {
        return Err(Rule::OwnConsumerOrg.into());
    }
    let delegated = |scope: &str| {
        let mut from_consumer = client.delegations.iter().filter(|delegation| delegation.consumer_org == *consumer_org);
        from_consumer.any(|delegation| delegation.scopes.is_empty() || delegation.scopes.iter().any(|known| known == scope))
    };
    refuse_scopes(claims, Rule::NotDelegated, |scope| !delegated(scope))
}

/// Refuses, naming every scope of the grant that is refused.
fn refuse_scopes(claims: &Claims, rule: Rule, is_refused: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let refused: Vec<&str> = claims.scopes.iter().map(String::as_str).filter(|scope| is_refused(scope)).collect();
    if refused.is_empty() { Ok(()) } else { Err(rule.by(refused.join(" "))) }
}

/// Seconds since 1970, rounded down.
pub(super) fn seconds(time: SystemTime) -> i64 {
    let since = |duration: Duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    time.duration_since(SystemTime::UNIX_EPOCH).map_or_else(|error| since(error.duration()).saturating_neg(), since)
}
