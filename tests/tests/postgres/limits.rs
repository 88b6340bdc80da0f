//! Answers that are held to limits, budgets, and rules that read what the server would do.

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::{
    reload::policies,
    wire::{LOGIN, speak},
};

const RULES: &str = r#"
@id("short") @limit_rows("3")
forbid (principal, action in Sql::Action::"read", resource is Sql::Table) when { resource.name == "numbers" }
unless { context.limited.contains(Limit::"rows") };

@id("thin") @limit_bytes("64KiB")
forbid (principal, action in Sql::Action::"read", resource is Sql::Table) when { resource.name == "wide" }
unless { context.limited.contains(Limit::"bytes") };

@id("quick") @statement_timeout("1s")
forbid (principal, action == Sql::Action::"call", resource is Sql::Function) when { resource.name == "pg_sleep" }
unless { context.limited.contains(Limit::"time") };

@id("reading-budget")
forbid (principal, action in Sql::Action::"read", resource is Sql::Table)
when { resource.name == "orders" && context.usage.session.rows_returned >= 5 };

@id("writing-budget")
forbid (principal, action in Sql::Action::"write", resource is Sql::Table)
when { resource.name == "drafts" && context.usage.transaction.rows_affected >= 4 };

@id("planned")
forbid (principal, action in [Sql::Action::"select", Sql::Action::"delete"], resource is Sql::Table)
when { resource.name == "planned" }
unless { context has estimate && context.estimate.rows <= 5 };

@id("in-transaction")
forbid (principal, action == Sql::Action::"delete", resource is Sql::Table) when { resource.name == "imports" }
unless { context.transaction has state && context.transaction.state == Sql::Transaction::"open" };
"#;

const TABLES: &str = "create table numbers as select n from generate_series(1, 200000) n;
create table wide as select repeat('x', 1000) as x from generate_series(1, 1000);
create table drafts (id int, label text);
create table planned (id int primary key, n int); insert into planned select n, n from generate_series(1, 10000) n;
create function twice(int) returns int language sql immutable as 'select $1 * 2';
analyze;
grant select, insert, update, delete on numbers, wide, drafts, planned to app;";

/// A pair whose policies hold [`RULES`].
fn limited() -> Result<(TempDir, Pair)> {
    let (kept, directory): (TempDir, PathBuf) = policies()?;
    std::fs::write(directory.join("limits.cedar"), RULES)?;
    let server = Postgres::start()?;
    server.shop(TABLES)?;
    let gate = Gate::with(&server, &Setup { policies: Some(directory), ..Setup::default() })?;
    Ok((kept, Pair { gate, server }))
}

#[test]
fn an_answer_is_cut_at_its_limit_and_the_session_goes_on() -> Result<()> {
    let (_kept, pair) = limited()?;
    for sql in [
        "select n from numbers",
        "copy numbers to stdout",
        "copy (select n from numbers) to stdout (format csv)",
        "select n from numbers where n < 5",
    ] {
        let shown = pair.psql(&format!("{sql};\nselect 'usable';"))?;
        contains(&shown, "54000")
            .and_then(|()| contains(&shown, "rule `short`"))
            .map_err(|error| error.context(sql))?;
        contains(&shown, "usable")?;
        lacks(&shown, "\n4\n")?;
    }
    let shown = pair.psql(
        "select n from numbers where n <= 3; copy (select n from numbers where n <= 3) to stdout (format binary)",
    )?;
    lacks(&shown, "54000")?;
    let shown = pair.psql("select x from wide;\nselect 'usable';")?;
    contains(&shown, "65536 bytes of rows")?;
    contains(&shown, "usable")
}

#[test]
fn a_cut_answer_fails_its_transaction_on_both_sides() -> Result<()> {
    let (_kept, pair) = limited()?;
    for reading in [
        "select n from numbers",
        "select n from numbers where n < 5",
        "declare c cursor for select n from numbers;\nfetch 2 from c;\nfetch 2 from c",
    ] {
        let sql = format!(
            "begin;\ninsert into imports values (1, 'lost');\n{reading};\nselect 'never seen';\ncommit;\nselect 'usable';"
        );
        let shown = pair.psql(&sql)?;
        for part in ["54000", "25P02", "usable"] {
            contains(&shown, part)?;
        }
        lacks(&shown, "never seen")?;
        assert_eq!(pair.server.shop("select count(*) from imports")?, "0", "{reading}");
    }
    Ok(())
}

