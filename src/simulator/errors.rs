//! Every rule that a grant can break, and Maskinporten's answer to it: one table.
//!
//! The words are Maskinporten's own where they are known, from its published responses and from
//! [maskinporten_feilsoking](https://docs.digdir.no/docs/Maskinporten/maskinporten_feilsoking). Where they are not, they
//! are written in the same style. A program should decide on the code, and where there is none, on nothing but the status.

use serde_json::{Value, json};
use uuid::Uuid;

/// A rule of Maskinporten's, by what is wrong when it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// MP-011.
    MalformedValue,
    /// MP-012.
    UsedBefore,
    /// MP-100.
    ClientNotFound,
    /// MP-110.
    WrongAudience,
    /// MP-120.
    InvalidCertificate,
    /// MP-121.
    ExpiredKey,
    /// MP-122.
    OrganisationMismatch,
    /// MP-123.
    MalformedX5c,
    /// MP-124.
    InvalidSignature,
    /// MP-130.
    Expired,
    /// MP-200.
    ScopeNotRegistered,
    /// MP-201.
    IntegrationType,
    /// MP-250.
    ScopeNotGranted,
    /// MP-251.
    NotDelegated,
    /// MP-301.
    UnknownDetailsType,
    /// MP-302.
    UnknownDetailsField,
    /// MP-303.
    InvalidDetailsValue,
    /// `iat` is more than 10 s ahead of the simulator's clock.
    IssuedInTheFuture,
    /// `iat` is more than 10 s behind the simulator's clock.
    IssuedTooLongAgo,
    /// `exp` is more than 120 s after `iat`, or not after it.
    LivesTooLong,
    /// The client has registered keys, and the grant has no `kid`.
    KidRequired,
    /// The client has no registered key, and the grant has neither `kid` nor `x5c`.
    NoKeyNamed,
    /// Both `kid` and `x5c`.
    TwoKeysNamed,
    /// Not RS256, RS384 or RS512.
    Algorithm,
    /// `consumer_org` is the client's own organisation.
    OwnConsumerOrg,
    /// `consumer_org` together with `iss_onbehalfof`.
    TwoConsumers,
    /// A claim that Maskinporten does not know.
    UnknownClaim,
    /// A claim that every grant has is not there.
    MissingClaim,
    /// The grant asks for no scope.
    NoScope,
    /// The assertion is not a signed JWT in compact form.
    NotAJwt,
    /// Not `application/x-www-form-urlencoded`.
    NotAForm,
    /// A parameter of the form is missing or repeated.
    FormParameter,
    /// Another `grant_type`.
    GrantType,
    /// `Authorization`, `client_secret` or `client_assertion`: the grant itself says who the client is.
    OtherAuthentication,
}

struct Row {
    rule: Rule,
    /// The code; for an error without one, a name by which a fault can ask for it.
    name: &'static str,
    error: &'static str,
    description: &'static str,
}

const fn row(rule: Rule, name: &'static str, error: &'static str, description: &'static str) -> Row {
    Row { rule, name, error, description }
}

const AUTHENTICATION: &str = "invalid_grant";
const REQUEST: &str = "invalid_request";
const SCOPE: &str = "invalid_scope";
const DETAILS: &str = "invalid_authorization_details";

#[rustfmt::skip] // a table is read by its columns
const TABLE: &[Row] = &[
    row(Rule::MalformedValue, "MP-011", REQUEST, "Invalid assertion. Invalid parameter value"),
    row(Rule::UsedBefore, "MP-012", AUTHENTICATION, "Invalid assertion. Grant is used before"),
    row(Rule::ClientNotFound, "MP-100", AUTHENTICATION, "Invalid assertion. Client authentication failed. Client not found."),
    row(Rule::WrongAudience, "MP-110", AUTHENTICATION, "Invalid assertion. Client authentication failed. Invalid JWT claim aud"),
    row(Rule::InvalidCertificate, "MP-120", AUTHENTICATION, "Invalid assertion. Client authentication failed. Invalid certificate."),
    row(Rule::ExpiredKey, "MP-121", AUTHENTICATION, "Invalid assertion. Client authentication failed. Expired key."),
    row(Rule::OrganisationMismatch, "MP-122", AUTHENTICATION, "Invalid assertion. Client authentication failed. The organization number of the certificate is not the client's."),
    row(Rule::MalformedX5c, "MP-123", AUTHENTICATION, "Invalid assertion. Client authentication failed. Failed to extract certificate from jwt"),
    row(Rule::InvalidSignature, "MP-124", AUTHENTICATION, "Invalid assertion. Client authentication failed. Invalid signature."),
    row(Rule::Expired, "MP-130", AUTHENTICATION, "Invalid assertion. Client authentication failed. JWT is expired"),
    row(Rule::ScopeNotRegistered, "MP-200", SCOPE, "Token request contains invalid scopes for client"),
    row(Rule::IntegrationType, "MP-201", SCOPE, "Token request contains scopes that the client's integration type does not allow"),
    row(Rule::ScopeNotGranted, "MP-250", SCOPE, "The client's organization has not been granted access to the scopes"),
    row(Rule::NotDelegated, "MP-251", REQUEST, "The consumer has not delegated access to the scopes to the supplier"),
    row(Rule::UnknownDetailsType, "MP-301", DETAILS, "Invalid assertion. Unknown type in authorization_details"),
    row(Rule::UnknownDetailsField, "MP-302", DETAILS, "Invalid assertion. Unknown field in authorization_details"),
    row(Rule::InvalidDetailsValue, "MP-303", DETAILS, "Invalid assertion. Invalid value in authorization_details"),
    row(Rule::IssuedInTheFuture, "issue-time-after-now", AUTHENTICATION, "Issue time is after now"),
    row(Rule::IssuedTooLongAgo, "iat-out-of-tolerance", AUTHENTICATION, "iat out of tolerance"),
    row(Rule::LivesTooLong, "lifetime", AUTHENTICATION, "Invalid assertion. exp must be after iat, by 120 seconds at most"),
    row(Rule::KidRequired, "kid-required", AUTHENTICATION, "The client requires pre-registered jwk and no key identifier (kid) provided"),
    row(Rule::NoKeyNamed, "no-key", AUTHENTICATION, "Invalid assertion. Client authentication failed. Neither kid nor x5c provided"),
    row(Rule::TwoKeysNamed, "kid-and-x5c", AUTHENTICATION, "Invalid assertion. Client authentication failed. Both kid and x5c provided"),
    row(Rule::Algorithm, "alg", AUTHENTICATION, "Invalid assertion. Client authentication failed. alg must be RS256, RS384 or RS512"),
    row(Rule::OwnConsumerOrg, "own-consumer-org", REQUEST, "Invalid assertion. consumer_org equals the client's own organization number"),
    row(Rule::TwoConsumers, "consumer-org-and-iss-onbehalfof", REQUEST, "Invalid assertion. consumer_org and iss_onbehalfof cannot be combined"),
    row(Rule::UnknownClaim, "unknown-claim", AUTHENTICATION, "Invalid assertion"),
    row(Rule::MissingClaim, "missing-claim", AUTHENTICATION, "Invalid assertion. Missing claim"),
    row(Rule::NoScope, "no-scope", SCOPE, "Token request contains no scopes"),
    row(Rule::NotAJwt, "not-a-jwt", AUTHENTICATION, "Invalid assertion. Not a signed JWT"),
    row(Rule::NotAForm, "not-a-form", REQUEST, "Content-Type must be application/x-www-form-urlencoded"),
    row(Rule::FormParameter, "form-parameter", REQUEST, "Parameter missing or repeated"),
    row(Rule::GrantType, "grant-type", "unsupported_grant_type", "grant_type must be urn:ietf:params:oauth:grant-type:jwt-bearer"),
    row(Rule::OtherAuthentication, "client-authentication", REQUEST, "No client authentication is allowed beside the assertion"),
];

