//! Health and metrics, on a listener of their own: never on the one that hands out tokens.

use std::sync::Arc;

use actix_http::Request;
use actix_web::HttpResponse;
use actix_web::http::Method;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue};

use super::entrance::marked;
use super::error::Problem;
use super::head::{Head, check_method};
use super::lifecycle::{Lifecycle, Phase};
use crate::telemetry::Metrics;
use crate::tokens::TokenService;

/// What the management listener answers from.
#[derive(Debug)]
pub struct Management {
    tokens: Arc<TokenService>,
    metrics: Arc<Metrics>,
    lifecycle: Arc<Lifecycle>,
}

impl Management {
    /// `lifecycle` says whether new requests should be sent here.
    pub fn new(tokens: Arc<TokenService>, metrics: Arc<Metrics>, lifecycle: Arc<Lifecycle>) -> Self {
        Self { tokens, metrics, lifecycle }
    }
}

/// Answers the operator's questions.
pub(super) fn manage(management: &Management, request: &Request) -> HttpResponse {
    let head = Head::of(request);
    let response = answer(management, request, &head).unwrap_or_else(|problem| problem.answer());
    marked(request, response, head.request_id())
}

fn answer(management: &Management, request: &Request, head: &Head<'_>) -> Result<HttpResponse, Problem> {
    let get = || check_method(request, &[Method::GET], "GET").and_then(|()| head.check(request.uri()));
    match request.path() {
        "/health/live" => get().map(|()| text(StatusCode::OK, "alive\n")),
        "/health/ready" => get().map(|()| {
            let lifecycle = &management.lifecycle;
            match (lifecycle.has_come_to(Phase::Ready), lifecycle.has_come_to(Phase::Stopping)) {
                (true, false) => text(StatusCode::OK, "ready\n"),
                (false, _) => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: starting\n"),
                (true, true) => text(StatusCode::SERVICE_UNAVAILABLE, "not ready: stopping\n"),
            }
        }),
        "/metrics" => get().and_then(|()| {
            management.metrics.tokens_cached.set(i64::try_from(management.tokens.cached_tokens()).unwrap_or(i64::MAX));
            let metrics = management.metrics.text().map_err(|_| Problem::Defect)?;
            let mut response = HttpResponse::Ok().body(metrics);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
            Ok(response)
        }),
        _ => Err(Problem::UnknownManagementPath),
    }
}

fn text(status: StatusCode, text: &'static str) -> HttpResponse {
    let mut response = HttpResponse::build(status).body(text);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
