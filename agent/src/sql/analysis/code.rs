//! Code in PL/pgSQL: what its pieces do together.
//!
//! Neither order nor conditions count: each variable may hold whatever any piece puts into it, and everything
//! may depend on whatever any condition looks at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pg_query::{
    NodeEnum, ParserOptions,
    protobuf::{DoStmt, Node, SelectStmt, TypeName},
};

use super::{
    Analysis, Effect,
    access::Draft,
    flow::{Flow, Row, Slot},
    scope::{Item, Scope},
    strings,
};
use crate::{
    request::PredicateKind,
    sql::{
        ColumnRef, StatementKind,
        kind::InCode,
        plpgsql::{self, ANSWER, Code, Piece, Target},
        scan,
    },
};

/// Most rounds in which code is walked; each carries what variables hold one step further.
const ROUNDS_MAX: usize = 4;

/// The words of the error that a handler has caught, and its code.
const ERRORS: [&str; 2] = ["sqlerrm", "sqlstate"];

/// Variables by name, each as a row: what is no row has one part of no name.
pub type Variables = BTreeMap<String, Row>;

/// What code came to while it was walked.
#[derive(Debug, Default)]
pub struct Run {
    pub variables: Variables,
    /// What it answers with.
    pub answer: Flow,
    /// What any condition looked at.
    control: Flow,
    /// All that any piece read.
    read: Flow,
    /// Variables that are given values: a cursor's value is its name.
    named: BTreeSet<Target>,
}

