//! Accesses while they are collected: columns are added until the statement's end.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pg_query::protobuf::RangeVar;

use super::{
    Analysis, Level,
    flow::{Flow, Origin, Row, Slot},
};
use crate::{
    request::{
        ACCESSES_MAX,
        sql::{Access, Database, Facts, Function, Operation, Resource, Setting, Table},
    },
    sql::{
        ColumnRef, Own, RelationName, TEMPORARY_SCHEMA,
        catalogue::{Names, Relation},
    },
    target::Class,
};

/// What is there cannot be made anew.
const SERVER_SCHEMA: &str = "pg_catalog";

/// An access that may still gain columns.
#[derive(Debug)]
pub enum Draft {
    Table(TableDraft),
    Other(Access),
}

#[derive(Debug)]
pub struct TableDraft {
    operation: Operation,
    /// The catalogue's identifier; `None` for a table that this session has just made.
    relation: Option<u32>,
    schema: String,
    name: String,
    columns: BTreeSet<String>,
    facts: Facts,
}

impl TableDraft {
    fn is_same(&self, other: &Self) -> bool {
        (self.operation, self.relation, &self.facts, &self.name, &self.schema)
            == (other.operation, other.relation, &other.facts, &other.name, &other.schema)
    }
}

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

/// Whether an operation puts rows into a table.
fn stores(operation: Operation) -> bool {
    matches!(operation, Operation::Insert | Operation::Update | Operation::Merge | Operation::CopyIn)
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
        self.remarks.depends_on_session = true;
        self.remarks.is_premature |= own.is_announced;
        self.names_temporary |= name.0 == TEMPORARY_SCHEMA;
        let access = self.draft(operation, None, &name.0, &name.1);
        if matches!(operation, Operation::Insert | Operation::Update | Operation::Merge | Operation::AlterTable) {
            self.fills.insert(name);
        }
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
        self.remarks.unknown_relations = true;
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

    /// Whoever decides by a table's classified columns reads them, whatever else is done to the table.
    pub(super) fn read_what_decides(&mut self) {
        let columns: Vec<ColumnRef> = self.predicates.iter().filter_map(|(_, column)| *column).collect();
        let names = self.names;
        for column in columns {
            let reads = |draft: &&Draft, wanted: fn(Operation) -> bool| match draft {
                Draft::Table(draft) => draft.relation == Some(column.relation) && wanted(draft.operation),
                Draft::Other(_) => false,
            };
            let is_read = |operation| matches!(operation, Operation::Select | Operation::CopyOut);
            if self.accesses.iter().any(|draft| reads(&draft, is_read)) {
                continue;
            }
            let facts = self.accesses.iter().find(|draft| reads(draft, |_| true)).map(|draft| match draft {
                Draft::Table(draft) => draft.facts,
                Draft::Other(access) => access.facts,
            });
            let (Some(facts), Some(relation)) = (facts, names.catalogue.relations.get(&column.relation)) else {
                continue;
            };
            let Facts { verb, has_where, has_limit, limit, .. } = facts;
            self.level = Level { verb, has_where, has_limit, limit };
            let access = self.draft(Operation::Select, Some(relation.oid), &relation.schema, &relation.name);
            let named = relation.columns.iter().find(|known| known.number == column.column);
            self.name_column(access, named.map_or("", |known| &known.name));
        }
    }

    /// Classified columns may be handed to a function that the transaction has made: each that is named counts as stored.
    pub(super) fn store_what_is_named(&mut self) {
        for draft in &self.accesses {
            let Draft::Table(draft) = draft else { continue };
            let names_values = match draft.operation {
                Operation::Select
                | Operation::CopyOut
                | Operation::Update
                | Operation::Delete
                | Operation::Merge
                | Operation::AlterTable
                | Operation::Maintain => true,
                // What is written there comes from the statement, or from what it names elsewhere.
                _ => false,
            };
            let relation = draft.relation.and_then(|oid| self.names.catalogue.relations.get(&oid));
            let Some(relation) = relation.filter(|_| names_values) else { continue };
            let named = relation.columns.iter().filter(|column| draft.columns.contains(&column.name));
            let columns = named.map(|column| ColumnRef { relation: relation.oid, column: column.number });
            self.stored.columns.extend(columns.filter(|column| self.names.is_classified(*column)));
        }
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
        let is_redefined = (self.earlier.redefined || self.is_redefined) && relation.schema != SERVER_SCHEMA;
        if is_redefined || is_own || is_made_anew(&self.earlier.created) || self.creates.contains_key(&key()) {
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
        self.remarks.named.insert(name.relname.clone());
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

    /// Whether an access is to the server's view of settings, or to a view of it.
    pub(super) fn is_settings(&self, access: usize) -> bool {
        let relation = match self.accesses.get(access) {
            Some(Draft::Table(draft)) => draft.relation.and_then(|oid| self.names.catalogue.relations.get(&oid)),
            Some(Draft::Other(_)) | None => None,
        };
        relation.is_some_and(|relation| self.names.is_settings(relation))
    }

    /// Whether any access is.
    pub(super) fn names_settings(&self) -> bool {
        (0..self.accesses.len()).any(|access| self.is_settings(access))
    }

    /// Notes that a relation gets other columns, if it is the session's own.
    pub(super) fn reshaped(&mut self, name: &RangeVar) {
        if let Meaning::Own(_, schema, _) = self.meaning(name) {
            self.reshapes.insert((schema, name.relname.clone()));
        }
    }

    /// What was made and is in no catalogue yet.
    fn created(&self, schema: &str, name: &str) -> Meaning<'a> {
        if let Some(own) = self.state.own(schema, name) {
            return Meaning::Own(own, schema.to_owned(), None);
        }
        let key = (schema.to_owned(), name.to_owned());
        let is_created = self.earlier.created.contains(&key) || self.creates.contains_key(&key);
        if is_created { Meaning::Created(key.0) } else { Meaning::Missing }
    }

    /// Notes an access to a table, or finds the one of the same operation and level.
    pub(super) fn draft(&mut self, operation: Operation, relation: Option<u32>, schema: &str, name: &str) -> usize {
        let facts = self.facts();
        let known = self.accesses.iter().position(|draft| match draft {
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
            self.accesses.push(Draft::Table(TableDraft { operation, relation, schema, name, columns, facts }));
            self.accesses.len() - 1
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
        if let Some(Draft::Table(draft)) = self.accesses.get_mut(access)
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

    /// Whether the statement calls a function whose body is not known and that is not the server's own.
    pub(super) fn calls_unknown(&self) -> bool {
        self.accesses.iter().any(|draft| match draft {
            Draft::Other(Access { resource: Resource::Function(function), .. }) => {
                function.schema != SERVER_SCHEMA
                    && !self.is_pure(&function.schema, &function.name)
                    && self.followed.get(&(function.schema.clone(), function.name.clone())) != Some(&true)
            }
            Draft::Other(_) | Draft::Table(_) => false,
        })
    }

    /// Notes an access that was collected elsewhere, with its columns.
    pub(super) fn adopt_draft(&mut self, draft: Draft) {
        let table = match draft {
            Draft::Other(access) => return self.adopt(access),
            Draft::Table(table) => table,
        };
        let is_same = |known: &Draft| matches!(known, Draft::Table(known) if known.is_same(&table));
        match self.accesses.iter().position(is_same).and_then(|known| self.accesses.get_mut(known)) {
            Some(Draft::Table(known)) => known.columns.extend(table.columns),
            Some(Draft::Other(_)) | None => {
                if self.has_room() {
                    self.accesses.push(Draft::Table(table));
                }
            }
        }
    }

    /// Notes an access as it stands, unless it is there already.
    pub(super) fn adopt(&mut self, access: Access) {
        let known = self.accesses.iter().any(|draft| match draft {
            Draft::Other(known) => *known == access,
            Draft::Table(_) => false,
        });
        if !known && (access.operation == Operation::Unknown || self.has_room()) {
            self.accesses.push(Draft::Other(access));
        }
    }

    /// Whether one more access may be noted; the first that may not makes the statement unknown.
    fn has_room(&mut self) -> bool {
        let room = self.accesses.len() < ACCESSES_MAX;
        if !room {
            self.unknown(format!("the statement needs more than {ACCESSES_MAX} accesses"));
        }
        room
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
