//! What is refused: spoken in the protocol, never seen by the server, and no end to the session.

use super::*;

#[test]
fn dropping_a_database_is_refused_and_the_session_goes_on() -> Result<()> {
    let pair = Pair::start()?;
    let shown = pair.psql("drop database shop;\nselect 'still here';")?;
    for part in ["42501", "no-drop-database", "HINT:", "still here"] {
        contains(&shown, part)?;
    }
    lacks(&pair.server.log().to_lowercase(), "drop database")
}

#[test]
fn an_update_without_where_changes_nothing() -> Result<()> {
    let pair = Pair::start()?;
    contains(&pair.psql("update orders set status = 'shipped'")?, "42501")?;
    assert_eq!(pair.server.shop("select count(*) from orders where status = 'new'")?, "3");
    pair.psql("update orders set status = 'shipped' where id = 2")?;
    assert_eq!(pair.server.shop("select count(*) from orders where status = 'new'")?, "2");
    Ok(())
}

#[test]
fn statements_in_one_string_are_judged_as_a_whole() -> Result<()> {
    let pair = Pair::start()?;
    let sql = "insert into imports values (1, 'first') \\; truncate payments;";
    contains(&pair.psql(sql)?, "42501")?;
    assert_eq!(pair.server.shop("select count(*) from imports")?, "0");
    Ok(())
}

#[test]
fn a_denial_leaves_a_transaction_as_postgresql_would() -> Result<()> {
    let pair = Pair::start()?;
    let shown = pair.psql(
        "begin;\ninsert into imports values (1, 'lost');\ntruncate payments;\nselect 'never seen';\ncommit;\nselect 'usable';",
    )?;
    for part in ["42501", "25P02", "usable"] {
        contains(&shown, part)?;
    }
    lacks(&shown, "never seen")?;
    assert_eq!(pair.server.shop("select count(*) from imports")?, "0");
    Ok(())
}

#[test]
fn a_savepoint_survives_a_denial() -> Result<()> {
    let pair = Pair::start()?;
    pair.psql(
        "begin;\ninsert into imports values (1, 'kept');\nsavepoint s;\ntruncate payments;\nrollback to s;\ncommit;",
    )?;
    assert_eq!(pair.server.shop("select label from imports")?, "kept");
    Ok(())
}

#[test]
fn what_cannot_be_understood_is_refused() -> Result<()> {
    let pair = Pair::start()?;
    for sql in [
        "do $$ begin execute 'drop table orders'; end $$",
        "select pg_read_file('/etc/passwd')",
        "copy orders to program 'cat'",
        "copy imports from '/etc/passwd'",
        "select query_to_xml('select * from salaries', true, true, '')",
        "set role postgres",
        "set search_path = pg_temp, public",
        "load 'plpgsql'",
        "create function f() returns int language sql as 'select 1'",
        "alter system set log_statement = 'none'",
        "select set_config('role', 'postgres', false)",
        "select * from pg_stat_activity",
        "grant all on customers to public",
    ] {
        contains(&pair.psql(&format!("{sql};\nselect 'usable';"))?, "42501").map_err(|error| error.context(sql))?;
    }
    Ok(())
}

#[test]
fn what_postgresql_could_not_parse_is_said_in_its_own_code() -> Result<()> {
    let pair = Pair::start()?;
    for (sql, code) in [
        ("selekt 1", "42601"),
        ("select 1 from where", "42601"),
        ("begin;\nselekt 1;\nselect 'never seen';\nrollback", "42601"),
    ] {
        let said = pair.psql(&format!("{sql};\nselect 'usable';"))?;
        contains(&said, code).and_then(|()| contains(&said, "usable")).and_then(|()| lacks(&said, "never seen"))?;
    }
    lacks(&pair.server.log().to_lowercase(), "selekt")?;
    pair.gate.ended_sessions(3, &["--denied"])?;
    let shown = pair.gate.ask(["sessions", "replay", "latest", "--instant"])?;
    contains(&shown, "no-unknown").and_then(|()| contains(&shown, "syntax error at or near"))
}

/// adminpack puts its functions into `pg_catalog`, where only the server's own are known to be harmless.
#[test]
fn a_function_that_an_extension_puts_among_the_servers_own_is_no_field() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.shop("create extension adminpack; grant execute on all functions in schema pg_catalog to public")?;
    for sql in ["select ('nowhere'::text).pg_file_unlink", "select pg_file_unlink('nowhere')"] {
        contains(&pair.psql(sql)?, "42501: denied")?;
    }
    Ok(())
}

#[test]
fn denials_are_in_the_record_with_their_rule() -> Result<()> {
    let pair = Pair::start()?;
    pair.psql("drop database shop")?;
    pair.gate.ended_sessions(1, &["--denied"])?;
    let shown = pair.gate.ask(["sessions", "replay", "latest", "--instant"])?;
    contains(&shown, "drop database shop")?;
    contains(&shown, "no-drop-database")
}
