//! Statements that define, change and remove objects, roles and rights, and that maintain tables.

use pg_query::{
    NodeEnum,
    protobuf::{AlterDomainStmt, ClusterStmt, Node, ObjectType, RangeVar},
};

use super::{
    Analysis, Effect,
    flow::{Flow, Row, Slot},
    nodes::{analysed_nodes, clause_nodes, expression_nodes, from_nodes},
    object::Object,
    scope::{Item, Scope},
    table::is_temporary,
    tag::Tags,
};
use crate::{
    request::{PredicateKind, sql::Operation},
    sql::StatementKind,
};

impl Analysis<'_> {
    /// A statement that defines, changes or removes something.
    pub(super) fn define(&mut self, node: &NodeEnum) -> Effect {
        self.brings_code |= brings_code(node);
        self.keeps_made = leaves_relations(node);
        match node {
            NodeEnum::CreateStmt(create) => self.create_table(create, "CREATE TABLE"),
            NodeEnum::CreateForeignTableStmt(create) => match &create.base_stmt {
                Some(create) => self.create_table(create, "CREATE FOREIGN TABLE"),
                None => self.not_understood("CREATE FOREIGN TABLE"),
            },
            NodeEnum::CreateTableAsStmt(create) => self.create_table_as(create),
            NodeEnum::ViewStmt(view) => self.create_view(view),
            NodeEnum::IndexStmt(index) => self.create_index(index),
            NodeEnum::AlterTableStmt(alter) => self.alter_table(alter),
            NodeEnum::DropStmt(drop) => self.drop_objects(drop),
            NodeEnum::RenameStmt(rename) => {
                let relation = rename.relation.as_ref();
                // ALTER DATABASE … RENAME gives the name apart.
                let name =
                    Node { node: Some(NodeEnum::String(pg_query::protobuf::String { sval: rename.subname.clone() })) };
                let object = rename.object.as_deref().or_else(|| (!rename.subname.is_empty()).then_some(&name));
                let effect = self.alter_object(rename.rename_type(), relation, object);
                self.renamed(rename);
                if let (ObjectType::ObjectColumn, Some(table)) = (rename.rename_type(), relation) {
                    self.reshaped(table);
                    self.keeps_made = true;
                }
                effect
            }
            NodeEnum::AlterObjectSchemaStmt(alter) => {
                let effect = self.alter_object(alter.object_type(), alter.relation.as_ref(), alter.object.as_deref());
                if let Some(table) = &alter.relation {
                    self.uncovered(table, None);
                }
                effect
            }
            NodeEnum::AlterOwnerStmt(alter) => {
                self.alter_object(alter.object_type(), alter.relation.as_ref(), alter.object.as_deref())
            }
            NodeEnum::AlterObjectDependsStmt(alter) => {
                self.alter_object(alter.object_type(), alter.relation.as_ref(), alter.object.as_deref())
            }
            NodeEnum::CommentStmt(comment) => {
                self.touch_object("COMMENT", comment.objtype(), None, comment.object.as_deref())
            }
            NodeEnum::SecLabelStmt(label) => {
                self.touch_object("SECURITY LABEL", label.objtype(), None, label.object.as_deref())
            }

            // What changes how a table works.
            NodeEnum::CreateTrigStmt(trigger) => self.create_trigger(trigger),
            NodeEnum::RuleStmt(rule) => self.create_rule(rule),
            NodeEnum::CreatePolicyStmt(policy) => {
                let effect = self.on_tables("CREATE POLICY", policy.table.as_ref());
                self.row_security(policy.table.as_ref(), [&policy.qual, &policy.with_check]);
                effect
            }
            NodeEnum::AlterPolicyStmt(policy) => {
                let effect = self.on_tables("ALTER POLICY", policy.table.as_ref());
                self.row_security(policy.table.as_ref(), [&policy.qual, &policy.with_check]);
                effect
            }

            NodeEnum::CreateSchemaStmt(schema) if schema.schema_elts.is_empty() => {
                self.simple("CREATE SCHEMA", Operation::CreateSchema)
            }
            NodeEnum::CreateSchemaStmt(_) => self.not_understood("CREATE SCHEMA with objects in it"),

            NodeEnum::CreatedbStmt(create) => {
                self.on_other_database("CREATE DATABASE", Operation::CreateDatabase, &create.dbname)
            }
            NodeEnum::AlterDatabaseStmt(alter) => {
                self.on_other_database("ALTER DATABASE", Operation::AlterDatabase, &alter.dbname)
            }
            NodeEnum::AlterDatabaseRefreshCollStmt(alter) => {
                self.on_other_database("ALTER DATABASE", Operation::AlterDatabase, &alter.dbname)
            }
            NodeEnum::AlterDatabaseSetStmt(alter) => {
                self.on_other_database("ALTER DATABASE", Operation::AlterDatabase, &alter.dbname)
            }
            NodeEnum::DropdbStmt(drop) => {
                self.on_other_database("DROP DATABASE", Operation::DropDatabase, &drop.dbname)
            }

            NodeEnum::GrantStmt(grant) => {
                self.simple(if grant.is_grant { "GRANT" } else { "REVOKE" }, Operation::Grant)
            }
            NodeEnum::GrantRoleStmt(grant) => {
                self.simple(if grant.is_grant { "GRANT ROLE" } else { "REVOKE ROLE" }, Operation::Grant)
            }
            NodeEnum::AlterDefaultPrivilegesStmt(_) => self.simple("ALTER DEFAULT PRIVILEGES", Operation::Grant),
            NodeEnum::CreateRoleStmt(_) => self.simple("CREATE ROLE", Operation::CreateRole),
            NodeEnum::AlterRoleStmt(_) | NodeEnum::AlterRoleSetStmt(_) => {
                self.simple("ALTER ROLE", Operation::AlterRole)
            }
            NodeEnum::DropRoleStmt(_) => self.simple("DROP ROLE", Operation::DropRole),
            NodeEnum::AlterSystemStmt(_) => self.simple("ALTER SYSTEM", Operation::AlterSystem),

            NodeEnum::CreateTableSpaceStmt(_) => self.simple("CREATE TABLESPACE", Operation::CreateObject),
            NodeEnum::CreateExtensionStmt(_) => self.simple("CREATE EXTENSION", Operation::CreateObject),
            NodeEnum::CreateFdwStmt(_) => self.simple("CREATE FOREIGN DATA WRAPPER", Operation::CreateObject),
            NodeEnum::CreateForeignServerStmt(_) => self.simple("CREATE SERVER", Operation::CreateObject),
            NodeEnum::CreateUserMappingStmt(_) => self.simple("CREATE USER MAPPING", Operation::CreateObject),
            NodeEnum::ImportForeignSchemaStmt(_) => self.simple("IMPORT FOREIGN SCHEMA", Operation::CreateObject),
            NodeEnum::CreateAmStmt(_) => self.simple("CREATE ACCESS METHOD", Operation::CreateObject),
            NodeEnum::CreateEventTrigStmt(_) => self.simple("CREATE EVENT TRIGGER", Operation::CreateObject),
            NodeEnum::CreatePlangStmt(_) => self.simple("CREATE LANGUAGE", Operation::CreateObject),
            NodeEnum::CreateDomainStmt(_) => self.simple("CREATE DOMAIN", Operation::CreateObject),
            NodeEnum::CreateOpClassStmt(_) => self.simple("CREATE OPERATOR CLASS", Operation::CreateObject),
            NodeEnum::CreateOpFamilyStmt(_) => self.simple("CREATE OPERATOR FAMILY", Operation::CreateObject),
            NodeEnum::CreateStatsStmt(_) => self.simple("CREATE STATISTICS", Operation::CreateObject),
            NodeEnum::CompositeTypeStmt(_) | NodeEnum::CreateEnumStmt(_) | NodeEnum::CreateRangeStmt(_) => {
                self.simple("CREATE TYPE", Operation::CreateObject)
            }
            NodeEnum::CreateConversionStmt(_) => self.simple("CREATE CONVERSION", Operation::CreateObject),
            NodeEnum::CreateCastStmt(_) => self.simple("CREATE CAST", Operation::CreateObject),
            NodeEnum::CreateTransformStmt(_) => self.simple("CREATE TRANSFORM", Operation::CreateObject),
            NodeEnum::CreatePublicationStmt(create) => self.create_publication(create),
            NodeEnum::CreateSubscriptionStmt(_) => self.simple("CREATE SUBSCRIPTION", Operation::CreateObject),
            NodeEnum::DefineStmt(define) => self.simple(Tags::of(define.kind()).create, Operation::CreateObject),
            NodeEnum::CreateFunctionStmt(create) => {
                let verb = if create.is_procedure { "CREATE PROCEDURE" } else { "CREATE FUNCTION" };
                self.routine_settings(&create.options, true);
                self.routine_body(create, verb);
                self.simple(verb, Operation::CreateObject)
            }
            NodeEnum::CreateSeqStmt(create) => {
                self.found.makes_own = create.sequence.as_ref().is_some_and(is_temporary);
                let effect = self.simple("CREATE SEQUENCE", Operation::CreateObject);
                self.made(effect.kind, effect.verb, create.sequence.as_ref(), None)
            }

            NodeEnum::AlterCollationStmt(_) => self.simple("ALTER COLLATION", Operation::AlterObject),
            NodeEnum::AlterDomainStmt(alter) => self.alter_domain(alter),
            NodeEnum::AlterTableSpaceOptionsStmt(_) => self.simple("ALTER TABLESPACE", Operation::AlterObject),
            NodeEnum::AlterExtensionStmt(_) | NodeEnum::AlterExtensionContentsStmt(_) => {
                self.simple("ALTER EXTENSION", Operation::AlterObject)
            }
            NodeEnum::AlterFdwStmt(_) => self.simple("ALTER FOREIGN DATA WRAPPER", Operation::AlterObject),
            NodeEnum::AlterForeignServerStmt(_) => self.simple("ALTER SERVER", Operation::AlterObject),
            NodeEnum::AlterUserMappingStmt(_) => self.simple("ALTER USER MAPPING", Operation::AlterObject),
            NodeEnum::AlterEventTrigStmt(_) => self.simple("ALTER EVENT TRIGGER", Operation::AlterObject),
            NodeEnum::AlterSeqStmt(_) => self.simple("ALTER SEQUENCE", Operation::AlterObject),
            NodeEnum::AlterOpFamilyStmt(_) => self.simple("ALTER OPERATOR FAMILY", Operation::AlterObject),
            NodeEnum::AlterStatsStmt(_) => self.simple("ALTER STATISTICS", Operation::AlterObject),
            NodeEnum::AlterOperatorStmt(_) => self.simple("ALTER OPERATOR", Operation::AlterObject),
            NodeEnum::AlterTypeStmt(_) | NodeEnum::AlterEnumStmt(_) => {
                self.simple("ALTER TYPE", Operation::AlterObject)
            }
            NodeEnum::AlterTsdictionaryStmt(_) => self.simple("ALTER TEXT SEARCH DICTIONARY", Operation::AlterObject),
            NodeEnum::AlterTsconfigurationStmt(_) => {
                self.simple("ALTER TEXT SEARCH CONFIGURATION", Operation::AlterObject)
            }
            NodeEnum::AlterPublicationStmt(alter) => self.alter_publication(alter),
            NodeEnum::AlterSubscriptionStmt(_) => self.simple("ALTER SUBSCRIPTION", Operation::AlterObject),
            NodeEnum::AlterFunctionStmt(alter) => {
                self.routine_settings(&alter.actions, false);
                self.simple(Tags::of(alter.objtype()).alter, Operation::AlterObject)
            }

            NodeEnum::DropTableSpaceStmt(_) => self.simple("DROP TABLESPACE", Operation::DropObject),
            NodeEnum::DropUserMappingStmt(_) => self.simple("DROP USER MAPPING", Operation::DropObject),
            NodeEnum::DropSubscriptionStmt(_) => self.simple("DROP SUBSCRIPTION", Operation::DropObject),

            NodeEnum::VacuumStmt(vacuum) => {
                self.maintain(if vacuum.is_vacuumcmd { "VACUUM" } else { "ANALYZE" }, &vacuum.rels)
            }
            NodeEnum::ClusterStmt(cluster) => self.cluster(cluster),
            NodeEnum::ReindexStmt(reindex) => self.maintain_table("REINDEX", reindex.relation.as_ref()),
            NodeEnum::RefreshMatViewStmt(refresh) => {
                self.maintain_table("REFRESH MATERIALIZED VIEW", refresh.relation.as_ref())
            }
            NodeEnum::CheckPointStmt(_) => self.simple("CHECKPOINT", Operation::Maintain),

            // What they touch is not in the statement.
            NodeEnum::DropOwnedStmt(_) => self.not_understood("what DROP OWNED would drop"),
            NodeEnum::ReassignOwnedStmt(_) => self.not_understood("what REASSIGN OWNED would change"),
            NodeEnum::AlterTableMoveAllStmt(_) => self.not_understood("what ALL IN TABLESPACE would move"),

            // `statement` keeps these for itself.
            NodeEnum::SelectStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::MergeStmt(_)
            | NodeEnum::CopyStmt(_)
            | NodeEnum::ExplainStmt(_)
            | NodeEnum::PrepareStmt(_)
            | NodeEnum::ExecuteStmt(_)
            | NodeEnum::DeallocateStmt(_)
            | NodeEnum::DeclareCursorStmt(_)
            | NodeEnum::FetchStmt(_)
            | NodeEnum::ClosePortalStmt(_)
            | NodeEnum::TransactionStmt(_)
            | NodeEnum::ConstraintsSetStmt(_)
            | NodeEnum::VariableSetStmt(_)
            | NodeEnum::VariableShowStmt(_)
            | NodeEnum::DiscardStmt(_)
            | NodeEnum::ListenStmt(_)
            | NodeEnum::NotifyStmt(_)
            | NodeEnum::UnlistenStmt(_)
            | NodeEnum::LockStmt(_)
            | NodeEnum::TruncateStmt(_)
            | NodeEnum::CallStmt(_)
            | NodeEnum::DoStmt(_)
            | NodeEnum::LoadStmt(_) => self.not_understood("a definition"),
            expression_nodes!() | from_nodes!() | clause_nodes!() | analysed_nodes!() => {
                self.not_understood("a definition")
            }
        }
    }

    /// A check that is added to a domain, or validated, is made of every value that any table has of it.
    fn alter_domain(&mut self, alter: &AlterDomainStmt) -> Effect {
        let effect = self.simple("ALTER DOMAIN", Operation::AlterObject);
        let check = match alter.def.as_ref().and_then(|def| def.node.as_ref()) {
            Some(NodeEnum::Constraint(check)) => check.raw_expr.as_ref(),
            _ => None,
        };
        let value = Slot { name: Some("value".into()), flow: Flow::default(), origin: None };
        let values = Item::new("", Row { slots: vec![value], rest: None });
        let flow = self.maybe(check, &Scope { items: vec![values], ..Scope::default() });
        if flow.opaque {
            self.found.stored.absorb(&flow);
        }
        if check.is_some() || alter.subtype == "V" {
            self.decides(PredicateKind::Filter, &Flow::opaque());
        }
        effect
    }

    pub(super) fn simple(&mut self, verb: &'static str, operation: Operation) -> Effect {
        self.level.verb = verb;
        self.on_database(operation);
        Effect::silent(StatementKind::Define, verb)
    }

    fn on_other_database(&mut self, verb: &'static str, operation: Operation, name: &str) -> Effect {
        self.level.verb = verb;
        self.on_named_database(operation, name.to_owned());
        Effect::silent(StatementKind::Define, verb)
    }

    /// An object that belongs to a table and changes how it works: the table is altered too.
    pub(super) fn on_tables(&mut self, verb: &'static str, table: Option<&RangeVar>) -> Effect {
        let effect = self.simple(verb, Operation::CreateObject);
        self.alter(table);
        effect
    }

    fn maintain(&mut self, verb: &'static str, tables: &[Node]) -> Effect {
        self.level.verb = verb;
        for node in tables {
            match &node.node {
                Some(NodeEnum::VacuumRelation(table)) => self.maintained(table.relation.as_ref()),
                _ => self.unknown(format!("a table of {verb} is not understood")),
            }
        }
        if tables.is_empty() {
            self.on_database(Operation::Maintain);
        }
        Effect::silent(StatementKind::Utility, verb)
    }

    fn maintain_table(&mut self, verb: &'static str, table: Option<&RangeVar>) -> Effect {
        self.level.verb = verb;
        self.maintained(table);
        Effect::silent(StatementKind::Utility, verb)
    }

    /// CLUSTER sorts a table's rows, and leaves them where everybody reads them in that order. Which columns an index has is
    /// not known.
    fn cluster(&mut self, cluster: &ClusterStmt) -> Effect {
        let effect = self.maintain_table("CLUSTER", cluster.relation.as_ref());
        if let Some(table) = cluster.relation.as_ref().filter(|table| self.is_known(table)) {
            let row = self.table(table, Operation::Maintain).row;
            self.decides(PredicateKind::Order, &row.whole());
        }
        effect
    }

    fn is_known(&self, table: &RangeVar) -> bool {
        match &*table.schemaname {
            "" => self.names.visible(&table.relname).is_some(),
            schema => self.names.relation(schema, &table.relname).is_some(),
        }
    }

    /// Indexes are no relations of the catalogue, so a name that it lacks counts as the whole database.
    fn maintained(&mut self, table: Option<&RangeVar>) {
        match table.filter(|table| self.is_known(table)) {
            Some(table) => {
                self.table(table, Operation::Maintain);
            }
            None => self.on_database(Operation::Maintain),
        }
    }
}

