//! The policy that file and model are made from, and the model: contract.md's rules, with nothing indexed.

use Verdict::{Allowed, Refused};

use crate::support::*;

pub(crate) const SYSTEM_USER: &str = "urn:altinn:systemuser";
pub(crate) const CONSENT: &str = "urn:altinn:consent";
pub(crate) const API: &str = "https://api.example.no";
pub(crate) const OTHER_API: &str = "https://other.example.no";
pub(crate) const OTHER_CONSUMER: &str = "313367002";
pub(crate) const PID: &str = "01017012345";

/// A rule of the model. `["*"]` is any value.
pub(crate) struct Rule {
    pub(crate) integration: &'static str,
    pub(crate) scopes: &'static [&'static str],
    pub(crate) consumer_org: &'static [&'static str],
    pub(crate) iss_onbehalfof: &'static [&'static str],
    pub(crate) resource: &'static [&'static str],
    pub(crate) details: &'static [&'static str],
    pub(crate) pid: bool,
    pub(crate) requires: &'static [&'static str],
}

pub(crate) const NOTHING: Rule =
    Rule { integration: "", scopes: &[], consumer_org: &[], iss_onbehalfof: &[], resource: &[], details: &[], pid: false, requires: &[] };

pub(crate) struct Caller {
    pub(crate) name: &'static str,
    pub(crate) networks: &'static [&'static str],
    pub(crate) rules: &'static [Rule],
}

impl Caller {
    /// Its API key: by name, so that nobody has to look it up.
    pub(crate) fn key(&self) -> String {
        format!("key-of-{}", self.name)
    }
}

/// The policy, from which file and model are made.
pub(crate) const CALLERS: &[Caller] = &[
    Caller {
        name: "plain",
        networks: &[],
        rules: &[
            Rule { integration: "freg", scopes: &["test:1", "test:2"], ..NOTHING },
            Rule { integration: "krr", scopes: &[KRR_SCOPE], ..NOTHING },
        ],
    },
    Caller {
        name: "wide",
        networks: &[],
        rules: &[Rule {
            integration: "freg",
            scopes: &["test:*"],
            consumer_org: &["*"],
            iss_onbehalfof: &["*"],
            resource: &["*"],
            details: &["*"],
            pid: true,
            ..NOTHING
        }],
    },
    // Each has a half; no request may have both.
    Caller {
        name: "halves",
        networks: &[],
        rules: &[
            Rule { integration: "freg", scopes: &["test:1"], consumer_org: &[CONSUMER], details: &[SYSTEM_USER], ..NOTHING },
            Rule { integration: "freg", scopes: &["test:2"], resource: &[API], pid: true, ..NOTHING },
            Rule { integration: "freg", scopes: &["test:1", "test:2"], iss_onbehalfof: &["supplier"], ..NOTHING },
        ],
    },
    Caller {
        name: "requiring",
        networks: &[],
        rules: &[
            Rule { integration: "freg", scopes: &["test:1*"], consumer_org: &["*"], requires: &["consumer_org"], ..NOTHING },
            Rule {
                integration: "freg",
                scopes: &["test:2"],
                pid: true,
                resource: &[API, OTHER_API],
                requires: &["pid", "resource"],
                ..NOTHING
            },
            Rule {
                integration: "freg",
                scopes: &["test:3"],
                details: &[SYSTEM_USER, CONSENT],
                requires: &["authorization_details"],
                ..NOTHING
            },
            Rule { integration: "freg", scopes: &["test:3"], iss_onbehalfof: &["supplier"], requires: &["iss_onbehalfof"], ..NOTHING },
        ],
    },
    Caller {
        name: "near",
        networks: &["127.0.0.2/32", "10.0.0.0/8"],
        rules: &[Rule { integration: "freg", scopes: &["*"], consumer_org: &[CONSUMER, OTHER_CONSUMER], ..NOTHING }],
    },
    Caller { name: "home", networks: &["127.0.0.0/8"], rules: &[Rule { integration: "krr", scopes: &["krr:*"], ..NOTHING }] },
];

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) from: u8,
    pub(crate) key: String,
    pub(crate) iss: String,
    pub(crate) scopes: Vec<&'static str>,
    pub(crate) consumer_org: Option<&'static str>,
    pub(crate) iss_onbehalfof: Option<&'static str>,
    pub(crate) resource: Vec<&'static str>,
    pub(crate) details: Vec<&'static str>,
    pub(crate) pid: bool,
}

