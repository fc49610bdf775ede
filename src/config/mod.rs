//! The operator's file, `portvakt.toml`: read, checked as a whole, and handed on as plain data.
//!
//! Every mistake of a file is found in one go, and each is shown with its place. Values are as they will be used: paths are
//! absolute, secret files are read, environments are looked up. What a key file holds is not looked into here: opening keys is
//! `maskinporten`'s, and [`Config::mistake`] points at the line when one does not open.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretBox, SecretString};

use crate::maskinporten::{Algorithm, Environment, Scopes};

mod callers;
mod checks;
mod digest;
mod findings;
mod integrations;
mod load;
mod masking;
mod mistake;
mod reader;
mod secret_files;
mod sections;
mod stamp;
mod syntax;
mod values;

pub use load::{Inspection, Loaded};
pub use mistake::{Colours, ConfigError, Mistake, Place, Severity, Subject};
pub(crate) use reader::nearest;
pub use secret_files::{read_password_file, read_secret_file};
pub use stamp::{SourceFile, Stamp};

/// All of the operator's file.
#[derive(Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[management]`
    pub management: Management,
    /// `[outbound]`
    pub outbound: Outbound,
    /// `[cache]`
    pub cache: Cache,
    /// `[[integration]]`, in the file's order.
    pub integrations: Vec<Integration>,
    /// `[[caller]]`, in the file's order.
    pub callers: Vec<Caller>,
    /// What does not stop the start, but should be said: a secret file that others can read, for example.
    pub warnings: Vec<Mistake>,
    /// For mistakes that show later.
    source: Arc<mistake::Source>,
}

/// The listener that hands out tokens.
#[derive(Debug)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How long requests in progress may take to finish once the service is told to stop.
    pub shutdown_grace: Duration,
    /// How long new requests are still taken, while not ready any more, before the listener closes.
    pub shutdown_delay: Duration,
}