#[test]
fn in_the_extended_protocol_parts_are_counted_together_and_batches_skipped() -> Result<()> {
    let (_kept, pair) = limited()?;
    let begin = "parse select n from numbers where n < 9\nbind\n";
    let parts = format!("{LOGIN}{begin}execute 2\nexecute 2\nsync\nread\nquery select 7\nread\n");
    assert_eq!(speak(&pair, &parts)?, "Z I\n1\n2\nD 1\nD 2\ns\nD 3\nE 54000\nZ I\nT\nD 7\nC SELECT 1\nZ I");
    let batch = format!(
        "{LOGIN}parse insert into imports values (1, 'lost')\nbind\nexecute\n{begin}execute\nparse insert into imports values (2, 'never')\nbind\nexecute\nsync\nread\nquery select 7\nread\n"
    );
    let answers = speak(&pair, &batch)?;
    assert!(answers.ends_with("D 3\nE 54000\nZ I\nT\nD 7\nC SELECT 1\nZ I"), "{answers}");
    assert_eq!(pair.server.shop("select count(*) from imports")?, "0");
    Ok(())
}

#[test]
fn a_statement_is_stopped_when_its_time_is_over() -> Result<()> {
    let (_kept, pair) = limited()?;
    let shown = pair.psql("select pg_sleep(60);\nselect 'usable';")?;
    for part in ["57014", "rule `quick`", "usable"] {
        contains(&shown, part)?;
    }
    let running = "select count(*) from pg_stat_activity where query like '%pg_sleep(60)%' and state = 'active' and usename = 'app'";
    assert_eq!(pair.server.shop(running)?, "0");
    lacks(&pair.psql("select pg_sleep(0.01)")?, "57014")
}

#[test]
fn budgets_are_used_up_by_what_passed() -> Result<()> {
    let (_kept, pair) = limited()?;
    let shown = pair.psql("select name from customers;\nselect item from orders;\nselect item from orders;")?;
    contains(&shown, "reading-budget")?;
    let insert = "insert into drafts values (1, 'a'), (2, 'b');\n";
    let shown = pair.psql(&format!("begin;\n{insert}{insert}{insert}commit;\n"))?;
    contains(&shown, "writing-budget")?;
    assert_eq!(pair.server.shop("select count(*) from drafts")?, "0");
    lacks(&pair.psql(&format!("begin;\n{insert}{insert}commit;\n{insert}"))?, "writing-budget")?;
    assert_eq!(pair.server.shop("select count(*) from drafts")?, "6", "each transaction has its own");
    Ok(())
}

/// Both statements stand in one batch: when the second is asked about, the first is not answered yet.
#[test]
fn a_pipeline_does_not_outrun_a_budget() -> Result<()> {
    let (_kept, pair) = limited()?;
    let insert = "parse insert into drafts select n, 'x' from generate_series(1, 4) n\nbind\nexecute\n";
    let answers = speak(&pair, &format!("{LOGIN}{insert}{insert}sync\nread\n"))?;
    assert_eq!(answers, "Z I\n1\n2\nC INSERT 0 4\nE 42501\nZ I");
    assert_eq!(pair.server.shop("select count(*) from drafts")?, "0");
    Ok(())
}

#[test]
fn what_the_planner_expects_decides() -> Result<()> {
    let (_kept, pair) = limited()?;
    let refused = |sql: &str| pair.psql(sql).map(|shown| shown.contains("Rule: planned"));
    assert!(!refused("select n from planned where id = 7")?);
    assert!(refused("select n from planned")?);
    assert!(refused("delete from planned where n > 0")?);
    assert!(!refused("delete from planned where id = 1")?);
    assert!(refused("select twice(n) from planned where id = 7")?, "planning might run what users wrote");
    assert_eq!(pair.server.shop("select count(*) from planned")?, "9999");
    let with =
        |bound: u32| format!("{LOGIN}parse select n from planned where id < {bound}\nbind\nexecute\nsync\nread\n");
    contains(&speak(&pair, &with(3))?, "C SELECT 1")?;
    contains(&speak(&pair, &with(5000))?, "E 42501")?;
    assert!(!pair.server.log().contains("EXPLAIN (FORMAT JSON) select twice"), "it was planned");
    contains(&pair.server.log(), "EXPLAIN (FORMAT JSON) select n from planned")
}

#[test]
fn a_rule_may_ask_for_a_transaction() -> Result<()> {
    let (_kept, pair) = limited()?;
    contains(&pair.psql("delete from imports where id = 1")?, "in-transaction")?;
    lacks(&pair.psql("begin;\ndelete from imports where id = 1;\ncommit;")?, "in-transaction")?;
    contains(&pair.psql("begin \\; delete from imports where id = 1 \\; commit;")?, "in-transaction")
}
