//! What the log says when the service starts: with which key each integration signs, and who may ask.

use std::time::SystemTime;

use jiff::Timestamp;
use tracing::{info, warn};

use crate::config;
use crate::maskinporten::{Certificate, Client, Environment, Origin, ValidityState};

/// Which key signs for an integration, and what is odd about it.
pub(super) fn integration(name: &str, client: &Client) {
    let (key, environment) = (client.key(), client.environment());
    let Some(certificate) = key.certificate() else {
        info!(
            integration = name,
            client_id = client.client_id(),
            environment = environment.name(),
            kid = key.kid(),
            bits = key.bits(),
            "signs with a registered key"
        );
        return;
    };
    info!(
        integration = name,
        client_id = client.client_id(),
        environment = environment.name(),
        organisation = certificate.organisation_number(),
        expires = expires(certificate).map(tracing::field::display),
        subject = certificate.subject(),
        issuer = certificate.issuer(),
        validity = %certificate.validity(),
        sha256 = hex::encode(certificate.sha256()),
        choice = key.choice().map(tracing::field::display),
        "signs with a virksomhetssertifikat"
    );
    oddities(name, certificate, environment);
}

fn oddities(name: &str, certificate: &Certificate, environment: &Environment) {
    // One that has expired is told of every day: see `expiry`.
    if certificate.validity().at(SystemTime::now()) == ValidityState::NotYetValid {
        warn!(integration = name, validity = %certificate.validity(), "the certificate is out of its validity: no token until it begins");
    }
    match certificate.origin() {
        Origin::Test if environment.is_production() => {
            warn!(integration = name, issuer = certificate.issuer(), "a test certificate in production: Maskinporten refuses it (MP-120)");
        }
        Origin::Production if environment.is_test() => {
            warn!(integration = name, issuer = certificate.issuer(), "a production certificate in test: Maskinporten refuses it (MP-120)");
        }
        _ => {}
    }
}

/// None beyond the year 9999.
pub(super) fn expires(certificate: &Certificate) -> Option<Timestamp> {
    Timestamp::try_from(certificate.validity().not_after).ok()
}

/// How the log names an API key: by the beginning of its digest, enough to tell it from others, and nothing to try keys against.
pub(super) fn api_key(sha256: &[u8; 32]) -> String {
    hex::encode(sha256.get(..4).unwrap_or_default())
}

/// Who may ask, with how many API keys, and when the next of them ends.
pub(super) fn caller(caller: &config::Caller, now: Timestamp) {
    let valid = caller.keys.iter().filter(|key| key.expires.is_none_or(|expires| expires > now));
    let next = valid.clone().filter_map(|key| key.expires).min();
    let mut integrations: Vec<&str> = caller.may.iter().map(|rule| rule.integration.as_str()).collect();
    integrations.sort_unstable();
    integrations.dedup();
    info!(
        caller = caller.name,
        keys = caller.keys.len(),
        valid_keys = valid.count(),
        next_expires = next.map(tracing::field::display),
        networks = caller.networks.len(),
        integrations = integrations.join(" "),
        "may ask"
    );
}
