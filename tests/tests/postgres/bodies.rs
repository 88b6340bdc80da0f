//! Code that the server runs is judged by what it does: DO, functions, procedures.

use super::*;

/// A gate whose role may define things and call the shop's own functions.
fn coding() -> Result<(tempfile::TempDir, Pair)> {
    let (kept, directory) = reload::policies()?;
    std::fs::write(directory.join("definitions.cedar"), persisted::DEFINITIONS)?;
    let pair = Pair::with(&Setup { policies: Some(directory), ..Setup::default() })?;
    pair.server.shop("grant create on schema public to app; grant temporary on database shop to app")?;
    Ok((kept, pair))
}

/// Each is denied, and shows nothing.
fn denied(pair: &Pair, statements: &[&str]) -> Result<()> {
    for (sql, said) in statements.iter().zip(corpus::ask(pair, statements)?) {
        contains(&said, "denied").map_err(|error| error.context(sql.to_string()))?;
        lacks(&said, "536-90")
            .and_then(|()| lacks(&said, "lovelace"))
            .map_err(|error| error.context(sql.to_string()))?;
    }
    Ok(())
}

/// Each answers with what stands beside it.
fn answered(pair: &Pair, statements: &[(&str, &str)]) -> Result<()> {
    let asked: Vec<&str> = statements.iter().map(|(sql, _)| *sql).collect();
    for ((sql, shown), said) in statements.iter().zip(corpus::ask(pair, &asked)?) {
        contains(&said, shown)
            .and_then(|()| lacks(&said, "denied"))
            .and_then(|()| lacks(&said, "ERROR"))
            .map_err(|error| error.context(sql.to_string()))?;
    }
    Ok(())
}

#[test]
fn code_that_does_harm_is_denied_whatever_it_hides_it_in() -> Result<()> {
    let (_kept, pair) = coding()?;
    denied(
        &pair,
        &[
            "do $$ declare v text; begin select ssn into v from customers where id = 1; raise notice '%', v; end $$",
            "do $$ declare v text; begin select ssn into v from customers where id = 1; raise exception using errcode = 'P0001', hint = v; end $$",
            "do $$ declare v customers := (select c from customers c limit 1); begin insert into imports values (1, v.ssn); end $$",
            "do $$ begin for r in select * from customers loop update orders set item = r.email; end loop; end $$",
            "do $$ begin if (select ssn from customers where id = 1) like '5%' then perform 1; end if; end $$",
            "do $$ begin perform pg_sleep(0) from customers where ssn like '536%'; end $$",
            "do $$ declare v text; begin v := ssn from customers limit 1; perform set_config('application_name', v, false); end $$",
            "do $$ declare c cursor for select ssn from customers; v text; begin open c; fetch c into v; raise notice '%', v; end $$",
            "do $$ begin perform ssn::int from customers; exception when others then raise notice '%', sqlerrm; end $$",
            "do $$ begin execute 'select ' || 'ssn from customers'; end $$",
            "do $$ begin execute 'create table leak as select ssn from customers'; end $$",
            "do $$ <<b>> declare v text; begin b.v := (select email from customers limit 1); perform pg_notify('c', b.v); end $$",
            "do $$ begin drop table audit_log; exception when others then perform 1 / (select length(ssn) - 11 from customers limit 1); end $$",
        ],
    )?;
    assert_eq!(pair.server.shop("select count(*) from imports")?, "0");
    assert_eq!(pair.server.shop("select count(*) from pg_class where relname = 'leak'")?, "0");
    Ok(())
}

#[test]
fn migrations_do_what_they_always_did() -> Result<()> {
    let (_kept, pair) = coding()?;
    pair.server.shop("alter table imports owner to app")?;
    answered(
        &pair,
        &[
            (
                "do $$ begin if not exists (select 1 from pg_type where typname = 'mood') then create type mood as enum ('a'); end if; end $$",
                "",
            ),
            ("do $$ begin create type mood as enum ('a'); exception when duplicate_object then null; end $$", ""),
            ("select 'a'::mood", "a"),
            (
                "do $$ declare r record; n int := 0; begin for r in select id, item from orders loop n := n + 1; end loop; raise notice 'seen %', n > 0; end $$",
                "seen t",
            ),
            (
                "create function my_total(who int) returns numeric language sql as 'select sum(amount) from orders where customer_id = who'",
                "",
            ),
            ("select my_total(1) > 0", "t"),
            (
                "create or replace function doubled(n int) returns int language plpgsql immutable as $$ declare m int; begin m := n * 2; return m; end $$",
                "",
            ),
            ("select doubled(21)", "42"),
            ("select sum(doubled(id)) > 0 from orders", "t"),
            (
                "create procedure put(k int) language plpgsql as $$ begin insert into imports values (k, 'put'); end $$",
                "",
            ),
            ("call put(7)", ""),
            ("select label from imports where id = 7", "put"),
            (
                "create function touch() returns trigger language plpgsql as $$ begin new.label := upper(new.label); return new; end $$; create trigger t before insert on imports for each row execute function touch()",
                "",
            ),
            ("insert into imports values (8, 'loud') returning label", "LOUD"),
        ],
    )
}

