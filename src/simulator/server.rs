//! The simulator's doors: the token endpoint, metadata and keys, and what a fault makes of their answers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::body::BoxBody;
use actix_web::dev::{Server, ServerHandle};
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HttpDate, TryIntoHeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::rt::time::sleep;
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tracing::warn;

use super::control;
use super::errors::Rule;
use super::exchange::{Answer, Core, Form, OtherAuthentication, lock};
use super::faults::{Endpoint, FaultKind, Stage, Struck, Target};
use super::wire::{Connection, Ending, OversizedBody, UnfinishedBody};

/// The largest body of a request that is read.
const LARGEST_BODY: usize = 256 * 1024;

/// A socket that listens; std's own has a backlog too short for a burst of new connections. Needs a tokio runtime.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)?.into_std()
}

/// Serves until it is stopped by its handle.
pub(super) fn serve(listener: TcpListener, core: Arc<Core>) -> io::Result<(Server, ServerHandle)> {
    let counting = core.counting.clone();
    let core = Data::from(core);
    let server = HttpServer::new(move || App::new().app_data(core.clone()).configure(routes))
        .workers(2)
        .keep_alive(Duration::from_secs(75))
        .h1_allow_half_closed(false) // else a client that has given up on what hangs would stay connected for ever
        .on_connect(move |stream, kept| Connection::open(stream, kept, &counting))
        .disable_signals()
        .listen(listener)?
        .run();
    let handle = server.handle();
    Ok((server, handle))
}

fn routes(config: &mut ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(LARGEST_BODY))
        .service(web::resource("/token").post(token).default_service(web::to(only_post)))
        .route("/jwk", web::get().to(jwks))
        .route("/.well-known/oauth-authorization-server", web::get().to(metadata))
        .route("/.well-known/openid-configuration", web::get().to(metadata))
        .route("/errors/{name}", web::get().to(error_page))
        .service(web::scope("/_simulator").configure(control::routes));
}

async fn token(http: HttpRequest, body: Result<Bytes, actix_web::Error>, core: Data<Core>) -> HttpResponse {
    let content_type = http.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let authentication =
        if http.headers().contains_key(AUTHORIZATION) { OtherAuthentication::Present } else { OtherAuthentication::Absent };
    let request = core.receive(&Form { content_type, authentication, body: body.as_deref().ok() });
    let struck = &request.struck;
    if let Some(delay) = struck.delay {
        sleep(delay).await;
    }
    let response = match &struck.kind {
        Some(FaultKind::Hang { at: Stage::BeforeHeaders }) => std::future::pending().await,
        Some(FaultKind::Error { code }) => match Rule::named(code) {
            Some(rule) => json_response(&core.refuse_by_fault(&request, rule)),
            None => json_response(&core.decide(&request)), // `Fault::check` lets no such code in
        },
        Some(kind) => match instead_of_an_answer(&http, kind) {
            Some(response) => {
                core.leave_to_fault(&request);
                response
            }
            None => mangled(&http, kind, core.decide(&request)),
        },
        None => json_response(&core.decide(&request)),
    };
    with_date(response, struck.clock_skew.saturating_add(struck.date_skew))
}

async fn metadata(http: HttpRequest, core: Data<Core>) -> HttpResponse {
    core.counting.metadata();
    let base = core.base();
    let document = json!({
        "issuer": core.issuer,
        "token_endpoint": format!("{base}/token"),
        "jwks_uri": format!("{base}/jwk"),
        "grant_types_supported": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256", "RS384", "RS512"],
        "authorization_details_types_supported": ["urn:altinn:systemuser", "urn:altinn:consent"],
    });
    document_or_fault(&http, &core, Endpoint::Metadata, document).await
}

async fn jwks(http: HttpRequest, core: Data<Core>) -> HttpResponse {
    core.counting.jwks();
    document_or_fault(&http, &core, Endpoint::Jwks, core.signer.public_keys().clone()).await
}

