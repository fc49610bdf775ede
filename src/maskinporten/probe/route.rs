//! Where a connection to an environment goes: to the host itself, or to a proxy.

use std::fmt;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use reqwest::header::HeaderValue;
use thiserror::Error;

use super::Probe;
use crate::maskinporten::environment::Environment;
use crate::maskinporten::foreign_text::printable;
use crate::maskinporten::outbound::basic;

/// The way to a token endpoint. `Display`: `test.maskinporten.no:443 through the proxy proxy.example.no:3128`.
#[derive(Clone, Debug)]
pub struct Route {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) is_tls: bool,
    pub(super) proxy: Option<Proxy>,
}

/// A proxy on the way.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// TLS to the proxy itself.
    pub(super) is_tls: bool,
    /// `Proxy-Authorization`, marked as sensitive, so that `Debug` does not show it.
    pub(super) authorization: Option<HeaderValue>,
    /// Named by the environment variables, not by the settings.
    from_variables: bool,
}

/// Why there is no way that could be tried.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnusableRoute {
    /// The token endpoint is not a URL with a host.
    #[error("{0} is not a URL with a host")]
    NotAUrl(String),
    /// `HTTPS_PROXY` or `ALL_PROXY` names a SOCKS proxy.
    #[error("HTTPS_PROXY or ALL_PROXY names a proxy that speaks {0}, and Portvakt tunnels through HTTP proxies only")]
    Socks(String),
    /// A user or password that HTTP cannot carry.
    #[error("the proxy's user or password cannot be sent")]
    ProxyCredentials,
}

impl Probe {
    /// Who is connected to for this environment: decided as the HTTP client decides it, by the settings' proxy or by `HTTPS_PROXY`,
    /// `ALL_PROXY` and `NO_PROXY`, and for this machine never through a proxy.
    ///
    /// # Errors
    ///
    /// [`UnusableRoute`] when the proxy that is named cannot be used.
    pub fn route(&self, environment: &Environment) -> Result<Route, UnusableRoute> {
        let endpoint = environment.token_endpoint();
        let not_a_url = || UnusableRoute::NotAUrl(printable(endpoint, 200));
        let url = Url::parse(endpoint).map_err(|_| not_a_url())?;
        let (host, port) = host_and_port(&url).ok_or_else(not_a_url)?;
        let proxy = if environment.is_loopback() { None } else { self.proxy(endpoint)? };
        Ok(Route { host, port, is_tls: url.scheme() == "https", proxy })
    }

    fn proxy(&self, endpoint: &str) -> Result<Option<Proxy>, UnusableRoute> {
        if let Some(settings) = &self.proxy {
            let not_a_url = || UnusableRoute::NotAUrl(printable(&settings.url, 120));
            let url = Url::parse(&settings.url).map_err(|_| not_a_url())?;
            let (host, port) = host_and_port(&url).ok_or_else(not_a_url)?;
            let authorization = settings.credentials.as_ref().map(basic).transpose().map_err(|_| UnusableRoute::ProxyCredentials)?;
            return Ok(Some(Proxy { host, port, is_tls: url.scheme() == "https", authorization, from_variables: false }));
        }
        // What reqwest itself asks.
        let Some(intercept) = endpoint.parse().ok().and_then(|uri| Matcher::from_system().intercept(&uri)) else { return Ok(None) };
        let uri = intercept.uri();
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") | None => false,
            Some(other) => return Err(UnusableRoute::Socks(printable(other, 20))),
        };
        let host = uri.host().ok_or_else(|| UnusableRoute::NotAUrl("the proxy".to_owned()))?;
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let authorization = intercept.basic_auth().cloned();
        Ok(Some(Proxy { host: bare(host).to_owned(), port, is_tls, authorization, from_variables: true }))
    }
}

fn host_and_port(url: &Url) -> Option<(String, u16)> {
    Some((bare(url.host_str()?).to_owned(), url.port_or_known_default()?))
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// An IPv6 address with its brackets, as it stands before a port.
pub(super) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

impl Route {
    /// The host that is looked up and connected to first: the proxy's, where there is one.
    pub fn first_host(&self) -> &str {
        self.proxy.as_ref().map_or(&self.host, |proxy| &proxy.host)
    }

    /// The port that is connected to first.
    pub fn first_port(&self) -> u16 {
        self.proxy.as_ref().map_or(self.port, |proxy| proxy.port)
    }

    /// Whether TLS is spoken with the token endpoint. If not, it is on this machine.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// `host:port` of the proxy, and who named it.
    pub fn proxy(&self) -> Option<String> {
        self.proxy.as_ref().map(ToString::to_string)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = if self.from_variables { " (from HTTPS_PROXY or ALL_PROXY)" } else { "" };
        write!(f, "{}:{}{named}", bracketed(&self.host), self.port)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", bracketed(&self.host), self.port)?;
        match &self.proxy {
            Some(proxy) => write!(f, " through the proxy {proxy}"),
            None => Ok(()),
        }
    }
}
