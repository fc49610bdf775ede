//! What can go wrong at Maskinporten or on the way to it, on demand.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::errors::Rule;

/// Something that goes wrong, when, and how often.
///
/// As JSON (the control endpoint's) the kind's own members stand beside the conditions:
/// `{"kind":"status","status":503,"headers":{"Retry-After":"1"},"times":2,"client_id":"…"}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// When it does.
    #[serde(flatten)]
    pub conditions: Conditions,
}

/// When a fault strikes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// For how many requests. None: until the faults are changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Only for this client's grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Only for grants that ask for this scope, among others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Only for this share of the requests that it could strike, drawn for each: above 0, at most 1. None: for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Where.
    pub endpoint: Endpoint,
}

/// The endpoints that faults strike at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// `/token`.
    #[default]
    Token,
    /// `/.well-known/…`.
    Metadata,
    /// `/jwk`.
    Jwks,
}

/// What goes wrong. [`Delay`](Self::Delay), [`ClockSkew`](Self::ClockSkew) and [`DateSkew`](Self::DateSkew) come on top of another
/// fault; of the others the first that applies is the one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum FaultKind {
    /// Any status, with any headers and body.
    Status {
        /// 200 to 599.
        status: u16,
        /// Such as `Retry-After`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// Empty when left out.
        #[serde(default)]
        body: String,
    },
    /// An error of Maskinporten's, in its words: [`Rule::name`].
    Error {
        /// `MP-121`, or for an error without a code its name, such as `kid-required`.
        code: String,
    },
    /// The page of a proxy in between.
    Html {
        /// 502 when left out.
        #[serde(default = "bad_gateway")]
        status: u16,
    },
    /// No body.
    Empty {
        /// 200 when left out.
        #[serde(default = "ok")]
        status: u16,
    },
    /// The true answer, which ends halfway through its body.
    Truncated {},
    /// Nothing more comes, and the connection stays open.
    Hang {
        /// Before the headers when left out.
        #[serde(default)]
        at: Stage,
    },
    /// The connection is reset (TCP RST).
    Reset {
        /// Before the headers when left out.
        #[serde(default)]
        at: Stage,
    },
    /// A token in a body of that many bytes, without a Content-Length.
    Oversized {
        /// At most 1 GiB.
        bytes: u64,
    },
    /// The true answer without `expires_in`.
    WithoutExpiresIn {},
    /// The true answer with another `expires_in`: `0`, `-1`, `"119"`, `999999`, …
    ExpiresIn {
        /// Any JSON.
        value: Value,
    },
    /// The true answer with another `token_type`.
    TokenType {
        /// Such as `MAC`.
        value: String,
    },
    /// The answer comes later.
    Delay {
        /// By how much.
        milliseconds: u64,
    },
    /// The simulator's clock is off: when it judges a grant, in tokens and in the `Date` of its answers. Without conditions it
    /// is so at all endpoints.
    ClockSkew {
        /// Positive: the clock is ahead.
        seconds: i64,
    },
    /// Only the `Date` of its answers is off, as something in front of it may have set it: grants are judged by the right clock.
    DateSkew {
        /// Positive: the date is ahead.
        seconds: i64,
    },
}

/// How far an answer comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Not a byte is sent.
    #[default]
    BeforeHeaders,
    /// Headers and half of the true body are sent.
    InBody,
}

fn bad_gateway() -> u16 {
    502
}

fn ok() -> u16 {
    200
}

/// Why a fault is not one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidFault {
    /// Not the JSON of a fault.
    #[error("this is not a fault: {0}")]
    Shape(String),
    /// It would never strike.
    #[error("`times` is 0: leave it out for a fault that lasts until it is changed, or give 1 or more")]
    Never,
    /// Not a share of requests, or none at all.
    #[error("`probability` is {0}: it must be above 0 and at most 1, and leaving it out means 1")]
    Probability(String),
    /// Not a status of an answer.
    #[error("`status` is {0}: it must be from 200 to 599")]
    Status(u16),
    /// Not a header.
    #[error("`{0}` is not a header with a value that HTTP allows")]
    Header(String),
    /// Not in the table of errors.
    #[error("`{0}` is neither a code of Maskinporten's nor the name of an error without one; there are: {known}", known = known_errors())]
    UnknownError(String),
    /// A token's or a client's fault, at an endpoint that has none.
    #[error("this fault or its condition is about grants and tokens: `endpoint` can only be `token`")]
    OnlyForTokens,
    /// Too large even for a fault.
    #[error("`bytes` is {0}: at most 1 GiB")]
    TooLarge(u64),
}

