//! What a database holds, as far as classification and masking need it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    ColumnRef, mistake,
    path::{self, Path},
};
use crate::target::Class;

/// A snapshot of one database's catalogue, as one upstream user sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    pub database: String,
    /// The server's major release; `None`: not known.
    pub release: Option<u32>,
    /// Schemas in which an unqualified name is looked up, in order: `pg_catalog` first, as the server does
    /// (`current_schemas(true)` without the temporary schema).
    pub search_path: Vec<String>,
    /// Schemas that the user may look into; the server passes over any other in a search path.
    pub usable: BTreeSet<String>,
    /// The upstream user.
    pub user: String,
    /// Whether a session begins as another role than the one that logs in: `ALTER ROLE … SET role`.
    pub acts_as_another: bool,
    /// Views of `pg_settings`, and views of those: whoever updates one changes settings.
    pub settings: BTreeSet<u32>,
    /// By object identifier.
    pub relations: HashMap<u32, Relation>,
    /// The database's own object identifier: those below are of this one, and of none that has its name later.
    pub oid: u32,
    /// Schemas that hold a function, procedure or aggregate of this name that does not come with the server.
    pub functions: BTreeMap<String, BTreeSet<String>>,
    /// Those among them, by schema and name, that compute from their arguments and do nothing else.
    pub pure: BTreeSet<(String, String)>,
    /// Functions behind operators of this name that do not come with the server and are not pure.
    pub operators: BTreeMap<String, BTreeSet<(String, String)>>,
    /// The same for casts to a type of this name.
    pub casts: BTreeMap<String, BTreeSet<(String, String)>>,
    /// The queries of views and materialised views.
    pub definitions: HashMap<u32, Definition>,
}

/// How a view is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definition {
    pub query: String,
    /// The classes that its columns have by their own names, by attribute number.
    pub own: BTreeMap<i16, Vec<Class>>,
}

impl Catalogue {
    /// Makes a catalogue of ordinary tables from their names, for tests and for policy tables.
    ///
    /// Each table is its schema, its name and its columns with their classes; object identifiers are
    /// numbered from 16384, where those of users start.
    pub fn from_tables<T>(database: &str, search_path: &[&str], tables: T) -> Self
    where
        T: IntoIterator<Item = (String, String, Vec<(String, Vec<Class>)>)>,
    {
        let mut usable: BTreeSet<String> = search_path.iter().map(|&schema| schema.to_owned()).collect();
        let relations = (FIRST_USER_OID..)
            .zip(tables)
            .map(|(oid, (schema, name, columns))| {
                usable.insert(schema.clone());
                let columns: Vec<Column> = (1..)
                    .zip(columns)
                    .map(|(number, (name, classes))| Column { number, name, classes, computed: false })
                    .collect();
                let classified = columns.iter().any(|column| !column.classes.is_empty());
                (oid, Relation { oid, schema, name, kind: RelationKind::Table, columns, classified })
            })
            .collect();
        Self {
            database: database.to_owned(),
            release: Some(mistake::GRAMMAR),
            search_path: search_path.iter().map(|&schema| schema.to_owned()).collect(),
            usable,
            user: String::new(),
            relations,
            ..Self::default()
        }
    }
}

/// Objects below this identifier come with the server: `FirstNormalObjectId` in PostgreSQL's `access/transam.h`.
const FIRST_USER_OID: u32 = 16384;

/// A table, view, foreign table, partition, sequence or index.
#[derive(Clone, Debug, PartialEq)]
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

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The attribute number.
    pub number: i16,
    pub name: String,
    /// Own classes, and for a view those of what its query reads.
    pub classes: Vec<Class>,
    /// Whether a view computes it from what it reads, or nobody knows that it does not.
    pub computed: bool,
}

/// A catalogue with its relations by name, seen from one search path.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub catalogue: Arc<Catalogue>,
    by_schema: Arc<HashMap<String, HashMap<String, u32>>>,
    classified: Arc<HashSet<ColumnRef>>,
    /// Schemas in which an unqualified name is looked up, in order.
    pub path: Vec<String>,
}

