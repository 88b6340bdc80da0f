//! Predicates: by which columns rows are chosen, sorted and grouped.
//!
//! What a statement answers with is masked. What it decides by is told by the rows that come, by their number and
//! order, by errors that only some values cause, and by the time that it takes.

use pg_query::{
    NodeEnum,
    protobuf::{AExpr, AExprKind, CaseExpr, FuncCall, Node, SortBy, SubLinkType, a_const::Val},
};

use super::{
    Analysis,
    flow::{Flow, Row},
    scope::Scope,
    strings,
};
use crate::request::{Predicate, PredicateKind};

impl Analysis<'_> {
    /// Notes that a statement decides by values.
    pub(super) fn decides(&mut self, kind: PredicateKind, flow: &Flow) {
        let names = self.names;
        let classified = flow.columns.iter().filter(|column| names.is_classified(**column));
        self.found.predicates.extend(classified.map(|column| (kind, Some(*column))));
        if flow.opaque && names.has_classes() {
            self.found.predicates.insert((kind, None));
        }
    }

    /// Walks the condition of WHERE, HAVING, ON, FILTER or CASE.
    pub(super) fn condition<'n, N>(&mut self, node: N, scope: &Scope<'_>) -> Flow
    where
        N: Into<Option<&'n Box<Node>>>,
    {
        node.into().map_or_else(Flow::default, |node| self.test(node, scope))
    }

    fn test(&mut self, node: &Node, scope: &Scope<'_>) -> Flow {
        let flow = match &node.node {
            Some(NodeEnum::BoolExpr(tests)) => {
                let mut flow = Flow::default();
                if self.enter() {
                    tests.args.iter().for_each(|test| flow.absorb(&self.test(test, scope)));
                }
                self.leave();
                return flow.computed();
            }
            Some(NodeEnum::BooleanTest(test)) => return self.condition(&test.arg, scope),
            // Whether there is a value shows in the answer too, where a column is masked.
            Some(NodeEnum::NullTest(test)) => {
                let flow = self.maybe(&test.arg, scope);
                if flow.computed {
                    self.decides(PredicateKind::Filter, &flow);
                }
                return flow.computed();
            }
            Some(NodeEnum::AExpr(expression)) if compares_with_constants(expression) => {
                return self.comparison(expression, scope);
            }
            _ => self.value(node, scope),
        };
        self.decides(PredicateKind::Filter, &flow);
        flow.computed()
    }

    /// A comparison with constants: of a column as it stands, it tells only whether a guess is right.
    fn comparison(&mut self, expression: &AExpr, scope: &Scope<'_>) -> Flow {
        // Code may compare as often as it likes.
        let mut kind = if self.is_in_code { PredicateKind::Filter } else { PredicateKind::Equality };
        let operator = self.check_operator(&expression.name);
        let mut flow = Flow::default();
        for side in [&expression.lexpr, &expression.rexpr].into_iter().flatten() {
            let own = self.value(side, scope);
            if own.computed && !is_constant(side) {
                kind = PredicateKind::Filter;
            }
            flow.absorb(&own);
        }
        let flow = self.handed(&flow, &operator);
        self.decides(kind, &flow);
        flow.computed()
    }

    /// Walks CASE: which branch is taken may show by an error or by the time that it takes.
    pub(super) fn case(&mut self, case: &CaseExpr, scope: &Scope<'_>) -> Flow {
        let subject = self.maybe(&case.arg, scope);
        let mut flow = subject.clone();
        for node in &case.args {
            let Some(NodeEnum::CaseWhen(when)) = &node.node else {
                flow.absorb(&self.value(node, scope));
                continue;
            };
            match (&case.arg, &when.expr) {
                (Some(_), Some(value)) => {
                    let equality = is_constant(value) && !subject.computed && !self.is_in_code;
                    let both = self.value(value, scope).and(&subject);
                    let kind = if equality { PredicateKind::Equality } else { PredicateKind::Filter };
                    self.decides(kind, &both);
                    flow.absorb(&both);
                }
                (_, test) => flow.absorb(&self.condition(test, scope)),
            }
            flow.absorb(&self.maybe(&when.result, scope));
        }
        flow.and(&self.maybe(&case.defresult, scope)).computed()
    }

    /// Walks a value that something else is computed from: a test there decides what that is.
    pub(super) fn operand(&mut self, node: &Node, scope: &Scope<'_>) -> Flow {
        if is_test(node) { self.test(node, scope) } else { self.value(node, scope) }
    }

    /// Walks an ORDER BY; `answer` is what its names and numbers may stand for.
    pub(super) fn sort(&mut self, nodes: &[Node], answer: Option<&Row>, scope: &Scope<'_>) {
        for node in nodes {
            let flow = match &node.node {
                Some(NodeEnum::SortBy(sort)) => self.sort_key(sort, answer, scope),
                _ => self.value(node, scope),
            };
            self.decides(PredicateKind::Order, &flow);
        }
    }

    fn sort_key(&mut self, sort: &SortBy, answer: Option<&Row>, scope: &Scope<'_>) -> Flow {
        let operator = self.check_operator(&sort.use_op);
        let flow = self.maybe(&sort.node, scope);
        let flow = self.handed(&flow, &operator);
        let named = sort.node.as_deref().zip(answer).and_then(|(node, answer)| standing_for(node, answer));
        // A column of the answer goes before one of the tables.
        named.unwrap_or(flow)
    }

    /// Walks a GROUP BY, DISTINCT ON or PARTITION BY.
    pub(super) fn group(&mut self, nodes: &[Node], answer: Option<&Row>, scope: &Scope<'_>) {
        for node in nodes {
            match &node.node {
                Some(NodeEnum::GroupingSet(set)) if self.enter() => self.group(&set.content, answer, scope),
                Some(NodeEnum::List(list)) if self.enter() => self.group(&list.items, answer, scope),
                Some(NodeEnum::GroupingSet(_) | NodeEnum::List(_)) => {}
                _ => {
                    let flow = self.group_key(node, answer, scope);
                    self.decides(PredicateKind::Grouping, &flow);
                    continue;
                }
            }
            self.leave();
        }
    }

    /// A column of the tables goes before one of the answer, unlike in ORDER BY.
    fn group_key(&mut self, node: &Node, answer: Option<&Row>, scope: &Scope<'_>) -> Flow {
        let named = answer.and_then(|answer| standing_for(node, answer));
        let is_column = match &node.node {
            Some(NodeEnum::ColumnRef(column)) => {
                strings(&column.fields).last().is_some_and(|name| scope.column(name).certain)
            }
            _ => true,
        };
        match named {
            Some(named) if !is_column => named,
            Some(named) => named.and(&self.value(node, scope)),
            None => self.value(node, scope),
        }
    }

    /// What may be told by calling a function, beside what it answers.
    pub(super) fn telling_call(&mut self, name: &str, call: &FuncCall, arguments: &Flow) {
        if call.agg_distinct {
            self.decides(PredicateKind::Grouping, arguments);
        }
        let tells = match name {
            // It counts what is not null.
            "count" => arguments.computed,
            "unnest" | "json_each" | "jsonb_each" | "json_each_text" | "jsonb_each_text" | "json_object_keys"
            | "jsonb_object_keys" => arguments.computed,
            "mod" | "div" => true,
            name => name.starts_with("pg_sleep") || answers_with_rows(name) || takes_time(name),
        };
        if tells {
            self.decides(PredicateKind::Filter, arguments);
        }
    }

    /// The predicates with the names of their columns.
    pub(super) fn named_predicates(&self) -> impl Iterator<Item = Predicate> {
        let predicate = |&(kind, column): &(PredicateKind, Option<crate::sql::ColumnRef>)| match column {
            None => vec![Predicate { kind, class: None, column: String::new() }],
            Some(column) => {
                let name = self.names.full_name(column);
                let classes = self.names.classes(column).iter();
                classes.map(|class| Predicate { kind, class: Some(class.clone()), column: name.clone() }).collect()
            }
        };
        self.found.predicates.iter().flat_map(predicate)
    }
}

