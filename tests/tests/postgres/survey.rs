//! The gate's own look at the catalogue does not wait for others' transactions.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context;

use super::*;

/// A transaction of an operator's that stays open until it is dropped.
struct Held(Child);

impl Held {
    fn begin(pair: &Pair, sql: &str) -> Result<Self> {
        let socket = pair.server.socket();
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-U", "postgres", "-d", "shop", "-p", &pair.server.port().to_string(), "-h"]);
        psql.arg(socket.parent().context("no directory")?).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = psql.spawn().context("starting psql")?;
        let input = child.stdin.as_mut().context("psql's input")?;
        writeln!(input, "begin; {sql};")?;
        input.flush()?;
        Ok(Self(child))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Its input ends, and with it the transaction.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

const LOCKED: &str = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted \
    and relation = 'customer_contacts'::regclass";

#[test]
fn an_altered_view_in_an_open_transaction_holds_no_session_up() -> Result<()> {
    let pair = Pair::start()?;
    pair.server.shop("create view contact_cities as select city, email from customers")?;
    pair.server.shop("grant select on contact_cities to app")?;
    let held = Held::begin(&pair, "alter view customer_contacts rename column contact to address")?;
    for _ in 0..200 {
        if pair.server.shop(LOCKED)? == "1" {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(pair.server.shop(LOCKED)?, "1");

    let shown = pair.psql("select item from orders where id = 3; select email from customers; table contact_cities")?;
    contains(&shown, "bombe")?;
    contains(&shown, "a***@e***.com")?;
    lacks(&shown, "ada.lovelace@example.com")?;
    drop(held);
    contains(&pair.psql("select item from orders where id = 3")?, "bombe")
}
