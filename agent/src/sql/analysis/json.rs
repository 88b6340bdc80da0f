//! The expressions of SQL/JSON: all of their parts flow into what they make.

use pg_query::{
    NodeEnum,
    protobuf::{JsonAggConstructor, JsonBehavior, JsonBehaviorType, JsonTable, JsonTableColumn, JsonValueExpr, Node},
};

use super::{
    Analysis,
    early::is_inert,
    flow::{Flow, Row},
    from::alias_names,
    scope::Scope,
};
use crate::request::PredicateKind;

impl Analysis<'_> {
    /// The flow of one SQL/JSON expression.
    pub(super) fn json(&mut self, node: &NodeEnum, scope: &Scope<'_>) -> Flow {
        match node {
            NodeEnum::JsonValueExpr(node) => self.json_value(Some(node), scope),
            NodeEnum::JsonIsPredicate(node) => self.maybe(&node.expr, scope),
            NodeEnum::JsonBehavior(node) => self.maybe(&node.expr, scope),
            NodeEnum::JsonArgument(node) => self.json_value(node.val.as_deref(), scope),
            NodeEnum::JsonKeyValue(node) => {
                self.maybe(&node.key, scope).and(&self.json_value(node.value.as_deref(), scope))
            }
            NodeEnum::JsonFuncExpr(node) => {
                let flow = self.json_value(node.context_item.as_deref(), scope);
                let flow = flow.and(&self.maybe(&node.pathspec, scope)).and(&self.values(&node.passing, scope));
                let flow = flow.and(&self.json_behavior(node.on_empty.as_deref(), scope));
                let flow = flow.and(&self.json_behavior(node.on_error.as_deref(), scope));
                if [&node.on_empty, &node.on_error].into_iter().flatten().any(|behavior| tells(behavior)) {
                    self.decides(PredicateKind::Filter, &flow);
                }
                flow
            }
            NodeEnum::JsonParseExpr(node) => self.json_value(node.expr.as_deref(), scope),
            NodeEnum::JsonScalarExpr(node) => self.maybe(&node.expr, scope),
            NodeEnum::JsonSerializeExpr(node) => self.json_value(node.expr.as_deref(), scope),
            NodeEnum::JsonObjectConstructor(node) => {
                let flow = self.values(&node.exprs, scope);
                if node.unique {
                    self.decides(PredicateKind::Grouping, &flow);
                }
                flow
            }
            NodeEnum::JsonArrayConstructor(node) => self.values(&node.exprs, scope),
            NodeEnum::JsonArrayQueryConstructor(node) => self.json_query(node.query.as_deref(), scope),
            NodeEnum::JsonObjectAgg(node) => {
                self.json_aggregate(node.constructor.as_deref(), scope);
                node.arg.as_ref().map_or_else(Flow::default, |pair| {
                    self.maybe(&pair.key, scope).and(&self.json_value(pair.value.as_deref(), scope))
                })
            }
            NodeEnum::JsonArrayAgg(node) => {
                self.json_aggregate(node.constructor.as_deref(), scope);
                self.json_value(node.arg.as_deref(), scope)
            }
            _ => {
                self.unknown("an expression of SQL/JSON is not understood");
                Flow::opaque()
            }
        }
    }

    /// JSON_TABLE in FROM.
    pub(super) fn json_table(&mut self, table: &JsonTable, scope: &Scope<'_>) -> Row {
        let flow = self.json_value(table.context_item.as_deref(), scope).and(&self.values(&table.passing, scope));
        let flow = flow.and(&self.json_behavior(table.on_error.as_deref(), scope));
        let flow = flow.and(&self.json_columns(&table.columns, scope));
        self.decides(PredicateKind::Filter, &flow);
        Row::unknown(flow.computed()).rename(&alias_names(table.alias.as_ref()))
    }

    fn json_columns(&mut self, columns: &[Node], scope: &Scope<'_>) -> Flow {
        let mut flow = Flow::default();
        for column in columns {
            match &column.node {
                Some(NodeEnum::JsonTableColumn(column)) => flow.absorb(&self.json_column(column, scope)),
                _ => self.unknown("a column of JSON_TABLE is not understood"),
            }
        }
        flow
    }

    fn json_column(&mut self, column: &JsonTableColumn, scope: &Scope<'_>) -> Flow {
        if !self.enter() {
            self.leave();
            return Flow::opaque();
        }
        let flow = self.json_columns(&column.columns, scope);
        let flow = flow.and(&self.json_behavior(column.on_empty.as_deref(), scope));
        let flow = flow.and(&self.json_behavior(column.on_error.as_deref(), scope));
        self.leave();
        flow
    }

    fn json_value(&mut self, value: Option<&JsonValueExpr>, scope: &Scope<'_>) -> Flow {
        value.map_or_else(Flow::default, |value| {
            self.maybe(&value.raw_expr, scope).and(&self.maybe(&value.formatted_expr, scope))
        })
    }

    fn json_behavior(&mut self, behavior: Option<&JsonBehavior>, scope: &Scope<'_>) -> Flow {
        behavior.map_or_else(Flow::default, |behavior| self.maybe(&behavior.expr, scope))
    }

    fn json_query(&mut self, query: Option<&Node>, scope: &Scope<'_>) -> Flow {
        match query.and_then(|query| query.node.as_ref()) {
            Some(NodeEnum::SelectStmt(select)) => self.select(select, scope).whole(),
            _ => {
                self.unknown("a query of JSON_ARRAY is not understood");
                Flow::opaque()
            }
        }
    }

    fn json_aggregate(&mut self, aggregate: Option<&JsonAggConstructor>, scope: &Scope<'_>) {
        let Some(aggregate) = aggregate else { return };
        self.condition(&aggregate.agg_filter, scope);
        self.sort(&aggregate.agg_order, None, scope);
        if let Some(window) = &aggregate.over {
            self.window(window, scope);
        }
    }
}

/// Whether it shows, other than in the answer, that a path found nothing or failed: by an error, or by what is computed then.
fn tells(behavior: &JsonBehavior) -> bool {
    behavior.btype() == JsonBehaviorType::JsonBehaviorError
        || behavior.expr.as_deref().is_some_and(|expression| !is_inert(expression))
}
