//! Accesses while they are collected: columns are added until the statement's end.

use std::collections::BTreeSet;

use super::{
    Analysis,
    draft::{Draft, TableDraft},
    flow::{Row, Slot},
};
use crate::request::{
    ACCESSES_MAX,
    sql::{Access, Database, Facts, Function, Operation, Resource, Setting},
};

/// What is there cannot be made anew.
pub const SERVER_SCHEMA: &str = "pg_catalog";

impl Analysis<'_> {
    /// Notes an access to a table, or finds the one of the same operation and level.
    pub(super) fn draft(&mut self, operation: Operation, relation: Option<u32>, schema: &str, name: &str) -> usize {
        let facts = self.facts();
        let known = self.found.accesses.iter().position(|draft| match draft {
            Draft::Table(known) => {
                known.operation == operation
                    && known.relation == relation
                    && known.facts == facts
                    && known.name == name
                    && known.schema == schema
            }
            Draft::Other(_) => false,
        });
        known.unwrap_or_else(|| {
            if !self.has_room() {
                return usize::MAX;
            }
            let (schema, name, columns) = (schema.to_owned(), name.to_owned(), BTreeSet::new());
            self.found.accesses.push(Draft::Table(TableDraft { operation, relation, schema, name, columns, facts }));
            self.found.accesses.len() - 1
        })
    }

    pub(super) fn facts(&self) -> Facts {
        Facts {
            verb: self.level.verb,
            has_where: self.level.has_where,
            has_limit: self.level.has_limit,
            limit: self.level.limit,
            relations: 0,
        }
    }

    /// Notes that the statement names a column.
    pub(super) fn name_column(&mut self, access: usize, column: &str) {
        if let Some(Draft::Table(draft)) = self.found.accesses.get_mut(access)
            && !column.is_empty()
            && !draft.columns.contains(column)
        {
            draft.columns.insert(column.to_owned());
        }
    }

    pub(super) fn name_slot(&mut self, slot: &Slot) {
        if let Some(origin) = &slot.origin {
            self.name_column(origin.access, &origin.column);
        }
    }

    pub(super) fn name_all(&mut self, row: &Row) {
        for slot in &row.slots {
            self.name_slot(slot);
        }
    }

    pub(super) fn on_database(&mut self, operation: Operation) {
        let name = self.names.catalogue.database.clone();
        self.on_named_database(operation, name);
    }

    pub(super) fn on_named_database(&mut self, operation: Operation, name: String) {
        self.other(operation, Resource::Database(Database { name }));
    }

    pub(super) fn on_function(&mut self, schema: &str, name: &str) {
        let database = self.names.catalogue.database.clone();
        let function = Function { database, schema: schema.to_owned(), name: name.to_owned() };
        self.other(Operation::Call, Resource::Function(function));
    }

    pub(super) fn on_setting(&mut self, name: &str) {
        let database = self.names.catalogue.database.clone();
        self.other(Operation::Set, Resource::Setting(Setting { database, name: name.to_owned() }));
    }

    fn other(&mut self, operation: Operation, resource: Resource) {
        let facts = self.facts();
        self.adopt(Access { operation, resource, facts });
    }

    /// Notes an access that was collected elsewhere, with its columns.
    pub(super) fn adopt_draft(&mut self, draft: Draft) {
        let table = match draft {
            Draft::Other(access) => return self.adopt(access),
            Draft::Table(table) => table,
        };
        let is_same = |known: &Draft| matches!(known, Draft::Table(known) if known.is_same(&table));
        match self.found.accesses.iter().position(is_same).and_then(|known| self.found.accesses.get_mut(known)) {
            Some(Draft::Table(known)) => known.columns.extend(table.columns),
            Some(Draft::Other(_)) | None => {
                if self.has_room() {
                    self.found.accesses.push(Draft::Table(table));
                }
            }
        }
    }

    /// Notes an access as it stands, unless it is there already.
    pub(super) fn adopt(&mut self, access: Access) {
        let known = self.found.accesses.iter().any(|draft| match draft {
            Draft::Other(known) => *known == access,
            Draft::Table(_) => false,
        });
        if !known && (access.operation == Operation::Unknown || self.has_room()) {
            self.found.accesses.push(Draft::Other(access));
        }
    }

    /// Whether one more access may be noted; the first that may not makes the statement unknown.
    fn has_room(&mut self) -> bool {
        let room = self.found.accesses.len() < ACCESSES_MAX;
        if !room {
            self.unknown(format!("the statement needs more than {ACCESSES_MAX} accesses"));
        }
        room
    }

    /// Whether an access is to the server's view of settings, or to a view of it.
    pub(super) fn is_settings(&self, access: usize) -> bool {
        let relation = match self.found.accesses.get(access) {
            Some(Draft::Table(draft)) => draft.relation.and_then(|oid| self.names.catalogue.relations.get(&oid)),
            Some(Draft::Other(_)) | None => None,
        };
        relation.is_some_and(|relation| self.names.is_settings(relation))
    }

    /// Whether any access is.
    pub(super) fn names_settings(&self) -> bool {
        (0..self.found.accesses.len()).any(|access| self.is_settings(access))
    }

    /// Whether the statement calls a function whose body is not known and that is not the server's own.
    pub(super) fn calls_unknown(&self) -> bool {
        self.found.accesses.iter().any(|draft| match draft {
            Draft::Other(Access { resource: Resource::Function(function), .. }) => {
                function.schema != SERVER_SCHEMA
                    && !self.is_pure(&function.schema, &function.name)
                    && self.found.followed.get(&(function.schema.clone(), function.name.clone())) != Some(&true)
            }
            Draft::Other(_) | Draft::Table(_) => false,
        })
    }
}
