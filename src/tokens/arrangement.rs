//! Which integrations there are now: swapped as a whole, and read without a lock.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::integration::Integration;
use super::request::IntegrationId;
use crate::maskinporten::{Client, Environment};

/// The integrations, as all threads see them.
pub(super) type Arranged = ArcSwap<Arrangement>;

/// The integrations of one configuration.
#[derive(Debug, Default)]
pub(super) struct Arrangement {
    /// By their IDs, ascending. These have gaps, for none is used again.
    integrations: Vec<Arc<Integration>>,
    /// In the order in which they were given.
    in_order: Vec<IntegrationId>,
}

impl Arrangement {
    pub(super) fn new(mut integrations: Vec<Arc<Integration>>) -> Self {
        let in_order = integrations.iter().map(|integration| integration.id).collect();
        integrations.sort_unstable_by_key(|integration| integration.id);
        Self { integrations, in_order }
    }

    /// With these too, for who still asks for them.
    pub(super) fn with(&self, departing: &[Arc<Integration>]) -> Self {
        let integrations = self.integrations.iter().chain(departing).cloned().collect();
        Self { in_order: self.in_order.clone(), ..Self::new(integrations) }
    }

    /// The integration with this ID, if there still is one.
    pub(super) fn get(&self, id: IntegrationId) -> Option<&Arc<Integration>> {
        let index = self.integrations.binary_search_by_key(&id, |integration| integration.id).ok()?;
        self.integrations.get(index)
    }

    /// All of them.
    pub(super) fn integrations(&self) -> &[Arc<Integration>] {
        &self.integrations
    }

    /// In the order in which they were given.
    pub(super) fn in_order(&self) -> &[IntegrationId] {
        &self.in_order
    }

    /// The one whose tokens are this client's: it has the same ID at Maskinporten, in the same environment.
    pub(super) fn same_as(&self, client: &Client) -> Option<&Arc<Integration>> {
        let is_same = |known: &Client| known.client_id() == client.client_id() && known.environment() == client.environment();
        self.integrations.iter().find(|integration| is_same(&integration.client))
    }

    /// One that is in this environment, and so has its clock and its circuit.
    pub(super) fn neighbour(&self, environment: &Environment) -> Option<&Arc<Integration>> {
        neighbour_among(&self.integrations, environment)
    }

    /// The environments' names, each as often as integrations are there.
    pub(super) fn environments(&self) -> impl Iterator<Item = &str> {
        self.integrations.iter().map(|integration| integration.client.environment().name())
    }

    /// Those that another arrangement does not have any more.
    pub(super) fn gone_from<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Arc<Integration>> {
        self.integrations.iter().filter(|integration| other.get(integration.id).is_none())
    }

    /// Whether one is called so.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.integrations.iter().any(|integration| *integration.name == *name)
    }
}

/// One of these that is in this environment.
pub(super) fn neighbour_among<'a>(integrations: &'a [Arc<Integration>], environment: &Environment) -> Option<&'a Arc<Integration>> {
    integrations.iter().find(|integration| integration.client.environment() == environment)
}
