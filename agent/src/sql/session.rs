//! What a session has made, and where it looks names up.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    Output, Prepared, RelationName, Statement, TEMPORARY_SCHEMA,
    kind::{Step, Trace},
    path::SearchPath,
};

/// What a session has made that later statements refer to by name. The session owns it, and applies each
/// statement once the server has said that it is complete.
#[derive(Clone, Debug, Default)]
pub struct SessionState {
    /// Statements by PREPARE and by the protocol's Parse.
    pub prepared: HashMap<String, Arc<Prepared>>,
    /// Cursors by DECLARE and portals by the protocol's Bind.
    pub cursors: HashMap<String, Arc<Prepared>>,
    /// Temporary relations by name.
    pub temporary: HashMap<String, Own>,
    /// Relations that this transaction has made: no catalogue has them before it is committed.
    pub made: BTreeMap<RelationName, Own>,
    /// Whether this transaction may have made functions that no catalogue has before it is committed: any value that a
    /// statement computes with may be handed to one.
    pub brought_code: bool,
    /// Where unqualified names are looked up.
    pub path: SearchPath,
}

/// A relation of one session, which no catalogue knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Own {
    /// In order; `None`: not known.
    pub columns: Option<Vec<String>>,
    /// What any of them may hold. `opaque` where code that is not known may have filled it.
    pub held: Output,
    /// Whether the server has not yet said that it exists: until then, it may hold anything.
    pub is_announced: bool,
}

impl Own {
    fn announced() -> Self {
        Self { is_announced: true, ..Self::default() }
    }

    fn fill(&mut self, statement: &Statement) {
        if statement.sink {
            self.held.columns.extend(&statement.flows);
            self.held.opaque |= statement.opaque_flow;
            self.held.computed = true;
        }
    }

    fn make(&mut self, columns: &Option<Vec<String>>, statement: &Statement) {
        self.columns.clone_from(columns);
        self.is_announced = false;
        self.fill(statement);
    }
}

impl SessionState {
    /// Takes note of a statement that may run from now on.
    pub fn announce(&mut self, statement: &Statement) {
        self.change_own(statement);
        self.brought_code |= statement.brings_code;
        if let Trace::Temporary { name, .. } = statement.kind.trace() {
            self.temporary.entry(name.to_owned()).or_insert_with(Own::announced);
        }
        for name in statement.creates.keys() {
            self.made.entry(name.clone()).or_insert_with(Own::announced);
        }
    }

    /// The relation of the session's own that has this name, where no catalogue is asked.
    pub(super) fn own(&self, schema: &str, name: &str) -> Option<&Own> {
        match schema {
            TEMPORARY_SCHEMA => self.temporary.get(name),
            _ if self.made.is_empty() => None,
            _ => self.made.get(&(schema.to_owned(), name.to_owned())),
        }
    }

    /// Whether any relation of the session's own is named so, in whatever schema.
    pub(super) fn has_own(&self, names: &BTreeSet<String>) -> bool {
        self.temporary.keys().chain(self.made.keys().map(|(_, name)| name)).any(|name| names.contains(name))
    }

    fn own_mut(&mut self, (schema, name): &RelationName) -> Option<&mut Own> {
        match schema.as_str() {
            TEMPORARY_SCHEMA => self.temporary.get_mut(name),
            _ => self.made.get_mut(&(schema.clone(), name.clone())),
        }
    }

    /// What becomes of the relations that there are.
    fn change_own(&mut self, statement: &Statement) {
        for name in &statement.fills {
            if let Some(own) = self.own_mut(name) {
                own.fill(statement);
            }
        }
        for name in &statement.reshapes {
            if let Some(own) = self.own_mut(name) {
                own.columns = None;
            }
        }
        if statement.may_fill_all {
            self.temporary.values_mut().for_each(|own| own.held.opaque = true);
        }
        if statement.may_fill_all || statement.may_overturn {
            self.made.values_mut().for_each(|own| own.held.opaque = true);
        }
    }

    /// Takes note of what a completed statement has made or removed.
    ///
    /// A transaction that is rolled back leaves names behind here; they only ever make the answer wider,
    /// because a name that is also in the catalogue is judged as both.
    pub fn apply(&mut self, statement: &Statement) {
        for (name, columns) in &statement.creates {
            let own = self.made.entry(name.clone()).or_default();
            own.make(columns, statement);
            own.held.opaque |= columns.is_none();
        }
        self.change_own(statement);
        match statement.kind.trace() {
            Trace::Prepared(naming) => naming.apply(&mut self.prepared),
            Trace::Cursor(naming) => naming.apply(&mut self.cursors),
            // What stood there may stand there again after a rollback, so that its values stay among those held.
            Trace::Temporary { name, columns, is_view } => {
                let own = self.temporary.entry(name.to_owned()).or_default();
                own.make(columns, statement);
                own.held.opaque |= is_view;
            }
            Trace::NoTemporary => self.temporary.clear(),
            Trace::Path(change) => self.path.change(change),
            Trace::NoSettings => self.path.reset(),
            Trace::Transaction(step) => self.take(step),
            Trace::Afresh => {
                self.path.reset();
                *self = Self { path: self.path.clone(), ..Self::default() };
            }
            Trace::Nothing | Trace::Setting | Trace::Definitions | Trace::Rows | Trace::Code | Trace::Unknown => {}
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Commit => {
                self.made.clear();
                self.path.commit();
            }
            Step::Rollback => {
                self.made.clear();
                self.path.roll_back();
            }
            Step::RollbackTo => self.path.roll_back_to(),
            Step::Begin | Step::Savepoint | Step::Mode => {}
        }
    }
}
