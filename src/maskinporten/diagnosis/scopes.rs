//! Which scope Maskinporten means, and what the settings have to do with it.

use super::super::error::ExchangeError;
use super::super::foreign_text::printable;
use super::{Circumstances, ScopeSetting, Setup};

/// More than these are not named one by one.
const MOST: usize = 4;
const LONGEST_SCOPE: usize = 100;
/// So many letters off is a typing error; scopes of one API often differ by more.
const NEAR: usize = 2;

/// The scopes that a refusal is about.
pub(super) struct Named<'a> {
    scopes: Vec<&'a str>,
    /// Whether Maskinporten named them. Otherwise they are all that were asked for.
    by_maskinporten: bool,
}

/// Those of the request's that Maskinporten's description has in it; all of them when it has none.
pub(super) fn named<'a>(error: &ExchangeError, circumstances: &Circumstances<'a>) -> Named<'a> {
    let description = error.refusal().map_or("", |refusal| refusal.description.as_str());
    let words: Vec<&str> = description.split([' ', ',', ';', '[', ']', '(', ')']).map(|word| word.trim_end_matches(['.', ':'])).collect();
    let asked_for = || circumstances.scopes.iter();
    let scopes: Vec<&str> = asked_for().filter(|scope| words.contains(scope)).collect();
    let by_maskinporten = !scopes.is_empty();
    Named { scopes: if by_maskinporten { scopes } else { asked_for().collect() }, by_maskinporten }
}

impl<'a> Named<'a> {
    /// Each of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.scopes.iter().copied()
    }

    /// Which they are.
    pub(super) fn sentence(&self) -> String {
        let scopes = listed(&self.scopes);
        match (self.by_maskinporten, self.scopes.len()) {
            (true, 1) => format!("The scope is {scopes}."),
            (true, _) => format!("The scopes are {scopes}."),
            (false, 1) => format!("The scope that was asked for is {scopes}."),
            (false, _) => format!("The scopes that were asked for are {scopes}."),
        }
    }
}

/// Which scopes, and which that are configured may have been meant.
pub(super) fn facts(error: &ExchangeError, circumstances: &Circumstances<'_>) -> Vec<String> {
    let named = named(error, circumstances);
    let near = named.iter().find_map(|scope| near(scope, circumstances.setup));
    let near = near.map(|setting| format!("A near match is configured: {}, {}.", printable(&setting.scope, LONGEST_SCOPE), setting.place));
    [Some(named.sentence()), near].into_iter().flatten().collect()
}

/// The settings by which a scope is asked for.
pub(super) fn asked_by<'a>(scope: &'a str, setup: &'a Setup) -> impl Iterator<Item = &'a ScopeSetting> {
    setup.scopes.iter().filter(move |setting| match setting.scope.strip_suffix('*') {
        Some(beginning) => scope.starts_with(beginning),
        None => setting.scope == scope,
    })
}

fn near<'a>(scope: &str, setup: &'a Setup) -> Option<&'a ScopeSetting> {
    let whole = setup.scopes.iter().filter(|setting| !setting.scope.ends_with('*') && setting.scope != scope);
    let distances = whole.map(|setting| (strsim::damerau_levenshtein(scope, &setting.scope), setting));
    let (distance, setting) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= NEAR.min(scope.len() / 4)).then_some(setting)
}

fn listed(scopes: &[&str]) -> String {
    let mut listed: Vec<String> = scopes.iter().take(MOST).map(|scope| printable(scope, LONGEST_SCOPE)).collect();
    if let Some(more) = scopes.len().checked_sub(MOST).filter(|more| *more > 0) {
        listed.push(format!("{more} more"));
    }
    listed.join(", ")
}
