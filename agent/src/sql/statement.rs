//! What classification says of a text and of each of its statements.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    Mistake,
    path::{PathChange, SearchPath},
};
use crate::{request::Footprint, target::Class};

/// A text, understood as far as it can be: what it touches, and its statements in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classified {
    /// The accesses of all statements together, and why any of them is unknown.
    pub footprint: Arc<Footprint>,
    pub statements: Vec<Statement>,
    /// Set where the server would refuse the text as well, before it looked anything up.
    pub mistake: Option<Mistake>,
    /// Whether a relation was missing from the catalogue: after a new survey the answer may differ.
    pub unknown_relations: bool,
    /// Whether a name, a table of the session's own or the search path was not known: what earlier requests are still to
    /// be answered may tell.
    pub is_premature: bool,
    /// The names of relations without their schemas: an answer from the cache does not hold where a session has one of
    /// its own by such a name.
    pub(super) named: BTreeSet<String>,
    /// Whether the answer depends on the session's prepared statements, cursors or temporary relations.
    pub(super) depends_on_session: bool,
    /// Whether other integers in the same places would give the same answer.
    pub(super) numbers_inert: bool,
}

impl Classified {
    /// Whether another session, or this one later, may be told otherwise.
    pub fn depends_on_session(&self) -> bool {
        self.depends_on_session
    }
}

/// One statement of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub kind: StatementKind,
    /// The command, as PostgreSQL's command tags write it.
    pub verb: &'static str,
    /// Whether the server may answer with rows.
    pub returns_rows: bool,
    /// Base columns whose values may reach the answer, or with `sink` a place where they are stored.
    pub flows: BTreeSet<ColumnRef>,
    /// The classes of `flows`.
    pub flow_classes: BTreeSet<Class>,
    /// Whether values of unknown origin may reach the answer or a place where they are stored.
    pub opaque_flow: bool,
    /// Whether values that are read are also stored: INSERT … SELECT, CREATE TABLE AS, SELECT INTO,
    /// UPDATE from other columns, COPY to a file or program, `set_config`, `pg_notify`.
    pub sink: bool,
    /// Whether it begins a transaction that may not write.
    pub is_read_only: bool,
    /// Whether it writes rows that its command tag does not count: in WITH, or under EXPLAIN ANALYZE.
    pub writes_within: bool,
    /// The classes of what is stored so.
    pub stored_classes: BTreeSet<Class>,
    /// Whether values of unknown origin are stored so, in a database that has classified ones.
    pub stored_opaque: bool,
    /// Relations of the session's own into which it may put what it stores.
    pub fills: BTreeSet<RelationName>,
    /// Whether it may put anything into any of them: it runs code that is not known.
    pub may_fill_all: bool,
    /// Whether names of cursors and prepared statements may mean something else afterwards.
    pub forgets_names: bool,
    /// Whether it was judged by the bodies of functions that it calls, as they were then.
    pub rests_on_bodies: bool,
    /// Relations that it makes for all to see once it is committed, with their columns where they are known.
    pub creates: BTreeMap<RelationName, Option<Vec<String>>>,
    /// Relations of the session's own that have other columns afterwards.
    pub reshapes: BTreeSet<RelationName>,
    /// Whether a relation that the transaction has made may be another one afterwards, or show what others hold.
    pub may_overturn: bool,
    /// Whether it may make, or change, what runs where a cast, an operator, a domain or a function's name stands.
    pub brings_code: bool,
    /// Each column of the answer in order; `None` when their number is not known.
    pub outputs: Option<Vec<Output>>,
}

/// Where the values of one column of the answer come from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Output {
    pub columns: BTreeSet<ColumnRef>,
    pub classes: BTreeSet<Class>,
    /// Whether values of unknown origin may be among them.
    pub opaque: bool,
    /// Whether a value may be something else than one of the columns' as it stands: what remains of it under a
    /// mask could be chosen by the statement.
    pub computed: bool,
    /// Whether it is read from a temporary relation, of which this session knows more than a catalogue does.
    pub is_temporary: bool,
}

/// A column of the catalogue, as RowDescription names origins: object identifier and attribute number.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ColumnRef {
    pub relation: u32,
    pub column: i16,
}

