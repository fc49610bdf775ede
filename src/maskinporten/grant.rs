//! The claims of a grant, and the grant that they become.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::scope::Scopes;

/// What is asked for: everything in a grant that differs from token to token.
///
/// `Debug` prints neither the person nor the authorization details.
#[derive(Clone, Copy)]
pub struct GrantRequest<'a> {
    /// At least one.
    pub scopes: &'a Scopes,
    /// The token's audiences ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)); none: no restriction.
    pub resource: &'a [String],
    /// The organisation that has delegated to us in Altinn, 9 digits. Not together with `iss_onbehalfof`.
    pub consumer_org: Option<&'a str>,
    /// The party that the client acts for.
    pub iss_onbehalfof: Option<&'a str>,
    /// A JSON array, as text ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)). It goes into the grant as it is.
    pub authorization_details: Option<&'a str>,
    /// The person that the token is for, 11 digits.
    pub pid: Option<&'a str>,
}

/// A signed grant: proof, to be used once and within its lifetime, that we are the client.
///
/// Zeroed when dropped, and not printed by `Debug`.
pub struct Grant {
    assertion: Zeroizing<String>,
    jti: Uuid,
}

/// Why a request can become no grant. What is secret in the request is not in the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidGrantRequest {
    /// Maskinporten takes one of them at most.
    #[error("a grant cannot have both consumer_org and iss_onbehalfof: leave one of them out")]
    ConsumerOrgAndOnBehalfOf,
    /// It would go into the grant as it is.
    #[error("authorization_details is not a JSON array: write it as RFC 9396 has it, [{{\"type\":\"...\"}}]")]
    AuthorizationDetails,
}

impl Grant {
    pub(super) fn new(assertion: Zeroizing<String>, jti: Uuid) -> Self {
        Self { assertion, jti }
    }

    /// The signed JWT in its compact form: `assertion` of [RFC 7523 section 2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1).
    pub fn expose_secret(&self) -> &str {
        &self.assertion
    }

    /// What makes this grant different from every other; not secret.
    pub fn jti(&self) -> Uuid {
        self.jti
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("jti", &self.jti).finish_non_exhaustive()
    }
}

impl fmt::Debug for GrantRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantRequest")
            .field("scopes", &self.scopes)
            .field("resource", &self.resource)
            .field("consumer_org", &self.consumer_org)
            .field("iss_onbehalfof", &self.iss_onbehalfof)
            .finish_non_exhaustive()
    }
}

/// The claims of [maskinporten_protocol_jwtgrant](https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_jwtgrant), and no others:
/// Maskinporten refuses a grant with a claim that it does not know.
#[derive(Serialize)]
pub(super) struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    resource: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer_org: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss_onbehalfof: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details: Option<&'a RawValue>,
}

/// What a grant says of the client, whatever is asked for.
#[derive(Clone, Copy)]
pub(super) struct Issuer<'a> {
    pub(super) audience: &'a str,
    pub(super) client_id: &'a str,
    pub(super) lifetime: Duration,
}

impl Claims<'_> {
    /// The payload of a grant made at `now`. Times are whole seconds, rounded down.
    pub(super) fn to_json(
        issuer: Issuer<'_>,
        request: &GrantRequest<'_>,
        jti: Uuid,
        now: SystemTime,
    ) -> Result<Zeroizing<Vec<u8>>, InvalidGrantRequest> {
        if request.consumer_org.is_some() && request.iss_onbehalfof.is_some() {
            return Err(InvalidGrantRequest::ConsumerOrgAndOnBehalfOf);
        }
        // A clock before 1970 makes a grant that Maskinporten refuses with the right remedy.
        let iat = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut jti_text = Uuid::encode_buffer();
        let claims = Claims {
            aud: issuer.audience,
            iss: issuer.client_id,
            iat,
            exp: iat + issuer.lifetime.as_secs(),
            jti: jti.hyphenated().encode_lower(&mut jti_text),
            scope: request.scopes.as_str(),
            resource: request.resource,
            pid: request.pid,
            consumer_org: request.consumer_org,
            iss_onbehalfof: request.iss_onbehalfof,
            authorization_details: request.authorization_details.map(array).transpose()?,
        };
        let mut json = Zeroizing::new(Vec::with_capacity(claims.expected_length()));
        // All that can fail in writing text into memory is text that is no JSON.
        serde_json::to_writer(&mut *json, &claims).map_err(|_| InvalidGrantRequest::AuthorizationDetails)?;
        Ok(json)
    }

    /// Enough for the JSON unless its values need escaping, so that no half of it is left in memory that a growing `Vec` gave up.
    fn expected_length(&self) -> usize {
        const NAMES_AND_TIMES: usize = 256;
        let resource: usize = self.resource.iter().map(|resource| resource.len() + 3).sum();
        let details = self.authorization_details.map_or(0, |details| details.get().len());
        let optional: usize = [self.pid, self.consumer_org, self.iss_onbehalfof].iter().flatten().map(|value| value.len()).sum();
        NAMES_AND_TIMES + self.aud.len() + self.iss.len() + self.jti.len() + self.scope.len() + resource + details + optional
    }
}

