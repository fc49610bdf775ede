//! `[[caller]]`: who may ask, with which API keys, from where, and for what.

use std::path::Path;

use super::checks::Names;
use super::findings::Findings;
use super::mistake::{Place, Severity};
use super::reader::{Field, Item, Table, listed, nearest, quotable};
use super::{ApiKey, Caller, File, Parameter, Permitted, Rule, digest, secret_files, values};

const NAME: Field = Field::new("name", "\"gravitee-freg\"");
const KEYS: Field = Field::new("keys", "[{ sha256 = \"64 hex digits\" }]");
const NETWORKS: Field = Field::new("networks", "[\"10.20.0.0/16\"]");
const MAY: Field = Field::new("may", "[{ integration = \"freg-test\", scopes = [\"folkeregister:deling/*\"] }]");

const SHA256: Field = Field::new("sha256", "\"64 hex digits\"");
const FILE: Field = Field::new("file", "\"/run/secrets/freg-api-key\"");
const EXPIRES: Field = Field::new("expires", "2027-01-31");

const INTEGRATION: Field = Field::new("integration", "\"freg-test\"");
const SCOPES: Field = Field::new("scopes", "[\"folkeregister:deling/*\"]");
const CONSUMER_ORG: Field = Field::new("consumer_org", "[\"889640782\"]");
const ISS_ONBEHALFOF: Field = Field::new("iss_onbehalfof", "[\"889640782\"]");
const RESOURCE: Field = Field::new("resource", "[\"https://api.example.no\"]");
const AUTHORIZATION_DETAILS: Field = Field::new("authorization_details", "[\"urn:altinn:systemuser\"]");
const PID: Field = Field::new("pid", "true");
const REQUIRES: Field = Field::new("requires", "[\"consumer_org\"]");

const PARAMETERS: [(&str, Parameter); 5] = [
    ("consumer_org", Parameter::ConsumerOrg),
    ("iss_onbehalfof", Parameter::IssOnBehalfOf),
    ("resource", Parameter::Resource),
    ("authorization_details", Parameter::AuthorizationDetails),
    ("pid", Parameter::Pid),
];

const HASH_IT: &str = "give the key to `portvakt api-key hash` on its standard input, and write the 64 hex digits that it prints";
/// A longer API key is an unknown one to every door.
const LONGEST_API_KEY: usize = 256;

/// One `[[caller]]`.
pub(super) fn caller<'t>(mut table: Table<'t>, directory: &Path, names: &mut Names<'t>, findings: &mut Findings) -> Option<Caller> {
    let name = table.required(NAME, findings);
    let owner = names.caller(name);
    let name = name.and_then(|item| values::label(item, findings));
    let mut keys = Vec::new();
    for item in at_least_one(table.required(KEYS, findings), "a caller without keys can never ask", findings) {
        let Some(key) = api_key(item, directory, findings) else { continue };
        names.digest(key.sha256, item.place, owner);
        keys.push(key);
    }
    let networks = table.optional(NETWORKS).map_or_else(Vec::new, |item| networks(item, findings));
    let may = at_least_one(table.required(MAY, findings), "a caller that may have nothing needs no key", findings);
    let may: Vec<Rule> = may.into_iter().filter_map(|item| rule(item, names, findings)).collect();
    table.finish(findings);
    Some(Caller { name: name?.to_owned(), keys, networks, may })
}

/// The elements of a list that makes no sense without any.
fn at_least_one<'t>(item: Option<Item<'t>>, text_if_empty: &str, findings: &mut Findings) -> Vec<Item<'t>> {
    let Some(item) = item else { return Vec::new() };
    let Some(elements) = item.list(findings) else { return Vec::new() };
    if elements.is_empty() {
        item.wrong(format!("`{}` is empty: {text_if_empty}", item.field.name), findings);
    }
    elements
}

