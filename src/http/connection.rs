//! Connections as the HTTP library sees them, which end when they should: when there is no room left, when a request is never finished,
//! and when the service ends.
//!
//! actix-http (3.20) limits how long the first head of a connection may take, and how long a connection may be silent. It sets no limit
//! to a later head that is never finished, and knows nothing of room. Here a connection is ended by telling the library that its client
//! sends no more: a request that is in progress is still answered, and everything else is closed in order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

/// How often connections are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// So many looks after its first byte a request that is not answered is one that was never finished, or it is in progress: then this is
/// the last one on its connection, and its answer still goes out.
const UNANSWERED_LOOKS: u32 = 10;

/// The open connections of one thread.
pub(super) struct Connections {
    /// By their number, and so the oldest first.
    open: RefCell<BTreeMap<u64, Rc<Standing>>>,
    number: Cell<u64>,
    /// Counts looks: a clock that costs nothing to read.
    looks: Cell<u32>,
    most: usize,
    /// Gone with the last connection of the thread: whoever waits for that has the other end.
    _present: mpsc::Sender<Infallible>,
}

/// How a connection stands.
#[derive(Default)]
struct Standing {
    has_been_answered: Cell<bool>,
    /// Something has come since an answer went out last.
    is_asking: Cell<bool>,
    /// The look since which it is asking, or is not.
    since: Cell<u32>,
    is_ended: Cell<bool>,
    /// Its client sends no more, and has not been answered by then.
    has_hung_up: Cell<bool>,
    /// From the first time on that it was read to its end, for now.
    waker: RefCell<Option<Waker>>,
}

impl Standing {
    fn end(&self) {
        self.is_ended.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Connections {
    /// Room for `most` connections.
    pub(super) fn new(most: usize, present: mpsc::Sender<Infallible>) -> Self {
        Self { open: RefCell::default(), number: Cell::new(0), looks: Cell::new(0), most, _present: present }
    }

    /// Takes one in.
    pub(super) fn take(self: &Rc<Self>, stream: TcpStream) -> Connection {
        let number = self.number.replace(self.number.get() + 1);
        let standing = Rc::new(Standing { since: self.looks.clone(), ..Standing::default() });
        self.open.borrow_mut().insert(number, Rc::clone(&standing));
        Connection { stream, standing, number, connections: Rc::clone(self) }
    }

    /// When there is little room left, ends a sixteenth of them, the oldest of those that never got an answer. Only when these are less
    /// than half, and so newcomers rather than a flood, it is those that got one and have been silent for longest since. A request that is
    /// in progress is answered all the same.
    fn make_room(&self) {
        let open = self.open.borrow();
        let enough = self.most - self.most / 8;
        if open.len() < enough {
            return;
        }
        let staying = open.values().filter(|standing| !standing.is_ended.get());
        let (mut answered, unanswered): (Vec<_>, Vec<_>) = staying.partition(|standing| standing.has_been_answered.get());
        if answered.len() + unanswered.len() < enough {
            return; // those that were ended are just leaving
        }
        answered.sort_by_key(|standing| (standing.is_asking.get(), standing.since.get()));
        let longest = if unanswered.len() > answered.len() { unanswered } else { answered };
        // Of one that was never read nobody knows yet what has come on it.
        let known = longest.into_iter().take(self.most / 16 + 1).filter(|standing| standing.waker.borrow().is_some());
        known.for_each(|standing| standing.end());
    }

    /// Looks after them, for as long as the thread serves, and ends them all at `closing`: requests in progress are still answered.
    pub(super) async fn look_after(self: Rc<Self>, closing: impl Future<Output = ()>) {
        let mut every = interval(LOOK_EVERY);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut closing = pin!(closing);
        loop {
            tokio::select! {
                () = &mut closing => break self.end_those(|_| true),
                _ = every.tick() => {
                    let now = self.looks.get().wrapping_add(1);
                    self.looks.set(now);
                    self.end_those(|standing| standing.is_asking.get() && now.wrapping_sub(standing.since.get()) > UNANSWERED_LOOKS);
                }
            }
        }
    }

    fn end_those(&self, which: impl Fn(&Standing) -> bool) {
        self.open.borrow().values().filter(|standing| !standing.is_ended.get() && which(standing)).for_each(|standing| standing.end());
    }
}

/// One connection.
pub(super) struct Connection {
    stream: TcpStream,
    standing: Rc<Standing>,
    number: u64,
    connections: Rc<Connections>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.open.borrow_mut().remove(&self.number);
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Standing { is_asking, since, is_ended, has_hung_up, waker, .. } = &*this.standing;
        if is_ended.get() {
            return Poll::Ready(Ok(())); // nothing more comes
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        if read.is_pending() {
            let is_known = waker.borrow().as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
            if !is_known && waker.replace(Some(context.waker().clone())).is_none() {
                this.connections.make_room();
            }
        } else if buffer.filled().len() > before {
            if !is_asking.replace(true) {
                since.set(this.connections.looks.get());
            }
        } else if is_asking.get() && matches!(read, Poll::Ready(Ok(()))) {
            // What can be answered at once is. Otherwise nothing goes on for an answer that nobody will read: the library itself would
            // wait for it, as it does when it is we who end the connection.
            if has_hung_up.replace(true) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        if written.is_ready() {
            let Standing { has_been_answered, is_asking, since, .. } = &*this.standing;
            has_been_answered.set(true);
            is_asking.set(false);
            since.set(this.connections.looks.get());
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