/// Looked through, not read: what is no JSON array could smuggle in claims of its own.
fn array(text: &str) -> Result<&RawValue, InvalidGrantRequest> {
    serde_json::from_str::<&RawValue>(text)
        .ok()
        .filter(|value| value.get().starts_with('['))
        .ok_or(InvalidGrantRequest::AuthorizationDetails)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    const ISSUER: Issuer<'_> = Issuer {
        audience: "https://test.maskinporten.no/",
        client_id: "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11",
        lifetime: Duration::from_secs(60),
    };
    const JTI: Uuid = Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
    const SYSTEM_USER: &str =
        r#"[{"type":"urn:altinn:systemuser","systemuser_org":{"authority":"iso6523-actorid-upis","ID":"0192:999888777"}}]"#;

    fn at(milliseconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(milliseconds)
    }

    fn request(scopes: &Scopes) -> GrantRequest<'_> {
        GrantRequest { scopes, resource: &[], consumer_org: None, iss_onbehalfof: None, authorization_details: None, pid: None }
    }

    #[test]
    fn a_plain_grant_has_the_six_claims_and_no_others() {
        let scopes = Scopes::parse("b:write a:read").unwrap();
        let json = Claims::to_json(ISSUER, &request(&scopes), JTI, at(1_700_000_000_999)).unwrap();
        let expected = json!({
            "aud": "https://test.maskinporten.no/",
            "iss": "2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11",
            "iat": 1_700_000_000,
            "exp": 1_700_000_060,
            "jti": "01234567-89ab-4def-8123-456789abcdef",
            "scope": "a:read b:write",
        });
        assert_eq!(serde_json::from_slice::<Value>(&json).unwrap(), expected);
    }

    #[test]
    fn every_optional_claim_goes_in_as_it_is_given() {
        let scopes = Scopes::parse("a:read").unwrap();
        let resource = ["https://api.example.no".to_owned(), "urn:\"b\"".to_owned()];
        let full = GrantRequest {
            resource: &resource,
            consumer_org: Some("889640782"),
            authorization_details: Some(SYSTEM_USER),
            pid: Some("01017012345"),
            ..request(&scopes)
        };
        let json = Claims::to_json(ISSUER, &full, JTI, at(0)).unwrap();
        let claims: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(claims["resource"], json!(resource));
        assert_eq!(claims["consumer_org"], "889640782");
        assert_eq!(claims["pid"], "01017012345");
        assert_eq!(claims["authorization_details"], serde_json::from_str::<Value>(SYSTEM_USER).unwrap());
        assert_eq!(claims.as_object().unwrap().len(), 10);

        let on_behalf = GrantRequest { iss_onbehalfof: Some("client-of-theirs"), ..request(&scopes) };
        let json = Claims::to_json(ISSUER, &on_behalf, JTI, at(0)).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&json).unwrap()["iss_onbehalfof"], "client-of-theirs");
    }

    #[test]
    fn the_memory_is_taken_once() {
        let scopes = Scopes::parse(&"scope:with/a.name ".repeat(200)).unwrap();
        let resource = vec!["https://api.example.no/a/long/path".to_owned(); 8];
        let full = GrantRequest {
            resource: &resource,
            consumer_org: Some("889640782"),
            authorization_details: Some(SYSTEM_USER),
            pid: Some("01017012345"),
            ..request(&scopes)
        };
        let json = Claims::to_json(ISSUER, &full, JTI, at(u64::from(u32::MAX) * 1000)).unwrap();
        let claims: Claims<'_> = Claims {
            aud: ISSUER.audience,
            iss: ISSUER.client_id,
            iat: 0,
            exp: 0,
            jti: "01234567-89ab-4def-8123-456789abcdef",
            scope: scopes.as_str(),
            resource: &resource,
            pid: full.pid,
            consumer_org: full.consumer_org,
            iss_onbehalfof: None,
            authorization_details: Some(array(SYSTEM_USER).unwrap()),
        };
        assert!(json.len() <= claims.expected_length(), "{} > {}", json.len(), claims.expected_length());
    }

    #[rstest]
    #[case("{}")]
    #[case("")]
    #[case("[")]
    #[case("[],\"scope\":\"other\"")]
    #[case("[]]")]
    #[case("null")]
    #[case("[{\"a\":}]")]
    fn authorization_details_that_are_no_array(#[case] text: &str) {
        let scopes = Scopes::parse("a:read").unwrap();
        let request = GrantRequest { authorization_details: Some(text), ..request(&scopes) };
        assert_eq!(Claims::to_json(ISSUER, &request, JTI, at(0)), Err(InvalidGrantRequest::AuthorizationDetails));
    }

    #[test]
    fn consumer_org_and_iss_onbehalfof_together_are_refused() {
        let scopes = Scopes::parse("a:read").unwrap();
        let both = GrantRequest { consumer_org: Some("889640782"), iss_onbehalfof: Some("x"), ..request(&scopes) };
        assert_eq!(Claims::to_json(ISSUER, &both, JTI, at(0)), Err(InvalidGrantRequest::ConsumerOrgAndOnBehalfOf));
    }

    #[test]
    fn debug_prints_no_secret() {
        let scopes = Scopes::parse("a:read").unwrap();
        let request = GrantRequest { pid: Some("01017012345"), authorization_details: Some("[\"secret\"]"), ..request(&scopes) };
        let grant = Grant::new(Zeroizing::new("header.secret.signature".to_owned()), JTI);
        let printed = format!("{request:?} {grant:?}");
        assert!(!printed.contains("secret") && !printed.contains("01017012345"), "{printed}");
        assert!(printed.contains("a:read") && printed.contains("01234567-89ab"), "{printed}");
    }
}
