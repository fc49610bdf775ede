//! What a caller may have of one integration.

use std::collections::HashSet;

use crate::tokens::{AuthorizationDetails, Details, IntegrationId, TokenRequest};

/// One rule. A request is allowed when one rule allows all of it; rules are not added up.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Scopes; one that ends in `*` stands for all that begin so.
    pub scopes: Vec<String>,
    /// Values of `consumer_org` that may be given.
    pub consumer_org: Permitted,
    /// Values of `iss_onbehalfof` that may be given.
    pub iss_onbehalfof: Permitted,
    /// Values of `resource` that may be given.
    pub resource: Permitted,
    /// Types of `authorization_details` that may be given.
    pub authorization_details: Permitted,
    /// Whether a person may be named.
    pub pid: bool,
    /// What must be given.
    pub requires: Vec<Parameter>,
}

/// Which values of a parameter may be given. Giving none is always allowed, unless it is required.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permitted {
    /// Every value.
    Any,
    /// These, exactly.
    These(HashSet<Box<str>>),
}

impl Default for Permitted {
    fn default() -> Self {
        Self::These(HashSet::new())
    }
}

impl Permitted {
    fn permits(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(values) => values.contains(value),
        }
    }
}

/// A parameter of a token request beyond `iss` and `scope`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// `consumer_org`
    ConsumerOrg,
    /// `iss_onbehalfof`
    IssOnBehalfOf,
    /// `resource`
    Resource,
    /// `authorization_details`
    AuthorizationDetails,
    /// `pid`
    Pid,
}

impl Parameter {
    /// All of them, in the order in which a refusal names them.
    pub const ALL: [Self; 5] = [Self::ConsumerOrg, Self::IssOnBehalfOf, Self::Resource, Self::AuthorizationDetails, Self::Pid];

    /// As requests and the operator's file call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsumerOrg => "consumer_org",
            Self::IssOnBehalfOf => "iss_onbehalfof",
            Self::Resource => "resource",
            Self::AuthorizationDetails => "authorization_details",
            Self::Pid => "pid",
        }
    }
}

/// Why no rule allows a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No rule has all of its scopes.
    Scope,
    /// A rule has its scopes, but none also permits what was given for this parameter.
    NotPermitted(Parameter),
    /// A rule has its scopes, but none lets this parameter out.
    Required(Parameter),
}

/// What a caller may have of one integration: its rules, indexed.
#[derive(Debug)]
pub struct Entitlement {
    integration: IntegrationId,
    rules: Vec<IndexedRule>,
}

#[derive(Debug)]
struct IndexedRule {
    scopes: HashSet<Box<str>>,
    /// What scopes that end in `*` have before it.
    scope_prefixes: Box<[Box<str>]>,
    rule: Rule,
}

impl Entitlement {
    pub(super) fn new(integration: IntegrationId) -> Self {
        Self { integration, rules: Vec::new() }
    }

    pub(super) fn add(&mut self, rule: Rule) {
        let scope_prefixes = rule.scopes.iter().filter_map(|scope| scope.strip_suffix('*')).map(Into::into).collect();
        let exact = rule.scopes.iter().filter(|scope| !scope.ends_with('*'));
        self.rules.push(IndexedRule { scopes: exact.map(|scope| scope.as_str().into()).collect(), scope_prefixes, rule });
    }

    /// Of which integration.
    pub fn integration(&self) -> IntegrationId {
        self.integration
    }

    /// Whether one rule allows all of a request.
    ///
    /// # Errors
    ///
    /// [`Denial`]: what stands against it, in the rule that comes nearest.
    pub fn allow(&self, request: &TokenRequest) -> Result<(), Denial> {
        let mut denial = Denial::Scope;
        for rule in self.rules.iter().filter(|rule| rule.has_all_scopes(request)) {
            match rule.objection(request.details()) {
                None => return Ok(()),
                Some(objection) if denial == Denial::Scope => denial = objection,
                Some(_) => {}
            }
        }
        Err(denial)
    }
}

impl IndexedRule {
    fn has_all_scopes(&self, request: &TokenRequest) -> bool {
        request
            .scopes()
            .iter()
            .all(|scope| self.scopes.contains(scope) || self.scope_prefixes.iter().any(|prefix| scope.starts_with(&**prefix)))
    }

    fn objection(&self, details: Option<&Details>) -> Option<Denial> {
        if let Some(details) = details
            && let Some(parameter) = Parameter::ALL.into_iter().find(|parameter| !self.permits(*parameter, details))
        {
            return Some(Denial::NotPermitted(parameter));
        }
        let missing = |parameter: &&Parameter| !details.is_some_and(|details| is_given(**parameter, details));
        self.rule.requires.iter().find(missing).copied().map(Denial::Required)
    }

    fn permits(&self, parameter: Parameter, details: &Details) -> bool {
        let rule = &self.rule;
        match parameter {
            Parameter::ConsumerOrg => details.consumer_org.iter().all(|value| rule.consumer_org.permits(value)),
            Parameter::IssOnBehalfOf => details.iss_onbehalfof.iter().all(|value| rule.iss_onbehalfof.permits(value)),
            Parameter::Resource => details.resource.iter().all(|value| rule.resource.permits(value)),
            Parameter::AuthorizationDetails => {
                let mut types = details.authorization_details.iter().flat_map(AuthorizationDetails::types);
                types.all(|name| rule.authorization_details.permits(name))
            }
            Parameter::Pid => rule.pid || details.pid.is_none(),
        }
    }
}

fn is_given(parameter: Parameter, details: &Details) -> bool {
    match parameter {
        Parameter::ConsumerOrg => details.consumer_org.is_some(),
        Parameter::IssOnBehalfOf => details.iss_onbehalfof.is_some(),
        Parameter::Resource => !details.resource.is_empty(),
        Parameter::AuthorizationDetails => details.authorization_details.is_some(),
        Parameter::Pid => details.pid.is_some(),
    }
}