impl Names {
    pub fn new(catalogue: Catalogue) -> Self {
        let path = with_server_schema(catalogue.search_path.clone());
        let mut by_schema: HashMap<String, HashMap<String, u32>> = HashMap::new();
        for relation in catalogue.relations.values() {
            by_schema.entry(relation.schema.clone()).or_default().insert(relation.name.clone(), relation.oid);
        }
        let relations = catalogue.relations.values().filter(|relation| relation.classified);
        let columns = relations.flat_map(|relation| relation.columns.iter().map(|column| (relation.oid, column)));
        let classified = columns
            .filter(|(_, column)| !column.classes.is_empty())
            .map(|(relation, column)| ColumnRef { relation, column: column.number })
            .collect();
        Self { catalogue: Arc::new(catalogue), by_schema: Arc::new(by_schema), classified: Arc::new(classified), path }
    }

    /// Where names are looked up under a path that a session has set, as the server reads it.
    pub fn effective(&self, path: &Path) -> Vec<String> {
        let Some(names) = path else { return with_server_schema(self.catalogue.search_path.clone()) };
        let names = names.iter().map(|name| if name == path::USER { &self.catalogue.user } else { name });
        let usable = names.filter(|&name| name == path::SERVER || self.catalogue.usable.contains(name));
        let mut effective: Vec<String> = Vec::new();
        for name in usable {
            if !effective.contains(name) {
                effective.push(name.clone());
            }
        }
        with_server_schema(effective)
    }

    /// The same catalogue from another path.
    pub fn under(&self, path: Vec<String>) -> Self {
        Self { path, ..self.clone() }
    }

    /// Finds a relation by its full name.
    pub fn relation(&self, schema: &str, name: &str) -> Option<&Relation> {
        let oid = self.by_schema.get(schema)?.get(name)?;
        self.catalogue.relations.get(oid)
    }

    /// Finds a relation as an unqualified name does, temporary ones aside.
    pub fn visible(&self, name: &str) -> Option<&Relation> {
        self.path.iter().find_map(|schema| self.relation(schema, name))
    }

    /// Whether an update of this relation changes settings of the session.
    pub fn is_settings(&self, relation: &Relation) -> bool {
        let is_own = relation.schema == path::SERVER && relation.name == SETTINGS;
        is_own || self.catalogue.settings.contains(&relation.oid)
    }

    /// Whether anything in this database is classified.
    pub fn has_classes(&self) -> bool {
        !self.classified.is_empty()
    }

    pub fn is_classified(&self, column: ColumnRef) -> bool {
        self.classified.contains(&column)
    }

    /// The classes of one column; empty when the column is not known.
    pub fn classes(&self, column: ColumnRef) -> &[Class] {
        self.column(column).map_or(&[], |(_, known)| &known.classes)
    }

    /// `schema.table.column`.
    pub fn full_name(&self, column: ColumnRef) -> String {
        self.column(column).map_or_else(String::new, |(relation, known)| {
            format!("{}.{}.{}", relation.schema, relation.name, known.name)
        })
    }

    fn column(&self, column: ColumnRef) -> Option<(&Relation, &Column)> {
        let relation = self.catalogue.relations.get(&column.relation)?;
        let known = relation.columns.iter().find(|known| known.number == column.column)?;
        Some((relation, known))
    }

    /// Where an unqualified name is created: the first schema of the search path that is not the server's own.
    pub fn creation_schema(&self) -> Option<&str> {
        self.path.iter().map(String::as_str).find(|&schema| schema != "pg_catalog")
    }

    /// The schemas in which a relation that the catalogue lacks could be, when its name is unqualified.
    pub fn only_user_schema(&self) -> Option<&str> {
        let mut schemas = self.path.iter().filter(|schema| *schema != "pg_catalog");
        let first = schemas.next()?;
        schemas.next().is_none().then_some(first)
    }
}

/// The server's view of the settings, which sets one that is updated there.
/// <https://www.postgresql.org/docs/current/view-pg-settings.html>
pub const SETTINGS: &str = "pg_settings";

/// The server looks into its own schema first where a path does not name it.
fn with_server_schema(mut schemas: Vec<String>) -> Vec<String> {
    if !schemas.iter().any(|schema| schema == path::SERVER) {
        schemas.insert(0, path::SERVER.to_owned());
    }
    schemas
}