/// What a number or a name in ORDER BY or GROUP BY stands for in the answer; `None`: nothing there.
fn standing_for(node: &Node, answer: &Row) -> Option<Flow> {
    match &node.node {
        Some(NodeEnum::AConst(constant)) => match &constant.val {
            Some(Val::Ival(number)) if answer.rest.is_none() => {
                let position = usize::try_from(number.ival).ok()?.checked_sub(1)?;
                answer.slots.get(position).map(|slot| slot.flow.clone())
            }
            Some(Val::Ival(_)) => Some(answer.whole()),
            Some(Val::Fval(_) | Val::Sval(_) | Val::Boolval(_) | Val::Bsval(_)) | None => None,
        },
        Some(NodeEnum::ColumnRef(column)) => {
            let [name] = <[String; 1]>::try_from(strings(&column.fields)).ok()?;
            let named = answer.slots.iter().filter(|slot| slot.name.as_deref() == Some(&*name));
            let named = named.map(|slot| slot.flow.clone()).reduce(|flow, other| flow.and(&other));
            // Among columns whose names are not known there may be one of this name.
            let unnamed = answer.slots.iter().filter(|slot| slot.name.is_none()).map(|slot| &slot.flow);
            match (named, &answer.rest) {
                (Some(named), None) => Some(named),
                (None, None) => None,
                (_, Some(_)) => Some(unnamed.fold(answer.whole(), Flow::and)),
            }
        }
        _ => None,
    }
}

