//! The HTTP clients towards Maskinporten: proxy, trusted CAs, and limits of time.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use openssl::x509::X509;
use reqwest::dns::Resolve;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, ClientBuilder, Proxy, Url, redirect, retry, tls};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use zeroize::Zeroizing;

use super::environment::{Environment, is_loopback};
use super::foreign_text::printable;
use super::name_lookup::NameLookup;

/// How to reach Maskinporten.
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// For name lookup, TCP, a proxy's tunnel and TLS together. Default: 2 s.
    pub connect_timeout: Duration,
    /// For one exchange, connecting and reading the answer included. Default: 4 s.
    pub attempt_timeout: Duration,
    /// For every environment that is not on this machine. `None`: `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` decide, as usual.
    pub proxy: Option<ProxySettings>,
    /// PEM, one CA certificate or several: trusted in addition to the system's.
    pub ca_certificates: Option<Vec<u8>>,
}

/// A proxy that tunnels (`CONNECT`).
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// `http://host:port` or `https://host:port`, without a user or a password.
    pub url: String,
    /// What it asks for, where it does (Basic, RFC 7617).
    pub credentials: Option<ProxyCredentials>,
}

/// Who we are to a proxy.
#[derive(Clone, Debug)]
pub struct ProxyCredentials {
    /// Without a colon, which Basic does not allow.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// Why the outbound settings cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OutboundError {
    /// The PEM could not be read.
    #[error("the CA certificates cannot be read: {0}; they must be X.509 certificates in PEM")]
    CaCertificates(String),
    /// The PEM has none.
    #[error("there are no CA certificates: no line of the PEM says BEGIN CERTIFICATE")]
    NoCaCertificate,
    /// The proxy's URL has another form than [`ProxySettings::url`] has.
    #[error("the proxy `{0}` is not an http or https URL with a host and nothing after it; write `http://proxy.example.no:3128`")]
    ProxyUrl(String),
    /// A secret where everybody reads it.
    #[error("the proxy's URL has a user or a password in it, which is refused: give them as credentials beside it")]
    ProxyUrlWithCredentials,
    /// A user or a password that HTTP cannot carry.
    #[error("the proxy's user or password cannot be sent: the user must not have a colon in it (RFC 7617)")]
    ProxyCredentials,
    /// Nothing could ever be reached.
    #[error("a timeout of zero leaves no time to reach Maskinporten")]
    NoTime,
    /// OpenSSL, or the system's CA store.
    #[error("the HTTP client cannot be made: {0}")]
    Client(String),
}

impl Default for OutboundSettings {
    fn default() -> Self {
        Self { connect_timeout: Duration::from_secs(2), attempt_timeout: Duration::from_secs(4), proxy: None, ca_certificates: None }
    }
}

/// The clients, each made when it is first needed, for each reads the system's CA store: 2 MB and some 30 ms.
pub(super) struct Outbound {
    connect_timeout: Duration,
    attempt_timeout: Duration,
    proxy: Option<Proxy>,
    ca_certificates: Vec<Certificate>,
    name_lookup: Arc<dyn Resolve>,
    /// For this machine, never through a proxy.
    loopback: OnceLock<Client>,
    /// For all else.
    beyond: OnceLock<Client>,
}

impl Outbound {
    pub(super) fn new(settings: &OutboundSettings) -> Result<Self, OutboundError> {
        if settings.connect_timeout.is_zero() || settings.attempt_timeout.is_zero() {
            return Err(OutboundError::NoTime);
        }
        // Otherwise running out of time while connecting would look like an answer that does not come.
        let connect_timeout = settings.connect_timeout.min(settings.attempt_timeout);
        Ok(Self {
            connect_timeout,
            attempt_timeout: settings.attempt_timeout,
            proxy: settings.proxy.as_ref().map(proxy).transpose()?,
            ca_certificates: settings.ca_certificates.as_deref().map(ca_certificates).transpose()?.unwrap_or_default(),
            name_lookup: Arc::new(NameLookup::for_connect_timeout(connect_timeout)),
            loopback: OnceLock::new(),
            beyond: OnceLock::new(),
        })
    }