/// The listener for health and metrics.
#[derive(Debug)]
pub struct Management {
    /// Address and port; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// Towards Maskinporten.
#[derive(Debug)]
pub struct Outbound {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one exchange may take.
    pub attempt_timeout: Duration,
    /// How long a caller waits at most.
    pub deadline: Duration,
    /// None: `HTTPS_PROXY` and `NO_PROXY`, as usual.
    pub proxy: Option<Proxy>,
    /// Certificates, PEM, that are trusted in addition to the system's: the file and its contents.
    pub ca_file: Option<File>,
}

/// A proxy between us and Maskinporten.
#[derive(Debug)]
pub struct Proxy {
    /// Without user and password.
    pub url: String,
    /// User name and password, when the proxy asks for them.
    pub credentials: Option<(String, SecretString)>,
}

/// The token cache.
#[derive(Debug)]
pub struct Cache {
    /// Over all integrations.
    pub max_tokens: u64,
}

/// A client at Maskinporten.
#[derive(Debug)]
pub struct Integration {
    /// What logs, rules and metrics call it.
    pub name: String,
    /// The client ID at Maskinporten.
    pub client_id: String,
    /// Where it lives.
    pub environment: Environment,
    /// What its grants are signed with.
    pub algorithm: Algorithm,
    /// `exp` − `iat`, at most 120 s.
    pub grant_lifetime: Duration,
    /// Tokens that are kept warm from start-up on.
    pub prefetch: Vec<Prefetch>,
    /// The key, unopened.
    pub key: Key,
    /// Where the client ID stands.
    pub client_id_place: Place,
    /// Where the environment's name stands.
    pub environment_place: Place,
}

/// A token that is kept warm.
#[derive(Clone, Debug)]
pub struct Prefetch {
    /// What for.
    pub scopes: Scopes,
    /// RFC 8707 resources.
    pub resource: Vec<String>,
    /// Delegation in Altinn: the consumer's organisation number.
    pub consumer_org: Option<String>,
    /// `iss_onbehalfof`
    pub iss_onbehalfof: Option<String>,
    /// Where it stands.
    pub place: Place,
}

/// A key as the file names it: contents read, not yet opened.
#[derive(Debug)]
pub struct Key {
    /// Its form, with the files' contents.
    pub source: KeySource,
    /// Where the `key = …` stands, for [`Config::mistake`].
    pub place: Place,
}

/// The forms in which a key can be given.
#[derive(Debug)]
pub enum KeySource {
    /// A virksomhetssertifikat with its key in PKCS#12.
    Pkcs12 {
        /// The PKCS#12 file.
        file: File,
        /// Its password (the empty one when no `password_file` is given).
        password: SecretString,
        /// Chooses among several pairs: the SHA-256 of the certificate's DER.
        certificate_sha256: Option<[u8; 32]>,
    },
    /// A virksomhetssertifikat and its key in PEM.
    Certificate {
        /// The certificate and its chain, in any order.
        certificate: File,
        /// The private key.
        private_key: File,
        /// The password of an encrypted private key.
        password: Option<SecretString>,
    },
    /// A registered key in PEM.
    Registered {
        /// The private key.
        private_key: File,
        /// The password of an encrypted private key.
        password: Option<SecretString>,
        /// The key's ID at Maskinporten.
        kid: String,
    },
    /// A registered key as a private JWK.
    Jwk {
        /// The JWK.
        file: File,
    },
}

/// A file that the operator's file names, read.
#[derive(Debug)]
pub struct File {
    /// Absolute.
    pub path: PathBuf,
    /// As read. Treated as secret, whatever it is.
    pub contents: SecretBox<Vec<u8>>,
    /// Where its name stands, for [`Config::mistake`].
    pub place: Place,
}

/// Who may ask.
#[derive(Debug)]
pub struct Caller {
    /// What logs and metrics call it.
    pub name: String,
    /// Its API keys.
    pub keys: Vec<ApiKey>,
    /// Where it may ask from; empty: from anywhere.
    pub networks: Vec<IpNet>,
    /// What it may have.
    pub may: Vec<Rule>,
}

/// An API key, as its digest.
#[derive(Debug)]
pub struct ApiKey {
    /// The SHA-256 of the key.
    pub sha256: [u8; 32],
    /// From this moment on it is refused. A date in the file is valid to the end of that day in UTC.
    pub expires: Option<Timestamp>,
    /// The file that holds the key itself, where the digest was made of one.
    pub file: Option<File>,
}

/// One thing a caller may have. A request is allowed when one rule allows all of it.
#[derive(Debug)]
pub struct Rule {
    /// The integration's name.
    pub integration: String,
    /// Scopes; one that ends in `*` stands for all that begin so.
    pub scopes: Vec<String>,
    /// Where each of the scopes stands, in their order.
    pub scope_places: Vec<Place>,
    /// Values for `consumer_org` that may be given.
    pub consumer_org: Permitted,
    /// Values for `iss_onbehalfof` that may be given.
    pub iss_onbehalfof: Permitted,
    /// Values for `resource` that may be given.
    pub resource: Permitted,
    /// Types of `authorization_details` that may be given.
    pub authorization_details: Permitted,
    /// Whether a person may be named.
    pub pid: bool,
    /// What must be given.
    pub requires: Vec<Parameter>,
}

/// Which values of a parameter a rule permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permitted {
    /// `["*"]`
    Any,
    /// These, exactly. Empty: none.
    These(Vec<String>),
}

impl File {
    /// What it holds, without one line break at its end: as a secret is written into a file.
    pub fn without_line_break(&self) -> &[u8] {
        secret_files::without_line_break(self.contents.expose_secret())
    }
}

impl Permitted {
    /// No value at all: the parameter may not be given.
    pub const NOTHING: Self = Self::These(Vec::new());
}

/// A parameter that a rule can require.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// `consumer_org`
    ConsumerOrg,
    /// `iss_onbehalfof`
    IssOnBehalfOf,
    /// `resource`
    Resource,
    /// `authorization_details`
    AuthorizationDetails,
    /// `pid`
    Pid,
}
