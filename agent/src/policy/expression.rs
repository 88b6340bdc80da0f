//! Reading conditions: what an expression speaks of, and what would satisfy it.

use std::collections::BTreeSet;

use cedar_policy::pst::{BinaryOp, Expr, Literal, Var};

/// What a rule's obligations give to its conditions.
#[derive(Clone, Debug, Default)]
pub struct Granted<'a> {
    pub approvals: BTreeSet<&'a str>,
    pub masked: BTreeSet<&'a str>,
    pub limited: BTreeSet<&'a str>,
}

impl Granted<'_> {
    /// Whether the expression is true whenever this much is granted, whatever else holds.
    ///
    /// Understands `contains`, `containsAny`, `containsAll`, `&&` and `||`; anything else counts as false.
    pub fn satisfies(&self, expression: &Expr) -> bool {
        let Expr::BinaryOp { op, left, right } = expression else { return false };
        match op {
            BinaryOp::And => self.satisfies(left) && self.satisfies(right),
            BinaryOp::Or => self.satisfies(left) || self.satisfies(right),
            BinaryOp::Contains => self.set(left).is_some_and(|set| entity_id(right).is_some_and(|id| set.contains(id))),
            BinaryOp::ContainsAny => self.compare(left, right, |set, ids| ids.iter().any(|id| set.contains(id))),
            BinaryOp::ContainsAll => self.compare(left, right, |set, ids| ids.iter().all(|id| set.contains(id))),
            _ => false,
        }
    }

    fn compare(&self, left: &Expr, right: &Expr, test: impl Fn(&BTreeSet<&str>, &[&str]) -> bool) -> bool {
        let Expr::Set(elements) = right else { return false };
        let ids: Option<Vec<&str>> = elements.iter().map(|element| entity_id(element)).collect();
        match (self.set(left), ids) {
            (Some(set), Some(ids)) => test(set, &ids),
            _ => false,
        }
    }

    fn set(&self, expression: &Expr) -> Option<&BTreeSet<&str>> {
        match context_attribute(expression)? {
            "approvals" => Some(&self.approvals),
            "masked" => Some(&self.masked),
            "limited" => Some(&self.limited),
            _ => None,
        }
    }
}

/// The attribute's name when the expression is `context.<name>` or `context has <name>`.
pub fn context_attribute(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::GetAttr { expr, attr } if matches!(**expr, Expr::Var(Var::Context)) => Some(attr),
        Expr::HasAttr { expr, attrs } if matches!(**expr, Expr::Var(Var::Context)) => Some(attrs.first()),
        _ => None,
    }
}

/// Which parts of the context an expression may depend on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ContextUse {
    pub attributes: BTreeSet<String>,
    /// The context as one value: it may depend on any part.
    pub whole: bool,
}

impl ContextUse {
    pub fn mentions(&self, attribute: &str) -> bool {
        self.whole || self.attributes.contains(attribute)
    }

    /// Adds what an expression uses.
    pub fn add(&mut self, expression: &Expr) {
        if let Some(attribute) = context_attribute(expression) {
            self.attributes.insert(attribute.to_owned());
            return;
        }
        if matches!(expression, Expr::Var(Var::Context)) {
            self.whole = true;
        }
        match children(expression) {
            Some(children) => children.into_iter().for_each(|child| self.add(child)),
            None => self.whole = true,
        }
    }
}

/// Every string that the expression compares with, patterns included.
pub fn strings(expression: &Expr, found: &mut Vec<String>) {
    match expression {
        Expr::Literal(Literal::String(text)) => found.push(text.to_string()),
        Expr::Literal(Literal::EntityUID(uid)) => found.push(uid.eid.to_string()),
        Expr::Like { pattern, .. } => found.push(
            pattern
                .iter()
                .filter_map(|element| match element {
                    cedar_policy::pst::PatternElem::Char(c) => Some(*c),
                    cedar_policy::pst::PatternElem::Wildcard => None,
                })
                .collect(),
        ),
        _ => {}
    }
    for child in children(expression).into_iter().flatten() {
        strings(child, found);
    }
}

/// Whether the expression may compute with numbers: an overflow is an error at decision time.
pub fn has_arithmetic(expression: &Expr) -> bool {
    let own = match expression {
        Expr::BinaryOp { op: BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul, .. } => true,
        Expr::UnaryOp { op: cedar_policy::pst::UnaryOp::Neg, expr } => !matches!(**expr, Expr::Literal(_)),
        _ => false,
    };
    own || children(expression).is_none_or(|children| children.into_iter().any(has_arithmetic))
}

/// The names that `[…].contains(resource.name)` lists, where that is the expression or one side of its `&&`.
pub fn resource_names(expression: &Expr) -> Option<BTreeSet<String>> {
    let Expr::BinaryOp { op, left, right } = expression else { return None };
    match (op, &**left, &**right) {
        (BinaryOp::And, left, right) => resource_names(left).or_else(|| resource_names(right)),
        (BinaryOp::Contains, Expr::Set(elements), Expr::GetAttr { expr, attr })
            if *attr == "name" && matches!(**expr, Expr::Var(Var::Resource)) =>
        {
            let text = |element: &Expr| match element {
                Expr::Literal(Literal::String(text)) => Some(text.to_string()),
                _ => None,
            };
            elements.iter().map(|element| text(element)).collect()
        }
        _ => None,
    }
}

fn entity_id(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(Literal::EntityUID(uid)) => Some(&uid.eid),
        _ => None,
    }
}

/// The parts of an expression; `None` for a kind that this version does not know.
fn children(expression: &Expr) -> Option<Vec<&Expr>> {
    Some(match expression {
        Expr::Literal(_) | Expr::Var(_) | Expr::Slot(_) => Vec::new(),
        Expr::UnaryOp { expr, .. }
        | Expr::GetAttr { expr, .. }
        | Expr::HasAttr { expr, .. }
        | Expr::Like { expr, .. } => vec![expr],
        Expr::Is { expr, in_expr, .. } => {
            std::iter::once(expr.as_ref()).chain(in_expr.iter().map(AsRef::as_ref)).collect()
        }
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::IfThenElse { cond, then_expr, else_expr } => vec![cond, then_expr, else_expr],
        Expr::Set(elements) => elements.iter().map(AsRef::as_ref).collect(),
        Expr::Record(fields) => fields.values().map(AsRef::as_ref).collect(),
        _ => return None,
    })
}
