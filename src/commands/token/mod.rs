//! `portvakt token`: one token as an integration, with all that can be seen of how it came about.

mod members;
mod request;
mod shown;

use std::io;
use std::time::{Duration, Instant, SystemTime};

use self::request::Request;
use self::shown::{Hiding, Shown};
use super::{ConfigArgument, Failure, assembly, print_bytes};
use crate::config::{Config, Integration};
use crate::maskinporten::{Circumstances, Client, Diagnosis, Exchanged, Grant, GrantError, TokenEndpointClient};

const EXAMPLES: &str = "\
Makes one exchange, past the cache and the callers' rules. A person and what
authorization_details says beside their types are hidden; the token itself is
printed by --raw alone. Exit code 1: no token, with code, trace ID and remedy
on stderr.

Examples:
  portvakt token --scope folkeregister:deling/offentligutenhjemmel
  portvakt token --integration krr-test --scope a:b --consumer-org 889640782
  portvakt token --scope my:scope --raw | cut -d. -f2
  portvakt token --scope my:scope --pid-file - --show-pid < pid.txt";

/// Get one token as an integration, and show the grant, the answer and its claims
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(flatten)]
    request: request::Parameters,

    /// Print the token alone, for scripts
    #[arg(long, conflicts_with = "show_pid", help_heading = "What to show")]
    raw: bool,
    /// Show the person and authorization_details too
    #[arg(long, help_heading = "What to show")]
    show_pid: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let request = Request::read(&arguments.request).map_err(Failure::misused)?;
    let config = Config::load(&arguments.config.config).map_err(|error| Failure::configuration(&error))?;
    let integration = integration(&config, arguments.request.integration.as_deref()).map_err(Failure::misused)?;
    let client = assembly::client_of(&config, integration).map_err(|error| Failure::configuration(&error))?;
    let endpoint = assembly::token_endpoint_client(&config, std::slice::from_ref(&client)).map_err(Failure::misused)?;

    let began = Instant::now();
    let grant = client.grant(&request.as_grant_request(), SystemTime::now()).map_err(|error| match error {
        GrantError::Request(error) => Failure::misused(error),
        GrantError::Signing(error) => Failure::failed(error),
    })?;
    let signing = began.elapsed();
    let hiding = if arguments.show_pid { Hiding::Nothing } else { Hiding::Persons };
    let mut shown = Shown::new(hiding, SystemTime::now());
    if !arguments.raw {
        shown.grant(&grant, signing);
    }
    match exchange(&endpoint, &client, &grant).map_err(Failure::failed)? {
        (Exchanged { result: Ok(token), .. }, _) if arguments.raw => print_bytes(&[token.expose_secret(), b"\n"].concat()),
        (Exchanged { result: Ok(token), clock }, took) => {
            shown.token(&token, client.environment(), clock, took);
            print_bytes(shown.text().as_bytes())
        }
        (Exchanged { result: Err(error), clock }, took) => {
            if !arguments.raw {
                shown.no_token(client.environment(), took);
                print_bytes(shown.text().as_bytes())?;
            }
            let setup = assembly::setup(&config, integration);
            let circumstances = Circumstances { client: &client, scopes: &request.scopes, clock, setup: &setup };
            let diagnosis = Diagnosis::of(error, &circumstances);
            let (found, remedy, who) = (diagnosis.found(), diagnosis.remedy(), diagnosis.mended_by());
            Err(Failure::failed(format_args!("{found}\nWhat to do: {remedy}\nWho can: {who}")))
        }
    }
}

/// One attempt, and how long it took. A runtime of its own, for nothing else runs.
fn exchange(endpoint: &TokenEndpointClient, client: &Client, grant: &Grant) -> io::Result<(Exchanged, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let began = Instant::now();
    let exchanged = runtime.block_on(endpoint.exchange(client.environment(), grant));
    Ok((exchanged, began.elapsed()))
}

/// The one that is named, by its name or its client ID; or the only one.
fn integration<'c>(config: &'c Config, named: Option<&str>) -> Result<&'c Integration, String> {
    let known = || config.integrations.iter().map(|integration| integration.name.as_str()).collect::<Vec<_>>().join(", ");
    match (named, config.integrations.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("there are several integrations: say which with --integration: {}", known())),
        (Some(named), all) => all
            .iter()
            .find(|integration| integration.name == named || integration.client_id == named)
            .ok_or_else(|| format!("there is no integration {named}: there are {}", known())),
    }
}
