//! Names that live in the session: prepared statements, cursors, temporary relations.
//!
//! The protocol and SQL text share one space of names each for statements and for cursors. A name means
//! nothing from the moment something is sent that would change it until the server says that it did: a
//! statement that uses it meanwhile is unknown, never mistaken.

use std::sync::Arc;

use super::Conversation;
use crate::protocol::postgres::codec::backend::Status;
use crate::sql::{Classified, Classifier, Naming, Prepared, Trace};

impl Conversation {
    /// A request was sent that may change what names mean.
    pub(super) fn note_sent(&mut self, classified: &Classified) {
        self.record.sent(classified);
        self.freshness.sent(classified.changes_definitions(), self.surveyed.definitions());
        for statement in &classified.statements {
            self.state.announce(statement);
            if statement.forgets_names {
                self.forget_names();
            }
            self.forget_named(statement.kind.trace());
        }
    }

    /// From now until the server says what became of it, names that a statement gives another meaning mean nothing.
    fn forget_named(&mut self, trace: Trace<'_>) {
        match trace {
            Trace::Prepared(naming) => match naming.name() {
                Some(name) => {
                    self.state.prepared.remove(name);
                    self.ledger.forget_statement(name.as_bytes());
                }
                None => self.forget_names(),
            },
            Trace::Cursor(naming) => match naming.name() {
                Some(name) => {
                    self.state.cursors.remove(name);
                    self.ledger.forget_portal(name.as_bytes());
                }
                None => {
                    self.state.cursors.clear();
                    self.ledger.forget_portals();
                }
            },
            Trace::Afresh | Trace::Unknown => self.forget_names(),
            Trace::Nothing
            | Trace::Temporary { .. }
            | Trace::NoTemporary
            | Trace::Setting
            | Trace::Path(_)
            | Trace::NoSettings
            | Trace::Transaction(_)
            | Trace::Definitions
            | Trace::Rows
            | Trace::Code => {}
        }
    }

    fn forget_names(&mut self) {
        self.state.prepared.clear();
        self.state.cursors.clear();
        self.ledger.forget_all();
    }

    /// The server says that the statement at `index` is complete.
    pub(super) fn note_completed(&mut self, classified: &Classified, index: usize, tag: &[u8], rows: u64) {
        let statement = classified.statements.get(index);
        if let Some(statement) = statement {
            self.state.apply(statement);
            self.follow_path();
            self.record.completed(statement, tag, rows);
            if let Trace::Cursor(Naming::One(name, _)) = statement.kind.trace() {
                self.cursors.insert(name.to_owned(), Arc::default());
            }
        }
        self.cursors.retain(|name, _| self.state.cursors.contains_key(name));
        if statement.is_none_or(|statement| statement.kind.trace().may_commit()) {
            self.freshness.committed();
        }
    }

    /// Whether a request that is about to be sent may change where the names of later ones are looked up.
    pub(super) fn may_change_path(&self, classified: &Classified) -> bool {
        let is_changed = self.state.path.is_changed() || self.ledger.may_change_path();
        classified.statements.iter().any(|statement| statement.kind.trace().may_change_path(is_changed))
    }

    /// Whether the search path is another one when what is sent now is run. A path that the transaction has
    /// changed lasts while the transaction was begun by hand and nothing that ends it is under way.
    pub(super) fn is_path_pending(&self) -> bool {
        let ends_by_itself = self.state.path.is_changed() && self.status != Status::InTransaction;
        self.ledger.may_change_path() || (ends_by_itself && !self.ledger.is_settled())
    }

    /// The transaction is over, by itself or by COMMIT or ROLLBACK.
    pub(super) fn note_transaction_end(&mut self) {
        self.state.made.clear();
        self.state.path.commit();
        self.follow_path();
    }

    /// The server reported an error: whatever the transaction did to the search path is undone.
    pub(super) fn note_failure(&mut self) {
        self.state.path.fail();
        self.follow_path();
    }

    /// The catalogue as this session's unqualified names see it.
    pub(super) fn by_path(&self) -> Arc<Classifier> {
        // Where the path is not known, statements that look names up are not known either.
        let nowhere = || Some(Arc::from([]));
        self.surveyed.under(self.state.path.now().unwrap_or(&nowhere()))
    }

    /// Names are looked up elsewhere: the server would plan a prepared statement anew, and has planned portals before.
    fn follow_path(&mut self) {
        self.state.path.pend(false);
        let classifier = self.by_path();
        if !Arc::ptr_eq(&classifier, &self.classifier) {
            self.classifier = classifier;
            self.state.prepared.clear();
            self.ledger.forget_portals();
        }
    }

    /// A Parse was sent.
    pub(super) fn note_parsing(&mut self, name: &[u8]) {
        if let Ok(name) = str::from_utf8(name) {
            self.state.prepared.remove(name);
        }
    }

    /// The server says that a Parse is complete: SQL text may EXECUTE it from now on.
    pub(super) fn note_parsed(&mut self, name: &[u8]) {
        let Some(prepared) = self.ledger.settled_statement(name) else { return };
        let (Ok(name), [statement]) = (str::from_utf8(name), prepared.classified.statements.as_slice()) else { return };
        // Unlike PREPARE, Parse takes any statement, of which EXECUTE would leave what nobody takes note of.
        if !name.is_empty() && statement.kind.is_planned() {
            let prepared = Prepared { statement: statement.clone(), footprint: prepared.classified.footprint.clone() };
            self.state.prepared.insert(name.to_owned(), Arc::new(prepared));
        }
    }

    /// A Bind was sent: a cursor of that name is gone, or the Bind will fail.
    pub(super) fn note_binding(&mut self, name: &[u8]) {
        if let Ok(name) = str::from_utf8(name) {
            self.state.cursors.remove(name);
        }
    }
}
