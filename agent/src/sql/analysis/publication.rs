//! Publications: what is published is sent to whoever subscribes, unmasked.

use std::collections::BTreeMap;

use pg_query::{
    NodeEnum,
    protobuf::{
        AlterPublicationAction, AlterPublicationStmt, CreatePublicationStmt, Node, PublicationObjSpecType,
        PublicationTable, RangeVar,
    },
};

use super::{Analysis, Effect, from::aliased, scope::Scope, strings};
use crate::{
    request::sql::Operation,
    sql::catalogue::{Names, Relation},
};

impl Analysis<'_> {
    pub(super) fn create_publication(&mut self, create: &CreatePublicationStmt) -> Effect {
        let effect = self.simple("CREATE PUBLICATION", Operation::CreateObject);
        self.published(&create.pubobjects, create.for_all_tables);
        effect
    }

    pub(super) fn alter_publication(&mut self, alter: &AlterPublicationStmt) -> Effect {
        let effect = self.simple("ALTER PUBLICATION", Operation::AlterObject);
        match alter.action() {
            AlterPublicationAction::ApDropObjects => {}
            // An action is given by default where options change, and then nothing is listed.
            AlterPublicationAction::ApAddObjects
            | AlterPublicationAction::ApSetObjects
            | AlterPublicationAction::Undefined => self.published(&alter.pubobjects, alter.for_all_tables),
        }
        effect
    }

    fn published(&mut self, objects: &[Node], has_all: bool) {
        if has_all {
            self.published_tables(|_, _| true);
        }
        for node in objects {
            let Some(NodeEnum::PublicationObjSpec(object)) = &node.node else {
                self.unknown("what is published is not understood");
                continue;
            };
            match (object.pubobjtype(), &object.pubtable) {
                (PublicationObjSpecType::PublicationobjTable, Some(table)) => self.published_table(table),
                (PublicationObjSpecType::PublicationobjTablesInSchema, _) => {
                    self.published_tables(|relation, _| relation.schema == object.name);
                }
                (PublicationObjSpecType::PublicationobjTablesInCurSchema, _) => {
                    self.published_tables(|relation, names| names.creation_schema() == Some(&relation.schema));
                }
                (
                    PublicationObjSpecType::PublicationobjTable
                    | PublicationObjSpecType::PublicationobjContinuation
                    | PublicationObjSpecType::Undefined,
                    _,
                ) => self.unknown("what is published is not understood"),
            }
        }
    }

    fn published_table(&mut self, table: &PublicationTable) {
        let Some(name) = &table.relation else { return self.unknown("a published table has no name") };
        let row = self.table(name, Operation::Select).row;
        let scope = Scope { items: vec![aliased(name, row.clone())], ..Scope::default() };
        self.condition(&table.where_clause, &scope);
        let listed = strings(&table.columns);
        let is_published = |column: Option<&str>| {
            listed.is_empty() || column.is_none_or(|name| listed.iter().any(|listed| listed == name))
        };
        for slot in row.slots.iter().filter(|slot| is_published(slot.name.as_deref())) {
            self.name_slot(slot);
            self.found.stored.absorb(&slot.flow);
        }
        row.rest.iter().for_each(|rest| self.found.stored.absorb(rest));
    }

    /// Tables that are published without being named. What is classified among them counts; a table that comes later
    /// is published too, and is no part of this.
    fn published_tables(&mut self, is_meant: impl Fn(&Relation, &Names) -> bool) {
        let names = self.names;
        let meant =
            names.catalogue.relations.values().filter(|relation| relation.classified && is_meant(relation, names));
        // In an order that is always the same, so that the same statement is the same request.
        let meant: BTreeMap<_, _> = meant.map(|relation| (relation.oid, relation)).collect();
        for relation in meant.values().filter(|relation| relation.schema != "pg_catalog") {
            let relation =
                RangeVar { schemaname: relation.schema.clone(), relname: relation.name.clone(), ..RangeVar::default() };
            self.published_table(&PublicationTable { relation: Some(relation), ..PublicationTable::default() });
        }
    }
}
