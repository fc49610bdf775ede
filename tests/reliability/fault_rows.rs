//! The matrix's rows: what goes wrong, and what may come of it.

use std::collections::BTreeMap;

use portvakt::simulator::{FaultKind, Rule, Stage};
use serde_json::json;

use crate::front::Way;

/// A fault, upstream or on the way there.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// The simulator, for every grant.
    Maskinporten(FaultKind),
    /// The same, for the first grant of each token alone.
    Once(FaultKind),
    /// Each of these for a token of its own.
    Refusals(Vec<&'static str>),
    /// Plain TCP.
    Network(Way),
    /// TLS.
    Tls(Way),
    /// The name no longer resolves.
    NameGone,
}

/// A row.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) cause: Cause,
    /// What a request without a token may be told.
    pub(crate) told: &'static [u16],
    pub(crate) outbound: &'static str,
    /// How many grants at most for each request that waits; none: only as many as the refusals' memory lets through.
    pub(crate) grants: Grants,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grants {
    /// So many attempts at most are made within a caller's deadline.
    Three,
    /// A refusal is remembered for 5 s and longer: so many grants at most for each token in the matrix's six seconds and a bit.
    PerToken(u64),
}

/// An attempt and a half go into the deadline, so that both limits show.
const SHORT: &str = "connect_timeout = \"700ms\"\nattempt_timeout = \"1400ms\"\ndeadline = \"2s\"";
/// The settings' own.
const USUAL: &str = "";

pub(crate) fn deadline(fault: &Fault) -> std::time::Duration {
    std::time::Duration::from_secs(if fault.outbound == SHORT { 2 } else { 8 })
}

fn fault(name: &'static str, cause: Cause, told: &'static [u16]) -> Fault {
    Fault { name, cause, told, outbound: SHORT, grants: Grants::Three }
}

/// By a code, or by the name of an error without one: those that a new grant can mend.
const FOR_THE_CLOCK: [Rule; 3] = [Rule::Expired, Rule::IssuedInTheFuture, Rule::IssuedTooLongAgo];

pub(crate) fn faults() -> Vec<Fault> {
    use Cause::{Maskinporten, NameGone, Network, Once, Refusals, Tls};
    let unavailable = &[503, 504];
    let status = |status, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Maskinporten(FaultKind::Status { status, headers: headers.collect::<BTreeMap<_, _>>(), body: String::new() })
    };
    let error = |code: &str| FaultKind::Error { code: code.to_owned() };
    let is_plain = |rule: &Rule| *rule != Rule::UsedBefore && !FOR_THE_CLOCK.contains(rule);
    let slow = Maskinporten(FaultKind::Delay { milliseconds: 3000 });
    vec![
        fault("connection refused", Network(Way::Refused), unavailable),
        fault("the name is gone from DNS", NameGone, unavailable),
        fault("no TLS is spoken", Tls(Way::NotTls), unavailable),
        fault("another TLS certificate", Tls(Way::OtherCertificate), unavailable),
        fault("reset at once", Network(Way::Reset), unavailable),
        fault("reset before the headers", Maskinporten(FaultKind::Reset { at: Stage::BeforeHeaders }), unavailable),
        fault("reset in the body", Maskinporten(FaultKind::Reset { at: Stage::InBody }), unavailable),
        fault("hangs before the headers", Maskinporten(FaultKind::Hang { at: Stage::BeforeHeaders }), unavailable),
        fault("hangs in the body", Maskinporten(FaultKind::Hang { at: Stage::InBody }), unavailable),
        Fault { outbound: USUAL, ..fault("slow: 3 s", slow, &[200]) },
        fault("500", status(500, &[]), unavailable),
        fault("503", status(503, &[]), unavailable),
        fault("503, Retry-After: 1", status(503, &[("Retry-After", "1")]), unavailable),
        fault("429, Retry-After: 30", status(429, &[("Retry-After", "30")]), unavailable),
        fault("HTML, 200", Maskinporten(FaultKind::Html { status: 200 }), unavailable),
        fault("HTML, 502", Maskinporten(FaultKind::Html { status: 502 }), unavailable),
        fault("empty, 200", Maskinporten(FaultKind::Empty { status: 200 }), unavailable),
        fault("truncated JSON", Maskinporten(FaultKind::Truncated {}), unavailable),
        fault("no expires_in", Maskinporten(FaultKind::WithoutExpiresIn {}), &[200]),
        fault("expires_in: 0", Maskinporten(FaultKind::ExpiresIn { value: json!(0) }), unavailable),
        fault("a body of 10 MB", Maskinporten(FaultKind::Oversized { bytes: 10_000_000 }), unavailable),
        fault("the clock 60 s off", Maskinporten(FaultKind::ClockSkew { seconds: 60 }), &[200]),
        fault("MP-012, once", Once(error("MP-012")), &[200]),
        Fault {
            grants: Grants::PerToken(6),
            ..fault(
                "MP-012 and the clock's, for ever",
                Refusals(Rule::all().filter(|rule| !is_plain(rule)).map(Rule::name).collect()),
                &[502],
            )
        },
        Fault {
            grants: Grants::PerToken(2),
            ..fault("every other refusal", Refusals(Rule::all().filter(is_plain).map(Rule::name).collect()), &[502])
        },
    ]
}
