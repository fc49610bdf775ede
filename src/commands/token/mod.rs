//! `portvakt token`: one token as an integration, with all that can be seen of how it came about.

mod members;
mod request;
mod shown;

use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::{Builder, Runtime};
use zeroize::Zeroizing;

use self::request::Request;
use self::shown::{Hiding, Shown};
use super::{ConfigArgument, Failure, assembly, print_bytes, say};
use crate::config::{Config, Integration};
use crate::maskinporten::{
    Circumstances, Client, ClockDifference, Diagnosis, ExchangeError, Exchanged, Grant, GrantError, TokenEndpointClient,
};

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
    let assembly::WaysOut { endpoint, probe } = assembly::ways_out(&config, std::slice::from_ref(&client)).map_err(Failure::misused)?;

    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let asking = Asking { client: &client, endpoint: &endpoint, request: &request, runtime: &runtime };

    let hiding = if arguments.show_pid { Hiding::Nothing } else { Hiding::Persons };
    let mut shown = Shown::new(hiding, SystemTime::now());
    let mut attempt = Attempt::make(&asking, SystemTime::now())?;
    if let Some(clock) = attempt.clock_to_put_right() {
        attempt.show(&mut shown, &client);
        say(format_args!("Refused for its time: {clock}. Once more, with the time put right, as the service does. Set the clock right."));
        attempt = Attempt::make(&asking, clock.put_right(SystemTime::now()))?;
    }
    attempt.show(&mut shown, &client);
    match attempt.exchanged {
        Exchanged { result: Ok(token), .. } if arguments.raw => print_bytes(&Zeroizing::new([token.expose_secret(), b"\n"].concat())),
        Exchanged { result: Ok(_), .. } => print_bytes(shown.text().as_bytes()),
        Exchanged { result: Err(error), clock } => {
            if !arguments.raw {
                print_bytes(shown.text().as_bytes())?;
            }
            let setup = assembly::setup(&config, integration);
            let circumstances = Circumstances { client: &client, scopes: &request.scopes, clock, setup: &setup };
            let about_a_certificate = error.is_about_a_certificate();
            let presented = if about_a_certificate { runtime.block_on(probe.presented(client.environment())) } else { Vec::new() };
            let diagnosis = Diagnosis::of(error, &circumstances).with_presented(&presented);
            let (found, remedy, who) = (diagnosis.found(), diagnosis.remedy(), diagnosis.mended_by());
            Err(Failure::failed(format_args!("{found}\nWhat to do: {remedy}\nWho can: {who}")))
        }
    }
}

/// Who asks whom for what: the same in each attempt.
struct Asking<'a> {
    client: &'a Client,
    endpoint: &'a TokenEndpointClient,
    request: &'a Request,
    runtime: &'a Runtime,
}

/// One grant, and what it brought.
struct Attempt {
    grant: Grant,
    signing: Duration,
    exchanged: Exchanged,
    exchanging: Duration,
}

impl Attempt {
    /// `now`: Maskinporten's time, as far as it is known.
    fn make(asking: &Asking<'_>, now: SystemTime) -> Result<Self, Failure> {
        let client = asking.client;
        let began = Instant::now();
        let grant = client.grant(&asking.request.as_grant_request(), now).map_err(|error| match error {
            GrantError::Request(error) => Failure::misused(error),
            GrantError::Signing(error) => Failure::failed(error),
        })?;
        let signing = began.elapsed();
        let began = Instant::now();
        let exchanged = asking.runtime.block_on(asking.endpoint.exchange(client.environment(), &grant));
        Ok(Self { grant, signing, exchanged, exchanging: began.elapsed() })
    }

    /// What Maskinporten's clock showed, where that is why there is no token and where another attempt can mend it.
    fn clock_to_put_right(&self) -> Option<ClockDifference> {
        let refusal = self.exchanged.result.as_ref().err().and_then(ExchangeError::refusal)?;
        self.exchanged.clock.filter(|clock| refusal.is_for_the_clock() && clock.correction() != ClockDifference::NONE)
    }

    fn show(&self, shown: &mut Shown, client: &Client) {
        shown.grant(&self.grant, self.signing);
        match &self.exchanged.result {
            Ok(token) => shown.token(token, client.environment(), self.exchanged.clock, self.exchanging),
            Err(_) => shown.no_token(client.environment(), self.exchanging),
        }
    }
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
