//! What is wrong with a definition, and what to do about it. None of it shows an API key.

use reqwest::Url;

use super::definition::{Callout, Definition, Property};
use super::{API_KEY_PROPERTY, CLIENT_ID_PROPERTY, TOKEN_URL_PROPERTY};
use crate::config::{Config, Rule};
use crate::maskinporten::Scopes;

/// Something that somebody should know of a definition.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::commands) struct Finding {
    /// Otherwise it works, and somebody should look at it.
    pub(in crate::commands) failed: bool,
    pub(in crate::commands) found: String,
    pub(in crate::commands) remedy: String,
}

fn failed(found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { failed: true, found: found.into(), remedy: remedy.into() }
}

fn warning(found: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { failed: false, found: found.into(), remedy: remedy.into() }
}

const ENCRYPT: &str = "Put it into the property maskinporten_api_key, have the console encrypt it (Properties, Encrypt value), export again, and make a new key with `portvakt api-key new`: this one has been readable.";

/// All of them, in the order of a call.
pub(super) fn findings(definition: &Definition, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if definition.callouts.is_empty() {
        findings.push(failed(
            "no HTTP Callout that is switched on asks for a token",
            "Add the policy to a flow of the API, as deploy/gravitee has it: method GET, the headers X-Gravitee-Api-Key, iss and scope, and a variable for $.access_token.",
        ));
    }
    for callout in &definition.callouts {
        request(callout, &mut findings);
        properties(callout, definition, &mut findings);
        token_url(callout, definition, &mut findings);
        answer(callout, definition, &mut findings);
    }
    rules(definition, config, &mut findings);
    to_the_register(definition, &mut findings);
    findings
}

/// What the callout sends.
fn request(callout: &Callout, findings: &mut Vec<Finding>) {
    let name = &callout.name;
    for header in ["X-Gravitee-Api-Key", "iss", "scope"] {
        let in_query = header != "X-Gravitee-Api-Key" && callout.url.contains(&format!("{header}="));
        if callout.header(header).is_none() && !in_query {
            findings.push(failed(format!("`{name}` sends no {header}"), format!("Add the header {header} to it.")));
        }
    }
    if callout.header("X-Gravitee-Api-Key").is_some_and(|value| !value.is_empty() && !value.contains("{#")) {
        findings.push(failed(format!("`{name}` has the API key in plain text, in its header X-Gravitee-Api-Key"), ENCRYPT));
    }
    if !callout.method.eq_ignore_ascii_case("GET") {
        findings.push(warning(
            format!("`{name}` asks with {}: Portvakt fetches a fresh token from Maskinporten at each call", callout.method),
            "Use GET; POST is for troubleshooting.",
        ));
    }
    if callout.header("X-Request-Id").is_none() {
        findings.push(warning(
            format!("`{name}` sends no X-Request-Id, so a call in the gateway cannot be found in Portvakt's log"),
            "Add the header X-Request-Id with {#request.id}.",
        ));
    }
}

/// Properties that the callout uses.
fn properties(callout: &Callout, definition: &Definition, findings: &mut Vec<Finding>) {
    let texts = callout.headers.iter().map(|header| header.value.as_str()).chain([callout.url.as_str()]);
    for key in texts.filter_map(property_of) {
        let Some(property) = definition.property(key) else {
            findings.push(failed(
                format!("`{}` uses the property {key}, which the definition does not have", callout.name),
                format!("Add the property {key}: {}.", meaning(key)),
            ));
            continue;
        };
        if property.value.trim().is_empty() {
            findings.push(failed(format!("the property {key} is empty"), format!("Fill it in: {}.", meaning(key))));
        } else if is_to_be_filled_in(property) {
            findings.push(warning(
                format!("the property {key} is not filled in yet"),
                format!("Fill it in after the import: {}.", meaning(key)),
            ));
        } else if !property.encrypted && callout.header("X-Gravitee-Api-Key").and_then(property_of) == Some(key) {
            findings.push(failed(format!("the property {key} has the API key in plain text"), ENCRYPT));
        }
    }
}

/// Where the callout goes.
fn token_url(callout: &Callout, definition: &Definition, findings: &mut Vec<Finding>) {
    let Some(text) = value_of(&callout.url, definition) else { return };
    let expected = "It is Portvakt's /token as the gateway reaches it, such as http://portvakt.example.no:8080/token.";
    let wrong = match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => "which is not http".to_owned(),
        Ok(url) if url.path() != "/token" => "which is not Portvakt's /token".to_owned(),
        Ok(_) => return,
        Err(error) => format!("which is no URL: {error}"),
    };
    findings.push(failed(format!("`{}` calls `{}`, {wrong}", callout.name, without_secrets(text)), expected));
}

/// A URL without user, password and query.
fn without_secrets(url: &str) -> &str {
    let address = url.split(['?', '#']).next().unwrap_or_default();
    address.rsplit('@').next().unwrap_or_default()
}

