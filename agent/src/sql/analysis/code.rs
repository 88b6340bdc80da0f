//! Code in PL/pgSQL: what its pieces do together.
//!
//! Neither order nor conditions count: each variable may hold whatever any piece puts into it, and everything
//! may depend on whatever any condition looks at.

use std::sync::Arc;

use pg_query::{NodeEnum, protobuf::DoStmt};

use super::{
    Analysis, Effect,
    draft::Draft,
    flow::{Flow, Row, Slot},
    fragment,
    held::{Held, Variables},
    scope::{Item, Scope},
    strings,
};
use crate::{
    request::PredicateKind,
    sql::{
        ColumnRef, StatementKind,
        kind::InCode,
        plpgsql::{self, Code, Piece, Target},
        scan,
    },
};

/// Most rounds in which code is walked; each carries what variables hold one step further.
const ROUNDS_MAX: usize = 4;

/// The words of the error that a handler has caught, and its code.
const ERRORS: [&str; 2] = ["sqlerrm", "sqlstate"];

impl Analysis<'_> {
    /// DO: what its code does is done by the statement.
    pub(super) fn anonymous(&mut self, statement: &DoStmt) -> Effect {
        self.level.verb = "DO";
        let Some(body) = source(statement) else { return self.unfollowed("the code of DO is not understood") };
        let answer = match self.body_of_code(&body, Variables::new(), "", true) {
            Ok(held) => held.answer,
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
        self.found.may_fill_all = true;
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
    ) -> Result<Held, String> {
        let body = scan::readable(body.as_bytes()).map_err(|reason| reason.to_string())?;
        let own = ["found"].into_iter().chain(ERRORS);
        variables.extend(own.map(|name| (name.to_owned(), Row::unknown(Flow::default()))));
        let known: Vec<&str> = variables.keys().map(String::as_str).collect();
        let code = plpgsql::parse(body, name, &known).map_err(|reason| reason.to_string())?;
        self.step(body.len() / fragment::BYTES_PER_STEP);
        Ok(self.code(&code, variables, is_block))
    }

    fn code(&mut self, code: &Code, variables: Variables, is_block: bool) -> Held {
        let outer = (Arc::clone(&self.around), self.arguments.clone(), self.is_in_code);
        // Where nothing runs twice, what stands before a definition knows nothing of it.
        let runs_once = is_block && !code.has_loops && !self.is_in_code && self.calling.is_empty();
        let redefined = self.found.is_redefined;
        self.is_in_code |= code.has_loops;
        let named = variables.keys().chain(code.pieces.iter().flat_map(Piece::targets)).cloned().collect();
        let mut held = Held { variables, named, ..Held::default() };
        for name in &code.variables {
            held.variables.entry(name.clone()).or_default();
        }
        let named = self.relations;
        let mut is_stable = false;
        for _ in 0..ROUNDS_MAX {
            self.relations = named;
            if runs_once {
                self.found.is_redefined = redefined;
            }
            let before = (held.flows(), self.found.is_redefined || runs_once);
            self.round(code, &mut held);
            is_stable = before == (held.flows(), self.found.is_redefined || runs_once);
            if is_stable || !self.enter_again() {
                break;
            }
        }
        if !is_stable {
            let all = held.everything();
            held.variables.values_mut().for_each(|row| row.widen(&all));
            self.round(code, &mut held);
        }
        if code.has_handlers {
            // Whether something failed is known to whoever catches the error.
            let failing = held.read.clone().and(&held.answer).and(&self.written_columns());
            self.decides(PredicateKind::Filter, &failing);
        }
        (self.around, self.arguments, self.is_in_code) = outer;
        held.answer = std::mem::take(&mut held.answer).and(&held.control).computed();
        held
    }

    /// Whether there are steps left for another round.
    fn enter_again(&mut self) -> bool {
        let has_steps = self.enter();
        self.leave();
        has_steps
    }

    fn round(&mut self, code: &Code, held: &mut Held) {
        let verb = self.level.verb;
        for piece in &code.pieces {
            self.level.verb = verb;
            self.look_around(held, &code.labels);
            self.piece(piece, held);
        }
        self.level.verb = verb;
        if code.has_handlers {
            let words = self.words_of_errors(held);
            ERRORS.iter().for_each(|name| held.put(name, &words));
        }
    }

    /// Makes the variables known to the SQL that comes next.
    fn look_around(&mut self, held: &Held, labels: &[String]) {
        let mut scope = Scope { is_code: true, ..Scope::default() };
        let mut names = Row::default();
        for (name, row) in &held.variables {
            let flow = row.whole().and(&held.control);
            names.slots.push(Slot { name: Some(name.as_str().into()), flow, origin: None });
            let mut row = row.clone();
            row.slots.iter_mut().for_each(|slot| slot.flow.absorb(&held.control));
            row.widen(&held.control);
            scope.items.push(Item { is_variable: true, ..Item::new(name.as_str(), row).qualified_only() });
        }
        self.arguments = names.whole();
        for label in labels {
            scope.items.push(Item { is_variable: true, ..Item::new(label, names.clone()).qualified_only() });
        }
        scope.items.push(Item::new("", names));
        self.around = Arc::new(scope);
    }

    fn piece(&mut self, piece: &Piece, held: &mut Held) {
        match piece {
            Piece::Type(Some(name)) => self.declared_type(name),
            Piece::Type(None) => {
                let names = self.names;
                names.catalogue.casts.values().for_each(|functions| drop(self.implied(Some(functions))));
            }
            Piece::Value { expression, into } => {
                let row = self.expression(expression);
                held.read.absorb(&row.whole());
                into.iter().for_each(|target| held.put(target, &row.whole()));
            }
            Piece::Assignment { text, target } => self.assigned(text, target, held),
            Piece::Condition(expression) => {
                let flow = self.expression(expression).whole();
                self.decides(PredicateKind::Filter, &flow);
                held.read.absorb(&flow);
                held.control.absorb(&flow);
            }
            Piece::Statement { text, into } => {
                let row = self.embedded(text);
                held.take(&row, into);
            }
            Piece::Cursor { name, query } => {
                let row = self.embedded(query);
                held.take(&row, std::slice::from_ref(name));
                // It may outlive the code.
                held.answer.absorb(&row.whole());
            }
            Piece::Dynamic { expression, using, into } => self.dynamic(expression, using, into, held),
            Piece::Fetch { cursor, into } => {
                let row = self.fetched(cursor, held);
                held.take(&row, into);
            }
            // A name that the session's cursors had may mean this one.
            Piece::Open => self.found.forgets_names = true,
            Piece::Said(expression) => {
                let flow = self.expression(expression).whole();
                held.read.absorb(&flow);
                self.found.stored.absorb(&flow);
            }
            Piece::Returned(expression) => {
                let flow = self.expression(expression).whole();
                held.answer.absorb(&flow);
            }
            Piece::ReturnedQuery(text) => {
                let row = self.embedded(text);
                held.answer.absorb(&row.whole());
            }
            Piece::Diagnostics(into) => {
                let words = self.words_of_errors(held);
                into.iter().for_each(|target| held.put(target, &words));
            }
        }
    }

    /// A value of a type that is not the server's own may run functions of users.
    fn declared_type(&mut self, name: &str) {
        match fragment::type_name(name) {
            Some(name) => drop(self.cast(Some(&name))),
            None => self.unknown(format!("type {name} of a variable is not understood")),
        }
    }

    /// An expression as the server reads it: everything that may stand behind SELECT.
    fn expression(&mut self, text: &str) -> Row {
        match fragment::expression(text) {
            Some(select) => {
                let around = Arc::clone(&self.around);
                self.select(&select, &around).detached()
            }
            None => {
                self.unknown("an expression in code is not understood");
                Row::unknown(Flow::opaque())
            }
        }
    }

    fn assigned(&mut self, text: &str, target: &Target, held: &mut Held) {
        let Some(assignment) = fragment::assignment(text) else {
            return self.unknown("an assignment in code is not understood");
        };
        let around = Arc::clone(&self.around);
        let mut flow = self.values(&assignment.indirection, &around);
        if let Some(select) = &assignment.val {
            flow.absorb(&self.select(select, &around).whole());
        }
        held.read.absorb(&flow);
        held.put(target, &flow);
    }

    /// A statement in code. What it would do to the session's names is not followed.
    fn embedded(&mut self, text: &str) -> Row {
        match fragment::statement(text) {
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
        let before = self.found.accesses.len();
        let effect = self.statement(node);
        self.leave();
        self.found.is_redefined |=
            self.found.accesses.get(before..).is_some_and(|drafts| drafts.iter().any(Draft::redefines));
        let in_code = effect.kind.in_code();
        self.found.writes_within |= in_code == InCode::Writes;
        if in_code == InCode::Remains || self.path_change.is_some() {
            self.unknown(format!("{} in code is not followed", effect.verb));
        }
        effect.answer.unwrap_or_default().detached()
    }

    /// EXECUTE is as good as its text, where that stands there.
    fn dynamic(&mut self, expression: &str, using: &[String], into: &[Target], held: &mut Held) {
        let mut given = Flow::default();
        for parameter in using {
            given.absorb(&self.expression(parameter).whole());
        }
        held.read.absorb(&given);
        let Some(text) = fragment::literal(expression) else {
            self.expression(expression);
            self.unknown("a statement that code puts together is not understood");
            return held.take(&Row::unknown(Flow::opaque()), into);
        };
        let Some(parsed) = scan::readable(text.as_bytes()).ok().and_then(|text| pg_query::parse(text, 0).ok()) else {
            return self.unknown("a statement in code does not parse");
        };
        // No variable is seen there.
        (self.around, self.arguments) = (Arc::default(), given);
        for raw in parsed.protobuf.stmts {
            if let Some(node) = raw.stmt.and_then(|node| node.node) {
                let row = self.embedded_statement(&node);
                held.take(&row, into);
            }
        }
    }

    /// A cursor that was opened under a name may be any of the session's.
    fn fetched(&mut self, cursor: &Target, held: &Held) -> Row {
        let row = held.variables.get(cursor).cloned().unwrap_or_default();
        match held.named.contains(cursor) {
            true => Row::unknown(row.whole().and(&Flow::opaque())),
            false => row,
        }
    }

    /// What the words of an error may tell: all that was read, and the rows of all that was touched.
    fn words_of_errors(&self, held: &Held) -> Flow {
        let opaque = self.calls_unknown();
        let mut flow = Flow { opaque, ..held.read.clone() };
        flow.absorb(&held.answer);
        let touched = self.found.accesses.iter().filter_map(Draft::relation);
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
        for draft in &self.found.accesses {
            let Some(relation) = draft.written().and_then(|oid| self.names.catalogue.relations.get(&oid)) else {
                continue;
            };
            let named = relation.columns.iter().filter(|column| draft.names(&column.name));
            flow.columns.extend(named.map(|column| ColumnRef { relation: relation.oid, column: column.number }));
        }
        flow.computed()
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
