//! An API definition, as far as a token is concerned, read from an export of either version.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

const CALLOUT: &str = "policy-http-callout";
const ASSIGN_ATTRIBUTES: &str = "policy-assign-attributes";
const TRANSFORM_HEADERS: &str = "transform-headers";

/// Why a file is not a definition.
#[derive(Debug, Error)]
pub(in crate::commands) enum NotADefinition {
    #[error("it is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error(
        "it is neither an export of a v2 API, which has `\"gravitee\": \"2.0.0\"`, nor of a v4 API, which has `\"definitionVersion\": \"V4\"` in its `api`"
    )]
    Version,
}

/// An API, its properties, and its policies that are switched on. It may hold an API key, so it is not printed.
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) properties: Vec<Property>,
    /// Calls of a token service: the callouts that send an API key or a scope, or keep an access token.
    pub(super) callouts: Vec<Callout>,
    /// Values of `Authorization` that are sent to the register.
    pub(super) authorizations: Vec<String>,
    /// Scopes that are set for every plan.
    pub(super) scopes: Vec<String>,
    pub(super) plans: Vec<Plan>,
    /// Errors of the gateway's that have an answer of their own.
    pub(super) response_templates: Vec<String>,
    pub(super) targets: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Property {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
    #[serde(default)]
    pub(super) encrypted: bool,
}

pub(super) struct Plan {
    pub(super) name: String,
    pub(super) scopes: Vec<String>,
    /// Whether the consumer's own API key goes on to the register.
    pub(super) passes_the_key_on: bool,
}

/// The policy HTTP Callout.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Callout {
    #[serde(skip)]
    pub(super) name: String,
    pub(super) method: String,
    pub(super) url: String,
    pub(super) headers: Vec<Named>,
    pub(super) variables: Vec<Named>,
    pub(super) fire_and_forget: bool,
    pub(super) exit_on_error: bool,
    pub(super) error_condition: Option<String>,
    pub(super) error_content: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) value: String,
}

impl Callout {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    fn asks_for_a_token(&self) -> bool {
        self.header("X-Gravitee-Api-Key").is_some()
            || self.header("scope").is_some()
            || self.variables.iter().any(|variable| variable.value.contains("access_token"))
    }
}

impl Definition {
    /// Reads an export.
    pub(super) fn parse(text: &str) -> Result<Self, NotADefinition> {
        let export: Value = serde_json::from_str(text)?;
        let of = |value: &Value, name: &str, version: &str| value.get(name).and_then(Value::as_str) == Some(version);
        let (api, plans) = match export.get("api") {
            Some(api) if of(api, "definitionVersion", "V4") => (api, export.get("plans")),
            None if of(&export, "gravitee", "2.0.0") => (&export, export.get("plans")),
            _ => return Err(NotADefinition::Version),
        };
        let plans: Vec<RawPlan> = plans.map(Vec::deserialize).transpose()?.unwrap_or_default();
        let raw = RawApi::deserialize(api)?;
        let flows = plans.iter().flat_map(|plan| &plan.flows).chain(&raw.flows);
        let steps: Vec<&Step> = flows.flat_map(Flow::steps).collect();
        let callouts = steps.iter().filter(|step| step.policy == CALLOUT).filter_map(|step| step.callout());
        Ok(Self {
            callouts: callouts.filter(Callout::asks_for_a_token).collect(),
            authorizations: steps.iter().flat_map(|step| step.added("addHeaders", TRANSFORM_HEADERS, "Authorization")).collect(),
            scopes: scopes(&raw.flows),
            plans: plans.iter().map(RawPlan::plan).collect(),
            response_templates: raw.response_templates.into_keys().collect(),
            name: raw.name,
            properties: raw.properties,
            targets: targets(api),
        })
    }

    pub(super) fn property(&self, key: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.key == key)
    }
}

#[derive(Deserialize)]
struct RawApi {
    #[serde(default)]
    name: String,
    #[serde(default)]
    properties: Vec<Property>,
    #[serde(default)]
    flows: Vec<Flow>,
    #[serde(default, alias = "responseTemplates")]
    response_templates: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct RawPlan {
    #[serde(default)]
    name: String,
    #[serde(default)]
    flows: Vec<Flow>,
    /// v4: an object with a `configuration`. v2: the kind's name.
    #[serde(default)]
    security: Value,
    /// v2: JSON in a text.
    #[serde(default, rename = "securityDefinition")]
    security_definition: Option<String>,
}

impl RawPlan {
    fn plan(&self) -> Plan {
        let configuration = match &self.security_definition {
            Some(text) => serde_json::from_str(text).unwrap_or_default(),
            None => self.security.get("configuration").cloned().unwrap_or_default(),
        };
        let passes_the_key_on = configuration.get("propagateApiKey").and_then(Value::as_bool) == Some(true);
        Plan { name: self.name.clone(), scopes: scopes(&self.flows), passes_the_key_on }
    }
}

#[derive(Deserialize)]
struct Flow {
    #[serde(default = "switched_on")]
    enabled: bool,
    /// `pre` in v2.
    #[serde(default, alias = "pre")]
    request: Vec<Step>,
}

impl Flow {
    fn steps(&self) -> impl Iterator<Item = &Step> {
        self.request.iter().filter(|step| self.enabled && step.enabled)
    }
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    name: String,
    #[serde(default = "switched_on")]
    enabled: bool,
    #[serde(default)]
    policy: String,
    #[serde(default)]
    configuration: Value,
}

fn switched_on() -> bool {
    true
}

impl Step {
    fn callout(&self) -> Option<Callout> {
        let callout = Callout::deserialize(&self.configuration).ok()?;
        let name = if self.name.is_empty() { "HTTP Callout" } else { &self.name };
        Some(Callout { name: name.to_owned(), ..callout })
    }

    /// Values that this step gives to `name`, when it is of this policy: its `list` is one of names and values.
    fn added(&self, list: &str, policy: &str, name: &str) -> Vec<String> {
        let named = self.configuration.get(list).filter(|_| self.policy == policy);
        let named: Vec<Named> = named.and_then(|list| Vec::deserialize(list).ok()).unwrap_or_default();
        named.into_iter().filter(|named| named.name.eq_ignore_ascii_case(name)).map(|named| named.value).collect()
    }
}

fn scopes(flows: &[Flow]) -> Vec<String> {
    flows.iter().flat_map(Flow::steps).flat_map(|step| step.added("attributes", ASSIGN_ATTRIBUTES, "scope")).collect()
}

/// Back-ends: every `target`, wherever the version has it.
fn targets(value: &Value) -> Vec<String> {
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(target) if key == "target" => vec![target.clone()],
                value => targets(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(targets).collect(),
        _ => Vec::new(),
    }
}
