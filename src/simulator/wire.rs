//! Answers that no well-behaved server gives: cut off, reset, endless.

use std::any::Any;
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::web::Bytes;

use super::counters::Counting;

/// What is kept beside a connection as long as it is open.
pub(super) struct Connection {
    /// The same socket a second time: the server does not hand out its own while it speaks HTTP on it.
    socket: Option<OwnedFd>,
    counting: Arc<Counting>,
}

impl Connection {
    /// For `HttpServer::on_connect`.
    pub(super) fn open(stream: &dyn Any, kept: &mut Extensions, counting: &Arc<Counting>) {
        counting.connected();
        let stream = stream.downcast_ref::<TcpStream>();
        let socket = stream.and_then(|stream| stream.as_fd().try_clone_to_owned().ok());
        kept.insert(Self { socket, counting: counting.clone() });
    }

    /// From now on, closing the connection resets it.
    pub(super) fn reset_on_close(&self) -> io::Result<()> {
        let socket = self.socket.as_ref().ok_or_else(|| io::Error::other("the socket could not be duplicated when it was accepted"))?;
        Ok(rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.counting.disconnected();
    }
}

/// How a body that does not come to its end goes on.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// Not at all.
    Silence,
    /// The server closes the connection: on an error in a body it has nothing else left to do.
    Close,
}

/// The first bytes of a body whose headers promise more.
pub(super) struct UnfinishedBody {
    promised: u64,
    sent: Option<Bytes>,
    /// Whether the server has had the occasion to write out what it was given.
    flushed: bool,
    ending: Ending,
}

impl UnfinishedBody {
    /// The first half of `body`.
    pub(super) fn half_of(body: &[u8], ending: Ending) -> Self {
        let (half, _) = body.split_at(body.len() / 2);
        Self { promised: body.len().max(1) as u64, sent: Some(Bytes::copy_from_slice(half)), flushed: false, ending }
    }

    /// Not even the headers are sent.
    pub(super) fn nothing() -> Self {
        Self { promised: 1, sent: None, flushed: true, ending: Ending::Close }
    }
}

impl MessageBody for UnfinishedBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.promised)
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, io::Error>>> {
        if let Some(bytes) = self.sent.take() {
            return Poll::Ready(Some(Ok(bytes)));
        }
        if !self.flushed {
            self.flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        match self.ending {
            Ending::Silence => Poll::Pending,
            Ending::Close => Poll::Ready(Some(Err(io::Error::other("a fault ends this answer here")))),
        }
    }
}

/// A token answer of so many bytes, made as it is sent, without a Content-Length.
pub(super) struct OversizedBody {
    opening: Option<&'static [u8]>,
    filling: u64,
    closing: Option<&'static [u8]>,
}

const OPENING: &[u8] = br#"{"token_type":"Bearer","expires_in":119,"access_token":""#;
const FILLING: &[u8] = &[b'x'; 16 * 1024];
const CLOSING: &[u8] = br#""}"#;

impl OversizedBody {
    pub(super) fn new(bytes: u64) -> Self {
        let frame = (OPENING.len() + CLOSING.len()) as u64;
        Self { opening: Some(OPENING), filling: bytes.saturating_sub(frame), closing: Some(CLOSING) }
    }
}

impl MessageBody for OversizedBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let next = if let Some(opening) = self.opening.take() {
            Some(opening)
        } else if self.filling > 0 {
            let filling = usize::try_from(self.filling).map_or(FILLING, |left| FILLING.get(..left).unwrap_or(FILLING));
            self.filling -= filling.len() as u64;
            Some(filling)
        } else {
            self.closing.take()
        };
        Poll::Ready(next.map(|bytes| Ok(Bytes::from_static(bytes))))
    }
}
