//! Who may ask for what. Deny by default, and one and the same answer for what does not exist and what is not yours.
//!
//! Holds digests of API keys, never keys, and decides on plain values: it knows neither HTTP nor the operator's file. Everything is
//! indexed when it is made, and never changes: another configuration makes another one.

mod api_key;
mod policy;

use std::collections::HashMap;
use std::net::IpAddr;

use foldhash::quality::RandomState;
use ipnet::{IpNet, Ipv4Net};
use jiff::Timestamp;
use openssl::memcmp;

pub use api_key::{Digest, MadeKey, has_wrong_checksum, make_key};
pub use policy::{Denial, Entitlement, Parameter, Permitted, Rule};

use crate::tokens::{CallerId, IntegrationId};

/// A caller, as the operator has written it down.
#[derive(Debug)]
pub struct CallerSettings {
    /// Stands for it for as long as the process runs: no two callers ever have the same.
    pub id: CallerId,
    /// What logs and metrics call it.
    pub name: String,
    /// Its API keys.
    pub keys: Vec<KeySettings>,
    /// Where it may ask from; empty: from anywhere.
    pub networks: Vec<IpNet>,
    /// What it may have.
    pub may: Vec<(IntegrationNames, Rule)>,
}

/// An API key, as its digest.
#[derive(Clone, Copy, Debug)]
pub struct KeySettings {
    /// SHA-256 of the key.
    pub digest: Digest,
    /// From this moment on it is refused.
    pub expires: Option<Timestamp>,
}

/// An integration as a request's `iss` may name it.
#[derive(Clone, Debug)]
pub struct IntegrationNames {
    /// Which one.
    pub id: IntegrationId,
    /// Its client ID at Maskinporten.
    pub client_id: String,
    /// Its name in the operator's file.
    pub name: String,
}

/// All callers, by the digests of their keys.
#[derive(Debug)]
pub struct Access {
    callers: Vec<Caller>,
    /// By the digest's first eight bytes. These come out of SHA-256, so nobody can choose a key that has a given one, and how long this
    /// look-up takes tells nothing about any key; the digests as a whole are compared in constant time.
    keys: HashMap<u64, Vec<Key>, RandomState>,
}

#[derive(Debug)]
struct Key {
    digest: Digest,
    expires: Option<Timestamp>,
    caller: usize,
}

/// Somebody whose API key we know.
#[derive(Debug)]
pub struct Caller {
    id: CallerId,
    place: usize,
    name: Box<str>,
    networks: Box<[IpNet]>,
    entitlements: Vec<Entitlement>,
    /// Places in `entitlements`, by client ID and by name: a request's `iss` may be either.
    names: HashMap<Box<str>, usize, RandomState>,
}

impl Access {
    /// Indexes what the operator has written down.
    pub fn new(settings: Vec<CallerSettings>) -> Self {
        let mut keys: HashMap<u64, Vec<Key>, RandomState> = HashMap::default();
        let mut callers = Vec::with_capacity(settings.len());
        for (caller, settings) in settings.into_iter().enumerate() {
            for KeySettings { digest, expires } in settings.keys {
                keys.entry(digest.prefix()).or_default().push(Key { digest, expires, caller });
            }
            let mut entitlements: Vec<Entitlement> = Vec::new();
            let mut names: HashMap<Box<str>, usize, RandomState> = HashMap::default();
            for (integration, rule) in settings.may {
                let known = entitlements.iter().position(|entitlement| entitlement.integration() == integration.id);
                let index = known.unwrap_or_else(|| {
                    entitlements.push(Entitlement::new(integration.id));
                    entitlements.len() - 1
                });
                if let Some(entitlement) = entitlements.get_mut(index) {
                    entitlement.add(rule);
                }
                names.insert(integration.client_id.into(), index);
                names.insert(integration.name.into(), index);
            }
            let networks = settings.networks.into_iter().map(canonical).collect();
            callers.push(Caller { id: settings.id, place: caller, name: settings.name.into(), networks, entitlements, names });
        }
        Self { callers, keys }
    }

    /// Whose key this is. None when it is unknown, revoked or expired: nobody is told which.
    pub fn identify(&self, api_key: &[u8]) -> Option<&Caller> {
        let digest = Digest::of(api_key);
        let candidates = self.keys.get(&digest.prefix())?;
        let key = candidates.iter().find(|key| memcmp::eq(key.digest.as_bytes(), digest.as_bytes()))?;
        if key.expires.is_some_and(|expires| expires <= Timestamp::now()) {
            return None;
        }
        self.callers.get(key.caller)
    }

    /// Everybody.
    pub fn callers(&self) -> &[Caller] {
        &self.callers
    }
}

/// A network of IPv4 addresses that is written as one of IPv6 (`::ffff:10.0.0.0/104`) is what it is, as a peer's address is.
fn canonical(network: IpNet) -> IpNet {
    /// Of an IPv6 address, in bits, before the IPv4 one in it.
    const MAPPED: u8 = 96;
    let mapped = match network {
        IpNet::V6(network) => network.addr().to_ipv4_mapped().zip(network.prefix_len().checked_sub(MAPPED)),
        IpNet::V4(_) => None,
    };
    mapped.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(network, IpNet::V4)
}

impl Caller {
    /// Which of all callers.
    pub fn id(&self) -> CallerId {
        self.id
    }

    /// Where it stands in [`Access::callers`].
    pub fn place(&self) -> usize {
        self.place
    }

    /// What logs and metrics call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it may ask from there. An IPv4 address that arrives as an IPv6 one (`::ffff:10.0.0.1`) counts as what it is.
    pub fn may_ask_from(&self, peer: IpAddr) -> bool {
        self.networks.is_empty() || {
            let peer = peer.to_canonical();
            self.networks.iter().any(|network| network.contains(&peer))
        }
    }

    /// What this caller may have of the integration that `iss` names. None when there is no such integration, or nothing of it for
    /// this caller.
    pub fn entitlement(&self, iss: &str) -> Option<&Entitlement> {
        self.names.get(iss).and_then(|&index| self.entitlements.get(index))
    }

    /// What it may have, of each integration of which it may have something.
    pub fn entitlements(&self) -> &[Entitlement] {
        &self.entitlements
    }
}