const UNLISTED: Row = row(Rule::UnknownClaim, "unlisted", "server_error", "The simulator has no words for this error");

impl Rule {
    fn row(self) -> &'static Row {
        TABLE.iter().find(|row| row.rule == self).unwrap_or(&UNLISTED)
    }

    /// The code, such as `MP-121`; for an error without one, the name by which a fault asks for it, such as `kid-required`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Maskinporten's code, when the error has one.
    pub fn code(self) -> Option<&'static str> {
        Some(self.name()).filter(|name| name.starts_with("MP-"))
    }

    /// By code or name.
    pub fn named(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.name == name).map(|row| row.rule)
    }

    /// All of them, in the table's order.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.rule)
    }

    /// `error` of RFC 6749 section 5.2.
    pub fn error(self) -> &'static str {
        self.row().error
    }

    /// `error_description` without what varies: which scopes or which claim, and the trace ID.
    pub fn description(self) -> &'static str {
        self.row().description
    }
}

/// A rule that was broken, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) rule: Rule,
    /// The scopes, or the name of a claim or parameter. Never a claim's value: it may be a person's.
    subject: Option<String>,
}

impl From<Rule> for Refusal {
    fn from(rule: Rule) -> Self {
        Self { rule, subject: None }
    }
}

impl Rule {
    pub(super) fn by(self, subject: impl Into<String>) -> Refusal {
        Refusal { rule: self, subject: Some(subject.into()) }
    }
}

impl Refusal {
    /// The document of RFC 6749 section 5.2, as Maskinporten writes it. `base` is the issuer without a slash at its end.
    pub(super) fn document(&self, base: &str, trace_id: Uuid) -> Value {
        let mut description = self.rule.description().to_owned();
        if let Some(subject) = &self.subject {
            description.push_str(", ");
            description.push_str(subject);
        }
        let mut document = json!({
            "error": self.rule.error(),
            "error_description": format!("{description} (trace_id: {})", trace_id.simple()),
        });
        if let (Some(code), Some(members)) = (self.rule.code(), document.as_object_mut()) {
            members.insert("error_uri".into(), format!("{base}/errors/{code}").into());
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quoted_responses_are_word_for_word() {
        let trace_id = Uuid::parse_str("356666143081bbec11d293753e9702ca").unwrap();
        let expired = Refusal::from(Rule::ExpiredKey).document("https://maskinporten.no", trace_id);
        let as_seen = json!({"error":"invalid_grant","error_description":"Invalid assertion. Client authentication failed. Expired key. (trace_id: 356666143081bbec11d293753e9702ca)","error_uri":"https://maskinporten.no/errors/MP-121"});
        assert_eq!(expired, as_seen);
        let trace_id = Uuid::parse_str("bd1d0e3bfb1c7a7bd99fd447714a316c").unwrap();
        let scope = Rule::ScopeNotRegistered.by("altinn:serviceowners/read").document("https://test.maskinporten.no", trace_id);
        let as_seen = json!({"error":"invalid_scope","error_description":"Token request contains invalid scopes for client, altinn:serviceowners/read (trace_id: bd1d0e3bfb1c7a7bd99fd447714a316c)","error_uri":"https://test.maskinporten.no/errors/MP-200"});
        assert_eq!(scope, as_seen);
    }

    #[test]
    fn every_row_is_found_by_its_name_and_by_its_rule() {
        for row in TABLE {
            assert_eq!(Rule::named(row.name), Some(row.rule));
            assert_eq!(row.rule.name(), row.name);
            assert_eq!(row.rule.description(), row.description);
        }
    }
}
