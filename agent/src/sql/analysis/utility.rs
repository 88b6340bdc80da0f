//! Statements: which one it is, and those that neither query nor define.

use std::sync::Arc;

use pg_query::{
    NodeEnum,
    protobuf::{
        CallStmt, DropBehavior, ExplainStmt, FuncCall, LockStmt, Node, SelectStmt, TransactionStmt,
        TransactionStmtKind, TruncateStmt, a_const::Val,
    },
};

use super::{
    Analysis, Effect,
    flow::{Flow, Row, Slot},
    fragment,
    nodes::{analysed_nodes, clause_nodes, expression_nodes, from_nodes},
    query::into_clause,
    table::slot_names,
};
use crate::{
    request::sql::Operation,
    sql::{StatementKind, Step},
};

impl Analysis<'_> {
    /// Any statement.
    pub(super) fn statement(&mut self, node: &NodeEnum) -> Effect {
        let around = Arc::clone(&self.around);
        let nothing = &*around;
        match node {
            NodeEnum::SelectStmt(select) => {
                let row = self.select(select, nothing);
                match into_clause(select) {
                    Some(into) => {
                        let columns = slot_names(&row);
                        self.made(StatementKind::Select, "SELECT INTO", into.rel.as_ref(), columns)
                    }
                    None => answer(StatementKind::Select, "SELECT", row),
                }
            }
            NodeEnum::InsertStmt(insert) => {
                let row = self.insert(insert, nothing);
                returning(StatementKind::Insert, "INSERT", row, insert.returning_clause.is_some())
            }
            NodeEnum::UpdateStmt(update) => {
                let row = self.update(update, nothing);
                returning(StatementKind::Update, "UPDATE", row, update.returning_clause.is_some())
            }
            NodeEnum::DeleteStmt(delete) => {
                let row = self.delete(delete, nothing);
                returning(StatementKind::Delete, "DELETE", row, delete.returning_clause.is_some())
            }
            NodeEnum::MergeStmt(merge) => {
                let row = self.merge(merge, nothing);
                returning(StatementKind::Merge, "MERGE", row, merge.returning_clause.is_some())
            }
            NodeEnum::CopyStmt(copy) => self.copy(copy),
            NodeEnum::ExplainStmt(explain) => self.explain(explain),
            NodeEnum::PrepareStmt(prepare) => self.prepare(prepare),
            NodeEnum::ExecuteStmt(execute) => self.execute(execute),
            NodeEnum::DeallocateStmt(statement) => {
                let name = (!statement.isall).then(|| statement.name.clone());
                Effect::silent(StatementKind::Deallocate { name }, "DEALLOCATE")
            }
            NodeEnum::DeclareCursorStmt(declare) => self.declare(declare),
            NodeEnum::FetchStmt(fetch) => self.fetch(fetch),
            NodeEnum::ClosePortalStmt(close) => {
                let name = (!close.portalname.is_empty()).then(|| close.portalname.clone());
                Effect::silent(StatementKind::Close { name }, "CLOSE CURSOR")
            }
            NodeEnum::TransactionStmt(transaction) => self.transaction(transaction),
            NodeEnum::ConstraintsSetStmt(_) => Effect::silent(StatementKind::Utility, "SET CONSTRAINTS"),
            NodeEnum::VariableSetStmt(set) => self.variable_set(set),
            NodeEnum::VariableShowStmt(show) => {
                self.level.verb = "SHOW";
                self.on_setting(&show.name.to_ascii_lowercase());
                answer(StatementKind::Show, "SHOW", Row::unknown(Flow::default()))
            }
            NodeEnum::DiscardStmt(discard) => self.discard(discard),
            NodeEnum::ListenStmt(_) => self.notify("LISTEN"),
            NodeEnum::NotifyStmt(_) => self.notify("NOTIFY"),
            NodeEnum::UnlistenStmt(_) => self.notify("UNLISTEN"),
            NodeEnum::LockStmt(lock) => self.lock(lock),
            NodeEnum::TruncateStmt(truncate) => self.truncate(truncate),
            NodeEnum::CallStmt(call) => self.call_procedure(call),
            NodeEnum::DoStmt(code) => self.anonymous(code),
            NodeEnum::LoadStmt(_) => {
                self.level.verb = "LOAD";
                self.not_understood("what LOAD would run")
            }

            NodeEnum::AlterTableStmt(_)
            | NodeEnum::AlterTableMoveAllStmt(_)
            | NodeEnum::CreateSchemaStmt(_)
            | NodeEnum::AlterCollationStmt(_)
            | NodeEnum::AlterDomainStmt(_)
            | NodeEnum::GrantStmt(_)
            | NodeEnum::GrantRoleStmt(_)
            | NodeEnum::AlterDefaultPrivilegesStmt(_)
            | NodeEnum::CreateStmt(_)
            | NodeEnum::CreateTableSpaceStmt(_)
            | NodeEnum::DropTableSpaceStmt(_)
            | NodeEnum::AlterTableSpaceOptionsStmt(_)
            | NodeEnum::CreateExtensionStmt(_)
            | NodeEnum::AlterExtensionStmt(_)
            | NodeEnum::AlterExtensionContentsStmt(_)
            | NodeEnum::CreateFdwStmt(_)
            | NodeEnum::AlterFdwStmt(_)
            | NodeEnum::CreateForeignServerStmt(_)
            | NodeEnum::AlterForeignServerStmt(_)
            | NodeEnum::CreateForeignTableStmt(_)
            | NodeEnum::CreateUserMappingStmt(_)
            | NodeEnum::AlterUserMappingStmt(_)
            | NodeEnum::DropUserMappingStmt(_)
            | NodeEnum::ImportForeignSchemaStmt(_)
            | NodeEnum::CreatePolicyStmt(_)
            | NodeEnum::AlterPolicyStmt(_)
            | NodeEnum::CreateAmStmt(_)
            | NodeEnum::CreateTrigStmt(_)
            | NodeEnum::CreateEventTrigStmt(_)
            | NodeEnum::AlterEventTrigStmt(_)
            | NodeEnum::CreatePlangStmt(_)
            | NodeEnum::CreateRoleStmt(_)
            | NodeEnum::AlterRoleStmt(_)
            | NodeEnum::AlterRoleSetStmt(_)
            | NodeEnum::DropRoleStmt(_)
            | NodeEnum::CreateSeqStmt(_)
            | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::DefineStmt(_)
            | NodeEnum::CreateDomainStmt(_)
            | NodeEnum::CreateOpClassStmt(_)
            | NodeEnum::CreateOpFamilyStmt(_)
            | NodeEnum::AlterOpFamilyStmt(_)
            | NodeEnum::DropStmt(_)
            | NodeEnum::CommentStmt(_)
            | NodeEnum::SecLabelStmt(_)
            | NodeEnum::IndexStmt(_)
            | NodeEnum::CreateStatsStmt(_)
            | NodeEnum::AlterStatsStmt(_)
            | NodeEnum::CreateFunctionStmt(_)
            | NodeEnum::AlterFunctionStmt(_)
            | NodeEnum::RenameStmt(_)
            | NodeEnum::AlterObjectDependsStmt(_)
            | NodeEnum::AlterObjectSchemaStmt(_)
            | NodeEnum::AlterOwnerStmt(_)
            | NodeEnum::AlterOperatorStmt(_)
            | NodeEnum::AlterTypeStmt(_)
            | NodeEnum::RuleStmt(_)
            | NodeEnum::CompositeTypeStmt(_)
            | NodeEnum::CreateEnumStmt(_)
            | NodeEnum::CreateRangeStmt(_)
            | NodeEnum::AlterEnumStmt(_)
            | NodeEnum::ViewStmt(_)
            | NodeEnum::CreatedbStmt(_)
            | NodeEnum::AlterDatabaseStmt(_)
            | NodeEnum::AlterDatabaseRefreshCollStmt(_)
            | NodeEnum::AlterDatabaseSetStmt(_)
            | NodeEnum::DropdbStmt(_)
            | NodeEnum::AlterSystemStmt(_)
            | NodeEnum::ClusterStmt(_)
            | NodeEnum::VacuumStmt(_)
            | NodeEnum::CreateTableAsStmt(_)
            | NodeEnum::RefreshMatViewStmt(_)
            | NodeEnum::CheckPointStmt(_)
            | NodeEnum::ReindexStmt(_)
            | NodeEnum::CreateConversionStmt(_)
            | NodeEnum::CreateCastStmt(_)
            | NodeEnum::CreateTransformStmt(_)
            | NodeEnum::DropOwnedStmt(_)
            | NodeEnum::ReassignOwnedStmt(_)
            | NodeEnum::AlterTsdictionaryStmt(_)
            | NodeEnum::AlterTsconfigurationStmt(_)
            | NodeEnum::CreatePublicationStmt(_)
            | NodeEnum::AlterPublicationStmt(_)
            | NodeEnum::CreateSubscriptionStmt(_)
            | NodeEnum::AlterSubscriptionStmt(_)
            | NodeEnum::DropSubscriptionStmt(_) => self.define(node),

            expression_nodes!() | from_nodes!() | clause_nodes!() | analysed_nodes!() => {
                self.not_understood("a statement of an unexpected kind")
            }
        }
    }

    /// A statement inside another: EXPLAIN, PREPARE, DECLARE, COPY.
    pub(super) fn inner(&mut self, node: Option<&Node>) -> Effect {
        if !self.enter() {
            self.leave();
            return self.not_understood("a statement nested too deep");
        }
        let effect = match node.and_then(|node| node.node.as_ref()) {
            Some(node) => self.statement(node),
            None => self.not_understood("an empty statement"),
        };
        self.leave();
        effect
    }

    fn transaction(&mut self, transaction: &TransactionStmt) -> Effect {
        self.begins_read_only = is_read_only(transaction);
        let (step, verb) = match transaction.kind() {
            TransactionStmtKind::TransStmtBegin => (Step::Begin, "BEGIN"),
            TransactionStmtKind::TransStmtStart => (Step::Begin, "START TRANSACTION"),
            TransactionStmtKind::TransStmtCommit => (Step::Commit, "COMMIT"),
            TransactionStmtKind::TransStmtRollback => (Step::Rollback, "ROLLBACK"),
            TransactionStmtKind::TransStmtSavepoint => (Step::Savepoint, "SAVEPOINT"),
            TransactionStmtKind::TransStmtRelease => (Step::Savepoint, "RELEASE"),
            TransactionStmtKind::TransStmtRollbackTo => (Step::RollbackTo, "ROLLBACK"),
            TransactionStmtKind::TransStmtPrepare
            | TransactionStmtKind::TransStmtCommitPrepared
            | TransactionStmtKind::TransStmtRollbackPrepared => {
                self.level.verb = "PREPARE TRANSACTION";
                return self.not_understood("a two-phase commit");
            }
            TransactionStmtKind::Undefined => return self.not_understood("a transaction statement"),
        };
        Effect::silent(StatementKind::Transaction(step), verb)
    }

    /// EXPLAIN prints a plan, not rows; but it may evaluate functions of users to constants.
    fn explain(&mut self, explain: &ExplainStmt) -> Effect {
        let option = |name: &str| {
            explain.options.iter().any(|node| match &node.node {
                Some(NodeEnum::DefElem(option)) => option.defname.eq_ignore_ascii_case(name),
                _ => false,
            })
        };
        let analyze = option("analyze");
        self.level.verb = "EXPLAIN";
        let effect = self.inner(explain.query.as_deref());
        self.found.writes_within |= analyze && !effect.kind.only_reads();
        let opaque = self.calls_unknown() || effect.answer.is_some_and(|row| row.whole().opaque);
        let flow = self.found.answers.clone().and(&Flow { opaque, ..Flow::default() });
        let plan = Slot { name: Some("QUERY PLAN".into()), flow, origin: None };
        answer(StatementKind::Explain { analyze }, "EXPLAIN", Row { slots: vec![plan], rest: None })
    }

    fn lock(&mut self, lock: &LockStmt) -> Effect {
        self.each_table(&lock.relations, "LOCK TABLE", Operation::Lock)
    }

    fn truncate(&mut self, truncate: &TruncateStmt) -> Effect {
        let effect = self.each_table(&truncate.relations, "TRUNCATE TABLE", Operation::Truncate);
        if truncate.behavior() == DropBehavior::DropCascade {
            self.unknown("TRUNCATE CASCADE empties tables that it does not name");
        }
        effect
    }

    fn each_table(&mut self, nodes: &[Node], verb: &'static str, operation: Operation) -> Effect {
        self.level.verb = verb;
        for node in nodes {
            match &node.node {
                Some(NodeEnum::RangeVar(table)) => {
                    self.table(table, operation);
                }
                _ => self.unknown(format!("a table of {verb} is not understood")),
            }
        }
        Effect::silent(StatementKind::Utility, verb)
    }

    fn notify(&mut self, verb: &'static str) -> Effect {
        self.level.verb = verb;
        self.on_database(Operation::Notify);
        Effect::silent(StatementKind::Utility, verb)
    }

    fn call_procedure(&mut self, call: &CallStmt) -> Effect {
        self.level.verb = "CALL";
        let Some(function) = &call.funccall else { return self.not_understood("a form of CALL") };
        let flow = self.call(function, &Arc::clone(&self.around));
        answer(StatementKind::Call, "CALL", Row::unknown(flow))
    }
}

