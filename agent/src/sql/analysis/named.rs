//! Statements that wait under a name: prepared statements and cursors.

use std::sync::Arc;

use pg_query::protobuf::{DeclareCursorStmt, ExecuteStmt, FetchStmt, Node, PrepareStmt};

use super::{
    Analysed, Analysis, Effect,
    flow::{Flow, Row, Slot},
    scope::Scope,
    utility::answer,
};
use crate::sql::{Output, Prepared, StatementKind};

impl Analysis<'_> {
    /// PREPARE is judged as if it ran, and EXECUTE again.
    pub(super) fn prepare(&mut self, prepare: &PrepareStmt) -> Effect {
        let statement = Arc::new(self.separately(prepare.query.as_deref()));
        for access in statement.footprint.sql() {
            self.adopt(access.clone());
        }
        Effect::silent(StatementKind::Prepare { name: prepare.name.clone(), statement }, "PREPARE")
    }

    pub(super) fn declare(&mut self, declare: &DeclareCursorStmt) -> Effect {
        let statement = Arc::new(self.separately(declare.query.as_deref()));
        for access in statement.footprint.sql() {
            self.adopt(access.clone());
        }
        Effect::silent(StatementKind::Declare { name: declare.portalname.clone(), statement }, "DECLARE CURSOR")
    }

    /// Analyses a statement by itself, and takes over what is unknown about it.
    fn separately(&mut self, node: Option<&Node>) -> Prepared {
        let mut analysis = Analysis::new(self.names, self.state, self.earlier).for_later();
        (analysis.depth, analysis.steps) = (self.depth + 1, self.steps);
        let effect = analysis.inner(node);
        self.steps = analysis.steps;
        let Analysed { statement, footprint, remarks } = analysis.finish(effect);
        self.found.remarks.merge(remarks);
        for caveat in &footprint.caveats {
            self.unknown(caveat.clone());
        }
        self.found.resumed.extend(footprint.predicates.iter().cloned());
        Prepared { statement, footprint: Arc::new(footprint) }
    }

    pub(super) fn execute(&mut self, execute: &ExecuteStmt) -> Effect {
        let arguments = self.values(&execute.params, &Scope::default());
        let known = self.state.prepared.get(&execute.name).cloned();
        let kind = StatementKind::Execute { name: execute.name.clone() };
        self.resume(kind, "EXECUTE", known, &format!("prepared statement \"{}\"", execute.name), &arguments)
    }

    pub(super) fn fetch(&mut self, fetch: &FetchStmt) -> Effect {
        let known = self.state.cursors.get(&fetch.portalname).cloned();
        let kind = StatementKind::Fetch { name: fetch.portalname.clone() };
        if fetch.ismove {
            self.found.remarks.depends_on_session = true;
            return Effect::silent(kind, "MOVE");
        }
        self.resume(kind, "FETCH", known, &format!("cursor \"{}\"", fetch.portalname), &Flow::default())
    }

    /// Runs what waits under a name: its accesses and its flows are this statement's.
    fn resume(
        &mut self,
        kind: StatementKind,
        verb: &'static str,
        known: Option<Arc<Prepared>>,
        what: &str,
        arguments: &Flow,
    ) -> Effect {
        self.found.remarks.depends_on_session = true;
        self.level.verb = verb;
        let Some(known) = known else {
            self.found.remarks.is_premature = true;
            self.unknown(format!("{what} is not known"));
            return answer(kind, verb, Row::unknown(Flow::opaque()));
        };
        if known.statement.rests_on_bodies {
            self.unknown(format!("{what} calls functions that may have been made anew"));
        }
        for caveat in &known.footprint.caveats {
            self.unknown(caveat.clone());
        }
        self.found.resumed.extend(known.footprint.predicates.iter().cloned());
        for access in known.footprint.sql() {
            self.adopt(access.clone());
        }
        let statement = &known.statement;
        let all =
            Flow { columns: statement.flows.clone(), opaque: statement.opaque_flow, computed: true, ..Flow::default() };
        let all = all.and(arguments);
        self.found.fills.extend(statement.fills.iter().cloned());
        self.found.may_fill_all |= statement.may_fill_all;
        self.found.writes_within |= statement.writes_within;
        self.found.forgets_names |= statement.forgets_names;
        if statement.sink || self.earlier.brought_code {
            self.found.stored.absorb(&all);
        }
        if !statement.returns_rows {
            return Effect::silent(kind, verb);
        }
        let row = match &statement.outputs {
            Some(outputs) => Row {
                slots: outputs
                    .iter()
                    .map(|output| {
                        let Output { columns, opaque, computed, is_temporary, .. } = output.clone();
                        let flow = Flow { columns, opaque, computed, temporary: is_temporary };
                        Slot { name: None, flow: flow.and(arguments), origin: None }
                    })
                    .collect(),
                rest: None,
            },
            None => Row::unknown(all),
        };
        answer(kind, verb, row)
    }
}
