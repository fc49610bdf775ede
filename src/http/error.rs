//! Every error's status and body, in one table (RFC 6749 section 5.2).

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use super::absence::Absence;
use super::answer::JSON;
use super::seconds::whole_seconds;
use crate::access::{Denial, Parameter};
use crate::maskinporten::{Cause, Code, ExchangeError, KnownError, printable};
use crate::telemetry::RequestResult;
use crate::tokens::TokenError;

/// When somebody who was told to come back should, unless Maskinporten itself has said when.
const RETRY_SOON: Duration = Duration::from_secs(5);
/// What is too much at the moment has mostly passed in the next.
const RETRY_AT_ONCE: Duration = Duration::from_secs(1);
/// A certificate that is out of its validity is mended by a person.
const RETRY_WHEN_MENDED: Duration = Duration::from_secs(60);
/// An `error_description` is for people and log lines: longer than this it is neither.
const DESCRIPTION_LIMIT: usize = 1024;

const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"portvakt\"");

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(super) enum Problem {
    UnknownPath,
    UnknownManagementPath,
    MethodNotAllowed {
        allow: &'static str,
    },
    HeadTooLarge,
    BodyTooLarge,
    BodyBroken,
    ApiKeysDiffer,
    NoApiKey(Absence),
    /// Unknown, revoked or expired: nobody is told which.
    UnknownApiKey,
    Network,
    /// `POST /token` with a body.
    BodyNotTaken,
    /// A parameter is missing, malformed, contradictory or too long; what it says is ours, and repeats nothing that was sent.
    Parameter(String),
    /// There is none by that name, or not for this caller: nobody is told which.
    UnknownIntegration,
    Denied(Denial),
    NoToken(TokenError),
    Defect,
}

/// A row of the table.
struct Row {
    status: StatusCode,
    error: &'static str,
    description: String,
    header: Option<(HeaderName, HeaderValue)>,
}

/// RFC 6749 section 5.2, and what Maskinporten says beyond it.
#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    error_description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    maskinporten_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_uri: Option<&'a str>,
}

impl Problem {
    /// How a request that ends so is counted.
    pub(super) fn result(&self) -> RequestResult {
        match self {
            Self::NoToken(TokenError::Gone) => RequestResult::Refused,
            Self::NoToken(_) | Self::Defect => RequestResult::Failed,
            _ => RequestResult::Refused,
        }
    }

    /// It is we who failed: a defect.
    pub(super) fn is_defect(&self) -> bool {
        matches!(self, Self::Defect | Self::NoToken(TokenError::Grant(_) | TokenError::Defect))
    }

    /// What happened and what to do, as an `error_description` has it.
    pub(super) fn description(&self) -> String {
        printable(&self.row().description, DESCRIPTION_LIMIT)
    }

    /// The answer: JSON, always.
    pub(super) fn answer(&self) -> HttpResponse {
        let Row { status, error, description, header } = self.row();
        let refusal = match self {
            Self::NoToken(error) => error.diagnosis().and_then(|diagnosis| diagnosis.error().refusal()),
            _ => None,
        };
        let body = Body {
            error: refusal.map_or(error, |refusal| &refusal.error),
            error_description: printable(&description, DESCRIPTION_LIMIT),
            maskinporten_code: refusal.and_then(|refusal| refusal.code.as_ref()).map(Code::as_str),
            trace_id: refusal.and_then(|refusal| refusal.trace_id.as_deref()),
            error_uri: refusal.and_then(|refusal| refusal.error_uri.as_deref()),
        };
        // Text in a struct: serde_json has nothing to fail on.
        let mut response = HttpResponse::build(status).body(serde_json::to_vec(&body).unwrap_or_default());
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        response
    }

