//! The client matrix: how each program under `tests/clients` is started.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, bail};

use crate::{binary, cache, place};

/// What every client prints after its `email` line is taken out.
pub const EXPECTED: &str = "\
connect shop
query 1:Ada Lovelace 2:Grace Hopper 3:Alan Turing
prepared Ada Lovelace Grace Hopper
transaction 4 5
copy 3 3
cancel 57014
denial 42501 1
denial-in-transaction 42501 25P02 1";

/// One client that agents use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Client {
    Psql,
    Psycopg,
    Asyncpg,
    NodePostgres,
    TokioPostgres,
    Sqlx,
    Jdbc,
    Pgx,
}

impl Client {
    pub const ALL: [Self; 8] = [
        Self::Psql,
        Self::Psycopg,
        Self::Asyncpg,
        Self::NodePostgres,
        Self::TokioPostgres,
        Self::Sqlx,
        Self::Jdbc,
        Self::Pgx,
    ];

    /// The folder under `tests/clients`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Psql => "psql",
            Self::Psycopg => "psycopg",
            Self::Asyncpg => "asyncpg",
            Self::NodePostgres => "node-postgres",
            Self::TokioPostgres => "tokio-postgres",
            Self::Sqlx => "sqlx",
            Self::Jdbc => "jdbc",
            Self::Pgx => "pgx",
        }
    }

    /// Whether this machine can have the client: pgx wants a newer Go than most distributions have.
    pub fn is_possible(self) -> bool {
        self != Self::Pgx || go().is_some_and(|version| version >= GO_MIN)
    }

    /// Program and arguments, as an agent would type them.
    ///
    /// Everything is copied to `place`, because a workload's user may enter neither the cache nor the repository.
    pub fn words(self, place: &Path) -> Result<Vec<OsString>> {
        self.program("client", place)
    }

    /// The same for another of its programs: one that reads the vault is `vault`, a word for those in Rust and Go.
    pub fn program(self, name: &str, place: &Path) -> Result<Vec<OsString>> {
        let source = |file: &str| stage(&place::repository().join("tests/clients").join(self.name()).join(file), place);
        let words: Vec<PathBuf> = match self {
            Self::Psql => vec!["sh".into(), source(&format!("{name}.sh"))?],
            Self::Psycopg | Self::Asyncpg => {
                vec![stage(&cache::python_environment(), place)?.join("bin/python"), source(&format!("{name}.py"))?]
            }
            Self::NodePostgres => {
                stage(&cache::node_modules(), place)?;
                vec!["node".into(), source(&format!("{name}.js"))?]
            }
            Self::TokioPostgres | Self::Sqlx => {
                vec![stage(&binary::example(&format!("client-{}", self.name()))?, place)?, name.into()]
            }
            Self::Jdbc => vec![
                "java".into(),
                "-cp".into(),
                stage(&cache::maven(JDBC), place)?,
                source(&format!("{}.java", if name == "client" { "Client" } else { "Vault" }))?,
            ],
            Self::Pgx => vec![stage(&cache::pgx_client(), place)?, name.into()],
        };
        Ok(words.into_iter().map(PathBuf::into_os_string).collect())
    }
}

/// The packages of pgx that speak to a server, those first that take the least time.
pub const PGX_SUITE: [&str; 7] = ["pgxpool", "stdlib", "tracelog", "pgtype/zeronull", "pgtype", ".", "pgconn"];

/// The program with a package's tests.
pub fn pgx_program(package: &str) -> String {
    format!("pgx-{}.test", package.replace(['/', '.'], "-"))
}

/// What `clients/pgx/go.mod` asks for.
const GO_MIN: (u32, u32) = (1, 25);

/// The JDBC driver's file on Maven Central.
pub const JDBC: &str = "postgresql-42.7.14.jar";

/// What a client printed: the steps that must be the same everywhere, and the value of `email`.
#[derive(Debug)]
pub struct Steps {
    pub lines: String,
    pub email: String,
}

impl Steps {
    /// Reads a client's output; fails with all that it said when it did not end well.
    pub fn of(output: &Output) -> Result<Self> {
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("{}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        let (email, lines): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("email "));
        let email = email.first().and_then(|line| line.strip_prefix("email ")).context("no `email` line")?;
        Ok(Self { lines: lines.join("\n"), email: email.to_owned() })
    }
}

/// Major and minor version of the Go on this machine.
fn go() -> Option<(u32, u32)> {
    let output = Command::new("go").args(["env", "GOVERSION"]).output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().strip_prefix("go")?.to_owned();
    let mut numbers = version.split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// Copies a file or a folder into `place`, and says where it is then.
pub fn stage(source: &Path, place: &Path) -> Result<PathBuf> {
    if !source.exists() {
        bail!("{} is missing; `cargo xtask test clients` prepares it", source.display());
    }
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(source).arg(place).output()?;
    if !copied.status.success() {
        bail!("cp: {}", String::from_utf8_lossy(&copied.stderr));
    }
    Ok(place.join(source.file_name().context("no file name")?))
}
