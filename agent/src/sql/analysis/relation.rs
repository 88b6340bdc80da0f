//! What the name of a relation means, and what is known of what it holds.

use std::{collections::BTreeSet, sync::Arc};

use pg_query::protobuf::RangeVar;

use super::{
    Analysis,
    access::SERVER_SCHEMA,
    draft::changes_definitions,
    flow::{Flow, Origin, Row, Slot},
};
use crate::{
    request::sql::Operation,
    sql::{ColumnRef, Own, RelationName, TEMPORARY_SCHEMA, catalogue::Relation},
};

/// What the name of a relation means.
enum Meaning<'a> {
    Known(&'a Relation),
    /// A relation of the session's own, and its schema; where the catalogue has one of the name of a temporary one too,
    /// either may be meant.
    Own(&'a Own, String, Option<&'a Relation>),
    /// A relation that an earlier statement of the same text has created, and committed since.
    Created(String),
    Missing,
    Foreign,
}

/// A relation that a statement accesses.
#[derive(Debug)]
pub struct Touched {
    /// The position of the access; `None` when the relation is unknown.
    pub access: Option<usize>,
    pub row: Row,
}

impl<'a> Analysis<'a> {
    /// Notes an access to a relation in FROM or as the target of a command, and gives its columns.
    pub(super) fn table(&mut self, name: &RangeVar, operation: Operation) -> Touched {
        // A lock names what FROM has named.
        self.relations = self.relations.saturating_add(u32::from(operation != Operation::Lock));
        match self.meaning(name) {
            Meaning::Known(relation) => self.known(relation, operation),
            Meaning::Own(own, schema, shadowed) => self.own((schema, name.relname.clone()), own, shadowed, operation),
            Meaning::Created(schema) => {
                let access = self.draft(operation, None, &schema, &name.relname);
                Touched { access: Some(access), row: Row::unknown(Flow::opaque()) }
            }
            Meaning::Missing => {
                self.missing(name);
                Touched { access: None, row: Row::unknown(Flow::opaque()) }
            }
            Meaning::Foreign => {
                self.unknown(format!("relation {} is in another database", quoted(name)));
                Touched { access: None, row: Row::unknown(Flow::opaque()) }
            }
        }
    }

    /// What this session knows of its own relation; where the catalogue has one of the same name, either may be meant.
    fn own(&mut self, name: RelationName, own: &Own, shadowed: Option<&'a Relation>, operation: Operation) -> Touched {
        self.found.remarks.depends_on_session = true;
        self.found.remarks.is_premature |= own.is_announced;
        self.found.names_temporary |= name.0 == TEMPORARY_SCHEMA;
        let access = self.draft(operation, None, &name.0, &name.1);
        if matches!(operation, Operation::Insert | Operation::Update | Operation::Merge | Operation::AlterTable) {
            self.found.fills.insert(name);
        }
        self.found.reaches_further |= own.is_announced && changes_definitions(operation);
        let held = &own.held;
        let mut flow = Flow {
            columns: held.columns.clone(),
            opaque: held.opaque || own.is_announced,
            computed: held.computed,
            temporary: true,
        };
        if let Some(relation) = shadowed {
            let known = self.known(relation, operation);
            self.name_all(&known.row);
            flow = Flow { opaque: true, ..flow.and(&known.row.whole()) };
        }
        let row = match &own.columns {
            Some(columns) if shadowed.is_none() && !own.is_announced => {
                let slots = columns.iter().map(|column| {
                    let column: Arc<str> = column.as_str().into();
                    Slot { name: Some(column.clone()), flow: flow.clone(), origin: Some(Origin { access, column }) }
                });
                Row { slots: slots.collect(), rest: None }
            }
            Some(_) | None => Row::unknown(flow),
        };
        Touched { access: Some(access), row }
    }

    /// Notes that a relation is not in the catalogue.
    pub(super) fn missing(&mut self, name: &RangeVar) {
        self.found.remarks.unknown_relations = true;
        let database = &self.names.catalogue.database;
        self.unknown(format!("relation {} is not in the catalogue of database \"{database}\"", quoted(name)));
    }

    /// Notes an access to a relation of the catalogue or one that is about to be, whose columns do not matter.
    /// What the catalogue lacks is taken at its word when only one schema can be meant.
    pub(super) fn definition(&mut self, name: &RangeVar, operation: Operation) -> Option<usize> {
        self.defined(name, operation).access
    }

    /// The same, with the columns that it has.
    pub(super) fn defined(&mut self, name: &RangeVar, operation: Operation) -> Touched {
        if let Meaning::Missing = self.meaning(name) {
            let schema =
                if name.schemaname.is_empty() { self.names.only_user_schema() } else { Some(&*name.schemaname) };
            let access = match schema.filter(|&schema| !is_temporary(schema)) {
                Some(schema) => {
                    let schema = schema.to_owned();
                    Some(self.draft(operation, None, &schema, &name.relname))
                }
                None => {
                    self.missing(name);
                    None
                }
            };
            return Touched { access, row: Row::unknown(Flow::opaque()) };
        }
        self.table(name, operation)
    }

