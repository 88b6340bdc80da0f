//! Where things that are costly to fetch or to make are kept between runs, outside the repository.

use std::{env, path::PathBuf};

/// `$XDG_CACHE_HOME/portcullis`, or `~/.cache/portcullis`.
pub fn root() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache"))
        .join("portcullis")
}

/// The virtual environment with psycopg and asyncpg.
pub fn python_environment() -> PathBuf {
    root().join("venv")
}

/// The virtual environment with SQLAlchemy, Alembic and Django.
pub fn tools_environment() -> PathBuf {
    root().join("tools/venv")
}

/// The folder with node-postgres.
pub fn node_modules() -> PathBuf {
    root().join("node/node_modules")
}

/// The folder with Prisma.
pub fn tools_modules() -> PathBuf {
    root().join("tools/node/node_modules")
}

/// The folder with Hibernate.
pub fn tools_jars() -> PathBuf {
    root().join("tools/java")
}

/// The built pgx client.
pub fn pgx_client() -> PathBuf {
    root().join("pgx-client")
}

/// pgx's own tests: `source`, and a program for each package in `bin`.
pub fn pgx_suite() -> PathBuf {
    root().join("pgx-suite")
}

/// The clients of HTTPS: `venv`, `deno` and `go`.
pub fn https_clients() -> PathBuf {
    root().join("https")
}

/// A file from Maven Central, by the last part of its address.
pub fn maven(file: &str) -> PathBuf {
    root().join("maven").join(file)
}

/// Clusters that `initdb` has made, one for each release and set of rigs.
pub fn clusters() -> PathBuf {
    root().join("clusters")
}
