//! Values: where they come from, and what is touched while they are computed.

use pg_query::{
    NodeEnum,
    protobuf::{AExpr, AIndirection, ColumnRef, Node, SubLink, SubLinkType, TypeName, WindowDef},
};

use super::{
    Analysis,
    early::stops_early,
    flow::Flow,
    nodes::{analysed_nodes, clause_nodes, from_nodes, statement_nodes},
    scope::{Found, Scope},
    strings,
};
use crate::request::PredicateKind;

impl Analysis<'_> {
    /// The flow of one value.
    pub(super) fn value(&mut self, node: &Node, scope: &Scope<'_>) -> Flow {
        if !self.enter() {
            self.leave();
            return Flow::opaque();
        }
        let flow = node.node.as_ref().map_or_else(Flow::default, |node| self.node(node, scope));
        self.step(flow.columns.len());
        self.leave();
        flow
    }

    /// The flow of what may be absent.
    pub(super) fn maybe<'n, N>(&mut self, node: N, scope: &Scope<'_>) -> Flow
    where
        N: Into<Option<&'n Box<Node>>>,
    {
        node.into().map_or_else(Flow::default, |node| self.value(node, scope))
    }

    /// The flow of several values together.
    pub(super) fn values<'n>(&mut self, nodes: impl IntoIterator<Item = &'n Node>, scope: &Scope<'_>) -> Flow {
        let mut flow = Flow::default();
        for node in nodes {
            flow.absorb(&self.value(node, scope));
        }
        flow
    }

    fn node(&mut self, node: &NodeEnum, scope: &Scope<'_>) -> Flow {
        match node {
            // Leaves.
            NodeEnum::AConst(_)
            | NodeEnum::Integer(_)
            | NodeEnum::Float(_)
            | NodeEnum::Boolean(_)
            | NodeEnum::String(_)
            | NodeEnum::BitString(_)
            | NodeEnum::SetToDefault(_)
            | NodeEnum::CurrentOfExpr(_)
            | NodeEnum::SqlvalueFunction(_)
            | NodeEnum::MergeSupportFunc(_)
            | NodeEnum::JsonTablePathSpec(_) => Flow::default(),
            NodeEnum::ColumnRef(column) => self.column_reference(column, scope),
            NodeEnum::AStar(_) => scope.everything(),

            // What decides for itself.
            NodeEnum::FuncCall(call) => self.call(call, scope),
            NodeEnum::SubLink(link) => self.sub_link(link, scope),
            NodeEnum::AExpr(expression) => self.operator(expression, scope),
            NodeEnum::AIndirection(indirection) => self.indirection(indirection, scope),
            NodeEnum::GroupingFunc(function) => {
                self.values(&function.args, scope);
                Flow::default()
            }

            NodeEnum::ParamRef(_) => self.arguments.clone(),

            // What is all of its parts.
            NodeEnum::List(list) => self.values(&list.items, scope),
            NodeEnum::BoolExpr(node) => self.conjunction(node, scope),
            NodeEnum::RowExpr(node) => self.values(&node.args, scope),
            NodeEnum::CoalesceExpr(node) => self.coalesce(&node.args, scope),
            NodeEnum::MinMaxExpr(node) => self.values(&node.args, scope).computed(),
            NodeEnum::AArrayExpr(node) => self.values(&node.elements, scope),
            NodeEnum::GroupingSet(node) => self.values(&node.content, scope),
            NodeEnum::NamedArgExpr(node) => {
                node.arg.as_deref().map_or_else(Flow::default, |node| self.operand(node, scope))
            }
            NodeEnum::NullTest(node) => self.maybe(&node.arg, scope).computed(),
            NodeEnum::BooleanTest(node) => self.maybe(&node.arg, scope).computed(),
            NodeEnum::TypeCast(node) => {
                let flow = node.arg.as_deref().map_or_else(Flow::default, |node| self.operand(node, scope));
                let cast = self.cast(node.type_name.as_ref());
                let flow = self.handed(&flow, &cast);
                let keeps = keeps_text(node.type_name.as_ref()) && flow.columns.len() <= 1;
                if keeps { flow } else { flow.computed() }
            }
            NodeEnum::CollateClause(node) => self.maybe(&node.arg, scope).computed(),
            NodeEnum::MultiAssignRef(node) => self.maybe(&node.source, scope),
            NodeEnum::ResTarget(node) => self.maybe(&node.val, scope),
            NodeEnum::SortBy(node) => self.maybe(&node.node, scope),
            NodeEnum::XmlSerialize(node) => self.maybe(&node.expr, scope).computed(),
            NodeEnum::AIndices(node) => self.maybe(&node.lidx, scope).and(&self.maybe(&node.uidx, scope)),
            NodeEnum::CaseWhen(node) => self.condition(&node.expr, scope).and(&self.maybe(&node.result, scope)),
            NodeEnum::CaseExpr(node) => self.case(node, scope),
            NodeEnum::XmlExpr(node) => {
                self.values(&node.named_args, scope).and(&self.values(&node.args, scope)).computed()
            }
            NodeEnum::WindowDef(window) => self.window(window, scope),
            NodeEnum::JsonValueExpr(_)
            | NodeEnum::JsonIsPredicate(_)
            | NodeEnum::JsonBehavior(_)
            | NodeEnum::JsonArgument(_)
            | NodeEnum::JsonFuncExpr(_)
            | NodeEnum::JsonKeyValue(_)
            | NodeEnum::JsonParseExpr(_)
            | NodeEnum::JsonScalarExpr(_)
            | NodeEnum::JsonSerializeExpr(_)
            | NodeEnum::JsonObjectConstructor(_)
            | NodeEnum::JsonArrayConstructor(_)
            | NodeEnum::JsonArrayQueryConstructor(_)
            | NodeEnum::JsonObjectAgg(_)
            | NodeEnum::JsonArrayAgg(_) => self.json(node, scope).computed(),

            from_nodes!() | statement_nodes!() | clause_nodes!() | analysed_nodes!() => {
                self.unknown("an expression of an unexpected kind is not understood");
                Flow::opaque()
            }
        }
    }

    /// A column, a whole row, or (`t.f`) a function of a whole row.
    fn column_reference(&mut self, reference: &ColumnRef, scope: &Scope<'_>) -> Flow {
        let parts = strings(&reference.fields);
        let star = matches!(reference.fields.last().map(|node| &node.node), Some(Some(NodeEnum::AStar(_))));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match (parts.as_slice(), star) {
            ([], _) => self.whole_scope(scope),
            ([column], false) => self.unqualified_column(column, scope),
            ([table], true) => self.whole_row(None, table, scope),
            ([table, column], false) => self.qualified_column(None, table, column, scope),
            ([schema, table], true) => self.whole_row(Some(schema), table, scope),
            ([schema, table, column], false) | ([_, schema, table, column], false) => {
                self.qualified_column(Some(schema), table, column, scope)
            }
            ([_, schema, table], true) => self.whole_row(Some(schema), table, scope),
            ([..], _) => self.unresolved(scope),
        }
    }

    fn unqualified_column(&mut self, name: &str, scope: &Scope<'_>) -> Flow {
        let found = scope.column(name);
        let flow = self.named(&found);
        if found.certain {
            return flow;
        }
        if let Some(item) = scope.item(None, name) {
            self.name_all(&item.row);
            return flow.and(&item.row.whole());
        }
        match (is_system_column(name), found.possible) {
            (true, _) | (false, true) => flow,
            (false, false) => self.unresolved(scope),
        }
    }

    fn qualified_column(&mut self, schema: Option<&str>, table: &str, column: &str, scope: &Scope<'_>) -> Flow {
        let Some(item) = scope.item(schema, table) else { return self.unresolved(scope) };
        let mut found = Found::default();
        let certain = found.look(&item.row, column);
        if let Some(variable) = scope.variable(table).filter(|_| !item.is_variable) {
            found.look(variable, column);
        }
        let flow = self.named(&found);
        if certain || is_system_column(column) || item.is_variable {
            return flow;
        }
        // Functional notation: `t.f` is `f(t)` when `t` has no column `f`.
        if found.possible && !self.is_function(column) {
            return flow;
        }
        self.name_all(&item.row);
        let flow = flow.and(&item.row.whole());
        let added = self.applied(&[column], &flow);
        flow.and(&added).computed()
    }

    pub(super) fn whole_row(&mut self, schema: Option<&str>, table: &str, scope: &Scope<'_>) -> Flow {
        let Some(item) = scope.item(schema, table) else { return self.unresolved(scope) };
        self.name_all(&item.row);
        item.row.whole()
    }

    fn whole_scope(&mut self, scope: &Scope<'_>) -> Flow {
        for scope in scope.levels() {
            for item in &scope.items {
                self.name_all(&item.row);
            }
        }
        scope.everything()
    }

    /// A name that nothing is known by: the server refuses it, or knows more than the catalogue.
    fn unresolved(&mut self, scope: &Scope<'_>) -> Flow {
        self.found.remarks.unknown_relations = true;
        scope.everything().and(&Flow::opaque())
    }

    fn named(&mut self, found: &Found) -> Flow {
        let mut flow = found.rest.clone();
        for slot in &found.slots {
            self.name_slot(slot);
            flow.absorb(&slot.flow);
        }
        flow
    }

    fn sub_link(&mut self, link: &SubLink, scope: &Scope<'_>) -> Flow {
        let tested = self.maybe(&link.testexpr, scope);
        let operator = self.check_operator(&link.oper_name);
        let row = match link.subselect.as_ref().and_then(|node| node.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => self.select(select, scope),
            Some(_) | None => {
                self.unknown("a sub-query of an unexpected kind is not understood");
                return Flow::opaque();
            }
        };
        match link.sub_link_type() {
            SubLinkType::ExistsSublink => Flow::default(),
            SubLinkType::AllSublink
            | SubLinkType::AnySublink
            | SubLinkType::RowcompareSublink
            | SubLinkType::ExprSublink
            | SubLinkType::MultiexprSublink
            | SubLinkType::ArraySublink
            | SubLinkType::CteSublink
            | SubLinkType::Undefined => {
                let flow = self.handed(&tested.and(&row.whole()), &operator);
                if link.testexpr.is_some() {
                    // Rows are taken until one decides.
                    self.decides(PredicateKind::Filter, &flow);
                }
                if link.testexpr.is_some() { flow.computed() } else { flow }
            }
        }
    }

    fn operator(&mut self, expression: &AExpr, scope: &Scope<'_>) -> Flow {
        let operator = self.check_operator(&expression.name);
        let left = self.maybe(&expression.lexpr, scope);
        let right = self.maybe(&expression.rexpr, scope);
        // Division by zero is an error for some values, and none for others.
        if matches!(strings(&expression.name).last().map(String::as_str), Some("/" | "%")) {
            self.decides(PredicateKind::Filter, &right);
        }
        let flow = self.handed(&left.and(&right), &operator);
        if stops_early(expression) {
            self.decides(PredicateKind::Filter, &flow);
        }
        flow.computed()
    }

    /// The server's own operators touch nothing but their operands. Where the catalogue has others of the same name,
    /// the server might choose them by the operands' types, and their functions are called.
    pub(super) fn check_operator(&mut self, name: &[Node]) -> Flow {
        let name = strings(name);
        match name.as_slice() {
            [] => Flow::default(),
            [schema, _] if schema == "pg_catalog" => Flow::default(),
            [operator] => {
                let names = self.names;
                self.implied(names.catalogue.operators.get(operator))
            }
            [schema, .., operator] => {
                self.unknown(format!("operator {operator} of schema \"{schema}\" is not understood"));
                Flow::opaque()
            }
        }
    }

    /// What runs when a value becomes one of a type that is not the server's own.
    pub(super) fn cast(&mut self, name: Option<&TypeName>) -> Flow {
        let names = self.names;
        let kind = name.and_then(|name| strings(&name.names).pop());
        self.implied(kind.and_then(|kind| names.catalogue.casts.get(&kind)))
    }

    /// `(row).column`, `(row).function`, `array[index]`.
    fn indirection(&mut self, indirection: &AIndirection, scope: &Scope<'_>) -> Flow {
        let mut flow = self.maybe(&indirection.arg, scope);
        for step in &indirection.indirection {
            match &step.node {
                Some(NodeEnum::String(field))
                    if !has_field(indirection, &field.sval, scope)
                        .unwrap_or_else(|| self.is_field(indirection, &field.sval)) =>
                {
                    let added = self.applied(&[&field.sval], &flow);
                    flow = flow.and(&added).computed();
                }
                Some(NodeEnum::String(_) | NodeEnum::AStar(_)) => {}
                _ => flow.absorb(&self.value(step, scope)),
            }
        }
        flow
    }

    /// Whether a name behind a row whose columns are not known means one of them: it is no function that is known, and
    /// none can have come since the catalogue was read, unless it is the server's own row.
    fn is_field(&mut self, indirection: &AIndirection, field: &str) -> bool {
        if self.is_function(field) {
            return false;
        }
        let is_servers = matches!(
            indirection.arg.as_ref().map(|arg| &arg.node),
            Some(Some(NodeEnum::FuncCall(call)))
                if self.is_server_function(&strings(&call.funcname).iter().map(String::as_str).collect::<Vec<_>>())
        );
        self.found.remarks.depends_on_session |= !is_servers;
        is_servers || !self.may_be_new()
    }

    /// Walks a window: it decides on the order of rows, and its values go nowhere.
    pub(super) fn window(&mut self, window: &WindowDef, scope: &Scope<'_>) -> Flow {
        self.group(&window.partition_clause, None, scope);
        self.sort(&window.order_clause, None, scope);
        let offsets = self.maybe(&window.start_offset, scope).and(&self.maybe(&window.end_offset, scope));
        self.decides(PredicateKind::Filter, &offsets);
        Flow::default()
    }
}

