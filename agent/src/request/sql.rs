//! The accesses of SQL statements: one vocabulary for every SQL server.

use std::{collections::BTreeSet, fmt};

use crate::target::Class;

/// One operation on one resource of a server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    pub operation: Operation,
    pub resource: Resource,
    pub facts: Facts,
}

/// What policy may know of the statement that an access is part of.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Facts {
    /// The statement's first word or words as PostgreSQL's command tags write them: `UPDATE`.
    pub verb: &'static str,
    pub has_where: bool,
    pub has_limit: bool,
    /// The LIMIT or FETCH FIRST of that query level, where it is a constant.
    pub limit: Option<i64>,
    /// How many relations the statement reads and writes in all, each time that it names one.
    pub relations: u32,
}

/// What a statement does to one resource. The names are those of the policy's actions.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Operation {
    /// Opening a session (login). On a [`Database`].
    Connect,
    // Reading and writing a `Table`.
    Select,
    CopyOut,
    Insert,
    Update,
    Delete,
    Merge,
    Truncate,
    CopyIn,
    /// `LOCK TABLE`, `SELECT … FOR UPDATE` on a table that is otherwise only read.
    Lock,
    // Defining a `Table`.
    CreateTable,
    AlterTable,
    DropTable,
    // Defining things in a `Database`.
    CreateDatabase,
    AlterDatabase,
    DropDatabase,
    CreateSchema,
    AlterSchema,
    DropSchema,
    /// Any other object: view, index, function, trigger, type, sequence, extension …
    CreateObject,
    AlterObject,
    DropObject,
    /// VACUUM, ANALYZE, REINDEX, CLUSTER, CHECKPOINT, REFRESH MATERIALIZED VIEW.
    Maintain,
    // Administration, on a `Database`.
    Grant,
    CreateRole,
    AlterRole,
    DropRole,
    SetRole,
    AlterSystem,
    CopyProgram,
    /// COPY to or from a file of the server.
    CopyFile,
    // The rest.
    /// Calling a [`Function`].
    Call,
    /// Changing or reading a [`Setting`] of the session.
    Set,
    /// LISTEN, NOTIFY, UNLISTEN. On a [`Database`].
    Notify,
    /// What could not be parsed or classified. On a [`Database`]; denied unless a rule names it.
    Unknown,
}

impl Operation {
    /// Every operation, in the order of declaration.
    pub const ALL: [Self; 35] = [
        Self::Connect,
        Self::Select,
        Self::CopyOut,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Merge,
        Self::Truncate,
        Self::CopyIn,
        Self::Lock,
        Self::CreateTable,
        Self::AlterTable,
        Self::DropTable,
        Self::CreateDatabase,
        Self::AlterDatabase,
        Self::DropDatabase,
        Self::CreateSchema,
        Self::AlterSchema,
        Self::DropSchema,
        Self::CreateObject,
        Self::AlterObject,
        Self::DropObject,
        Self::Maintain,
        Self::Grant,
        Self::CreateRole,
        Self::AlterRole,
        Self::DropRole,
        Self::SetRole,
        Self::AlterSystem,
        Self::CopyProgram,
        Self::CopyFile,
        Self::Call,
        Self::Set,
        Self::Notify,
        Self::Unknown,
    ];

    /// The policy's name of this action.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Select => "select",
            Self::CopyOut => "copy_out",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Merge => "merge",
            Self::Truncate => "truncate",
            Self::CopyIn => "copy_in",
            Self::Lock => "lock",
            Self::CreateTable => "create_table",
            Self::AlterTable => "alter_table",
            Self::DropTable => "drop_table",
            Self::CreateDatabase => "create_database",
            Self::AlterDatabase => "alter_database",
            Self::DropDatabase => "drop_database",
            Self::CreateSchema => "create_schema",
            Self::AlterSchema => "alter_schema",
            Self::DropSchema => "drop_schema",
            Self::CreateObject => "create_object",
            Self::AlterObject => "alter_object",
            Self::DropObject => "drop_object",
            Self::Maintain => "maintain",
            Self::Grant => "grant",
            Self::CreateRole => "create_role",
            Self::AlterRole => "alter_role",
            Self::DropRole => "drop_role",
            Self::SetRole => "set_role",
            Self::AlterSystem => "alter_system",
            Self::CopyProgram => "copy_program",
            Self::CopyFile => "copy_file",
            Self::Call => "call",
            Self::Set => "set",
            Self::Notify => "notify",
            Self::Unknown => "unknown",
        }
    }
}

/// What an access touches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Resource {
    Database(Database),
    Table(Table),
    Function(Function),
    Setting(Setting),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(database) => write!(f, "database {}", database.name),
            Self::Table(table) => write!(f, "{}/{}.{}", table.database, table.schema, table.name),
            Self::Function(function) => write!(f, "{}/{}.{}()", function.database, function.schema, function.name),
            Self::Setting(setting) => write!(f, "setting {}", setting.name),
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Database {
    pub name: String,
}

/// A table or view as one statement touches it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    pub database: String,
    pub schema: String,
    pub name: String,
    /// Columns that the statement names, with `*` and whole-row references expanded.
    pub columns: BTreeSet<String>,
    /// Data classes anywhere in the table; `None` when nobody has classified it.
    pub classes: Option<BTreeSet<Class>>,
    /// Data classes among the columns whose values may reach the answer, or decide on its rows.
    pub read_classes: BTreeSet<Class>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Function {
    pub database: String,
    pub schema: String,
    pub name: String,
}

/// A setting of the session, as SET, SHOW, RESET and `set_config` name it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    pub database: String,
    /// In lower case, as PostgreSQL compares it.
    pub name: String,
}
