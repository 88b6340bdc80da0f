//! Statements that make tables, views and indexes, and that change tables.

use pg_query::{
    NodeEnum,
    protobuf::{
        AlterTableCmd, AlterTableStmt, ColumnDef, ConstrType, CreateStmt, CreateTableAsStmt, IndexElem, IndexStmt,
        IntoClause, Node, ObjectType, RangeVar, ViewStmt,
    },
};

use super::{
    Analysis, Effect,
    access::{self, TEMPORARY_SCHEMA, Touched},
    flow::{Flow, Row},
    from::aliased,
    nodes::expression_nodes,
    object::Object,
    scope::{Item, Scope},
    strings,
    tag::Tags,
};
use crate::{
    request::{PredicateKind, sql::Operation},
    sql::StatementKind,
};

impl Analysis<'_> {
    pub(super) fn alter(&mut self, table: Option<&RangeVar>) {
        match table {
            Some(table) => {
                self.definition(table, Operation::AlterTable);
            }
            None => self.unknown("a definition without its table is not understood"),
        }
    }

    pub(super) fn create_table(&mut self, create: &CreateStmt, verb: &'static str) -> Effect {
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
                    for column in strings(&constraint.pk_attrs) {
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

    pub(super) fn create_table_as(&mut self, create: &CreateTableAsStmt) -> Effect {
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
    pub(super) fn select_into(&mut self, into: &IntoClause, row: Row) -> Row {
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

    pub(super) fn create_view(&mut self, view: &ViewStmt) -> Effect {
        match view.query.as_ref().and_then(|node| node.node.as_ref()) {
            // What a view reads is found again in the catalogue, with its classes.
            Some(NodeEnum::SelectStmt(query)) => {
                self.select(query, &Scope::default());
            }
            _ => return self.not_understood("the query of a view"),
        }
        let effect = self.simple("CREATE VIEW", Operation::CreateObject);
        // A view of anything temporary is temporary, whether it says so or not.
        match &view.view {
            Some(name) if self.remarks.depends_on_session => {
                Effect::silent(StatementKind::CreateTemporary { name: name.relname.clone() }, effect.verb)
            }
            name => self.made(effect.kind, effect.verb, name.as_ref()),
        }
    }

    pub(super) fn create_index(&mut self, index: &IndexStmt) -> Effect {
        let effect = self.on_tables("CREATE INDEX", index.relation.as_ref());
        if let Some(table) = &index.relation {
            let mut scope = Scope::default();
            let touched = self.table(table, Operation::AlterTable);
            scope.items.push(aliased(table, touched.row));
            for element in index.index_params.iter().chain(&index.index_including_params) {
                match &element.node {
                    Some(NodeEnum::IndexElem(element)) => {
                        let flow = self.index_element(element, &scope);
                        // Building it computes the expression for every row, and may fail.
                        if flow.computed {
                            self.decides(PredicateKind::Filter, &flow);
                        }
                    }
                    _ => self.unknown("a column of an index is not understood"),
                }
            }
            self.condition(&index.where_clause, &scope);
        }
        effect
    }

    pub(super) fn index_element(&mut self, element: &IndexElem, scope: &Scope<'_>) -> Flow {
        if element.name.is_empty() {
            return self.maybe(&element.expr, scope);
        }
        let mut flow = Flow::default();
        for slot in scope.column(&element.name).slots {
            self.name_slot(&slot);
            flow.absorb(&slot.flow);
        }
        flow
    }

    pub(super) fn alter_table(&mut self, alter: &AlterTableStmt) -> Effect {
        let Object::Table = Object::of(alter.objtype()) else {
            return self.simple(Tags::of(alter.objtype()).alter, Operation::AlterObject);
        };
        self.level.verb = "ALTER TABLE";
        let Some(name) = &alter.relation else { return self.not_understood("ALTER TABLE") };
        let table = self.defined(name, Operation::AlterTable);
        let access = table.access;
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
                Some(NodeEnum::ColumnDef(column)) => self.derived_column(column, command, name, &table),
                Some(NodeEnum::Constraint(_)) => {
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

    /// A column that is added or changes its type: what its values are computed from is stored in it.
    fn derived_column(&mut self, column: &ColumnDef, command: &AlterTableCmd, table: &RangeVar, touched: &Touched) {
        let name = if column.colname.is_empty() { &command.name } else { &column.colname };
        if let Some(access) = touched.access {
            self.name_column(access, name);
        }
        let scope = Scope { items: vec![Item::new(&*table.relname, touched.row.clone())], ..Scope::default() };
        let mut flow = self.maybe(&column.raw_default, &scope);
        for node in &column.constraints {
            match &node.node {
                Some(NodeEnum::Constraint(constraint)) if constraint.contype() == ConstrType::ConstrGenerated => {
                    flow.absorb(&self.maybe(&constraint.raw_expr, &scope));
                }
                _ => self.table_element(node, touched.access),
            }
        }
        let own = touched.row.slots.iter().filter(|slot| slot.name.as_deref() == Some(name));
        for column in own.flat_map(|slot| &slot.flow.columns) {
            flow.columns.remove(column);
        }
        self.stored.absorb(&flow);
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
    name.relpersistence == "t" || access::is_temporary(&name.schemaname)
}
