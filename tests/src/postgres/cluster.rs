//! Clusters: made once by `initdb` with the shop in them, then copied for every test.

use std::{
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

use super::{
    Tls,
    release::{Account, Installation},
    succeeded,
};
use crate::{cache, certificates::Certificates, place};

const SHOP: &str = include_str!("../../rigs/shop.sql");

/// Durability is given up, because a test's data dies with the test anyway.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1,::1'
max_connections = 300
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 128MB
ssl = on
ssl_ca_file = 'ca.pem'
ssl_cert_file = 'server.pem'
ssl_key_file = 'server.key'
log_connections = on
log_disconnections = on
log_statement = 'all'
log_line_prefix = '%m [%p] %u@%d %r '
";

/// `app` and the roles that log in by other means. The verifier's kind is fixed when the password is set.
const ROLES: &str = "
create role app login password 'PASSWORD';
create role app_clear login password 'PASSWORD' in role app;
create role app_cert login in role app;
set password_encryption = 'md5';
create role app_md5 login password 'PASSWORD' in role app;
create database shop;
";

/// Puts a fresh cluster at `data`, owned by the database's account.
pub(super) fn copy(installation: &Installation, data: &Path) -> Result<()> {
    let made = made(installation)?;
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).args([&made, data]).output()?;
    succeeded("copying a cluster", copied)?;
    Ok(())
}

/// Writes who may come in how.
pub(super) fn admit(data: &Path, tls: Tls) -> Result<()> {
    let host = match tls {
        Tls::Required => "hostssl",
        Tls::Offered => "host",
    };
    let rules = format!(
        "local all postgres trust\n\
         local all app scram-sha-256\n\
         {host} all app_md5 all md5\n\
         {host} all app_clear all password\n\
         hostssl all app_cert all cert\n\
         {host} all app all scram-sha-256\n"
    );
    std::fs::write(data.join("pg_hba.conf"), rules).context("writing pg_hba.conf")
}

/// The cached cluster for this release and these rigs, made if need be. Two processes do not make it twice.
fn made(installation: &Installation) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (SHOP, SETTINGS, ROLES, super::PASSWORD).hash(&mut hasher);
    let place = cache::clusters().join(format!("{}-{:016x}", installation.key, hasher.finish()));
    std::fs::create_dir_all(cache::clusters())?;
    let lock = File::create(place.with_extension("lock"))?;
    let _held = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    if !place.exists() {
        make(installation, &place)?;
    }
    Ok(place)
}

fn make(installation: &Installation, place: &Path) -> Result<()> {
    // The account may not be able to enter the cache, so the cluster is made elsewhere.
    let workshop = place::temporary()?;
    let account = Account::database();
    if let Account::Other { uid, gid } = account {
        chown(workshop.path(), Some(uid), Some(gid))?;
    }
    let data = workshop.path().join("data");
    let run = |program: &str, arguments: &[&str], input: &str| -> Result<()> {
        let script = workshop.path().join("input");
        std::fs::write(&script, input)?;
        let mut command = Command::new(installation.bin.join(program));
        account.apply(command.current_dir("/").args(arguments).arg("-D").arg(&data).stdin(File::open(script)?));
        succeeded(program, command.output()?).map(drop)
    };
    run("initdb", &["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"], "")?;

    std::fs::write(data.join("postgresql.auto.conf"), SETTINGS)?;
    Certificates::make(&data)?;
    if let Account::Other { uid, gid } = account {
        for name in ["server.key", "server.pem", "ca.pem", "postgresql.auto.conf"] {
            chown(data.join(name), Some(uid), Some(gid))?;
        }
    }
    // In single-user mode a statement ends with a semicolon and an empty line.
    let single = |database: &str, sql: &str| -> Result<()> {
        let statements = sql.replace("PASSWORD", super::PASSWORD).replace(";\n", ";\n\n");
        let arguments = ["--single", "-j", "-c", "exit_on_error=true", "-c", "ssl=off"];
        let mut command = Command::new(installation.bin.join("postgres"));
        let script = workshop.path().join("input");
        std::fs::write(&script, statements)?;
        command.current_dir("/").args(arguments).arg("-D").arg(&data).arg(database).stdin(File::open(script)?);
        succeeded("postgres --single", account.apply(&mut command).output()?).map(drop)
    };
    single("postgres", ROLES)?;
    single(super::DATABASE, SHOP)?;

    let copied = Command::new("cp").arg("-a").arg(&data).arg(place.with_extension("partial")).output()?;
    succeeded("keeping a cluster", copied)?;
    std::fs::rename(place.with_extension("partial"), place).context("keeping a cluster")
}
