//! What Maskinporten refuses, by code or by description
//! ([maskinporten_feilsoking](https://docs.digdir.no/docs/Maskinporten/maskinporten_feilsoking)). None of it passes by itself.

use super::LookAt::{ClientId, ClientPage, Environment, Key, Scopes};
use super::MendedBy::{Administrator, ApiProvider, Caller, Consumer, Digdir, Operator};
use super::{Cause, KnownError, LookAt, MendedBy};

const fn coded(
    code: &'static str,
    cause: Cause,
    mended_by: MendedBy,
    look_at: &'static [LookAt],
    meaning: &'static str,
    remedy: &'static str,
) -> KnownError {
    KnownError { cause, code: Some(code), meaning, remedy, mended_by, passes_by_itself: false, look_at, told_by: &[] }
}

const fn told_by(
    told_by: &'static [&'static [&'static str]],
    cause: Cause,
    mended_by: MendedBy,
    look_at: &'static [LookAt],
    meaning: &'static str,
    remedy: &'static str,
) -> KnownError {
    KnownError { cause, code: None, meaning, remedy, mended_by, passes_by_itself: false, look_at, told_by }
}

const SYNCHRONISE: &str = "Synchronise this machine's clock, with chrony or systemd-timesyncd for example.";

pub(super) const UNLISTED: KnownError = told_by(
    &[],
    Cause::Unlisted,
    Digdir,
    &[],
    "This failure is not in Portvakt's catalogue.",
    "Go by what Maskinporten says, and by the page that its error_uri names; otherwise ask Digdir's support, with the trace ID.",
);

pub(super) const REFUSALS: &[KnownError] = &[
    coded(
        "MP-011",
        Cause::MalformedValue,
        Operator,
        &[ClientId, Scopes],
        "The value of a parameter in the grant is malformed.",
        "Look for stray spaces, line breaks and typing errors in the client ID, in the scopes, and in what the caller sent beside them.",
    ),
    coded(
        "MP-012",
        Cause::GrantUsedBefore,
        Operator,
        &[],
        "This grant (its jti) was used before.",
        "Each exchange needs a grant of its own, and Portvakt signs one: look for a proxy on the way that sends requests twice.",
    ),
    coded(
        "MP-100",
        Cause::ClientNotFound,
        Operator,
        &[ClientId, Environment, ClientPage],
        "Maskinporten knows no such client: the client ID is mistyped, or the client lives in another environment.",
        "Compare the client ID with the one on the client's page in Samarbeidsportalen, and see which environment that page is for.",
    ),
    coded(
        "MP-110",
        Cause::WrongAudience,
        Operator,
        &[Environment],
        "The grant's aud is not the environment's issuer.",
        "Write the environment's issuer as its metadata document has it, to the slash at its end: portvakt check compares the two.",
    ),
    coded(
        "MP-120",
        Cause::InvalidCertificate,
        Operator,
        &[Key, Environment],
        "Maskinporten does not take the certificate: it is not valid, or it is a test certificate in production or the reverse.",
        "Use a valid virksomhetssertifikat that was issued for this environment.",
    ),
    coded(
        "MP-121",
        Cause::ExpiredKey,
        Administrator,
        &[ClientPage, Key],
        "The registered key has expired: a key lives one year from the day it was posted.",
        "Post the same key again under the client's own public keys in Samarbeidsportalen (portvakt keygen --from prints it), or a new one (portvakt keygen).",
    ),
    coded(
        "MP-122",
        Cause::OtherOrganisation,
        Operator,
        &[Key, ClientId, ClientPage],
        "The certificate's organisation number is not that of the client's owner.",
        "Use a certificate of the organisation that owns the client, or a client that the certificate's organisation owns.",
    ),
    coded(
        "MP-123",
        Cause::MalformedX5c,
        Operator,
        &[Key],
        "The grant's x5c is malformed: it must be an array of strings, each of them a certificate.",
        "Check that the certificate's file holds nothing but the certificate and its chain, or export it again; portvakt check --offline says what is in it.",
    ),
    coded(
        "MP-124",
        Cause::InvalidSignature,
        Operator,
        &[Key, ClientPage],
        "The grant's signature is not that of the key that the client has under this kid.",
        "Compare it with the client's own public keys in Samarbeidsportalen: post the key in use there (portvakt keygen --from prints it), or use the one that is registered.",
    ),
    coded(
        "MP-124",
        Cause::InvalidSignatureOfCertificate,
        Operator,
        &[Key, Environment],
        "The grant's signature is not that of its certificate, or the certificate has expired or belongs to another environment.",
        "Use a valid certificate of this environment with its own private key; portvakt check --offline says whether they belong together.",
    ),
    coded(
        "MP-130",
        Cause::GrantExpired,
        Operator,
        &[],
        "The grant had expired when it arrived, or the clocks differ too much.",
        SYNCHRONISE,
    ),
    coded(
        "MP-200",
        Cause::ScopeNotRegistered,
        Administrator,
        &[Scopes, ClientPage],
        "The scope is not registered on the client.",
        "Add it on the client's page in Samarbeidsportalen, under its scopes, or correct its spelling where it is asked for.",
    ),
    coded(
        "MP-201",
        Cause::IntegrationType,
        Administrator,
        &[Scopes, ClientId, ClientPage],
        "The client's integration type does not allow the scope.",
        "Make a client of the right type in Samarbeidsportalen, with this scope, and use its client ID.",
    ),
    coded(
        "MP-250",
        Cause::ScopeNotGranted,
        ApiProvider,
        &[Scopes],
        "The API provider has not granted the organisation the scope.",
        "Ask the API provider to grant it to the organisation that owns the client.",
    ),
    coded(
        "MP-251",
        Cause::ScopeNotDelegated,
        Consumer,
        &[Scopes],
        "The consumer has not delegated the scope to the supplier in Altinn.",
        "Have the consumer delegate it to the organisation that owns the client, in Altinn; check the organisation number in consumer_org too.",
    ),
    coded(
        "MP-301",
        Cause::DetailsType,
        Caller,
        &[],
        "An object in authorization_details is of a type that Maskinporten does not know.",
        "Write the type as Maskinporten's documentation does, to the letter, such as urn:altinn:systemuser.",
    ),
    coded(
        "MP-302",
        Cause::DetailsField,
        Caller,
        &[],
        "An object in authorization_details has a field that its type does not have.",
        "Leave the field out, or correct its spelling: names count to the letter, such as systemuser_org.",
    ),
    coded(
        "MP-303",
        Cause::DetailsValue,
        Caller,
        &[],
        "A value in authorization_details is invalid.",
        "Correct the value: an organisation's ID, for example, is 0192: and nine digits.",
    ),
    told_by(
        &[&["issue", "time", "after", "now"], &["iat"]],
        Cause::IssueTime,
        Operator,
        &[],
        "The grant's iat is more than 10 seconds from Maskinporten's clock.",
        SYNCHRONISE,
    ),
    told_by(
        &[&["client", "requires", "pre", "registered", "jwk", "kid"]],
        Cause::KidRequired,
        Operator,
        &[Key, ClientPage],
        "The client has a registered key, but the grant was signed with a certificate.",
        "Sign with the registered key: the integration's key becomes { private_key_file, kid } or { jwk_file }. Where nobody has it any more, portvakt keygen makes one to post.",
    ),
    told_by(
        &[&["consumer_org", "equals"], &["consumer_org", "equal"], &["consumer_org", "own"], &["consumer_org", "same"]],
        Cause::OwnConsumerOrg,
        Caller,
        &[],
        "The consumer_org is the client's own organisation number.",
        "Leave out consumer_org when the organisation asks for itself.",
    ),
];
