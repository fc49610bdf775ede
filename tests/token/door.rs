//! One service for all tests of a file that only ask it, and the requests that they ask with.

use std::sync::{Arc, Mutex, Weak};

use portvakt::simulator::Simulator;

use crate::support::wire::{RawAnswer, Wire};
use crate::support::*;

/// The key of a caller that may ask from 10.0.0.0/8 alone.
pub(crate) const KEY_FROM_ELSEWHERE: &str = "the-key-from-elsewhere";
/// A key whose time is over.
pub(crate) const EXPIRED_KEY: &str = "the-expired-key";

/// A service that tests share; each uses a scope of its own where it counts exchanges.
pub(crate) struct Door {
    pub(crate) portvakt: Portvakt,
    pub(crate) simulator: Simulator,
}

static DOOR: Mutex<Weak<Door>> = Mutex::new(Weak::new());

/// The one that runs, or a new one. It ends with the last test that uses it: a static would be dropped by nobody.
pub(crate) fn door() -> Arc<Door> {
    let mut shared = DOOR.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let simulator = simulator();
        let mut configuration = configuration(&simulator);
        configuration.more = more_callers();
        let door = Arc::new(Door { portvakt: Portvakt::start(&configuration), simulator });
        *shared = Arc::downgrade(&door);
        door
    })
}

/// A key of 256 bytes, the most that is looked at.
pub(crate) fn long_key() -> String {
    "k".repeat(256)
}

/// A key with bytes that are not ASCII.
pub(crate) const FOREIGN_KEY: &str = "nøkkel";

fn more_callers() -> String {
    let may = format!("may = [{{ integration = \"freg\", scopes = [\"{FREG_SCOPE}\"] }}]");
    let caller = |name: &str, key: &str, more: &str| {
        format!("[[caller]]\nname = \"{name}\"\nkeys = [{{ sha256 = \"{}\" {more} }}]\n{may}\n", sha256(key))
    };
    [
        format!("{}networks = [\"10.0.0.0/8\"]\n", caller("elsewhere", KEY_FROM_ELSEWHERE, "")),
        caller("expired", EXPIRED_KEY, ", expires = 2020-01-31"),
        caller("long", &long_key(), ""),
        caller("foreign", FOREIGN_KEY, ""),
    ]
    .concat()
}

impl Door {
    pub(crate) fn wire(&self) -> Wire {
        Wire::connect(self.portvakt.tokens)
    }

    /// Sends a request on a connection of its own; the answer is what every answer is.
    pub(crate) fn ask(&self, request: &Request) -> RawAnswer {
        self.wire().ask(request.bytes()).checked()
    }
}

/// A request, written down byte by byte; as it is made it is answered with a token.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    fields: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

/// The gateway's.
pub(crate) fn request() -> Request {
    Request { method: "GET", target: "/token".to_owned(), fields: Vec::new(), body: Vec::new() }
        .field("X-Gravitee-Api-Key", API_KEY)
        .field("scope", FREG_SCOPE)
        .field("iss", FREG)
        .field("host", "127.0.0.1")
}

impl Request {
    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    pub(crate) fn target(mut self, target: impl Into<String>) -> Self {
        self.target = target.into();
        self
    }

    /// Beside what is there.
    pub(crate) fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    /// In place of what is there.
    pub(crate) fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).field(name, value)
    }

    pub(crate) fn fields(&self) -> usize {
        self.fields.len()
    }

    /// With a Content-Length.
    pub(crate) fn body(mut self, body: Vec<u8>) -> Self {
        self = self.with("Content-Length", body.len().to_string());
        self.body = body;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.fields {
            bytes.extend_from_slice(format!("{name}: ").as_bytes());
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
