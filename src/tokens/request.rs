//! What identifies a token.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde_json::value::RawValue;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::maskinporten::{GrantRequest, Scopes};

/// Stands for a client ID in an environment, for as long as the process runs.
///
/// Two integrations never share one, so a token can never be taken for that of another client or another environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IntegrationId(pub(super) u32);

impl IntegrationId {
    /// Where this integration stands among all, counted from 0 in the order in which they were given.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Stands for whoever asks, for as long as the process runs. It identifies no token: who asks for the same gets the same.
///
/// This room counts by it, so that nobody takes more than a share, and knows nothing else of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub u32);

impl CallerId {
    /// The place of this caller among all, counted from 0 in the order in which they were given.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Everything that identifies a token, and so the key of the cache: two requests are equal exactly when the same token answers both.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequest {
    integration: IntegrationId,
    scopes: Scopes,
    /// None for nearly every request, so that the key of the cache stays small.
    details: Option<Box<Details>>,
}

/// What a request may say beyond integration and scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Details {
    /// RFC 8707 resources. Order and repetition have no meaning: [`TokenRequest::new`] sorts and deduplicates.
    pub resource: Vec<String>,
    /// The consumer's organisation number, for a supplier with a delegation in Altinn.
    pub consumer_org: Option<Box<str>>,
    /// `iss_onbehalfof`
    pub iss_onbehalfof: Option<Box<str>>,
    /// RFC 9396 authorization details.
    pub authorization_details: Option<AuthorizationDetails>,
    /// The national identity number of the person that the token is for.
    pub pid: Option<Private>,
}

/// A text that can name a person: zeroed when dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Private(Zeroizing<Box<str>>);

impl Private {
    /// Takes the text over.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the grant that it belongs in and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Hash for Private {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

/// RFC 9396 authorization details: compared as JSON, not as text. Can name a person, so it is held as [`Private`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AuthorizationDetails {
    canonical: Private,
    types: Vec<Box<str>>,
}

/// Why a text is no authorization details. Says nothing of what stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidAuthorizationDetails {
    /// Not JSON, or nested too deeply.
    #[error("it is not JSON")]
    NotJson,
    /// RFC 9396 section 2 wants an array of objects.
    #[error("it is not a JSON array with at least one object")]
    NotAnArrayOfObjects,
    /// RFC 9396 section 2: `type` is required.
    #[error("an object in it has no type, or one that is not text")]
    NoType,
}

/// The one type that is known to name an organisation only. Of any other we must assume that it names a person.
const SYSTEM_USER: &str = "urn:altinn:systemuser";

impl AuthorizationDetails {
    /// Reads an array of objects, each with its `type` (RFC 9396 section 2).
    ///
    /// # Errors
    ///
    /// [`InvalidAuthorizationDetails`] when it is anything else.
    pub fn parse(text: &str) -> Result<Self, InvalidAuthorizationDetails> {
        let not_json = |_| InvalidAuthorizationDetails::NotJson;
        // Written once as it is compared and sent, and read from there: rules judge what Maskinporten gets.
        let mut canonical = String::with_capacity(text.len());
        write_canonical(serde_json::from_str(text).map_err(not_json)?, DEEPEST, &mut canonical).map_err(not_json)?;
        let objects: Vec<&RawValue> = serde_json::from_str(&canonical).unwrap_or_default();
        if objects.is_empty() || !objects.iter().all(|object| object.get().starts_with('{')) {
            return Err(InvalidAuthorizationDetails::NotAnArrayOfObjects);
        }
        let name = |object: &RawValue| {
            let members: Members<'_> = serde_json::from_str(object.get()).ok()?;
            serde_json::from_str(members.get("type")?.get()).ok()
        };
        let types = objects.into_iter().map(name).collect::<Option<_>>().ok_or(InvalidAuthorizationDetails::NoType)?;
        Ok(Self { canonical: Private::new(canonical), types })
    }

    /// The `type` of each object.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.iter().map(AsRef::as_ref)
    }

    /// Canonical JSON, for the grant.
    pub fn expose(&self) -> &str {
        self.canonical.expose()
    }

    fn may_name_a_person(&self) -> bool {
        self.types().any(|name| name != SYSTEM_USER)
    }
}

/// How deeply arrays and objects may stand in each other.
const DEEPEST: usize = 64;

/// Of a member that is there twice, the last: so do JavaScript and most others.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Equal values are written alike: objects in the order of their keys, texts with the fewest escapes, nothing between. Numbers to the
/// letter: `serde_json::Value` would round what it cannot hold, so that two would share a token and Maskinporten get a third. It would
/// also take an object with one key of `serde_json`'s own for the JSON inside that member's text.
fn write_canonical(value: &RawValue, deepest: usize, into: &mut String) -> serde_json::Result<()> {
    let (json, deeper) = (value.get(), deepest.checked_sub(1).ok_or_else(|| serde::de::Error::custom("nested too deeply"))?);
    match json.as_bytes().first() {
        Some(b'{') => {
            into.push('{');
            for (index, (name, value)) in serde_json::from_str::<Members<'_>>(json)?.into_iter().enumerate() {
                into.push_str(if index == 0 { "" } else { "," });
                into.push_str(&serde_json::to_string(&name)?);
                into.push(':');
                write_canonical(value, deeper, into)?;
            }
            into.push('}');
        }
        Some(b'[') => {
            into.push('[');
            for (index, value) in serde_json::from_str::<Vec<&RawValue>>(json)?.into_iter().enumerate() {
                into.push_str(if index == 0 { "" } else { "," });
                write_canonical(value, deeper, into)?;
            }
            into.push(']');
        }
        Some(b'"') => into.push_str(&serde_json::to_string(&serde_json::from_str::<String>(json)?)?),
        _ => into.push_str(json),
    }
    Ok(())
}