    /// Looks names up in another way.
    #[cfg(test)]
    pub(super) fn with_name_lookup(self, name_lookup: impl Resolve + 'static) -> Self {
        Self { name_lookup: Arc::new(name_lookup), ..self }
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    pub(super) fn attempt_timeout(&self) -> Duration {
        self.attempt_timeout
    }

    /// The client for this environment's token endpoint. Two that need the same at once may both make it: the first one stays.
    pub(super) fn client(&self, environment: &Environment) -> Result<&Client, OutboundError> {
        self.either(environment.is_loopback())
    }

    /// The client for another URL, by the same rule.
    pub(super) fn client_for(&self, url: &Url) -> Result<&Client, OutboundError> {
        self.either(is_loopback(url))
    }

    fn either(&self, is_loopback: bool) -> Result<&Client, OutboundError> {
        let (slot, builder): (_, fn(&Self) -> ClientBuilder) =
            if is_loopback { (&self.loopback, Self::direct) } else { (&self.beyond, Self::perhaps_through_a_proxy) };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = builder(self).build().map_err(|error| OutboundError::Client(innermost(&error)))?;
        Ok(slot.get_or_init(|| client))
    }

    fn direct(&self) -> ClientBuilder {
        self.builder().no_proxy()
    }

    fn perhaps_through_a_proxy(&self) -> ClientBuilder {
        match &self.proxy {
            Some(proxy) => self.builder().proxy(proxy.clone()),
            None => self.builder(),
        }
    }

    fn builder(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(concat!("portvakt/", env!("CARGO_PKG_VERSION")))
            .default_headers(HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]))
            .http1_only()
            .redirect(redirect::Policy::none())
            // A grant can be used once: sending it again brings MP-012.
            .retry(retry::never())
            .tls_version_min(tls::Version::TLS_1_2)
            .tls_certs_merge(self.ca_certificates.iter().cloned())
            .tcp_nodelay(true)
            .dns_resolver(Arc::clone(&self.name_lookup))
            .pool_idle_timeout(Duration::from_secs(30))
            .connect_timeout(self.connect_timeout)
            .timeout(self.attempt_timeout)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("connect_timeout", &self.connect_timeout)
            .field("attempt_timeout", &self.attempt_timeout)
            .field("ca_certificates", &self.ca_certificates.len())
            .finish_non_exhaustive()
    }
}

/// The text of the error at the bottom, which is the one that says why.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let last = std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error);
    printable(&last.to_string(), 200)
}

/// All certificates of a PEM, at least one.
pub(super) fn x509_from_pem(pem: &[u8]) -> Result<Vec<X509>, OutboundError> {
    let certificates = X509::stack_from_pem(pem).map_err(|error| OutboundError::CaCertificates(openssl_reason(&error)))?;
    if certificates.is_empty() { Err(OutboundError::NoCaCertificate) } else { Ok(certificates) }
}

fn ca_certificates(pem: &[u8]) -> Result<Vec<Certificate>, OutboundError> {
    let unreadable = |reason: String| OutboundError::CaCertificates(reason);
    x509_from_pem(pem)?
        .iter()
        .map(|certificate| {
            let der = certificate.to_der().map_err(|error| unreadable(openssl_reason(&error)))?;
            Certificate::from_der(&der).map_err(|error| unreadable(innermost(&error)))
        })
        .collect()
}

/// What OpenSSL stumbled over first, without its file names and line numbers.
pub(super) fn openssl_reason(error: &openssl::error::ErrorStack) -> String {
    error.errors().first().and_then(openssl::error::Error::reason).unwrap_or("OpenSSL gives no reason").to_owned()
}

fn proxy(settings: &ProxySettings) -> Result<Proxy, OutboundError> {
    if settings.url.contains('@') {
        return Err(OutboundError::ProxyUrlWithCredentials);
    }
    let not_a_proxy = || OutboundError::ProxyUrl(printable(&settings.url, 120));
    let url = Url::parse(&settings.url).map_err(|_| not_a_proxy())?;
    let nothing_after_it = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || !nothing_after_it {
        return Err(not_a_proxy());
    }
    let proxy = Proxy::https(url).map_err(|_| not_a_proxy())?;
    match &settings.credentials {
        None => Ok(proxy),
        Some(credentials) => Ok(proxy.custom_http_auth(basic(credentials)?)),
    }
}

