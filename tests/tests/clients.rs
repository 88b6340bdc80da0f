//! The client matrix: programs that agents use, unmodified, directly and through the gate.

use std::process::Command;

use anyhow::{Context, Result};
use portcullis_tests::{
    client::{Client, EXPECTED, Steps},
    gate::{Gate, Setup, files_with},
    place,
    postgres::{self, Postgres, Release, Tls},
};

/// The value that the `email` step must not show through the gate.
const EMAIL: &str = "ada.lovelace@example.com";

/// Directly against PostgreSQL, so that a failure through the gate is the gate's.
fn directly(client: Client) -> Result<()> {
    let server = Postgres::with(Release::Debian, Tls::Offered, &[])?;
    let place = place::temporary()?;
    let words = client.words(place.path())?;
    let (program, arguments) = words.split_first().context("no program")?;
    let mut command = Command::new(program);
    postgres::environment(&mut command, server.port()).args(arguments).env("PGPASSWORD", postgres::PASSWORD);
    let steps = Steps::of(&command.output()?)?;
    assert_eq!(steps.lines, EXPECTED);
    assert_eq!(steps.email, EMAIL);
    Ok(())
}

/// Through the gate: the same program, no password, the same steps; only the classified value differs.
fn gated(client: Client) -> Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::with(&server, &Setup::default())?;
    let mut command = gate.workload(&server, client.words(&gate.place())?);
    let steps = Steps::of(&command.output()?).with_context(|| format!("the daemon's log:\n{}", gate.log()))?;
    assert_eq!(steps.lines, EXPECTED);
    assert_ne!(steps.email, EMAIL);
    assert!(!server.log().to_lowercase().contains("drop database"), "a denied statement reached the server");

    gate.ask(["sessions", "verify", "--all"])?;
    assert_eq!(files_with(&gate.state(), EMAIL)?, Vec::<std::path::PathBuf>::new());
    Ok(())
}

/// Says so when a client is left out.
fn possible(client: Client) -> bool {
    if !client.is_possible() {
        eprintln!("{} cannot be had on this machine and is left out", client.name());
    }
    client.is_possible()
}

macro_rules! matrix {
    ($($name:ident: $client:expr,)*) => {
        mod direct {
            use super::*;
            $(#[test] fn $name() -> Result<()> { if possible($client) { directly($client) } else { Ok(()) } })*
        }

        mod through_the_gate {
            use super::*;
            $(#[test] fn $name() -> Result<()> { if possible($client) { gated($client) } else { Ok(()) } })*
        }

        #[test]
        fn the_matrix_leaves_no_client_out() {
            let tested = [$($client),*];
            assert!(Client::ALL.iter().all(|client| tested.contains(client)));
        }
    };
}

matrix! {
    psql: Client::Psql,
    psycopg: Client::Psycopg,
    asyncpg: Client::Asyncpg,
    node_postgres: Client::NodePostgres,
    tokio_postgres: Client::TokioPostgres,
    sqlx: Client::Sqlx,
    jdbc: Client::Jdbc,
    pgx: Client::Pgx,
}
