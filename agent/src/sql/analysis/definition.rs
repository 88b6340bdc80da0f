//! Statements that define, change and remove objects, roles and rights, and that maintain tables.

use pg_query::{
    NodeEnum,
    protobuf::{
        AlterTableStmt, CreateStmt, CreateTableAsStmt, IndexElem, IndexStmt, IntoClause, Node, ObjectType, RangeVar,
        ViewStmt,
    },
};

use super::{
    Analysis, Effect,
    access::TEMPORARY_SCHEMA,
    flow::Row,
    from::aliased,
    nodes::{analysed_nodes, clause_nodes, expression_nodes, from_nodes},
    object::Object,
    scope::Scope,
};
use crate::{request::sql::Operation, sql::StatementKind};

impl Analysis<'_> {
    /// A statement that defines, changes or removes something.
    pub(super) fn define(&mut self, node: &NodeEnum) -> Effect {
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
                self.alter_object("ALTER", rename.rename_type(), relation, rename.object.as_deref())
            }
            NodeEnum::AlterObjectSchemaStmt(alter) => {
                self.alter_object("ALTER", alter.object_type(), alter.relation.as_ref(), alter.object.as_deref())
            }
            NodeEnum::AlterOwnerStmt(alter) => {
                self.alter_object("ALTER", alter.object_type(), alter.relation.as_ref(), alter.object.as_deref())
            }
            NodeEnum::AlterObjectDependsStmt(alter) => {
                self.alter_object("ALTER", alter.object_type(), alter.relation.as_ref(), alter.object.as_deref())
            }
            NodeEnum::CommentStmt(comment) => {
                self.alter_object("COMMENT", comment.objtype(), None, comment.object.as_deref())
            }
            NodeEnum::SecLabelStmt(label) => {
                self.alter_object("SECURITY LABEL", label.objtype(), None, label.object.as_deref())
            }

            // What changes how a table works.
            NodeEnum::CreateTrigStmt(trigger) => self.on_tables("CREATE TRIGGER", trigger.relation.as_ref()),
            NodeEnum::RuleStmt(rule) => self.on_tables("CREATE RULE", rule.relation.as_ref()),
            NodeEnum::CreatePolicyStmt(policy) => self.on_tables("CREATE POLICY", policy.table.as_ref()),
            NodeEnum::AlterPolicyStmt(policy) => self.on_tables("ALTER POLICY", policy.table.as_ref()),

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

            NodeEnum::CreateTableSpaceStmt(_)
            | NodeEnum::CreateExtensionStmt(_)
            | NodeEnum::CreateFdwStmt(_)
            | NodeEnum::CreateForeignServerStmt(_)
            | NodeEnum::CreateUserMappingStmt(_)
            | NodeEnum::ImportForeignSchemaStmt(_)
            | NodeEnum::CreateAmStmt(_)
            | NodeEnum::CreateEventTrigStmt(_)
            | NodeEnum::CreatePlangStmt(_)
            | NodeEnum::DefineStmt(_)
            | NodeEnum::CreateDomainStmt(_)
            | NodeEnum::CreateOpClassStmt(_)
            | NodeEnum::CreateOpFamilyStmt(_)
            | NodeEnum::CreateStatsStmt(_)
            | NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::CompositeTypeStmt(_)
            | NodeEnum::CreateEnumStmt(_)
            | NodeEnum::CreateRangeStmt(_)
            | NodeEnum::CreateConversionStmt(_)
            | NodeEnum::CreateCastStmt(_)
            | NodeEnum::CreateTransformStmt(_)
            | NodeEnum::CreatePublicationStmt(_)
            | NodeEnum::CreateSubscriptionStmt(_) => self.simple("CREATE", Operation::CreateObject),
            NodeEnum::CreateSeqStmt(create) => {
                let effect = self.simple("CREATE SEQUENCE", Operation::CreateObject);
                self.made(effect.kind, effect.verb, create.sequence.as_ref())
            }

            NodeEnum::AlterCollationStmt(_)
            | NodeEnum::AlterDomainStmt(_)
            | NodeEnum::AlterTableSpaceOptionsStmt(_)
            | NodeEnum::AlterExtensionStmt(_)
            | NodeEnum::AlterExtensionContentsStmt(_)
            | NodeEnum::AlterFdwStmt(_)
            | NodeEnum::AlterForeignServerStmt(_)
            | NodeEnum::AlterUserMappingStmt(_)
            | NodeEnum::AlterEventTrigStmt(_)
            | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::AlterOpFamilyStmt(_)
            | NodeEnum::AlterStatsStmt(_)
            | NodeEnum::AlterFunctionStmt(_)
            | NodeEnum::AlterOperatorStmt(_)
            | NodeEnum::AlterTypeStmt(_)
            | NodeEnum::AlterEnumStmt(_)
            | NodeEnum::AlterTsdictionaryStmt(_)
            | NodeEnum::AlterTsconfigurationStmt(_)
            | NodeEnum::AlterPublicationStmt(_)
            | NodeEnum::AlterSubscriptionStmt(_) => self.simple("ALTER", Operation::AlterObject),

            NodeEnum::DropTableSpaceStmt(_) | NodeEnum::DropUserMappingStmt(_) | NodeEnum::DropSubscriptionStmt(_) => {
                self.simple("DROP", Operation::DropObject)
            }

            NodeEnum::VacuumStmt(vacuum) => {
                self.maintain(if vacuum.is_vacuumcmd { "VACUUM" } else { "ANALYZE" }, &vacuum.rels)
            }
            NodeEnum::ClusterStmt(cluster) => self.maintain_table("CLUSTER", cluster.relation.as_ref()),
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
    fn on_tables(&mut self, verb: &'static str, table: Option<&RangeVar>) -> Effect {
        let effect = self.simple(verb, Operation::CreateObject);
        self.alter(table);
        effect
    }

    fn alter(&mut self, table: Option<&RangeVar>) {
        match table {
            Some(table) => {
                self.definition(table, Operation::AlterTable);
            }
            None => self.unknown("a definition without its table is not understood"),
        }
    }

    fn create_table(&mut self, create: &CreateStmt, verb: &'static str) -> Effect {
        self.level.verb = verb;
        let Some(name) = &create.relation else { return self.not_understood(verb) };
        let access = self.creation(name);
        for parent in &create.inh_relations {
            match &parent.node {
                Some(NodeEnum::RangeVar(parent)) => self.alter(Some(parent)),
                _ => self.unknown("a parent table is not understood"),
            }
        }
        for element in create.table_elts.iter().chain(&create.constraints) {
            self.table_element(element, access);
        }
        self.made(StatementKind::Define, verb, Some(name))
    }

    /// A column, constraint or LIKE of a table that is made or altered.
    fn table_element(&mut self, element: &Node, access: Option<usize>) {
        match &element.node {
            Some(NodeEnum::ColumnDef(column)) => {
                if let Some(access) = access {
                    self.name_column(access, &column.colname);
                }
                self.maybe(&column.raw_default, &Scope::default());
                for constraint in &column.constraints {
                    self.table_element(constraint, access);
                }
            }
            Some(NodeEnum::Constraint(constraint)) => {
                self.maybe(&constraint.raw_expr, &Scope::default());
                self.maybe(&constraint.where_clause, &Scope::default());
                // Whoever refers to a table learns which values it holds.
                if let Some(table) = &constraint.pktable {
                    let touched = self.table(table, Operation::Select);
                    for column in super::strings(&constraint.pk_attrs) {
                        if let Some(access) = touched.access {
                            self.name_column(access, &column);
                        }
                    }
                }
            }
            Some(NodeEnum::TableLikeClause(like)) => match &like.relation {
                Some(table) => {
                    let touched = self.table(table, Operation::Select);
                    self.name_all(&touched.row);
                }
                None => self.unknown("LIKE without a table is not understood"),
            },
            _ => self.unknown("an element of a table is not understood"),
        }
    }

    fn create_table_as(&mut self, create: &CreateTableAsStmt) -> Effect {
        let view = create.objtype() == ObjectType::ObjectMatview;
        let verb = if view { "CREATE MATERIALIZED VIEW" } else { "CREATE TABLE AS" };
        let source = match create.query.as_ref().and_then(|node| node.node.as_ref()) {
            Some(query) => self.statement(query).answer.unwrap_or_default(),
            None => return self.not_understood(verb),
        };
        self.level.verb = verb;
        self.stored.absorb(&source.whole());
        let Some(name) = create.into.as_ref().and_then(|into| into.rel.as_ref()) else {
            return self.not_understood(verb);
        };
        if view {
            self.on_database(Operation::CreateObject);
        } else {
            self.creation(name);
        }
        self.made(StatementKind::Define, verb, Some(name))
    }

    /// SELECT … INTO makes a table of the answer.
    pub(super) fn into_clause(&mut self, into: &IntoClause, row: Row) -> Row {
        self.stored.absorb(&row.whole());
        match &into.rel {
            Some(name) => {
                self.level.verb = "SELECT INTO";
                self.creation(name);
            }
            None => self.unknown("SELECT INTO without a table is not understood"),
        }
        Row::default()
    }

    fn create_view(&mut self, view: &ViewStmt) -> Effect {
        match view.query.as_ref().and_then(|node| node.node.as_ref()) {
            // What a view reads is found again in the catalogue, with its classes.
            Some(NodeEnum::SelectStmt(query)) => {
                self.select(query, &Scope::default());
            }
            _ => return self.not_understood("the query of a view"),
        }
        let effect = self.simple("CREATE VIEW", Operation::CreateObject);
        self.made(effect.kind, effect.verb, view.view.as_ref())
    }

    fn create_index(&mut self, index: &IndexStmt) -> Effect {
        let effect = self.on_tables("CREATE INDEX", index.relation.as_ref());
        if let Some(table) = &index.relation {
            let mut scope = Scope::default();
            let touched = self.table(table, Operation::AlterTable);
            scope.items.push(aliased(table, touched.row));
            for element in index.index_params.iter().chain(&index.index_including_params) {
                match &element.node {
                    Some(NodeEnum::IndexElem(element)) => self.index_element(element, &scope),
                    _ => self.unknown("a column of an index is not understood"),
                }
            }
            self.maybe(&index.where_clause, &scope);
        }
        effect
    }

    pub(super) fn index_element(&mut self, element: &IndexElem, scope: &Scope<'_>) {
        if element.name.is_empty() {
            self.maybe(&element.expr, scope);
            return;
        }
        for slot in scope.column(&element.name).slots {
            self.name_slot(&slot);
        }
    }

    fn alter_table(&mut self, alter: &AlterTableStmt) -> Effect {
        let Object::Table = Object::of(alter.objtype()) else {
            return self.simple("ALTER", Operation::AlterObject);
        };
        self.level.verb = "ALTER TABLE";
        let Some(name) = &alter.relation else { return self.not_understood("ALTER TABLE") };
        let access = self.definition(name, Operation::AlterTable);
        for node in &alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = &node.node else {
                self.unknown("a command of ALTER TABLE is not understood");
                continue;
            };
            if let Some(access) = access.filter(|_| !command.name.is_empty()) {
                self.name_column(access, &command.name);
            }
            match command.def.as_ref().and_then(|node| node.node.as_ref()) {
                // Another table: INHERIT, ATTACH PARTITION.
                Some(NodeEnum::RangeVar(other)) => self.alter(Some(other)),
                Some(NodeEnum::PartitionCmd(partition)) => self.alter(partition.name.as_ref()),
                Some(NodeEnum::ColumnDef(_) | NodeEnum::Constraint(_)) => {
                    if let Some(element) = command.def.as_deref() {
                        self.table_element(element, access);
                    }
                }
                // A default, a list of options, a name: expressions are walked for what they call.
                Some(expression_nodes!()) => {
                    self.maybe(&command.def, &Scope::default());
                }
                Some(_) | None => {}
            }
        }
        Effect::silent(StatementKind::Define, "ALTER TABLE")
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

    /// Indexes are no relations of the catalogue, so a name that it lacks counts as the whole database.
    fn maintained(&mut self, table: Option<&RangeVar>) {
        let known = table.is_some_and(|table| match &*table.schemaname {
            "" => self.names.visible(&table.relname).is_some(),
            schema => self.names.relation(schema, &table.relname).is_some(),
        });
        match table.filter(|_| known) {
            Some(table) => {
                self.table(table, Operation::Maintain);
            }
            None => self.on_database(Operation::Maintain),
        }
    }

    /// Notes that a table is made, where its name says.
    fn creation(&mut self, name: &RangeVar) -> Option<usize> {
        let schema = self.creation_schema(name);
        match schema {
            Some(schema) => Some(self.draft(Operation::CreateTable, None, &schema, &name.relname)),
            None => {
                self.unknown(format!("there is no schema to create \"{}\" in", name.relname));
                None
            }
        }
    }

    fn creation_schema(&self, name: &RangeVar) -> Option<String> {
        if is_temporary(name) {
            return Some(TEMPORARY_SCHEMA.to_owned());
        }
        if name.schemaname.is_empty() {
            return self.names.creation_schema().map(str::to_owned);
        }
        Some(name.schemaname.clone())
    }

    /// What remains when a relation has been made: a temporary name, or a table for later statements.
    pub(super) fn made(&mut self, kind: StatementKind, verb: &'static str, name: Option<&RangeVar>) -> Effect {
        let Some(name) = name else { return Effect::silent(kind, verb) };
        if is_temporary(name) {
            return Effect::silent(StatementKind::CreateTemporary { name: name.relname.clone() }, verb);
        }
        if let Some(schema) = self.creation_schema(name) {
            self.remarks.created.insert((schema, name.relname.clone()));
        }
        Effect::silent(StatementKind::Define, verb)
    }
}

/// The persistence `t` of `pg_class`, or the temporary schema by name.
fn is_temporary(name: &RangeVar) -> bool {
    name.relpersistence == "t" || name.schemaname == TEMPORARY_SCHEMA
}
