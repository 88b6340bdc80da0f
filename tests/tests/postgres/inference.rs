//! What is masked is not found out by asking either.

use super::*;

/// What the gate says when a statement decides by what is masked.
const REFUSED: &str = "which is masked";

#[test]
fn a_masked_column_cannot_be_guessed_by_asking() -> Result<()> {
    let pair = Pair::start()?;
    for sql in [
        "select name from customers where ssn like '536%'",
        "select name from customers where ssn = '536-90-4399'",
        "select name from customers where email like 'ada%'",
        "select name from customers where email > 'b'",
        "select name from customers where substr(email, 1, 1) = 'a'",
        "select name from customers order by card",
        "select id from customers order by 1, (select ssn from customers i where i.id = customers.id)",
        "select count(*) from customers group by ssn",
        "select distinct card from customers",
        "select ssn from customers union select '536-90-4399'",
        "select ssn from customers intersect select '536-90-4399'",
        "select count(*) filter (where ssn like '536%') from customers",
        "select count(nullif(ssn, '536-90-4399')) from customers",
        "select count(distinct ssn) from customers",
        "select sum(1) over (order by ssn) from customers",
        "select case when ssn like '536%' then 1 / 0 end from customers",
        "select case when ssn like '536%' then pg_sleep(1) end from customers",
        "select 1 / (ssn like '536%')::int from customers",
        "select 1 from customers c, generate_series(1, length(c.ssn))",
        "select name from customers limit (select length(ssn) from customers where id = 1)",
        "select name from customers c where exists (select 1 from customers d where d.id = c.id and d.ssn like '5%')",
        "select o.item from orders o join customers c on c.id = o.customer_id and c.card like '4111%'",
        "select 1 from customers join (select '536-90-4399' as ssn) guess using (ssn)",
        "with hit as (select id, ssn like '536%' as yes from customers) select id from hit where yes",
        "update orders set status = 'x' from customers c where c.id = customer_id and c.ssn like '5%'",
        "delete from imports using customers c where c.id = imports.id and c.ssn like '5%'",
        "explain select 1 from customers where ssn like '536%'",
        "copy (select name from customers where ssn like '536%') to stdout",
        "prepare p as select name from customers where ssn like '536%'",
        "begin; declare c cursor for select name from customers where ssn like '536%'; fetch all from c",
        "select name from customer_contacts where contact like 'ada%'",
    ] {
        let said = pair.psql(sql)?;
        contains(&said, REFUSED).and_then(|()| lacks(&said, "Ada")).map_err(|error| error.context(sql))?;
    }
    assert_eq!(pair.server.shop("select count(*) from orders where status = 'x'")?, "0");
    Ok(())
}

#[test]
fn a_customer_is_looked_up_and_other_columns_are_free() -> Result<()> {
    let pair = Pair::start()?;
    for (sql, shown) in [
        ("select name from customers where email = 'ada.lovelace@example.com'", "Ada Lovelace"),
        ("select name from customers where lower(email) in ('x', 'ada.lovelace@example.com')", "Ada Lovelace"),
        ("select name from customers where ssn is not null and id = 1", "Ada Lovelace"),
        ("select count(ssn) from customers", "5"),
        ("select name from customer_contacts where contact = 'ada.lovelace@example.com'", "Ada Lovelace"),
        ("select city, count(*) from customers group by city having count(*) > 1", "London|2"),
        ("select distinct name from customers where city like 'Lon%' order by name desc", "Alan Turing"),
        ("select c.name from customers c join orders o on o.customer_id = c.id where o.amount < 1", "Grace"),
        ("insert into imports values (9, 'x') on conflict do nothing returning id", "9"),
    ] {
        contains(&pair.psql(sql)?, shown).map_err(|error| error.context(sql))?;
    }
    Ok(())
}

#[test]
fn an_expression_chooses_neither_what_a_mask_leaves_nor_whether_there_is_a_value() -> Result<()> {
    let pair = Pair::start()?;
    for expression in
        ["reverse(ssn)", "left(ssn, 4)", "'xxxxxxxxxx' || left(ssn, 3)", "ssn::char(4)", "replace(ssn, '5', '')"]
    {
        let said = pair.psql(&format!("select {expression} from customers where id = 1"))?;
        for piece in ["536", "635", "9934"] {
            lacks(&said, piece).map_err(|error| error.context(expression.to_owned()))?;
        }
    }
    // The right guess and the wrong one look the same.
    for guess in ["nullif(ssn, '536-90-4399')", "substring(ssn from '^536.*')", "(select ssn where ssn = 'x')"] {
        let [one, other] = [1, 2].map(|id| pair.psql(&format!("select {guess} from customers where id = {id}")));
        let (one, other) = (one?, other?);
        let same = one == other || (one.contains(REFUSED) && other.contains(REFUSED));
        ensure!(same, "{guess} tells: {one} {other}");
    }
    Ok(())
}
