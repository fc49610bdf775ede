//! What fails below OAuth: on the way to Maskinporten, or because somebody else answers in its place.

use super::MendedBy::{Digdir, Itself, Operator};
use super::{Cause, KnownError, MendedBy};

const fn passing(cause: Cause, mended_by: MendedBy, meaning: &'static str, remedy: &'static str) -> KnownError {
    KnownError { cause, code: None, meaning, remedy, mended_by, passes_by_itself: true, look_at: &[], told_by: &[] }
}

const fn staying(cause: Cause, mended_by: MendedBy, meaning: &'static str, remedy: &'static str) -> KnownError {
    KnownError { cause, code: None, meaning, remedy, mended_by, passes_by_itself: false, look_at: &[], told_by: &[] }
}

const LET_US_OUT: &str =
    "Check that the firewall lets this machine out to that host and port, or set the proxy that it must use (outbound.proxy).";
const WAIT: &str = "Wait: this mostly passes by itself. If it stays, check the proxy and the firewall on the way.";
const SOMEBODY_ELSE: &str = "Check the environment's token_endpoint, and have the proxy or firewall on the way let this machine through.";

pub(super) const ON_THE_WAY: &[KnownError] = &[
    staying(
        Cause::OwnCertificateNotValid,
        Operator,
        "Maskinporten refuses a certificate that is not valid, so it was not asked.",
        "Put a valid virksomhetssertifikat in its place, or check this machine's clock if this one should be valid.",
    ),
    passing(
        Cause::Request,
        Operator,
        "The token endpoint's URL, the CA certificates or the proxy cannot be used as they are.",
        "Check the environment's token_endpoint and the settings in outbound.",
    ),
    passing(
        Cause::NameLookup,
        Operator,
        "This machine's DNS does not know the name, or could not be asked.",
        "Check the spelling of the host, or of the proxy, and this machine's DNS; where only a proxy looks names up, set it (outbound.proxy).",
    ),
    passing(
        Cause::NameLookupTimedOut,
        Operator,
        "The DNS server does not answer; no connection was tried yet.",
        "Check that this machine reaches the DNS servers in /etc/resolv.conf; where only a proxy looks names up, set it (outbound.proxy).",
    ),
    passing(Cause::Connection, Operator, "Nobody listens there, or something on the way refuses the connection.", LET_US_OUT),
    passing(
        Cause::ConnectionToThisMachine,
        Operator,
        "Nobody listens there, on this machine.",
        "Start what should answer there (a simulator: portvakt simulate), or correct the port in the environment's token_endpoint.",
    ),
    passing(
        Cause::ConnectionTimedOut,
        Operator,
        "Nothing comes back: something on the way, most often a firewall, drops what is sent.",
        LET_US_OUT,
    ),
    passing(
        Cause::Tls,
        Operator,
        "Who answers there does not speak TLS as it should.",
        "Check the port in token_endpoint, and that nothing on the way, a proxy for one, breaks TLS open.",
    ),
    staying(
        Cause::UnknownCa,
        Operator,
        "Its CA is not among those that are trusted here: a proxy that breaks TLS open looks so.",
        "If there is such a proxy, have its CA trusted (outbound.ca_file); otherwise bring this machine's CA certificates up to date.",
    ),
    staying(
        Cause::TlsBrokenOpen,
        Operator,
        "Its CA is not trusted here, and Digdir's certificates are trusted everywhere: most likely a proxy on the way breaks TLS open.",
        "Put the certificate of that proxy's CA into a file, and name it as outbound.ca_file.",
    ),
    staying(
        Cause::CertificateOfAnotherHost,
        Operator,
        "It is another host's: the name leads somewhere else, or something on the way answers in its place.",
        "Check the host in token_endpoint, what this machine's DNS and /etc/hosts make of it, and the proxy on the way.",
    ),
    staying(
        Cause::ServerCertificateNotValid,
        Operator,
        "It is not valid at this moment, by this machine's clock.",
        "Check this machine's clock first; if it is right, whoever answers there, or the proxy on the way, has to renew the certificate.",
    ),
    staying(
        Cause::ProxyAuthentication,
        Operator,
        "The proxy lets nobody through whom it does not know.",
        "Set the user and password that it expects (outbound.proxy_user, outbound.proxy_password_file).",
    ),
    passing(
        Cause::ProxyConnection,
        Operator,
        "The proxy does not listen there, or something on the way to it refuses the connection.",
        "Check that it runs, and its address and port (outbound.proxy, or HTTPS_PROXY).",
    ),
    passing(
        Cause::Proxy,
        Operator,
        "The proxy is not one, or does not let this machine through to the token endpoint.",
        "Check the proxy's address (outbound.proxy, or HTTPS_PROXY), and have it allow CONNECT to the token endpoint.",
    ),
    passing(Cause::AnswerTimedOut, Itself, "The connection was made, but the answer did not come in time.", WAIT),
    passing(Cause::Interrupted, Itself, "Maskinporten, or something on the way, closed the connection.", WAIT),
    passing(
        Cause::TooManyRequests,
        Itself,
        "Too much is asked of Maskinporten at the moment.",
        "Wait. If it stays, look for a caller that asks for a fresh token each time (POST, or Cache-Control: no-cache).",
    ),
    passing(
        Cause::Outage,
        Itself,
        "Maskinporten is out of order, or what stands in front of it.",
        "Wait: this passes by itself. If it stays, Digdir's status page tells of an outage.",
    ),
    passing(
        Cause::Redirect,
        Operator,
        "Maskinporten does not redirect: something on the way, a login or a filter, wants to be seen first.",
        SOMEBODY_ELSE,
    ),
    passing(
        Cause::Page,
        Operator,
        "Maskinporten answers in JSON: this page comes from something on the way, a proxy, a firewall or a login.",
        SOMEBODY_ELSE,
    ),
    passing(Cause::NotOAuth, Operator, "Maskinporten does not answer so: something else may stand there, or on the way.", SOMEBODY_ELSE),
    passing(Cause::Truncated, Itself, "The connection ended before the whole answer was here.", WAIT),
    passing(
        Cause::OddToken,
        Digdir,
        "There is a token in it, but none that can be handed on.",
        "Check the environment's token_endpoint; where it is Maskinporten's own, tell Digdir's support.",
    ),
];
