//! How new the catalogue at hand has to be after what this session did.
//!
//! The changes of all sessions are counted together, and a catalogue knows how many there were when it was read. No survey
//! sees what is not committed, so that nothing counts before.

use crate::sql::{Change, Definitions};

/// What one session may be changing, and what it waits for.
#[derive(Debug, Default)]
pub struct Freshness {
    /// The definitions that the transaction may be changing.
    change: Option<Change>,
    /// How many changes the catalogue knows of that was asked for and has not come. Others come unasked, and may have been
    /// read before this session's own changes.
    awaited: Option<u64>,
}

impl Freshness {
    /// A catalogue is asked for in place of the one with these definitions.
    pub fn asked(&mut self, definitions: &Definitions) {
        self.awaited = Some(definitions.made());
    }

    /// A catalogue came; false when another one is still to come that was asked for.
    pub fn came(&mut self, definitions: &Definitions) -> bool {
        self.awaited = self.awaited.filter(|&awaited| definitions.as_of() < awaited);
        self.awaited.is_none()
    }

    /// No catalogue comes.
    pub fn failed(&mut self) {
        self.awaited = None;
    }

    /// A request was sent.
    pub fn sent(&mut self, changes_definitions: bool, definitions: &Definitions) {
        if changes_definitions {
            self.change.get_or_insert_with(|| definitions.change());
        }
        if let Some(change) = &mut self.change {
            change.stir();
        }
    }

    /// What was done so far may be committed, though more may be under way.
    pub fn committed(&self) {
        if let Some(change) = &self.change {
            change.show();
        }
    }

    /// The server has answered all that was sent; outside a transaction the change is over.
    pub fn settled(&mut self, is_idle: bool) {
        if let Some(change) = &mut self.change {
            change.rest();
        }
        if is_idle {
            self.change = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sql::Changes;

    #[test]
    fn a_catalogue_that_was_read_before_it_was_asked_for_is_not_the_answer() {
        let changes = Arc::new(Changes::default());
        let read = |as_of| Definitions::new(Arc::clone(&changes), as_of);
        let (mut freshness, at_hand) = (Freshness::default(), read(0));
        assert!(freshness.came(&at_hand), "nothing was asked for");
        drop(at_hand.change());
        freshness.asked(&at_hand);
        assert!(!freshness.came(&read(0)), "somebody's survey that began before the change");
        assert!(freshness.came(&read(1)));
        assert!(freshness.came(&read(0)), "nothing is asked for any more");
    }
}
