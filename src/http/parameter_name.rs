//! What the parameters of a token request are called.

/// A parameter of `/token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Iss,
    Scope,
    Resource,
    ConsumerOrg,
    IssOnBehalfOf,
    AuthorizationDetails,
    Pid,
}

impl Name {
    /// Headers also with hyphens, for some proxies drop names with an underscore. In lower case, as the parser gives them.
    pub(super) fn of_header(name: &str) -> Option<Self> {
        match name {
            "iss" => Some(Self::Iss),
            "scope" => Some(Self::Scope),
            "resource" => Some(Self::Resource),
            "consumer_org" | "consumer-org" => Some(Self::ConsumerOrg),
            "iss_onbehalfof" | "iss-onbehalfof" => Some(Self::IssOnBehalfOf),
            "authorization_details" | "authorization-details" => Some(Self::AuthorizationDetails),
            "pid" => Some(Self::Pid),
            _ => None,
        }
    }

    /// As requests, rules and errors call it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Iss => "iss",
            Self::Scope => "scope",
            Self::Resource => "resource",
            Self::ConsumerOrg => "consumer_org",
            Self::IssOnBehalfOf => "iss_onbehalfof",
            Self::AuthorizationDetails => "authorization_details",
            Self::Pid => "pid",
        }
    }
}