/// What a statement does to the session, beside what it touches.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// SELECT, VALUES, TABLE.
    Select,
    Insert,
    Update,
    Delete,
    Merge,
    /// COPY to the client.
    CopyOut,
    /// COPY from the client.
    CopyIn,
    /// COPY between a table and a file or program of the server.
    CopyServer,
    Begin,
    Commit,
    Rollback,
    /// SAVEPOINT, RELEASE, ROLLBACK TO, SET TRANSACTION.
    Savepoint,
    /// PREPARE: what the name stands for afterwards.
    Prepare {
        name: String,
        statement: Arc<Prepared>,
    },
    Execute {
        name: String,
    },
    /// DEALLOCATE, of one name or of all.
    Deallocate {
        name: Option<String>,
    },
    /// DECLARE CURSOR: what the name stands for afterwards.
    Declare {
        name: String,
        statement: Arc<Prepared>,
    },
    /// FETCH, or MOVE, which answers with no rows.
    Fetch {
        name: String,
    },
    /// CLOSE, of one cursor or of all.
    Close {
        name: Option<String>,
    },
    Set,
    /// SET, RESET or `set_config` of the search path.
    SetSearchPath(PathChange),
    Show,
    /// RESET ALL.
    ResetAll,
    /// DISCARD ALL: prepared statements, cursors, temporary relations and settings are gone.
    DiscardAll,
    /// DISCARD TEMP.
    DiscardTemporary,
    /// DISCARD PLANS, DISCARD SEQUENCES.
    DiscardOther,
    /// EXPLAIN; with ANALYZE the statement runs.
    Explain {
        analyze: bool,
    },
    /// CREATE of a temporary table, view or sequence, and SELECT INTO one; with its columns where they are known.
    CreateTemporary {
        name: String,
        columns: Option<Vec<String>>,
        /// Whether it shows what others hold, now and later.
        is_view: bool,
    },
    /// Anything that changes what the catalogue holds.
    Define,
    Call,
    /// Anything else that is understood.
    Utility,
    /// What is not understood.
    Unknown,
}

/// A relation's schema and name; the schema of those that are temporary is [`TEMPORARY_SCHEMA`].
pub type RelationName = (String, String);

/// The schema under which temporary relations are named, whatever the server calls it.
pub const TEMPORARY_SCHEMA: &str = "pg_temp";

/// A statement that waits under a name, with what it touches when it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    pub statement: Statement,
    pub footprint: Arc<Footprint>,
}

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
        if let StatementKind::CreateTemporary { name, .. } = &statement.kind {
            self.temporary.entry(name.clone()).or_insert_with(Own::announced);
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
        match &statement.kind {
            StatementKind::Prepare { name, statement } => {
                self.prepared.insert(name.clone(), Arc::clone(statement));
            }
            StatementKind::Deallocate { name: Some(name) } => {
                self.prepared.remove(name);
            }
            StatementKind::Deallocate { name: None } => self.prepared.clear(),
            StatementKind::Declare { name, statement } => {
                self.cursors.insert(name.clone(), Arc::clone(statement));
            }
            StatementKind::Close { name: Some(name) } => {
                self.cursors.remove(name);
            }
            StatementKind::Close { name: None } => self.cursors.clear(),
            // What stood there may stand there again after a rollback, so that its values stay among those held.
            StatementKind::CreateTemporary { name, columns, is_view } => {
                let own = self.temporary.entry(name.clone()).or_default();
                own.make(columns, statement);
                own.held.opaque |= *is_view;
            }
            StatementKind::DiscardAll => {
                self.path.reset();
                *self = Self { path: self.path.clone(), ..Self::default() };
            }
            StatementKind::SetSearchPath(change) => self.path.change(change),
            StatementKind::ResetAll => self.path.reset(),
            StatementKind::Commit => {
                self.made.clear();
                self.path.commit();
            }
            StatementKind::Rollback => {
                self.made.clear();
                self.path.roll_back();
            }
            StatementKind::Savepoint if statement.verb == "ROLLBACK" => self.path.roll_back_to(),
            StatementKind::DiscardTemporary => self.temporary.clear(),
            StatementKind::Select
            | StatementKind::Insert
            | StatementKind::Update
            | StatementKind::Delete
            | StatementKind::Merge
            | StatementKind::CopyOut
            | StatementKind::CopyIn
            | StatementKind::CopyServer
            | StatementKind::Begin
            | StatementKind::Savepoint
            | StatementKind::Execute { .. }
            | StatementKind::Fetch { .. }
            | StatementKind::Set
            | StatementKind::Show
            | StatementKind::DiscardOther
            | StatementKind::Explain { .. }
            | StatementKind::Define
            | StatementKind::Call
            | StatementKind::Utility
            | StatementKind::Unknown => {}
        }
    }
}
