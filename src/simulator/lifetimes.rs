//! How long a token lives: by scope and client, and changed at run time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::settings::ClientSettings;

/// A lifetime that is changed while the simulator runs. It goes before the settings; the one that names more goes before the
/// one that names less, and a scope before a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifetimeChange {
    /// Seconds, 1 or more.
    pub seconds: u32,
    /// Only for this client.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Only for this scope.
    #[serde(default)]
    pub scope: Option<String>,
}

/// Why a lifetime cannot be changed so.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidLifetime {
    /// A token that was never valid.
    #[error("`seconds` is 0: for an `expires_in` that makes no sense use a fault of kind `expires_in`")]
    Zero,
    /// It would change nothing.
    #[error("no client has the ID `{0}`")]
    UnknownClient(String),
    /// It would change nothing.
    #[error("no client has the scope `{0}`")]
    UnknownScope(String),
}

/// Client and scope.
type Named = (Option<String>, Option<String>);

pub(super) struct Lifetimes {
    default: u32,
    changes: BTreeMap<Named, u32>,
}

impl Lifetimes {
    pub(super) fn new(default: u32) -> Self {
        Self { default, changes: BTreeMap::new() }
    }

    /// Only clients and scopes that exist can be named, so that what is kept is bounded by the settings.
    pub(super) fn change(&mut self, change: LifetimeChange, clients: &[ClientSettings]) -> Result<(), InvalidLifetime> {
        let LifetimeChange { seconds, client_id, scope } = change;
        if seconds == 0 {
            return Err(InvalidLifetime::Zero);
        }
        if let Some(unknown) = client_id.as_ref().filter(|client_id| !clients.iter().any(|client| client.client_id == **client_id)) {
            return Err(InvalidLifetime::UnknownClient(unknown.clone()));
        }
        let has_scope = |scope: &String| clients.iter().flat_map(|client| &client.scopes).any(|known| known.scope == *scope);
        if let Some(unknown) = scope.as_ref().filter(|scope| !has_scope(scope)) {
            return Err(InvalidLifetime::UnknownScope(unknown.clone()));
        }
        self.changes.insert((client_id, scope), seconds);
        Ok(())
    }

    pub(super) fn forget_changes(&mut self) {
        self.changes.clear();
    }

    /// Of a token for these scopes: the shortest.
    pub(super) fn of(&self, client: &ClientSettings, scopes: &[String]) -> u32 {
        scopes.iter().map(|scope| self.of_scope(client, scope)).min().unwrap_or(self.default)
    }

    fn of_scope(&self, client: &ClientSettings, scope: &str) -> u32 {
        let changed = |client_id: Option<&str>, scope: Option<&str>| {
            self.changes.get(&(client_id.map(str::to_owned), scope.map(str::to_owned))).copied()
        };
        let client_id = Some(client.client_id.as_str());
        changed(client_id, Some(scope))
            .or_else(|| changed(None, Some(scope)))
            .or_else(|| changed(client_id, None))
            .or_else(|| changed(None, None))
            .or_else(|| client.scopes.iter().find(|known| known.scope == scope).and_then(|known| known.lifetime))
            .or(client.lifetime)
            .unwrap_or(self.default)
    }
}
