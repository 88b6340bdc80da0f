//! PostgreSQL servers with the shop in them.

mod cluster;
mod release;

use std::{
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Output},
};

use anyhow::{Result, bail};
use tempfile::TempDir;

pub use self::release::Release;
use self::release::{Account, Installation};
use crate::{
    certificates::Certificates,
    place, port,
    service::{Service, Signal},
};

/// The database with the shop.
pub const DATABASE: &str = "shop";
/// The password of every role `app*`. A word that occurs nowhere else, so that a search for it finds leaks.
pub const PASSWORD: &str = "hedgehog-marmalade-47";

/// Whether a server insists on TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tls {
    Required,
    Offered,
}

/// A running PostgreSQL server: TLS with a test authority, SCRAM, the shop, roles for each way to log in.
///
/// Roles: `app` (SCRAM), `app_md5`, `app_clear` (cleartext), `app_cert` (client certificate). All have the rights of
/// `app`. The superuser `postgres` is let in on the local socket alone, where `app` is let in too.
pub struct Postgres {
    service: Option<Service>,
    installation: Installation,
    directory: TempDir,
    port: u16,
    settings: Vec<String>,
}

impl Postgres {
    /// Starts the distribution's release, insisting on TLS.
    pub fn start() -> Result<Self> {
        Self::with(Release::Debian, Tls::Required, &[])
    }

    /// Starts a release with further settings, each written `name=value`.
    pub fn with(release: Release, tls: Tls, settings: &[&str]) -> Result<Self> {
        Self::make(release, tls, settings, port::free()?)
    }

    /// Starts a release on the wanted port, or on another one where that is taken.
    pub fn on(wanted: u16, release: Release, tls: Tls) -> Result<Self> {
        Self::make(release, tls, &[], if port::idle(wanted) { wanted } else { port::free()? })
    }

    fn make(release: Release, tls: Tls, settings: &[&str], port: u16) -> Result<Self> {
        let directory = place::temporary()?;
        let installation = Installation::of(release, directory.path())?;
        cluster::copy(&installation, &directory.path().join("data"))?;
        cluster::admit(&directory.path().join("data"), tls)?;
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut server = Self { service: None, installation, directory, port, settings };
        server.resume()?;
        Ok(server)
    }

    /// Starts the server that [`Postgres::stop`] stopped, on the same port.
    pub fn resume(&mut self) -> Result<()> {
        let data = self.data();
        let mut command = self.program("postgres");
        command.arg("-D").arg(&data).arg("-p").arg(self.port.to_string());
        command.arg("-c").arg(format!("unix_socket_directories={}", data.display()));
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        let log = self.directory.path().join("postgres.log");
        let mut service = Service::start("postgres", &mut command, &log, Signal::SIGINT)?;
        service.wait_until(|| self.superuser("postgres", "select 1").is_ok())?;
        self.service = Some(service);
        Ok(())
    }

    pub fn stop(&mut self) -> Result<()> {
        match self.service.take() {
            Some(mut service) => service.stop().map(drop),
            None => Ok(()),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The server's Unix socket; the superuser is let in there without a password.
    pub fn socket(&self) -> PathBuf {
        self.data().join(format!(".s.PGSQL.{}", self.port))
    }

    pub fn certificates(&self) -> Certificates {
        Certificates::of(&self.data())
    }

    /// The server's log; each line carries the client's role, database, address and port.
    pub fn log(&self) -> String {
        self.service.as_ref().map(Service::log).unwrap_or_default()
    }

    /// Runs SQL as the superuser through the server's own socket, past any gate. Unaligned rows without headings.
    pub fn superuser(&self, database: &str, sql: &str) -> Result<String> {
        let data = self.data();
        let output = Command::new("psql")
            .args(["-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-c", sql])
            .arg("-h")
            .arg(&data)
            .arg("-p")
            .arg(self.port.to_string())
            .output()?;
        succeeded("psql", output)
    }

    /// Rows of the shop, as [`Postgres::superuser`] sees them.
    pub fn shop(&self, sql: &str) -> Result<String> {
        self.superuser(DATABASE, sql)
    }

    /// Creates pgbench's tables in the shop; 100,000 accounts for each unit of scale, readable by `app`.
    pub fn pgbench_tables(&self, scale: u32) -> Result<()> {
        let data = self.data();
        let output = Command::new(self.installation.bin.join("pgbench"))
            .args(["-i", "-q", "-U", "postgres", "-s", &scale.to_string()])
            .arg("-h")
            .arg(&data)
            .args(["-p", &self.port.to_string(), DATABASE])
            .output()?;
        succeeded("pgbench", output)?;
        self.shop("grant select, insert, update, delete on all tables in schema public to app").map(drop)
    }

    /// One of the release's programs, to be run as the account that owns the data.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.installation.bin.join(name));
        Account::database().apply(&mut command);
        command.current_dir("/");
        command
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Before the directory goes.
        drop(self.service.take());
    }
}

/// What a command printed, or an error with what it complained of.
pub fn succeeded(name: &str, output: Output) -> Result<String> {
    if !output.status.success() {
        bail!("{name}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// Settings of every client in the environment: libpq's names, which most other clients read too.
pub fn environment(command: &mut Command, port: u16) -> &mut Command {
    command.env("PGHOST", "127.0.0.1").env("PGPORT", port.to_string()).env("PGUSER", "app").env("PGDATABASE", DATABASE)
}

impl Account {
    fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self {
            Self::Own => command,
            Self::Other { uid, gid } => command.uid(*uid).gid(*gid),
        }
    }
}

#[cfg(test)]
mod tests;
