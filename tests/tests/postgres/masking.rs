//! Classified values never reach the workload, whichever way it asks.

use super::*;

/// The classified values of the shop's first customer.
const REAL: [&str; 3] = ["ada.lovelace@example.com", "536-90-4399", "4111111111111111"];

fn shows_nothing_real(text: &str) -> Result<()> {
    REAL.iter().try_for_each(|value| lacks(text, value))
}

#[test]
fn an_allowed_read_comes_back_masked() -> Result<()> {
    let pair = Pair::start()?;
    let shown = pair.psql("select name, email, ssn, card from customers order by id")?;
    shows_nothing_real(&shown)?;
    contains(&shown, "Ada Lovelace")?;
    contains(&shown, "4399")?;
    contains(&shown, "1111")
}

#[test]
fn no_expression_view_or_alias_unmasks() -> Result<()> {
    let pair = Pair::start()?;
    for sql in [
        "select upper(email), lower(email) from customers where id = 1",
        "select c from customers c where id = 1",
        "select row_to_json(c) from customers c where id = 1",
        "select contact from customer_contacts",
        "select x.e from (select email as e from customers) x",
        "with t as (select card as e from customers) select e || '' from t",
        "select string_agg(ssn, ',') from customers",
        "select email from customers union all select name from customers",
        "copy (select email, ssn, card from customers) to stdout",
        "prepare p as select email, ssn, card from customers; execute p",
        "begin; declare c cursor for select email, ssn, card from customers; fetch all from c; commit",
        "select reverse(reverse(ssn)) from customers",
        "table customers",
    ] {
        let shown = pair.psql(sql)?;
        shows_nothing_real(&shown.to_lowercase()).map_err(|error| error.context(sql))?;
    }
    Ok(())
}

#[test]
fn errors_do_not_carry_classified_values() -> Result<()> {
    let pair = Pair::start()?;
    for sql in [
        "select email::int from customers",
        "select ('x' || ssn)::date from customers",
        "insert into imports select id, null from customers where card like '4111%'",
        "select 1 / (case when email like 'ada%' then 0 else 1 end) from customers",
    ] {
        shows_nothing_real(&pair.psql(sql)?).map_err(|error| error.context(sql))?;
    }
    Ok(())
}

#[test]
fn detectors_find_what_nobody_classified() -> Result<()> {
    let pair = Pair::start()?;
    let shown = pair.psql("select notes from customers where id in (3, 4)")?;
    lacks(&shown, "4222222222222")?;
    contains(&shown, "call back")
}

#[test]
fn what_needs_no_mask_is_untouched() -> Result<()> {
    let pair = Pair::start()?;
    let shown = pair.psql("select item, amount, status from orders order by id limit 2")?;
    assert_eq!(shown.trim_end(), "analytical engine|1500.00|shipped\nnanosecond of wire|0.50|new");
    Ok(())
}

#[test]
fn masked_values_are_not_stored_unmasked() -> Result<()> {
    let pair = Pair::start()?;
    pair.psql("insert into imports select id, email from customers")?;
    assert_eq!(pair.server.shop("select count(*) from imports")?, "0");
    Ok(())
}

#[test]
fn no_classified_value_is_in_a_record_or_a_log() -> Result<()> {
    let pair = Pair::start()?;
    pair.psql("select * from customers; select email::int from customers")?;
    pair.gate.ask(["sessions", "verify", "--all"])?;
    for value in REAL {
        assert!(portcullis_tests::gate::files_with(&pair.gate.state(), value)?.is_empty(), "`{value}` is recorded");
    }
    shows_nothing_real(&pair.gate.log())
}