impl Analysis<'_> {
    /// DO: what its code does is done by the statement.
    pub(super) fn anonymous(&mut self, statement: &DoStmt) -> Effect {
        self.level.verb = "DO";
        let Some(body) = source(statement) else { return self.unfollowed("the code of DO is not understood") };
        let answer = match self.body_of_code(&body, Variables::new(), "", true) {
            Ok(run) => run.answer,
            Err(reason) => return self.unfollowed(&format!("the code of DO is not understood: {reason}")),
        };
        if self.is_unknown() {
            return self.unfollowed("the code of DO does what is not understood");
        }
        self.level.verb = "DO";
        let answer = (!answer.is_clean()).then(|| Row::unknown(answer));
        Effect { kind: StatementKind::Call, verb: "DO", answer }
    }

    /// Code that may do anything.
    fn unfollowed(&mut self, caveat: &str) -> Effect {
        self.level.verb = "DO";
        self.may_fill_all = true;
        self.unknown(caveat);
        Effect::silent(StatementKind::Unknown, "DO")
    }

    /// Walks a body in PL/pgSQL; `name` is what its parameters may be qualified with.
    pub(super) fn body_of_code(
        &mut self,
        body: &str,
        mut variables: Variables,
        name: &str,
        is_block: bool,
    ) -> Result<Run, String> {
        let body = scan::readable(body.as_bytes()).map_err(|reason| reason.to_string())?;
        let own = ["found"].into_iter().chain(ERRORS);
        variables.extend(own.map(|name| (name.to_owned(), Row::unknown(Flow::default()))));
        let known: Vec<&str> = variables.keys().map(String::as_str).collect();
        let code = plpgsql::parse(body, name, &known).map_err(|reason| reason.to_string())?;
        self.step(body.len() / BYTES_PER_STEP);
        Ok(self.code(&code, variables, is_block))
    }

    fn code(&mut self, code: &Code, variables: Variables, is_block: bool) -> Run {
        let outer = (Arc::clone(&self.around), self.arguments.clone(), self.is_in_code);
        // Where nothing runs twice, what stands before a definition knows nothing of it.
        let runs_once = is_block && !code.has_loops && !self.is_in_code && self.calling.is_empty();
        let redefined = self.is_redefined;
        self.is_in_code |= code.has_loops;
        let named = variables.keys().chain(code.pieces.iter().flat_map(Piece::targets)).cloned().collect();
        let mut run = Run { variables, named, ..Run::default() };
        for name in &code.variables {
            run.variables.entry(name.clone()).or_default();
        }
        let named = self.relations;
        let mut is_stable = false;
        for _ in 0..ROUNDS_MAX {
            self.relations = named;
            if runs_once {
                self.is_redefined = redefined;
            }
            let before = (run.held(), self.is_redefined || runs_once);
            self.round(code, &mut run);
            is_stable = before == (run.held(), self.is_redefined || runs_once);
            if is_stable || !self.enter_again() {
                break;
            }
        }
        if !is_stable {
            let all = run.everything();
            run.variables.values_mut().for_each(|row| row.widen(&all));
            self.round(code, &mut run);
        }
        if code.has_handlers {
            // Whether something failed is known to whoever catches the error.
            let failing = run.read.clone().and(&run.answer).and(&self.written_columns());
            self.decides(PredicateKind::Filter, &failing);
        }
        (self.around, self.arguments, self.is_in_code) = outer;
        run.answer = std::mem::take(&mut run.answer).and(&run.control).computed();
        run
    }

    /// Whether there are steps left for another round.
    fn enter_again(&mut self) -> bool {
        let has_steps = self.enter();
        self.leave();
        has_steps
    }

    fn round(&mut self, code: &Code, run: &mut Run) {
        let verb = self.level.verb;
        for piece in &code.pieces {
            self.level.verb = verb;
            self.look_around(run, &code.labels);
            self.piece(piece, run);
        }
        self.level.verb = verb;
        if code.has_handlers {
            let words = self.words_of_errors(run);
            ERRORS.iter().for_each(|name| run.put(name, &words));
        }
    }

    /// Makes the variables known to the SQL that comes next.
    fn look_around(&mut self, run: &Run, labels: &[String]) {
        let mut scope = Scope { is_code: true, ..Scope::default() };
        let mut names = Row::default();
        for (name, row) in &run.variables {
            let flow = row.whole().and(&run.control);
            names.slots.push(Slot { name: Some(name.as_str().into()), flow, origin: None });
            let mut row = row.clone();
            row.slots.iter_mut().for_each(|slot| slot.flow.absorb(&run.control));
            row.widen(&run.control);
            scope.items.push(Item { is_variable: true, ..Item::new(name.as_str(), row).qualified_only() });
        }
        self.arguments = names.whole();
        for label in labels {
            scope.items.push(Item { is_variable: true, ..Item::new(label, names.clone()).qualified_only() });
        }
        scope.items.push(Item::new("", names));
        self.around = Arc::new(scope);
    }

    fn piece(&mut self, piece: &Piece, run: &mut Run) {
        match piece {
            Piece::Type(Some(name)) => self.declared_type(name),
            Piece::Type(None) => {
                let names = self.names;
                names.catalogue.casts.values().for_each(|functions| drop(self.implied(Some(functions))));
            }
            Piece::Value { expression, into } => {
                let row = self.expression(expression);
                run.read.absorb(&row.whole());
                into.iter().for_each(|target| run.put(target, &row.whole()));
            }
            Piece::Assignment { text, target } => self.assigned(text, target, run),
            Piece::Condition(expression) => {
                let flow = self.expression(expression).whole();
                self.decides(PredicateKind::Filter, &flow);
                run.read.absorb(&flow);
                run.control.absorb(&flow);
            }
            Piece::Statement { text, into } => {
                let row = self.embedded(text);
                run.take(&row, into);
            }
            Piece::Cursor { name, query } => {
                let row = self.embedded(query);
                run.take(&row, std::slice::from_ref(name));
                // It may outlive the code.
                run.answer.absorb(&row.whole());
            }
            Piece::Dynamic { expression, using, into } => self.dynamic(expression, using, into, run),
            Piece::Fetch { cursor, into } => {
                let row = self.fetched(cursor, run);
                run.take(&row, into);
            }
            // A name that the session's cursors had may mean this one.
            Piece::Open => self.forgets_names = true,
            Piece::Said(expression) => {
                let flow = self.expression(expression).whole();
                run.read.absorb(&flow);
                self.stored.absorb(&flow);
            }
            Piece::Returned(expression) => {
                let flow = self.expression(expression).whole();
                run.answer.absorb(&flow);
            }
            Piece::ReturnedQuery(text) => {
                let row = self.embedded(text);
                run.answer.absorb(&row.whole());
            }
            Piece::Diagnostics(into) => {
                let words = self.words_of_errors(run);
                into.iter().for_each(|target| run.put(target, &words));
            }
        }
    }

    /// A value of a type that is not the server's own may run functions of users.
    fn declared_type(&mut self, name: &str) {
        match type_name(name) {
            Some(name) => drop(self.cast(Some(&name))),
            None => self.unknown(format!("type {name} of a variable is not understood")),
        }
    }

    /// An expression as the server reads it: everything that may stand behind SELECT.
    fn expression(&mut self, text: &str) -> Row {
        match pg_query::parse(text, ParserOptions::PLPGSQL_EXPR).ok().and_then(|parsed| alone(parsed.protobuf.stmts)) {
            Some(NodeEnum::SelectStmt(select)) => {
                let around = Arc::clone(&self.around);
                self.select(&select, &around).detached()
            }
            Some(_) | None => {
                self.unknown("an expression in code is not understood");
                Row::unknown(Flow::opaque())
            }
        }
    }

    fn assigned(&mut self, text: &str, target: &Target, run: &mut Run) {
        let parsed = pg_query::parse(text, ParserOptions::PLPGSQL_ASSIGN1).ok();
        let Some(NodeEnum::PlassignStmt(assignment)) = parsed.and_then(|parsed| alone(parsed.protobuf.stmts)) else {
            return self.unknown("an assignment in code is not understood");
        };
        let around = Arc::clone(&self.around);
        let mut flow = self.values(&assignment.indirection, &around);
        if let Some(select) = &assignment.val {
            flow.absorb(&self.select(select, &around).whole());
        }
        run.read.absorb(&flow);
        run.put(target, &flow);
    }

    /// A statement in code. What it would do to the session's names is not followed.
    fn embedded(&mut self, text: &str) -> Row {
        let parsed = pg_query::parse(text, ParserOptions::DEFAULT).ok();
        match parsed.and_then(|parsed| alone(parsed.protobuf.stmts)) {
            Some(node) => self.embedded_statement(&node),
            None => {
                self.unknown("a statement in code does not parse");
                Row::unknown(Flow::opaque())
            }
        }
    }

    pub(super) fn embedded_statement(&mut self, node: &NodeEnum) -> Row {
        if !self.enter() {
            self.leave();
            self.unknown("a statement in code is nested too deep");
            return Row::unknown(Flow::opaque());
        }
        let before = self.accesses.len();
        let effect = self.statement(node);
        self.leave();
        self.is_redefined |= self.accesses.get(before..).is_some_and(|drafts| drafts.iter().any(Draft::redefines));
        let in_code = effect.kind.in_code();
        self.writes_within |= in_code == InCode::Writes;
        if in_code == InCode::Remains || self.path_change.is_some() {
            self.unknown(format!("{} in code is not followed", effect.verb));
        }
        effect.answer.unwrap_or_default().detached()
    }

    /// EXECUTE is as good as its text, where that stands there.
    fn dynamic(&mut self, expression: &str, using: &[String], into: &[Target], run: &mut Run) {
        let mut given = Flow::default();
        for parameter in using {
            given.absorb(&self.expression(parameter).whole());
        }
        run.read.absorb(&given);
        let Some(text) = literal(expression) else {
            self.expression(expression);
            self.unknown("a statement that code puts together is not understood");
            return run.take(&Row::unknown(Flow::opaque()), into);
        };
        let Some(parsed) = scan::readable(text.as_bytes()).ok().and_then(|text| pg_query::parse(text, 0).ok()) else {
            return self.unknown("a statement in code does not parse");
        };
        // No variable is seen there.
        (self.around, self.arguments) = (Arc::default(), given);
        for raw in parsed.protobuf.stmts {
            if let Some(node) = raw.stmt.and_then(|node| node.node) {
                let row = self.embedded_statement(&node);
                run.take(&row, into);
            }
        }
    }

    /// A cursor that was opened under a name may be any of the session's.
    fn fetched(&mut self, cursor: &Target, run: &Run) -> Row {
        let row = run.variables.get(cursor).cloned().unwrap_or_default();
        match run.named.contains(cursor) {
            true => Row::unknown(row.whole().and(&Flow::opaque())),
            false => row,
        }
    }

    /// What the words of an error may tell: all that was read, and the rows of all that was touched.
    fn words_of_errors(&self, run: &Run) -> Flow {
        let opaque = self.calls_unknown();
        let mut flow = Flow { opaque, ..run.read.clone() };
        flow.absorb(&run.answer);
        let touched = self.accesses.iter().filter_map(Draft::relation);
        for relation in touched.filter_map(|oid| self.names.catalogue.relations.get(&oid)) {
            flow.columns.extend(
                relation.columns.iter().map(|column| ColumnRef { relation: relation.oid, column: column.number }),
            );
        }
        flow.computed()
    }

    /// The columns into which code puts something: the server refuses some values.
    fn written_columns(&self) -> Flow {
        let mut flow = Flow::default();
        for draft in &self.accesses {
            let Some(relation) = draft.written().and_then(|oid| self.names.catalogue.relations.get(&oid)) else {
                continue;
            };
            let named = relation.columns.iter().filter(|column| draft.names(&column.name));
            flow.columns.extend(named.map(|column| ColumnRef { relation: relation.oid, column: column.number }));
        }
        flow.computed()
    }
}