/// What becomes of the answer.
fn answer(callout: &Callout, definition: &Definition, findings: &mut Vec<Finding>) {
    let name = &callout.name;
    if callout.fire_and_forget {
        findings.push(failed(format!("`{name}` does not wait for the answer (fireAndForget)"), "Switch Fire & forget off."));
    }
    if !callout.variables.iter().any(|variable| variable.value.contains("access_token")) {
        findings.push(failed(
            format!("`{name}` keeps no token: none of its variables is made of access_token"),
            "Add the variable token with {#jsonPath(#calloutResponse.content, '$.access_token')}.",
        ));
    }
    if !callout.exit_on_error {
        findings.push(failed(
            format!(
                "`{name}` does not exit on error: a call that got no token goes on, and the register answers 401 with no hint of the cause"
            ),
            "Switch Exit on error on, and give it a status and a fixed text.",
        ));
        return;
    }
    if !callout.error_condition.as_deref().is_some_and(|condition| condition.contains("calloutResponse.status")) {
        findings.push(failed(
            format!("`{name}` has no error condition that looks at the status"),
            "Set it to {#calloutResponse.status >= 400 and #calloutResponse.status <= 599}.",
        ));
    }
    if callout.error_content.as_deref().is_some_and(|content| content.contains("calloutResponse")) {
        findings.push(failed(
            format!("`{name}` tells the consumer what Portvakt answered, and a bare 500 when that was no JSON"),
            "Give it a fixed text with {#request.id}, as deploy/gravitee has it: the cause stands in Portvakt's log under that ID.",
        ));
    }
    if !definition.response_templates.iter().any(|key| key == "CALLOUT_HTTP_ERROR" || key == "DEFAULT") {
        findings.push(warning(
            "there is no response template CALLOUT_HTTP_ERROR: when Portvakt cannot be reached, the consumer is told its address",
            "Add the response templates that deploy/gravitee has.",
        ));
    }
}

/// Whether somebody may have the tokens that the plans ask for.
fn rules(definition: &Definition, config: &Config, findings: &mut Vec<Finding>) {
    if definition.scopes.is_empty() {
        for plan in definition.plans.iter().filter(|plan| plan.scopes.is_empty()) {
            findings.push(failed(
                format!("the plan `{}` sets no scope, and neither does a flow of the API", plan.name),
                "Add the policy Assign attributes to a flow of the plan: attribute scope.",
            ));
        }
    }
    let scopes: Vec<&String> = definition.plans.iter().flat_map(|plan| &plan.scopes).chain(&definition.scopes).collect();
    for callout in &definition.callouts {
        let Some(iss) = callout.header("iss").and_then(|value| value_of(value, definition)) else { continue };
        let Some(integration) = config.integrations.iter().find(|integration| integration.client_id == iss || integration.name == iss)
        else {
            let known: Vec<&str> = config.integrations.iter().map(|integration| integration.client_id.as_str()).collect();
            findings.push(failed(
                // Not what stands there: it may be an API key that went into the wrong property.
                format!("the iss that `{}` sends is no integration of this configuration", callout.name),
                format!("Correct the property {CLIENT_ID_PROPERTY}. There are: {}.", known.join(", ")),
            ));
            continue;
        };
        let may: Vec<&Rule> =
            config.callers.iter().flat_map(|caller| &caller.may).filter(|rule| rule.integration == integration.name).collect();
        for scope in &scopes {
            match Scopes::parse(scope) {
                Ok(scopes) if may.iter().any(|rule| scopes.iter().all(|scope| has(rule, scope))) => {}
                Ok(_) => findings.push(failed(
                    format!("no caller may ask `{}` for `{scope}`: Portvakt answers 403", integration.name),
                    "Add the scope to a rule of the gateway's caller, or correct it in the plan. All scopes of a token must stand in one rule.",
                )),
                Err(error) => findings.push(failed(format!("a plan asks for the scope `{scope}`: {error}"), "Correct it in the plan.")),
            }
        }
    }
}

fn has(rule: &Rule, scope: &str) -> bool {
    rule.scopes.iter().any(|allowed| match allowed.strip_suffix('*') {
        Some(prefix) => scope.starts_with(prefix),
        None => allowed == scope,
    })
}

/// What the register gets.
fn to_the_register(definition: &Definition, findings: &mut Vec<Finding>) {
    if !definition.authorizations.iter().any(|value| value.starts_with("Bearer ") && value.contains("{#")) {
        findings.push(failed(
            "the token is not sent to the register: no policy Transform headers sets Authorization to it",
            "Add Authorization with Bearer {#context.attributes['token']} after the callout.",
        ));
    }
    for plan in definition.plans.iter().filter(|plan| plan.passes_the_key_on) {
        findings.push(failed(
            format!("the plan `{}` sends the consumer's own API key on to the register", plan.name),
            "Switch off Propagate API key to upstream API.",
        ));
    }
    for target in definition.targets.iter().filter(|target| target.contains("kontaktregisteret.no/rest") && !target.contains("/rest/v")) {
        findings.push(failed(
            format!("the back-end {target} lacks the API's version: the register has no such paths"),
            "Write https://kontaktregisteret.no/rest/v1/, in test https://test.kontaktregisteret.no/rest/v1/.",
        ));
    }
}

/// What a text comes to: itself, or the property that it names. None where that is not known, or not filled in.
fn value_of<'a>(text: &'a str, definition: &'a Definition) -> Option<&'a str> {
    if !text.contains("{#") {
        return Some(text);
    }
    let property = definition.property(property_of(text)?)?;
    let known = !is_to_be_filled_in(property) && !property.encrypted && !property.value.trim().is_empty();
    known.then_some(property.value.as_str())
}

/// The property that `{#properties['name']}` names.
fn property_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("#properties[")?;
    let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    rest.get(1..)?.split_once(quote).map(|(key, _)| key)
}

fn is_to_be_filled_in(property: &Property) -> bool {
    property.value.contains("FILL-IN")
}

fn meaning(key: &str) -> &'static str {
    match key {
        TOKEN_URL_PROPERTY => "Portvakt's /token, as the gateway reaches it",
        API_KEY_PROPERTY => "the API key that `portvakt init` or `portvakt api-key new` printed",
        CLIENT_ID_PROPERTY => "the integration's client ID at Maskinporten",
        _ => "it has no value otherwise",
    }
}
