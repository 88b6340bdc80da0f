//! Limits, and what varies with the session.

use std::time::Duration;

use super::*;
use crate::request::{Estimate, Transaction, Usage};

const READ: &str = r#"@id("read") permit (principal, action in Sql::Action::"read", resource is Sql::Table);
@id("write") permit (principal, action in Sql::Action::"write", resource is Sql::Table);"#;

fn engine(rules: &str) -> Engine {
    Engine::compile(&with_rules(&format!("{READ}\n{rules}")), 1).unwrap_or_else(|findings| panic!("{findings}"))
}

fn decide(engine: &Engine, operation: sql::Operation, standing: Standing) -> Decision {
    let request = Request { standing, ..request(vec![access(operation, table("orders"))]) };
    let (bot, target, nobody) = (principal("bot", &["agents"]), target(None), BTreeSet::new());
    engine.decide(&Question { principal: &bot, target: &target, request: &request, clock: NOON, approvals: &nobody })
}

fn effect(engine: &Engine, operation: sql::Operation, standing: Standing) -> Effect {
    decide(engine, operation, standing).effect
}

#[test]
fn of_several_limits_the_lowest_holds_and_names_its_rule() {
    let engine = engine(
        r#"@id("many") @limit_rows("1000") @statement_timeout("1m") forbid (principal, action, resource)
           unless { context.limited.containsAll([Limit::"rows", Limit::"time"]) };
           @id("few") @limit_rows("10") @limit_bytes("2KiB") forbid (principal, action, resource)
           unless { context.limited.containsAll([Limit::"rows", Limit::"bytes"]) };"#,
    );
    let decision = decide(&engine, sql::Operation::Select, Standing::fresh());
    assert_eq!(decision.effect, Effect::Allow);
    let limits = &decision.obligations.limits;
    assert_eq!(limits.rows, Some(Bound { most: 10, rule: RuleId("few".into()) }));
    assert_eq!(limits.bytes.as_ref().map(|bound| bound.most), Some(2048));
    assert_eq!(limits.time.as_ref().map(|bound| bound.most), Some(Duration::from_secs(60)));
    let explained = crate::policy::explain::Verdict::from(&decision).to_string();
    assert!(explained.ends_with("; limits bytes=2048,rows=10,time=60s"), "{explained}");
}

#[test]
fn a_limit_of_one_access_holds_for_the_whole_request() {
    let engine = engine(
        r#"@id("few") @limit_rows("10") forbid (principal, action == Sql::Action::"select", resource)
           unless { context.limited.contains(Limit::"rows") };"#,
    );
    let accesses = vec![
        access(sql::Operation::CopyOut, table("orders")),
        access(sql::Operation::Select, table("orders")),
        access(sql::Operation::CopyOut, table("customers")),
    ];
    let decision = ask(&engine, &principal("bot", &[]), &target(None), accesses, &[]);
    assert_eq!(decision.obligations.limits.rows.map(|bound| bound.most), Some(10));
}

#[test]
fn a_budget_is_used_up() {
    let engine = engine(
        r#"@id("budget") forbid (principal, action in Sql::Action::"read", resource)
           when { context.usage.session.rows_returned >= 100 };"#,
    );
    let after = |rows_returned| {
        let session = Usage { rows_returned, rows_affected: 0 };
        effect(&engine, sql::Operation::Select, Standing { session, ..Standing::fresh() })
    };
    assert_eq!(after(99), Effect::Allow);
    assert_eq!(after(100), Effect::Deny);
    assert_eq!(after(u64::MAX), Effect::Deny, "a count beyond the numbers is no small one");
}

#[test]
fn without_an_estimate_a_rule_that_wants_one_refuses() {
    let engine = engine(
        r#"@id("planned") forbid (principal, action, resource)
           unless { context has estimate && context.estimate.rows <= 1000 && context.estimate.cost < 50 };"#,
    );
    let expecting = |rows, cost| {
        let estimate = Some(Estimate { rows, cost });
        effect(&engine, sql::Operation::Delete, Standing { estimate, ..Standing::fresh() })
    };
    assert_eq!(effect(&engine, sql::Operation::Delete, Standing::fresh()), Effect::Deny);
    assert_eq!(
        (expecting(1000, 49), expecting(1001, 49), expecting(1, 50)),
        (Effect::Allow, Effect::Deny, Effect::Deny)
    );
}