    fn known(&mut self, relation: &'a Relation, operation: Operation) -> Touched {
        self.step(relation.columns.len());
        let access = self.draft(operation, Some(relation.oid), &relation.schema, &relation.name);
        let slots = relation.columns.iter().map(|column| {
            let name: Arc<str> = column.name.as_str().into();
            Slot {
                name: Some(Arc::clone(&name)),
                flow: Flow {
                    computed: column.computed,
                    ..Flow::of(ColumnRef { relation: relation.oid, column: column.number })
                },
                origin: Some(Origin { access, column: name }),
            }
        });
        let mut row = Row { slots: slots.collect(), rest: None };
        self.run_implicitly(relation, &mut row);
        let key = || (relation.schema.clone(), relation.name.clone());
        let is_made_anew = |created: &BTreeSet<RelationName>| !created.is_empty() && created.contains(&key());
        let is_own = self.state.own(&relation.schema, &relation.name).is_some();
        let is_redefined = (self.earlier.redefined || self.found.is_redefined) && relation.schema != SERVER_SCHEMA;
        if is_redefined || is_own || is_made_anew(&self.earlier.created) || self.found.creates.contains_key(&key()) {
            row.widen(&Flow::opaque());
        }
        Touched { access: Some(access), row }
    }

    /// The server may run functions on what the relation's columns hold, and on what becomes of it.
    fn run_implicitly(&mut self, relation: &Relation, row: &mut Row) {
        let names = self.names;
        for (schema, name) in names.catalogue.implicit.get(&relation.oid).into_iter().flatten() {
            let added = self.applied(&[schema, name], &row.whole());
            let opaque = Flow { opaque: added.opaque, ..Flow::default() };
            row.slots.iter_mut().for_each(|slot| slot.flow.absorb(&opaque));
        }
    }

    fn meaning(&mut self, name: &RangeVar) -> Meaning<'a> {
        if !name.catalogname.is_empty() && name.catalogname != self.names.catalogue.database {
            return Meaning::Foreign;
        }
        self.found.remarks.named.insert(name.relname.clone());
        if name.schemaname == TEMPORARY_SCHEMA {
            let own = self.state.own(TEMPORARY_SCHEMA, &name.relname);
            return own.map_or(Meaning::Missing, |own| Meaning::Own(own, TEMPORARY_SCHEMA.to_owned(), None));
        }
        if !name.schemaname.is_empty() {
            return match self.names.relation(&name.schemaname, &name.relname) {
                Some(relation) => Meaning::Known(relation),
                None => self.created(&name.schemaname, &name.relname),
            };
        }
        let names = self.names;
        if let Some(own) = self.state.own(TEMPORARY_SCHEMA, &name.relname) {
            return Meaning::Own(own, TEMPORARY_SCHEMA.to_owned(), names.visible(&name.relname));
        }
        for schema in &names.path {
            let meaning = match names.relation(schema, &name.relname) {
                Some(relation) => Meaning::Known(relation),
                None => self.created(schema, &name.relname),
            };
            if !matches!(meaning, Meaning::Missing) {
                return meaning;
            }
        }
        Meaning::Missing
    }

    /// Whether a name can only mean a temporary relation of the session's.
    pub(super) fn is_own_alone(&mut self, name: &RangeVar) -> bool {
        match self.meaning(name) {
            Meaning::Own(own, schema, None) => schema == TEMPORARY_SCHEMA && !own.is_announced,
            Meaning::Own(_, _, Some(_))
            | Meaning::Known(_)
            | Meaning::Created(_)
            | Meaning::Missing
            | Meaning::Foreign => false,
        }
    }

    /// Notes that a relation gets other columns, if it is the session's own.
    pub(super) fn reshaped(&mut self, name: &RangeVar) {
        if let Meaning::Own(_, schema, _) = self.meaning(name) {
            self.found.reshapes.insert((schema, name.relname.clone()));
        }
    }

    /// What was made and is in no catalogue yet.
    fn created(&self, schema: &str, name: &str) -> Meaning<'a> {
        if let Some(own) = self.state.own(schema, name) {
            return Meaning::Own(own, schema.to_owned(), None);
        }
        let key = (schema.to_owned(), name.to_owned());
        let is_created = self.earlier.created.contains(&key) || self.found.creates.contains_key(&key);
        if is_created { Meaning::Created(key.0) } else { Meaning::Missing }
    }
}

/// Whether a schema's name means temporary relations of this or another session.
pub fn is_temporary(schema: &str) -> bool {
    schema.starts_with(TEMPORARY_SCHEMA)
}

fn quoted(name: &RangeVar) -> String {
    let parts = [&name.catalogname, &name.schemaname, &name.relname];
    let named: Vec<&str> = parts.iter().map(|part| part.as_str()).filter(|part| !part.is_empty()).collect();
    format!("\"{}\"", named.join("."))
}
