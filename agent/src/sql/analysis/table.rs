//! Statements that make tables, views and indexes, and that change tables.

use pg_query::{
    NodeEnum,
    protobuf::{
        AlterTableCmd, AlterTableStmt, AlterTableType, ColumnDef, ConstrType, Constraint, CreateStmt,
        CreateTableAsStmt, DropBehavior, IndexElem, IndexStmt, IntoClause, Node, ObjectType, RangeVar, ViewStmt,
    },
};

use super::{
    Analysis, Effect,
    flow::{Flow, Row},
    from::aliased,
    nodes::expression_nodes,
    object::Object,
    relation::{self, Touched},
    scope::{Item, Scope},
    strings,
    tag::Tags,
};
use crate::{
    request::{PredicateKind, sql::Operation},
    sql::{StatementKind, TEMPORARY_SCHEMA},
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
        let decided = self.found.predicates.clone();
        for element in create.table_elts.iter().chain(&create.constraints) {
            self.table_element(element, access, &Scope::default());
        }
        // Its own columns are in no catalogue, and it has no rows that a check could choose. What it refers to, and
        // what functions may look up whenever a row comes, is decided by all the same.
        if !self.calls_unknown() {
            self.found.predicates.retain(|predicate| predicate.1.is_some() || decided.contains(predicate));
        }
        // Its rows show through its parents.
        self.found.overturns |= !create.inh_relations.is_empty();
        // What exists already, or elsewhere, is something else than the statement says.
        let is_foreign = verb != "CREATE TABLE";
        let columns = self.declared(create).filter(|_| !create.if_not_exists && !is_foreign);
        self.made(StatementKind::Define, verb, Some(name), columns)
    }

    /// The columns that CREATE TABLE lists; `None`: it takes others from elsewhere.
    fn declared(&mut self, create: &CreateStmt) -> Option<Vec<String>> {
        let mut columns = Vec::new();
        for element in &create.table_elts {
            match &element.node {
                Some(NodeEnum::ColumnDef(column)) => columns.push(column.colname.clone()),
                Some(NodeEnum::TableLikeClause(like)) => {
                    let row = self.table(like.relation.as_ref()?, Operation::Select).row;
                    columns.extend(slot_names(&row)?);
                }
                _ => {}
            }
        }
        (create.inh_relations.is_empty() && create.partbound.is_none() && create.of_typename.is_none())
            .then_some(columns)
    }

    /// A column, constraint or LIKE of a table that is made or altered.
    fn table_element(&mut self, element: &Node, access: Option<usize>, scope: &Scope<'_>) {
        match &element.node {
            Some(NodeEnum::ColumnDef(column)) => {
                if let Some(access) = access {
                    self.name_column(access, &column.colname);
                }
                self.maybe(&column.raw_default, &Scope::default());
                for constraint in &column.constraints {
                    self.table_element(constraint, access, scope);
                }
            }
            Some(NodeEnum::Constraint(constraint)) => {
                self.constraint(constraint, scope);
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

    /// Rows that a table has already must satisfy it, or it fails.
    fn constraint(&mut self, constraint: &Constraint, scope: &Scope<'_>) {
        let flow = self.maybe(&constraint.raw_expr, scope);
        self.decides(PredicateKind::Filter, &flow);
        self.condition(&constraint.where_clause, scope);
        self.exclusion(constraint, scope);
        let mut flow = Flow::default();
        for name in strings(&constraint.fk_attrs) {
            scope.column(&name).slots.iter().for_each(|slot| flow.absorb(&slot.flow));
        }
        // Its rows change with those that they refer to.
        self.found.overturns |= constraint.fk_upd_action == CASCADE;
        // Whoever refers to a table learns which values it holds.
        if let Some(table) = &constraint.pktable {
            let touched = self.table(table, Operation::Select);
            for column in strings(&constraint.pk_attrs) {
                let named = touched.row.slots.iter().filter(|slot| slot.name.as_deref() == Some(&*column));
                named.for_each(|slot| flow.absorb(&slot.flow));
                if let Some(access) = touched.access {
                    self.name_column(access, &column);
                }
            }
        }
        self.decides(PredicateKind::Filter, &flow);
    }

    /// EXCLUDE: each pair is an element of an index and the operator that no two rows may satisfy.
    fn exclusion(&mut self, constraint: &Constraint, scope: &Scope<'_>) {
        for pair in &constraint.exclusions {
            let Some(NodeEnum::List(pair)) = &pair.node else {
                self.unknown("an exclusion constraint is not understood");
                continue;
            };
            for part in &pair.items {
                match &part.node {
                    Some(NodeEnum::IndexElem(element)) => {
                        let flow = self.index_element(element, scope);
                        self.decides(PredicateKind::Filter, &flow);
                    }
                    Some(NodeEnum::List(operator)) => {
                        self.check_operator(&operator.items);
                    }
                    _ => self.unknown("an exclusion constraint is not understood"),
                }
            }
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
        self.found.stored.absorb(&source.whole());
        let Some(name) = create.into.as_ref().and_then(|into| into.rel.as_ref()) else {
            return self.not_understood(verb);
        };
        if view {
            self.on_database(Operation::CreateObject);
        } else {
            self.creation(name);
        }
        let named = create.into.as_ref().map(|into| strings(&into.col_names)).filter(|names| !names.is_empty());
        let columns = slot_names(&source.rename(&named.unwrap_or_default())).filter(|_| !view && !create.if_not_exists);
        self.made(StatementKind::Define, verb, Some(name), columns)
    }

    /// SELECT … INTO makes a table of the answer.
    pub(super) fn select_into(&mut self, into: &IntoClause, row: Row) -> Row {
        self.found.stored.absorb(&row.whole());
        match &into.rel {
            Some(name) => {
                self.level.verb = "SELECT INTO";
                self.creation(name);
            }
            None => self.unknown("SELECT INTO without a table is not understood"),
        }
        row
    }

    pub(super) fn create_view(&mut self, view: &ViewStmt) -> Effect {
        match view.query.as_ref().and_then(|node| node.node.as_ref()) {
            // Until the catalogue is read again, nobody else knows what a view shows.
            Some(NodeEnum::SelectStmt(query)) => {
                let row = self.select(query, &Scope::default());
                self.found.stored.absorb(&row.whole());
            }
            _ => return self.not_understood("the query of a view"),
        }
        if self.names_settings() {
            self.unknown("settings would be changed through a view of pg_settings");
        }
        // What only may be temporary is none of it.
        self.found.makes_own = view.view.as_ref().is_some_and(is_temporary);
        let effect = self.simple("CREATE VIEW", Operation::CreateObject);
        // A view of anything temporary is temporary, whether it says so or not.
        match &view.view {
            Some(name) if self.found.names_temporary || is_temporary(name) => {
                let kind = StatementKind::CreateTemporary { name: name.relname.clone(), columns: None, is_view: true };
                Effect::silent(kind, effect.verb)
            }
            name => self.made(effect.kind, effect.verb, name.as_ref(), None),
        }
    }

    pub(super) fn create_index(&mut self, index: &IndexStmt) -> Effect {
        self.found.makes_own = index.relation.as_ref().is_some_and(|table| self.is_own_alone(table));
        let effect = self.on_tables("CREATE INDEX", index.relation.as_ref());
        self.keeps_made = true;
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
        self.keeps_made = true;
        let Some(name) = &alter.relation else { return self.not_understood("ALTER TABLE") };
        let table = self.defined(name, Operation::AlterTable);
        let access = table.access;
        let scope = Scope { items: vec![Item::new(&*name.relname, table.row.clone())], ..Scope::default() };
        for node in &alter.cmds {
            let Some(NodeEnum::AlterTableCmd(command)) = &node.node else {
                self.unknown("a command of ALTER TABLE is not understood");
                continue;
            };
            if let Some(access) = access.filter(|_| !command.name.is_empty()) {
                self.name_column(access, &command.name);
            }
            self.found.reaches_further |= command.behavior() == DropBehavior::DropCascade;
            match changed_by(command.subtype()) {
                Changed::Checks => {}
                Changed::Columns => self.reshaped(name),
                Changed::Anything => self.found.overturns = true,
            }
            match command.def.as_ref().and_then(|node| node.node.as_ref()) {
                // Another table: INHERIT, ATTACH PARTITION.
                Some(NodeEnum::RangeVar(other)) => {
                    self.leaves_parent(command, Some(name));
                    self.alter(Some(other));
                }
                Some(NodeEnum::PartitionCmd(partition)) => {
                    self.leaves_parent(command, partition.name.as_ref());
                    self.alter(partition.name.as_ref());
                }
                Some(NodeEnum::ColumnDef(column)) => self.derived_column(column, command, name, &table),
                Some(NodeEnum::Constraint(_)) => {
                    if let Some(element) = command.def.as_deref() {
                        self.table_element(element, access, &scope);
                    }
                }
                // SET and RESET of options.
                Some(NodeEnum::List(list)) if list.items.iter().all(is_option) => {}
                // A default, a name: expressions are walked for what they call.
                Some(expression_nodes!()) => {
                    self.maybe(&command.def, &Scope::default());
                }
                Some(_) | None => {}
            }
        }
        Effect::silent(StatementKind::Define, "ALTER TABLE")
    }

    /// A table that is taken out of its parent has its classes from there by name, and would show its rows without.
    fn leaves_parent(&mut self, command: &AlterTableCmd, child: Option<&RangeVar>) {
        if let (AlterTableType::AtDetachPartition | AlterTableType::AtDropInherit, Some(child)) =
            (command.subtype(), child)
        {
            self.uncovered(child, None);
        }
    }

    /// Notes that classified columns would be known by other names, which nobody has classified: one, or all.
    pub(super) fn uncovered(&mut self, table: &RangeVar, column: Option<&str>) {
        let names = self.names;
        let known = match &*table.schemaname {
            "" => names.visible(&table.relname),
            schema => names.relation(schema, &table.relname),
        };
        let Some(relation) = known else { return };
        let is_meant = |name: &str| column.is_none_or(|column| column == name);
        let columns = relation.columns.iter().filter(|known| !known.classes.is_empty() && is_meant(&known.name));
        let columns: Vec<&str> = columns.map(|known| known.name.as_str()).collect();
        if columns.is_empty() {
            return;
        }
        let row = self.table(table, Operation::Select).row;
        for slot in row.slots.iter().filter(|slot| slot.name.as_deref().is_some_and(|name| columns.contains(&name))) {
            self.name_slot(slot);
            self.found.stored.absorb(&slot.flow);
        }
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
                _ => self.table_element(node, touched.access, &scope),
            }
        }
        let own = touched.row.slots.iter().filter(|slot| slot.name.as_deref() == Some(name));
        for column in own.flat_map(|slot| &slot.flow.columns) {
            flow.columns.remove(column);
        }
        self.found.stored.absorb(&flow);
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

    /// What remains when a relation has been made: a temporary name, or a table for later statements, which is opaque to
    /// them where its columns are not known.
    pub(super) fn made(
        &mut self,
        kind: StatementKind,
        verb: &'static str,
        name: Option<&RangeVar>,
        columns: Option<Vec<String>>,
    ) -> Effect {
        let Some(name) = name else { return Effect::silent(kind, verb) };
        if is_temporary(name) {
            let kind = StatementKind::CreateTemporary { name: name.relname.clone(), columns, is_view: false };
            return Effect::silent(kind, verb);
        }
        self.keeps_made = true;
        if let Some(schema) = self.creation_schema(name) {
            self.found.creates.insert((schema, name.relname.clone()), columns);
        }
        Effect::silent(StatementKind::Define, verb)
    }
}

/// What a command of ALTER TABLE changes of a table.
enum Changed {
    /// What rows it takes, who may use it, or how they are stored.
    Checks,
    Columns,
    /// What its name means, or whose rows it shows.
    Anything,
}

/// A command that is not listed may change anything.
fn changed_by(command: AlterTableType) -> Changed {
    use AlterTableType as Type;
    match command {
        Type::AtColumnDefault
        | Type::AtDropNotNull
        | Type::AtSetNotNull
        | Type::AtSetStatistics
        | Type::AtSetStorage
        | Type::AtSetCompression
        | Type::AtAddConstraint
        | Type::AtValidateConstraint
        | Type::AtAddIndexConstraint
        | Type::AtDropConstraint
        | Type::AtChangeOwner
        | Type::AtClusterOn
        | Type::AtSetRelOptions
        | Type::AtReplicaIdentity
        | Type::AtAddIdentity
        | Type::AtSetIdentity => Changed::Checks,
        Type::AtAddColumn | Type::AtDropColumn | Type::AtAlterColumnType => Changed::Columns,
        _ => Changed::Anything,
    }
}

/// `FKCONSTR_ACTION_CASCADE` of PostgreSQL's `nodes/parsenodes.h`.
const CASCADE: &str = "c";

/// Whether a node is a storage parameter with a value that computes nothing.
fn is_option(node: &Node) -> bool {
    matches!(&node.node, Some(NodeEnum::DefElem(_)))
}

/// The names of a row's columns; `None`: not all are known.
pub fn slot_names(row: &Row) -> Option<Vec<String>> {
    let names = row.slots.iter().map(|slot| slot.name.as_deref().map(str::to_owned));
    if row.rest.is_some() { None } else { names.collect() }
}

/// The persistence `t` of `pg_class`, or the temporary schema by name.
pub fn is_temporary(name: &RangeVar) -> bool {
    name.relpersistence == "t" || relation::is_temporary(&name.schemaname)
}