/// Whether an operator asks if values are equal to constants and nothing else.
fn compares_with_constants(expression: &AExpr) -> bool {
    let is_equality = matches!(strings(&expression.name).as_slice(), [name] if matches!(name.as_str(), "=" | "<>"));
    let has_constant = |side: &Option<Box<Node>>| side.as_deref().is_some_and(is_constant);
    match expression.kind() {
        AExprKind::AexprOp | AExprKind::AexprDistinct | AExprKind::AexprNotDistinct => {
            is_equality && (has_constant(&expression.lexpr) || has_constant(&expression.rexpr))
        }
        AExprKind::AexprIn | AExprKind::AexprOpAny | AExprKind::AexprOpAll => {
            is_equality && has_constant(&expression.rexpr)
        }
        AExprKind::Undefined
        | AExprKind::AexprNullif
        | AExprKind::AexprLike
        | AExprKind::AexprIlike
        | AExprKind::AexprSimilar
        | AExprKind::AexprBetween
        | AExprKind::AexprNotBetween
        | AExprKind::AexprBetweenSym
        | AExprKind::AexprNotBetweenSym => false,
    }
}

/// Whether a value stands in the statement or among its parameters, perhaps cast or in another case.
pub fn is_constant(node: &Node) -> bool {
    match &node.node {
        Some(NodeEnum::AConst(_) | NodeEnum::ParamRef(_) | NodeEnum::SqlvalueFunction(_)) => true,
        Some(NodeEnum::TypeCast(cast)) => cast.arg.as_deref().is_some_and(is_constant),
        Some(NodeEnum::AArrayExpr(array)) => array.elements.iter().all(is_constant),
        Some(NodeEnum::RowExpr(row)) => row.args.iter().all(is_constant),
        Some(NodeEnum::List(list)) => list.items.iter().all(is_constant),
        Some(NodeEnum::FuncCall(call)) => {
            matches!(strings(&call.funcname).last().map(String::as_str), Some("lower" | "upper"))
                && call.args.iter().all(is_constant)
        }
        _ => false,
    }
}

