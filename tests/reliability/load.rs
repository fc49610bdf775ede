//! Requests by a schedule, whatever becomes of those before: HTTP/1.1 by the byte over kept connections.
//!
//! Latency counts from the moment that the schedule gave, so that a server which stands still is charged for all that was due meanwhile.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep_until;

use crate::support::API_KEY;

/// How requests are sent.
#[derive(Clone)]
pub(crate) struct Load {
    /// Whom to ask, in this order: the next one when a connection is refused.
    pub(crate) servers: Vec<SocketAddr>,
    /// In a second. None: as fast as the connections go.
    pub(crate) rate: Option<f64>,
    pub(crate) requests: u64,
    pub(crate) connections: usize,
    /// No more requests once this is true.
    pub(crate) ended: Arc<AtomicBool>,
}

/// A request and what became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Its place in the schedule, from 0.
    pub(crate) number: u64,
    pub(crate) due: Instant,
    pub(crate) sent: Instant,
    pub(crate) answered: Instant,
    /// None: nobody took the connection, or it ended before the answer was whole.
    pub(crate) status: Option<u16>,
    /// Its kept connection was closed just as it was sent, and so it was sent once more: what every HTTP client does with a GET.
    pub(crate) twice: bool,
}

impl Asked {
    pub(crate) fn took(&self) -> Duration {
        self.answered.saturating_duration_since(self.due)
    }

    pub(crate) fn is_granted(&self) -> bool {
        self.status == Some(200)
    }
}

/// A request for this token, by the key of the support's first caller.
pub(crate) fn request(iss: &str, scope: &str) -> Vec<u8> {
    request_by(API_KEY, iss, scope)
}

pub(crate) fn request_by(api_key: &str, iss: &str, scope: &str) -> Vec<u8> {
    format!("GET /token HTTP/1.1\r\nHost: portvakt\r\nX-Gravitee-Api-Key: {api_key}\r\niss: {iss}\r\nscope: {scope}\r\n\r\n").into_bytes()
}

impl Load {
    /// So many requests a second for so long.
    pub(crate) fn paced(server: SocketAddr, rate: f64, lasting: Duration, connections: usize) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let requests = (rate * lasting.as_secs_f64()).ceil() as u64;
        Self { servers: vec![server], rate: Some(rate), requests, connections, ended: Arc::default() }
    }

    /// As fast as the connections go.
    pub(crate) fn unpaced(server: SocketAddr, requests: u64, connections: usize) -> Self {
        Self { servers: vec![server], rate: None, requests, connections, ended: Arc::default() }
    }

    /// Sends them all, and returns them in the order in which they were due.
    pub(crate) async fn run(self, make: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Vec<Asked> {
        let plan = Arc::new((self.clone(), AtomicU64::new(0), Instant::now(), make));
        let connections: Vec<_> = (0..self.connections)
            .map(|_| {
                let plan = Arc::clone(&plan);
                tokio::spawn(async move {
                    let (load, next, begin, make) = &*plan;
                    let mut connection = Connection { servers: load.servers.clone(), stream: None };
                    let mut all = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Relaxed);
                        if number >= load.requests {
                            return all;
                        }
                        #[allow(clippy::cast_precision_loss)]
                        let due = load.rate.map(|rate| *begin + Duration::from_secs_f64(number as f64 / rate));
                        if let Some(due) = due {
                            sleep_until(due.into()).await;
                        }
                        if load.ended.load(Relaxed) {
                            return all;
                        }
                        let sent = Instant::now();
                        let (status, twice) = connection.ask(&make(number)).await;
                        all.push(Asked { number, due: due.unwrap_or(sent), sent, answered: Instant::now(), status, twice });
                    }
                })
            })
            .collect();
        let mut all = Vec::new();
        for connection in connections {
            all.extend(connection.await.unwrap());
        }
        all.sort_unstable_by_key(|sent| sent.number);
        all
    }
}

/// A kept connection to the first server that takes one.
struct Connection {
    servers: Vec<SocketAddr>,
    stream: Option<TcpStream>,
}

impl Connection {
    /// The answer's status, and whether the request was sent twice.
    async fn ask(&mut self, request: &[u8]) -> (Option<u16>, bool) {
        // Closed by now, as any client would see before it sends something.
        self.stream.take_if(|stream| !is_idle(stream));
        let kept = self.stream.is_some();
        match self.ask_once(request).await {
            Ok(status) => (Some(status), false),
            // Closed before a byte of the answer: the server had let go of an idle connection in the same moment.
            Err(error) if kept && is_closed(&error) => (self.ask_once(request).await.ok(), true),
            Err(_) => (None, false),
        }
    }

    async fn ask_once(&mut self, request: &[u8]) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => connect(&self.servers).await?,
        };
        stream.write_all(request).await?;
        let (status, goes_on) = read_answer(&mut stream).await?;
        self.stream = goes_on.then_some(stream);
        Ok(status)
    }
}

/// It is open, and nothing has come that was not asked for.
fn is_idle(stream: &TcpStream) -> bool {
    stream.try_read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

async fn connect(servers: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::other("there is no server");
    for server in servers {
        match TcpStream::connect(server).await {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Status, and whether the connection goes on. An end before the first byte is a reset; a later one is another kind of error.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> io::Result<(u16, bool)> {
    let mut received = Vec::with_capacity(2048);
    let mut wanted = None;
    loop {
        if wanted.is_none()
            && let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
            let length = field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status: u16 = status.ok_or_else(|| io::Error::other("not an answer"))?;
            wanted = Some((status, field("connection") != Some("close"), end + 4 + length));
        }
        if let Some((status, goes_on, length)) = wanted
            && received.len() >= length
        {
            return Ok((status, goes_on));
        }
        match stream.read_buf(&mut received).await {
            Ok(0) if received.is_empty() => return Err(io::ErrorKind::ConnectionReset.into()),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) if received.is_empty() => return Err(error),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// What many requests come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum {
    pub(crate) requests: usize,
    /// Not answered with a token.
    pub(crate) failed: usize,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    pub(crate) slowest: Duration,
}

pub(crate) fn sum<'a>(all: impl IntoIterator<Item = &'a Asked>) -> Sum {
    let (mut took, mut failed) = (Vec::new(), 0);
    for sent in all {
        took.push(sent.took());
        failed += usize::from(!sent.is_granted());
    }
    took.sort_unstable();
    let at = |hundredths: usize| took.get(took.len().saturating_sub(1) * hundredths / 100).copied().unwrap_or_default();
    Sum { requests: took.len(), failed, median: at(50), p99: at(99), slowest: at(100) }
}