#[test]
fn a_function_that_is_there_is_judged_by_its_body() -> Result<()> {
    let (_kept, pair) = coding()?;
    pair.server.shop(
        "create function peek(k int) returns text language sql as 'select ssn from customers where id = k';
         create function keep(v text) returns void language plpgsql as $$ begin insert into imports values (1, v); end $$;
         create function wipe() returns void language plpgsql as $$ begin delete from customers; end $$;
         create function run(v text) returns text language plpgsql as $$ declare t text; begin execute v into t; return t; end $$;
         create function guess(v text) returns boolean language plpgsql as $$ begin return exists (select from customers where ssn like v); end $$;
         create function plain(k int) returns text language sql begin atomic select name from customers where id = k; end;
         create schema away; create table away.customers (ssn text); grant usage on schema away to app;
         create function hidden() returns text language sql set search_path = away as 'select ssn from customers';
         insert into away.customers values ('nobody'); grant select on away.customers to app",
    )?;
    let asked = [
        "select peek(1)",
        "select p from peek(1) p",
        "select run('select ssn from customers where id = 1')",
        "select array_agg(peek(id)) from customers",
    ];
    for (sql, said) in asked.iter().zip(corpus::ask(&pair, &asked)?) {
        lacks(&said, "536-90").map_err(|error| error.context(*sql))?;
    }
    denied(
        &pair,
        &[
            "select keep(ssn) from customers where id = 1",
            "select keep(peek(1))",
            "select guess('536%')",
            "insert into imports select 1, peek(1)",
            "select 1 from orders where peek(1) like '5%'",
        ],
    )?;
    assert_eq!(pair.server.shop("select count(*) from imports")?, "0");
    answered(&pair, &[("select plain(1)", "Ada"), ("select hidden()", "nobody"), ("select keep('x')", "")])?;
    assert_eq!(pair.server.shop("select label from imports")?, "x");
    Ok(())
}

#[test]
fn a_function_that_is_made_anew_is_not_taken_for_what_it_was() -> Result<()> {
    let (_kept, pair) = coding()?;
    pair.server.shop(
        "create function tame() returns text language plpgsql as $$ begin return 'tame'; end $$;
         alter function tame() owner to app",
    )?;
    // A text that is put together is no read of any table, so that making it is permitted.
    const ANEW: &str = "create or replace function tame() returns text language plpgsql as $$ declare v text; begin execute 'select ' || 'ssn from customers where id = 1' into v; return v; end $$";
    let asked = [
        "select tame()".to_owned(),
        format!("begin; {ANEW}; select tame(); rollback"),
        format!("begin;\n{ANEW};\nselect tame();\nrollback"),
        format!("prepare p as select tame(); {ANEW}"),
        "execute p".to_owned(),
        "select tame()".to_owned(),
    ];
    let said = corpus::ask(&pair, &asked.each_ref().map(String::as_str))?;
    contains(&said.first().cloned().unwrap_or_default(), "tame")?;
    said.iter().try_for_each(|said| lacks(said, "536-90"))?;
    contains(&pair.server.shop("select tame()")?, "536-90")
}

#[test]
fn a_cast_that_nobody_writes_is_a_call() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.shop(
        "create type tint as enum ('red');
         create function leaking(tint) returns int language sql as 'select length(ssn) from customers where id = 1';
         create cast (tint as int) with function leaking as implicit;
         create table tints (id int, tint tint); insert into tints values (1, 'red'); grant select on tints to app",
    )?;
    persisted::survey(&pair)?;
    let asked = ["select id from tints where id + tint > 0", "select abs(tint) from tints"];
    for (sql, said) in asked.iter().zip(corpus::ask(&pair, &asked)?) {
        contains(&said, "leaking").and_then(|()| contains(&said, "denied")).map_err(|error| error.context(*sql))?;
    }
    Ok(())
}

#[test]
fn what_is_masked_is_not_published() -> Result<()> {
    let (_kept, pair) = coding()?;
    pair.server.shop("grant create on database shop to app; alter table customers owner to app")?;
    denied(
        &pair,
        &[
            "create publication leak for table customers",
            "create publication leak for table customers (id, ssn)",
            "create publication leak for all tables",
            "create publication leak for tables in schema public",
            "create publication leak for table customers (id) where (ssn like '5%')",
        ],
    )?;
    answered(&pair, &[("create publication names for table customers (id, name)", "")])?;
    assert_eq!(pair.server.shop("select string_agg(pubname, ' ') from pg_publication")?, "names");
    Ok(())
}
