//! What the demo shows, step by step, and what each step must bring.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use reqwest::Client;
use tokio::task::JoinSet;

use super::call::{Answer, Call, Claims, Prepared};
use super::stage::{Caller, Integration, KONTAKTINFORMASJON, MED_HJEMMEL, Stage, UTEN_HJEMMEL};
use crate::simulator::{FaultKind, SeenGrant};

/// One thing to show.
pub(super) struct Step {
    pub(super) title: &'static str,
    pub(super) call: Call,
    /// How many callers send it at the same moment.
    pub(super) at_once: usize,
    pub(super) maskinporten: Maskinporten,
    pub(super) expected: Expected,
}

/// Whether Maskinporten can be asked during a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maskinporten {
    Up,
    /// It answers 503 to everything.
    Down,
}

/// How a step must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A token out of one exchange, whose grant was signed so.
    Exchange(SignedWith),
    /// A token that was there already.
    Cached,
    /// Portvakt's own no: Maskinporten is not asked.
    Refused { status: u16, error: &'static str },
    /// Maskinporten's no, passed on with its code.
    RefusedByMaskinporten { code: &'static str },
}

/// The key of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignedWith {
    Virksomhetssertifikat,
    RegisteredKey,
}

impl SignedWith {
    /// `client_amr` of the token, and which of the two headers the grant has.
    fn marks(self) -> (&'static str, &'static str) {
        match self {
            Self::Virksomhetssertifikat => ("virksomhetssertifikat", "x5c"),
            Self::RegisteredKey => ("private_key_jwt", "kid"),
        }
    }
}

/// In this order: what one step caches, a later one finds.
pub(super) const STEPS: [Step; 8] = [
    Step {
        title: "Folkeregisteret uten hjemmel, asked for the first time",
        call: Call { caller: Caller::GatewayFreg, integration: Integration::Freg, scope: UTEN_HJEMMEL },
        at_once: 1,
        maskinporten: Maskinporten::Up,
        expected: Expected::Exchange(SignedWith::Virksomhetssertifikat),
    },
    Step {
        title: "The same again",
        call: Call { caller: Caller::GatewayFreg, integration: Integration::Freg, scope: UTEN_HJEMMEL },
        at_once: 1,
        maskinporten: Maskinporten::Up,
        expected: Expected::Cached,
    },
    Step {
        title: "Folkeregisteret med hjemmel: a token for two scopes",
        call: Call {
            caller: Caller::GatewayFreg,
            integration: Integration::Freg,
            scope: "folkeregister:deling/offentligmedhjemmel folkeregister:deling/offentligutenhjemmel",
        },
        at_once: 1,
        maskinporten: Maskinporten::Up,
        expected: Expected::Exchange(SignedWith::Virksomhetssertifikat),
    },
    Step {
        title: "Kontakt- og reservasjonsregisteret, by the integration with a registered key",
        call: Call { caller: Caller::GatewayKrr, integration: Integration::Krr, scope: KONTAKTINFORMASJON },
        at_once: 1,
        maskinporten: Maskinporten::Up,
        expected: Expected::Exchange(SignedWith::RegisteredKey),
    },
    Step {
        title: "200 callers at once want a token that nobody has yet",
        call: Call { caller: Caller::GatewayFreg, integration: Integration::Freg, scope: MED_HJEMMEL },
        at_once: 200,
        maskinporten: Maskinporten::Up,
        expected: Expected::Exchange(SignedWith::Virksomhetssertifikat),
    },
    Step {
        title: "Maskinporten is down, and a token is in the cache",
        call: Call { caller: Caller::GatewayKrr, integration: Integration::Krr, scope: KONTAKTINFORMASJON },
        at_once: 1,
        maskinporten: Maskinporten::Down,
        expected: Expected::Cached,
    },
    Step {
        title: "A caller asks for more than its rules allow",
        call: Call { caller: Caller::Archive, integration: Integration::Freg, scope: MED_HJEMMEL },
        at_once: 1,
        maskinporten: Maskinporten::Up,
        expected: Expected::Refused { status: 403, error: "invalid_scope" },
    },
    Step {
        title: "Maskinporten says no: the rules allow the scope, but it is not registered on the client",
        call: Call { caller: Caller::GatewayFreg, integration: Integration::Freg, scope: "folkeregister:deling/ikkeregistrert" },
        at_once: 1,
        maskinporten: Maskinporten::Up,
        expected: Expected::RefusedByMaskinporten { code: "MP-200" },
    },
];

