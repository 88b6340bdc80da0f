//! Constants as a statement writes them.

use pg_query::{
    NodeEnum,
    protobuf::{Node, a_const::Val},
};

/// A string literal.
pub fn text(node: &Node) -> Option<&str> {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Sval(string)) => Some(&string.sval),
            Some(Val::Ival(_) | Val::Fval(_) | Val::Boolval(_) | Val::Bsval(_)) | None => None,
        },
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().and_then(text),
        _ => None,
    }
}

/// A value of SET as it is written, without its quotes.
pub fn value(node: &Node) -> Option<String> {
    let Some(NodeEnum::AConst(constant)) = &node.node else { return text(node).map(str::to_owned) };
    match constant.val.as_ref()? {
        Val::Sval(string) => Some(string.sval.clone()),
        Val::Ival(integer) => Some(integer.ival.to_string()),
        Val::Fval(float) => Some(float.fval.clone()),
        Val::Boolval(boolean) => Some(boolean.boolval.to_string()),
        Val::Bsval(_) => None,
    }
}