/// Whether a row has a column of this name; `None`: its columns are not known. Those of tables in FROM are.
fn has_field(indirection: &AIndirection, field: &str, scope: &Scope<'_>) -> Option<bool> {
    let Some(Some(NodeEnum::ColumnRef(column))) = indirection.arg.as_ref().map(|arg| &arg.node) else { return None };
    let [name] = <[String; 1]>::try_from(strings(&column.fields)).ok()?;
    let row = &scope.item(None, &name).filter(|_| !scope.column(&name).certain)?.row;
    let has_all_names = row.rest.is_none() && row.slots.iter().all(|slot| slot.name.is_some());
    has_all_names.then(|| row.slots.iter().any(|slot| slot.name.as_deref() == Some(field)))
}

/// Whether a cast gives the text of a value and all of it.
fn keeps_text(name: Option<&TypeName>) -> bool {
    let Some(name) = name.filter(|name| name.typmods.is_empty() && name.array_bounds.is_empty()) else { return false };
    matches!(strings(&name.names).as_slice(), [kind] if kind == "text")
        || matches!(strings(&name.names).as_slice(), [schema, kind] if schema == "pg_catalog" && matches!(kind.as_str(), "text" | "varchar"))
}

/// Columns that every table has and none declares, as "System Columns" in PostgreSQL's documentation lists them.
fn is_system_column(name: &str) -> bool {
    matches!(name, "tableoid" | "xmin" | "cmin" | "xmax" | "cmax" | "ctid")
}
