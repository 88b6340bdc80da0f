//! The gate under test: a real daemon with a configuration, a state and a control socket of its own.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    binary, place, port,
    postgres::{self, Postgres, succeeded},
    service::{Service, Signal},
};

/// Classes of the shop's personal data.
const SHOP_CLASSES: &str = r#""public.customers.email" = "email"
"public.customers.ssn" = "ssn"
"public.customers.card" = "credit_card""#;

/// How often the list of sessions is looked at before it counts as stuck.
const SESSION_LOOKS_MAX: u32 = 400;

/// What a gate is started with, beyond where its server is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The target's label `environment`.
    pub environment: &'static str,
    /// The role that the daemon logs in as, with [`postgres::PASSWORD`].
    pub user: &'static str,
    pub password: &'static str,
    /// Log in by the test authority's client certificate instead of a password.
    pub certificate: bool,
    /// Whether the daemon speaks TLS upstream, and verifies fully.
    pub tls: bool,
    /// A directory of policies; without one, those embedded in the daemon.
    pub policies: Option<PathBuf>,
    /// The target's columns with their data classes, as lines of `[target.classes]`.
    pub classes: &'static str,
    /// Lines for the end of the configuration.
    pub extra: String,
    /// A build other than the tests' own.
    pub binary: Option<PathBuf>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            environment: "staging",
            user: "app",
            password: postgres::PASSWORD,
            certificate: false,
            tls: true,
            policies: None,
            classes: SHOP_CLASSES,
            extra: String::new(),
            binary: None,
        }
    }
}

/// A running daemon.
pub struct Gate {
    service: Option<Service>,
    binary: PathBuf,
    directory: TempDir,
    taken_away: bool,
}

impl Gate {
    /// Starts a daemon on its embedded policies before one PostgreSQL server, and waits until it is ready.
    pub fn before(server: &Postgres) -> Result<Self> {
        Self::with(server, &Setup::default())
    }

    pub fn with(server: &Postgres, setup: &Setup) -> Result<Self> {
        let binary = match &setup.binary {
            Some(binary) => binary.clone(),
            None => binary::portcullis()?,
        };
        let mut gate = Self::made(binary)?;
        let lines = gate.lines(server, setup)?;
        gate.configure(&lines)?;
        gate.resume()?;
        Ok(gate)
    }

    /// Starts a daemon with these lines in its configuration: policy, targets, credentials.
    pub fn on(lines: &str) -> Result<Self> {
        let mut gate = Self::made(binary::portcullis()?)?;
        gate.configure(lines)?;
        gate.resume()?;
        Ok(gate)
    }

    fn made(binary: PathBuf) -> Result<Self> {
        let gate = Self { service: None, binary, directory: place::temporary()?, taken_away: false };
        fs::create_dir(gate.place()).context("making the workloads' directory")?;
        Ok(gate)
    }