async fn document_or_fault(http: &HttpRequest, core: &Core, endpoint: Endpoint, document: Value) -> HttpResponse {
    let struck: Struck = lock(&core.faults).strike(&Target { endpoint, client_id: None, scopes: None });
    if let Some(delay) = struck.delay {
        sleep(delay).await;
    }
    let answer = Answer { status: StatusCode::OK, document };
    let response = match &struck.kind {
        Some(FaultKind::Hang { at: Stage::BeforeHeaders }) => std::future::pending().await,
        Some(kind) => instead_of_an_answer(http, kind).unwrap_or_else(|| mangled(http, kind, answer)),
        None => json_response(&answer),
    };
    with_date(response, struck.clock_skew.saturating_add(struck.date_skew))
}

/// What `error_uri` leads to.
async fn error_page(name: web::Path<String>) -> HttpResponse {
    match Rule::named(&name) {
        Some(rule) => HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(format!("{name}: {}\n", rule.description())),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn only_post() -> HttpResponse {
    let document = json!({"error": "invalid_request", "error_description": "The token endpoint takes POST only"});
    HttpResponse::MethodNotAllowed().insert_header(("Allow", Method::POST.as_str())).json(document)
}

fn json_response(answer: &Answer) -> HttpResponse {
    HttpResponse::build(answer.status).insert_header(("Cache-Control", "no-store")).json(&answer.document)
}

/// For the faults behind which no grant is judged. None for the others.
fn instead_of_an_answer(http: &HttpRequest, kind: &FaultKind) -> Option<HttpResponse> {
    let build = |status: u16| HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    Some(match kind {
        FaultKind::Status { status, headers, body } => {
            let mut response = build(*status);
            for (name, value) in headers {
                response.insert_header((name.as_str(), value.as_str()));
            }
            response.body(body.clone())
        }
        FaultKind::Html { status } => build(*status).content_type("text/html").body(PAGE),
        FaultKind::Empty { status } => build(*status).finish(),
        FaultKind::Oversized { bytes } => HttpResponse::Ok().content_type("application/json").body(OversizedBody::new(*bytes)),
        FaultKind::Reset { at: Stage::BeforeHeaders } => {
            reset_on_close(http);
            HttpResponse::Ok().body(UnfinishedBody::nothing())
        }
        _ => return None,
    })
}

const PAGE: &str = "<!DOCTYPE html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>\n";

/// The true answer, and what the fault makes of it.
fn mangled(http: &HttpRequest, kind: &FaultKind, mut answer: Answer) -> HttpResponse {
    if let (true, Some(members)) = (answer.status.is_success(), answer.document.as_object_mut()) {
        match kind {
            FaultKind::WithoutExpiresIn {} => drop(members.remove("expires_in")),
            FaultKind::ExpiresIn { value } => drop(members.insert("expires_in".to_owned(), value.clone())),
            FaultKind::TokenType { value } => drop(members.insert("token_type".to_owned(), value.as_str().into())),
            _ => {}
        }
    }
    let ending = match kind {
        FaultKind::Truncated {} => Ending::Close,
        FaultKind::Hang { .. } => Ending::Silence,
        FaultKind::Reset { .. } => {
            reset_on_close(http);
            Ending::Close
        }
        _ => return json_response(&answer),
    };
    let body = UnfinishedBody::half_of(answer.document.to_string().as_bytes(), ending);
    HttpResponse::build(answer.status).content_type("application/json").body(BoxBody::new(body))
}

fn reset_on_close(http: &HttpRequest) {
    let result = http.conn_data::<Connection>().map(Connection::reset_on_close);
    if let Some(Err(error)) = result {
        warn!("the connection is closed instead of reset: {error}");
    }
}

/// The server's own `Date` is right when nothing is skewed.
fn with_date(mut response: HttpResponse, clock_skew: i64) -> HttpResponse {
    let off = Duration::from_secs(clock_skew.unsigned_abs());
    let now = SystemTime::now();
    let skewed = if clock_skew < 0 { now.checked_sub(off) } else { now.checked_add(off) };
    if let (true, Some(date)) = (clock_skew != 0, skewed.and_then(|time| HttpDate::from(time).try_into_value().ok())) {
        response.headers_mut().insert(DATE, date);
    }
    response
}
