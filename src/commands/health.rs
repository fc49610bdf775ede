//! `portvakt health`: whether the service on this machine is ready, for containers that have no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{ConfigArgument, Failure, print};
use crate::config::Config;

/// Docker and Kubernetes give a probe a second or several; a service that takes longer to say it is ready is not.
const TIMEOUT: Duration = Duration::from_secs(3);

const EXAMPLES: &str = "\
Exit code 0: ready. 1: not ready, or no answer within 3 s. Where the address is
not given, the configuration file says where the management listener is.

Examples:
  portvakt health
  portvakt health --address 127.0.0.1:9464      reads no file
  HEALTHCHECK CMD [\"portvakt\", \"health\", \"--address\", \"127.0.0.1:9464\"]";

/// Ask the management listener whether the service is ready
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// The management listener [default: `management.listen` of the configuration file]
    #[arg(long, value_name = "ADDRESS", help_heading = "Whom to ask")]
    address: Option<SocketAddr>,
    #[command(flatten)]
    config: ConfigArgument,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let address = match arguments.address {
        Some(address) => address,
        None => Config::load(&arguments.config.config).map_err(|error| Failure::configuration(&error))?.management.listen,
    };
    if address.port() == 0 {
        return Err(Failure::misused("the management listener takes a free port, which nobody can know: give it with --address"));
    }
    let url = format!("http://{}/health/ready", reachable(address));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    match runtime.block_on(status(&url)) {
        Ok(200) => print("ready"),
        Ok(status) => {
            Err(Failure::failed(format_args!("not ready: {url} answers {status}. It is starting or stopping, or it is no Portvakt")))
        }
        Err(error) => Err(Failure::failed(format_args!(
            "no answer from {url}: {}. Is the service running, and is that its management listener?",
            innermost(&error)
        ))),
    }
}

async fn status(url: &str) -> Result<u16, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build()?;
    Ok(client.get(url).send().await?.status().as_u16())
}

/// A listener on all addresses is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}

/// What lies below reqwest's own words, which name the URL again.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("{} s have passed", TIMEOUT.as_secs());
    }
    let causes = std::iter::successors(std::error::Error::source(error), |&cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}
