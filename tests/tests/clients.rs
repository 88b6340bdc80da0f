//! The client matrix: programs that agents use, unmodified, directly and through the gate.

use std::process::Command;

use portcullis_tests::{
    client::{Client, EXPECTED, Steps},
    postgres::{self, Postgres, Release, Tls},
};

/// Directly against PostgreSQL, so that a failure through the gate is the gate's.
fn directly(client: Client) {
    let server = Postgres::with(Release::Debian, Tls::Offered, &[]).unwrap();
    let words = client.words().unwrap();
    let mut command = Command::new(&words[0]);
    postgres::environment(&mut command, server.port()).args(&words[1..]).env("PGPASSWORD", postgres::PASSWORD);
    client.environment(&mut command).unwrap();
    let steps = Steps::of(&command.output().unwrap()).unwrap();
    assert_eq!(steps.lines, EXPECTED);
    assert_eq!(steps.email, "ada.lovelace@example.com");
}

macro_rules! matrix {
    ($($name:ident: $client:expr,)*) => {
        mod direct {
            use super::*;
            $(#[test] fn $name() { directly($client); })*
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
