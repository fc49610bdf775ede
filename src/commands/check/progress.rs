//! What is being waited for, on one line of a terminal, while nothing else is said.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write, stderr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::finding::Name;

/// The line. Cloning is cheap, and all clones write the same one.
#[derive(Clone)]
pub(super) struct Progress(Option<Arc<Mutex<State>>>);

struct State {
    total: usize,
    over: usize,
    under_way: BTreeSet<String>,
}

/// A check that is under way, until dropped.
pub(super) struct UnderWay {
    progress: Progress,
    name: String,
}

/// Back to the line's beginning, and clear to its end.
const CLEAR: &str = "\r\x1b[K";
/// A longer one would be wrapped, and then not be cleared.
const LONGEST: usize = 78;

impl Progress {
    /// On stderr when that is a terminal; otherwise nothing is shown.
    pub(super) fn on_a_terminal(total: usize) -> Self {
        Self(stderr().is_terminal().then(|| Arc::new(Mutex::new(State { total, over: 0, under_way: BTreeSet::new() }))))
    }

    /// Shows nothing.
    #[cfg(test)]
    pub(super) fn silent() -> Self {
        Self(None)
    }

    /// Tells of a check until the result is dropped.
    pub(super) fn begin(&self, name: &Name) -> UnderWay {
        let name = name.to_string();
        self.change(|state| {
            state.under_way.insert(name.clone());
        });
        UnderWay { progress: self.clone(), name }
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if self.0.is_some() {
            let _ = write!(stderr(), "{CLEAR}");
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let Some(state) = &self.0 else { return };
        let mut state: MutexGuard<'_, State> = state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let names: Vec<&str> = state.under_way.iter().map(String::as_str).collect();
        let line = format!("{} of {} done; under way: {}", state.over, state.total, names.join(", "));
        let shown: String = line.chars().filter(|character| !character.is_control()).take(LONGEST).collect();
        let _ = write!(stderr(), "{CLEAR}{shown}");
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.progress.change(|state| {
            state.over += 1;
            state.under_way.remove(&self.name);
        });
    }
}
