//! Workloads in network namespaces of their own: jails, containers, pods. Each has another loopback than the daemon's.

#[path = "containers/dns.rs"]
mod dns;
#[path = "containers/namespace.rs"]
mod namespace;
#[path = "containers/pod.rs"]
mod pod;
#[path = "containers/podman.rs"]
mod podman;
#[path = "containers/resolver.rs"]
mod resolver;
#[path = "containers/sandbox.rs"]
mod sandbox;
#[path = "containers/tree.rs"]
mod tree;

use std::{process::Output, thread, time::Duration};

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