/// What a step brought.
pub(super) struct Seen {
    pub(super) answers: Vec<Result<Answer, String>>,
    /// From the first call to the last answer.
    pub(super) took: Duration,
    /// Requests that reached Maskinporten's token endpoint meanwhile.
    pub(super) exchanges: u64,
    /// The last grant that Maskinporten saw, when it saw one.
    pub(super) grant: Option<SeenGrant>,
}

impl Step {
    /// Makes the step's calls.
    pub(super) async fn make(&self, client: &Client, stage: &Stage) -> Seen {
        if self.maskinporten == Maskinporten::Down {
            let outage = FaultKind::Status { status: 503, headers: BTreeMap::new(), body: String::new() };
            // A status of 503 is one that the simulator takes.
            let _ = stage.simulator.fault(outage);
        }
        let before = stage.simulator.counters().received;
        let prepared = Prepared::new(client, stage, self.call);
        let started = Instant::now();
        let calls: JoinSet<_> = (0..self.at_once).map(|_| prepared.clone().send()).collect();
        let answers = calls.join_all().await;
        let took = started.elapsed();
        let after = stage.simulator.counters();
        stage.simulator.clear_faults();
        let exchanges = after.received.saturating_sub(before);
        let grant = after.last_grants.back().filter(|_| exchanges > 0).cloned();
        Seen { answers, took, exchanges, grant }
    }

    /// All that went otherwise than it should; empty when nothing did.
    pub(super) fn deviations(&self, seen: &Seen) -> Vec<String> {
        let mut deviations = Vec::new();
        let exchanges = match self.expected {
            Expected::Exchange(_) | Expected::RefusedByMaskinporten { .. } => 1,
            Expected::Cached | Expected::Refused { .. } => 0,
        };
        if seen.exchanges != exchanges {
            deviations.push(format!("Maskinporten should have been asked {exchanges} times, and was {} times", seen.exchanges));
        }
        let mut tokens = BTreeSet::new();
        for answer in &seen.answers {
            match answer {
                Err(error) => deviations.push(error.clone()),
                Ok(answer) => {
                    tokens.extend(answer.body.access_token.as_deref());
                    deviations.extend(self.deviation(answer));
                }
            }
        }
        if tokens.len() > 1 {
            deviations.push(format!("all should have the same token, and there were {}", tokens.len()));
        }
        if let (Expected::Exchange(signed_with), Some(grant)) = (self.expected, &seen.grant) {
            let (_, header) = signed_with.marks();
            if !grant.header.contains_key(header) {
                deviations.push(format!("the grant should name its key by {header}"));
            }
        }
        deviations.dedup(); // 200 callers have one and the same complaint
        deviations
    }

    fn deviation(&self, answer: &Answer) -> Option<String> {
        let body = &answer.body;
        let (status, error, code) = match self.expected {
            Expected::Exchange(_) | Expected::Cached => (200, None, None),
            Expected::Refused { status, error } => (status, Some(error), None),
            Expected::RefusedByMaskinporten { code } => (502, Some("invalid_scope"), Some(code)),
        };
        if answer.status != status || body.error.as_deref() != error || body.maskinporten_code.as_deref() != code {
            let said = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
            return Some(format!(
                "the answer should be {status} with error {} and code {}, and is {} with error {} and code {}",
                error.unwrap_or("none"),
                code.unwrap_or("none"),
                answer.status,
                said(&body.error),
                said(&body.maskinporten_code),
            ));
        }
        if status == 200 { self.deviation_of_token(answer) } else { None }
    }

