//! What is sent ahead of the answers that it depends on, and what a transaction does with tables of its own.

use super::{wire::LOGIN, *};

/// Parse, Bind and Execute of each, and one Sync.
fn batch(statements: &[&str]) -> String {
    let sent: String = statements.iter().map(|text| format!("parse {text}\nbind\nexecute\n")).collect();
    format!("{LOGIN}{sent}sync\nread\n")
}

#[test]
fn a_cursor_is_read_in_the_batch_that_declares_it() -> Result<()> {
    let pair = Pair::start()?;
    let declare = "declare c cursor for select item from orders where id = 3";
    let answers = wire::speak(&pair, &batch(&["begin", declare, "fetch 2 from c", "commit"]))?;
    assert_eq!(answers, "Z I\n1\n2\nC BEGIN\n1\n2\nC DECLARE CURSOR\n1\n2\nD bombe\nC FETCH 1\n1\n2\nC COMMIT\nZ I");
    let masked = "declare c cursor for select ssn from customers where id = 1";
    let answers = wire::speak(&pair, &batch(&["begin", masked, "fetch 2 from c", "commit"]))?;
    contains(&answers, "4399").and_then(|()| lacks(&answers, "536-90"))
}

#[test]
fn a_statement_is_executed_in_the_batch_that_prepares_it() -> Result<()> {
    let pair = Pair::start()?;
    let prepare = "prepare p as select item from orders where id = 3";
    let answers = wire::speak(&pair, &batch(&[prepare, "execute p"]))?;
    assert_eq!(answers, "Z I\n1\n2\nC PREPARE\n1\n2\nD bombe\nC SELECT 1\nZ I");
    Ok(())
}

/// The second DECLARE fails, so that the name stands for the first one's rows.
#[test]
fn a_name_that_is_not_made_anew_stands_for_what_it_stood_for() -> Result<()> {
    let pair = Pair::start()?;
    let queries = [
        "declare c cursor with hold for select ssn from customers where id = 1",
        "declare c cursor with hold for select item from orders where id = 3",
        "fetch all from c",
    ];
    let sent: String = queries.iter().map(|text| format!("query {text}\n")).collect();
    let answers = wire::speak(&pair, &format!("{LOGIN}{sent}read\nread\nread\n"))?;
    contains(&answers, "E 42P03").and_then(|()| contains(&answers, "4399")).and_then(|()| lacks(&answers, "536-90"))
}

#[test]
fn a_transaction_filters_by_the_tables_that_it_makes() -> Result<()> {
    let (_kept, pair) = persisted::defining()?;
    let honest = [
        (
            "begin; create table made (a int primary key, b text); insert into made values (1, 'one'), (2, 'two'); \
             select b from made where a = 2; rollback",
            "two",
        ),
        (
            "begin; create table made (id int); insert into made values (1); alter table made add v text; \
             update made set v = 'new' where id = 1; select v from made where v like 'n%'; rollback",
            "new",
        ),
        (
            "begin; create table parent (id int primary key); \
             create table child (p int references parent on delete cascade, w text); create index on child (w); \
             insert into parent values (1); insert into child values (1, 'joined'); \
             select w from parent join child on id = p where w > 'a' order by w; rollback",
            "joined",
        ),
        (
            "begin; create table made as select id, item from orders; select item from made where id = 3; rollback",
            "bombe",
        ),
        (
            "begin; create temp table t (a int, b text) on commit drop; insert into t values (1, 'kept'); \
             select b from t where a = 1; rollback",
            "kept",
        ),
    ];
    for ((sql, shown), said) in honest.iter().zip(corpus::ask(&pair, &honest.map(|(sql, _)| sql))?) {
        contains(&said, shown).map_err(|error| error.context(*sql))?;
    }
    Ok(())
}

#[test]
fn a_table_that_is_made_in_the_place_of_another_uncovers_nothing() -> Result<()> {
    let (_kept, pair) = persisted::defining()?;
    pair.server.shop("alter table customers owner to app")?;
    let hostile = [
        "begin; create table made (ssn text); insert into made select ssn from customers; select ssn from made; rollback",
        "begin; create table made (ssn text); alter table customers inherit made; select ssn || '' from made; rollback",
        "begin; create table made (id int, ssn text); drop table made; alter table customers rename to made; \
         select ssn || '' from made; rollback",
        "begin; create table made (ssn text); create view shown as select * from made; \
         insert into made select ssn from customers; select ssn || '' from shown; rollback",
        "begin; create table if not exists customers (ssn text); select ssn || '' from customers; rollback",
    ];
    for (sql, said) in hostile.iter().zip(corpus::ask(&pair, &hostile)?) {
        lacks(&said, "536-90").map_err(|error| error.context(*sql))?;
    }
    Ok(())
}