/// Made here since reqwest's own way goes through a URL, where a `%` in a password does not survive.
pub(super) fn basic(credentials: &ProxyCredentials) -> Result<HeaderValue, OutboundError> {
    if credentials.user.contains(':') {
        return Err(OutboundError::ProxyCredentials);
    }
    let pair = Zeroizing::new(format!("{}:{}", credentials.user, credentials.password.expose_secret()));
    let encoded = Zeroizing::new(openssl::base64::encode_block(pair.as_bytes()));
    let mut header = HeaderValue::from_str(&Zeroizing::new(format!("Basic {}", *encoded))).map_err(|_| OutboundError::ProxyCredentials)?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn with_proxy(url: &str, user: &str) -> Result<Outbound, OutboundError> {
        let credentials = Some(ProxyCredentials { user: user.into(), password: "p%41ss".into() });
        let proxy = Some(ProxySettings { url: url.into(), credentials });
        Outbound::new(&OutboundSettings { proxy, ..OutboundSettings::default() })
    }

    #[rstest]
    #[case("http://proxy.example.no:3128", "user", None)]
    #[case("https://proxy.example.no/", "user", None)]
    #[case("http://u:secret@proxy.example.no", "user", Some(OutboundError::ProxyUrlWithCredentials))]
    #[case("http://u:secret@proxy.example.no:port", "user", Some(OutboundError::ProxyUrlWithCredentials))]
    #[case("proxy.example.no:3128", "user", Some(OutboundError::ProxyUrl("proxy.example.no:3128".into())))]
    #[case("socks5://proxy.example.no", "user", Some(OutboundError::ProxyUrl("socks5://proxy.example.no".into())))]
    #[case("http://proxy.example.no/path", "user", Some(OutboundError::ProxyUrl("http://proxy.example.no/path".into())))]
    #[case("mailto:x", "user", Some(OutboundError::ProxyUrl("mailto:x".into())))]
    #[case("", "user", Some(OutboundError::ProxyUrl(String::new())))]
    #[case("http://proxy.example.no", "us:er", Some(OutboundError::ProxyCredentials))]
    fn proxies(#[case] url: &str, #[case] user: &str, #[case] expected: Option<OutboundError>) {
        assert_eq!(with_proxy(url, user).err(), expected);
    }

    #[test]
    fn a_password_reaches_the_proxy_as_it_is_and_is_not_printed() {
        let credentials = ProxyCredentials { user: "user".into(), password: "p%41ss".into() };
        let header = basic(&credentials).unwrap();
        assert_eq!(openssl::base64::decode_block(header.to_str().unwrap().strip_prefix("Basic ").unwrap()).unwrap(), b"user:p%41ss");
        let printed = format!("{:?} {header:?} {credentials:?}", with_proxy("http://proxy.example.no", "user").unwrap());
        assert!(!printed.contains("p%41ss") && !printed.contains("Basic"), "{printed}");
    }

    #[test]
    fn ca_certificates_that_cannot_be_used() {
        let with_pem = |pem: &str| {
            let settings = OutboundSettings { ca_certificates: Some(pem.into()), ..OutboundSettings::default() };
            Outbound::new(&settings).unwrap_err()
        };
        assert_eq!(with_pem(""), OutboundError::NoCaCertificate);
        assert_eq!(with_pem("no PEM here"), OutboundError::NoCaCertificate);
        let broken = with_pem("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
        assert!(matches!(broken, OutboundError::CaCertificates(_)), "{broken}");
    }

    #[test]
    fn no_time_is_refused() {
        let settings = OutboundSettings { attempt_timeout: Duration::ZERO, ..OutboundSettings::default() };
        assert_eq!(Outbound::new(&settings).unwrap_err(), OutboundError::NoTime);
    }

    #[test]
    fn each_client_is_made_once_and_only_when_needed() {
        let outbound = Outbound::new(&OutboundSettings::default()).unwrap();
        let loopback = Environment::custom("simulator", "http://127.0.0.1:8090/", "http://127.0.0.1:8090/token").unwrap();
        let first: *const Client = outbound.client(&loopback).unwrap();
        assert!(std::ptr::eq(first, outbound.client(&loopback).unwrap()));
        assert!(outbound.beyond.get().is_none());
    }
}
