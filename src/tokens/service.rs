//! The one entrance: give me a token for this request.

use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::attempts::Attempts;
use super::cache::TokenCache;
use super::clock::EnvironmentClock;
use super::error::TokenError;
use super::exchanges::{Exchanges, Joined, Outcome, Purpose};
use super::integration::Integration;
use super::renewal::Renewals;
use super::request::{CallerId, Details, IntegrationId, TokenRequest};
use super::signing::SigningPool;
use super::token::Token;
use crate::maskinporten::probe::Probe;
use crate::maskinporten::{Client, KnownError, Scopes, Setup, TokenEndpointClient};
use crate::telemetry::Metrics;

/// How often what has expired is let go of, and failures that go on are looked at.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// What the service is made of.
#[derive(Debug)]
pub struct Settings {
    /// Whose tokens are handed out. Their [`IntegrationId`]s count in this order.
    pub integrations: Vec<IntegrationSettings>,
    /// How many tokens are kept, over all integrations. Each has an equal share, one at least; prefetched ones stand outside it.
    pub max_tokens: u64,
    /// How long a caller waits at most.
    pub deadline: Duration,
    /// What grants are exchanged with.
    pub endpoint: TokenEndpointClient,
    /// Goes the same way, to find out why an exchange failed.
    pub probe: Probe,
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
    /// Tokens that are kept warm from start-up on.
    pub prefetch: Vec<(Scopes, Details)>,
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
    integrations: Vec<Arc<Integration>>,
    exchanges: Arc<Exchanges>,
    renewals: Renewals,
    deadline: Duration,
    /// Exchanges and renewals run here, never on a thread that serves requests, whose end would end them. None from its end on.
    runtime: Mutex<Option<Runtime>>,
}

impl TokenService {
    /// Starts the service's own threads, and begins to prefetch.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the system gives no threads.
    pub fn start(settings: Settings, metrics: &Metrics) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("exchanges").enable_all().build()?;
        let attempts = Attempts::new(SigningPool::new()?, settings.endpoint, settings.probe);
        let exchanges = Arc::new(Exchanges::new(runtime.handle().clone(), attempts));
        let renewals = Renewals::start(runtime.handle().clone(), Arc::clone(&exchanges));
        let share = (settings.max_tokens / settings.integrations.len().max(1) as u64).max(1);
        let mut integrations: Vec<Arc<Integration>> = Vec::with_capacity(settings.integrations.len());
        for (index, integration) in settings.integrations.into_iter().enumerate() {
            let id = IntegrationId(u32::try_from(index).map_err(|_| StartError::TooMany)?);
            let prefetch: Vec<TokenRequest> =
                integration.prefetch.into_iter().map(|(scopes, details)| TokenRequest::new(id, scopes).with(details)).collect();
            let cache = TokenCache::new(share, prefetch.iter().cloned());
            let handles = metrics.integration(&integration.name, KnownError::all().filter_map(|known| known.code));
            let environment = integration.client.environment();
            let neighbour = integrations.iter().find(|earlier| earlier.client.environment() == environment);
            let clock = neighbour.map_or_else(
                || Arc::new(EnvironmentClock::new(environment, metrics.clock(environment.name()))),
                |neighbour| Arc::clone(&neighbour.clock),
            );
            let integration = Arc::new(Integration::new(integration.name, integration.client, integration.setup, cache, handles, clock));
            for request in prefetch {
                renewals.keep_warm(&integration, request);
            }
            integrations.push(integration);
        }
        runtime.spawn(tidy(integrations.clone()));
        Ok(Self { integrations, exchanges, renewals, deadline: settings.deadline, runtime: Mutex::new(Some(runtime)) })
    }

    /// The token that is in the cache with enough life left. Waits for nobody; has it renewed in the background when it is due.
    pub fn cached(&self, request: &TokenRequest, now: Instant) -> Option<Arc<Token>> {
        let integration = self.integration(request)?;
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
        let integration = self.integration(request).ok_or(TokenError::Defect)?;
        let joined = self.exchanges.join(integration, request, &Purpose::Need(caller));
        if let Joined::There(token) = &joined {
            self.served(integration, request, token, Instant::now());
        }
        let now = Instant::now();
        let Some(old) = integration.cache.get(request).filter(|token| token.is_valid(now)) else {
            return self.wait(joined).await;
        };
        // Better a token that ends soon than none: half of what is left of it is for the exchange, the other half for the call that it is for.
        let mut waiting = pin!(self.wait(joined));
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
        let integration = self.integration(request).ok_or(TokenError::Defect)?;
        self.wait(self.exchanges.join(integration, request, &Purpose::Fresh(caller))).await
    }

    /// The integrations, in the order in which they were given.
    pub fn integrations(&self) -> impl Iterator<Item = IntegrationId> {
        (0..).map(IntegrationId).take(self.integrations.len())
    }

    /// How many tokens are held, about.
    pub fn cached_tokens(&self) -> u64 {
        self.integrations.iter().map(|integration| integration.cache.len()).sum()
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

    async fn wait(&self, joined: Joined) -> Outcome {
        timeout(self.deadline, joined.outcome()).await.unwrap_or(Err(TokenError::Deadline(self.deadline)))
    }

    /// A token was handed out from the cache: it will be renewed when it is due, or at once when it is.
    fn served(&self, integration: &Arc<Integration>, request: &TokenRequest, token: &Arc<Token>, now: Instant) {
        if token.renew_at().is_some_and(|renew_at| renew_at <= now) {
            if !request.may_name_a_person() && token.take_renewal() {
                self.renewals.begin(integration, request, Arc::clone(token));
            }
        } else if token.mark_served() && !request.may_name_a_person() {
            self.renewals.schedule(integration, request, token);
        }
    }

    fn integration(&self, request: &TokenRequest) -> Option<&Arc<Integration>> {
        self.integrations.get(request.integration().index())
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

async fn tidy(integrations: Vec<Arc<Integration>>) {
    let mut every = interval(TIDY_EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        for integration in &integrations {
            integration.cache.tidy();
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