impl TokenRequest {
    /// A request for a token of this integration, for these scopes, with nothing else said.
    pub fn new(integration: IntegrationId, scopes: Scopes) -> Self {
        Self { integration, scopes, details: None }
    }

    /// The same request with more said. Resources are sorted and deduplicated.
    #[must_use]
    pub fn with(mut self, mut details: Details) -> Self {
        details.resource.sort_unstable();
        details.resource.dedup();
        self.details = (details != Details::default()).then(|| Box::new(details));
        self
    }

    /// Whose token it is.
    pub fn integration(&self) -> IntegrationId {
        self.integration
    }

    /// What it is for.
    pub fn scopes(&self) -> &Scopes {
        &self.scopes
    }

    /// Everything else that was said; none for nearly every request.
    pub fn details(&self) -> Option<&Details> {
        self.details.as_deref()
    }

    /// Whether the token is, or may be, for one person. Such a token is never renewed ahead: nobody knows whether it is wanted again.
    pub fn may_name_a_person(&self) -> bool {
        self.details().is_some_and(|details| {
            details.pid.is_some() || details.authorization_details.as_ref().is_some_and(AuthorizationDetails::may_name_a_person)
        })
    }

    /// How many bytes were said in it.
    pub(super) fn length(&self) -> usize {
        let details = self.details().map_or(0, |details| {
            let texts = [details.consumer_org.as_deref(), details.iss_onbehalfof.as_deref(), details.pid.as_ref().map(Private::expose)];
            details.resource.iter().map(String::len).sum::<usize>()
                + texts.into_iter().flatten().map(str::len).sum::<usize>()
                + details.authorization_details.as_ref().map_or(0, |details| 2 * details.expose().len())
        });
        self.scopes.as_str().len() + details
    }

    /// The request in the words of a grant.
    pub(super) fn grant_request(&self) -> GrantRequest<'_> {
        let details = self.details();
        GrantRequest {
            scopes: &self.scopes,
            resource: details.map_or(&[], |details| &details.resource),
            consumer_org: details.and_then(|details| details.consumer_org.as_deref()),
            iss_onbehalfof: details.and_then(|details| details.iss_onbehalfof.as_deref()),
            authorization_details: details.and_then(|details| details.authorization_details.as_ref()).map(AuthorizationDetails::expose),
            pid: details.and_then(|details| details.pid.as_ref()).map(Private::expose),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::hash::{BuildHasher, RandomState};

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("", InvalidAuthorizationDetails::NotJson)]
    #[case("[", InvalidAuthorizationDetails::NotJson)]
    #[case("{\"type\":\"a\"}", InvalidAuthorizationDetails::NotAnArrayOfObjects)]
    #[case("[]", InvalidAuthorizationDetails::NotAnArrayOfObjects)]
    #[case("[\"a\"]", InvalidAuthorizationDetails::NotAnArrayOfObjects)]
    #[case("[{}]", InvalidAuthorizationDetails::NoType)]
    #[case("[{\"type\":1}]", InvalidAuthorizationDetails::NoType)]
    fn what_is_no_authorization_details(#[case] text: &str, #[case] error: InvalidAuthorizationDetails) {
        assert_eq!(AuthorizationDetails::parse(text), Err(error));
    }