fn known_errors() -> String {
    Rule::all().map(Rule::name).collect::<Vec<_>>().join(", ")
}

impl TryFrom<Map<String, Value>> for Fault {
    type Error = InvalidFault;

    /// serde's `flatten` would let unknown members pass, so the two halves are told apart here.
    fn try_from(mut members: Map<String, Value>) -> Result<Self, InvalidFault> {
        let shape = |error: serde_json::Error| InvalidFault::Shape(error.to_string());
        let conditions: Map<String, Value> =
            ["times", "client_id", "scope", "probability", "endpoint"].into_iter().filter_map(|name| members.remove_entry(name)).collect();
        let conditions = serde_json::from_value(conditions.into()).map_err(shape)?;
        let fault = Self { kind: serde_json::from_value(members.into()).map_err(shape)?, conditions };
        fault.check()?;
        Ok(fault)
    }
}

impl From<FaultKind> for Fault {
    /// At the token endpoint, until changed.
    fn from(kind: FaultKind) -> Self {
        Self { kind, conditions: Conditions::default() }
    }
}

impl FaultKind {
    /// This fault for so many requests to the token endpoint.
    pub fn times(self, times: u32) -> Fault {
        Fault { kind: self, conditions: Conditions { times: Some(times), ..Conditions::default() } }
    }

    /// As the JSON names it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Error { .. } => "error",
            Self::Html { .. } => "html",
            Self::Empty { .. } => "empty",
            Self::Truncated {} => "truncated",
            Self::Hang { .. } => "hang",
            Self::Reset { .. } => "reset",
            Self::Oversized { .. } => "oversized",
            Self::WithoutExpiresIn {} => "without_expires_in",
            Self::ExpiresIn { .. } => "expires_in",
            Self::TokenType { .. } => "token_type",
            Self::Delay { .. } => "delay",
            Self::ClockSkew { .. } => "clock_skew",
            Self::DateSkew { .. } => "date_skew",
        }
    }
}

impl Fault {
    /// Whether it can strike.
    ///
    /// # Errors
    ///
    /// [`InvalidFault`] says what is wrong with it.
    pub fn check(&self) -> Result<(), InvalidFault> {
        if self.conditions.times == Some(0) {
            return Err(InvalidFault::Never);
        }
        if let Some(share) = self.conditions.probability.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
            return Err(InvalidFault::Probability(share.to_string()));
        }
        if self.conditions.endpoint != Endpoint::Token && self.is_about_tokens() {
            return Err(InvalidFault::OnlyForTokens);
        }
        match &self.kind {
            FaultKind::Status { status, headers, .. } => {
                check_status(*status)?;
                headers.iter().try_for_each(|(name, value)| check_header(name, value))
            }
            FaultKind::Html { status } | FaultKind::Empty { status } => check_status(*status),
            FaultKind::Error { code } if Rule::named(code).is_none() => Err(InvalidFault::UnknownError(code.clone())),
            FaultKind::Oversized { bytes } if *bytes > 1 << 30 => Err(InvalidFault::TooLarge(*bytes)),
            _ => Ok(()),
        }
    }
}

impl Fault {
    fn is_about_tokens(&self) -> bool {
        let kind = matches!(
            self.kind,
            FaultKind::Error { .. }
                | FaultKind::Oversized { .. }
                | FaultKind::WithoutExpiresIn {}
                | FaultKind::ExpiresIn { .. }
                | FaultKind::TokenType { .. }
        );
        kind || self.conditions.client_id.is_some() || self.conditions.scope.is_some()
    }

