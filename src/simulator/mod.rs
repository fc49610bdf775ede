//! A Maskinporten to develop, test and demonstrate against, for Portvakt and for any other program.
//!
//! It enforces every rule that Digdir documents for a grant, with OpenSSL and serde alone and none of Portvakt's own protocol
//! code, answers with signed tokens or with Maskinporten's errors, and fails on demand. It opens no real door: its tokens are
//! signed by a key made at each start.
//!
//! | path | what |
//! |---|---|
//! | `POST /token` | the token endpoint |
//! | `GET /jwk` | the keys that verify its tokens (RFC 7517) |
//! | `GET /.well-known/oauth-authorization-server` | metadata (RFC 8414); also at `/.well-known/openid-configuration` |
//! | `GET /errors/MP-121` | what an `error_uri` leads to: the error's words |
//! | `PUT /_simulator/fault` | replaces the faults in force by one ([`Fault`] as JSON) or by an array of them, tried in their order |
//! | | a fault with a `probability` strikes at random: `{"kind":"status","status":500,"probability":0.5}`. Each is drawn by itself, in their order, so that the next one has its share of what is left |
//! | `GET`, `DELETE /_simulator/fault` | the faults in force, `times` counted down; ends them all |
//! | `PUT /_simulator/lifetime` | a [`LifetimeChange`]: `{"seconds":5,"scope":"a:b"}` |
//! | `DELETE /_simulator/lifetime` | lifetimes are those of the settings again |
//! | `GET /_simulator/counters` | [`Counters`]. With `?at_least=N` once N requests were received at the token endpoint, with `?answered=N` once N were answered; 504 with what there is when `&timeout=` seconds (10) have passed |
//! | `DELETE /_simulator/counters` | counts from 0 |
//!
//! The control endpoint asks for no credentials and shows the claims of grants: keep it to test persons and trusted networks.
//!
//! Errors are 400 with `error`, `error_description` (which ends in ` (trace_id: <32 hex>)`) and, where the error has a code,
//! `error_uri`: the simulator's issuer and `errors/<code>`. Their words are in one table, see [`Rule`].

mod authorization_details;
mod certificate;
mod claims;
mod clients_file;
mod control;
mod counters;
mod errors;
mod exchange;
mod faults;
mod grant;
mod jtis;
mod lifetimes;
mod server;
mod settings;
mod tokens;
mod wire;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::Uri;
use actix_web::rt::System;
use thiserror::Error;

pub use clients_file::ClientsFileError;
pub use counters::{Counters, SeenGrant, Tally};
pub use errors::Rule;
pub use faults::{Conditions, Endpoint, Fault, FaultKind, InvalidFault, Stage};
pub use lifetimes::{InvalidLifetime, LifetimeChange};
pub use settings::{ClientSettings, DEFAULT_LIFETIME, Delegation, InvalidKey, RegisteredKey, ScopeSettings, Settings};
pub use tokens::SigningError;

use counters::Counting;
use exchange::{Core, lock};
use lifetimes::Lifetimes;
use tokens::TokenSigner;

/// A running simulator. It has threads and a runtime of its own, so it can be started and dropped anywhere; dropping it ends it.
pub struct Simulator {
    core: Arc<Core>,
    address: SocketAddr,
    server: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// Why a simulator did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is taken, is not this machine's, or may not be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The server's thread did not start.
    #[error("cannot start the simulator's thread: {0}")]
    Thread(io::Error),
    /// No key for the tokens.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// Two clients with one ID.
    #[error("two clients have the ID `{0}`")]
    RepeatedClient(String),
    /// At Maskinporten a `kid` is unique among all customers.
    #[error(
        "two organisations, or one client twice, have registered a key with the kid `{0}`, which is unique among all of Maskinporten's customers"
    )]
    RepeatedKid(String),
    /// Not a URL, or one with a path: all endpoints are below the root.
    #[error("`{0}` cannot be an issuer: it must be an http or https URL without a path, such as https://maskinporten.example.no/")]
    Issuer(String),
    /// A lifetime of 0.
    #[error("a lifetime of 0 seconds: use a fault of kind `expires_in` instead")]
    Lifetime,
}

/// How many requests were expected, and how many came.
#[derive(Debug, Error)]
#[error("waited {waited:?} for {expected} requests at the simulator's token endpoint; it received {} and answered {}", .counters.received, .counters.answered)]
pub struct TooFew {
    expected: u64,
    waited: Duration,
    /// What was seen instead.
    pub counters: Box<Counters>,
}

