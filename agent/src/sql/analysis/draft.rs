//! An access while it is collected: columns are added until the statement's end.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    request::sql::{Access, Facts, Operation, Resource, Table},
    sql::{TEMPORARY_SCHEMA, catalogue::Names},
    target::Class,
};

/// An access that may still gain columns.
#[derive(Debug)]
pub enum Draft {
    Table(TableDraft),
    Other(Access),
}

#[derive(Debug)]
pub struct TableDraft {
    pub operation: Operation,
    /// The catalogue's identifier; `None` for a table that this session has just made.
    pub relation: Option<u32>,
    pub schema: String,
    pub name: String,
    pub columns: BTreeSet<String>,
    pub facts: Facts,
}

impl TableDraft {
    /// Whether it is of the session's temporary schema, where no other session looks.
    fn is_temporary(&self) -> bool {
        self.relation.is_none() && self.schema == TEMPORARY_SCHEMA
    }

    pub fn is_same(&self, other: &Self) -> bool {
        (self.operation, self.relation, &self.facts, &self.name, &self.schema)
            == (other.operation, other.relation, &other.facts, &other.name, &other.schema)
    }
}

impl Draft {
    /// `relations`: how many the statement names; one that runs what was prepared names those of what it runs.
    pub fn complete(self, names: &Names, read: &BTreeMap<u32, BTreeSet<Class>>, relations: u32) -> Access {
        let counted = |facts: Facts| Facts { relations: relations.max(facts.relations), ..facts };
        let draft = match self {
            Self::Other(access) => return Access { facts: counted(access.facts), ..access },
            Self::Table(draft) => draft,
        };
        let relation = draft.relation.and_then(|oid| names.catalogue.relations.get(&oid));
        let classes = relation
            .filter(|relation| relation.classified)
            .map(|relation| relation.columns.iter().flat_map(|column| &column.classes).cloned().collect());
        let read_classes = draft.relation.and_then(|oid| read.get(&oid)).cloned().unwrap_or_default();
        let table = Table {
            database: names.catalogue.database.clone(),
            schema: draft.schema,
            name: draft.name,
            columns: draft.columns,
            classes,
            read_classes,
        };
        Access { operation: draft.operation, resource: Resource::Table(table), facts: counted(draft.facts) }
    }
}

impl Draft {
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Other(access) if access.operation == Operation::Unknown)
    }

    /// The relation of the catalogue that it is an access to.
    pub fn relation(&self) -> Option<u32> {
        match self {
            Self::Table(draft) => draft.relation,
            Self::Other(_) => None,
        }
    }

    /// The relation into which it puts rows.
    pub fn written(&self) -> Option<u32> {
        match self {
            Self::Table(draft) if stores(draft.operation) => draft.relation,
            Self::Table(_) | Self::Other(_) => None,
        }
    }

    /// Whether it names a column.
    pub fn names(&self, column: &str) -> bool {
        matches!(self, Self::Table(draft) if draft.columns.contains(column))
    }

    /// Whether definitions that others have too may be other ones after it.
    pub fn changes_definitions(&self) -> bool {
        match self {
            Self::Table(draft) => changes_definitions(draft.operation) && !draft.is_temporary(),
            Self::Other(access) => changes_definitions(access.operation),
        }
    }

    /// Whether it makes an object that is no table.
    pub fn makes_object(&self) -> bool {
        matches!(self, Self::Other(access) if access.operation == Operation::CreateObject)
    }

    /// Whether names may mean something else after it.
    pub fn redefines(&self) -> bool {
        let operation = match self {
            Self::Table(draft) => draft.operation,
            Self::Other(access) => access.operation,
        };
        redefines(operation)
    }
}

/// Whether names may mean something else after an operation.
pub fn redefines(operation: Operation) -> bool {
    match operation {
        Operation::AlterTable
        | Operation::DropTable
        | Operation::CreateSchema
        | Operation::AlterSchema
        | Operation::DropSchema
        | Operation::CreateObject
        | Operation::AlterObject
        | Operation::DropObject
        | Operation::AlterDatabase
        | Operation::Grant
        | Operation::AlterRole
        | Operation::DropRole
        | Operation::Unknown => true,
        Operation::Connect
        | Operation::Select
        | Operation::CopyOut
        | Operation::Insert
        | Operation::Update
        | Operation::Delete
        | Operation::Merge
        | Operation::Truncate
        | Operation::CopyIn
        | Operation::Lock
        | Operation::CreateTable
        | Operation::CreateDatabase
        | Operation::DropDatabase
        | Operation::Maintain
        | Operation::CreateRole
        | Operation::SetRole
        | Operation::AlterSystem
        | Operation::CopyProgram
        | Operation::CopyFile
        | Operation::Call
        | Operation::Set
        | Operation::Notify => false,
    }
}

/// Whether definitions may be others than they were surveyed after an operation.
pub const fn changes_definitions(operation: Operation) -> bool {
    match operation {
        Operation::CreateTable
        | Operation::AlterTable
        | Operation::DropTable
        | Operation::CreateSchema
        | Operation::AlterSchema
        | Operation::DropSchema
        | Operation::CreateObject
        | Operation::AlterObject
        | Operation::DropObject
        | Operation::AlterDatabase
        | Operation::Grant
        | Operation::AlterRole
        | Operation::SetRole
        | Operation::Unknown => true,
        Operation::Connect
        | Operation::Select
        | Operation::CopyOut
        | Operation::Insert
        | Operation::Update
        | Operation::Delete
        | Operation::Merge
        | Operation::Truncate
        | Operation::CopyIn
        | Operation::Lock
        | Operation::CreateDatabase
        | Operation::DropDatabase
        | Operation::Maintain
        | Operation::CreateRole
        | Operation::DropRole
        | Operation::AlterSystem
        | Operation::CopyProgram
        | Operation::CopyFile
        | Operation::Call
        | Operation::Set
        | Operation::Notify => false,
    }
}

/// Whether an operation puts rows into a table.
fn stores(operation: Operation) -> bool {
    matches!(operation, Operation::Insert | Operation::Update | Operation::Merge | Operation::CopyIn)
}