    /// Draws, where the fault has a probability: to be asked once for each request.
    fn strikes(&self, target: &Target<'_>) -> bool {
        let whole_clock = matches!(self.kind, FaultKind::ClockSkew { .. }) && self.conditions == Conditions::default();
        let drawn = || self.conditions.probability.is_none_or(|share| rand::random::<f64>() < share);
        whole_clock || self.conditions.hold(target) && drawn()
    }
}

fn check_status(status: u16) -> Result<(), InvalidFault> {
    if (200..=599).contains(&status) && StatusCode::from_u16(status).is_ok() { Ok(()) } else { Err(InvalidFault::Status(status)) }
}

fn check_header(name: &str, value: &str) -> Result<(), InvalidFault> {
    let valid = HeaderName::try_from(name).is_ok() && HeaderValue::from_str(value).is_ok();
    if valid { Ok(()) } else { Err(InvalidFault::Header(name.to_owned())) }
}

/// What strikes one request.
#[derive(Default)]
pub(super) struct Struck {
    pub(super) clock_skew: i64,
    /// Beside that.
    pub(super) date_skew: i64,
    pub(super) delay: Option<Duration>,
    pub(super) kind: Option<FaultKind>,
}

/// The request that a fault is looked for.
pub(super) struct Target<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) client_id: Option<&'a str>,
    /// As the grant has them, separated by spaces.
    pub(super) scopes: Option<&'a str>,
}

/// The faults in force, in the order in which they were given. Each holds how many times it will still strike.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn set(&mut self, faults: Vec<Fault>) {
        self.0 = faults;
    }

    pub(super) fn in_force(&self) -> &[Fault] {
        &self.0
    }

    /// What strikes this request; counts it.
    pub(super) fn strike(&mut self, target: &Target<'_>) -> Struck {
        let mut struck = Struck::default();
        let mut skewed = false;
        for fault in self.0.iter_mut().filter(|fault| fault.strikes(target)) {
            match &fault.kind {
                FaultKind::ClockSkew { seconds } if !skewed => {
                    skewed = true;
                    struck.clock_skew = *seconds;
                }
                FaultKind::Delay { milliseconds } if struck.delay.is_none() => {
                    struck.delay = Some(Duration::from_millis(*milliseconds));
                }
                FaultKind::DateSkew { seconds } if struck.date_skew == 0 => struck.date_skew = *seconds,
                FaultKind::ClockSkew { .. } | FaultKind::DateSkew { .. } | FaultKind::Delay { .. } => continue,
                kind if struck.kind.is_none() => struck.kind = Some(kind.clone()),
                _ => continue,
            }
            fault.conditions.times = fault.conditions.times.map(|times| times.saturating_sub(1));
        }
        self.0.retain(|fault| fault.conditions.times != Some(0));
        struck
    }
}

