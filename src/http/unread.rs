//! The rest of a body that nobody reads to its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::Payload;
use bytes::Bytes;

/// An answer that keeps the request's body until it is out.
struct Holding {
    answer: BoxBody,
    _unread: Payload,
}

/// Makes the answer to a request whose body has not come to its end the last one on its connection.
///
/// Where a chunked body is dropped, actix (3.20 of actix-http) waits for its end without a limit of time, even after `Connection: close`:
/// whoever sends a head and no more would hold the connection for ever. Of a body that is still held it closes the connection.
pub(super) fn holding(response: HttpResponse, body: Payload) -> HttpResponse {
    match body {
        Payload::None => response, // as nearly every request has it
        unread => response.map_body(|_, answer| Holding { answer, _unread: unread }.boxed()),
    }
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(context)
    }
}
