//! What classification says of a text and of each of its statements.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Mistake, StatementKind};
use crate::{
    request::{Footprint, sql::Operation},
    target::Class,
};

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
    /// Whether what is surveyed may not hold afterwards. What a session alone has is in nobody's way.
    pub fn changes_definitions(&self) -> bool {
        self.statements.iter().any(|statement| statement.changes_definitions)
            || self.footprint.sql().any(|access| access.operation == Operation::Unknown)
    }

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
    /// Whether definitions that other sessions have too may be others afterwards.
    pub changes_definitions: bool,
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
