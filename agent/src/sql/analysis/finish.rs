//! From what was found in a statement to what is said of it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Analysed, Analysis, Effect, Level, draft::Draft, flow::Flow};
use crate::{
    request::{
        Footprint,
        sql::{Facts, Operation},
    },
    sql::{ColumnRef, Output, Statement, StatementKind, Step, Trace},
    target::Class,
};

impl Analysis<'_> {
    /// Says what the statement does, once all of it was walked.
    pub(super) fn finish(mut self, effect: Effect) -> Analysed {
        self.read_what_decides();
        if self.earlier.brought_code {
            self.store_what_is_named();
        }
        let kind = self.path_change.take().map_or(effect.kind, StatementKind::SetSearchPath);
        let kind_is_unknown = kind == StatementKind::Unknown;
        let answered = effect.answer.is_some();
        let answer = effect.answer.unwrap_or_default();
        let flow = answer.whole().and(&self.found.stored);
        let outputs = answer.rest.is_none().then(|| answer.slots.iter().map(|slot| self.output(&slot.flow)).collect());
        let may_overturn = self.may_overturn(kind.trace()) || self.found.is_redefined;
        let statement = Statement {
            returns_rows: answered && kind != StatementKind::CopyOut,
            kind,
            verb: effect.verb,
            flow_classes: self.classes(&flow.columns),
            sink: !self.found.stored.is_clean(),
            is_read_only: self.begins_read_only,
            writes_within: self.found.writes_within,
            stored_classes: self.classes(&self.found.stored.columns),
            stored_opaque: self.found.stored.opaque && self.names.has_classes(),
            opaque_flow: flow.opaque,
            fills: self.found.fills.clone(),
            may_fill_all: self.found.may_fill_all || self.calls_unknown(),
            forgets_names: self.found.forgets_names,
            rests_on_bodies: self.found.followed.values().any(|is_followed| *is_followed),
            outputs,
            creates: self.found.creates.clone(),
            reshapes: self.found.reshapes.clone(),
            may_overturn,
            changes_definitions: self.changes_definitions(),
            brings_code: self.brings_code || kind_is_unknown,
            flows: flow.columns,
        };
        let deciding = self.found.predicates.iter().filter_map(|(_, column)| column.as_ref());
        let read = self.read_classes(statement.flows.iter().chain(deciding));
        let predicates = self.named_predicates().chain(self.found.resumed.iter().cloned()).collect();
        let accesses = self
            .found
            .accesses
            .into_iter()
            .map(|draft| draft.complete(self.names, &read, self.relations).into())
            .collect();
        let footprint = Footprint { accesses, predicates, caveats: self.found.caveats };
        Analysed { statement, footprint, remarks: self.found.remarks }
    }

    /// Whether relations of this transaction may be others afterwards, or show what others hold.
    const fn may_overturn(&self, trace: Trace<'_>) -> bool {
        match trace {
            Trace::Unknown | Trace::Code | Trace::Rows => true,
            Trace::Definitions => self.found.overturns || !self.keeps_made,
            // What a savepoint brings back is not remembered.
            Trace::Transaction(Step::RollbackTo) => true,
            Trace::Transaction(Step::Begin | Step::Commit | Step::Rollback | Step::Savepoint | Step::Mode)
            | Trace::Nothing
            | Trace::Prepared(_)
            | Trace::Cursor(_)
            | Trace::Temporary { .. }
            | Trace::NoTemporary
            | Trace::Setting
            | Trace::Path(_)
            | Trace::NoSettings
            | Trace::Afresh => false,
        }
    }

    /// Whether definitions that others have too may be other ones afterwards. When in doubt they may.
    fn changes_definitions(&self) -> bool {
        let is_own = |draft: &Draft| self.found.makes_own && draft.makes_object();
        self.found.reaches_further
            || self.found.accesses.iter().any(|draft| draft.changes_definitions() && !is_own(draft))
    }

    fn output(&self, flow: &Flow) -> Output {
        Output {
            columns: flow.columns.clone(),
            classes: self.classes(&flow.columns),
            opaque: flow.opaque,
            computed: flow.computed,
            is_temporary: flow.temporary,
        }
    }

    fn classes(&self, columns: &BTreeSet<ColumnRef>) -> BTreeSet<Class> {
        columns.iter().flat_map(|&column| self.names.classes(column)).cloned().collect()
    }

    /// The classes that flow, by the relation that they flow from.
    fn read_classes<'c>(&self, columns: impl Iterator<Item = &'c ColumnRef>) -> BTreeMap<u32, BTreeSet<Class>> {
        let mut read: BTreeMap<u32, BTreeSet<Class>> = BTreeMap::new();
        for &column in columns {
            read.entry(column.relation).or_default().extend(self.names.classes(column).iter().cloned());
        }
        read
    }

    /// Whoever decides by a table's classified columns reads them, whatever else is done to the table.
    fn read_what_decides(&mut self) {
        let columns: Vec<ColumnRef> = self.found.predicates.iter().filter_map(|(_, column)| *column).collect();
        let names = self.names;
        for column in columns {
            let reads = |draft: &&Draft, wanted: fn(Operation) -> bool| match draft {
                Draft::Table(draft) => draft.relation == Some(column.relation) && wanted(draft.operation),
                Draft::Other(_) => false,
            };
            let is_read = |operation| matches!(operation, Operation::Select | Operation::CopyOut);
            if self.found.accesses.iter().any(|draft| reads(&draft, is_read)) {
                continue;
            }
            let facts = self.found.accesses.iter().find(|draft| reads(draft, |_| true)).map(|draft| match draft {
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
    fn store_what_is_named(&mut self) {
        for draft in &self.found.accesses {
            let Draft::Table(draft) = draft else { continue };
            let names_values = match draft.operation {
                Operation::Select
                | Operation::CopyOut
                | Operation::Update
                | Operation::Delete
                | Operation::Merge
                | Operation::AlterTable
                | Operation::Maintain
                | Operation::Unknown => true,
                // What is written there comes from the statement, or from what it names elsewhere.
                Operation::Insert | Operation::CopyIn => false,
                Operation::Truncate | Operation::Lock | Operation::CreateTable | Operation::DropTable => false,
                // No access to a table is any of these.
                Operation::Connect
                | Operation::CreateSchema
                | Operation::AlterSchema
                | Operation::DropSchema
                | Operation::CreateDatabase
                | Operation::AlterDatabase
                | Operation::DropDatabase
                | Operation::CreateObject
                | Operation::AlterObject
                | Operation::DropObject
                | Operation::Grant
                | Operation::CreateRole
                | Operation::AlterRole
                | Operation::DropRole
                | Operation::SetRole
                | Operation::AlterSystem
                | Operation::CopyProgram
                | Operation::CopyFile
                | Operation::Call
                | Operation::Set
                | Operation::Notify => false,
            };
            let relation = draft.relation.and_then(|oid| self.names.catalogue.relations.get(&oid));
            let Some(relation) = relation.filter(|_| names_values) else { continue };
            let named = relation.columns.iter().filter(|column| draft.columns.contains(&column.name));
            let columns = named.map(|column| ColumnRef { relation: relation.oid, column: column.number });
            self.found.stored.columns.extend(columns.filter(|column| self.names.is_classified(*column)));
        }
    }
}
