//! The gate's own look at the catalogue: it waits for nobody's transaction, and without it nothing passes.

use std::{
    io::Write,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::Context;
use portcullis_tests::{
    postgres::{Release, Tls},
    wait,
};

use super::{reload::Live, *};

/// A transaction of an operator's that stays open until it is dropped.
struct Held(Child);

impl Held {
    fn begin(pair: &Pair, sql: &str) -> Result<Self> {
        Self::run(pair, &format!("begin; {sql};"))
    }

    fn run(pair: &Pair, script: &str) -> Result<Self> {
        let socket = pair.server.socket();
        let mut psql = Command::new("psql");
        psql.args(["-X", "-q", "-U", "postgres", "-d", "shop", "-p", &pair.server.port().to_string(), "-h"]);
        psql.arg(socket.parent().context("no directory")?).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = psql.spawn().context("starting psql")?;
        let input = child.stdin.as_mut().context("psql's input")?;
        writeln!(input, "{script}")?;
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

/// Names what no catalogue has, so that it is read again.
const UNHEARD_OF: &str = "select 1 from nowhere_at_all";

/// What a denial says when the catalogue could not be read.
const UNREAD: &str = "the gate could not read the catalogue";

/// A session that cannot have the catalogue read is denied, and goes on once it can.
fn denied_until(live: &mut Live, why: &str, mend: impl FnOnce() -> Result<()>) -> Result<()> {
    let said = live.ask(UNHEARD_OF)?;
    for part in ["42501", UNREAD, why] {
        contains(&said, part)?;
    }
    assert_eq!(live.ask("select item from orders where id = 3")?, "bombe\n", "what is known needs no catalogue");
    mend()?;
    wait::until("the catalogue can be read again", || Ok(!live.ask(UNHEARD_OF)?.contains(UNREAD)))?;
    assert_eq!(live.ask("select count(*) from payments")?, "2\n");
    Ok(())
}

#[test]
fn a_role_without_connections_left_is_told_so() -> Result<()> {
    let pair = Pair::start()?;
    let mut live = Live::start(&pair)?;
    assert_eq!(live.ask("select count(*) from payments")?, "2\n");
    pair.server.shop("alter role app connection limit 1")?;
    let said = pair.psql("select item from orders")?;
    contains(&said, "FATAL").and_then(|()| lacks(&said, "bombe"))?;
    denied_until(&mut live, "too many connections", || {
        pair.server.shop("alter role app connection limit -1").map(drop)
    })?;
    contains(&pair.psql("select item from orders")?, "bombe")
}

#[test]
fn a_login_whose_catalogue_cannot_be_read_ends_with_the_reason() -> Result<()> {
    let pair = Pair::start()?;
    // One for the session itself, and none for the gate's own.
    pair.server.shop("alter role app connection limit 1")?;
    let said = pair.psql("select item from orders")?;
    for part in ["FATAL", "could not read the database's catalogue", "too many connections for role"] {
        contains(&said, part)?;
    }
    lacks(&said, "bombe")?;
    pair.server.shop("alter role app connection limit -1")?;
    contains(&pair.psql("select item from orders")?, "bombe")
}

/// Without a view: `pg_rewrite` has the queries of all of them.
const EXCLUSIVE: &str = "select count(*) from pg_lock_status() l where l.mode = 'AccessExclusiveLock' and l.granted \
    and relation = 'pg_catalog.pg_rewrite'::regclass";

fn locked(pair: &Pair, then: &str) -> Result<Held> {
    let held = Held::begin(pair, &format!("lock table pg_catalog.pg_rewrite in access exclusive mode; {then}"))?;
    wait::until("the catalogue is locked", || Ok(pair.server.shop(EXCLUSIVE)? == "1"))?;
    Ok(held)
}

#[test]
fn a_locked_catalogue_is_not_waited_for() -> Result<()> {
    let pair = Pair::start()?;
    let mut live = Live::start(&pair)?;
    assert_eq!(live.ask("select item from orders where id = 3")?, "bombe\n");
    assert_eq!(live.ask("select count(*) from payments")?, "2\n");
    let held = locked(&pair, "")?;
    denied_until(&mut live, "lock timeout", || {
        drop(held);
        Ok(())
    })
}

#[test]
fn a_server_that_ends_the_survey_in_its_middle_is_told() -> Result<()> {
    let pair = Pair::start()?;
    let mut live = Live::start(&pair)?;
    assert_eq!(live.ask("select item from orders where id = 3")?, "bombe\n");
    assert_eq!(live.ask("select count(*) from payments")?, "2\n");
    let held = locked(&pair, END_SURVEYS)?;
    denied_until(&mut live, "failed to read the catalogue", || {
        drop(held);
        Ok(())
    })
}

/// Ends every survey that waits, for some seconds.
const END_SURVEYS: &str = "do $$ begin for i in 1..200 loop \
    perform pg_terminate_backend(pid) from pg_stat_get_activity(null) where application_name like 'portcullis survey%'; \
    perform pg_sleep(0.02); perform pg_stat_clear_snapshot(); end loop; end $$";

/// Tables of a large application.
const TABLES: u32 = 5_000;
/// As many columns as the server lets a table have.
const COLUMNS_MAX: u32 = 1_600;
/// Most memory that the daemon may have held at any time, in kB.
const MEMORY_MAX: u64 = 512 << 10;

#[test]
fn a_database_of_many_tables_and_columns_is_surveyed_in_bounded_memory() -> Result<()> {
    let server = Postgres::with(Release::Debian, Tls::Required, &["fsync=off", "max_locks_per_transaction=1024"])?;
    server.shop(&format!(
        "do $$ begin for i in 1..{TABLES} loop execute format('create table many_%s (id int, label text)', i); end loop; \
         execute 'create table wide (' || (select string_agg('c' || n || ' int', ', ') from generate_series(1, {COLUMNS_MAX}) n) || ')'; \
         end $$; grant select on all tables in schema public to app; insert into wide (c1600) values (7)"
    ))?;
    let gate = Gate::with(&server, &Setup::default())?;
    let pair = Pair { gate, server };
    let said =
        pair.psql(&format!("select count(*) from many_{TABLES}; select c{COLUMNS_MAX} from wide; select * from wide"))?;
    contains(&said, "0\n7\n")?;
    lacks(&said, "denied")?;
    let pid = pair.gate.pid().context("the daemon's process")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    ensure!(peak.is_some_and(|peak| peak < MEMORY_MAX), "the daemon held {peak:?} kB");
    Ok(())
}
