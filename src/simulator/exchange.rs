//! One request at the token endpoint: counted, judged, answered.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use actix_web::http::StatusCode;
use openssl::x509::X509;
use serde_json::{Map, Value, json};
use tracing::{info, warn};
use uuid::Uuid;

use super::counters::{Counted, Counters, Counting, Outcome, SeenGrant};
use super::errors::{Refusal, Rule};
use super::faults::{Endpoint, Faults, Struck, Target};
use super::grant::{Accepted, FirstUse, Grant, Rules, seconds};
use super::jtis::Jtis;
use super::lifetimes::Lifetimes;
use super::settings::ClientSettings;
use super::tokens::TokenSigner;

/// What the server's threads, the control endpoint and the [`Simulator`](super::Simulator) share.
pub(super) struct Core {
    pub(super) issuer: String,
    pub(super) clients: Vec<ClientSettings>,
    pub(super) trust_anchors: Vec<X509>,
    pub(super) signer: TokenSigner,
    pub(super) counting: Arc<Counting>,
    // Std mutexes in async code: nothing awaits while one is held, and each is held for microseconds.
    pub(super) jtis: Mutex<Jtis>,
    pub(super) faults: Mutex<Faults>,
    pub(super) lifetimes: Mutex<Lifetimes>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A JSON answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) document: Value,
}

/// A request that was counted and not yet answered.
pub(super) struct Request {
    presented: Result<Grant, Refusal>,
    first_use: FirstUse,
    counted: Counted,
    pub(super) struck: Struck,
}

/// What of the HTTP request matters.
pub(super) struct Form<'a> {
    pub(super) content_type: &'a str,
    pub(super) authentication: OtherAuthentication,
    /// None when it was too large or did not arrive whole.
    pub(super) body: Option<&'a [u8]>,
}

/// Whether there is an `Authorization` header.
#[derive(PartialEq, Eq)]
pub(super) enum OtherAuthentication {
    Present,
    Absent,
}

impl Core {
    /// The issuer without a slash at its end, to put a path behind.
    pub(super) fn base(&self) -> &str {
        self.issuer.trim_end_matches('/')
    }

    pub(super) fn counters(&self) -> Counters {
        self.counting.snapshot(lock(&self.jtis).len())
    }

    /// Counts the request, remembers its `jti` and finds the fault that strikes it.
    ///
    /// A `jti` counts as used once its grant has arrived, whatever is answered: also behind an outage nobody knows how far a
    /// grant came, so every retry needs a new one.
    pub(super) fn receive(&self, form: &Form<'_>) -> Request {
        let presented = form.assertion().and_then(|assertion| Grant::parse(&assertion));
        let grant = presented.as_ref().ok();
        let client_id = grant.and_then(|grant| grant.claim("iss"));
        let scope = grant.and_then(|grant| grant.claim("scope"));
        let first_use = match (client_id, grant.and_then(|grant| grant.claim("jti"))) {
            (Some(client_id), Some(jti)) => lock(&self.jtis).record(client_id, jti, seconds(SystemTime::now())),
            _ => FirstUse::Yes,
        };
        let seen = SeenGrant {
            number: 0,
            milliseconds: 0,
            content_type: form.content_type.to_owned(),
            header: grant.map_or_else(Map::new, |grant| grant.header.clone()),
            claims: grant.map_or_else(Map::new, |grant| grant.claims.clone()),
            outcome: None,
            code: None,
            fault: None,
        };
        let known = client_id.filter(|client_id| self.clients.iter().any(|client| client.client_id == *client_id));
        let struck = lock(&self.faults).strike(&Target { endpoint: Endpoint::Token, client_id, scopes: scope });
        let counted = self.counting.received(known, scope, seen);
        if first_use == FirstUse::No {
            self.counting.duplicate_jti();
        }
        if let Some(kind) = &struck.kind {
            self.counting.struck(&counted, kind.name());
            info!("fault {} strikes a request of {}", kind.name(), self.client_for_log(client_id));
        }
        Request { presented, first_use, counted, struck }
    }

