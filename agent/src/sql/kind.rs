//! The kinds of statements, and what each means to the session that runs it.
//!
//! A new kind is answered for here and nowhere else: [`StatementKind::trace`] says what it leaves to the statements
//! after it, and whoever keeps track of a session decides by that.

use std::{collections::HashMap, sync::Arc};

use super::{path::PathChange, statement::Prepared};

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
    Transaction(Step),
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

/// What a statement about transactions does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    Begin,
    Commit,
    Rollback,
    /// SAVEPOINT, RELEASE.
    Savepoint,
    /// ROLLBACK TO.
    RollbackTo,
    /// SET TRANSACTION, SET SESSION CHARACTERISTICS.
    Mode,
}

/// What a completed statement leaves in its session.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trace<'k> {
    Nothing,
    /// Another meaning of names of prepared statements.
    Prepared(Naming<'k>),
    /// Another meaning of names of cursors.
    Cursor(Naming<'k>),
    /// A temporary relation.
    Temporary {
        name: &'k str,
        columns: &'k Option<Vec<String>>,
        is_view: bool,
    },
    /// No temporary relation.
    NoTemporary,
    /// Another setting than the search path.
    Setting,
    /// Another search path.
    Path(&'k PathChange),
    /// All settings as they were at the start.
    NoSettings,
    Transaction(Step),
    /// Other definitions in the catalogue.
    Definitions,
    /// Rows that came from no statement.
    Rows,
    /// What code did that was followed; the transaction may be another one.
    Code,
    /// A session as it was at the start.
    Afresh,
    Unknown,
}

/// What names stand for from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Naming<'k> {
    One(&'k str, &'k Arc<Prepared>),
    /// This one stands for nothing.
    Gone(&'k str),
    NoneLeft,
}

/// What a kind of statement does where it stands in code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum InCode {
    /// It puts no rows anywhere.
    Reads,
    Writes,
    /// Something would remain of it that the session has to know, and code is not followed so far.
    Remains,
}

impl StatementKind {
    /// What it leaves in the session once it is complete.
    pub const fn trace(&self) -> Trace<'_> {
        match self {
            Self::Select
            | Self::Insert
            | Self::Update
            | Self::Delete
            | Self::Merge
            | Self::CopyOut
            | Self::CopyIn
            | Self::Execute { .. }
            | Self::Fetch { .. }
            | Self::Show
            | Self::DiscardOther
            | Self::Explain { .. }
            | Self::Utility => Trace::Nothing,
            Self::Prepare { name, statement } => Trace::Prepared(Naming::One(name.as_str(), statement)),
            Self::Deallocate { name: Some(name) } => Trace::Prepared(Naming::Gone(name.as_str())),
            Self::Deallocate { name: None } => Trace::Prepared(Naming::NoneLeft),
            Self::Declare { name, statement } => Trace::Cursor(Naming::One(name.as_str(), statement)),
            Self::Close { name: Some(name) } => Trace::Cursor(Naming::Gone(name.as_str())),
            Self::Close { name: None } => Trace::Cursor(Naming::NoneLeft),
            Self::CreateTemporary { name, columns, is_view } => {
                Trace::Temporary { name: name.as_str(), columns, is_view: *is_view }
            }
            Self::DiscardTemporary => Trace::NoTemporary,
            Self::Set => Trace::Setting,
            Self::SetSearchPath(change) => Trace::Path(change),
            Self::ResetAll => Trace::NoSettings,
            Self::Transaction(step) => Trace::Transaction(*step),
            Self::Define => Trace::Definitions,
            Self::CopyServer => Trace::Rows,
            Self::Call => Trace::Code,
            Self::DiscardAll => Trace::Afresh,
            Self::Unknown => Trace::Unknown,
        }
    }

    /// Whether it never makes the server check what others changed.
    pub const fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Select
                | Self::CopyOut
                | Self::Declare { .. }
                | Self::Fetch { .. }
                | Self::Close { .. }
                | Self::Explain { analyze: false }
                | Self::Show
        )
    }

    /// Whether the planner makes a plan of it, so that PREPARE takes it and EXPLAIN tells what it would cost.
    pub const fn is_planned(&self) -> bool {
        matches!(self, Self::Select | Self::Insert | Self::Update | Self::Delete | Self::Merge)
    }

    /// What it does in code. What is not listed is not followed there.
    pub const fn in_code(&self) -> InCode {
        if matches!(
            self,
            Self::Select | Self::CopyServer | Self::Set | Self::Show | Self::Explain { .. } | Self::Utility
        ) {
            InCode::Reads
        } else if matches!(self, Self::Insert | Self::Update | Self::Delete | Self::Merge | Self::Define | Self::Call) {
            InCode::Writes
        } else {
            InCode::Remains
        }
    }
}

impl Trace<'_> {
    /// Whether what was done so far may be committed when the statement is complete.
    pub const fn may_commit(&self) -> bool {
        match self {
            Self::Transaction(Step::Commit) | Self::Code | Self::Unknown => true,
            Self::Transaction(Step::Begin | Step::Rollback | Step::Savepoint | Step::RollbackTo | Step::Mode)
            | Self::Nothing
            | Self::Prepared(_)
            | Self::Cursor(_)
            | Self::Temporary { .. }
            | Self::NoTemporary
            | Self::Setting
            | Self::Path(_)
            | Self::NoSettings
            | Self::Definitions
            | Self::Rows
            | Self::Afresh => false,
        }
    }

    /// Whether a transaction that was begun READ ONLY may be another one. Only SET can do that, and what runs SET;
    /// `set_config` comes too late, since its query has read already.
    /// <https://www.postgresql.org/docs/current/sql-set-transaction.html>
    pub const fn may_change_mode(&self) -> bool {
        match self {
            Self::Setting
            | Self::NoSettings
            | Self::Afresh
            | Self::Code
            | Self::Unknown
            | Self::Transaction(Step::Mode) => true,
            Self::Transaction(Step::Begin | Step::Commit | Step::Rollback | Step::Savepoint | Step::RollbackTo)
            | Self::Nothing
            | Self::Prepared(_)
            | Self::Cursor(_)
            | Self::Temporary { .. }
            | Self::NoTemporary
            | Self::Path(_)
            | Self::Definitions
            | Self::Rows => false,
        }
    }

    /// Whether unqualified names may be looked up elsewhere; `is_changed`: the end of the transaction changes that.
    pub const fn may_change_path(&self, is_changed: bool) -> bool {
        match self {
            Self::Path(_) | Self::NoSettings | Self::Afresh => true,
            Self::Transaction(Step::Commit | Step::Rollback | Step::Savepoint | Step::RollbackTo | Step::Mode) => {
                is_changed
            }
            Self::Transaction(Step::Begin)
            | Self::Nothing
            | Self::Prepared(_)
            | Self::Cursor(_)
            | Self::Temporary { .. }
            | Self::NoTemporary
            | Self::Setting
            | Self::Definitions
            | Self::Rows
            | Self::Code
            | Self::Unknown => false,
        }
    }
}

impl Naming<'_> {
    /// Gives the names what they stand for.
    pub(super) fn apply(self, names: &mut HashMap<String, Arc<Prepared>>) {
        match self {
            Self::One(name, statement) => {
                names.insert(name.to_owned(), Arc::clone(statement));
            }
            Self::Gone(name) => {
                names.remove(name);
            }
            Self::NoneLeft => names.clear(),
        }
    }

    /// The one name that it is about; `None`: all.
    pub const fn name(&self) -> Option<&str> {
        match self {
            Self::One(name, _) | Self::Gone(name) => Some(name),
            Self::NoneLeft => None,
        }
    }
}
