//! Workloads in network namespaces of their own: jails, containers, pods. Each has another loopback than the daemon's.

#[path = "containers/dns.rs"]
mod dns;
#[path = "containers/namespace.rs"]
mod namespace;
#[path = "containers/resolver.rs"]
mod resolver;
#[path = "containers/tree.rs"]
mod tree;

use std::{
    process::{Command, Output},
    thread,
    time::Duration,
};

use anyhow::{Result, bail, ensure};
use portcullis_tests::{gate::Gate, postgres::Postgres};
use serde_json::Value;

/// How often something that must come about is looked for.
const LOOKS_MAX: u32 = 200;
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// A server and the gate before it. The gate is dropped first.
struct Pair {
    gate: Gate,
    server: Postgres,
}

impl Pair {
    fn start() -> Result<Self> {
        let server = Postgres::start()?;
        Ok(Self { gate: Gate::before(&server)?, server })
    }
}

/// Everything that a program printed.
fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&both).into_owned()
}

/// The same command, run in a network namespace of its own in which `prepare` has been run by a shell.
fn in_new_namespace(prepare: &str, command: &Command) -> Command {
    let mut inside = Command::new("unshare");
    let script = format!("{prepare}; exec \"$@\"");
    inside.args(["--net", "sh", "-c", &script, "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            inside.env(name, value);
        }
    }
    if let Some(directory) = command.get_current_dir() {
        inside.current_dir(directory);
    }
    inside
}

/// Looks until it is there; an error says `what` was missing.
fn wait_for(what: &str, mut there: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..LOOKS_MAX {
        if there()? {
            return Ok(());
        }
        thread::sleep(LOOK_INTERVAL);
    }
    bail!("{what}: not so after {:?}", LOOK_INTERVAL * LOOKS_MAX)
}

/// The principal of the latest session, once it has ended.
fn latest_workload(gate: &Gate) -> Result<String> {
    let sessions = gate.ended_sessions(1, &[])?;
    let workload = sessions.first().and_then(|session| session.get("workload")).and_then(Value::as_str);
    ensure!(workload.is_some(), "no workload in {sessions:?}");
    Ok(workload.unwrap_or_default().to_owned())
}
