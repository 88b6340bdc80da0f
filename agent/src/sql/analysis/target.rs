//! Target lists: which columns an answer has.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{ColumnRef, Node, ResTarget},
};

use super::{
    Analysis,
    flow::{Flow, Row, Slot},
    scope::Scope,
    strings,
};

impl Analysis<'_> {
    /// The columns of a target list or of RETURNING.
    pub(super) fn targets(&mut self, nodes: &[Node], scope: &Scope<'_>) -> Row {
        let mut row = Row::default();
        for node in nodes {
            match &node.node {
                Some(NodeEnum::ResTarget(target)) => self.target(target, scope, &mut row),
                _ => {
                    self.unknown("an item of a target list is not understood");
                    row.widen(&Flow::opaque());
                }
            }
        }
        row
    }

    fn target(&mut self, target: &ResTarget, scope: &Scope<'_>, row: &mut Row) {
        let value = target.val.as_deref();
        match value.and_then(|value| value.node.as_ref()) {
            Some(NodeEnum::ColumnRef(column)) if is_star(column.fields.last()) => self.star(column, scope, row),
            Some(NodeEnum::AIndirection(indirection)) if is_star(indirection.indirection.last()) => {
                let flow = self.maybe(&target.val, scope);
                row.widen(&flow);
            }
            Some(node) => {
                let flow = self.maybe(&target.val, scope);
                let name = if target.name.is_empty() { own_name(node) } else { Some(target.name.as_str().into()) };
                row.slots.push(Slot { name, flow, origin: None });
            }
            None => {
                self.unknown("an item of a target list is not understood");
                row.widen(&Flow::opaque());
            }
        }
    }

    /// `*` and `t.*`, expanded.
    fn star(&mut self, column: &ColumnRef, scope: &Scope<'_>, row: &mut Row) {
        let parts = strings(&column.fields);
        let expanded = match parts.as_slice() {
            [] => Some(&scope.star),
            [table] => scope.item(None, table).map(|item| &item.row),
            [.., schema, table] => scope.item(Some(schema), table).map(|item| &item.row),
        };
        match expanded {
            Some(expanded) => {
                self.step(expanded.slots.len());
                self.name_all(expanded);
                row.append(expanded);
            }
            None => row.widen(&scope.everything().and(&Flow::opaque())),
        }
    }
}

fn is_star(node: Option<&Node>) -> bool {
    matches!(node, Some(Node { node: Some(NodeEnum::AStar(_)) }))
}

/// The name that the server gives a column without AS, where that is simple to say.
fn own_name(node: &NodeEnum) -> Option<Arc<str>> {
    let last = |nodes: &[Node]| strings(nodes).pop().map(|name| Arc::from(name.as_str()));
    match node {
        NodeEnum::ColumnRef(column) => last(&column.fields),
        NodeEnum::FuncCall(call) => last(&call.funcname),
        _ => None,
    }
}
