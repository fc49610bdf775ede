//! Where a grant goes, and what its `aud` must be.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// An environment of Maskinporten: its issuer, to the character, and its token endpoint.
///
/// The issuer is the only value of `aud` that the environment accepts
/// ([maskinporten_func_wellknown](https://docs.digdir.no/docs/Maskinporten/maskinporten_func_wellknown)):
/// with a slash at the end for Maskinporten, without one for Skyporten. Cloning is cheap.
///
/// ```
/// use portvakt::maskinporten::Environment;
/// let test = Environment::built_in("test").unwrap();
/// assert_eq!(test.issuer(), "https://test.maskinporten.no/");
/// assert_eq!(test.token_endpoint(), "https://test.maskinporten.no/token");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Environment {
    name: Arc<str>,
    issuer: Arc<str>,
    token_endpoint: Arc<str>,
}

/// Why an issuer or a token endpoint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidEnvironment {
    /// Not an absolute `http` or `https` URL with a host, or one with a user, query or fragment.
    #[error("`{0}` is not an absolute http or https URL with a host and without user, query or fragment")]
    NotAUrl(String),
    /// Grants and tokens would cross a network in plain text.
    #[error("`{0}` is plain http, which is refused for anything but loopback: a grant and a token would cross the network in plain text")]
    PlainHttp(String),
}

/// Name, issuer, token endpoint.
const BUILT_IN: [(&str, &str, &str); 4] = [
    ("prod", "https://maskinporten.no/", "https://maskinporten.no/token"),
    ("test", "https://test.maskinporten.no/", "https://test.maskinporten.no/token"),
    ("sky-prod", "https://sky.maskinporten.no", "https://sky.maskinporten.no/token"),
    ("sky-test", "https://test.sky.maskinporten.no", "https://test.sky.maskinporten.no/token"),
];

impl Environment {
    /// The names of the built-in environments: `prod`, `test`, `sky-prod`, `sky-test`.
    pub const BUILT_IN: [&'static str; 4] = [BUILT_IN[0].0, BUILT_IN[1].0, BUILT_IN[2].0, BUILT_IN[3].0];

    /// One of Digdir's own environments, by its name.
    pub fn built_in(name: &str) -> Option<Self> {
        BUILT_IN.iter().find(|(known, ..)| *known == name).map(|(name, issuer, token_endpoint)| Self {
            name: (*name).into(),
            issuer: (*issuer).into(),
            token_endpoint: (*token_endpoint).into(),
        })
    }

    /// Another issuer that speaks Maskinporten's protocol: a simulator, or a proxy in front.
    ///
    /// # Errors
    ///
    /// [`InvalidEnvironment`] when either is not an absolute URL, or is plain http beyond loopback.
    pub fn custom(name: &str, issuer: &str, token_endpoint: &str) -> Result<Self, InvalidEnvironment> {
        for text in [issuer, token_endpoint] {
            check_url(text)?;
        }
        Ok(Self { name: name.into(), issuer: issuer.into(), token_endpoint: token_endpoint.into() })
    }

    /// The name that the operator's file uses.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The one value of a grant's `aud`, to the slash.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where a grant is exchanged for a token.
    pub fn token_endpoint(&self) -> &str {
        &self.token_endpoint
    }

    /// Where a client may live that this environment does not know: production for test, and the reverse. None for an issuer that is
    /// not Digdir's.
    pub fn counterpart(&self) -> Option<Self> {
        let index = BUILT_IN.iter().position(|(_, issuer, _)| *issuer == &*self.issuer)?;
        // They stand in pairs.
        BUILT_IN.get(index ^ 1).and_then(|(name, ..)| Self::built_in(name))
    }

    /// Whether the token endpoint is on this machine, so that no proxy may come between.
    pub fn is_loopback(&self) -> bool {
        reqwest::Url::parse(&self.token_endpoint).is_ok_and(|url| is_loopback(&url))
    }

    /// Whether this is one of Digdir's production environments: production certificates are used here, and no others.
    pub fn is_production(&self) -> bool {
        matches!(&*self.issuer, "https://maskinporten.no/" | "https://sky.maskinporten.no")
    }

    /// Whether this is Skyporten, where some things are elsewhere.
    pub(super) fn is_skyporten(&self) -> bool {
        matches!(&*self.issuer, "https://sky.maskinporten.no" | "https://test.sky.maskinporten.no")
    }

    /// Whether this is one of Digdir's test environments: test certificates are used here, and no others.
    pub fn is_test(&self) -> bool {
        matches!(&*self.issuer, "https://test.maskinporten.no/" | "https://test.sky.maskinporten.no")
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn check_url(text: &str) -> Result<(), InvalidEnvironment> {
    let not_a_url = || InvalidEnvironment::NotAUrl(text.to_owned());
    let url = reqwest::Url::parse(text).map_err(|_| not_a_url())?;
    let plain = match url.scheme() {
        "https" => false,
        "http" => true,
        _ => return Err(not_a_url()),
    };
    let extras = !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some();
    if url.host().is_none() || extras || text.trim() != text {
        return Err(not_a_url());
    }
    if plain && !is_loopback(&url) {
        return Err(InvalidEnvironment::PlainHttp(text.to_owned()));
    }
    Ok(())
}

pub(super) fn is_loopback(url: &reqwest::Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("http://127.0.0.1:8090/", true)]
    #[case("http://[::1]:8090/", true)]
    #[case("http://localhost:8090/", true)]
    #[case("https://maskinporten.example.no/", true)]
    #[case("http://10.0.0.1/", false)]
    #[case("http://127.0.0.1.example.no/", false)]
    #[case("ftp://127.0.0.1/", false)]
    #[case("maskinporten.no", false)]
    #[case("https://user:secret@maskinporten.no/", false)]
    #[case("https://maskinporten.no/?a=b", false)]
    #[case(" https://maskinporten.no/", false)]
    fn urls_that_can_be_used(#[case] url: &str, #[case] good: bool) {
        assert_eq!(Environment::custom("x", url, url).is_ok(), good, "{url}");
    }

    #[test]
    fn every_built_in_environment_has_its_name() {
        for name in Environment::BUILT_IN {
            assert_eq!(Environment::built_in(name).unwrap().name(), name);
        }
        assert_eq!(Environment::built_in("staging"), None);
    }

    #[test]
    fn each_environment_of_digdirs_has_a_counterpart() {
        for (one, other) in [("prod", "test"), ("sky-prod", "sky-test")] {
            let [one, other] = [one, other].map(|name| Environment::built_in(name).unwrap());
            assert_eq!((one.counterpart(), other.counterpart()), (Some(other), Some(one)));
        }
        let prod = Environment::built_in("prod").unwrap();
        let through_a_proxy = Environment::custom("x", "https://test.maskinporten.no/", "https://proxy.example.no/token").unwrap();
        assert_eq!(through_a_proxy.counterpart(), Some(prod));
        assert_eq!(Environment::custom("x", "https://example.no/", "https://example.no/token").unwrap().counterpart(), None);
    }
}
