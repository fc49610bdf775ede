//! An upstream that costs next to nothing: every `POST` gets a token, unread and unchecked, as soon or as late as it is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// Ends when it is dropped.
pub(crate) struct Stub {
    pub(crate) address: SocketAddr,
    delay: watch::Sender<Duration>,
    accepting: JoinHandle<()>,
}

impl Stub {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (delay, delayed) = watch::channel(Duration::ZERO);
        // As long as Maskinporten's are with a key of 4096 bits.
        let token = "a".repeat(1100);
        let body = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":7199}}"#);
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = Arc::new(answer.into_bytes());
        let accepting = tokio::spawn(async move {
            loop {
                if let Ok((connection, _)) = listener.accept().await {
                    tokio::spawn(serve(connection, Arc::clone(&answer), delayed.clone()));
                }
            }
        });
        Self { address, delay, accepting }
    }

    /// From the next request on.
    pub(crate) fn answer_after(&self, delay: Duration) {
        self.delay.send_replace(delay);
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(mut connection: TcpStream, answer: Arc<Vec<u8>>, delay: watch::Receiver<Duration>) {
    let _ = connection.set_nodelay(true);
    let mut received = Vec::new();
    loop {
        let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") else {
            match connection.read_buf(&mut received).await {
                Ok(0) | Err(_) => return,
                Ok(_) => continue,
            }
        };
        let head = String::from_utf8_lossy(&received[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        while received.len() < end + 4 + length {
            match connection.read_buf(&mut received).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        received.drain(..end + 4 + length);
        let pause = *delay.borrow();
        if !pause.is_zero() {
            sleep(pause).await;
        }
        if connection.write_all(&answer).await.is_err() {
            return;
        }
    }
}
