//! The one entrance: give me a token for this request.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::info;

use super::arrangement::{Arranged, Arrangement, neighbour_among};
use super::attempts::Attempts;
use super::cache::TokenCache;
use super::circuit::Circuit;
use super::clock::EnvironmentClock;
use super::error::TokenError;
use super::exchanges::{Exchanges, Joined, Purpose};
use super::integration::{Configured, Integration, WayOut};
use super::renewal::Renewals;
use super::request::{CallerId, Details, IntegrationId, TokenRequest};
use super::signing::SigningPool;
use super::suspension::Watch;
use super::token::Token;
use super::trials;
use super::under_way::Outcome;
use super::waiting::{Waiting, Waits};
use crate::maskinporten::probe::Probe;
use crate::maskinporten::{Client, KnownError, Scopes, Setup, TokenEndpointClient};
use crate::telemetry::Metrics;

/// How often what has expired is let go of, and failures that go on are looked at.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What the service is made of.
#[derive(Debug)]
pub struct Settings {
    /// Whose tokens are handed out.
    pub integrations: Vec<IntegrationSettings>,
    /// How many tokens are kept, over all integrations. Each has an equal share, one at least; prefetched ones stand outside it.
    pub max_tokens: u64,
    /// How long a caller waits at most.
    pub deadline: Duration,
    /// What grants are exchanged with.
    pub endpoint: Arc<TokenEndpointClient>,
    /// Goes the same way, to find out why an exchange failed.
    pub probe: Arc<Probe>,
}

/// One integration.
#[derive(Debug)]
pub struct IntegrationSettings {
    /// What logs and metrics call it.
    pub name: Arc<str>,
    /// The client at Maskinporten, with its key.
    pub client: Client,
    /// Where its settings stand: failures name the places.
    pub setup: Setup,
    /// Tokens that are kept warm, whether anybody asks or not.
    pub prefetch: Vec<(Scopes, Details)>,
    /// How many callers may ask for its tokens: each has an equal share of its room.
    pub callers: usize,
}

/// The service did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The system gave no threads.
    #[error("the threads that fetch and sign could not be started: {0}")]
    Threads(#[from] io::Error),
    /// More integrations than can be counted.
    #[error("there are too many integrations")]
    TooMany,
}

/// Answers token requests: from the cache without waiting, otherwise by one exchange for all who ask.
#[derive(Debug)]
pub struct TokenService {
    arranged: Arc<Arranged>,
    exchanges: Arc<Exchanges>,
    renewals: Renewals,
    waiting: Arc<Waiting>,
    arranging: Mutex<Arranging>,
    /// Exchanges and renewals run here, never on a thread that serves requests, whose end would end them. None from its end on.
    runtime: Mutex<Option<Runtime>>,
}

/// Integrations that another configuration does not have.
#[derive(Debug)]
#[must_use = "they are there until they are let go"]
pub struct Departing {
    departing: Vec<Arc<Integration>>,
    after: Arc<Arrangement>,
}

/// What whoever arranges the integrations goes by: one at a time.
#[derive(Debug, Default)]
struct Arranging {
    /// The ID of the next integration that has not been there before. None has been given out twice.
    next: u32,
    /// What keeps the prefetched tokens warm.
    warm: Vec<AbortHandle>,
}

