//! The service, assembled from the operator's file: the one place where a `Config` is taken apart.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime};

use actix_web::dev::ServerHandle;
use secrecy::ExposeSecret;
use thiserror::Error;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::signals::Signals;
use crate::access::{Access, CallerSettings, IntegrationNames, KeySettings, Parameter, Permitted, Rule};
use crate::config::{self, Config, ConfigError, KeySource};
use crate::http::{Doors, Listener, ListenerError, Management};
use crate::maskinporten::{
    Client, InvalidClient, KeyError, Origin, OutboundError, OutboundSettings, ProxyCredentials, ProxySettings, Scopes, SigningKey,
    TokenEndpointClient,
};
use crate::telemetry::Metrics;
use crate::tokens::{self, Details, IntegrationId, IntegrationSettings, TokenService};

/// A service that answers, on threads of its own.
#[derive(Debug)]
pub(super) struct Service {
    tokens_address: SocketAddr,
    management_address: SocketAddr,
    management: Arc<Management>,
    handles: Handles,
    /// Tells when, and how, the listeners' thread has ended.
    ended: oneshot::Receiver<io::Result<()>>,
}

/// What the two listeners are stopped by.
#[derive(Debug)]
struct Handles {
    tokens: ServerHandle,
    management: ServerHandle,
}