impl Simulator {
    /// Listens, and serves from then on.
    ///
    /// # Errors
    ///
    /// [`StartError`]: settings that contradict themselves, or an address that cannot be listened on.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        check(&settings)?;
        let signer = TokenSigner::new()?;
        let (tell, told) = mpsc::sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || run(settings, signer, &tell))
            .map_err(StartError::Thread)?;
        let ended = || StartError::Thread(io::Error::other("the thread ended at once"));
        let (core, address, server) = told.recv().map_err(|_| ended())??;
        Ok(Self { core, address, server, thread: Some(thread) })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The `aud` of a grant, to the slash.
    pub fn issuer(&self) -> &str {
        &self.core.issuer
    }

    /// Where grants go.
    pub fn token_endpoint(&self) -> String {
        format!("{}/token", self.core.base())
    }

    /// The keys that verify its tokens.
    pub fn jwks_endpoint(&self) -> String {
        format!("{}/jwk", self.core.base())
    }

    /// The base of the control endpoint's paths, by the address that it listens on.
    pub fn control_endpoint(&self) -> String {
        format!("http://{}/_simulator", self.address)
    }

    /// The clients that it knows.
    pub fn clients(&self) -> &[ClientSettings] {
        &self.core.clients
    }

    /// Replaces the faults in force by this one.
    ///
    /// # Errors
    ///
    /// [`InvalidFault`], and then nothing has changed.
    pub fn fault(&self, fault: impl Into<Fault>) -> Result<(), InvalidFault> {
        self.faults(vec![fault.into()])
    }

    /// Replaces the faults in force by these; none ends them all. For each request they are tried in their order.
    ///
    /// # Errors
    ///
    /// [`InvalidFault`], and then nothing has changed.
    pub fn faults(&self, faults: Vec<Fault>) -> Result<(), InvalidFault> {
        faults.iter().try_for_each(Fault::check)?;
        lock(&self.core.faults).set(faults);
        Ok(())
    }

    /// From now on nothing goes wrong. What hangs goes on hanging.
    pub fn clear_faults(&self) {
        lock(&self.core.faults).set(Vec::new());
    }

    /// Changes how long tokens live from now on.
    ///
    /// # Errors
    ///
    /// [`InvalidLifetime`], and then nothing has changed.
    pub fn change_lifetime(&self, change: LifetimeChange) -> Result<(), InvalidLifetime> {
        lock(&self.core.lifetimes).change(change, &self.core.clients)
    }

    /// What it has seen.
    pub fn counters(&self) -> Counters {
        self.core.counters()
    }

    /// Counts from 0.
    pub fn reset_counters(&self) {
        self.core.counting.reset();
    }

    /// Waits until so many requests were received at the token endpoint since the counters' start. Needs a tokio runtime with
    /// time enabled.
    ///
    /// # Errors
    ///
    /// [`TooFew`] when they have not come after `at_most`.
    pub async fn wait_for_exchanges(&self, expected: u64, at_most: Duration) -> Result<Counters, TooFew> {
        let enough = self.core.counting.wait(|progress| progress.received >= expected);
        self.wait_for(expected, at_most, enough).await
    }

    /// Waits until so many requests at the token endpoint were answered since the counters' start. Needs a tokio runtime with
    /// time enabled.
    ///
    /// # Errors
    ///
    /// [`TooFew`] when they were not after `at_most`.
    pub async fn wait_for_answers(&self, expected: u64, at_most: Duration) -> Result<Counters, TooFew> {
        let enough = self.core.counting.wait(|progress| progress.answered >= expected);
        self.wait_for(expected, at_most, enough).await
    }

    async fn wait_for(&self, expected: u64, at_most: Duration, enough: impl Future<Output = ()>) -> Result<Counters, TooFew> {
        let in_time = tokio::time::timeout(at_most, enough).await;
        let counters = self.counters();
        in_time.map(|()| counters.clone()).map_err(|_| TooFew { expected, waited: at_most, counters: Box::new(counters) })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // The order is given by the call itself; what it returns would only wait, and so does `join`. Not gracefully: requests
        // that hang would keep it from ending.
        drop(self.server.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there has been reported there
        }
    }
}

type Started = Result<(Arc<Core>, SocketAddr, ServerHandle), StartError>;

/// The simulator's thread, from start to end.
fn run(settings: Settings, signer: TokenSigner, tell: &mpsc::SyncSender<Started>) {
    System::new().block_on(async move {
        let address = settings.listen;
        let started = server::listen(address).and_then(|listener| {
            let address = listener.local_addr()?;
            let core = Arc::new(Core {
                issuer: settings.issuer.unwrap_or_else(|| format!("http://{address}/")),
                clients: settings.clients,
                trust_anchors: settings.trust_anchors,
                signer,
                counting: Arc::new(Counting::new()),
                jtis: Mutex::default(),
                faults: Mutex::default(),
                lifetimes: Mutex::new(Lifetimes::new(settings.lifetime)),
            });
            let (server, handle) = server::serve(listener, core.clone())?;
            Ok((server, (core, address, handle)))
        });
        match started {
            Ok((server, started)) => {
                let _ = tell.send(Ok(started)); // `start` waits for it
                let _ = server.await; // ends when it is stopped
            }
            Err(source) => {
                let _ = tell.send(Err(StartError::Listen { address, source }));
            }
        }
    });
}

fn check(settings: &Settings) -> Result<(), StartError> {
    let mut client_ids = HashSet::new();
    let mut owners = HashMap::new();
    for client in &settings.clients {
        if !client_ids.insert(&client.client_id) {
            return Err(StartError::RepeatedClient(client.client_id.clone()));
        }
        let mut kids = HashSet::new();
        for RegisteredKey { kid, .. } in &client.keys {
            let owner = *owners.entry(kid).or_insert(&client.organisation);
            if !kids.insert(kid) || *owner != client.organisation {
                return Err(StartError::RepeatedKid(kid.clone()));
            }
        }
        if client.lifetime == Some(0) || client.scopes.iter().any(|scope| scope.lifetime == Some(0)) {
            return Err(StartError::Lifetime);
        }
    }
    if settings.lifetime == 0 {
        return Err(StartError::Lifetime);
    }
    match &settings.issuer {
        Some(issuer) if !is_issuer(issuer) => Err(StartError::Issuer(issuer.clone())),
        _ => Ok(()),
    }
}

fn is_issuer(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.path() == "/" && uri.query().is_none()
    })
}
