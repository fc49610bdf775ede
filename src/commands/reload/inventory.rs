//! What a configuration comes to, in a form that can be compared with another one.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use secrecy::ExposeSecret;

use crate::commands::banner;
use crate::config::{self, Config, Parameter, Permitted};
use crate::maskinporten::{Algorithm, Client, Environment, OutboundSettings, ProxySettings, Scopes, SigningKey};

/// Beginning of a digest, in bytes: enough to tell one from another.
const BEGINNING: usize = 4;

/// All that two configurations can differ in.
#[derive(Clone, Debug)]
pub(super) struct Inventory {
    pub(super) integrations: Vec<IntegrationItem>,
    pub(super) callers: Vec<CallerItem>,
    pub(super) outbound: OutboundSettings,
    pub(super) deadline: Duration,
    pub(super) max_tokens: u64,
    pub(super) fixed: Fixed,
}

/// What only a restart changes.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    pub(super) listen: SocketAddr,
    pub(super) shutdown_delay: Duration,
    pub(super) shutdown_grace: Duration,
    pub(super) management_listen: SocketAddr,
}

/// An integration.
#[derive(Clone, Debug)]
pub(super) struct IntegrationItem {
    pub(super) name: String,
    pub(super) client_id: String,
    pub(super) environment: Environment,
    pub(super) key: KeyName,
    pub(super) algorithm: Algorithm,
    pub(super) grant_lifetime: Duration,
    pub(super) prefetch: Vec<PrefetchItem>,
}

/// How a key is told from others. Of it there is nothing secret in this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct KeyName {
    /// None for one that is known by its certificate.
    pub(in crate::commands) kid: Option<String>,
    /// SHA-256 of the certificate, in hexadecimal digits; none for a registered key.
    pub(in crate::commands) certificate: Option<String>,
    /// Of the public key (RFC 7638).
    pub(in crate::commands) thumbprint: String,
}

pub(super) type PrefetchItem = (Scopes, Vec<String>, Option<String>, Option<String>);

/// A caller.
#[derive(Clone, Debug)]
pub(super) struct CallerItem {
    pub(super) name: String,
    pub(super) keys: Vec<ApiKeyItem>,
    pub(super) networks: Vec<IpNet>,
    pub(super) rules: Vec<RuleItem>,
}

/// An API key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ApiKeyItem {
    pub(super) sha256: [u8; 32],
    pub(super) expires: Option<Timestamp>,
}

/// A rule, wherever it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RuleItem {
    integration: String,
    scopes: Vec<String>,
    consumer_org: Permitted,
    iss_onbehalfof: Permitted,
    resource: Permitted,
    authorization_details: Permitted,
    pid: bool,
    requires: Vec<Parameter>,
}

impl Inventory {
    /// `clients`: in the order of the file's integrations.
    pub(super) fn of(config: &Config, clients: &[Client], outbound: OutboundSettings) -> Self {
        let integrations = config.integrations.iter().zip(clients);
        Self {
            integrations: integrations.map(|(integration, client)| IntegrationItem::of(integration, client.key())).collect(),
            callers: config.callers.iter().map(CallerItem::of).collect(),
            outbound,
            deadline: config.outbound.deadline,
            max_tokens: config.cache.max_tokens,
            fixed: Fixed {
                listen: config.server.listen,
                shutdown_delay: config.server.shutdown_delay,
                shutdown_grace: config.server.shutdown_grace,
                management_listen: config.management.listen,
            },
        }
    }
}

impl IntegrationItem {
    fn of(integration: &config::Integration, key: &SigningKey) -> Self {
        let prefetch = |prefetch: &config::Prefetch| {
            (prefetch.scopes.clone(), prefetch.resource.clone(), prefetch.consumer_org.clone(), prefetch.iss_onbehalfof.clone())
        };
        Self {
            name: integration.name.clone(),
            client_id: integration.client_id.clone(),
            environment: integration.environment.clone(),
            key: KeyName {
                kid: key.kid().map(ToOwned::to_owned),
                certificate: key.certificate().map(|certificate| hex::encode(certificate.sha256())),
                thumbprint: key.thumbprint().to_owned(),
            },
            algorithm: integration.algorithm,
            grant_lifetime: integration.grant_lifetime,
            prefetch: integration.prefetch.iter().map(prefetch).collect(),
        }
    }

    /// Its tokens are the other's as well.
    pub(super) fn is_same_client_as(&self, other: &Self) -> bool {
        self.client_id == other.client_id && self.environment == other.environment
    }
}

impl CallerItem {
    fn of(caller: &config::Caller) -> Self {
        let rule = |rule: &config::Rule| RuleItem {
            integration: rule.integration.clone(),
            scopes: rule.scopes.clone(),
            consumer_org: rule.consumer_org.clone(),
            iss_onbehalfof: rule.iss_onbehalfof.clone(),
            resource: rule.resource.clone(),
            authorization_details: rule.authorization_details.clone(),
            pid: rule.pid,
            requires: rule.requires.clone(),
        };
        Self {
            name: caller.name.clone(),
            keys: caller.keys.iter().map(|key| ApiKeyItem { sha256: key.sha256, expires: key.expires }).collect(),
            networks: caller.networks.clone(),
            rules: caller.may.iter().map(rule).collect(),
        }
    }
}

impl ApiKeyItem {
    /// As logs name it.
    pub(super) fn name(&self) -> String {
        banner::api_key(&self.sha256)
    }
}

impl fmt::Debug for ApiKeyItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyItem").field("name", &self.name()).field("expires", &self.expires).finish_non_exhaustive()
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let beginning = |text: &str, length: usize| text.get(..length).unwrap_or_default().to_owned();
        match (&self.kid, &self.certificate) {
            (Some(kid), _) => write!(f, "kid {kid} (key {})", beginning(&self.thumbprint, 2 * BEGINNING)),
            (None, Some(certificate)) => write!(f, "certificate {}", beginning(certificate, 4 * BEGINNING)),
            (None, None) => write!(f, "key {}", beginning(&self.thumbprint, 2 * BEGINNING)),
        }
    }
}

/// Whether Maskinporten is reached in the same way.
pub(super) fn is_same_outbound(one: &OutboundSettings, other: &OutboundSettings) -> bool {
    one.connect_timeout == other.connect_timeout
        && one.attempt_timeout == other.attempt_timeout
        && one.ca_certificates == other.ca_certificates
        && is_same_proxy(one.proxy.as_ref(), other.proxy.as_ref())
}

pub(super) fn is_same_proxy(one: Option<&ProxySettings>, other: Option<&ProxySettings>) -> bool {
    let credentials = |proxy: &ProxySettings| {
        let credentials = proxy.credentials.as_ref();
        credentials.map(|credentials| (credentials.user.clone(), credentials.password.clone()))
    };
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            let same_credentials = match (credentials(one), credentials(other)) {
                (None, None) => true,
                (Some((user, password)), Some((other_user, other_password))) => {
                    user == other_user && password.expose_secret() == other_password.expose_secret()
                }
                _ => false,
            };
            one.url == other.url && same_credentials
        }
        _ => false,
    }
}
