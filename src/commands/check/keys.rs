//! Each integration's key: whether it opens, and whether Maskinporten will take what it signs.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use super::super::assembly;
use super::finding::{Finding, Stage, or_ok};
use super::runner::Check;
use crate::config::{Config, Integration};
use crate::maskinporten::{Cause, Certificate, Client, Identification, KeyError, KnownError, Origin, SigningKey, ValidityState};

/// Who has this many days left is told so.
pub(super) const DAYS_AHEAD: u64 = 30;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An integration's client, from the moment that its key was opened.
pub(super) type Opened = Arc<OnceLock<Arc<Client>>>;

/// The check of this integration's key. The client is left in `opened` for the exchanges.
pub(super) fn check(config: &Arc<Config>, integration: usize, opened: Opened) -> Option<Check> {
    let Integration { name, key, .. } = config.integrations.get(integration)?;
    let tried = format!("opening the key in {}", assembly::files(&key.source));
    let config = Arc::clone(config);
    // Opening takes a password through thousands of rounds: nothing for a thread that others wait on.
    let opening = async move {
        let open = move || config.integrations.get(integration).map(|integration| open(&config, integration, &opened));
        tokio::task::spawn_blocking(open).await.ok().flatten().unwrap_or_default()
    };
    Some(Check::new(Stage::Keys.of(name), tried, opening))
}

fn open(config: &Config, integration: &Integration, opened: &Opened) -> Vec<Finding> {
    let now = SystemTime::now();
    let line = config.line_of(integration.key.place);
    let key = match assembly::signing_key(&integration.key.source, now) {
        Ok(key) => key,
        Err(error) => return vec![unusable(&error, integration, &line)],
    };
    let client = match assembly::client(integration, key) {
        Ok(client) => Arc::new(client),
        Err(error) => return vec![Finding::failed(error.to_string(), "Correct the integration's client_id or grant_lifetime.")],
    };
    let findings = judge(&client, now, &line);
    let _ = opened.set(Arc::clone(&client));
    or_ok(findings, || facts(client.key()))
}

/// A key error says what was found, then what to do.
fn unusable(error: &KeyError, integration: &Integration, line: &str) -> Finding {
    let text = error.to_string();
    let place = format!("The key is in {} ({line}).", assembly::files(&integration.key.source));
    match (error, text.split_once(": ")) {
        (KeyError::NoSuchCertificate { .. }, _) => {
            Finding::failed(text, format!("Write one of the fingerprints that are there as certificate_sha256. {place}"))
        }
        (KeyError::OpenSsl(_), _) | (_, None) => Finding::failed(text, place),
        (_, Some((found, remedy))) => Finding::failed(found, format!("{}. {place}", capitalised(remedy))),
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().collect::<String>() + characters.as_str()).unwrap_or_default()
}

fn judge(client: &Client, now: SystemTime, line: &str) -> Vec<Finding> {
    let key = client.key();
    let Some(certificate) = key.certificate() else { return Vec::new() };
    let mut findings = Vec::new();
    findings.extend(validity(certificate, now, line));
    findings.extend(origin(certificate, client, line));
    if certificate.organisation_number().is_none() {
        let found = format!("the certificate's subject has no organisation number: {}", certificate.subject());
        let remedy = "Maskinporten knows the client's owner by it (MP-122): use a virksomhetssertifikat from Buypass or Commfides.";
        findings.push(Finding::warning(found, remedy));
    }
    if has_no_chain(key) {
        let found = format!("the certificate stands alone: that of its issuer is not in the file ({})", certificate.issuer());
        let remedy = "Add the issuing CA's certificate to the file: without it Maskinporten may not be able to verify the grants (MP-120).";
        findings.push(Finding::warning(found, remedy));
    }
    findings
}

fn validity(certificate: &Certificate, now: SystemTime, line: &str) -> Option<Finding> {
    let validity = certificate.validity();
    let known = KnownError::of(Cause::OwnCertificateNotValid);
    let failed = |what: &str| {
        Finding::failed(
            format!("the certificate {what}: {validity}. {}", known.meaning),
            format!("{} It is named in {line}.", known.remedy),
        )
    };
    match validity.at(now) {
        ValidityState::Expired => Some(failed("has expired")),
        ValidityState::NotYetValid => Some(failed("is not valid yet")),
        ValidityState::Valid => {
            let days = days_until(validity.not_after, now);
            let found = || format!("the certificate has {} left: {validity}", super::configuration::count(days_as_usize(days), "day"));
            let renew = || format!("Order a new virksomhetssertifikat from Buypass or Commfides, and name its files in {line}.");
            (days <= DAYS_AHEAD).then(|| Finding::warning(found(), renew()))
        }
    }
}

fn days_as_usize(days: u64) -> usize {
    usize::try_from(days).unwrap_or(usize::MAX)
}

/// Whole days, rounded down.
fn days_until(end: SystemTime, now: SystemTime) -> u64 {
    end.duration_since(now).map_or(0, |left| left.as_secs() / DAY.as_secs())
}

/// Failed, not a warning: Maskinporten refuses every grant (MP-120). `serve` starts nonetheless, for Maskinporten has the last word.
fn origin(certificate: &Certificate, client: &Client, line: &str) -> Option<Finding> {
    let environment = client.environment();
    let (found, use_instead) = match certificate.origin() {
        Origin::Test if environment.is_production() => ("a test certificate in production", "a production certificate"),
        Origin::Production if environment.is_test() => ("a production certificate in test", "a test certificate"),
        _ => return None,
    };
    let found = format!("{found}: Maskinporten refuses it (MP-120). It was issued by {}", certificate.issuer());
    let remedy = format!("Name {use_instead} in {line}, or the other environment: this integration is in `{environment}`.");
    Some(Finding::failed(found, remedy))
}

/// A virksomhetssertifikat is never issued by a root itself, so one that is alone lacks its issuer.
fn has_no_chain(key: &SigningKey) -> bool {
    matches!(key.identification(), Identification::X5c(chain) if chain.len() == 1)
}

/// What there is to know of a key that is as it should be.
fn facts(key: &SigningKey) -> String {
    match (key.certificate(), key.kid()) {
        (Some(certificate), _) => {
            let days = days_until(certificate.validity().not_after, SystemTime::now());
            let organisation = certificate.organisation_number().unwrap_or("without a number");
            let choice = key.choice().map(|choice| format!("; {choice}")).unwrap_or_default();
            format!(
                "virksomhetssertifikat of {organisation}, {} certificate, {}, {days} days left, {}, RSA of {} bits{choice}",
                certificate.origin(),
                certificate.validity(),
                certificate.key_usage(),
                key.bits()
            )
        }
        (None, kid) => {
            format!("registered key, kid {}, RSA of {} bits, thumbprint {}", kid.unwrap_or_default(), key.bits(), key.thumbprint())
        }
    }
}