    /// Starts the daemon that was stopped or killed, with the same state.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.arg("up").arg("--config").arg(self.configuration());
        let mut service = Service::start("portcullis", &mut command, &self.path("portcullis.log"), Signal::SIGTERM)?;
        // 1 means that it runs and something is wrong, such as a broken policy.
        service.wait_until(|| {
            let status = self.command(["status"]).output();
            status.is_ok_and(|output| matches!(output.status.code(), Some(0 | 1)))
        })?;
        self.service = Some(service);
        Ok(())
    }

    /// Starts another daemon that takes over from the running one, and waits until it is the only one.
    pub fn take_over(&mut self) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.arg("up").arg("--takeover").arg("--config").arg(self.configuration());
        let mut service = Service::start("portcullis", &mut command, &self.path("portcullis.log"), Signal::SIGTERM)?;
        let pid = u64::from(service.pid());
        let serves = |status: Value| status.get("pid").and_then(Value::as_u64) == Some(pid);
        service.wait_until(|| self.json(["status"]).is_ok_and(serves))?;
        if let Some(mut old) = self.service.replace(service) {
            let status = old.ended()?;
            anyhow::ensure!(status.success(), "the old daemon ended with {status}");
        }
        Ok(())
    }

    /// Where the daemon takes commands.
    pub fn control(&self) -> PathBuf {
        self.path("control.sock")
    }

    /// Ends the daemon as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        match self.service.take() {
            Some(mut service) => service.kill(),
            None => Ok(()),
        }
    }

    /// Asks the daemon to end and waits for it.
    pub fn stop(&mut self) -> Result<()> {
        match self.service.take() {
            Some(mut service) => service.stop().map(drop),
            None => Ok(()),
        }
    }

    /// The daemon's process.
    pub fn pid(&self) -> Option<u32> {
        self.service.as_ref().map(Service::pid)
    }

    /// Everything that the daemon has logged, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("portcullis.log")).unwrap_or_default()
    }

    /// Records, index, authority.
    pub fn state(&self) -> PathBuf {
        self.path("state")
    }

    pub fn configuration(&self) -> PathBuf {
        self.path("portcullis.toml")
    }

    /// A `portcullis` command that speaks to this daemon.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).env("PORTCULLIS_CONTROL", self.path("control.sock"));
        command
    }

    /// What such a command prints; an error when it fails.
    pub fn ask<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        succeeded("portcullis", self.command(arguments).output()?)
    }

    /// The same with `--json`, read.
    pub fn json<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> Result<Value> {
        let answer = self.ask(arguments.into_iter().chain(["--json"]))?;
        serde_json::from_str(&answer).with_context(|| format!("no JSON: {answer}"))
    }

    /// The certificate of the daemon's own authority, which signs what workloads see.
    pub fn authority(&self) -> Result<String> {
        let configuration = self.configuration();
        self.ask([OsStr::new("ca"), OsStr::new("show"), OsStr::new("--config"), configuration.as_os_str()])
    }

    /// What `sessions list` says once it lists so many sessions and all of them have ended; the latest first.
    ///
    /// The index follows the record by moments, so the list is asked for until it is complete.
    pub fn ended_sessions(&self, count: usize, filter: &[&str]) -> Result<Vec<Value>> {
        let mut listed = Value::Null;
        for _ in 0..SESSION_LOOKS_MAX {
            listed = self.json(["sessions", "list"].iter().chain(filter).copied())?;
            let sessions = listed.as_array().cloned().unwrap_or_default();
            if sessions.len() >= count
                && sessions.iter().all(|session| session.get("ended").is_some_and(Value::is_string))
            {
                return Ok(sessions);
            }
            thread::sleep(Duration::from_millis(50));
        }
        bail!("not {count} sessions have ended: {listed}")
    }

    /// The one directory that workloads have in common with the tests: they start in it.
    pub fn place(&self) -> PathBuf {
        self.path("place")
    }

    /// A command as a workload of this daemon: `portcullis run --name agent --bind . -- WORDS…`.
    pub fn run<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(["run", "--name", "agent", "--bind", ".", "--"]);
        command.args(words).current_dir(self.place());
        command
    }

    /// The same in libpq's environment.
    pub fn workload<S: AsRef<OsStr>>(&self, server: &Postgres, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.run(words);
        postgres::environment(&mut command, server.port());
        command
    }

    /// `psql -c SQL` as a workload, terse: unaligned rows, errors as SQLSTATE.
    pub fn psql(&self, server: &Postgres, sql: &str) -> Result<Output> {
        let quiet = ["psql", "-X", "-q", "-t", "-A", "-v", "VERBOSITY=verbose"];
        let script = self.path("script.sql");
        fs::write(&script, sql)?;
        let mut command = self.workload(server, quiet);
        command.stdin(fs::File::open(script)?).output().context("psql as a workload")
    }

    /// Ends the daemon and takes its capture away; an error says what is left.
    pub fn leave(mut self) -> Result<()> {
        self.take_away()
    }

    /// The kernel's programs outlive the daemon, as they should; whoever started it takes them away.
    fn take_away(&mut self) -> Result<()> {
        self.stop()?;
        if !self.taken_away {
            let configuration = self.configuration();
            self.ask([OsStr::new("down"), OsStr::new("--config"), configuration.as_os_str()])?;
            self.taken_away = true;
        }
        Ok(())
    }

    /// The lines that put the daemon before a server.
    fn lines(&self, server: &Postgres, setup: &Setup) -> Result<String> {
        let secret = self.path("secret");
        fs::write(&secret, setup.password)?;
        place::open(&secret, 0o600)?;

        let certificates = server.certificates();
        let tls = match setup.tls {
            true => format!("{{ verify = \"full\", ca = {:?} }}", certificates.authority()),
            false => "{ verify = \"off\" }".to_owned(),
        };
        let (certificate, key) = certificates.pair("client");
        let login = match setup.certificate {
            true => format!("certificate = {{ cert = {certificate:?}, key = {key:?} }}"),
            false => format!("source = {{ file = {secret:?} }}"),
        };
        let policies = setup.policies.as_ref().map(|path| format!("directory = {path:?}")).unwrap_or_default();
        let upstream = server.port();
        let Setup { environment, user, classes, extra, .. } = setup;
        Ok(format!(
            r#"[policy]
{policies}

[[target]]
name = "shop"
protocol = "postgres"
address = ["127.0.0.1:{upstream}", "[::1]:{upstream}"]
tls = {tls}
credential = "shop-app"
labels = {{ environment = "{environment}" }}

[target.classes]
{classes}

[[credential]]
name = "shop-app"
user = "{user}"
{login}

[[approvers]]
group = "dba"
members = {{ unix_group = "root" }}

{extra}
"#
        ))
    }

    fn configure(&self, lines: &str) -> Result<()> {
        let (state, control, port) = (self.state(), self.path("control.sock"), port::free()?);
        let text = format!("state_dir = {state:?}\ncontrol = {control:?}\n\n[listen]\nport = {port}\n\n{lines}");
        fs::write(self.configuration(), text).context("writing the configuration")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Err(error) = self.take_away() {
            eprintln!("a gate is left in the kernel: {error:#}");
        }
    }
}

/// Every file under a directory whose bytes contain `word`.
pub fn files_with(directory: &Path, word: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            found.extend(files_with(&path, word)?);
        } else if kind.is_file() && fs::read(&path)?.windows(word.len()).any(|window| window == word.as_bytes()) {
            found.push(path);
        }
    }
    Ok(found)
}
