//! PostgreSQL through the gate, end to end: a real server, a real daemon, workloads captured by the kernel.

#[path = "postgres/ahead.rs"]
mod ahead;
#[path = "postgres/approval.rs"]
mod approval;
#[path = "postgres/channels.rs"]
mod channels;
#[path = "postgres/classes.rs"]
mod classes;
#[path = "postgres/corpus.rs"]
mod corpus;
#[path = "postgres/denial.rs"]
mod denial;
#[path = "postgres/doors.rs"]
mod doors;
#[path = "postgres/honest.rs"]
mod honest;
#[path = "postgres/hostile.rs"]
mod hostile;
#[path = "postgres/inference.rs"]
mod inference;
#[path = "postgres/limits.rs"]
mod limits;
#[path = "postgres/login.rs"]
mod login;
#[path = "postgres/masking.rs"]
mod masking;
#[path = "postgres/persisted.rs"]
mod persisted;
#[path = "postgres/reload.rs"]
mod reload;
#[path = "postgres/session.rs"]
mod session;
#[path = "postgres/survey.rs"]
mod survey;
#[path = "postgres/unix.rs"]
mod unix;
#[path = "postgres/wire.rs"]
mod wire;

use std::process::Output;

use anyhow::{Result, ensure};
use portcullis_tests::{
    gate::{Gate, Setup},
    postgres::Postgres,
};

/// A server and the gate before it. The gate is dropped first.
struct Pair {
    gate: Gate,
    server: Postgres,
}

impl Pair {
    fn start() -> Result<Self> {
        Self::with(&Setup::default())
    }

    fn with(setup: &Setup) -> Result<Self> {
        let server = Postgres::start()?;
        let gate = Gate::with(&server, setup)?;
        Ok(Self { gate, server })
    }

    /// What psql prints as a workload, rows and errors together.
    fn psql(&self, sql: &str) -> Result<String> {
        Ok(said(&self.gate.psql(&self.server, sql)?))
    }
}

/// Everything that a program printed.
fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// Fails with both texts when `text` lacks `part`.
fn contains(text: &str, part: &str) -> Result<()> {
    ensure!(text.contains(part), "`{part}` is not in:\n{text}");
    Ok(())
}

/// Fails with the text when it has what it must not have.
fn lacks(text: &str, part: &str) -> Result<()> {
    ensure!(!text.contains(part), "`{part}` is in:\n{text}");
    Ok(())
}
