//! Where every request to the token listener comes in, and every answer goes out.

use std::rc::Rc;

use actix_http::Request;
use actix_web::HttpResponse;
use actix_web::http::ConnectionType;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};

use super::doors::ThreadsDoors;
use super::error::Problem;
use super::head::{Head, X_REQUEST_ID};
use super::token;
use super::unread::holding;

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Takes a request in, leads it to its door, and its answer out.
pub(super) async fn enter(doors: Rc<ThreadsDoors>, mut request: Request) -> HttpResponse {
    let mut payload = request.take_payload();
    let head = Head::of(&request);
    let id = head.request_id();
    let response = match request.path() {
        "/token" => token::answer(&doors, &request, &head, &mut payload, &id).await,
        _ => Problem::UnknownPath.answer(),
    };
    marked(&request, holding(response, payload), id)
}

/// What every answer has, of either listener: it can be told from others, and nobody keeps it.
pub(super) fn marked(request: &Request, mut response: HttpResponse, id: HeaderValue) -> HttpResponse {
    if request.head().upgrade() {
        // Java's client asks for HTTP/2 so. actix would echo the wish, and end the connection without a word.
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(X_REQUEST_ID, id);
    response
}
