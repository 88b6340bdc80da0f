//! Whether definitions that were read from a server still hold.
//!
//! What a function does is read with the catalogue, and judged when it is called. Between the two somebody may make
//! it anew: while a session of the gate might be about to, and until the catalogue is read again, nobody's functions
//! are known.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The changes to one database's definitions that pass the gate. All sessions on it share this.
#[derive(Debug, Default)]
pub struct Changes {
    under_way: AtomicUsize,
    made: AtomicU64,
}

/// A session that may be changing definitions.
///
/// Dropped while something runs, it stays under way: the server may finish what nobody waits for any more.
#[derive(Debug)]
pub struct Change {
    changes: Arc<Changes>,
    is_resting: bool,
}

/// How far one survey knew of changes.
#[derive(Debug, Default)]
pub struct Definitions {
    changes: Arc<Changes>,
    as_of: AtomicU64,
}

impl Changes {
    /// How many changes there were; a survey that begins now sees them.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    fn begin(self: &Arc<Self>) -> Change {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        Change { changes: Arc::clone(self), is_resting: false }
    }
}

impl Change {
    /// The server has answered everything: what is not committed by now is rolled back with the session's end.
    pub fn rest(&mut self) {
        self.is_resting = true;
    }

    /// What it did so far may be seen by all from now on.
    pub fn show(&self) {
        self.changes.made.fetch_add(1, Ordering::SeqCst);
    }

    /// Something runs again.
    pub fn stir(&mut self) {
        self.is_resting = false;
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        self.show();
        if self.is_resting {
            self.changes.under_way.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Definitions {
    /// What a survey has read that began when there were `as_of` changes.
    pub fn new(changes: Arc<Changes>, as_of: u64) -> Self {
        Self { changes, as_of: AtomicU64::new(as_of) }
    }

    /// Whether they are what they were.
    pub fn hold(&self) -> bool {
        self.changes.under_way.load(Ordering::SeqCst) == 0 && self.are_newest()
    }

    /// Whether no change has ended since they were read.
    pub fn are_newest(&self) -> bool {
        self.made() == self.as_of()
    }

    /// How many changes the survey knew of.
    pub fn as_of(&self) -> u64 {
        self.as_of.load(Ordering::SeqCst)
    }

    /// How many there are by now.
    pub fn made(&self) -> u64 {
        self.changes.made()
    }

    /// A later survey has read the same.
    pub fn renew(&self, as_of: u64) {
        self.as_of.fetch_max(as_of, Ordering::SeqCst);
    }

    /// A session sends what may change them.
    pub fn change(&self) -> Change {
        self.changes.begin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_hold_until_somebody_may_change_them_and_from_the_next_survey_on() {
        let changes = Arc::new(Changes::default());
        let first = Definitions::new(Arc::clone(&changes), changes.made());
        assert!(first.hold());
        let mut change = first.change();
        let meanwhile = Definitions::new(Arc::clone(&changes), changes.made());
        assert!(!first.hold() && !meanwhile.hold());
        change.rest();
        drop(change);
        assert!(!first.hold() && !meanwhile.hold(), "what was read before the end is not known to be new");
        let second = Definitions::new(Arc::clone(&changes), changes.made());
        assert!(second.hold());
        first.renew(changes.made());
        assert!(first.hold());
    }

    #[test]
    fn what_is_shown_before_the_end_outdates_what_was_read() {
        let changes = Arc::new(Changes::default());
        let known = Definitions::new(Arc::clone(&changes), changes.made());
        let change = known.change();
        assert!(known.are_newest(), "nothing can be seen of it yet");
        change.show();
        assert!(!known.are_newest());
        known.renew(changes.made());
        assert!(known.are_newest() && !known.hold(), "more of it may come");
    }

    #[test]
    fn a_change_whose_end_nobody_saw_stays_under_way() {
        let changes = Arc::new(Changes::default());
        let known = Definitions::new(Arc::clone(&changes), changes.made());
        drop(known.change());
        assert!(!known.are_newest());
        let later = Definitions::new(Arc::clone(&changes), changes.made());
        assert!(later.are_newest() && !later.hold());
    }
}