impl Conditions {
    fn hold(&self, target: &Target<'_>) -> bool {
        let asks_for = |scope: &String| target.scopes.is_some_and(|scopes| scopes.split(' ').any(|asked| asked == scope));
        self.endpoint == target.endpoint
            && self.client_id.as_deref().is_none_or(|client_id| target.client_id == Some(client_id))
            && self.scope.as_ref().is_none_or(asks_for)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(fault: Value) -> Result<Fault, String> {
        serde_json::from_value(fault).map_err(|error| error.to_string())
    }

    #[test]
    fn a_fault_survives_the_way_through_json() {
        let fault = parse(json!({"kind": "status", "status": 503, "headers": {"Retry-After": "1"}, "times": 2, "scope": "a:b"})).unwrap();
        assert_eq!(fault.conditions.times, Some(2));
        assert_eq!(parse(serde_json::to_value(&fault).unwrap()).unwrap(), fault);
    }

    #[test]
    fn what_is_no_fault_is_refused_with_the_reason() {
        let table = [
            (json!({"kind": "hang", "time": 2}), "unknown field `time`"),
            (json!({"kind": "truncated", "status": 2}), "unknown field `status`"),
            (json!({"kind": "explode"}), "unknown variant `explode`"),
            (json!({"status": 500}), "missing field `kind`"),
            (json!({"kind": "hang", "times": 0}), "`times` is 0"),
            (json!({"kind": "html", "status": 100}), "from 200 to 599"),
            (json!({"kind": "hang", "probability": 0}), "`probability` is 0: it must be above 0"),
            (json!({"kind": "hang", "probability": -0.5}), "`probability` is -0.5"),
            (json!({"kind": "hang", "probability": 1.01}), "at most 1"),
            (json!({"kind": "hang", "probability": "half"}), "invalid type: string"),
            (json!({"kind": "error", "code": "MP-999"}), "MP-121"),
            (json!({"kind": "status", "status": 500, "headers": {"a b": "c"}}), "`a b` is not a header"),
            (json!({"kind": "oversized", "bytes": 2_000_000_000}), "at most 1 GiB"),
            (json!({"kind": "hang", "endpoint": "door"}), "unknown variant `door`"),
            (json!({"kind": "without_expires_in", "endpoint": "jwks"}), "can only be `token`"),
            (json!({"kind": "hang", "client_id": "a", "endpoint": "metadata"}), "can only be `token`"),
        ];
        for (fault, expected) in table {
            let error = parse(fault.clone()).unwrap_err();
            assert!(error.contains(expected), "{fault}: {error}");
        }
    }

    #[test]
    fn a_fault_with_a_probability_strikes_its_share_and_the_next_one_its_share_of_the_rest() {
        let likely = |kind: FaultKind, probability| Fault {
            kind,
            conditions: Conditions { probability: Some(probability), ..Conditions::default() },
        };
        let mut faults = Faults::default();
        faults.set(vec![likely(FaultKind::Truncated {}, 0.25), likely(FaultKind::Empty { status: 200 }, 0.5)]);
        let target = Target { endpoint: Endpoint::Token, client_id: None, scopes: None };
        let mut struck = std::collections::BTreeMap::new();
        for _ in 0..8000 {
            *struck.entry(faults.strike(&target).kind.map(|kind| kind.name())).or_insert(0_i32) += 1;
        }
        // 2,000, 3,000 and 3,000: seven standard deviations are some 300.
        for (kind, expected) in [(Some("truncated"), 2000), (Some("empty"), 3000), (None, 3000)] {
            assert!((struck[&kind] - expected).abs() < 400, "{kind:?}: {struck:?}");
        }
    }

    #[test]
    fn a_fault_that_was_not_drawn_is_not_counted_down() {
        let mut faults = Faults::default();
        let conditions = Conditions { probability: Some(0.5), times: Some(3), ..Conditions::default() };
        faults.set(vec![Fault { kind: FaultKind::Truncated {}, conditions }]);
        let target = Target { endpoint: Endpoint::Token, client_id: None, scopes: None };
        assert_eq!((0..1000).filter(|_| faults.strike(&target).kind.is_some()).count(), 3);
    }

    #[test]
    fn faults_strike_in_order_as_often_as_they_were_told_and_only_whom_they_should() {
        let mut faults = Faults::default();
        let skew = FaultKind::ClockSkew { seconds: 60 }.into();
        let mut only_a = FaultKind::Truncated {}.times(1);
        only_a.conditions.client_id = Some("a".to_owned());
        faults.set(vec![skew, only_a, FaultKind::Empty { status: 200 }.times(1)]);
        let target = |client_id| Target { endpoint: Endpoint::Token, client_id: Some(client_id), scopes: None };
        let names: Vec<_> = ["b", "a", "a", "b"]
            .map(|client_id| {
                let struck = faults.strike(&target(client_id));
                assert_eq!(struck.clock_skew, 60);
                struck.kind.map(|kind| kind.name())
            })
            .into();
        assert_eq!(names, [Some("empty"), Some("truncated"), None, None]);
        assert_eq!(faults.in_force().len(), 1);
    }
}
