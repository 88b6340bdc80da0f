//! Lookups that were answered: each different one is told, and what comes again is counted.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::dns::Lookup;

/// How long what comes again is only counted.
pub const WINDOW: Duration = Duration::from_secs(60);
/// Most different lookups in one window; beyond them, what is told is not remembered, and told each time.
pub const DIFFERENT_MAX: usize = 16 * 1024;

/// Answered lookups of the windows that have begun.
#[derive(Debug, Default)]
pub(super) struct Repeated(HashMap<Lookup, Seen>);

#[derive(Clone, Copy, Debug)]
struct Seen {
    first: Instant,
    again: u64,
}

/// A lookup that came again in its window, with the same answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Again {
    pub lookup: Lookup,
    pub times: u64,
}

impl Repeated {
    /// Whether a lookup is to be told now; if not, it is counted.
    pub(super) fn take(&mut self, lookup: &Lookup, now: Instant) -> bool {
        if let Some(seen) = self.0.get_mut(lookup) {
            seen.again += 1;
            return false;
        }
        if self.0.len() < DIFFERENT_MAX {
            self.0.insert(lookup.clone(), Seen { first: now, again: 0 });
        }
        true
    }

    /// Ends the windows that are over, and tells what came again in them.
    pub(super) fn end_windows(&mut self, now: Instant) -> Vec<Again> {
        let over = |seen: &Seen| now.saturating_duration_since(seen.first) >= WINDOW;
        let ended = self.0.extract_if(|_, seen| over(seen));
        let mut again: Vec<_> = ended
            .filter(|(_, seen)| seen.again > 0)
            .map(|(lookup, seen)| Again { lookup, times: seen.again })
            .collect();
        again.sort_by(|one, other| {
            (&one.lookup.workload, &one.lookup.name).cmp(&(&other.lookup.workload, &other.lookup.name))
        });
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Outcome;

    fn lookup(name: &str, answer: &str) -> Lookup {
        let outcome = Outcome::Answered(answer.into());
        Lookup { workload: "agent".into(), name: name.into(), kind: "A".into(), outcome }
    }

    #[test]
    fn every_lookup_is_told_or_counted() {
        let (mut repeated, now) = (Repeated::default(), Instant::now());
        let (known, other) = (lookup("db.example.", "192.0.2.1"), lookup("db.example.", "192.0.2.2"));
        assert!(repeated.take(&known, now));
        assert!((0..9).all(|_| !repeated.take(&known, now)));
        assert!(repeated.take(&other, now), "another answer is another lookup");
        assert_eq!(repeated.end_windows(now), [], "the window goes on");
        assert_eq!(repeated.end_windows(now + WINDOW), [Again { lookup: known.clone(), times: 9 }]);
        assert!(repeated.take(&known, now + WINDOW));
    }

    #[test]
    fn ever_new_names_take_no_memory_without_end_and_are_told_all_the_same() {
        let (mut repeated, now) = (Repeated::default(), Instant::now());
        let different = |number: usize| lookup(&format!("n{number}.example."), "192.0.2.1");
        assert!((0..DIFFERENT_MAX + 9).all(|number| repeated.take(&different(number), now)));
        assert_eq!(repeated.0.len(), DIFFERENT_MAX);
    }
}
