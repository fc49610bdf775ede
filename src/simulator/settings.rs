//! What the simulator knows: its clients, what they may ask for, and whom it trusts.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use openssl::bn::BigNum;
use openssl::pkey::{Id, PKey, Public};
use openssl::rsa::Rsa;
use openssl::x509::X509;
use serde::Deserialize;
use thiserror::Error;

use super::grant::base64url;

/// The lifetime of a token where nothing else is said, in seconds: as seen at Maskinporten.
pub const DEFAULT_LIFETIME: u32 = 119;

/// What a [`Simulator`](super::Simulator) is started with.
///
/// ```no_run
/// use portvakt::simulator::{ClientSettings, RegisteredKey, Settings, Simulator};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = RegisteredKey::from_jwk(&std::fs::read_to_string("key.public.jwk")?)?;
/// let client = ClientSettings::new("2d6f1b0e-6c9b-4a1e-9a39-0e1c5b7f2a11", "991825827").scope("a:b").key(key);
/// let simulator = Simulator::start(Settings::new().client(client))?;
/// println!("{}", simulator.token_endpoint());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The issuer, to the slash. None: `http://<address>/`. The token endpoint is below it.
    pub issuer: Option<String>,
    /// The certificates that a chain in `x5c` may end at, and issuing certificates that grants may leave out.
    pub trust_anchors: Vec<X509>,
    /// The clients that exist.
    pub clients: Vec<ClientSettings>,
    /// Seconds that a token lives when neither scope nor client says otherwise.
    pub lifetime: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            issuer: None,
            trust_anchors: Vec::new(),
            clients: Vec::new(),
            lifetime: DEFAULT_LIFETIME,
        }
    }
}

impl Settings {
    /// A free port on 127.0.0.1, no clients, no trust.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more client.
    #[must_use]
    pub fn client(mut self, client: ClientSettings) -> Self {
        self.clients.push(client);
        self
    }

    /// With one more certificate that chains may end at.
    #[must_use]
    pub fn trust(mut self, certificate: X509) -> Self {
        self.trust_anchors.push(certificate);
        self
    }
}

/// A client ("integrasjon") as the simulator knows it.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The `iss` of its grants.
    pub client_id: String,
    /// For the log.
    pub name: String,
    /// The organisation number of its owner, 9 digits.
    pub organisation: String,
    /// What it may ask for.
    pub scopes: Vec<ScopeSettings>,
    /// Its registered keys. With one or more, it must sign with them; with none, with a virksomhetssertifikat.
    pub keys: Vec<RegisteredKey>,
    /// Who has delegated what to it in Altinn.
    pub delegations: Vec<Delegation>,
    /// As Samarbeidsportalen names it; `maskinporten` unless said otherwise.
    pub integration_type: String,
    /// Seconds that its tokens live, where the scope does not say otherwise.
    pub lifetime: Option<u32>,
}

impl ClientSettings {
    /// A client without scopes that signs with a virksomhetssertifikat.
    pub fn new(client_id: &str, organisation: &str) -> Self {
        Self {
            client_id: client_id.to_owned(),
            name: client_id.to_owned(),
            organisation: organisation.to_owned(),
            scopes: Vec::new(),
            keys: Vec::new(),
            delegations: Vec::new(),
            integration_type: "maskinporten".to_owned(),
            lifetime: None,
        }
    }

    /// With one more scope, registered and granted, a name or the whole of its settings.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<ScopeSettings>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// With one more registered key.
    #[must_use]
    pub fn key(mut self, key: RegisteredKey) -> Self {
        self.keys.push(key);
        self
    }

    /// With one more delegation.
    #[must_use]
    pub fn delegation(mut self, delegation: Delegation) -> Self {
        self.delegations.push(delegation);
        self
    }
}

/// A scope that is registered on a client.
#[derive(Clone, Debug)]
pub struct ScopeSettings {
    /// Its name.
    pub scope: String,
    /// Seconds that a token for it lives. A token for several scopes lives as long as the shortest.
    pub lifetime: Option<u32>,
    /// Whether the API's provider has granted it to the client's organisation: if not, MP-250.
    pub granted: bool,
    /// The integration types that may have it, empty for any: another one gets MP-201.
    pub integration_types: Vec<String>,
}