    fn row(&self) -> Row {
        match self {
            Self::UnknownPath => row(404, "invalid_request", "There is nothing at this path. Tokens are at /token."),
            Self::UnknownManagementPath => {
                row(404, "invalid_request", "There is nothing at this path. Here are /health/live, /health/ready and /metrics.")
            }
            Self::MethodNotAllowed { allow } => row(405, "invalid_request", format!("This method is not taken here. Use one of: {allow}."))
                .with(ALLOW, HeaderValue::from_static(allow)),
            Self::HeadTooLarge => row(
                431,
                "invalid_request",
                "The head of the request is larger than 32 KiB, has more than 64 fields, or a target over 8 KiB. Send only what is needed.",
            ),
            Self::BodyTooLarge => row(413, "invalid_request", "The body is larger than 64 KiB. Send the request without a body."),
            Self::BodyBroken => {
                row(400, "invalid_request", "The body of the request could not be read to its end. Send the request without a body.")
            }
            Self::ApiKeysDiffer => row(
                400,
                "invalid_request",
                "The request has API keys that differ. Send one, as X-Gravitee-Api-Key, X-API-Key or Authorization: Bearer.",
            ),
            Self::NoApiKey(absence) => unauthorized(format!(
                "The API key {absence}. Send it as X-Gravitee-Api-Key, X-API-Key or Authorization: Bearer; in the gateway it is API property maskinporten_api_key{}.",
                if *absence == Absence::NotSent { "" } else { ", which is probably not set" }
            )),
            Self::UnknownApiKey => unauthorized(
                "The API key is not known here, or no longer valid. Check that it is the one that was given out for this service."
                    .to_owned(),
            ),
            Self::Network => {
                row(403, "access_denied", "This caller may not ask from this network. Ask whoever runs this service to allow it.")
            }
            Self::BodyNotTaken => row(
                400,
                "invalid_request",
                "POST /token takes no body. Send iss and scope as headers or in the query; an OAuth client with a form belongs at /oauth2/token.",
            ),
            Self::Parameter(description) => row(400, "invalid_request", description.as_str()),
            Self::UnknownIntegration => row(
                403,
                "unauthorized_client",
                "There is no integration by this iss for this caller. Check iss (API property maskinporten_api_iss in the gateway), or ask whoever runs this service to allow it.",
            ),
            Self::Denied(Denial::Scope) => row(
                403,
                "invalid_scope",
                "This caller may not have a token with all of these scopes. Check their spelling, or ask whoever runs this service to allow them.",
            ),
            Self::Denied(Denial::NotPermitted(parameter)) => row(403, "access_denied", not_permitted(*parameter)),
            Self::Denied(Denial::Required(parameter)) => {
                row(403, "access_denied", format!("This caller must give {} with these scopes.", parameter.name()))
            }
            Self::NoToken(error) => no_token(error),
            Self::Defect => {
                row(500, "server_error", "Portvakt failed: this is a defect. Tell whoever runs this service, with the X-Request-Id.")
            }
        }
    }
}

fn not_permitted(parameter: Parameter) -> String {
    format!("This caller may not give this {} with these scopes. Ask whoever runs this service to allow it.", parameter.name())
}

fn no_token(error: &TokenError) -> Row {
    match error {
        TokenError::Exchange(diagnosis) => {
            failed(diagnosis.error(), diagnosis.within(DESCRIPTION_LIMIT), diagnosis.error().retry_after().unwrap_or(RETRY_SOON))
        }
        TokenError::Remembered(remembered) => {
            let note = format!(
                " This is remembered from {} s ago, and will be for {} s more. POST /token, or Cache-Control: no-cache, asks Maskinporten at once.",
                remembered.age().as_secs(),
                at_least_one_second(remembered.left()),
            );
            // The note is short, and stays whole whatever has to be cut before it.
            let description = remembered.diagnosis().within(DESCRIPTION_LIMIT - note.len()) + &note;
            failed(remembered.diagnosis().error(), description, remembered.left())
        }
        TokenError::Certificate { .. } => {
            let known = KnownError::of(Cause::OwnCertificateNotValid);
            unavailable(503, format!("{error}. {} {}", known.meaning, known.what_to_do()), RETRY_WHEN_MENDED)
        }
        TokenError::CircuitOpen(open) => unavailable(503, format!("{error} {}", open.error().known().what_to_do()), open.retry_after()),
        TokenError::TooMany(_) => unavailable(503, format!("{error}. Try again soon."), RETRY_AT_ONCE),
        TokenError::Deadline(_) => unavailable(504, format!("{error}. Try again: an exchange that is under way goes on."), RETRY_SOON),
        TokenError::Gone => Problem::UnknownIntegration.row(),
        TokenError::Grant(_) | TokenError::Defect => Problem::Defect.row(),
    }
}

/// An exchange that failed, just now or lately.
fn failed(error: &ExchangeError, description: String, retry_after: Duration) -> Row {
    match error {
        // The error is Maskinporten's own, see Problem::answer.
        ExchangeError::Refused(_) => row(502, "invalid_grant", description),
        _ => unavailable(503, description, retry_after),
    }
}

fn row(status: u16, error: &'static str, description: impl Into<String>) -> Row {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Row { status, error, description: description.into(), header: None }
}

fn unauthorized(description: String) -> Row {
    row(401, "invalid_client", description).with(WWW_AUTHENTICATE, CHALLENGE)
}

/// With `Retry-After`.
fn unavailable(status: u16, description: String, after: Duration) -> Row {
    row(status, "temporarily_unavailable", description).with(RETRY_AFTER, HeaderValue::from(at_least_one_second(after)))
}

/// To come back at once would be no wait.
fn at_least_one_second(duration: Duration) -> u64 {
    whole_seconds(duration).max(1)
}

impl Row {
    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl From<Denial> for Problem {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        Self::NoToken(error)
    }
}
