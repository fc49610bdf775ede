//! From the operator's file to the list of checks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::super::assembly;
use super::environments::Way;
use super::exchanges::Exchanges;
use super::finding::{Finding, Name, Stage};
use super::keys::Opened;
use super::runner::{Check, NOT_TRIED};
use super::{callers, configuration, definition, keys, listeners};
use crate::config::{Config, ConfigError, Inspection, Integration, Mistake};
use crate::maskinporten::TokenEndpointClient;
use crate::maskinporten::probe::Probe;

/// What the command line narrows the checks down to.
pub(super) struct Scope<'a> {
    /// The file as the operator named it.
    pub(super) file: &'a str,
    /// Nothing that needs the network.
    pub(super) offline: bool,
    /// This integration alone.
    pub(super) integration: Option<&'a str>,
    /// An API definition for Gravitee.
    pub(super) gravitee: Option<&'a Path>,
}

/// All checks, in the order in which they are told of. Every stage has at least one.
pub(super) fn checks(inspected: Result<Inspection, ConfigError>, scope: &Scope<'_>) -> Vec<Check> {
    let (mut checks, broken) = match inspected {
        Ok(inspection) => of_a_file(inspection, scope),
        Err(error) => (vec![configuration::unreadable(scope.file, &error)], Some(Stage::Configuration.of(scope.file))),
    };
    if let Some(file) = scope.gravitee
        && let Some(broken) = &broken
        && !checks.iter().any(|check| check.name.stage == Stage::Gravitee)
    {
        checks.push(skipped(definition::name(file), broken, NOT_TRIED));
    }
    for stage in Stage::ALL {
        if !checks.iter().any(|check| check.name.stage == stage) {
            let name = stage.of(scope.file);
            checks.push(match &broken {
                Some(broken) => skipped(name, broken, NOT_TRIED),
                // Only exchanges can be without one in a file that is whole.
                None => skipped(
                    name,
                    &Stage::Configuration.of(scope.file),
                    "nothing is prefetched, and no caller may ask for a scope by its full name",
                ),
            });
        }
    }
    checks.sort_by_key(|check| check.name.stage); // stable: the file's order within a stage
    checks
}

fn skipped(name: Name, because: &impl ToString, found: &str) -> Check {
    Check::known(name, "", vec![Finding::skipped(because.to_string(), found)])
}

/// Also what keeps the rest of the file from being looked at, if something does.
fn of_a_file(inspection: Inspection, scope: &Scope<'_>) -> (Vec<Check>, Option<Name>) {
    let Inspection { config, mut mistakes, left_out, outbound_is_wrong, .. } = inspection;
    let config = config.map(Arc::new);
    let outbound = config.as_deref().filter(|_| !outbound_is_wrong).map(outbound).transpose();
    if let Err(mistake) = &outbound {
        mistakes.push(mistake.clone());
    }
    let broken = configuration::broken(scope.file, &mistakes);
    let mut checks = configuration::checks(scope.file, &mistakes, config.as_deref());
    let Some(config) = config else { return (checks, broken) };
    let because = broken.clone().unwrap_or_else(|| Stage::Configuration.of(scope.file));
    let is_wanted = |name: &str| scope.integration.is_none_or(|wanted| wanted == name);
    for name in left_out.iter().filter(|name| is_wanted(name)) {
        checks.extend([Stage::Keys, Stage::Exchange].map(|stage| skipped(stage.of(name), &because, NOT_TRIED)));
    }
    checks.extend(callers::checks(&config));
    checks.extend(listeners::checks(&config));
    checks.extend(scope.gravitee.map(|file| definition::check(file, &config)));
    let mut opened = Vec::new();
    for (index, integration) in config.integrations.iter().enumerate().filter(|(_, integration)| is_wanted(&integration.name)) {
        let client = Opened::default();
        checks.extend(keys::check(&config, index, Arc::clone(&client)));
        opened.push((integration, client));
    }
    match outbound {
        _ if scope.offline => checks.extend(offline(&config, &opened, &"--offline")),
        Ok(Some((probe, endpoint))) => checks.extend(online(&config, &opened, probe, endpoint)),
        Ok(None) | Err(_) => checks.extend(offline(&config, &opened, &because)),
    }
    (checks, broken)
}

/// What the way to Maskinporten is walked with, and exchanges are made with.
fn outbound(config: &Config) -> Result<(Probe, TokenEndpointClient), Mistake> {
    let settings = assembly::outbound_settings(&config.outbound);
    let made = Probe::new(&settings).and_then(|probe| Ok((probe, TokenEndpointClient::new(&settings)?)));
    made.map_err(|error| assembly::outbound_mistake(config, &error))
}

fn online(config: &Arc<Config>, opened: &[(&Integration, Opened)], probe: Probe, endpoint: TokenEndpointClient) -> Vec<Check> {
    let (probe, exchanges) = (Arc::new(probe), Exchanges::new(endpoint));
    let mut ways: HashMap<&str, Arc<Way>> = HashMap::new();
    let mut checks = Vec::new();
    for (integration, client) in opened {
        let way = ways.entry(integration.environment.name()).or_insert_with(|| {
            let way = Way::new(integration.environment.clone(), Arc::clone(&probe));
            checks.extend(way.checks());
            way
        });
        checks.extend(exchanges.checks(config, integration, client, way));
    }
    checks
}

/// The same names, with nothing behind them.
fn offline(config: &Config, opened: &[(&Integration, Opened)], because: &impl ToString) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for (integration, _) in opened {
        let environment = integration.environment.name();
        if checks.iter().any(|check| check.name == Stage::Dns.of(environment)) {
            continue;
        }
        let stages = [Stage::Dns, Stage::Connect, Stage::Tls, Stage::Metadata, Stage::Clock];
        checks.extend(stages.map(|stage| skipped(stage.of(environment), because, NOT_TRIED)));
    }
    let names = opened.iter().flat_map(|(integration, _)| Exchanges::names(config, integration));
    checks.extend(names.map(|name| skipped(name, because, NOT_TRIED)));
    checks
}
