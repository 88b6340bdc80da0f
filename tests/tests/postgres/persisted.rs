//! Masked values are not put where they would be read unmasked, and keep their classes where they are moved.

use portcullis_tests::postgres;

use super::*;

/// Permits definitions and the shop's own functions, which the baseline does not.
const DEFINITIONS: &str = r#"
@id("definitions") permit (principal, action in Sql::Action::"ddl", resource);
@id("temporary-tables") permit (principal, action, resource is Sql::Table) when { resource.schema == "pg_temp" };
@id("own-functions") permit (principal, action == Sql::Action::"call", resource) when { resource.schema == "public" };
"#;

/// A gate whose role may define things in the shop.
pub fn defining() -> Result<(tempfile::TempDir, Pair)> {
    let (kept, directory) = reload::policies()?;
    std::fs::write(directory.join("definitions.cedar"), DEFINITIONS)?;
    let pair = Pair::with(&Setup { policies: Some(directory), ..Setup::default() })?;
    pair.server.shop("grant create on schema public to app; grant temporary on database shop to app")?;
    Ok((kept, pair))
}

/// Has the gate read the catalogue again, as it does when a statement names what it does not know.
fn survey(pair: &Pair) -> Result<()> {
    pair.psql("select 1 from nowhere_at_all").map(drop)
}

#[test]
fn masked_values_are_put_nowhere() -> Result<()> {
    let (_kept, pair) = defining()?;
    let leaks = [
        "create table leak as select ssn from customers",
        "create temp table leak as select ssn from customers",
        "select ssn into leak from customers",
        "create view leak as select email from customers",
        "create materialized view leak as select email from customers",
        "create function leak() returns text language sql as 'select ssn from customers limit 1'",
        "create rule leak as on insert to imports do also update imports set label = (select ssn from customers limit 1)",
        "insert into imports select id, ssn from customers",
        "insert into imports values (1, 'x') on conflict (id) do update set label = (select max(ssn) from customers)",
        "update orders set item = c.ssn from customers c where c.id = customer_id",
        "merge into imports i using customers c on i.id = c.id when not matched then insert values (c.id, c.ssn)",
        "select set_config('application_name', ssn, false) from customers where id = 1",
        "select set_config('my.variable', email, false) from customers where id = 1",
        "select pg_advisory_lock(hashtext(ssn)) from customers",
        "prepare p as insert into imports select id, email from customers; execute p",
        "begin; create temp table t (a text); insert into t select email from customers; select a from t; rollback",
    ];
    for (sql, said) in leaks.iter().zip(corpus::ask(&pair, &leaks)?) {
        contains(&said, "denied").map_err(|error| error.context(*sql))?;
        lacks(&said, "536-90").and_then(|()| lacks(&said, "lovelace")).map_err(|error| error.context(*sql))?;
    }
    assert_eq!(pair.server.shop("select count(*) from pg_class where relname = 'leak'")?, "0");
    assert_eq!(pair.server.shop("select count(*) from imports")?, "0");
    Ok(())
}

#[test]
fn temporary_tables_without_masked_values_are_as_useful_as_ever() -> Result<()> {
    let (_kept, pair) = defining()?;
    let honest = [
        ("create temp table t (id int, label text); insert into t values (1, 'one'); select label from t", "one"),
        (
            "begin; create temp table w on commit drop as select id, name from customers; select name from w; commit",
            "Ada",
        ),
        (
            "create temp table u as select id, amount from orders; select sum(amount) from u where amount > 1",
            "10512.30",
        ),
        ("create temp table v (like imports); copy v from stdin;\n1\tcopied\n\\.\nselect label from v", "copied"),
    ];
    for ((sql, shown), said) in honest.iter().zip(corpus::ask(&pair, &honest.map(|(sql, _)| sql))?) {
        contains(&said, shown).map_err(|error| error.context(*sql))?;
    }
    Ok(())
}

#[test]
fn a_view_shows_what_each_column_is_made_of() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.shop(
        "create view cards as select id, name, card, left(ssn, 4) as start from customers;
         create view cards_again as select * from cards; grant select on cards, cards_again to app",
    )?;
    survey(&pair)?;
    for view in ["cards", "cards_again"] {
        let said = pair.psql(&format!("select id, name, card, start from {view} where id = 1"))?;
        contains(&said, "1|Ada Lovelace|")?;
        contains(&said, "1111")?;
        lacks(&said, "4111111111111111").and_then(|()| lacks(&said, "536"))?;
    }
    Ok(())
}

#[test]
fn what_is_renamed_or_moved_keeps_its_classes() -> Result<()> {
    let pair = Pair::start()?;
    lacks(&pair.psql("select ssn from customers")?, "536-90")?;
    pair.server.shop("alter table customers rename column ssn to harmless")?;
    survey(&pair)?;
    let said = pair.psql("select name, harmless from customers where id = 1")?;
    contains(&said, "Ada").and_then(|()| lacks(&said, "536-90"))?;
    contains(&pair.psql("select name from customers where harmless like '5%'")?, "which is masked")?;
    pair.server
        .shop("alter table customers rename to people; create schema other; grant usage on schema other to app")?;
    pair.server.shop("alter table people set schema other")?;
    survey(&pair)?;
    let said = pair.psql("select name, harmless, email from other.people where id = 1")?;
    contains(&said, "Ada").and_then(|()| lacks(&said, "536-90")).and_then(|()| lacks(&said, "lovelace@"))
}

#[test]
fn nobody_renames_what_is_masked() -> Result<()> {
    let (_kept, pair) = defining()?;
    pair.server.shop("alter table customers owner to app")?;
    let renames = [
        "alter table customers rename column ssn to harmless",
        "alter table customers rename to people",
        "alter table customers add constraint c check (ssn not like '536%')",
        "create index i on customers ((1 / length(ssn)))",
        "create policy p on customers using (ssn like '536%')",
    ];
    for (sql, said) in renames.iter().zip(corpus::ask(&pair, &renames)?) {
        contains(&said, "denied").map_err(|error| error.context(*sql))?;
    }
    assert_eq!(
        pair.server.shop("select count(*) from information_schema.columns where column_name = 'harmless'")?,
        "0"
    );
    pair.psql("alter table customers add column nickname text")?;
    contains(&pair.psql("select nickname is null from customers where id = 1")?, "t")
}

#[test]
fn an_operator_or_a_cast_of_users_is_a_call() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.shop(
        "create function peek(a text, b int) returns text language sql as 'select ssn from customers where id = b';
         create operator public.~~~ (function = peek, leftarg = text, rightarg = int);
         create domain watched as int check (peek('x', value) is not null)",
    )?;
    survey(&pair)?;
    let calls = ["select 'x' ~~~ 1", "select 1 from orders where ('x' ~~~ id) like '5%'", "select 1::watched"];
    for (sql, said) in calls.iter().zip(corpus::ask(&pair, &calls)?) {
        contains(&said, "peek").and_then(|()| contains(&said, "denied")).map_err(|error| error.context(*sql))?;
    }
    postgres::succeeded("psql", pair.gate.psql(&pair.server, "select 'a' || 'b', 1 + 1 from orders")?).map(drop)
}
