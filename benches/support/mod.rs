//! A service with one integration, assembled from the rooms' own settings, and the simulator to fetch its tokens from.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "each bench uses its part of what stands here"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portvakt::access::{Access, CallerSettings, Digest, IntegrationNames, KeySettings, Rule};
use portvakt::maskinporten::probe::Probe;
use portvakt::maskinporten::{Algorithm, Client, Environment, OutboundSettings, Scopes, Setup, SigningKey, TokenEndpointClient};
use portvakt::simulator::{self, ClientSettings, RegisteredKey, Simulator};
use portvakt::telemetry::Metrics;
use portvakt::tokens::{CallerId, IntegrationSettings, Settings, TokenRequest, TokenService};

pub const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";
pub const SCOPE: &str = "folkeregister:deling/offentligutenhjemmel";
pub const API_KEY: &str = "the-gateways-key";

fn certs(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("certs").join(name)).unwrap()
}

pub fn simulator() -> Simulator {
    let key = RegisteredKey::from_jwk(&String::from_utf8(certs("registered-2048.public.jwk")).unwrap()).unwrap();
    let mut settings = simulator::Settings::new().client(ClientSettings::new(CLIENT_ID, "991825827").scope(SCOPE).key(key));
    // Longer than any run, so that nothing is renewed meanwhile.
    settings.lifetime = 7199;
    Simulator::start(settings).unwrap()
}

/// A client with the registered key of that many bits.
pub fn client(bits: u32, environment: Environment) -> Client {
    let key = SigningKey::from_pem(&certs(&format!("registered-{bits}.pem")), None, &format!("portvakt-test-{bits}")).unwrap();
    Client::new(CLIENT_ID, environment, Algorithm::Rs256, Duration::from_secs(60), Arc::new(key)).unwrap()
}

pub struct Service {
    pub tokens: Arc<TokenService>,
    pub metrics: Arc<Metrics>,
    pub request: TokenRequest,
}

pub fn service(simulator: &Simulator) -> Service {
    let environment = Environment::custom("simulator", simulator.issuer(), &simulator.token_endpoint()).unwrap();
    let integration = IntegrationSettings {
        name: "freg".into(),
        client: client(2048, environment),
        setup: Setup::default(),
        prefetch: Vec::new(),
        callers: 1,
    };
    let settings = Settings {
        integrations: vec![integration],
        max_tokens: 100_000,
        deadline: Duration::from_secs(8),
        endpoint: Arc::new(TokenEndpointClient::new(&OutboundSettings::default()).unwrap()),
        probe: Arc::new(Probe::new(&OutboundSettings::default()).unwrap()),
    };
    let metrics = Arc::new(Metrics::new().unwrap());
    let tokens = Arc::new(TokenService::start(settings, &metrics).unwrap());
    let request = TokenRequest::new(tokens.integrations().next().unwrap(), Scopes::parse(SCOPE).unwrap());
    Service { tokens, metrics, request }
}

/// A hundred callers, each with a key of its own; the first has [`API_KEY`].
pub fn access(service: &Service) -> Access {
    let names = IntegrationNames { id: service.request.integration(), client_id: CLIENT_ID.to_owned(), name: "freg".to_owned() };
    let rule = Rule { scopes: vec!["folkeregister:deling/*".to_owned()], ..Rule::default() };
    let caller = |number: u32| CallerSettings {
        id: CallerId(number),
        name: format!("caller-{number}"),
        keys: vec![KeySettings { digest: Digest::of(key(number).as_bytes()), expires: None }],
        networks: Vec::new(),
        may: vec![(names.clone(), rule.clone())],
    };
    Access::new((0..100).map(caller).collect())
}

fn key(number: u32) -> String {
    if number == 0 { API_KEY.to_owned() } else { format!("key-{number}") }
}
