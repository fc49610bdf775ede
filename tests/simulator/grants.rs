//! Grants, right ones and wrong ones, a simulator to send them to, and the answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sign::Signer;
use openssl::x509::X509;
use portvakt::simulator::{ClientSettings, Delegation, RegisteredKey, ScopeSettings, Settings, Simulator};
use serde_json::{Map, Value, json};

pub(crate) const ORGANISATION: &str = "991825827";
pub(crate) const CERTIFICATE_CLIENT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const KEY_CLIENT: &str = "66666666-7777-8888-9999-000000000000";
pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(crate) fn cert_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("certs").join(name)
}

pub(crate) fn read_cert_file(name: &str) -> Vec<u8> {
    fs::read(cert_file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub(crate) fn private_key(name: &str) -> PKey<Private> {
    PKey::private_key_from_pem(&read_cert_file(name)).unwrap()
}

/// The certificates of a PEM file as `x5c` has them.
pub(crate) fn x5c(name: &str) -> Value {
    let certificates = X509::stack_from_pem(&read_cert_file(name)).unwrap();
    certificates.iter().map(|certificate| openssl::base64::encode_block(&certificate.to_der().unwrap())).collect::<Vec<_>>().into()
}

pub(crate) fn registered(name: &str) -> RegisteredKey {
    RegisteredKey::from_jwk(&String::from_utf8(read_cert_file(&format!("{name}.public.jwk"))).unwrap()).unwrap()
}

fn scope(name: &str, change: impl FnOnce(&mut ScopeSettings)) -> ScopeSettings {
    let mut scope = ScopeSettings::from(name);
    change(&mut scope);
    scope
}

/// The two clients of every test, and whom the simulator trusts.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::new();
    settings.trust_anchors = X509::stack_from_pem(&read_cert_file("ca.pem")).unwrap();
    let delegation = Delegation { consumer_org: "889640782".to_owned(), scopes: vec!["a:delegated".to_owned()] };
    let certificate_client = ClientSettings::new(CERTIFICATE_CLIENT, ORGANISATION).scope("a:b").scope("a:c").scope("a:delegated");
    let key_client = ClientSettings::new(KEY_CLIENT, ORGANISATION)
        .key(registered("registered-2048"))
        .key(registered("registered-4096").expiring(SystemTime::now() - Duration::from_secs(60)))
        .scope("k:b")
        .scope(scope("k:long", |scope| scope.lifetime = Some(7199)))
        .scope(scope("k:not-granted", |scope| scope.granted = false))
        .scope(scope("k:login", |scope| scope.integration_types = vec!["idporten".to_owned()]));
    settings.client(certificate_client.delegation(delegation)).client(key_client)
}

pub(crate) fn start() -> Simulator {
    Simulator::start(settings()).unwrap()
}

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// A grant before it is signed.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    pub(crate) key: PKey<Private>,
    pub(crate) digest: MessageDigest,
}

impl Draft {
    /// Of the client with a virksomhetssertifikat; nothing is wrong with it.
    pub(crate) fn with_certificate(simulator: &Simulator) -> Self {
        let header = json!({"alg": "RS256", "x5c": x5c("virksomhet.pem")});
        Self::new(simulator, CERTIFICATE_CLIENT, "a:b", header, private_key("virksomhet.key"))
    }

    /// Of the client with a registered key; nothing is wrong with it.
    pub(crate) fn with_kid(simulator: &Simulator) -> Self {
        let kid = String::from_utf8(read_cert_file("registered-2048.kid")).unwrap();
        let header = json!({"alg": "RS256", "kid": kid.trim()});
        Self::new(simulator, KEY_CLIENT, "k:b", header, private_key("registered-2048.pem"))
    }

    fn new(simulator: &Simulator, client_id: &str, scope: &str, header: Value, key: PKey<Private>) -> Self {
        let Value::Object(header) = header else { panic!("a header is an object") };
        let mut draft = Self { header, claims: Map::new(), key, digest: MessageDigest::sha256() };
        draft.claim("aud", simulator.issuer()).claim("iss", client_id).claim("scope", scope);
        draft.claim("iat", now()).claim("exp", now() + 120).claim("jti", uuid::Uuid::new_v4().to_string());
        draft
    }

    pub(crate) fn claim(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn header(&mut self, name: &str, value: impl Into<Value>) -> &mut Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn sign(&self) -> String {
        let part = |object: &Map<String, Value>| base64url(&serde_json::to_vec(object).unwrap());
        let text = format!("{}.{}", part(&self.header), part(&self.claims));
        let mut signer = Signer::new(self.digest, &self.key).unwrap();
        let signature = signer.sign_oneshot_to_vec(text.as_bytes()).unwrap();
        format!("{text}.{}", base64url(&signature))
    }
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    openssl::base64::encode_block(bytes).replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned()
}

/// Without the proxies of whoever runs the tests.
pub(crate) fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) async fn exchange(http: &reqwest::Client, simulator: &Simulator, assertion: &str) -> reqwest::Result<reqwest::Response> {
    http.post(simulator.token_endpoint()).form(&[("grant_type", JWT_BEARER), ("assertion", assertion)]).send().await
}

/// Status and JSON of an exchange.
pub(crate) async fn answer(simulator: &Simulator, assertion: &str) -> (u16, Value) {
    json_of(exchange(&http(), simulator, assertion).await.unwrap()).await
}

pub(crate) async fn json_of(response: reqwest::Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}
