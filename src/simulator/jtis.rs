//! The `jti`s that were used, as long as a grant with them could still be valid, and not longer.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::grant::{CLOCK_TOLERANCE, FirstUse, LONGEST_GRANT};

/// After this many seconds no grant that arrived then can still be valid: `iat` was at most 10 s ahead, and `exp` 120 s after it.
const REMEMBERED_FOR: i64 = CLOCK_TOLERANCE + LONGEST_GRANT;

/// Client and `jti`.
type Used = Arc<(String, String)>;

/// What was used, in the order in which it is forgotten.
#[derive(Default)]
pub(super) struct Jtis {
    used: HashSet<Used>,
    arrivals: VecDeque<(i64, Used)>,
}

impl Jtis {
    /// Remembers that the client has used it, whatever becomes of the grant. `now` is the true clock, never a skewed one.
    pub(super) fn record(&mut self, client_id: &str, jti: &str, now: i64) -> FirstUse {
        self.forget(now);
        let used = Arc::new((client_id.to_owned(), jti.to_owned()));
        if !self.used.insert(used.clone()) {
            return FirstUse::No;
        }
        self.arrivals.push_back((now, used));
        FirstUse::Yes
    }

    pub(super) fn len(&self) -> usize {
        self.used.len()
    }

    fn forget(&mut self, now: i64) {
        while self.arrivals.front().is_some_and(|(arrival, _)| arrival.saturating_add(REMEMBERED_FOR) < now) {
            if let Some((_, used)) = self.arrivals.pop_front() {
                self.used.remove(&used);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jti_is_remembered_as_long_as_its_grant_could_be_valid_and_no_longer() {
        let mut jtis = Jtis::default();
        assert!(jtis.record("a", "1", 0) == FirstUse::Yes);
        assert!(jtis.record("a", "1", 130) == FirstUse::No);
        assert!(jtis.record("b", "1", 130) == FirstUse::Yes);
        assert!(jtis.record("a", "1", 131) == FirstUse::Yes);
        assert_eq!(jtis.len(), 2);
        assert!(jtis.record("c", "1", 1_000) == FirstUse::Yes);
        assert_eq!(jtis.len(), 1);
    }
}
