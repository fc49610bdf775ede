//! From a new grant to a token: one attempt, or two where the first was refused for its time.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::error::TokenError;
use super::failures::{code, report};
use super::integration::Integration;
use super::request::TokenRequest;
use super::signing::SigningPool;
use crate::maskinporten::probe::Probe;
use crate::maskinporten::{
    AccessToken, Cause, Circumstances, ClockDifference, Diagnosis, ExchangeError, Exchanged, Grant, KnownError, Moment, Refusal,
    TokenEndpointClient,
};
use crate::telemetry::RequestResult;

/// Makes attempts: signs, and sends.
#[derive(Debug)]
pub(super) struct Attempts {
    signing: SigningPool,
    endpoint: TokenEndpointClient,
    /// Finds out whose certificate it was that is not trusted.
    probe: Probe,
}

/// A token that has just come.
pub(super) struct Granted {
    pub(super) token: AccessToken,
    /// Before it was asked for.
    pub(super) began: Instant,
}

/// One attempt that got as far as Maskinporten, or tried to.
struct Attempt {
    result: Result<AccessToken, ExchangeError>,
    began: Instant,
    jti: Uuid,
    /// By how much our clock was put right for its grant.
    correction: ClockDifference,
}

impl Attempts {
    pub(super) fn new(signing: SigningPool, endpoint: TokenEndpointClient, probe: Probe) -> Self {
        Self { signing, endpoint, probe }
    }

    pub(super) fn end_signatures(&self, within: Duration) {
        self.signing.end(within);
    }

    /// A token, or why there is none.
    ///
    /// A grant that is refused for its time is followed by another one at once, if by then another time is known: the refusal itself
    /// tells Maskinporten's. No other failure is worth a second attempt here.
    pub(super) async fn token(&self, integration: &Integration, request: &TokenRequest) -> Result<Granted, TokenError> {
        check_certificate(integration)?;
        let Attempt { result, began, jti, correction } = self.attempt(integration, request).await?;
        let error = match result {
            Ok(token) => return Ok(granted(integration, request, Granted { token, began }, jti)),
            Err(error) => error,
        };
        if !is_for_the_clock(&error) || !integration.clock.tells_another_time(correction, Moment::now()) {
            return Err(self.failed(integration, request, error, 1).await);
        }
        if integration.clock.one_more_line(Moment::now()) {
            info!(
                integration = &*integration.name,
                environment = integration.client.environment().name(),
                scope = request.scopes().as_str(),
                code = code(&error),
                trace_id = error.refusal().and_then(|refusal| refusal.trace_id.as_deref()),
                "a grant was refused for its time: one more attempt, with the clock put right"
            );
        }
        let first = correction;
        let Attempt { result, began, jti, correction: second } = self.attempt(integration, request).await?;
        if result.is_ok() || result.as_ref().is_err_and(is_for_the_clock) {
            integration.clock.second_attempt(first, second, result.is_err(), Moment::now());
        }
        match result {
            Ok(token) => Ok(granted(integration, request, Granted { token, began }, jti)),
            Err(error) => Err(self.failed(integration, request, error, 2).await),
        }
    }

    /// Signs a new grant and sends it once; counts it, and takes in what it tells of the clock.
    async fn attempt(&self, integration: &Integration, request: &TokenRequest) -> Result<Attempt, TokenError> {
        let started = Instant::now();
        let (grant, correction) = self.sign(integration, request).await?;
        let began = Instant::now();
        let Exchanged { result, clock } = self.endpoint.exchange(integration.client.environment(), &grant).await;
        let now = Moment::now();
        match &result {
            Ok(_) => integration.metrics.exchange_granted(started.elapsed()),
            Err(error) => {
                let result = if error.refusal().is_some() { RequestResult::Refused } else { RequestResult::Failed };
                integration.metrics.exchange_failed(result, code(error), started.elapsed());
            }
        }
        match clock {
            Some(difference) if result.as_ref().is_err_and(is_for_the_clock) => integration.clock.read_from_refusal(difference, now),
            Some(difference) => integration.clock.read(difference, now),
            None => {}
        }
        Ok(Attempt { result, began, jti: grant.jti(), correction })
    }

    /// A new grant, and by how much our clock was put right for it.
    async fn sign(&self, integration: &Integration, request: &TokenRequest) -> Result<(Grant, ClockDifference), TokenError> {
        let (client, clock, wanted) = (Arc::clone(&integration.client), Arc::clone(&integration.clock), request.clone());
        let signed = self.signing.run(move || {
            // Not before its turn has come: a grant is good for some seconds only.
            let (now, correction) = clock.time(Moment::now());
            client.grant(&wanted.grant_request(), now).map(|grant| (grant, correction))
        });
        match signed.await {
            Ok(Ok(signed)) => Ok(signed),
            Ok(Err(error)) => {
                error!(integration = &*integration.name, scope = request.scopes().as_str(), %error, "no grant");
                Err(Arc::new(error).into())
            }
            // A panic's own text is left out: nobody knows what it may hold.
            Err(_) => {
                error!(integration = &*integration.name, scope = request.scopes().as_str(), "no grant: signing panicked");
                Err(TokenError::Defect)
            }
        }
    }

    /// Finds out why, and says it.
    async fn failed(&self, integration: &Integration, request: &TokenRequest, error: ExchangeError, attempt: u32) -> TokenError {
        let client = &integration.client;
        let presented = if error.is_about_a_certificate() { self.probe.presented(client.environment()).await } else { Vec::new() };
        let clock = integration.clock.difference(Moment::now());
        let circumstances = Circumstances { client, scopes: request.scopes(), clock, setup: &integration.setup };
        let diagnosis = Arc::new(Diagnosis::of(error, &circumstances).with_presented(&presented));
        let occurrence = integration.failures.failed(request, &diagnosis, Instant::now());
        report(occurrence, client, &integration.name, request, &diagnosis, attempt);
        diagnosis.into()
    }
}

fn is_for_the_clock(error: &ExchangeError) -> bool {
    error.refusal().is_some_and(Refusal::is_for_the_clock)
}

/// Maskinporten is not asked with a certificate that it would refuse.
fn check_certificate(integration: &Integration) -> Result<(), TokenError> {
    let Some(certificate) = integration.client.key().certificate() else { return Ok(()) };
    let (now, _) = integration.clock.time(Moment::now());
    if certificate.is_valid_at(now) {
        return Ok(());
    }
    let error = TokenError::Certificate { integration: Arc::clone(&integration.name), validity: certificate.validity() };
    if !integration.certificate_reported.swap(true, Relaxed) {
        let KnownError { remedy, mended_by, .. } = KnownError::of(Cause::OwnCertificateNotValid);
        warn!(integration = &*integration.name, %error, remedy, %mended_by, "no token until the certificate is valid");
    }
    Err(error)
}

fn granted(integration: &Integration, request: &TokenRequest, granted: Granted, jti: Uuid) -> Granted {
    debug!(
        integration = &*integration.name,
        scope = request.scopes().as_str(),
        %jti,
        expires_in = granted.token.expires_in().map(|lifetime| lifetime.as_secs()),
        "token received"
    );
    for over in integration.failures.granted(request) {
        over.report(&integration.name);
    }
    granted
}
