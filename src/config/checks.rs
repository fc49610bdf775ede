//! What can only be seen of the file as a whole: names and API keys that collide, and names that lead nowhere.

use super::findings::Findings;
use super::mistake::Place;
use super::reader::{Item, listed, nearest, quotable};

/// A text and where it stands.
type Placed<'t> = (&'t str, Place);

/// The names and API keys of the file, also those of tables that have other mistakes.
#[derive(Default)]
pub(super) struct Names<'t> {
    integrations: Vec<IntegrationNames<'t>>,
    callers: Vec<Option<Placed<'t>>>,
    digests: Vec<Digest>,
    rules: Vec<Placed<'t>>,
}

struct IntegrationNames<'t> {
    name: Option<Placed<'t>>,
    client_id: Option<Placed<'t>>,
}

struct Digest {
    sha256: [u8; 32],
    place: Place,
    owner: Owner,
}

/// A caller, by its order in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner(usize);

impl<'t> Names<'t> {
    pub(super) fn integration(&mut self, name: Option<Item<'t>>, client_id: Option<Item<'t>>) {
        self.integrations.push(IntegrationNames { name: placed(name), client_id: placed(client_id) });
    }

    pub(super) fn caller(&mut self, name: Option<Item<'t>>) -> Owner {
        self.callers.push(placed(name));
        Owner(self.callers.len())
    }

    pub(super) fn digest(&mut self, sha256: [u8; 32], place: Place, owner: Owner) {
        self.digests.push(Digest { sha256, place, owner });
    }

    /// The integration that a rule names.
    pub(super) fn rule(&mut self, integration: &'t str, place: Place) {
        self.rules.push((integration, place));
    }

    /// What the integrations are called.
    pub(super) fn integration_names(&self) -> Vec<String> {
        self.integrations.iter().filter_map(|integration| integration.name).map(|(name, _)| name.to_owned()).collect()
    }

    /// Reports what does not fit together.
    pub(super) fn check(&self, findings: &mut Findings) {
        self.check_integrations(findings);
        self.check_callers(findings);
        self.check_digests(findings);
        self.check_rules(findings);
    }

    fn check_integrations(&self, findings: &mut Findings) {
        const HELP: &str = "give each integration a name and a client ID of its own: a request's `iss` may be either";
        for (index, integration) in self.integrations.iter().enumerate() {
            for earlier in self.integrations.iter().take(index) {
                let pairs = [
                    (integration.name, earlier.name, "two integrations are called"),
                    (integration.client_id, earlier.client_id, "two integrations have the client ID"),
                    (integration.name, earlier.client_id, "an integration's name is another one's client ID:"),
                    (integration.client_id, earlier.name, "an integration's client ID is another one's name:"),
                ];
                for (this, other, what) in pairs {
                    let (Some((this, place)), Some((other, first))) = (this, other) else { continue };
                    if this == other {
                        findings.conflict(place, format!("{what} `{}`", quotable(this)), HELP, (first, "the other one"));
                    }
                }
            }
        }
    }

    fn check_callers(&self, findings: &mut Findings) {
        let named: Vec<Placed<'_>> = self.callers.iter().copied().flatten().collect();
        for (index, (name, place)) in named.iter().enumerate() {
            if let Some((_, first)) = named.iter().take(index).find(|(earlier, _)| earlier == name) {
                let text = format!("two callers are called `{}`", quotable(name));
                findings.conflict(
                    *place,
                    text,
                    "give each caller a name of its own: logs and metrics tell them apart by it",
                    (*first, "the other one"),
                );
            }
        }
    }

    fn check_digests(&self, findings: &mut Findings) {
        for (index, digest) in self.digests.iter().enumerate() {
            let Some(first) = self.digests.iter().take(index).find(|earlier| earlier.sha256 == digest.sha256) else { continue };
            let (text, help) = if first.owner == digest.owner {
                ("this caller has the same API key twice", "leave one of the two out")
            } else {
                ("two callers have the same API key", "give each caller a key of its own: nobody could tell who asks")
            };
            findings.conflict(digest.place, text, help, (first.place, "the other one"));
        }
    }

    fn check_rules(&self, findings: &mut Findings) {
        if self.integrations.is_empty() {
            return; // which is said already
        }
        let known: Vec<&str> = self.integrations.iter().filter_map(|integration| integration.name).map(|(name, _)| name).collect();
        for (name, place) in &self.rules {
            if known.contains(name) {
                continue;
            }
            let by_client_id = self.integrations.iter().find(|integration| integration.client_id.is_some_and(|(id, _)| id == *name));
            let help = match (by_client_id.and_then(|integration| integration.name), nearest(name, &known)) {
                (Some((called, _)), _) => format!("this is a client ID: write the integration's name, \"{}\"", quotable(called)),
                (None, Some(nearest)) => format!("write \"{}\"", quotable(nearest)),
                (None, None) if known.is_empty() => "write an [[integration]] of that name".to_owned(),
                (None, None) => format!("known here: {}", quotable(&listed(&known))),
            };
            findings.missing(*place, format!("there is no integration `{}`", quotable(name)), help);
        }
    }
}

fn placed(item: Option<Item<'_>>) -> Option<Placed<'_>> {
    let item = item?;
    item.as_text().map(|text| (text, item.place))
}
