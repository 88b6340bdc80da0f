//! What classification says of a text and of each of its statements.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::path::{PathChange, SearchPath};
use crate::{request::Footprint, target::Class};

/// A text, understood as far as it can be: what it touches, and its statements in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classified {
    /// The accesses of all statements together, and why any of them is unknown.
    pub footprint: Arc<Footprint>,
    pub statements: Vec<Statement>,
    /// Whether a relation was missing from the catalogue: after a new survey the answer may differ.
    pub unknown_relations: bool,
    /// Unqualified relation names: an answer from the cache does not hold where one of them is temporary.
    pub(super) unqualified: BTreeSet<String>,
    /// Whether the answer depends on the session's prepared statements, cursors or temporary relations.
    pub(super) depends_on_session: bool,
    /// Whether other integers in the same places would give the same answer.
    pub(super) numbers_inert: bool,
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
    /// The classes of what is stored so.
    pub stored_classes: BTreeSet<Class>,
    /// Tables and views that it makes, by schema and name.
    pub creates: BTreeSet<(String, String)>,
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
    /// CREATE of a temporary table, view or sequence, and SELECT INTO one.
    CreateTemporary {
        name: String,
    },
    /// Anything that changes what the catalogue holds.
    Define,
    Call,
    /// Anything else that is understood.
    Utility,
    /// What is not understood.
    Unknown,
}

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
    /// Names of temporary relations.
    pub temporary: HashSet<String>,
    /// Tables and views that this transaction has made: no catalogue has them before it is committed.
    pub created: BTreeSet<(String, String)>,
    /// Where unqualified names are looked up.
    pub path: SearchPath,
}

impl SessionState {
    /// Takes note of what a completed statement has made or removed.
    ///
    /// A transaction that is rolled back leaves names behind here; they only ever make the answer wider,
    /// because a name that is also in the catalogue is judged as both.
    pub fn apply(&mut self, statement: &Statement) {
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
            StatementKind::CreateTemporary { name } => {
                self.temporary.insert(name.clone());
            }
            StatementKind::DiscardAll => {
                self.path.reset();
                *self = Self { path: self.path.clone(), ..Self::default() };
            }
            StatementKind::SetSearchPath(change) => self.path.change(change),
            StatementKind::ResetAll => self.path.reset(),
            StatementKind::Commit => {
                self.created.clear();
                self.path.commit();
            }
            StatementKind::Rollback => {
                self.created.clear();
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
