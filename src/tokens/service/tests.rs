//! What a reload does that no request can be timed for.

use std::path::Path;

use super::*;
use crate::maskinporten::{Algorithm, Environment, OutboundSettings, SigningKey};

const SCOPE: &str = "a:read";
const CALLER: CallerId = CallerId(0);

fn certs(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("certs").join(name)).unwrap()
}

/// Nobody is asked for a token here.
fn settings(clients: &[&str]) -> Settings {
    let environment = Environment::custom("nobody", "http://127.0.0.1:1/", "http://127.0.0.1:1/token").unwrap();
    let key = Arc::new(SigningKey::from_pem(&certs("registered-2048.pem"), None, "portvakt-test-2048").unwrap());
    let integration = |client_id: &&str| IntegrationSettings {
        callers: 1,
        name: (*client_id).into(),
        client: Client::new(client_id, environment.clone(), Algorithm::Rs256, Duration::from_secs(60), Arc::clone(&key)).unwrap(),
        setup: Setup::default(),
        prefetch: Vec::new(),
    };
    Settings {
        integrations: clients.iter().map(integration).collect(),
        max_tokens: 100,
        deadline: Duration::from_secs(30),
        endpoint: Arc::new(TokenEndpointClient::new(&OutboundSettings::default()).unwrap()),
        probe: Arc::new(Probe::new(&OutboundSettings::default()).unwrap()),
    }
}

fn ids(service: &TokenService) -> Vec<u32> {
    service.integrations().map(|id| id.0).collect()
}

#[test]
fn ids_stay_and_none_is_given_out_twice() {
    let metrics = Metrics::new().unwrap();
    let service = TokenService::start(settings(&["one", "two"]), &metrics).unwrap();
    let table: &[(&[&str], &[u32])] = &[
        (&["one", "two"], &[0, 1]),
        (&["two", "one"], &[1, 0]),
        (&["three", "one"], &[2, 0]),
        (&["two", "one"], &[3, 0]),
        (&[], &[]),
        (&["one", "two", "three"], &[4, 5, 6]),
    ];
    for (clients, expected) in table {
        service.let_go(service.reconfigure(settings(clients), &metrics).unwrap());
        assert_eq!(ids(&service), *expected, "{clients:?}");
    }
}

#[test]
fn a_request_for_one_that_is_gone_is_refused_and_its_token_is_kept_nowhere() {
    let metrics = Metrics::new().unwrap();
    let service = TokenService::start(settings(&["one"]), &metrics).unwrap();
    let request = TokenRequest::new(service.integrations().next().unwrap(), Scopes::parse(SCOPE).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let token = Arc::new(Token::of(Some(CALLER), b"a-token", Duration::from_secs(60)));
    let integration = Arc::clone(service.arranged.load().get(request.integration()).unwrap());
    integration.keep(&request, &token);
    assert!(service.cached(&request, Instant::now()).is_some());

    service.let_go(service.reconfigure(settings(&["two"]), &metrics).unwrap());
    assert!(service.cached(&request, Instant::now()).is_none());
    let asked = [runtime.block_on(service.token(&request, CALLER)), runtime.block_on(service.fresh_token(&request, CALLER))];
    for asked in asked {
        assert!(matches!(asked, Err(TokenError::Gone)), "{asked:?}");
    }
    assert!(integration.is_gone() && integration.cache.get(&request).is_none());
    // The exchange that was under way ends now.
    integration.keep(&request, &token);
    assert!(integration.cache.get(&request).is_none());

    service.let_go(service.reconfigure(settings(&["one"]), &metrics).unwrap());
    assert!(service.cached(&request, Instant::now()).is_none());
    assert!(matches!(runtime.block_on(service.token(&request, CALLER)), Err(TokenError::Gone)));
}
