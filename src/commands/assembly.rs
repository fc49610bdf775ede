//! From the operator's file to the rooms' own settings: the one place where a `Config` is taken apart.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use secrecy::ExposeSecret;

use super::start_error::StartError;
use crate::access::{CallerSettings, IntegrationNames, KeySettings, Parameter, Permitted, Rule};
use crate::config::{self, Config, ConfigError, KeySource, Mistake, Place};
use crate::maskinporten::probe::Probe;
use crate::maskinporten::{
    Client, InvalidClient, KeyError, OutboundError, OutboundSettings, ProxyCredentials, ProxySettings, ScopeSetting, Scopes, Setup,
    SigningKey, TokenEndpointClient,
};
use crate::tokens::{self, CallerId, Details, IntegrationId, IntegrationSettings};

/// Every integration's client with its key opened. All keys that do not open are told of in one go.
pub(super) fn clients(config: &Config) -> Result<Vec<Client>, ConfigError> {
    let (mut clients, mut mistakes) = (Vec::with_capacity(config.integrations.len()), Vec::new());
    for integration in &config.integrations {
        match open(config, integration) {
            Ok(client) => clients.push(client),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(clients) } else { Err(mistakes.into()) }
}

/// One integration's client with its key opened: the other integrations' keys are not looked at.
pub(super) fn client_of(config: &Config, integration: &config::Integration) -> Result<Client, ConfigError> {
    open(config, integration).map_err(|mistake| vec![mistake].into())
}

fn open(config: &Config, integration: &config::Integration) -> Result<Client, Mistake> {
    let opened = signing_key(&integration.key.source, SystemTime::now()).map_err(|error| error.to_string());
    opened.and_then(|key| client(integration, key).map_err(|error| error.to_string())).map_err(|error| {
        config.mistake(
            integration.key.place,
            &format!("the key of integration `{}` cannot be used: {error}", integration.name),
            &format!("the key is in {}", files(&integration.key.source)),
        )
    })
}

pub(super) fn signing_key(source: &KeySource, now: SystemTime) -> Result<SigningKey, KeyError> {
    Ok(match source {
        KeySource::Pkcs12 { file, password, certificate_sha256 } => {
            SigningKey::from_pkcs12(file.contents.expose_secret(), password.expose_secret(), *certificate_sha256, now)?
        }
        KeySource::Certificate { certificate, private_key, password } => SigningKey::from_certificate_pem(
            certificate.contents.expose_secret(),
            private_key.contents.expose_secret(),
            password.as_ref().map(ExposeSecret::expose_secret),
            now,
        )?,
        KeySource::Registered { private_key, password, kid } => {
            SigningKey::from_pem(private_key.contents.expose_secret(), password.as_ref().map(ExposeSecret::expose_secret), kid)?
        }
        KeySource::Jwk { file } => SigningKey::from_jwk(file.contents.expose_secret())?,
    })
}

/// Where a key came from, for whoever has to mend it.
pub(super) fn files(source: &KeySource) -> String {
    match source {
        KeySource::Pkcs12 { file, .. } | KeySource::Jwk { file } => file.path.display().to_string(),
        KeySource::Certificate { certificate, private_key, .. } => {
            format!("{} and {}", certificate.path.display(), private_key.path.display())
        }
        KeySource::Registered { private_key, .. } => private_key.path.display().to_string(),
    }
}

pub(super) fn client(integration: &config::Integration, key: SigningKey) -> Result<Client, InvalidClient> {
    Client::new(
        integration.client_id.as_str(),
        integration.environment.clone(),
        integration.algorithm,
        integration.grant_lifetime,
        Arc::new(key),
    )
}

/// What grants are exchanged with, and what goes the same way to find out why that failed.
#[derive(Clone, Debug)]
pub(super) struct WaysOut {
    pub(super) endpoint: Arc<TokenEndpointClient>,
    pub(super) probe: Arc<Probe>,
}

/// Both ways, made ready for each client's environment.
pub(super) fn ways_out(config: &Config, clients: &[Client]) -> Result<WaysOut, StartError> {
    let settings = outbound_settings(&config.outbound);
    let made = TokenEndpointClient::new(&settings)
        .and_then(|endpoint| Ok(WaysOut { endpoint: Arc::new(endpoint), probe: Arc::new(Probe::new(&settings)?) }));
    made.and_then(|ways_out| ways_out.made_ready(clients)).map_err(|error| match (&error, &config.outbound.ca_file) {
        (OutboundError::CaCertificates(_) | OutboundError::NoCaCertificate, Some(_)) => {
            ConfigError::from(vec![outbound_mistake(config, &error)]).into()
        }
        _ => error.into(),
    })
}

impl WaysOut {
    /// For other clients too, with the connections that there are.
    pub(super) fn made_ready(self, clients: &[Client]) -> Result<Self, OutboundError> {
        clients.iter().try_for_each(|client| self.endpoint.prepare(client.environment()))?;
        Ok(self)
    }
}

/// How to reach Maskinporten.
pub(super) fn outbound_settings(outbound: &config::Outbound) -> OutboundSettings {
    OutboundSettings {
        connect_timeout: outbound.connect_timeout,
        attempt_timeout: outbound.attempt_timeout,
        proxy: outbound.proxy.as_ref().map(|proxy| ProxySettings {
            url: proxy.url.clone(),
            credentials: proxy
                .credentials
                .as_ref()
                .map(|(user, password)| ProxyCredentials { user: user.clone(), password: password.clone() }),
        }),
        ca_certificates: outbound.ca_file.as_ref().map(|file| file.contents.expose_secret().clone()),
    }
}

/// `[outbound]` settings that cannot be used. What can be wrong and was not seen in the file's text is in `ca_file`.
pub(super) fn outbound_mistake(config: &Config, error: &OutboundError) -> Mistake {
    let (place, help) = match &config.outbound.ca_file {
        Some(file) => (file.place, format!("the CA certificates are in {}", file.path.display())),
        None => (Place::BEGINNING, "check [outbound]".to_owned()),
    };
    config.mistake(place, &error.to_string(), &help)
}

/// The token service's settings. `names`: the integrations', in the file's order, as `clients` are.
pub(super) fn token_service(
    config: &Config,
    clients: Vec<Client>,
    names: &[Arc<str>],
    WaysOut { endpoint, probe }: WaysOut,
) -> tokens::Settings {
    let integration = |((client, integration), name): ((Client, &config::Integration), &Arc<str>)| IntegrationSettings {
        name: Arc::clone(name),
        client,
        setup: setup(config, integration),
        prefetch: integration.prefetch.iter().map(prefetch).collect(),
        callers: config.callers.iter().filter(|caller| caller.may.iter().any(|rule| rule.integration == integration.name)).count(),
    };
    tokens::Settings {
        integrations: clients.into_iter().zip(&config.integrations).zip(names).map(integration).collect(),
        max_tokens: config.cache.max_tokens,
        deadline: config.outbound.deadline,
        endpoint,
        probe,
    }
}

/// Where an integration's settings stand, for whoever has to mend one.
pub(super) fn setup(config: &Config, integration: &config::Integration) -> Setup {
    let setting = |scope: &str, asked_by: &str, place: Place| ScopeSetting {
        scope: scope.to_owned(),
        asked_by: asked_by.to_owned(),
        place: config.line_of(place),
    };
    let prefetched = integration.prefetch.iter().flat_map(|prefetch| prefetch.scopes.iter().map(move |scope| (scope, prefetch.place)));
    let rules = config.callers.iter().flat_map(|caller| &caller.may).filter(|rule| rule.integration == integration.name);
    let allowed = rules.flat_map(|rule| rule.scopes.iter().zip(&rule.scope_places));
    Setup {
        integration: Some(integration.name.clone()),
        client_id: Some(config.line_of(integration.client_id_place)),
        environment: Some(config.line_of(integration.environment_place)),
        key: Some(config.line_of(integration.key.place)),
        scopes: prefetched
            .map(|(scope, place)| setting(scope, "a prefetch", place))
            .chain(allowed.map(|(scope, place)| setting(scope, "a caller's rule", *place)))
            .collect(),
    }
}

fn prefetch(prefetch: &config::Prefetch) -> (Scopes, Details) {
    let details = Details {
        resource: prefetch.resource.clone(),
        consumer_org: prefetch.consumer_org.as_deref().map(Into::into),
        iss_onbehalfof: prefetch.iss_onbehalfof.as_deref().map(Into::into),
        ..Details::default()
    };
    (prefetch.scopes.clone(), details)
}

/// Which caller has which ID. One keeps its own as long as it keeps its name, and none gets one that another has had.
#[derive(Debug, Default)]
pub(super) struct CallerIds {
    known: HashMap<String, CallerId>,
    next: u32,
}

impl CallerIds {
    /// Those of these callers, in their order. Others are forgotten.
    fn renew(&mut self, callers: &[config::Caller]) -> Vec<CallerId> {
        let mut known = HashMap::with_capacity(callers.len());
        let mut id = |caller: &config::Caller| {
            let id = self.known.get(&caller.name).copied().unwrap_or_else(|| {
                let id = CallerId(self.next);
                self.next = self.next.saturating_add(1);
                id
            });
            known.insert(caller.name.clone(), id);
            id
        };
        let ids = callers.iter().map(&mut id).collect();
        self.known = known;
        ids
    }
}

/// Who may ask for what. `integrations`: in the file's order.
pub(super) fn callers(config: &Config, integrations: &[(IntegrationId, Arc<str>)], ids: &mut CallerIds) -> Vec<CallerSettings> {
    let named = |name: &str| {
        let mut integrations = config.integrations.iter().zip(integrations);
        integrations.find(|(integration, _)| integration.name == name).map(|(integration, (id, _))| IntegrationNames {
            id: *id,
            client_id: integration.client_id.clone(),
            name: integration.name.clone(),
        })
    };
    let caller = |(caller, id): (&config::Caller, CallerId)| CallerSettings {
        id,
        name: caller.name.clone(),
        keys: caller.keys.iter().map(|key| KeySettings { digest: key.sha256.into(), expires: key.expires }).collect(),
        networks: caller.networks.clone(),
        // Every rule names an integration of the file: `Config::load` has seen to it.
        may: caller.may.iter().filter_map(|of| Some((named(&of.integration)?, rule(of)))).collect(),
    };
    config.callers.iter().zip(ids.renew(&config.callers)).map(caller).collect()
}

fn rule(rule: &config::Rule) -> Rule {
    Rule {
        scopes: rule.scopes.clone(),
        consumer_org: permitted(&rule.consumer_org),
        iss_onbehalfof: permitted(&rule.iss_onbehalfof),
        resource: permitted(&rule.resource),
        authorization_details: permitted(&rule.authorization_details),
        pid: rule.pid,
        requires: rule.requires.iter().copied().map(parameter).collect(),
    }
}

fn permitted(permitted: &config::Permitted) -> Permitted {
    match permitted {
        config::Permitted::Any => Permitted::Any,
        config::Permitted::These(values) => Permitted::These(values.iter().map(|value| value.as_str().into()).collect()),
    }
}

fn parameter(parameter: config::Parameter) -> Parameter {
    match parameter {
        config::Parameter::ConsumerOrg => Parameter::ConsumerOrg,
        config::Parameter::IssOnBehalfOf => Parameter::IssOnBehalfOf,
        config::Parameter::Resource => Parameter::Resource,
        config::Parameter::AuthorizationDetails => Parameter::AuthorizationDetails,
        config::Parameter::Pid => Parameter::Pid,
    }
}
