//! Tools that people and agents use on databases, unmodified, directly and through the gate.

#[path = "tools/application.rs"]
mod application;
#[path = "tools/dump.rs"]
mod dump;
#[path = "tools/pgadmin.rs"]
mod pgadmin;
#[path = "tools/psql.rs"]
mod psql;
#[path = "tools/suite.rs"]
mod suite;
#[path = "tools/wire.rs"]
mod wire;

use std::{
    ffi::OsStr,
    process::{Command, Output},
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::{
    gate::{Gate, Setup},
    place,
    postgres::{self, PASSWORD, Postgres, Release, Tls},
};
use tempfile::TempDir;

/// What an operator adds to the shipped policies so that a tool may do its work.
const EXAMPLES: [&str; 2] = ["agents-migrate-staging.cedar", "agents-dump-and-restore.cedar"];

/// A server whose `app` may make tables, and the gate before it.
struct Rig {
    gate: Gate,
    server: Postgres,
    _policies: TempDir,
}

impl Rig {
    fn start() -> Result<Self> {
        Self::before(server()?)
    }

    fn before(server: Postgres) -> Result<Self> {
        let policies = policies()?;
        let gate = Gate::with(&server, &Setup { policies: Some(policies.path().to_owned()), ..Setup::default() })?;
        Ok(Self { gate, server, _policies: policies })
    }

    /// What a program says as a workload.
    fn governed<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Result<Output> {
        self.gate.workload(&self.server, words).output().context("a workload")
    }
}

/// Some drivers speak TLS only if they are told to.
fn server() -> Result<Postgres> {
    let server = Postgres::with(Release::Debian, Tls::Offered, &[])?;
    server.shop("grant create on schema public to app; grant select on all sequences in schema public to app")?;
    Ok(server)
}

/// The shipped policies with [`EXAMPLES`].
fn policies() -> Result<TempDir> {
    let directory = place::temporary()?;
    let shipped = place::repository().join("policies");
    let files = ["baseline.cedar", "builtins.cedar", "site.cedarschema"].map(str::to_owned);
    for name in files.into_iter().chain(EXAMPLES.map(|name| format!("examples/{name}"))) {
        let from = shipped.join(&name);
        let to = directory.path().join(from.file_name().context("a policy's name")?);
        std::fs::copy(from, to)?;
    }
    Ok(directory)
}

/// A program as whoever is let in by the server itself.
fn direct<S: AsRef<OsStr>>(server: &Postgres, words: impl IntoIterator<Item = S>) -> Result<Command> {
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().context("no program")?);
    postgres::environment(&mut command, server.port()).args(words).env("PGPASSWORD", PASSWORD);
    Ok(command)
}

/// Everything that a program printed, where it ended well.
fn said(output: &Output) -> Result<String> {
    let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
    ensure!(output.status.success(), "{}:\n{text}", output.status);
    Ok(text)
}
