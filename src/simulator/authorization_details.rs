//! `authorization_details` (RFC 9396), of the two types that Maskinporten knows: a systembruker and a consent of Altinn's.

use serde_json::{Map, Value};
use uuid::Uuid;

use super::errors::{Refusal, Rule};

pub(super) fn check(details: &Value) -> Result<(), Refusal> {
    let Value::Array(objects) = details else { return Err(Rule::MalformedValue.by("authorization_details")) };
    if objects.is_empty() {
        return Err(Rule::InvalidDetailsValue.into());
    }
    let system_users = objects.iter().filter(|object| object.get("type").and_then(Value::as_str) == Some(SYSTEM_USER)).count();
    if system_users > 1 {
        return Err(Rule::InvalidDetailsValue.by(SYSTEM_USER));
    }
    objects.iter().try_for_each(check_object)
}

const SYSTEM_USER: &str = "urn:altinn:systemuser";
const CONSENT: &str = "urn:altinn:consent";

fn check_object(object: &Value) -> Result<(), Refusal> {
    let Value::Object(members) = object else { return Err(Rule::InvalidDetailsValue.into()) };
    match members.get("type").and_then(Value::as_str) {
        Some(SYSTEM_USER) => check_system_user(members),
        Some(CONSENT) => check_consent(members),
        _ => Err(Rule::UnknownDetailsType.into()),
    }
}

fn check_system_user(members: &Map<String, Value>) -> Result<(), Refusal> {
    only(members, &["type", "systemuser_org"])?;
    let Some(Value::Object(organisation)) = members.get("systemuser_org") else {
        return Err(Rule::InvalidDetailsValue.by("systemuser_org"));
    };
    only(organisation, &["authority", "ID"])?;
    must(organisation, "authority", |authority| authority == "iso6523-actorid-upis")?;
    must(organisation, "ID", |id| id.strip_prefix("0192:").is_some_and(|number| is_digits(number, 9)))
}

fn check_consent(members: &Map<String, Value>) -> Result<(), Refusal> {
    only(members, &["type", "id", "from"])?;
    must(members, "id", |id| id.len() == 36 && Uuid::parse_str(id).is_ok())?;
    must(members, "from", |from| {
        from.strip_prefix("urn:altinn:person:identifier-no:").is_some_and(|number| is_digits(number, 11))
            || from.strip_prefix("urn:altinn:organization:identifier-no:").is_some_and(|number| is_digits(number, 9))
    })
}

/// Does not name the field that is not known: a name can hold anything, a person too.
fn only(members: &Map<String, Value>, known: &[&str]) -> Result<(), Refusal> {
    if members.keys().all(|name| known.contains(&name.as_str())) { Ok(()) } else { Err(Rule::UnknownDetailsField.into()) }
}

fn must(members: &Map<String, Value>, name: &str, is_right: impl FnOnce(&str) -> bool) -> Result<(), Refusal> {
    if members.get(name).and_then(Value::as_str).is_some_and(is_right) { Ok(()) } else { Err(Rule::InvalidDetailsValue.by(name)) }
}

fn is_digits(text: &str, count: usize) -> bool {
    text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit())
}