/// The service does not start.
#[derive(Debug, Error)]
pub(super) enum StartError {
    /// Something that the file names cannot be used: as wrong as a mistake in the file itself.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// The outbound settings do not make a client.
    #[error("[outbound]: {0}")]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Listener(#[from] ListenerError),
    #[error(transparent)]
    Tokens(#[from] tokens::StartError),
    #[error("the service's threads could not be started: {0}")]
    Threads(#[from] io::Error),
    #[error("the metrics could not be made: {0}")]
    Metrics(#[from] crate::telemetry::MetricsError),
}

impl Service {
    /// Opens the keys, takes the addresses, and begins to answer.
    pub(super) fn start(config: &Config) -> Result<Self, StartError> {
        let clients = clients(config)?;
        let endpoint = token_endpoint_client(&config.outbound)?;
        for client in &clients {
            endpoint.prepare(client.environment())?;
        }
        let tokens_listener = Listener::bind(config.server.listen)?;
        let management_listener = Listener::bind(config.management.listen)?;
        let (tokens_address, management_address) = (tokens_listener.address()?, management_listener.address()?);
        let names: Vec<Arc<str>> = config.integrations.iter().map(|integration| integration.name.as_str().into()).collect();
        let integrations = clients.into_iter().zip(&config.integrations).zip(&names);
        let settings = tokens::Settings {
            integrations: integrations
                .map(|((client, integration), name)| IntegrationSettings {
                    name: Arc::clone(name),
                    client,
                    prefetch: integration.prefetch.iter().map(prefetch).collect(),
                })
                .collect(),
            max_tokens: config.cache.max_tokens,
            deadline: config.outbound.deadline,
            endpoint,
        };
        let metrics = Arc::new(Metrics::new()?);
        let token_service = Arc::new(TokenService::start(settings, &metrics)?);
        let access = Access::new(callers(config, &token_service.integrations().collect::<Vec<_>>()));
        let management = Arc::new(Management::new(Arc::clone(&token_service), Arc::clone(&metrics)));
        let doors = Arc::new(Doors::new(access, token_service, metrics, &names));
        let grace = config.server.shutdown_grace;
        let (handles, ended) = on_a_thread(tokens_listener, doors, grace, management_listener, Arc::clone(&management))?;
        management.set_ready(true);
        Ok(Self { tokens_address, management_address, management, handles, ended })
    }

    /// Where tokens are handed out.
    pub(super) fn tokens_address(&self) -> SocketAddr {
        self.tokens_address
    }

    /// Where health and metrics are.
    pub(super) fn management_address(&self) -> SocketAddr {
        self.management_address
    }

    /// Runs until SIGTERM or SIGINT, then finishes what is in progress. A second signal ends it at once.
    ///
    /// # Errors
    ///
    /// When the listeners fail.
    pub(super) fn run(mut self, signals: StopSignals) -> io::Result<()> {
        let StopSignals { runtime, mut signals } = signals;
        runtime.block_on(async {
            tokio::select! {
                signal = signals.next() => {
                    // Before it is said, so that nobody who has read it is told to send more.
                    self.management.set_ready(false);
                    info!(signal, "stopping: what is in progress is finished first");
                }
                ended = &mut self.ended => return ended.unwrap_or_else(|_| Err(io::Error::other("the listeners' thread ended"))),
            }
            tokio::select! {
                () = self.stop() => info!("stopped"),
                signal = signals.next() => warn!(signal, "stopped at once, by a second signal"),
            }
            Ok(())
        })
    }

    /// Not ready any more; no new connections; what is in progress finished within the grace; the end.
    pub(super) async fn stop(&self) {
        self.management.set_ready(false);
        self.handles.tokens.stop(true).await;
        self.handles.management.stop(true).await;
    }
}

/// Starts both listeners on a thread with actix's runtime, and returns once they answer.
fn on_a_thread(
    tokens: Listener,
    doors: Arc<Doors>,
    grace: Duration,
    management_listener: Listener,
    management: Arc<Management>,
) -> io::Result<(Handles, oneshot::Receiver<io::Result<()>>)> {
    let (send_handles, handles) = mpsc::channel();
    let (send_end, ended) = oneshot::channel();
    thread::Builder::new().name("listeners".to_owned()).spawn(move || {
        let served = actix_web::rt::System::new().block_on(async {
            let tokens = tokens.serve_tokens(doors, grace)?;
            let management = management_listener.serve_management(management)?;
            // Whoever started us may have given up: then there is nobody to stop these, and they end with the process.
            let _ = send_handles.send(Handles { tokens: tokens.handle(), management: management.handle() });
            tokio::try_join!(tokens, management).map(|_| ())
        });
        let _ = send_end.send(served);
    })?;
    let handles = handles.recv().map_err(|_| io::Error::other("the listeners did not start"))?;
    Ok((handles, ended))
}

/// SIGTERM and SIGINT, caught from its making on, with the runtime that waits for them.
///
/// Made before the service starts: a signal that comes between the first answer and [`Service::run`] would otherwise kill the process.
pub(super) struct StopSignals {
    runtime: Runtime,
    signals: Signals,
}

impl StopSignals {
    /// Catches them from now on.
    ///
    /// # Errors
    ///
    /// When the system does not let signals be caught.
    pub(super) fn catch() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let signals = {
            let _within = runtime.enter();
            Signals::new()?
        };
        Ok(Self { runtime, signals })
    }
}

/// Every integration's client with its key opened. All keys that do not open are told of in one go.
fn clients(config: &Config) -> Result<Vec<Client>, StartError> {
    let (mut clients, mut mistakes) = (Vec::with_capacity(config.integrations.len()), Vec::new());
    for integration in &config.integrations {
        let opened = signing_key(&integration.key.source, SystemTime::now()).map_err(|error| error.to_string());
        match opened.and_then(|key| client(integration, key).map_err(|error| error.to_string())) {
            Ok(client) => {
                announce(&integration.name, &client);
                clients.push(client);
            }
            Err(error) => mistakes.push(config.mistake(
                integration.key.place,
                &format!("the key of integration `{}` cannot be used: {error}", integration.name),
                &format!("the key is in {}", files(&integration.key.source)),
            )),
        }
    }
    if mistakes.is_empty() { Ok(clients) } else { Err(ConfigError::from(mistakes).into()) }
}

fn signing_key(source: &KeySource, now: SystemTime) -> Result<SigningKey, KeyError> {
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
fn files(source: &KeySource) -> String {
    match source {
        KeySource::Pkcs12 { file, .. } | KeySource::Jwk { file } => file.path.display().to_string(),
        KeySource::Certificate { certificate, private_key, .. } => {
            format!("{} and {}", certificate.path.display(), private_key.path.display())
        }
        KeySource::Registered { private_key, .. } => private_key.path.display().to_string(),
    }
}

/// Says which key signs for an integration, and what is odd about it.
fn announce(name: &str, client: &Client) {
    let (key, environment) = (client.key(), client.environment());
    let (client_id, environment_name) = (client.client_id(), environment.name());
    let Some(certificate) = key.certificate() else {
        info!(
            integration = name,
            client_id,
            environment = environment_name,
            kid = key.kid(),
            bits = key.bits(),
            "signs with a registered key"
        );
        return;
    };
    info!(
        integration = name,
        client_id,
        environment = environment_name,
        organisation = certificate.organisation_number(),
        subject = certificate.subject(),
        issuer = certificate.issuer(),
        validity = %certificate.validity(),
        sha256 = hex::encode(certificate.sha256()),
        choice = key.choice().map(tracing::field::display),
        "signs with a virksomhetssertifikat"
    );
    if !certificate.is_valid_at(SystemTime::now()) {
        warn!(integration = name, validity = %certificate.validity(), "the certificate is out of its validity: no token until it is renewed");
    }
    match certificate.origin() {
        Origin::Test if environment.is_production() => {
            warn!(integration = name, issuer = certificate.issuer(), "a test certificate in production: Maskinporten refuses it (MP-120)");
        }
        Origin::Production if environment.is_test() => {
            warn!(integration = name, issuer = certificate.issuer(), "a production certificate in test: Maskinporten refuses it (MP-120)");
        }
        _ => {}
    }
}

fn client(integration: &config::Integration, key: SigningKey) -> Result<Client, InvalidClient> {
    Client::new(
        integration.client_id.as_str(),
        integration.environment.clone(),
        integration.algorithm,
        integration.grant_lifetime,
        Arc::new(key),
    )
}

fn token_endpoint_client(outbound: &config::Outbound) -> Result<TokenEndpointClient, OutboundError> {
    TokenEndpointClient::new(&OutboundSettings {
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
    })
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

/// `ids`: in the order of the file's integrations.
fn callers(config: &Config, ids: &[IntegrationId]) -> Vec<CallerSettings> {
    let named = |name: &str| {
        let mut integrations = config.integrations.iter().zip(ids);
        integrations.find(|(integration, _)| integration.name == name).map(|(integration, id)| IntegrationNames {
            id: *id,
            client_id: integration.client_id.clone(),
            name: integration.name.clone(),
        })
    };
    let caller = |caller: &config::Caller| CallerSettings {
        name: caller.name.clone(),
        keys: caller.keys.iter().map(|key| KeySettings { digest: key.sha256.into(), expires: key.expires }).collect(),
        networks: caller.networks.clone(),
        // Every rule names an integration of the file: `Config::load` has seen to it.
        may: caller.may.iter().filter_map(|of| Some((named(&of.integration)?, rule(of)))).collect(),
    };
    config.callers.iter().map(caller).collect()
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
