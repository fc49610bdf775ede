//! HTTP by the byte: for what no HTTP client would send, and to see what no HTTP client would show.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::PATIENCE;

/// A connection.
pub struct Wire {
    stream: TcpStream,
    /// Received, and not yet part of an answer.
    received: Vec<u8>,
}

/// An answer as it came.
#[derive(Debug)]
pub struct RawAnswer {
    pub version: String,
    pub status: u16,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Null when it is no JSON.
    pub json: Value,
}

impl Wire {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, received: Vec::new() }
    }

    /// The other side may have closed the connection before all is written, having answered.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.stream.write_all(bytes.as_ref());
        self
    }

    /// No more requests.
    pub fn finish(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    pub fn ask(&mut self, bytes: impl AsRef<[u8]>) -> RawAnswer {
        self.send(bytes).answer()
    }

    /// The next answer.
    pub fn answer(&mut self) -> RawAnswer {
        let answer = self.head();
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let body = String::from_utf8(self.take(length)).unwrap();
        RawAnswer { json: serde_json::from_str(&body).unwrap_or(Value::Null), body, ..answer }
    }

    /// The next answer's head: all that there is to one to HEAD.
    pub fn head(&mut self) -> RawAnswer {
        let end = loop {
            match self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end,
                None => assert!(self.receive(), "the connection ended in {:?}", String::from_utf8_lossy(&self.received)),
            }
        };
        let head = String::from_utf8(self.take(end + 4)).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let (version, status) = lines.next().unwrap().split_once(' ').unwrap();
        let headers = lines.map(|line| line.split_once(':').unwrap());
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        let status = status.split(' ').next().unwrap().parse().unwrap();
        RawAnswer { version: version.to_owned(), status, headers, body: String::new(), json: Value::Null }
    }

    /// Whether the other side has closed the connection, with nothing more said.
    pub fn is_closed(&mut self) -> bool {
        self.received.is_empty() && !self.receive()
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        while self.received.len() < length {
            assert!(self.receive(), "the connection ended in {:?}", String::from_utf8_lossy(&self.received));
        }
        self.received.drain(..length).collect()
    }

    fn receive(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(count) => {
                self.received.extend_from_slice(&chunk[..count]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("nothing came: {error}"),
        }
    }
}

impl RawAnswer {
    /// The one header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next();
        assert!(values.next().is_none(), "{name} twice: {self:?}");
        value
    }

    pub fn error(&self) -> &str {
        self.json["error"].as_str().unwrap_or_default()
    }

    pub fn description(&self) -> &str {
        self.json["error_description"].as_str().unwrap_or_default()
    }

    pub fn token(&self) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        self.json["access_token"].as_str().unwrap()
    }

    /// Panics unless it is what every answer of Portvakt is, and returns it.
    pub fn checked(self) -> Self {
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        let id = self.header("x-request-id").unwrap_or_else(|| panic!("no X-Request-Id: {self:?}"));
        assert!((1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)), "{id}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        check_document(self.status, &self.json);
        self
    }

    /// Panics unless it is the HTTP parser's: a status and no more.
    pub fn is_bare(&self) -> bool {
        self.body.is_empty() && self.header("content-type").is_none() && self.header("x-request-id").is_none()
    }
}

/// Panics unless this is the JSON that an answer with that status has.
pub fn check_document(status: u16, document: &Value) {
    let members: Vec<&str> = document.as_object().unwrap_or_else(|| panic!("{status}: {document}")).keys().map(String::as_str).collect();
    if status == 200 {
        assert!(members.iter().all(|name| ["access_token", "token_type", "expires_in", "scope"].contains(name)), "{document}");
        return;
    }
    let own = ["error", "error_description"];
    let maskinportens = ["maskinporten_code", "trace_id", "error_uri"];
    let allowed = |name: &&str| own.contains(name) || status == 502 && maskinportens.contains(name);
    assert!(members.iter().all(allowed), "{status}: {document}");
    for name in own {
        let text = document[name].as_str().unwrap_or_else(|| panic!("{status}, {name}: {document}"));
        assert!(!text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'), "{text}");
    }
}
