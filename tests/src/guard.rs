//! The real daemon without any target, and one captured cgroup beside what `portcullis run` makes.

use std::{
    collections::BTreeMap,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::service::{Service, Signal};

/// What the kernel has refused so far, by reason.
pub type Refusals = BTreeMap<String, u64>;

/// A daemon and its cgroups. Dropping it takes both away.
pub struct Guard {
    program: PathBuf,
    directory: PathBuf,
    service: Option<Service>,
    /// The cgroup that the configuration captures, one that it does not, and what holds both.
    pub captured: PathBuf,
    pub free: PathBuf,
    around: PathBuf,
    pub port: u16,
    instance: String,
}

impl Guard {
    /// Starts the daemon with its files in `directory`, and waits until it is ready.
    ///
    /// `name` is that of the cgroup around both; `port` is where the daemon listens, `resolver` whom it asks for names.
    pub fn start(program: &Path, directory: &Path, name: &str, port: u16, resolver: Ipv4Addr) -> Result<Self> {
        Self::start_without(&[], program, directory, name, port, resolver)
    }

    /// The same without layers that the kernel lacks.
    pub fn start_without(
        layers: &[String],
        program: &Path,
        directory: &Path,
        name: &str,
        port: u16,
        resolver: Ipv4Addr,
    ) -> Result<Self> {
        let around = hierarchy()?.join(name);
        let (captured, free) = (around.join("captured"), around.join("free"));
        for cgroup in [&captured, &free] {
            fs::create_dir_all(cgroup).with_context(|| format!("the cgroup {}", cgroup.display()))?;
        }
        let mut guard = Self {
            program: program.into(),
            directory: directory.into(),
            service: None,
            captured,
            free,
            around,
            port,
            instance: String::new(),
        };
        guard.configure(name, resolver, layers)?;
        guard.restart()?;
        let status = guard.status()?;
        guard.instance = status.get("instance").and_then(Value::as_str).context("no instance in the status")?.into();
        Ok(guard)
    }

    /// Kills the daemon where it runs, and starts it anew: it puts back what is missing of the guard.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        let mut command = self.command(&["up", "--config"]);
        command.arg(self.directory.join("portcullis.toml"));
        let log = self.directory.join("portcullis.log");
        let mut service = Service::start("portcullis", &mut command, &log, Signal::SIGTERM)?;
        service.wait_until(|| {
            let status = self.command(&["status"]).output();
            status.is_ok_and(|output| matches!(output.status.code(), Some(0 | 1)))
        })?;
        self.service = Some(service);
        Ok(())
    }

    /// A `portcullis` command that finds this daemon.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("PORTCULLIS_CONTROL", self.directory.join("control.sock")).current_dir("/");
        command
    }

    /// The counters so far, and when the daemon's own canary last raised them.
    pub fn refusals(&self) -> Result<(Refusals, Option<u64>)> {
        let status = self.status()?;
        let listed = status.get("refusals").and_then(Value::as_object).context("no refusals in the status")?;
        let counts = listed.iter().filter_map(|(name, count)| Some((name.clone(), count.as_u64()?))).collect();
        Ok((counts, status.get("canary_unix").and_then(Value::as_u64)))
    }

    /// Where the links of the captured cgroup are pinned.
    pub fn links(&self) -> Result<PathBuf> {
        self.pinned("links", "existing-")
    }

    /// Where the maps are pinned.
    pub fn maps(&self) -> Result<PathBuf> {
        self.pinned("", "maps-")
    }

    fn pinned(&self, below: &str, begins: &str) -> Result<PathBuf> {
        let pins = Path::new("/sys/fs/bpf/portcullis").join(self.instance.replace('.', "+")).join(below);
        let found = fs::read_dir(&pins).with_context(|| format!("{}", pins.display()))?;
        let named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begins));
        let mut found = found.filter_map(|entry| Some(entry.ok()?.path()));
        found.find(named).with_context(|| format!("nothing in {} begins with {begins}", pins.display()))
    }

    /// Hands the daemon's process out, to be killed when it is time: [`Guard::restart`] starts the next.
    pub fn leave(&mut self) -> Option<Service> {
        self.service.take()
    }

    /// Kills the daemon as a crash would; the guard stays.
    pub fn kill(&mut self) -> Result<()> {
        self.service.take().map_or(Ok(()), |mut service| service.kill())
    }

    fn status(&self) -> Result<Value> {
        let output = self.command(&["status", "--json"]).output()?;
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("portcullis status: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn configure(&self, name: &str, resolver: Ipv4Addr, allow_missing: &[String]) -> Result<()> {
        let (state, control) = (self.directory.join("state"), self.directory.join("control.sock"));
        let text = format!(
            r#"state_dir = {state:?}
control = {control:?}

[listen]
port = {port}

[capture]
resolvers = ["{resolver}"]
allow_missing = {allow_missing:?}

[dns]
allow = ["known.example"]

[[workload]]
name = "captured"
cgroup = "/{name}/captured"
"#,
            port = self.port,
        );
        fs::write(self.directory.join("portcullis.toml"), text).context("writing the configuration")
    }

    fn take_away(&mut self) -> Result<()> {
        if let Some(mut service) = self.service.take() {
            service.stop()?;
        }
        let configuration = self.directory.join("portcullis.toml");
        let output = self.command(&["down", "--config"]).arg(configuration).output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for cgroup in [&self.captured, &self.free, &self.around] {
            fs::remove_dir(cgroup).with_context(|| format!("removing {}", cgroup.display()))?;
        }
        Ok(())
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.take_away() {
            eprintln!("a part of the guard is left: {error:#}");
        }
    }
}

/// The cgroup v2 mount.
fn hierarchy() -> Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let found = mounts.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        kind.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4))?.map(PathBuf::from)
    });
    found.context("no cgroup v2 hierarchy is mounted")
}