/// The answer: a token (or Maskinporten's refusal of what we allow), or a refusal of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    Refused(u16, &'static str),
}

/// The policy in one page, as contract.md has it, with nothing indexed.
pub(crate) fn verdict(wanted: &Wanted) -> Verdict {
    let Some(caller) = CALLERS.iter().find(|caller| caller.key() == wanted.key) else { return Refused(401, "invalid_client") };
    // Enough of CIDR for the networks above.
    let within = |network: &&str| match *network {
        "127.0.0.2/32" => wanted.from == 2,
        "127.0.0.0/8" => true,
        _ => false,
    };
    if !caller.networks.is_empty() && !caller.networks.iter().any(within) {
        return Refused(403, "access_denied");
    }
    if wanted.consumer_org.is_some() && wanted.iss_onbehalfof.is_some() {
        return Refused(400, "invalid_request");
    }
    let named = |rule: &&Rule| {
        wanted.iss == rule.integration
            || wanted.iss
                == match rule.integration {
                    "freg" => FREG,
                    _ => KRR,
                }
    };
    let rules: Vec<&Rule> = caller.rules.iter().filter(named).collect();
    if rules.is_empty() {
        return Refused(403, "unauthorized_client");
    }
    let matches = |pattern: &str, scope: &str| pattern.strip_suffix('*').map_or(pattern == scope, |start| scope.starts_with(start));
    let all_scopes = |rule: &&&Rule| wanted.scopes.iter().all(|scope| rule.scopes.iter().any(|pattern| matches(pattern, scope)));
    let rules: Vec<&&Rule> = rules.iter().filter(all_scopes).collect();
    if rules.is_empty() {
        return Refused(403, "invalid_scope");
    }
    let permits = |permitted: &[&str], value: &str| permitted == ["*"] || permitted.contains(&value);
    let given = |name: &str| match name {
        "consumer_org" => wanted.consumer_org.is_some(),
        "iss_onbehalfof" => wanted.iss_onbehalfof.is_some(),
        "resource" => !wanted.resource.is_empty(),
        "authorization_details" => !wanted.details.is_empty(),
        _ => wanted.pid,
    };
    let allows = |rule: &&&Rule| {
        wanted.consumer_org.is_none_or(|value| permits(rule.consumer_org, value))
            && wanted.iss_onbehalfof.is_none_or(|value| permits(rule.iss_onbehalfof, value))
            && wanted.resource.iter().all(|value| permits(rule.resource, value))
            && wanted.details.iter().all(|value| permits(rule.details, value))
            && (rule.pid || !wanted.pid)
            && rule.requires.iter().all(|name| given(name))
    };
    if rules.into_iter().any(|rule| allows(&rule)) { Allowed } else { Refused(403, "access_denied") }
}

pub(crate) fn list(texts: &[&str]) -> String {
    format!("{texts:?}")
}

pub(crate) fn caller_tables() -> String {
    let rule = |rule: &Rule| {
        let mut text = format!("  {{ integration = {:?}, scopes = {}", rule.integration, list(rule.scopes));
        let lists = [
            ("consumer_org", rule.consumer_org),
            ("iss_onbehalfof", rule.iss_onbehalfof),
            ("resource", rule.resource),
            ("authorization_details", rule.details),
            ("requires", rule.requires),
        ];
        for (name, values) in lists.into_iter().filter(|(_, values)| !values.is_empty()) {
            text = format!("{text}, {name} = {}", list(values));
        }
        text + if rule.pid { ", pid = true },\n" } else { " },\n" }
    };
    let caller = |caller: &Caller| {
        let networks = if caller.networks.is_empty() { String::new() } else { format!("networks = {}\n", list(caller.networks)) };
        let may: String = caller.rules.iter().map(rule).collect();
        format!("[[caller]]\nname = {:?}\nkeys = [{{ sha256 = \"{}\" }}]\n{networks}may = [\n{may}]\n", caller.name, sha256(&caller.key()))
    };
    CALLERS.iter().map(caller).collect()
}
