//! What is different after a reload, as a value: the log says it, and whoever else has to record it.

use std::fmt;

use super::inventory::{CallerItem, Fixed, IntegrationItem, Inventory, KeyName, is_same_proxy};

/// All that a reload has changed, and what it could not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::commands) struct Difference {
    changes: Vec<Change>,
    waiting: Vec<Waiting>,
}

/// One thing that is different. Names are the file's; of API keys it has the beginnings of their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) enum Change {
    IntegrationAdded {
        name: String,
    },
    IntegrationRemoved {
        name: String,
    },
    /// Another client ID, or another environment.
    AnotherClient {
        name: String,
    },
    Renamed {
        before: String,
        name: String,
    },
    AnotherKey {
        integration: String,
        before: KeyName,
        now: KeyName,
    },
    IntegrationSettings {
        name: String,
        settings: Vec<&'static str>,
    },
    CallerAdded {
        name: String,
    },
    CallerRemoved {
        name: String,
    },
    ApiKeyAdded {
        caller: String,
        key: String,
    },
    ApiKeyRemoved {
        caller: String,
        key: String,
    },
    /// Networks, rules, and when a key expires.
    CallerSettings {
        name: String,
        settings: Vec<&'static str>,
    },
    Setting {
        name: &'static str,
    },
}

/// A setting that only a restart changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::commands) struct Waiting {
    pub(in crate::commands) setting: &'static str,
    pub(in crate::commands) in_use: String,
    pub(in crate::commands) in_the_file: String,
}

impl Difference {
    /// `in_use`: as the service was started with.
    pub(super) fn between(before: &Inventory, after: &Inventory, in_use: &Fixed) -> Self {
        let mut changes = Vec::new();
        integrations(&before.integrations, &after.integrations, &mut changes);
        callers(&before.callers, &after.callers, &mut changes);
        let (one, other) = (&before.outbound, &after.outbound);
        let settings = [
            ("outbound.connect_timeout", one.connect_timeout == other.connect_timeout),
            ("outbound.attempt_timeout", one.attempt_timeout == other.attempt_timeout),
            ("outbound.deadline", before.deadline == after.deadline),
            ("outbound.proxy", is_same_proxy(one.proxy.as_ref(), other.proxy.as_ref())),
            ("outbound.ca_file", one.ca_certificates == other.ca_certificates),
            ("cache.max_tokens", before.max_tokens == after.max_tokens),
        ];
        changes.extend(different(settings).into_iter().map(|name| Change::Setting { name }));
        Self { changes, waiting: waiting(in_use, &after.fixed) }
    }

    /// What stands in the file, and takes a restart.
    pub(in crate::commands) fn waiting_for_a_restart(&self) -> &[Waiting] {
        &self.waiting
    }

    /// Whether more than its rules is new about this integration: then the log says again who it is and what it signs with.
    pub(super) fn introduces_integration(&self, integration: &str) -> bool {
        self.changes.iter().any(|change| match change {
            Change::IntegrationAdded { name }
            | Change::AnotherClient { name }
            | Change::Renamed { name, .. }
            | Change::AnotherKey { integration: name, .. } => name == integration,
            _ => false,
        })
    }

    /// Whether anything is new about this caller.
    pub(super) fn introduces_caller(&self, caller: &str) -> bool {
        self.changes.iter().any(|change| match change {
            Change::CallerAdded { name }
            | Change::CallerSettings { name, .. }
            | Change::ApiKeyAdded { caller: name, .. }
            | Change::ApiKeyRemoved { caller: name, .. } => name == caller,
            _ => false,
        })
    }
}

fn integrations(before: &[IntegrationItem], after: &[IntegrationItem], changes: &mut Vec<Change>) {
    for now in after {
        let name = &now.name;
        if let Some(earlier) = before.iter().find(|earlier| earlier.is_same_client_as(now)) {
            if earlier.name != *name {
                changes.push(Change::Renamed { before: earlier.name.clone(), name: name.clone() });
            }
            if earlier.key != now.key {
                changes.push(Change::AnotherKey { integration: name.clone(), before: earlier.key.clone(), now: now.key.clone() });
            }
            let settings = different([
                ("algorithm", earlier.algorithm == now.algorithm),
                ("grant_lifetime", earlier.grant_lifetime == now.grant_lifetime),
                ("prefetch", earlier.prefetch == now.prefetch),
            ]);
            if !settings.is_empty() {
                changes.push(Change::IntegrationSettings { name: name.clone(), settings });
            }
        } else if before.iter().any(|earlier| earlier.name == *name) {
            changes.push(Change::AnotherClient { name: name.clone() });
        } else {
            changes.push(Change::IntegrationAdded { name: name.clone() });
        }
    }
    let is_gone = |earlier: &&IntegrationItem| !after.iter().any(|now| now.is_same_client_as(earlier) || now.name == earlier.name);
    changes.extend(before.iter().filter(is_gone).map(|earlier| Change::IntegrationRemoved { name: earlier.name.clone() }));
}

