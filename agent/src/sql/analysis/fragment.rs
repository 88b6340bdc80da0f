//! Pieces of SQL that stand alone: in code, and as definitions of functions.

use pg_query::{
    NodeEnum, ParserOptions,
    protobuf::{Node, PlAssignStmt, SelectStmt, TypeName},
};

use super::literal;

/// Bytes of code, or of a definition, that count as one step of the analysis, beside the nodes of its SQL.
pub const BYTES_PER_STEP: usize = 16;

/// The one statement of a text.
pub fn statement(text: &str) -> Option<NodeEnum> {
    alone(text, ParserOptions::DEFAULT)
}

/// An expression as the server reads it: everything that may stand behind SELECT.
pub fn expression(text: &str) -> Option<SelectStmt> {
    match alone(text, ParserOptions::PLPGSQL_EXPR)? {
        NodeEnum::SelectStmt(select) => Some(*select),
        _ => None,
    }
}

/// An assignment to a variable or to a part of one.
pub fn assignment(text: &str) -> Option<PlAssignStmt> {
    match alone(text, ParserOptions::PLPGSQL_ASSIGN1)? {
        NodeEnum::PlassignStmt(assignment) => Some(*assignment),
        _ => None,
    }
}

/// A type as it is written. Alone it would be no tree of statements, so that something is cast to it.
pub fn type_name(text: &str) -> Option<TypeName> {
    match only_value(&expression(&format!("NULL::{text}"))?)?.node.as_ref()? {
        NodeEnum::TypeCast(cast) if is_null(cast.arg.as_deref()) => cast.type_name.clone(),
        _ => None,
    }
}

/// The text that an expression is, where it is a literal.
pub fn literal(text: &str) -> Option<String> {
    let query = expression(text)?;
    let value = only_value(&query)?;
    match value.node {
        Some(NodeEnum::AConst(_)) => literal::text(value).map(str::to_owned),
        _ => None,
    }
}

/// The value that a query is, where it is SELECT and that value alone.
pub fn only_value(select: &SelectStmt) -> Option<&Node> {
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else { return None };
    let alone = SelectStmt {
        target_list: select.target_list.clone(),
        limit_option: select.limit_option,
        op: select.op,
        ..SelectStmt::default()
    };
    if alone == *select { target.val.as_deref() } else { None }
}

fn is_null(node: Option<&Node>) -> bool {
    matches!(node, Some(Node { node: Some(NodeEnum::AConst(constant)) }) if constant.isnull)
}

fn alone(text: &str, options: ParserOptions) -> Option<NodeEnum> {
    let [statement] = <[_; 1]>::try_from(pg_query::parse(text, options).ok()?.protobuf.stmts).ok()?;
    statement.stmt?.node
}