/// Whether a query is `SELECT function(literals)` and nothing else, so that the function is called exactly once.
pub(super) fn is_bare_call(select: &SelectStmt) -> bool {
    let Some(Node { node: Some(NodeEnum::FuncCall(call)) }) = fragment::only_value(select) else { return false };
    let is_plain_call = FuncCall {
        agg_order: Vec::new(),
        agg_filter: None,
        over: None,
        agg_within_group: false,
        agg_star: false,
        agg_distinct: false,
        func_variadic: false,
        ..(**call).clone()
    } == **call;
    let is_literal = |node: &Node| matches!(node.node, Some(NodeEnum::AConst(_)));
    is_plain_call && call.args.iter().all(is_literal)
}

/// Whether the modes of BEGIN end with READ ONLY; the server takes the last one.
fn is_read_only(transaction: &TransactionStmt) -> bool {
    let mut modes = transaction.options.iter().filter_map(|node| match &node.node {
        Some(NodeEnum::DefElem(mode)) if mode.defname == "transaction_read_only" => Some(&mode.arg),
        _ => None,
    });
    let value = modes.next_back().and_then(|value| value.as_ref()?.node.as_ref());
    matches!(value, Some(NodeEnum::AConst(constant)) if matches!(&constant.val, Some(Val::Ival(set)) if set.ival == 1))
}

pub fn answer(kind: StatementKind, verb: &'static str, row: Row) -> Effect {
    Effect { kind, verb, answer: Some(row) }
}

fn returning(kind: StatementKind, verb: &'static str, row: Row, returns: bool) -> Effect {
    Effect { kind, verb, answer: returns.then_some(row) }
}
