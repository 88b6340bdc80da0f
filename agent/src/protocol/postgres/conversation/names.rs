//! Names that live in the session: prepared statements, cursors, temporary relations.
//!
//! The protocol and SQL text share one space of names each for statements and for cursors. A name means
//! nothing from the moment something is sent that would change it until the server says that it did: a
//! statement that uses it meanwhile is unknown, never mistaken.

use std::sync::Arc;

use super::Conversation;
use crate::sql::{Classified, Prepared, StatementKind};

impl Conversation {
    /// A request was sent that may change what names mean.
    pub(super) fn note_sent(&mut self, classified: &Classified) {
        for statement in &classified.statements {
            self.state.announce(statement);
            match &statement.kind {
                StatementKind::Prepare { name, .. } | StatementKind::Deallocate { name: Some(name) } => {
                    self.state.prepared.remove(name);
                    self.ledger.forget_statement(name.as_bytes());
                }
                StatementKind::Declare { name, .. } | StatementKind::Close { name: Some(name) } => {
                    self.state.cursors.remove(name);
                    self.ledger.forget_portal(name.as_bytes());
                }
                StatementKind::Close { name: None } => {
                    self.state.cursors.clear();
                    self.ledger.forget_portals();
                }
                StatementKind::Deallocate { name: None } | StatementKind::DiscardAll | StatementKind::Unknown => {
                    self.state.prepared.clear();
                    self.state.cursors.clear();
                    self.ledger.forget_all();
                }
                StatementKind::Select
                | StatementKind::Insert
                | StatementKind::Update
                | StatementKind::Delete
                | StatementKind::Merge
                | StatementKind::CopyOut
                | StatementKind::CopyIn
                | StatementKind::CopyServer
                | StatementKind::Begin
                | StatementKind::Commit
                | StatementKind::Rollback
                | StatementKind::Savepoint
                | StatementKind::Execute { .. }
                | StatementKind::Fetch { .. }
                | StatementKind::Set
                | StatementKind::Show
                | StatementKind::ResetAll
                | StatementKind::CreateTemporary { .. }
                | StatementKind::DiscardTemporary
                | StatementKind::DiscardOther
                | StatementKind::Explain { .. }
                | StatementKind::Define
                | StatementKind::Call
                | StatementKind::Utility => {}
            }
        }
    }

    /// The server says that the statement at `index` is complete.
    pub(super) fn note_completed(&mut self, classified: &Classified, index: usize) {
        if let Some(statement) = classified.statements.get(index) {
            self.state.apply(statement);
        }
        self.note_catalogue(classified);
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
        if !name.is_empty() {
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
