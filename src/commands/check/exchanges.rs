//! A real exchange for everything that is prefetched, or that a caller may ask for by its full name.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Semaphore;

use super::super::assembly;
use super::environments::Way;
use super::finding::{Finding, Name, Stage};
use super::keys::Opened;
use super::runner::{Check, Need};
use crate::config::{Config, Integration, Parameter, Permitted, Rule};
use crate::maskinporten::{
    AccessToken, Circumstances, Client, ClockDifference, Diagnosis, ExchangeError, Exchanged, GrantRequest, MendedBy, Scopes, Setup,
    TokenEndpointClient,
};

/// Exchanges that are made at once: Maskinporten is asked as a service would ask it, not stormed.
const AT_ONCE: usize = 4;

/// What exchanges are made with.
pub(super) struct Exchanges {
    endpoint: Arc<TokenEndpointClient>,
    turns: Arc<Semaphore>,
}

/// A token that somebody may want.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    scopes: Scopes,
    resource: Vec<String>,
    consumer_org: Option<String>,
    iss_onbehalfof: Option<String>,
}

/// A token, or what its rule requires and only the caller knows.
enum Want {
    Token(Wanted),
    Unknown { scopes: Scopes, caller: String, parameter: &'static str },
}

impl Exchanges {
    pub(super) fn new(endpoint: TokenEndpointClient) -> Self {
        Self { endpoint: Arc::new(endpoint), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// A check for each token of this integration's.
    pub(super) fn checks(&self, config: &Config, integration: &Integration, opened: &Opened, way: &Arc<Way>) -> Vec<Check> {
        let setup = Arc::new(assembly::setup(config, integration));
        wants(config, integration).into_iter().map(|want| self.check(integration, want, (opened, &setup), way)).collect()
    }

    /// The names that those checks have.
    pub(super) fn names(config: &Config, integration: &Integration) -> Vec<Name> {
        wants(config, integration).iter().map(|want| want.name(integration)).collect()
    }

    fn check(&self, integration: &Integration, want: Want, (opened, setup): (&Opened, &Arc<Setup>), way: &Arc<Way>) -> Check {
        let name = want.name(integration);
        let wanted = match want {
            Want::Token(wanted) => wanted,
            Want::Unknown { caller, parameter, .. } => {
                let found = format!("a request for it must have {parameter}, whose value only the caller knows");
                let finding = Finding::skipped(Stage::Callers.of(caller), found);
                return Check::known(name, "", vec![finding]);
            }
        };
        let tried = format!("exchanging a grant{wanted} at {}", way.environment.token_endpoint());
        let environment = way.environment.name();
        let needs = [
            Need::Success(Stage::Keys.of(&integration.name)),
            Need::Success(Stage::Tls.of(environment)),
            Need::End(Stage::Metadata.of(environment)),
            Need::NoFailure(Stage::Clock.of(environment)),
        ];
        let (endpoint, turns, opened) = (Arc::clone(&self.endpoint), Arc::clone(&self.turns), Arc::clone(opened));
        let (way, setup) = (Arc::clone(way), Arc::clone(setup));
        let work = async move {
            let (Ok(_turn), Some(client)) = (turns.acquire().await, opened.get()) else { return Vec::new() };
            vec![exchange(&endpoint, client, &way, &Arc::new(wanted), &setup).await]
        };
        Check::new(name, tried, work).needing(needs)
    }
}

/// One grant, one exchange, with the time put right as the service does it: also by what a refusal tells of the clock, once.
async fn exchange(endpoint: &TokenEndpointClient, client: &Arc<Client>, way: &Way, wanted: &Arc<Wanted>, setup: &Setup) -> Finding {
    let measured = way.clock();
    let used = measured.unwrap_or_default().correction();
    let first = match attempt(endpoint, client, wanted, used).await {
        Ok(attempt) => attempt,
        Err(finding) => return finding,
    };
    let another = first.tells_another_time(used);
    let last = match another {
        None => first,
        Some(another) => match attempt(endpoint, client, wanted, another).await {
            Ok(attempt) => attempt,
            Err(finding) => return finding,
        },
    };
    match last.result {
        Ok(token) => received(&token, &wanted.scopes, last.took, another == Some(ClockDifference::NONE)),
        Err(error) => {
            let clock = measured.or(last.clock);
            refused(error, &Circumstances { client, scopes: &wanted.scopes, clock, setup })
        }
    }
}

struct Attempt {
    result: Result<AccessToken, ExchangeError>,
    clock: Option<ClockDifference>,
    took: Duration,
}

impl Attempt {
    /// By how much to put the next grant right, when this one, put right by `used`, was refused for its time. One that was put right by
    /// what its answer still says is followed by one that is not: the `Date` may be that of something on the way.
    fn tells_another_time(&self, used: ClockDifference) -> Option<ClockDifference> {
        let refusal = self.result.as_ref().err().and_then(ExchangeError::refusal);
        refusal.filter(|refusal| refusal.is_for_the_clock())?;
        let learned = self.clock.unwrap_or_default().correction();
        let differs = |correction: &ClockDifference| correction.apart(used) >= ClockDifference::SMALLEST_PUT_RIGHT;
        Some(learned).filter(differs).or_else(|| Some(ClockDifference::NONE).filter(differs))
    }
}

/// `Err`: there was no grant to send.
async fn attempt(
    endpoint: &TokenEndpointClient,
    client: &Arc<Client>,
    wanted: &Arc<Wanted>,
    correction: ClockDifference,
) -> Result<Attempt, Finding> {
    let now = correction.put_right(SystemTime::now());
    let began = Instant::now();
    let (signing, asked) = (Arc::clone(client), Arc::clone(wanted));
    let grant = match tokio::task::spawn_blocking(move || signing.grant(&asked.grant_request(), now)).await {
        Ok(Ok(grant)) => grant,
        Ok(Err(error)) => return Err(Finding::failed(error.to_string(), "Correct the prefetch, or the rule that permits it.")),
        Err(_) => {
            return Err(Finding::failed("the grant could not be signed: this is a defect of Portvakt's", "Report it, with this report."));
        }
    };
    let Exchanged { result, clock } = endpoint.exchange(client.environment(), &grant).await;
    Ok(Attempt { result, clock, took: began.elapsed() })
}

fn received(token: &AccessToken, scopes: &Scopes, took: Duration, date_misleads: bool) -> Finding {
    let took = took.as_millis();
    if date_misleads {
        return Finding::warning(
            format!("a token, after {took} ms, but only for a grant with this machine's own time: the Date of the answers misleads"),
            "Find out what sets the Date of Maskinporten's answers on their way here: a proxy, or a gateway.",
        );
    }
    let Some(lifetime) = token.expires_in() else {
        let found = format!("a token, after {took} ms, and no word of its lifetime");
        return Finding::warning(
            found,
            "Portvakt cannot keep a token without expires_in: every request makes an exchange. Ask the API provider, or Digdir.",
        );
    };
    let seconds = lifetime.as_secs();
    match token.scope().filter(|given| *given != scopes) {
        Some(given) => Finding::warning(
            format!("a token that lives {seconds} s, after {took} ms, and for other scopes than were asked for: {given}"),
            "Check the client's scopes in Samarbeidsportalen.",
        ),
        None => Finding::ok(format!("a token that lives {seconds} s, after {took} ms")),
    }
}

fn refused(error: ExchangeError, circumstances: &Circumstances<'_>) -> Finding {
    let diagnosis = Diagnosis::of(error, circumstances);
    // Who reads this is the operator; what is another's to mend is marked so.
    let remedy = if diagnosis.mended_by() == MendedBy::Operator { diagnosis.remedy().to_owned() } else { diagnosis.what_to_do() };
    let mut finding = Finding::failed(diagnosis.found(), remedy);
    if let Some(refusal) = diagnosis.error().refusal() {
        finding.maskinporten_code = refusal.code.as_ref().map(|code| code.as_str().to_owned());
        finding.trace_id.clone_from(&refusal.trace_id);
    }
    finding
}

/// What is prefetched, then what callers may ask for by its full name: each once.
fn wants(config: &Config, integration: &Integration) -> Vec<Want> {
    let prefetched = integration.prefetch.iter().map(|prefetch| {
        Want::Token(Wanted {
            scopes: prefetch.scopes.clone(),
            resource: prefetch.resource.clone(),
            consumer_org: prefetch.consumer_org.clone(),
            iss_onbehalfof: prefetch.iss_onbehalfof.clone(),
        })
    });
    let mut wants: Vec<Want> = prefetched.collect();
    for caller in &config.callers {
        for rule in caller.may.iter().filter(|rule| rule.integration == integration.name) {
            for scopes in rule.scopes.iter().filter(|scope| !scope.ends_with('*')).filter_map(|scope| Scopes::parse(scope).ok()) {
                let want = by_rule(rule, scopes, &caller.name);
                if !wants.iter().any(|earlier| earlier.makes_needless(&want)) {
                    wants.push(want);
                }
            }
        }
    }
    wants
}

/// What a rule requires is given the first value that it permits.
fn by_rule(rule: &Rule, scopes: Scopes, caller: &str) -> Want {
    let required = |parameter, permitted: &Permitted, name| match permitted {
        _ if !rule.requires.contains(&parameter) => Ok(None),
        Permitted::These(values) => values.first().cloned().map(Some).ok_or(name),
        Permitted::Any => Err(name),
    };
    let token = || {
        let consumer_org = required(Parameter::ConsumerOrg, &rule.consumer_org, "consumer_org")?;
        let iss_onbehalfof = required(Parameter::IssOnBehalfOf, &rule.iss_onbehalfof, "iss_onbehalfof")?;
        let resource = required(Parameter::Resource, &rule.resource, "resource")?;
        for (parameter, name) in [(Parameter::AuthorizationDetails, "authorization_details"), (Parameter::Pid, "pid")] {
            if rule.requires.contains(&parameter) {
                return Err(name);
            }
        }
        Ok(Wanted { scopes: scopes.clone(), resource: resource.into_iter().collect(), consumer_org, iss_onbehalfof })
    };
    match token() {
        Ok(wanted) => Want::Token(wanted),
        Err(parameter) => Want::Unknown { scopes, caller: caller.to_owned(), parameter },
    }
}

impl Want {
    fn name(&self, integration: &Integration) -> Name {
        let (Self::Token(Wanted { scopes, .. }) | Self::Unknown { scopes, .. }) = self;
        Stage::Exchange.of(format!("{} {scopes}", integration.name))
    }

    /// Whether trying this one tells what trying the other would.
    fn makes_needless(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(this), Self::Token(other)) => this == other,
            (Self::Token(Wanted { scopes: this, .. }) | Self::Unknown { scopes: this, .. }, Self::Unknown { scopes: other, .. }) => {
                this == other
            }
            (Self::Unknown { .. }, Self::Token(_)) => false,
        }
    }
}

impl Wanted {
    fn grant_request(&self) -> GrantRequest<'_> {
        GrantRequest {
            scopes: &self.scopes,
            resource: &self.resource,
            consumer_org: self.consumer_org.as_deref(),
            iss_onbehalfof: self.iss_onbehalfof.as_deref(),
            authorization_details: None,
            pid: None,
        }
    }
}

/// What it has beyond its scopes, which are in the check's name.
impl std::fmt::Display for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(consumer_org) = &self.consumer_org {
            write!(f, " with consumer_org {consumer_org}")?;
        }
        if let Some(iss_onbehalfof) = &self.iss_onbehalfof {
            write!(f, " with iss_onbehalfof {iss_onbehalfof}")?;
        }
        if self.resource.is_empty() { Ok(()) } else { write!(f, " for {}", self.resource.join(" and ")) }
    }
}
