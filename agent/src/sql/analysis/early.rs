//! Expressions of which the server computes a part only if another part's value wants it.
//!
//! That a part was computed shows by an error, by the time that it takes, and by what a function does: so the values that
//! decide on it are decided by, although they are part of an answer that is masked.

use pg_query::{
    NodeEnum,
    protobuf::{AExpr, AExprKind, BoolExpr, BoolExprType, Node},
};

use super::{Analysis, flow::Flow, predicate::is_constant, scope::Scope};
use crate::request::PredicateKind;

impl Analysis<'_> {
    /// AND and OR: what follows is computed only until the outcome is known.
    pub(super) fn conjunction(&mut self, tests: &BoolExpr, scope: &Scope<'_>) -> Flow {
        let flow = self.values(&tests.args, scope);
        if tests.boolop() != BoolExprType::NotExpr && !tests.args.iter().all(is_inert) {
            self.decides(PredicateKind::Filter, &flow);
        }
        flow.computed()
    }

    /// COALESCE: what follows is computed only while there is no value. Of a whole column, that shows in the answer too.
    pub(super) fn coalesce(&mut self, values: &[Node], scope: &Scope<'_>) -> Flow {
        let mut before = Flow::default();
        for value in values {
            if before.computed && !is_inert(value) {
                self.decides(PredicateKind::Filter, &before);
            }
            before.absorb(&self.value(value, scope));
        }
        before
    }
}

/// Whether a comparison with several values may leave some of them uncomputed that are not inert: IN and BETWEEN.
pub fn stops_early(expression: &AExpr) -> bool {
    match expression.kind() {
        AExprKind::AexprIn
        | AExprKind::AexprBetween
        | AExprKind::AexprNotBetween
        | AExprKind::AexprBetweenSym
        | AExprKind::AexprNotBetweenSym => !expression.rexpr.as_deref().is_none_or(is_inert),
        AExprKind::Undefined
        | AExprKind::AexprOp
        | AExprKind::AexprOpAny
        | AExprKind::AexprOpAll
        | AExprKind::AexprDistinct
        | AExprKind::AexprNotDistinct
        | AExprKind::AexprNullif
        | AExprKind::AexprLike
        | AExprKind::AexprIlike
        | AExprKind::AexprSimilar => false,
    }
}

/// Whether computing it neither fails nor does anything: columns, constants, and comparisons of them.
pub fn is_inert(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::ColumnRef(_)) => true,
        Some(NodeEnum::List(list)) => list.items.iter().all(is_inert),
        Some(NodeEnum::BoolExpr(tests)) => tests.args.iter().all(is_inert),
        Some(NodeEnum::NullTest(test)) => test.arg.as_deref().is_some_and(is_inert),
        Some(NodeEnum::BooleanTest(test)) => test.arg.as_deref().is_some_and(is_inert),
        Some(NodeEnum::AExpr(comparison)) => {
            let sides = [&comparison.lexpr, &comparison.rexpr];
            is_comparison(comparison) && sides.iter().all(|side| side.as_deref().is_some_and(is_inert))
        }
        _ => is_constant(node),
    }
}

fn is_comparison(expression: &AExpr) -> bool {
    let names = super::strings(&expression.name);
    match expression.kind() {
        AExprKind::AexprOp
        | AExprKind::AexprOpAny
        | AExprKind::AexprOpAll
        | AExprKind::AexprDistinct
        | AExprKind::AexprNotDistinct
        | AExprKind::AexprNullif
        | AExprKind::AexprIn => {
            matches!(names.as_slice(), [name] if matches!(name.as_str(), "=" | "<>" | "<" | ">" | "<=" | ">="))
        }
        AExprKind::AexprLike
        | AExprKind::AexprIlike
        | AExprKind::AexprBetween
        | AExprKind::AexprNotBetween
        | AExprKind::AexprBetweenSym
        | AExprKind::AexprNotBetweenSym => true,
        AExprKind::Undefined | AExprKind::AexprSimilar => false,
    }
}
