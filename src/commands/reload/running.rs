//! What answers requests, and how another configuration is put into it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tracing::warn;

use super::difference::Difference;
use super::inventory::{Fixed, Inventory, is_same_outbound};
use crate::access::Access;
use crate::commands::assembly::{self, CallerIds, WaysOut};
use crate::commands::banner;
use crate::commands::expiry::Expiries;
use crate::commands::start_error::StartError;
use crate::config::Config;
use crate::http::Doors;
use crate::maskinporten::Client;
use crate::telemetry::Metrics;
use crate::tokens::{IntegrationId, TokenService};

/// What answers, from the start to the end.
#[derive(Debug)]
pub(in crate::commands) struct Running {
    doors: Arc<Doors>,
    tokens: Arc<TokenService>,
    metrics: Arc<Metrics>,
    expiries: Mutex<Expiries>,
    present: Mutex<Present>,
    /// As it was started with.
    fixed: Fixed,
}

/// What the next configuration is compared with.
#[derive(Debug)]
struct Present {
    inventory: Inventory,
    ways_out: WaysOut,
    caller_ids: CallerIds,
}

/// A configuration of which everything that can fail has been done.
#[derive(Debug)]
pub(in crate::commands) struct Prepared {
    clients: Vec<Client>,
    names: Vec<Arc<str>>,
    ways_out: WaysOut,
    inventory: Inventory,
}

impl Prepared {
    /// Opens the keys, and makes the HTTP clients.
    ///
    /// # Errors
    ///
    /// [`StartError`] when a key, a CA certificate or an HTTP client cannot be had.
    pub(in crate::commands) fn of(config: &Config) -> Result<Self, StartError> {
        Self::after(config, None)
    }

    fn after(config: &Config, present: Option<&Present>) -> Result<Self, StartError> {
        let clients = assembly::clients(config)?;
        let outbound = assembly::outbound_settings(&config.outbound);
        // While nothing changes about them their connections stay.
        let ways_out = match present {
            Some(present) if is_same_outbound(&present.inventory.outbound, &outbound) => present.ways_out.clone().made_ready(&clients)?,
            _ => assembly::ways_out(config, &clients)?,
        };
        let names = config.integrations.iter().map(|integration| integration.name.as_str().into()).collect();
        Ok(Self { names, ways_out, inventory: Inventory::of(config, &clients, outbound), clients })
    }

    /// What signs for each integration.
    pub(in crate::commands) fn clients(&self) -> impl Iterator<Item = (&str, &Client)> {
        self.names.iter().map(AsRef::as_ref).zip(&self.clients)
    }
}

impl Running {
    /// Begins to fetch what is prefetched; answers nobody before its doors are given to a listener.
    ///
    /// # Errors
    ///
    /// [`StartError`] when the system gives no threads.
    pub(in crate::commands) fn start(config: &Config, prepared: Prepared) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new()?);
        let mut expiries = Expiries::of(config, &prepared.clients);
        expiries.say(Timestamp::now());
        CertificateEnds::of(&prepared).show(&metrics);
        let Prepared { clients, names, ways_out, inventory } = prepared;
        let settings = assembly::token_service(config, clients, &names, ways_out.clone());
        let tokens = Arc::new(TokenService::start(settings, &metrics)?);
        let integrations = named(&tokens, names);
        let mut caller_ids = CallerIds::default();
        let access = Access::new(assembly::callers(config, &integrations, &mut caller_ids));
        let doors = Arc::new(Doors::new(access, Arc::clone(&tokens), Arc::clone(&metrics), &integrations));
        metrics.last_reload.succeeded(now());
        let fixed = inventory.fixed.clone();
        let present = Mutex::new(Present { inventory, ways_out, caller_ids });
        Ok(Self { doors, tokens, metrics, expiries: Mutex::new(expiries), present, fixed })
    }

    /// Takes on another configuration, as a whole or not at all.
    ///
    /// # Errors
    ///
    /// [`StartError`], and then nothing has changed.
    pub(super) fn reload(&self, config: &Config) -> Result<Difference, StartError> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = Prepared::after(config, Some(&present))?;
        let difference = Difference::between(&present.inventory, &prepared.inventory, &self.fixed);
        let expiries = Expiries::of(config, &prepared.clients);
        let certificates = CertificateEnds::of(&prepared);
        let introduced = prepared.clients().filter(|(name, _)| difference.introduces_integration(name));
        introduced.for_each(|(name, client)| banner::integration(name, client));

        let Prepared { clients, names, ways_out, inventory } = prepared;
        let settings = assembly::token_service(config, clients, &names, ways_out.clone());
        let departing = self.tokens.reconfigure(settings, &self.metrics)?;
        // Between the two, for a rule must find its integration: a new one the new, an old one the old.
        let integrations = named(&self.tokens, names);
        let access = Access::new(assembly::callers(config, &integrations, &mut present.caller_ids));
        self.doors.rearrange(access, &integrations);
        self.tokens.let_go(departing);

        certificates.show(&self.metrics);
        self.metrics.last_reload.succeeded(now());
        present.inventory = inventory;
        present.ways_out = ways_out;
        for warning in &config.warnings {
            warn!("{warning}");
        }
        let introduced = config.callers.iter().filter(|caller| difference.introduces_caller(&caller.name));
        introduced.for_each(|caller| banner::caller(caller, Timestamp::now()));
        self.expiries().renew(expiries, Timestamp::now());
        Ok(difference)
    }

    /// Notes that the configuration that there is cannot be used.
    pub(super) fn reload_failed(&self) {
        self.metrics.last_reload.failed();
    }

    /// Says in the log what ends soon, once a day.
    pub(in crate::commands) fn say_what_expires(&self) {
        self.expiries().say(Timestamp::now());
    }

    pub(in crate::commands) fn doors(&self) -> Arc<Doors> {
        Arc::clone(&self.doors)
    }

    pub(in crate::commands) fn tokens(&self) -> Arc<TokenService> {
        Arc::clone(&self.tokens)
    }

    pub(in crate::commands) fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.metrics)
    }

    fn expiries(&self) -> MutexGuard<'_, Expiries> {
        self.expiries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The integrations' IDs with their names, in the file's order.
fn named(tokens: &TokenService, names: Vec<Arc<str>>) -> Vec<(IntegrationId, Arc<str>)> {
    tokens.integrations().zip(names).collect()
}

/// When the integrations' certificates end.
struct CertificateEnds(Vec<(Arc<str>, f64)>);

impl CertificateEnds {
    fn of(prepared: &Prepared) -> Self {
        let ends = prepared.names.iter().zip(&prepared.clients).filter_map(|(name, client)| {
            let expires = client.key().certificate().and_then(banner::expires)?;
            Some((Arc::clone(name), expires.as_duration().as_secs_f64()))
        });
        Self(ends.collect())
    }

    fn show(&self, metrics: &Metrics) {
        metrics.certificates_expire(self.0.iter().map(|(name, at)| (&**name, *at)));
    }
}

/// In seconds since 1970.
fn now() -> f64 {
    Timestamp::now().as_duration().as_secs_f64()
}