/// Bytes of code that count as one step of the analysis, beside the nodes of its SQL.
const BYTES_PER_STEP: usize = 16;

impl Run {
    /// What any variable holds, to see whether a round has added anything.
    fn held(&self) -> Vec<Flow> {
        self.variables.values().map(Row::whole).chain([self.control.clone(), self.read.clone()]).collect()
    }

    fn everything(&self) -> Flow {
        self.held().iter().fold(self.answer.clone(), |flow, held| flow.and(held))
    }

    /// Puts a value into a variable, or into a part of it.
    fn put(&mut self, target: &str, flow: &Flow) {
        if target == ANSWER {
            self.answer.absorb(flow);
            return;
        }
        let flow = flow.clone().and(&self.control);
        let row = self.variables.entry(target.to_owned()).or_default();
        row.slots.iter_mut().for_each(|slot| slot.flow.absorb(&flow));
        row.widen(&flow);
    }

    /// Puts a row into one variable, or its columns into several.
    fn take(&mut self, row: &Row, into: &[Target]) {
        self.read.absorb(&row.whole());
        match into {
            [target] if target != ANSWER => {
                let held = self.variables.entry(target.clone()).or_default();
                let is_new = held.slots.is_empty() && held.rest.is_none();
                let is_same = held.slots.len() == row.slots.len()
                    && held.slots.iter().zip(&row.slots).all(|(held, new)| held.name == new.name);
                if is_new {
                    held.clone_from(row);
                } else if is_same && held.rest.is_none() && row.rest.is_none() {
                    held.unite(row);
                } else {
                    let all = held.whole().and(&row.whole());
                    *held = Row::unknown(all);
                }
            }
            _ if row.rest.is_none() && row.slots.len() == into.len() => {
                for (target, slot) in into.iter().zip(&row.slots) {
                    self.put(target, &slot.flow);
                }
            }
            _ => into.iter().for_each(|target| self.put(target, &row.whole())),
        }
    }
}