/// Whether a WHERE clause chooses among rows: one that is made of constants alone takes all of them, or none.
pub fn chooses(condition: Option<&Node>) -> bool {
    condition.is_some_and(|condition| !is_fixed(condition))
}

fn is_fixed(node: &Node) -> bool {
    let maybe = |node: &Option<Box<Node>>| node.as_deref().is_none_or(is_fixed);
    match &node.node {
        Some(NodeEnum::BoolExpr(tests)) => tests.args.iter().all(is_fixed),
        Some(NodeEnum::NullTest(test)) => maybe(&test.arg),
        Some(NodeEnum::BooleanTest(test)) => maybe(&test.arg),
        Some(NodeEnum::AExpr(expression)) => maybe(&expression.lexpr) && maybe(&expression.rexpr),
        Some(NodeEnum::FuncCall(call)) => call.args.iter().all(is_fixed),
        Some(NodeEnum::CoalesceExpr(values)) => values.args.iter().all(is_fixed),
        Some(NodeEnum::TypeCast(cast)) => maybe(&cast.arg),
        Some(NodeEnum::List(list)) => list.items.iter().all(is_fixed),
        _ => is_constant(node),
    }
}

/// Whether a value is true or false by what it is compared with.
fn is_test(node: &Node) -> bool {
    match &node.node {
        Some(
            NodeEnum::BoolExpr(_) | NodeEnum::BooleanTest(_) | NodeEnum::NullTest(_) | NodeEnum::JsonIsPredicate(_),
        ) => true,
        Some(NodeEnum::SubLink(link)) => {
            matches!(
                link.sub_link_type(),
                SubLinkType::ExistsSublink
                    | SubLinkType::AllSublink
                    | SubLinkType::AnySublink
                    | SubLinkType::RowcompareSublink
            )
        }
        Some(NodeEnum::AExpr(expression)) => match expression.kind() {
            AExprKind::AexprOp => !strings(&expression.name).last().is_some_and(|name| makes_values(name)),
            AExprKind::AexprNullif | AExprKind::Undefined => false,
            AExprKind::AexprOpAny
            | AExprKind::AexprOpAll
            | AExprKind::AexprDistinct
            | AExprKind::AexprNotDistinct
            | AExprKind::AexprIn
            | AExprKind::AexprLike
            | AExprKind::AexprIlike
            | AExprKind::AexprSimilar
            | AExprKind::AexprBetween
            | AExprKind::AexprNotBetween
            | AExprKind::AexprBetweenSym
            | AExprKind::AexprNotBetweenSym => true,
        },
        _ => false,
    }
}

/// Operators that compute something else than a truth value.
fn makes_values(operator: &str) -> bool {
    matches!(
        operator,
        "+" | "-"
            | "*"
            | "/"
            | "%"
            | "^"
            | "|/"
            | "||/"
            | "@"
            | "&"
            | "|"
            | "#"
            | "<<"
            | ">>"
            | "||"
            | "->"
            | "->>"
            | "#>"
            | "#>>"
            | "#-"
    )
}

/// Functions that answer with as many rows as their arguments say.
fn answers_with_rows(name: &str) -> bool {
    matches!(
        name,
        "generate_series"
            | "generate_subscripts"
            | "regexp_matches"
            | "regexp_split_to_table"
            | "string_to_table"
            | "json_array_elements"
            | "json_array_elements_text"
            | "jsonb_array_elements"
            | "jsonb_array_elements_text"
            | "json_populate_recordset"
            | "jsonb_populate_recordset"
            | "json_to_recordset"
            | "jsonb_to_recordset"
            | "jsonb_path_query"
            | "jsonb_path_query_tz"
            | "ts_parse"
            | "ts_debug"
            | "aclexplode"
            | "_pg_expandarray"
            | "pg_options_to_table"
    )
}

/// Functions whose arguments say how much they make.
fn takes_time(name: &str) -> bool {
    matches!(name, "repeat" | "lpad" | "rpad" | "array_fill" | "set_bit" | "set_byte")
}