impl TokenService {
    /// Starts the service's own threads, and begins to prefetch.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the system gives no threads.
    pub fn start(settings: Settings, metrics: &Metrics) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("exchanges").enable_all().build()?;
        let exchanges = Arc::new(Exchanges::new(runtime.handle().clone(), Attempts::new(SigningPool::new()?)));
        let arranged = Arc::new(Arranged::default());
        let renewals = Renewals::start(runtime.handle().clone(), Arc::clone(&exchanges), Arc::clone(&arranged));
        runtime.spawn(tidy(Arc::clone(&arranged)));
        let waiting = Arc::new(Waiting::new(metrics.waiting.clone()));
        let service = Self { arranged, exchanges, renewals, waiting, arranging: Mutex::default(), runtime: Mutex::new(Some(runtime)) };
        let departing = service.reconfigure(settings, metrics)?;
        service.let_go(departing);
        Ok(service)
    }

    /// Takes on other settings while requests are answered.
    ///
    /// An integration is the same as long as its client ID and its environment are: its tokens stay, and so does its [`IntegrationId`]. Those
    /// of one that is gone go with it, and what is under way for it is kept nowhere.
    ///
    /// # Errors
    ///
    /// [`StartError::TooMany`], and then nothing has changed.
    ///
    /// Integrations that are gone still answer until they are [let go](Self::let_go): once nobody is led to them any more.
    pub fn reconfigure(&self, settings: Settings, metrics: &Metrics) -> Result<Departing, StartError> {
        let mut arranging = self.arranging.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.arranged.load_full();
        let mut next = arranging.next;
        let mut known = Vec::with_capacity(settings.integrations.len());
        for integration in &settings.integrations {
            let same = before.same_as(&integration.client).cloned();
            let id = same.as_ref().map_or(IntegrationId(next), |same| same.id);
            if same.is_none() {
                next = next.checked_add(1).ok_or(StartError::TooMany)?;
            }
            known.push((id, same));
        }
        // From here on nothing fails.
        arranging.next = next;
        // All are begun anew: what has failed until now is tried again at once, for that may be what was mended.
        arranging.warm.drain(..).for_each(|warm| warm.abort());
        let share = settings.max_tokens / settings.integrations.len().max(1) as u64;
        let share = usize::try_from(share).unwrap_or(usize::MAX);
        let way_out = WayOut { endpoint: settings.endpoint, probe: settings.probe, deadline: settings.deadline };
        let mut integrations: Vec<Arc<Integration>> = Vec::with_capacity(known.len());
        let mut prefetched = Vec::new();
        for ((id, same), IntegrationSettings { name, client, setup, prefetch, callers }) in known.into_iter().zip(settings.integrations) {
            let prefetch: Vec<TokenRequest> =
                prefetch.into_iter().map(|(scopes, details)| TokenRequest::new(id, scopes).with(details)).collect();
            let handles = metrics.integration(&name, KnownError::all().filter_map(|known| known.code));
            let environment = client.environment().clone();
            let configured = Configured { name, client, setup, metrics: handles, way_out: way_out.clone() };
            let integration = if let Some(same) = same {
                same.cache.rearrange(share, callers, prefetch.iter().cloned());
                let successor = same.successor(configured);
                // What was refused may be what was mended. Not before the exchanges that begin now go by the new configuration.
                same.refusals.clear();
                successor
            } else {
                let neighbour = neighbour_among(&integrations, &environment).or_else(|| before.neighbour(&environment));
                let (clock, circuit) = neighbour.map_or_else(
                    || {
                        let clock = EnvironmentClock::new(&environment, metrics.clock(environment.name()));
                        (Arc::new(clock), Arc::new(Circuit::new(&environment, metrics.circuit(environment.name()))))
                    },
                    |neighbour| (Arc::clone(&neighbour.clock), Arc::clone(&neighbour.circuit)),
                );
                Integration::new(id, configured, TokenCache::new(share, callers, prefetch.iter().cloned()), clock, circuit)
            };
            prefetched.extend(prefetch.into_iter().map(|request| (Arc::clone(&integration), request)));
            integrations.push(integration);
        }
        let after = Arc::new(Arrangement::new(integrations));
        // Before another environment of the same name shows its clock and its circuit.
        let now = Instant::now();
        for earlier in before.integrations().iter().filter(|earlier| after.neighbour(earlier.client.environment()).is_none()) {
            earlier.clock.retire();
            earlier.circuit.retire(now);
        }
        let departing: Vec<Arc<Integration>> = before.gone_from(&after).cloned().collect();
        self.arranged.store(Arc::new(after.with(&departing)));
        after.integrations().iter().for_each(|integration| integration.circuit.begin_anew(now));
        for gone in before.environments().filter(|gone| !after.environments().any(|environment| environment == *gone)) {
            metrics.forget_circuit(gone);
        }
        for earlier in before.integrations().iter().filter(|earlier| !after.has_name(&earlier.name)) {
            metrics.forget_integration(&earlier.metrics);
        }
        let keep_warm = |(integration, request): (Arc<Integration>, TokenRequest)| self.renewals.keep_warm(&integration, request);
        arranging.warm.extend(prefetched.into_iter().map(keep_warm));
        Ok(Departing { departing, after })
    }

    /// Lets go of the integrations that another configuration does not have, with their tokens.
    pub fn let_go(&self, Departing { departing, after }: Departing) {
        self.arranged.store(after);
        for gone in departing {
            gone.retire();
        }
    }

    /// The token that is in the cache with enough life left. Waits for nobody; has it renewed in the background when it is due.
    pub fn cached(&self, request: &TokenRequest, now: Instant) -> Option<Arc<Token>> {
        let now_arranged = self.arranged.load();
        let integration = now_arranged.get(request.integration())?;
        let token = integration.cache.get(request).filter(|token| token.is_good(now) || token.is_the_best_to_be_had(now))?;
        self.served(integration, request, &token, now);
        Some(token)
    }

    /// A token: the cached one, or one from an exchange that is shared with all who want the same.
    ///
    /// # Errors
    ///
    /// [`TokenError`] when there is none within the deadline.
    pub async fn token(&self, request: &TokenRequest, caller: CallerId) -> Result<Arc<Token>, TokenError> {
        if let Some(token) = self.cached(request, Instant::now()) {
            return Ok(token);
        }
        let integration = &self.integration(request)?;
        let purpose = Purpose::Need(caller);
        let joined = self.join(integration, request, &purpose);
        if let Ok((Joined::There(token), _)) = &joined {
            self.served(integration, request, token, Instant::now());
        }
        let now = Instant::now();
        let Some(old) = integration.cache.get(request).filter(|token| token.is_valid(now)) else {
            return self.wait(integration, request, &purpose, joined?).await;
        };
        let Ok(joined) = joined else { return Ok(old) };
        // Better a token that ends soon than none: half of what is left of it is for the exchange, the other half for the call that it is for.
        let mut waiting = pin!(self.wait(integration, request, &purpose, joined));
        match timeout(old.left(now) / 2, &mut waiting).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(_)) | Err(_) if old.is_valid(Instant::now()) => Ok(old),
            Ok(Err(error)) => Err(error),
            Err(_) => waiting.await,
        }
    }

    /// A token that is newer than the cached one. Shared with those who ask for a fresh one meanwhile, or within a second after.
    ///
    /// # Errors
    ///
    /// [`TokenError`] when there is none within the deadline; the cached token stays.
    pub async fn fresh_token(&self, request: &TokenRequest, caller: CallerId) -> Result<Arc<Token>, TokenError> {
        let integration = &self.integration(request)?;
        let purpose = Purpose::Fresh(caller);
        self.wait(integration, request, &purpose, self.join(integration, request, &purpose)?).await
    }

    /// The integrations, in the order in which they were given.
    pub fn integrations(&self) -> impl Iterator<Item = IntegrationId> {
        self.arranged.load().in_order().to_vec().into_iter()
    }

    /// How many tokens are held.
    pub fn cached_tokens(&self) -> u64 {
        self.arranged.load().integrations().iter().map(|integration| integration.cache.len() as u64).sum()
    }

    /// The exchange to wait for, unless nobody is to wait now.
    fn join(&self, integration: &Arc<Integration>, request: &TokenRequest, purpose: &Purpose) -> Result<(Joined, Waits), TokenError> {
        trials::refuse(&self.exchanges, integration, request, purpose)?;
        let alone = self.arranged.load().integrations().len() == 1;
        let waits = self.waiting.admit(request.integration(), alone).ok_or_else(|| TokenError::TooMany(Arc::clone(&integration.name)))?;
        let leaves_at = Instant::now().checked_add(integration.way_out.deadline);
        Ok((self.exchanges.join(integration, request, purpose, leaves_at), waits))
    }

    /// What comes of it within the deadline. Who waits when the circuit opens is told what all others are told from then on.
    async fn wait(
        &self,
        integration: &Arc<Integration>,
        request: &TokenRequest,
        purpose: &Purpose,
        (joined, _waits): (Joined, Waits),
    ) -> Outcome {
        let deadline = integration.way_out.deadline;
        let held_back = async {
            loop {
                integration.circuit.opens().await;
                if let Err(held_back) = trials::refuse(&self.exchanges, integration, request, purpose) {
                    return held_back;
                }
            }
        };
        tokio::select! {
            biased;
            outcome = timeout(deadline, joined.outcome()) => outcome.unwrap_or(Err(TokenError::Deadline(deadline))),
            held_back = held_back => Err(held_back),
        }
    }

    /// Runs something beside the exchanges, on their thread.
    pub fn beside(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &*self.runtime.lock().unwrap_or_else(PoisonError::into_inner) {
            runtime.spawn(task);
        }
    }

    /// Ends exchanges and signatures, and waits for their threads, but no longer than this: a name look-up can hang.
    ///
    /// OpenSSL clears up when the process ends, and a thread that still closes a connection then brings the process down. Whoever still
    /// waits for a token hears of a defect: let there be nobody. Not to be called where tasks run.
    pub fn end(&self, within: Duration) {
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(within);
        }
        self.exchanges.end_signatures(within);
    }

    /// A token was handed out from the cache: it will be renewed when it is due, or at once when it is.
    fn served(&self, integration: &Arc<Integration>, request: &TokenRequest, token: &Arc<Token>, now: Instant) {
        token.mark_in_use();
        if token.renew_at().is_some_and(|renew_at| renew_at <= now) {
            if !request.may_name_a_person() && token.take_renewal() {
                self.renewals.begin(integration, request, Arc::clone(token));
            }
        } else if token.mark_served() && !request.may_name_a_person() {
            self.renewals.schedule(request, token);
        }
    }

    fn integration(&self, request: &TokenRequest) -> Result<Arc<Integration>, TokenError> {
        self.arranged.load().get(request.integration()).cloned().ok_or(TokenError::Gone)
    }
}

impl Drop for TokenService {
    fn drop(&mut self) {
        // A runtime that is dropped where tasks run would wait for its threads there, which tokio forbids.
        if let Some(runtime) = self.runtime.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}

async fn tidy(arranged: Arc<Arranged>) {
    let mut every = interval(TIDY_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut watch = Watch::begin();
    loop {
        every.tick().await;
        let slept = watch.look();
        let arranged = arranged.load_full();
        let ended: usize = arranged.integrations().iter().map(|integration| integration.cache.tidy()).sum();
        if let Some(slept) = slept {
            info!(seconds = slept.as_secs(), ended, "the machine has slept, or its clock was set forward: tokens were looked at again");
        }
        for integration in arranged.integrations() {
            integration.refusals.tidy();
            let (repeated, over) = integration.failures.going_on(Instant::now());
            for repeated in repeated {
                repeated.report(&integration.name);
            }
            for over in over {
                over.report(&integration.name);
            }
        }
    }
}

#[cfg(test)]
mod tests;
