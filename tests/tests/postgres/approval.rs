//! A risky statement waits for a person, and the server is untouched until one agrees.

use std::{
    io::Write,
    process::{Child, Stdio},
};

use anyhow::Context;
use portcullis_tests::wait;
use serde_json::Value;

use super::*;
use crate::reload::policies;

const RISKY: &str = "update customers set city = 'Paris' where id = 1;\nselect 'usable';\n";

/// Starts psql with a statement that waits.
fn begin(pair: &Pair, sql: &str) -> Result<Child> {
    let words = ["psql", "-X", "-q", "-t", "-A", "-v", "VERBOSITY=verbose"];
    let mut command = pair.gate.workload(&pair.server, words);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("psql's input")?.write_all(sql.as_bytes())?;
    Ok(child)
}

fn waiting(pair: &Pair) -> Result<Vec<Value>> {
    Ok(pair.gate.json(["approvals", "list"])?.as_array().cloned().unwrap_or_default())
}

/// Waits until `count` requests wait, and returns the first one's id.
fn until(pair: &Pair, count: usize) -> Result<String> {
    wait::until_some(&format!("{count} requests wait"), || {
        let list = waiting(pair)?;
        let id = list.first().and_then(|first| first.get("id")?.as_str()).unwrap_or_default();
        Ok((list.len() == count).then(|| id.to_owned()))
    })
}

fn city(pair: &Pair) -> Result<String> {
    pair.server.shop("select city from customers where id = 1")
}

#[test]
fn an_approved_statement_proceeds() -> Result<()> {
    let pair = Pair::start()?;
    let child = begin(&pair, RISKY)?;
    let id = until(&pair, 1)?;
    assert_eq!(city(&pair)?, "London");
    contains(&pair.gate.ask(["approvals", "show", &id])?, "update customers")?;
    pair.gate.ask(["approvals", "approve", &id, "--reason", "customer moved"])?;
    contains(&said(&child.wait_with_output()?), "usable")?;
    assert_eq!(city(&pair)?, "Paris");
    assert!(waiting(&pair)?.is_empty());
    Ok(())
}

#[test]
fn a_denied_statement_is_refused_and_the_reason_recorded() -> Result<()> {
    let pair = Pair::start()?;
    let child = begin(&pair, RISKY)?;
    let id = until(&pair, 1)?;
    pair.gate.ask(["approvals", "deny", &id, "--reason", "ask the customer first"])?;
    let shown = said(&child.wait_with_output()?);
    contains(&shown, "42501")?;
    contains(&shown, "usable")?;
    assert_eq!(city(&pair)?, "London");
    pair.gate.ended_sessions(1, &[])?;
    contains(&pair.gate.ask(["sessions", "replay", "latest", "--instant"])?, "ask the customer first")
}

#[test]
fn nobody_answers_in_time_means_no() -> Result<()> {
    let (_kept, directory) = policies()?;
    let baseline = directory.join("baseline.cedar");
    std::fs::write(
        &baseline,
        std::fs::read_to_string(&baseline)?.replace("@approval_wait(\"5m\")", "@approval_wait(\"1s\")"),
    )?;
    let pair = Pair::with(&Setup { policies: Some(directory), ..Setup::default() })?;
    let shown = said(&begin(&pair, RISKY)?.wait_with_output()?);
    contains(&shown, "42501")?;
    contains(&shown, "usable")?;
    assert_eq!(city(&pair)?, "London");
    Ok(())
}

#[test]
fn a_workload_that_leaves_withdraws_its_request() -> Result<()> {
    let pair = Pair::start()?;
    let mut child = begin(&pair, RISKY)?;
    let id = until(&pair, 1)?;
    child.kill()?;
    child.wait()?;
    until(&pair, 0)?;
    assert!(pair.gate.ask(["approvals", "approve", &id]).is_err(), "a withdrawn request was approved");
    assert_eq!(city(&pair)?, "London");
    Ok(())
}

#[test]
fn a_server_that_gives_up_waiting_takes_the_request_with_it() -> Result<()> {
    let pair = Pair::start()?;
    let child = begin(&pair, &format!("begin;\nset idle_in_transaction_session_timeout = '2s';\n{RISKY}"))?;
    let id = until(&pair, 1)?;
    contains(&said(&child.wait_with_output()?), "25P03")?;
    until(&pair, 0)?;
    assert!(pair.gate.ask(["approvals", "approve", &id]).is_err(), "a request without a session was approved");
    assert_eq!(city(&pair)?, "London");
    Ok(())
}

#[test]
fn production_wants_approval_for_any_row() -> Result<()> {
    let pair = Pair::with(&Setup { environment: "prod", ..Setup::default() })?;
    let child = begin(&pair, "update orders set status = 'shipped' where id = 2;\n")?;
    let id = until(&pair, 1)?;
    pair.gate.ask(["approvals", "approve", &id])?;
    child.wait_with_output()?;
    assert_eq!(pair.server.shop("select status from orders where id = 2")?, "shipped");
    Ok(())
}

#[test]
fn one_grant_serves_one_statement() -> Result<()> {
    let pair = Pair::start()?;
    let child = begin(&pair, &format!("{RISKY}update customers set city = 'Rome' where id = 1;\n"))?;
    let first = until(&pair, 1)?;
    pair.gate.ask(["approvals", "approve", &first])?;
    let mut second = until(&pair, 1)?;
    while second == first {
        second = until(&pair, 1)?;
    }
    assert_eq!(city(&pair)?, "Paris");
    pair.gate.ask(["approvals", "deny", &second])?;
    child.wait_with_output()?;
    assert_eq!(city(&pair)?, "Paris");
    Ok(())
}
