//! What a database's columns were classified as, for as long as the daemon runs: nobody takes a class away by renaming
//! a table or by writing another comment.

use std::collections::{BTreeMap, HashMap};

use super::comment::Comments;
use crate::{
    sql::{Catalogue, ColumnRef, RelationKind},
    target::{Class, ColumnName, Target},
};

/// The classes that columns of one database had, by identifier: a table that is renamed, moved or taken out of its
/// partitioned parent keeps them.
#[derive(Debug, Default)]
pub struct Seen {
    database: u32,
    configured: BTreeMap<ColumnName, Vec<Class>>,
    classes: HashMap<ColumnRef, Vec<Class>>,
    comments: Comments,
}

impl Seen {
    /// Forgets everything if the database is another of the same name, and all but what comments gave if its classes are
    /// configured anew.
    pub fn begin(&mut self, database: u32, target: &Target) {
        if self.database != database {
            *self = Self { database, ..Self::default() };
        }
        if self.configured != target.classes {
            self.configured.clone_from(&target.classes);
            self.classes.clear();
        }
    }

    /// Adds what a comment says of a column, or with column zero of a whole relation; false when there are too many.
    pub fn comment(&mut self, relation: u32, column: i16, comment: &str) -> bool {
        self.comments.add(relation, column, comment)
    }

    /// Remembers what is classified. Views are left out: their classes follow from their queries.
    pub fn note(&mut self, catalogue: &Catalogue) {
        for relation in catalogue.relations.values().filter(|relation| relation.classified) {
            match relation.kind {
                RelationKind::View | RelationKind::MaterializedView => continue,
                RelationKind::Table | RelationKind::Foreign | RelationKind::Sequence | RelationKind::Other => {}
            }
            for column in relation.columns.iter().filter(|column| !column.classes.is_empty()) {
                let key = ColumnRef { relation: relation.oid, column: column.number };
                self.classes.insert(key, column.classes.clone());
            }
        }
    }

    pub fn of(&self, column: ColumnRef) -> impl Iterator<Item = &Class> {
        let noted = self.classes.get(&column).into_iter().flatten();
        noted.chain(self.comments.of(column.relation, column.column))
    }
}