    /// The true answer, by every rule.
    pub(super) fn decide(&self, request: &Request) -> Answer {
        let now = seconds(SystemTime::now()).saturating_add(request.struck.clock_skew);
        let rules =
            Rules { issuer: &self.issuer, clients: &self.clients, trust_anchors: &self.trust_anchors, now, first_use: request.first_use };
        let judged = request.presented.as_ref().map_err(Clone::clone).and_then(|grant| rules.judge(grant));
        match judged {
            Ok(accepted) => self.issue(request, &accepted, now),
            Err(refusal) => self.refuse(request, &refusal),
        }
    }

    /// Refuses for a fault's sake, in the words of that rule.
    pub(super) fn refuse_by_fault(&self, request: &Request, rule: Rule) -> Answer {
        let scope = request.presented.as_ref().ok().and_then(|grant| grant.claim("scope"));
        let names_scopes = matches!(rule, Rule::ScopeNotRegistered | Rule::IntegrationType | Rule::ScopeNotGranted | Rule::NotDelegated);
        let refusal = match scope {
            Some(scope) if names_scopes => rule.by(scope),
            _ => rule.into(),
        };
        self.refuse(request, &refusal)
    }

    /// A fault answers, and nothing was decided.
    pub(super) fn leave_to_fault(&self, request: &Request) {
        self.counting.decided(&request.counted, Outcome::Fault);
    }

    fn issue(&self, request: &Request, accepted: &Accepted<'_>, now: i64) -> Answer {
        let lifetime = lock(&self.lifetimes).of(accepted.client, &accepted.claims.scopes);
        match self.signer.sign(&self.issuer, accepted, lifetime, now) {
            Ok(token) => {
                let scope = accepted.claims.scopes.join(" ");
                info!("grant accepted: {}, scope {scope}, a token for {lifetime} s", self.client_for_log(Some(&accepted.client.client_id)));
                self.counting.decided(&request.counted, Outcome::Issued);
                let document = json!({"access_token": token, "token_type": "Bearer", "expires_in": lifetime, "scope": scope});
                Answer { status: StatusCode::OK, document }
            }
            Err(error) => {
                warn!("{error}");
                self.leave_to_fault(request);
                let document = json!({"error": "server_error", "error_description": error.to_string()});
                Answer { status: StatusCode::INTERNAL_SERVER_ERROR, document }
            }
        }
    }

    fn refuse(&self, request: &Request, refusal: &Refusal) -> Answer {
        let trace_id = Uuid::new_v4();
        let document = refusal.document(self.base(), trace_id);
        let client_id = request.presented.as_ref().ok().and_then(|grant| grant.claim("iss"));
        let reason = document.get("error_description").and_then(Value::as_str).unwrap_or_default();
        info!("grant refused: {}, {}: {reason}", self.client_for_log(client_id), refusal.rule.name());
        self.counting.decided(&request.counted, Outcome::Refused(refusal.rule));
        Answer { status: StatusCode::BAD_REQUEST, document }
    }

    /// The client's own name and ID; of what the network claims to be a client, only that it is none.
    fn client_for_log(&self, client_id: Option<&str>) -> String {
        let client = self.clients.iter().find(|client| Some(client.client_id.as_str()) == client_id);
        client.map_or_else(|| "unknown client".to_owned(), |client| format!("{} ({})", client.name, client.client_id))
    }
}

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

impl Form<'_> {
    /// RFC 7523 section 2.1, and RFC 6749 section 3.2: no parameter twice.
    fn assertion(&self) -> Result<String, Refusal> {
        let essence = self.content_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Rule::NotAForm.into());
        }
        let body = self.body.ok_or(Rule::NotAForm)?;
        if self.authentication == OtherAuthentication::Present || parameter(body, "client_secret").is_some() {
            return Err(Rule::OtherAuthentication.into());
        }
        if parameter(body, "client_assertion").is_some() {
            return Err(Rule::OtherAuthentication.into());
        }
        if only_parameter(body, "grant_type")? != JWT_BEARER {
            return Err(Rule::GrantType.into());
        }
        only_parameter(body, "assertion")
    }
}

fn parameter(body: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn only_parameter(body: &[u8], name: &str) -> Result<String, Refusal> {
    let mut values = form_urlencoded::parse(body).filter(|(key, _)| key == name);
    match (values.next(), values.next()) {
        (Some((_, value)), None) if !value.is_empty() => Ok(value.into_owned()),
        _ => Err(Rule::FormParameter.by(name)),
    }
}