    fn deviation_of_token(&self, answer: &Answer) -> Option<String> {
        let Some(claims) = answer.body.access_token.as_deref().and_then(Claims::of) else {
            return Some("the answer should have a token of Maskinporten's, and has none".to_owned());
        };
        let wanted = [("client_id", self.call.integration.client_id(), &claims.client_id)];
        let signed_with = match self.expected {
            Expected::Exchange(signed_with) => Some(("client_amr", signed_with.marks().0, &claims.client_amr)),
            _ => None,
        };
        if let Some((name, wanted, found)) = wanted.into_iter().chain(signed_with).find(|(_, wanted, found)| wanted != found) {
            return Some(format!("the token's {name} should be {wanted}, and is {found}"));
        }
        let set = |scopes: &str| scopes.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
        if set(&claims.scope) != set(self.call.scope) {
            return Some(format!("the token should be for {}, and is for {}", self.call.scope, claims.scope));
        }
        answer.body.expires_in.is_none().then(|| "the answer should say how long the token lives, and does not".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::Body;
    use super::*;
    use rstest::rstest;

    fn refusal(status: u16, error: &str, exchanges: u64) -> Seen {
        let body = Body { error: Some(error.to_owned()), ..Body::default() };
        Seen { answers: vec![Ok(Answer { status, body, took: Duration::ZERO })], took: Duration::ZERO, exchanges, grant: None }
    }

    #[rstest]
    #[case(refusal(403, "invalid_scope", 0), "")]
    #[case(refusal(403, "invalid_scope", 1), "Maskinporten should have been asked 0 times, and was 1 times")]
    #[case(refusal(401, "invalid_client", 0), "the answer should be 403 with error invalid_scope and code none, and is 401")]
    #[case(refusal(200, "", 0), "the answer should be 403")]
    #[case(Seen { answers: vec![Err("no answer: x".to_owned())], ..refusal(0, "", 0) }, "no answer: x")]
    fn a_step_tells_what_went_otherwise(#[case] seen: Seen, #[case] expected: &str) {
        let refused = STEPS.iter().find(|step| matches!(step.expected, Expected::Refused { .. })).unwrap();
        let deviations = refused.deviations(&seen);
        match expected {
            "" => assert_eq!(deviations, [""; 0]),
            expected => assert!(deviations[0].starts_with(expected), "{deviations:?}"),
        }
    }

    #[test]
    fn a_token_for_something_else_is_a_deviation() {
        let claims = |client_id: &str, scope: &str| {
            format!(r#"{{"client_id":"{client_id}","client_amr":"virksomhetssertifikat","scope":"{scope}","consumer":{{"ID":"0192:1"}}}}"#)
        };
        let client_id = Integration::Freg.client_id();
        let table = [
            (claims(client_id, UTEN_HJEMMEL), Some(119), ""),
            (claims("another", UTEN_HJEMMEL), Some(119), "the token's client_id should be 1111"),
            (claims(client_id, MED_HJEMMEL), Some(119), "the token should be for folkeregister:deling/offentligutenhjemmel, and is for"),
            (claims(client_id, UTEN_HJEMMEL), None, "the answer should say how long"),
            ("[]".to_owned(), Some(119), "the answer should have a token"),
        ];
        for (claims, expires_in, expected) in table {
            let token = format!("e30.{}.sig", openssl::base64::encode_block(claims.as_bytes()).trim_end_matches('='));
            let body = Body { access_token: Some(token), expires_in, ..Body::default() };
            let answer = Answer { status: 200, body, took: Duration::ZERO };
            let deviation = STEPS[1].deviation(&answer).unwrap_or_default();
            assert!(deviation.starts_with(expected) && deviation.is_empty() == expected.is_empty(), "{deviation}");
        }
    }
}
