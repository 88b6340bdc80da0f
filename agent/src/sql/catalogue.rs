//! What a database holds, as far as classification and masking need it.

use std::collections::HashMap;

use crate::target::Class;

/// A snapshot of one database's catalogue, as one upstream user sees it.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    pub database: String,
    /// Schemas in which an unqualified name is looked up, in order: `pg_catalog` first, as the server does
    /// (`current_schemas(true)` without the temporary schema).
    pub search_path: Vec<String>,
    /// By object identifier.
    pub relations: HashMap<u32, Relation>,
}

/// A table, view, foreign table, partition, sequence or index.
#[derive(Clone, Debug)]
pub struct Relation {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub kind: RelationKind,
    /// By attribute number, from 1; dropped columns are left out.
    pub columns: Vec<Column>,
    /// Whether anyone has classified this table (a class on any of its columns).
    pub classified: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RelationKind {
    Table,
    View,
    MaterializedView,
    Foreign,
    Sequence,
    Other,
}

#[derive(Clone, Debug)]
pub struct Column {
    /// The attribute number.
    pub number: i16,
    pub name: String,
    /// Own classes, and for a view those of every base column that the view can reach.
    pub classes: Vec<Class>,
}
