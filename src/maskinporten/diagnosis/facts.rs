//! What our own side knows about a failure, a sentence each.

use std::time::Duration;

use super::super::catalogue::Cause;
use super::super::certificate::{Certificate, Origin};
use super::super::error::ExchangeError;
use super::super::foreign_text::printable;
use super::{Circumstances, scopes};

/// Names in certificates have no limit of their own.
const LONGEST_NAME: usize = 160;
/// A difference that no grant is refused for.
const CLOCKS_AGREE: Duration = Duration::from_secs(5);

/// What is to be known beyond the error itself; nothing where the error says it all.
pub(super) fn facts(cause: Cause, error: &ExchangeError, circumstances: &Circumstances<'_>) -> Vec<String> {
    let client = circumstances.client;
    let environment = client.environment();
    match cause {
        Cause::ClientNotFound => vec![which_environment(circumstances)],
        Cause::WrongAudience => vec![format!("The aud that was sent is {}.", printable(environment.issuer(), LONGEST_NAME))],
        Cause::InvalidCertificate => vec![certificate_and_environment(circumstances)],
        Cause::ExpiredKey | Cause::InvalidSignature | Cause::InvalidSignatureOfCertificate | Cause::MalformedX5c | Cause::KidRequired => {
            vec![which_key(circumstances)]
        }
        Cause::OtherOrganisation => client.key().certificate().map(organisation).into_iter().collect(),
        Cause::GrantExpired | Cause::IssueTime => clock(circumstances).into_iter().collect(),
        Cause::ScopeNotRegistered => scopes::facts(error, circumstances),
        Cause::IntegrationType | Cause::ScopeNotGranted | Cause::ScopeNotDelegated => vec![scopes::named(error, circumstances).sentence()],
        Cause::TooManyRequests | Cause::Outage | Cause::Redirect | Cause::Page | Cause::NotOAuth | Cause::Truncated | Cause::OddToken => {
            vec![format!("The token endpoint that was asked is {}.", printable(environment.token_endpoint(), LONGEST_NAME))]
        }
        _ => Vec::new(),
    }
}

fn which_environment(circumstances: &Circumstances<'_>) -> String {
    let (client, environment) = (circumstances.client, circumstances.client.environment());
    let asked = format!(
        "The environment that was asked is {} ({}), for client {}",
        printable(environment.name(), LONGEST_NAME),
        printable(environment.issuer(), LONGEST_NAME),
        printable(client.client_id(), LONGEST_NAME)
    );
    let integration = circumstances.setup.integration.as_deref().map(|name| format!(" (integration {})", printable(name, LONGEST_NAME)));
    let asked = asked + &integration.unwrap_or_default();
    match environment.counterpart() {
        Some(other) => format!("{asked}; one that was made in {other} is not known there."),
        None => format!("{asked}."),
    }
}

fn which_key(circumstances: &Circumstances<'_>) -> String {
    let key = circumstances.client.key();
    match (key.kid(), key.certificate()) {
        (Some(kid), _) => {
            format!("The grant has the kid {}, and the key in use the thumbprint {} (RFC 7638).", printable(kid, 80), key.thumbprint())
        }
        (None, Some(certificate)) => format!(
            "The grant was signed with the certificate of {}, issued by {}, {}.",
            printable(certificate.subject(), LONGEST_NAME),
            printable(certificate.issuer(), LONGEST_NAME),
            certificate.validity()
        ),
        (None, None) => String::new(),
    }
}

fn certificate_and_environment(circumstances: &Circumstances<'_>) -> String {
    let environment = circumstances.client.environment();
    let Some(certificate) = circumstances.client.key().certificate() else { return which_key(circumstances) };
    let kind = match certificate.origin() {
        Origin::Test => "a test certificate",
        Origin::Production => "a production certificate",
        Origin::Unknown => "neither Buypass's nor Commfides's",
    };
    let takes = if environment.is_production() {
        ", which takes production certificates alone"
    } else if environment.is_test() {
        ", which takes test certificates alone"
    } else {
        ""
    };
    format!(
        "The certificate was issued by {}: it is {kind}, {}. The environment that was asked is {}{takes}.",
        printable(certificate.issuer(), LONGEST_NAME),
        certificate.validity(),
        printable(environment.name(), LONGEST_NAME)
    )
}

fn organisation(certificate: &Certificate) -> String {
    match certificate.organisation_number() {
        Some(number) => format!("The certificate's number is {number}."),
        None => format!("The certificate, of {}, has no organisation number.", printable(certificate.subject(), LONGEST_NAME)),
    }
}

fn clock(circumstances: &Circumstances<'_>) -> Option<String> {
    let difference = circumstances.clock?;
    let measured = format!("By the Date of its answers, {difference}");
    Some(if difference.magnitude() <= CLOCKS_AGREE {
        format!("{measured}: the grant was probably held up on its way, or something on the way has set that Date.")
    } else if difference.is_too_large() {
        format!("{measured}. Grants are put right by 10 minutes at most.")
    } else {
        format!("{measured}.")
    })
}

pub(super) fn presented(certificates: &[Certificate]) -> Option<String> {
    let (server, last) = (certificates.first()?, certificates.last()?);
    Some(format!(
        "It is the certificate of {}, {}, issued by {}; the CA that it leads to is {}.",
        printable(server.subject(), LONGEST_NAME),
        server.validity(),
        printable(server.issuer(), LONGEST_NAME),
        printable(last.issuer(), LONGEST_NAME)
    ))
}