/// The text of DO, where its language is this.
fn source(statement: &DoStmt) -> Option<String> {
    let option = |name: &str| {
        statement.args.iter().find_map(|node| match &node.node {
            Some(NodeEnum::DefElem(option)) if option.defname == name => option.arg.as_deref(),
            _ => None,
        })
    };
    let language = option("language").map(|node| strings(std::slice::from_ref(node)));
    if language.is_some_and(|language| language != ["plpgsql"]) {
        return None;
    }
    strings(option("as").map_or(&[], std::slice::from_ref)).pop()
}

/// The one statement of a text.
fn alone(statements: Vec<pg_query::protobuf::RawStmt>) -> Option<NodeEnum> {
    let [statement] = <[_; 1]>::try_from(statements).ok()?;
    statement.stmt?.node
}

/// A type as it is written. Alone it would be no tree of statements, so that something is cast to it.
fn type_name(text: &str) -> Option<TypeName> {
    let parsed = pg_query::parse(&format!("NULL::{text}"), ParserOptions::PLPGSQL_EXPR).ok()?;
    match only_value(&alone(parsed.protobuf.stmts)?)?.node.as_ref()? {
        NodeEnum::TypeCast(cast) if is_null(cast.arg.as_deref()) => cast.type_name.clone(),
        _ => None,
    }
}

fn is_null(node: Option<&Node>) -> bool {
    matches!(node, Some(Node { node: Some(NodeEnum::AConst(constant)) }) if constant.isnull)
}

/// The text that an expression is, where it is a literal.
fn literal(expression: &str) -> Option<String> {
    let parsed = pg_query::parse(expression, ParserOptions::PLPGSQL_EXPR).ok()?;
    let query = alone(parsed.protobuf.stmts)?;
    let value = only_value(&query)?;
    match value.node {
        Some(NodeEnum::AConst(_)) => super::literal::text(value).map(str::to_owned),
        _ => None,
    }
}

/// The value that a query is, where it is SELECT and that value alone.
fn only_value(query: &NodeEnum) -> Option<&Node> {
    let NodeEnum::SelectStmt(select) = query else { return None };
    let [Node { node: Some(NodeEnum::ResTarget(target)) }] = select.target_list.as_slice() else { return None };
    let alone = SelectStmt {
        target_list: select.target_list.clone(),
        limit_option: select.limit_option,
        op: select.op,
        ..SelectStmt::default()
    };
    if alone == **select { target.val.as_deref() } else { None }
}
