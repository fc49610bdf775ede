//! `portvakt gravitee`: an API definition for the gateway, with this installation's URL and client ID in it; and what `portvakt check`
//! has to say of one.

mod definition;
mod findings;
mod shipped;

use std::net::SocketAddr;

use clap::Args;
use reqwest::Url;

use self::definition::{Definition, NotADefinition};
pub(super) use self::findings::Finding;
use self::shipped::{Register, Version};
use super::{ConfigArgument, Failure, print, say};
use crate::config::{Config, Integration};

const TOKEN_URL_PROPERTY: &str = "portvakt_token_url";
const API_KEY_PROPERTY: &str = "maskinporten_api_key";
const CLIENT_ID_PROPERTY: &str = "maskinporten_api_iss";

const EXAMPLES: &str = "\
The API key is never in it: after the import it goes into the property
maskinporten_api_key. `portvakt check --gravitee FILE` looks at one in use.

Examples:
  portvakt gravitee freg --url http://portvakt.example.no:8080 > freg.json
  portvakt gravitee krr --integration krr-prod --definition-version v4";

/// Print a register's API definition for Gravitee, filled in
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(flatten)]
    config: ConfigArgument,
    /// freg (Folkeregisteret), or krr (Kontakt- og reservasjonsregisteret)
    #[arg(value_enum, value_name = "REGISTER", hide_possible_values = true)]
    register: Register,
    /// Whose token it asks for; its environment decides between test and production [default: the only one]
    #[arg(long, value_name = "NAME")]
    integration: Option<String>,
    /// Portvakt, as the gateway reaches it [default: the address that it listens on]
    #[arg(long, value_name = "URL", value_parser = portvakt_url)]
    url: Option<Url>,
    /// The definition's version: v2, or v4
    #[arg(long, value_enum, value_name = "VERSION", default_value = "v2", hide_possible_values = true)]
    definition_version: Version,
}

fn portvakt_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it must begin with http:// or https://".to_owned());
    }
    if !matches!(url.path(), "/" | "/token") || url.query().is_some() {
        return Err("give the address alone, or with /token: http://portvakt.example.no:8080".to_owned());
    }
    Ok(url)
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config.config).map_err(|error| Failure::configuration(&error))?;
    let integration = integration(&config, arguments.integration.as_deref()).map_err(Failure::misused)?;
    let token_url = match &arguments.url {
        Some(url) => format!("{}/token", url.origin().ascii_serialization()),
        None => listening(config.server.listen)?,
    };
    let production = integration.environment.is_production();
    let text = shipped::definition(arguments.register, arguments.definition_version, production);
    print(shipped::filled_in(text, &token_url, &integration.client_id).trim_end())?;
    say(format_args!("After the import, put the gateway's API key into the property {API_KEY_PROPERTY}, and have it encrypted."));
    Ok(())
}

/// What there is to say of a definition.
pub(super) struct Inspected {
    /// What somebody should know.
    pub(super) findings: Vec<Finding>,
    /// What it is.
    pub(super) summary: String,
}

/// Reads a definition, and holds it against this installation.
///
/// # Errors
///
/// [`NotADefinition`] when it is none.
pub(super) fn inspect(text: &str, config: &Config) -> Result<Inspected, NotADefinition> {
    let definition = Definition::parse(text)?;
    let plans: Vec<&str> = definition.plans.iter().map(|plan| plan.name.as_str()).collect();
    let summary = format!("`{}`, plans {}", definition.name, plans.join(", "));
    Ok(Inspected { findings: findings::findings(&definition, config), summary })
}

fn integration<'a>(config: &'a Config, wanted: Option<&str>) -> Result<&'a Integration, String> {
    let names = || config.integrations.iter().map(|integration| integration.name.as_str()).collect::<Vec<_>>().join(", ");
    match (wanted, config.integrations.as_slice()) {
        (Some(wanted), all) => all
            .iter()
            .find(|integration| integration.name == wanted)
            .ok_or_else(|| format!("the configuration has no integration `{wanted}`. There are: {}", names())),
        (None, [only]) => Ok(only),
        (None, []) => Err("the configuration has no integration: add one, `portvakt init` shows how".to_owned()),
        (None, _) => Err(format!("the configuration has several integrations: choose one with --integration. There are: {}", names())),
    }
}

fn listening(address: SocketAddr) -> Result<String, Failure> {
    if address.ip().is_unspecified() || address.port() == 0 {
        return Err(Failure::misused(format_args!(
            "Portvakt listens on {address}, which is no address to call: say with --url how the gateway reaches it"
        )));
    }
    if address.ip().is_loopback() {
        say(format_args!("Portvakt listens on {address}: only a gateway on this machine reaches it there. --url names another address."));
    }
    Ok(format!("http://{address}/token"))
}