fn api_key(item: Item<'_>, directory: &Path, findings: &mut Findings) -> Option<ApiKey> {
    let Some(mut table) = item.as_table("a key") else {
        findings.secret(item.place); // most likely the key itself
        findings.mistake(
            item.place,
            "a key is a table with its digest, or with the name of a file that holds it",
            "write `{ sha256 = \"64 hex digits\" }` or `{ file = \"FILE\" }`",
        );
        return None;
    };
    let sha256 = table.optional(SHA256);
    let file = table.optional(FILE);
    let expires = table.optional(EXPIRES).map_or(Some(None), |item| values::expiry(item, findings).map(Some));
    table.finish(findings);
    let key = match (sha256, file) {
        (Some(item), None) => digest_in_file(item, findings).map(|sha256| (sha256, None)),
        (None, Some(item)) => key_file(item, directory, findings).map(|(sha256, file)| (sha256, Some(file))),
        (Some(_), Some(_)) => {
            findings.mistake(item.place, "`sha256` and `file` together: which of the two is the key?", "leave one of them out");
            None
        }
        (None, None) => {
            findings.missing(
                item.place,
                "this key has neither `sha256` nor `file`",
                "write `{ sha256 = \"64 hex digits\" }` or `{ file = \"FILE\" }`",
            );
            None
        }
    };
    let (sha256, file) = key?;
    Some(ApiKey { sha256, expires: expires?, file })
}

fn digest_in_file(item: Item<'_>, findings: &mut Findings) -> Option<[u8; 32]> {
    let Some(text) = item.text(findings) else {
        findings.secret(item.place);
        return None;
    };
    if let Some(digest) = digest::from_hex(text) {
        let usable = digest != digest::of(b"");
        if !usable {
            findings.mistake(item.place, "this is the digest of an empty text, not of a key", HASH_IT);
        }
        return usable.then_some(digest);
    }
    let mistake = if text.starts_with("pv_") {
        "this is an API key itself: only its digest belongs here".to_owned()
    } else {
        format!("`sha256` is not a digest: that has 64 hex digits, and this has {} characters", text.chars().count())
    };
    findings.secret(item.place);
    findings.mistake(item.place, mistake, HASH_IT);
    None
}

fn key_file(item: Item<'_>, directory: &Path, findings: &mut Findings) -> Option<([u8; 32], File)> {
    let file = secret_files::secret(item, directory, findings)?;
    let key = file.without_line_break();
    let path = quotable(&file.path.display().to_string());
    let mistake = if key.is_empty() {
        format!("`{path}` holds a line break and nothing else")
    } else if key.len() > LONGEST_API_KEY {
        format!("the key in `{path}` has {} bytes, and {LONGEST_API_KEY} are the most that a request can bring", key.len())
    } else if !key.iter().all(u8::is_ascii_graphic) {
        format!("the key in `{path}` has a character that no header can bring: a space, a line break, or one beyond ASCII")
    } else if key.eq_ignore_ascii_case(b"null") || key.windows(2).any(|pair| pair == b"{#") {
        format!("the key in `{path}` is a text that means in a request that no key was given")
    } else {
        return Some((digest::of(key), file));
    };
    findings.secret_file(Severity::Error, item.place, mistake, "make one with `portvakt api-key new` and write it into the file");
    None
}

fn networks(item: Item<'_>, findings: &mut Findings) -> Vec<ipnet::IpNet> {
    let Some(texts) = item.texts(findings) else { return Vec::new() };
    if texts.is_empty() {
        findings.mistake(
            item.place,
            "`networks` is empty, and nobody can ask from nowhere",
            "leave `networks` out to allow all, or name one",
        );
    }
    texts.into_iter().filter_map(|(text, item)| values::network(text, item, findings)).collect()
}

