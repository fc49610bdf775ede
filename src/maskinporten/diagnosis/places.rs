//! Where whoever mends a failure has to look.

use super::super::catalogue::{KnownError, LookAt};
use super::super::error::ExchangeError;
use super::super::foreign_text::printable;
use super::{Circumstances, scopes};

/// More lines than these are not named one by one.
const MOST: usize = 4;
const LONGEST_PLACE: usize = 80;

/// `Where: client_id, line 12 of portvakt.toml; …`, or nothing where nobody has to look anywhere.
pub(super) fn places(known: &KnownError, error: &ExchangeError, circumstances: &Circumstances<'_>) -> Option<String> {
    let setup = circumstances.setup;
    let setting = |name: &str, place: &Option<String>| place.as_ref().map(|place| format!("{name}, {}", printable(place, LONGEST_PLACE)));
    let mut places = Vec::new();
    for look_at in known.look_at {
        match look_at {
            LookAt::ClientId => places.extend(setting("client_id", &setup.client_id)),
            LookAt::Environment => places.extend(setting("environment", &setup.environment)),
            LookAt::Key => places.extend(setting("key", &setup.key)),
            LookAt::Scopes => places.extend(scope_settings(error, circumstances)),
            LookAt::ClientPage => places.push(client_page(circumstances)),
        }
    }
    (!places.is_empty()).then(|| format!("Where: {}.", places.join("; ")))
}

/// The scope is the one that was found, so its settings need only their lines.
fn scope_settings(error: &ExchangeError, circumstances: &Circumstances<'_>) -> Vec<String> {
    let named = scopes::named(error, circumstances);
    let mut lines: Vec<String> = Vec::new();
    for setting in named.iter().flat_map(|scope| scopes::asked_by(scope, circumstances.setup)) {
        let line = format!("{}, {}", printable(&setting.asked_by, LONGEST_PLACE), printable(&setting.place, LONGEST_PLACE));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    let more = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    if more > 0 {
        lines.push(format!("{more} more lines"));
    }
    lines
}

/// As Samarbeidsportalen's menus have it.
fn client_page(circumstances: &Circumstances<'_>) -> String {
    let environment = circumstances.client.environment();
    let environment = if environment.is_production() {
        "production".to_owned()
    } else if environment.is_test() {
        "test".to_owned()
    } else {
        format!("environment {}", printable(environment.name(), LONGEST_PLACE))
    };
    let client_id = printable(circumstances.client.client_id(), LONGEST_PLACE);
    format!("the client's page, Selvbetjening > Integrasjoner ({environment}) > {client_id}")
}
