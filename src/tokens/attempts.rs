//! From a new grant to a token: one attempt, or another at once where the first was refused for its time or as used before.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};
use uuid::Uuid;

use super::error::TokenError;
use super::failures::{code, report};
use super::integration::Integration;
use super::request::TokenRequest;
use super::retries::{AtOnce, Retries};
use super::signing::SigningPool;
use super::suspension::LifeInstant;
use crate::maskinporten::{
    AccessToken, Cause, Circumstances, ClockDifference, Diagnosis, ExchangeError, Exchanged, Grant, KnownError, Moment, Refusal,
};
use crate::telemetry::RequestResult;

/// Makes attempts: signs, and sends.
#[derive(Debug)]
pub(super) struct Attempts {
    signing: SigningPool,
}

/// A token that has just come.
pub(super) struct Granted {
    pub(super) token: AccessToken,
    /// Before it was asked for.
    pub(super) began: LifeInstant,
}

/// Why attempts brought no token.
pub(super) enum Failed {
    /// No grant was made: another attempt would end in the same way.
    WithoutGrant(TokenError),
    Exchange(ExchangeError),
}

impl From<TokenError> for Failed {
    fn from(error: TokenError) -> Self {
        Self::WithoutGrant(error)
    }
}

/// One attempt that got as far as Maskinporten, or tried to.
struct Attempt {
    result: Result<AccessToken, ExchangeError>,
    began: LifeInstant,
    jti: Uuid,
    /// By how much our clock was put right for its grant.
    correction: ClockDifference,
}

impl Attempts {
    pub(super) fn new(signing: SigningPool) -> Self {
        Self { signing }
    }

    pub(super) fn end_signatures(&self, within: Duration) {
        self.signing.end(within);
    }

    /// A token, or why there is none.
    ///
    /// A grant that is refused for its time is followed by another one at once, if by then another time is known: the refusal itself
    /// tells Maskinporten's. So is one that is refused as used before. What has to pass by itself is left to whoever calls.
    pub(super) async fn token(
        &self,
        integration: &Integration,
        request: &TokenRequest,
        retries: &mut Retries,
        until: Option<Instant>,
    ) -> Result<Granted, Failed> {
        let mut refused_for_its_time: Option<ClockDifference> = None;
        loop {
            check_certificate(integration)?;
            retries.begin();
            let Attempt { result, began, jti, correction } = self.attempt(integration, request).await?;
            let of_the_clock = result.as_ref().is_err_and(is_for_the_clock);
            if let Some(first) = refused_for_its_time.take()
                && (result.is_ok() || of_the_clock)
            {
                integration.clock.second_attempt(first, correction, of_the_clock, Moment::now());
            }
            let error = match result {
                Ok(token) => return Ok(granted(integration, request, Granted { token, began }, jti, retries.made())),
                Err(error) => error,
            };
            let now = Instant::now();
            if of_the_clock
                && retries.may_follow(AtOnce::OtherTime, until, now)
                && integration.clock.tells_another_time(correction, Moment::now())
            {
                retries.follow(AtOnce::OtherTime);
                refused_for_its_time = Some(correction);
                if integration.clock.one_more_line(Moment::now()) {
                    info!(
                        integration = &*integration.name,
                        environment = integration.client.environment().name(),
                        scope = request.scopes().as_str(),
                        code = code(&error),
                        trace_id = trace_id(&error),
                        "a grant was refused for its time: one more attempt, with the clock put right"
                    );
                }
            } else if error.known().cause == Cause::GrantUsedBefore && retries.may_follow(AtOnce::UsedBefore, until, now) {
                retries.follow(AtOnce::UsedBefore);
                followed_by_another(integration, request, &error, retries.made(), Duration::ZERO);
            } else {
                return Err(Failed::Exchange(error));
            }
        }
    }

    /// Signs a new grant and sends it once; counts it, and takes in what it tells of the clock.
    async fn attempt(&self, integration: &Integration, request: &TokenRequest) -> Result<Attempt, TokenError> {
        let started = Instant::now();
        let (grant, correction) = self.sign(integration, request).await?;
        let (began, sent) = (LifeInstant::now(), Instant::now());
        integration.circuit.began(request.integration(), sent);
        let Exchanged { result, clock } = integration.way_out.endpoint.exchange(integration.client.environment(), &grant).await;
        integration.circuit.ended(request.integration(), sent, &result, Instant::now());
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

    /// Finds out why there is no token, and says it.
    pub(super) async fn explain(
        &self,
        integration: &Integration,
        request: &TokenRequest,
        error: ExchangeError,
        attempt: u32,
    ) -> Arc<Diagnosis> {
        let client = &integration.client;
        let presented =
            if error.is_about_a_certificate() { integration.way_out.probe.presented(client.environment()).await } else { Vec::new() };
        let clock = integration.clock.difference(Moment::now());
        let circumstances = Circumstances { client, scopes: request.scopes(), clock, setup: &integration.setup };
        let diagnosis = Arc::new(Diagnosis::of(error, &circumstances).with_presented(&presented));
        let occurrence = integration.failures.failed(request, &diagnosis, Instant::now());
        report(occurrence, client, &integration.name, request, &diagnosis, attempt);
        diagnosis
    }
}

/// Says that an attempt failed, and that this is not the end.
pub(super) fn followed_by_another(integration: &Integration, request: &TokenRequest, error: &ExchangeError, attempt: u32, pause: Duration) {
    debug!(
        integration = &*integration.name,
        scope = request.scopes().as_str(),
        code = code(error),
        trace_id = trace_id(error),
        attempt,
        pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        %error,
        "an attempt failed, and another follows"
    );
}

fn trace_id(error: &ExchangeError) -> Option<&str> {
    error.refusal().and_then(|refusal| refusal.trace_id.as_deref())
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

fn granted(integration: &Integration, request: &TokenRequest, granted: Granted, jti: Uuid, attempt: u32) -> Granted {
    debug!(
        integration = &*integration.name,
        scope = request.scopes().as_str(),
        %jti,
        attempt,
        expires_in = granted.token.expires_in().map(|lifetime| lifetime.as_secs()),
        "token received"
    );
    for over in integration.failures.granted(request) {
        over.report(&integration.name);
    }
    granted
}