fn rule<'t>(item: Item<'t>, names: &mut Names<'t>, findings: &mut Findings) -> Option<Rule> {
    let Some(mut table) = item.as_table("a rule") else {
        findings.mistake(item.place, "a rule of `may` is a table", MAY.help());
        return None;
    };
    let target = table.required(INTEGRATION, findings);
    let integration = target.and_then(|item| item.text(findings));
    if let (Some(target), Some(name)) = (target, integration) {
        names.rule(name, target.place);
    }
    let (scopes, scope_places) = scopes(table.required(SCOPES, findings), findings).into_iter().unzip();
    let mut permitted = |field, good: Check| table.optional(field).map_or(Permitted::NOTHING, |item| permitted(item, good, findings));
    let consumer_org = permitted(CONSUMER_ORG, values::organisation_number);
    let iss_onbehalfof = permitted(ISS_ONBEHALFOF, values::header_value);
    let resource = permitted(RESOURCE, values::header_value);
    let authorization_details = permitted(AUTHORIZATION_DETAILS, values::header_value);
    let pid = table.optional(PID).and_then(|item| item.boolean(findings)).unwrap_or_default();
    let requires = table.optional(REQUIRES);
    table.finish(findings);
    let mut rule = Rule {
        integration: integration?.to_owned(),
        scopes,
        scope_places,
        consumer_org,
        iss_onbehalfof,
        resource,
        authorization_details,
        pid,
        requires: Vec::new(),
    };
    rule.requires = requires.map_or_else(Vec::new, |item| required_parameters(item, &rule, findings));
    Some(rule)
}

fn scopes(item: Option<Item<'_>>, findings: &mut Findings) -> Vec<(String, Place)> {
    let Some(item) = item else { return Vec::new() };
    let Some(texts) = item.texts(findings) else { return Vec::new() };
    if texts.is_empty() {
        item.wrong("`scopes` is empty: every token is for a scope", findings);
    }
    let good = texts.into_iter().filter(|(text, item)| values::scope_pattern(text, *item, findings));
    good.map(|(text, item)| (text.to_owned(), item.place)).collect()
}

type Check = fn(&str, Item<'_>, &mut Findings) -> bool;

fn permitted(item: Item<'_>, good: Check, findings: &mut Findings) -> Permitted {
    let texts = item.texts(findings).unwrap_or_default();
    if matches!(texts.as_slice(), [("*", _)]) {
        return Permitted::Any;
    }
    let mut these = Vec::new();
    for (text, item) in texts {
        if text.contains('*') {
            let name = item.field.name;
            findings.mistake(
                item.place,
                format!("`*` in `{name}` stands for any value, and then alone"),
                format!("write `{name} = [\"*\"]`, or each value in full"),
            );
        } else if good(text, item, findings) {
            these.push(text.to_owned());
        }
    }
    Permitted::These(these)
}

fn required_parameters(item: Item<'_>, rule: &Rule, findings: &mut Findings) -> Vec<Parameter> {
    let mut required = Vec::new();
    for (name, item) in item.texts(findings).unwrap_or_default() {
        let Some((_, parameter)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
            let known = PARAMETERS.map(|(known, _)| known);
            let help =
                nearest(name, &known).map_or_else(|| format!("known here: {}", listed(&known)), |known| format!("write \"{known}\""));
            findings.mistake(item.place, format!("`{}` is not a parameter that a rule can require", quotable(name)), help);
            continue;
        };
        if !permits(rule, *parameter) {
            let value = if *parameter == Parameter::Pid { "true" } else { "[\"*\"]" };
            let text = format!("this rule requires `{name}` and permits none: no request could ever match it");
            findings.mistake(item.place, text, format!("permit it, for example `{name} = {value}`, or do not require it"));
        }
        required.push(*parameter);
    }
    if [Parameter::ConsumerOrg, Parameter::IssOnBehalfOf].iter().all(|parameter| required.contains(parameter)) {
        let text = "this rule requires `consumer_org` and `iss_onbehalfof`: a request with both is refused";
        findings.mistake(item.place, text, "make a rule for each of the two");
    }
    required
}

fn permits(rule: &Rule, parameter: Parameter) -> bool {
    let permitted = match parameter {
        Parameter::ConsumerOrg => &rule.consumer_org,
        Parameter::IssOnBehalfOf => &rule.iss_onbehalfof,
        Parameter::Resource => &rule.resource,
        Parameter::AuthorizationDetails => &rule.authorization_details,
        Parameter::Pid => return rule.pid,
    };
    *permitted != Permitted::NOTHING
}