    #[test]
    fn authorization_details_compare_as_json() {
        let one = AuthorizationDetails::parse(r#"[{"type":"a","x":{"c":1,"b":[1,2]}}]"#).unwrap();
        let same = AuthorizationDetails::parse(r#" [ {"x" : {"b":[1, 2],"c":1}, "type":"\u0061"} ]"#).unwrap();
        let other = AuthorizationDetails::parse(r#"[{"type":"a","x":{"c":1,"b":[2,1]}}]"#).unwrap();
        assert_eq!(one, same);
        assert_ne!(one, other);
    }

    #[test]
    fn what_is_sent_is_what_was_said() {
        for (text, canonical) in [
            (r#"[{"type":"a","n":12345678901234567890123}]"#, r#"[{"n":12345678901234567890123,"type":"a"}]"#),
            (r#"[{"type":"b","n":1e400,"type":"a"}]"#, r#"[{"n":1e400,"type":"a"}]"#),
            (r#"[{"type":"b","\u0074ype":"\u0061"}]"#, r#"[{"type":"a"}]"#),
            (
                r#"[{"type":"a","x":{"$serde_json::private::RawValue":"[1]"}}]"#,
                r#"[{"type":"a","x":{"$serde_json::private::RawValue":"[1]"}}]"#,
            ),
            (r#"[ { "type" : "a" , "e" : [ { } , [ ] , null , true ] } ]"#, r#"[{"e":[{},[],null,true],"type":"a"}]"#),
        ] {
            let details = AuthorizationDetails::parse(text).unwrap();
            assert_eq!((details.expose(), details.types().collect::<Vec<_>>()), (canonical, vec!["a"]));
        }
        let hidden = r#"[{"$serde_json::private::RawValue":"{\"type\":\"a\"}"}]"#;
        assert_eq!(AuthorizationDetails::parse(hidden), Err(InvalidAuthorizationDetails::NoType));
        let nested = |depth: usize| format!(r#"[{{"type":"a","x":{}{}}}]"#, "[".repeat(depth), "]".repeat(depth));
        assert!(AuthorizationDetails::parse(&nested(60)).is_ok());
        assert_eq!(AuthorizationDetails::parse(&nested(4000)), Err(InvalidAuthorizationDetails::NotJson));
        assert_eq!(AuthorizationDetails::parse(r#"[{"type":"\ud800"}]"#), Err(InvalidAuthorizationDetails::NotJson));
    }

    #[test]
    fn only_a_system_user_is_surely_no_person() {
        let request = |details: Details| TokenRequest::new(IntegrationId(0), Scopes::parse("a").unwrap()).with(details);
        let about = |text: &str| request(Details { authorization_details: AuthorizationDetails::parse(text).ok(), ..Details::default() });
        assert!(!request(Details::default()).may_name_a_person());
        assert!(!about(r#"[{"type":"urn:altinn:systemuser"}]"#).may_name_a_person());
        assert!(about(r#"[{"type":"urn:altinn:consent"}]"#).may_name_a_person());
        assert!(about(r#"[{"type":"urn:altinn:systemuser"},{"type":"new"}]"#).may_name_a_person());
        assert!(request(Details { pid: Some(Private::new("23079422568")), ..Details::default() }).may_name_a_person());
    }

    #[test]
    fn debug_output_names_no_person() {
        let request = TokenRequest::new(IntegrationId(0), Scopes::parse("a").unwrap()).with(Details {
            pid: Some(Private::new("23079422568")),
            authorization_details: AuthorizationDetails::parse(
                r#"[{"type":"urn:altinn:consent","from":"urn:altinn:person:identifier-no:23079422568"}]"#,
            )
            .ok(),
            ..Details::default()
        });
        assert!(!format!("{request:?}").contains("23079422568"));
    }

    /// A request as its parts, before anything is normalised.
    type Parts = (u32, Vec<String>, Vec<String>, Option<String>, Option<String>, Option<String>, Option<(bool, bool)>);

    /// Which of two authorization details, and in which of two ways it is written.
    const DETAILS: [[&str; 2]; 2] = [
        [r#"[{"type":"a","x":{"b":1,"c":[2,3]}}]"#, r#"[ {"x": {"c": [2, 3], "b": 1}, "type": "\u0061"} ]"#],
        [r#"[{"type":"a","x":{"b":1,"c":[3,2]}}]"#, r#"[{"x":{"c":[3,2],"b":1},"type":"a"}]"#],
    ];

    fn parts() -> impl Strategy<Value = Parts> {
        let few = prop::collection::vec("[ab]", 1..3);
        let one = || prop::option::of("[12]");
        let details = prop::option::of(any::<(bool, bool)>());
        (0..2u32, few, prop::collection::vec("[ab]", 0..3), one(), one(), one(), details)
    }

    fn made(parts: &Parts) -> TokenRequest {
        let (integration, scopes, resource, consumer_org, iss_onbehalfof, pid, details) = parts.clone();
        TokenRequest::new(IntegrationId(integration), Scopes::parse(&scopes.join(" ")).unwrap()).with(Details {
            resource,
            consumer_org: consumer_org.map(Into::into),
            iss_onbehalfof: iss_onbehalfof.map(Into::into),
            authorization_details: details
                .map(|(which, how)| AuthorizationDetails::parse(DETAILS[usize::from(which)][usize::from(how)]).unwrap()),
            pid: pid.map(Private::new),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn equal_requests_and_only_those_have_equal_keys(left in parts(), right in parts()) {
            let sets = |parts: &Parts| {
                let set = |texts: &Vec<String>| texts.iter().cloned().collect::<BTreeSet<_>>();
                (parts.0, set(&parts.1), set(&parts.2), parts.3.clone(), parts.4.clone(), parts.5.clone(), parts.6.map(|(which, _)| which))
            };
            let (one, other) = (made(&left), made(&right));
            prop_assert_eq!(one == other, sets(&left) == sets(&right));
            let state = RandomState::new();
            if one == other {
                prop_assert_eq!(state.hash_one(&one), state.hash_one(&other));
            }
        }

        #[test]
        fn no_authorization_details_make_it_panic(text in any::<String>()) {
            let _ = AuthorizationDetails::parse(&text);
        }
    }
}