/// Whether a definition may make, or change, what runs where no function's name stands: a cast, an operator, the check of
/// a domain, a type's input; or what a name of the server's own means, as another function of that name does.
fn brings_code(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::AlterFunctionStmt(_)
            | NodeEnum::CreateCastStmt(_)
            | NodeEnum::CreateTransformStmt(_)
            | NodeEnum::CreateConversionStmt(_)
            | NodeEnum::DefineStmt(_)
            | NodeEnum::CreateDomainStmt(_)
            | NodeEnum::AlterDomainStmt(_)
            | NodeEnum::CreateRangeStmt(_)
            | NodeEnum::AlterTypeStmt(_)
            | NodeEnum::CreateOpClassStmt(_)
            | NodeEnum::CreateOpFamilyStmt(_)
            | NodeEnum::AlterOpFamilyStmt(_)
            | NodeEnum::AlterOperatorStmt(_)
            | NodeEnum::CreateAmStmt(_)
            | NodeEnum::CreatePlangStmt(_)
            | NodeEnum::CreateExtensionStmt(_)
            | NodeEnum::AlterExtensionStmt(_)
    ) || renames_code(node)
}

/// Whether something else than a relation or a part of one gets another name or schema.
fn renames_code(node: &NodeEnum) -> bool {
    let kind = match node {
        NodeEnum::RenameStmt(rename) => rename.rename_type(),
        NodeEnum::AlterObjectSchemaStmt(alter) => alter.object_type(),
        _ => return false,
    };
    matches!(Object::of(kind), Object::Schema | Object::Other)
}

/// Whether what a definition makes or changes is beside all relations: it neither runs, shows nor renames any.
const fn leaves_relations(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::CommentStmt(_)
            | NodeEnum::GrantStmt(_)
            | NodeEnum::AlterOwnerStmt(_)
            | NodeEnum::CreateEnumStmt(_)
            | NodeEnum::CompositeTypeStmt(_)
            | NodeEnum::CreateRangeStmt(_)
            | NodeEnum::CreateDomainStmt(_)
            | NodeEnum::CreateStatsStmt(_)
            | NodeEnum::AlterSeqStmt(_)
    )
}
