//! The client matrix: programs that agents use, unmodified, directly and through the gate.

use std::process::Command;

use anyhow::{Context, Result};
use portcullis_tests::{
    client::{Client, EXPECTED, Steps},
    gate::{Gate, Setup, files_with},
    place,
    postgres::{self, Postgres, Release, Tls, succeeded},
    vault,
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

/// What a driver made of one column of the vault in one format.
fn read<'a>(said: &'a str, form: &str, column: &str) -> Option<(&'a str, &'a str)> {
    let prefix = format!("{form}\t{column}\t");
    let rest = said.lines().find_map(|line| line.strip_prefix(prefix.as_str()))?;
    rest.split_once('\t')
}

#[test]
fn masked_values_of_every_type_are_still_values_to_the_drivers() -> Result<()> {
    let (_policies, server, gate) = vault::start()?;
    // psql has no types.
    for client in Client::ALL.into_iter().filter(|client| *client != Client::Psql && possible(*client)) {
        let mut command = gate.workload(&server, client.program("vault", &gate.place())?);
        let said = succeeded(client.name(), command.output()?)?;
        for planted in vault::PLANTED {
            assert!(!said.contains(planted), "{} reads `{planted}`:\n{said}", client.name());
        }
        let forms: &[&str] = match client {
            Client::Asyncpg => &["binary"],
            Client::NodePostgres => &["text"],
            _ => &["text", "binary"],
        };
        for form in forms {
            let value = |column| read(&said, form, column).with_context(|| format!("no {form} {column}:\n{said}"));
            assert!(value("marker")?.1.contains("visible-marker"), "{said}");
            let digits = |column| Ok::<_, anyhow::Error>(value(column)?.1.trim_matches('"').to_owned());
            assert_eq!((digits("n4")?.parse::<i32>()?.to_string().len(), digits("n8")?.len()), (9, 16), "{said}");
            assert!(digits("n2")?.parse::<i16>().is_ok() && matches!(digits("uid")?.len(), 32 | 36), "{said}");
            assert!(matches!(digits("born")?.as_str(), "None" | "null"), "{said}");
            assert!(value("words")?.1.contains("pii_"), "{said}");
        }
    }
    Ok(())
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
