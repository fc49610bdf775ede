//! What a grant says, read strictly
//! ([maskinporten_protocol_jwtgrant](https://docs.digdir.no/docs/Maskinporten/maskinporten_protocol_jwtgrant)).

use serde_json::{Map, Value};

use super::authorization_details;
use super::errors::{Refusal, Rule};

/// A grant's claims, each of the right shape. Whether the client may have what they ask for is another matter.
pub(super) struct Claims {
    pub(super) client_id: String,
    pub(super) audience: Vec<String>,
    /// Seconds since 1970.
    pub(super) issued_at: i64,
    /// Seconds since 1970.
    pub(super) expires_at: i64,
    pub(super) scopes: Vec<String>,
    pub(super) resource: Vec<String>,
    pub(super) pid: Option<String>,
    pub(super) consumer_org: Option<String>,
    pub(super) authorization_details: Option<Value>,
}

const KNOWN: [&str; 11] =
    ["aud", "iss", "iat", "exp", "jti", "scope", "resource", "pid", "consumer_org", "iss_onbehalfof", "authorization_details"];

impl Claims {
    pub(super) fn read(claims: &Map<String, Value>) -> Result<Self, Refusal> {
        if claims.keys().any(|name| !KNOWN.contains(&name.as_str())) {
            return Err(Rule::UnknownClaim.into());
        }
        required(text(claims, "jti")?, "jti")?; // whether it was used before is found out when the grant arrives
        let consumer_org = text(claims, "consumer_org")?.map(|number| digits(number, 9, "consumer_org")).transpose()?;
        if text(claims, "iss_onbehalfof")?.is_some() && consumer_org.is_some() {
            return Err(Rule::TwoConsumers.into());
        }
        let details = claims.get("authorization_details").cloned();
        if let Some(details) = &details {
            authorization_details::check(details)?;
        }
        Ok(Self {
            client_id: required(text(claims, "iss")?, "iss")?.to_owned(),
            audience: required(texts(claims, "aud", OneText::Allowed)?, "aud")?,
            issued_at: required(time(claims, "iat")?, "iat")?,
            expires_at: required(time(claims, "exp")?, "exp")?,
            scopes: scopes(claims)?,
            resource: texts(claims, "resource", OneText::Refused)?.unwrap_or_default(),
            pid: text(claims, "pid")?.map(|number| digits(number, 11, "pid")).transpose()?,
            consumer_org,
            authorization_details: details,
        })
    }
}

/// Whether an array of strings may also be written as one string, as RFC 7519 has it for `aud`.
enum OneText {
    Allowed,
    Refused,
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| Rule::MissingClaim.by(name))
}

/// A claim's text: not empty, no line break or other control character, no space at either end.
fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Refusal> {
    claims.get(name).map(|value| well_formed(value).ok_or_else(|| Rule::MalformedValue.by(name))).transpose()
}

fn well_formed(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty() && text.trim() == *text && !text.chars().any(char::is_control))
}

fn texts(claims: &Map<String, Value>, name: &str, one_text: OneText) -> Result<Option<Vec<String>>, Refusal> {
    let malformed = || Rule::MalformedValue.by(name);
    let values = match (claims.get(name), one_text) {
        (None, _) => return Ok(None),
        (Some(Value::Array(values)), _) if !values.is_empty() => values.as_slice(),
        (Some(value @ Value::String(_)), OneText::Allowed) => std::slice::from_ref(value),
        _ => return Err(malformed()),
    };
    let texts: Option<Vec<String>> = values.iter().map(|value| well_formed(value).map(str::to_owned)).collect();
    texts.map(Some).ok_or_else(malformed)
}

/// A NumericDate (RFC 7519 section 2): seconds, possibly with a fraction, which has no weight here.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Refusal> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    #[allow(clippy::cast_possible_truncation)] // `as` saturates, and a time beyond i64 is out of every tolerance
    let seconds = value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds.floor() as i64));
    seconds.map(Some).ok_or_else(|| Rule::MalformedValue.by(name))
}

fn digits(text: &str, count: usize, name: &str) -> Result<String, Refusal> {
    let right = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    right.then(|| text.to_owned()).ok_or_else(|| Rule::MalformedValue.by(name))
}

/// RFC 6749 section 3.3: separated by single spaces.
fn scopes(claims: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let text = match claims.get("scope") {
        None => return Err(Rule::NoScope.into()),
        Some(Value::String(text)) => text,
        Some(_) => return Err(Rule::MalformedValue.by("scope")),
    };
    if text.trim_matches(' ').is_empty() {
        return Err(Rule::NoScope.into());
    }
    let well_formed = |scope: &str| !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E));
    text.split(' ')
        .map(|scope| well_formed(scope).then(|| scope.to_owned()))
        .collect::<Option<_>>()
        .ok_or_else(|| Rule::MalformedValue.by("scope"))
}