fn callers(before: &[CallerItem], after: &[CallerItem], changes: &mut Vec<Change>) {
    for now in after {
        let name = &now.name;
        let Some(earlier) = before.iter().find(|earlier| earlier.name == *name) else {
            changes.push(Change::CallerAdded { name: name.clone() });
            continue;
        };
        let has = |caller: &CallerItem, sha256: &[u8; 32]| caller.keys.iter().any(|key| key.sha256 == *sha256);
        let added = now.keys.iter().filter(|key| !has(earlier, &key.sha256));
        changes.extend(added.map(|key| Change::ApiKeyAdded { caller: name.clone(), key: key.name() }));
        let removed = earlier.keys.iter().filter(|key| !has(now, &key.sha256));
        changes.extend(removed.map(|key| Change::ApiKeyRemoved { caller: name.clone(), key: key.name() }));
        let expires_as_before = |key: &super::inventory::ApiKeyItem| {
            let same = earlier.keys.iter().find(|known| known.sha256 == key.sha256);
            same.is_none_or(|same| same.expires == key.expires)
        };
        let settings = different([
            ("expires", now.keys.iter().all(expires_as_before)),
            ("networks", earlier.networks == now.networks),
            ("may", earlier.rules == now.rules),
        ]);
        if !settings.is_empty() {
            changes.push(Change::CallerSettings { name: name.clone(), settings });
        }
    }
    let is_gone = |earlier: &&CallerItem| !after.iter().any(|now| now.name == earlier.name);
    changes.extend(before.iter().filter(is_gone).map(|earlier| Change::CallerRemoved { name: earlier.name.clone() }));
}

fn waiting(in_use: &Fixed, in_the_file: &Fixed) -> Vec<Waiting> {
    let delay = |fixed: &Fixed| format!("{:?}", fixed.shutdown_delay);
    let grace = |fixed: &Fixed| format!("{:?}", fixed.shutdown_grace);
    let settings = [
        ("server.listen", in_use.listen.to_string(), in_the_file.listen.to_string()),
        ("server.shutdown_delay", delay(in_use), delay(in_the_file)),
        ("server.shutdown_grace", grace(in_use), grace(in_the_file)),
        ("management.listen", in_use.management_listen.to_string(), in_the_file.management_listen.to_string()),
    ];
    let settings = settings.into_iter().filter(|(_, in_use, in_the_file)| in_use != in_the_file);
    settings.map(|(setting, in_use, in_the_file)| Waiting { setting, in_use, in_the_file }).collect()
}

fn different<const COUNT: usize>(settings: [(&'static str, bool); COUNT]) -> Vec<&'static str> {
    settings.into_iter().filter(|(_, is_same)| !is_same).map(|(name, _)| name).collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.changes.is_empty() && self.waiting.is_empty() {
            return f.write_str("nothing has changed");
        }
        let changes = self.changes.iter().map(ToString::to_string);
        let waiting = self.waiting.iter().map(|waiting| format!("{} waits for a restart", waiting.setting));
        f.write_str(&changes.chain(waiting).collect::<Vec<_>>().join("; "))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IntegrationAdded { name } => write!(f, "integration {name} added"),
            Self::IntegrationRemoved { name } => write!(f, "integration {name} removed"),
            Self::AnotherClient { name } => {
                write!(f, "integration {name} has another client ID or environment, and its tokens are gone")
            }
            Self::Renamed { before, name } => write!(f, "integration {before} is called {name}"),
            Self::AnotherKey { integration, before, now } => {
                write!(f, "integration {integration} signs with {now} in place of {before}")
            }
            Self::IntegrationSettings { name, settings } => write!(f, "integration {name}: {}", settings.join(", ")),
            Self::CallerAdded { name } => write!(f, "caller {name} added"),
            Self::CallerRemoved { name } => write!(f, "caller {name} removed"),
            Self::ApiKeyAdded { caller, key } => write!(f, "caller {caller}: API key {key} added"),
            Self::ApiKeyRemoved { caller, key } => write!(f, "caller {caller}: API key {key} removed"),
            Self::CallerSettings { name, settings } => write!(f, "caller {name}: {}", settings.join(", ")),
            Self::Setting { name } => write!(f, "{name}"),
        }
    }
}
