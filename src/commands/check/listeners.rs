//! The listeners' addresses: whether they can be had, or are held by a Portvakt that runs already.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use super::finding::{Finding, Stage, or_ok};
use super::runner::Check;
use crate::config::Config;
use crate::http::Listener;

/// Which of the two listeners.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tokens,
    Management,
}

/// Who answers at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// A Portvakt's listener of the kind that was asked for.
    Portvakt,
    Stranger,
}

/// Who holds a listener and does not answer in this time is not ours.
const PATIENCE: Duration = Duration::from_secs(2);

/// A check for each of the two addresses.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let (tokens, management) = (config.server.listen, config.management.listen);
    let check = |kind, address: SocketAddr| {
        let work = async move { look(kind, address, management).await };
        Check::new(Stage::Listeners.of(address.to_string()), format!("listening on {address} for {}", kind.purpose()), work)
    };
    vec![check(Kind::Tokens, tokens), check(Kind::Management, management)]
}

impl Kind {
    fn purpose(self) -> &'static str {
        match self {
            Self::Tokens => "token requests",
            Self::Management => "health and metrics",
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Self::Tokens => "`listen` in [server]",
            Self::Management => "`listen` in [management]",
        }
    }
}

async fn look(kind: Kind, address: SocketAddr, management: SocketAddr) -> Vec<Finding> {
    let (mut findings, free) = match Listener::bind(address) {
        Ok(_) if address.port() == 0 => (Vec::new(), "a free port will be taken"),
        Ok(_) => (Vec::new(), "it is free"),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match holder(kind, address, management).await {
            Holder::Portvakt => (Vec::new(), "held by a Portvakt that is running and answers"),
            Holder::Stranger => (vec![taken(kind, address)], ""),
        },
        Err(error) => (vec![not_to_be_had(kind, address, &error)], ""),
    };
    if kind == Kind::Tokens && !address.ip().to_canonical().is_loopback() {
        findings.push(Finding::warning(
            "plain HTTP beyond loopback: API keys and tokens can be read on their way",
            "Put something that ends TLS in front and listen on loopback behind it, or see that only the gateway reaches this address.",
        ));
    }
    or_ok(findings, || free.to_owned())
}

fn taken(kind: Kind, address: SocketAddr) -> Finding {
    let port = address.port();
    let remedy = format!("`ss -ltnp 'sport = :{port}'` says who holds it: stop that, or choose another port in {}.", kind.setting());
    Finding::failed("another program holds the address, and it is not a running Portvakt with this configuration", remedy)
}

fn not_to_be_had(kind: Kind, address: SocketAddr, error: &crate::http::ListenerError) -> Finding {
    let remedy = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!(
                "Ports below 1024 are not for every user: choose a higher one in {}, or give Portvakt CAP_NET_BIND_SERVICE.",
                kind.setting()
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("{} is not an address of this machine (`ip address` lists them): correct {}.", address.ip(), kind.setting())
        }
        _ => format!("Choose another address in {}.", kind.setting()),
    };
    Finding::failed(error.to_string(), remedy)
}

/// A Portvakt's management listener says that it is alive. Its token listener knows no such path and says so in its own words; that it
/// belongs to this configuration shows at the management listener, which must answer too.
async fn holder(kind: Kind, address: SocketAddr, management: SocketAddr) -> Holder {
    let is_alive = match kind {
        Kind::Management => is_alive(address).await,
        Kind::Tokens => hands_out_tokens(address).await && (management.port() == 0 || is_alive(management).await),
    };
    if is_alive { Holder::Portvakt } else { Holder::Stranger }
}

async fn is_alive(address: SocketAddr) -> bool {
    ask(address).await.is_some_and(|answer| answer.status == 200 && answer.body == "alive\n" && answer.has_request_id)
}

async fn hands_out_tokens(address: SocketAddr) -> bool {
    let Some(answer) = ask(address).await else { return false };
    let document: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let says = document.get("error_description").and_then(Value::as_str).unwrap_or_default();
    answer.status == 404 && answer.has_request_id && says.contains("Tokens are at /token")
}

struct Answer {
    status: u16,
    has_request_id: bool,
    body: String,
}

/// `GET /health/live`, of whoever holds the address.
async fn ask(address: SocketAddr) -> Option<Answer> {
    const LARGEST: usize = 4096;
    let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build().ok()?;
    let mut response = client.get(format!("http://{}/health/live", reachable(address))).send().await.ok()?;
    let (status, has_request_id) = (response.status().as_u16(), response.headers().contains_key("x-request-id"));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST {
            return None;
        }
    }
    Some(Answer { status, has_request_id, body: String::from_utf8(body).ok()? })
}

/// Who listens on all addresses is asked at loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