impl From<&str> for ScopeSettings {
    fn from(scope: &str) -> Self {
        Self { scope: scope.to_owned(), lifetime: None, granted: true, integration_types: Vec::new() }
    }
}

/// An organisation that has delegated scopes to the client's organisation in Altinn.
#[derive(Clone, Debug)]
pub struct Delegation {
    /// The `consumer_org` of a grant, 9 digits.
    pub consumer_org: String,
    /// Which scopes, empty for all that the client has.
    pub scopes: Vec<String>,
}

/// The public half of a key that is registered on a client.
#[derive(Clone, Debug)]
pub struct RegisteredKey {
    pub(super) kid: String,
    pub(super) key: PKey<Public>,
    pub(super) expires: Option<SystemTime>,
}

/// Why something cannot be a registered key.
#[derive(Debug, Error)]
pub enum InvalidKey {
    /// Neither a JWK with `kty`, `n`, `e` and `kid`, nor a set with just one such JWK.
    #[error("it is not a public RSA key as JWK with kty, n, e and kid: {0}")]
    NotAJwk(String),
    /// Not PEM, or not of a public key.
    #[error("it is not a public key in PEM: {0}")]
    NotAPem(#[from] openssl::error::ErrorStack),
    /// A private key is nothing that Maskinporten is ever given.
    #[error("it is a private key: register the public half")]
    Private,
    /// Maskinporten takes RSA keys of 2048 bits or more.
    #[error("it is not an RSA key of at least 2048 bits")]
    TooWeak,
}

impl RegisteredKey {
    /// From a public JWK, alone or in square brackets as Samarbeidsportalen takes it. Private JWKs are refused.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] says what the text is instead.
    pub fn from_jwk(text: &str) -> Result<Self, InvalidKey> {
        let jwk: OneOrMany = serde_json::from_str(text)
            .map_err(|_| InvalidKey::NotAJwk("one of them is missing, or it is not JSON with just one key".to_owned()))?;
        let (OneOrMany::One(jwk) | OneOrMany::Many([jwk])) = jwk;
        if jwk.d.is_some() {
            return Err(InvalidKey::Private);
        }
        let number = |text: &str, name: &str| base64url(text).ok_or_else(|| InvalidKey::NotAJwk(format!("`{name}` is not base64url")));
        if jwk.kty != "RSA" {
            return Err(InvalidKey::NotAJwk(format!("kty is `{}`", jwk.kty)));
        }
        let (modulus, exponent) = (number(&jwk.n, "n")?, number(&jwk.e, "e")?);
        let key = Rsa::from_public_components(BigNum::from_slice(&modulus)?, BigNum::from_slice(&exponent)?)?;
        Self::new(&jwk.kid, PKey::from_rsa(key)?)
    }

    /// From a public key in PEM (SubjectPublicKeyInfo).
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] says what the text is instead.
    pub fn from_pem(kid: &str, pem: &[u8]) -> Result<Self, InvalidKey> {
        if String::from_utf8_lossy(pem).contains("PRIVATE KEY-----") {
            return Err(InvalidKey::Private);
        }
        Self::new(kid, PKey::public_key_from_pem(pem)?)
    }

    /// From a key in memory.
    ///
    /// # Errors
    ///
    /// [`InvalidKey::TooWeak`].
    pub fn new(kid: &str, key: PKey<Public>) -> Result<Self, InvalidKey> {
        if key.id() != Id::RSA || key.bits() < 2048 {
            return Err(InvalidKey::TooWeak);
        }
        Ok(Self { kid: kid.to_owned(), key, expires: None })
    }

    /// From when on it is refused, if ever.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// The same key, refused with MP-121 from that moment on.
    #[must_use]
    pub fn expiring(mut self, expires: SystemTime) -> Self {
        self.expires = Some(expires);
        self
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(PublicJwk),
    Many([PublicJwk; 1]),
}

#[derive(Deserialize)]
struct PublicJwk {
    kty: String,
    n: String,
    e: String,
    kid: String,
    /// Only whether it is there: a private exponent.
    d: Option<serde::de::IgnoredAny>,
}