#[test]
fn where_the_transaction_is_not_known_a_rule_that_wants_one_refuses() {
    let engine = engine(
        r#"@id("in") forbid (principal, action == Sql::Action::"delete", resource)
           unless { context.transaction has state && context.transaction.state == Sql::Transaction::"open" };
           @id("only") forbid (principal, action == Sql::Action::"select", resource)
           unless { context.transaction.read_only };"#,
    );
    let at = |transaction| effect(&engine, sql::Operation::Delete, Standing { transaction, ..Standing::fresh() });
    assert_eq!(at(Some(Transaction::Open)), Effect::Allow);
    assert_eq!(
        (at(Some(Transaction::Idle)), at(Some(Transaction::Failed)), at(None)),
        (Effect::Deny, Effect::Deny, Effect::Deny)
    );
    let reading = Standing { is_read_only: true, ..Standing::fresh() };
    assert_eq!(effect(&engine, sql::Operation::Select, reading), Effect::Allow);
    assert_eq!(effect(&engine, sql::Operation::Select, Standing::fresh()), Effect::Deny);
}

#[test]
fn what_a_decision_depends_on_is_found_by_what_its_rules_read() {
    let engine = engine(
        r#"@id("budget") forbid (principal, action in Sql::Action::"read", resource)
           when { context.usage.session.rows_returned >= 100 };
           @id("planned") forbid (principal, action == Sql::Action::"delete", resource) unless { context has estimate };
           @id("open") forbid (principal, action == Sql::Action::"update", resource)
           unless { if context.transaction.read_only then false else true };
           @id("hours") forbid (principal, action == Sql::Action::"insert", resource) when { context.clock.hour < 9 };"#,
    );
    let needs = |operation| {
        let footprint = Footprint { accesses: vec![access(operation, table("t"))], ..Footprint::default() };
        let Needs { clock, standing, estimate } = engine.needs(&footprint);
        (clock, standing, estimate)
    };
    assert_eq!(needs(sql::Operation::Select), (false, true, false));
    assert_eq!(needs(sql::Operation::Delete), (false, false, true));
    assert_eq!(needs(sql::Operation::Update), (false, true, false));
    assert_eq!(needs(sql::Operation::Insert), (true, false, false));
    assert_eq!(needs(sql::Operation::Truncate), (false, false, false));
}

#[test]
fn tests_of_a_bundle_say_where_the_session_stands() {
    let rules = std::fs::read_to_string(repository().join("examples/limits-and-budgets.cedar")).expect("the example");
    let suite = r#"
suite: limits
defaults: { workload: agent, target: shop-dev }
tests:
  - { name: limited, sql: SELECT id FROM orders, expect: { decision: allow, limits: { rows: "1000", bytes: "16777216", time: 30s } } }
  - { name: used up, sql: SELECT id FROM orders, session: { usage: { session: { rows_returned: 100000 } } }, expect: { decision: deny, by: [reading-budget] } }
  - { name: by itself, sql: DELETE FROM orders WHERE id = 1, session: { estimate: { rows: 1, cost: 9 } }, expect: { decision: deny, by: [delete-in-transaction] } }
  - { name: begun, sql: DELETE FROM orders WHERE id = 1, session: { transaction: open, estimate: { rows: 1, cost: 9 } }, expect: allow }
  - { name: many, sql: UPDATE orders SET total = 1, session: { estimate: { rows: 5000, cost: 9 } }, expect: { decision: deny, by: [no-mass-change] } }
  - { name: not planned, sql: UPDATE orders SET total = 1, expect: { decision: deny, by: [no-mass-change] } }
"#;
    let source = Source { name: "tests/limits.yaml".to_owned(), text: suite.to_owned() };
    let bundle = Bundle { suites: vec![source], ..with_rules(&format!("{READ}\n{rules}")) };
    let report = Tests::read(&bundle).unwrap_or_else(|findings| panic!("{findings}")).run(&engine(&rules));
    assert_eq!((report.failed, report.passed), (0, 6), "{}", report.findings);
}
