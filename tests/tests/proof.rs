//! Continuous proof: what is captured and does not hold is closed, says so everywhere, and opens again by itself.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::{
    gate::{Gate, Setup},
    postgres::Postgres,
    wait,
};
use serde_json::Value;

/// Where this daemon's links on the tree of `portcullis run` are pinned.
fn links(gate: &Gate) -> Result<PathBuf> {
    let instance = status(gate)?.get("instance").and_then(Value::as_str).context("an instance")?.replace('.', "+");
    Ok(Path::new("/sys/fs/bpf/portcullis").join(instance).join("links/workloads"))
}

/// What `status` says; it exits with 1 while something is closed.
fn status(gate: &Gate) -> Result<Value> {
    let output = gate.command(["status", "--json"]).output()?;
    serde_json::from_slice(&output.stdout).context("no status")
}

/// Why the tree of this name is closed.
fn closed(gate: &Gate, tree: &str) -> Result<Option<String>> {
    let status = status(gate)?;
    let trees = status.get("trees").and_then(Value::as_array).context("trees")?;
    let found =
        trees.iter().find(|known| known.get("name").and_then(Value::as_str) == Some(tree)).context("the tree")?;
    Ok(found.get("closed").and_then(Value::as_str).map(str::to_owned))
}

/// Takes a program's pin away and puts a directory there, so that it cannot be attached again.
fn break_capture(link: &Path) -> Result<()> {
    fs::remove_file(link)?;
    fs::create_dir(link)?;
    Ok(())
}

/// A psql that stays.
fn held(gate: &Gate, server: &Postgres) -> Result<Child> {
    let words = ["sh", "-c", "exec psql -X -q -t -A 2>&1"];
    let mut child = gate.workload(server, words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let input = child.stdin.as_mut().context("psql's input")?;
    writeln!(input, "select 'alive';")?;
    let mut alive = [0; 6];
    child.stdout.as_mut().context("psql's output")?.read_exact(&mut alive)?;
    ensure!(&alive == b"alive\n", "{alive:?}");
    Ok(child)
}

#[test]
fn a_tree_whose_capture_does_not_hold_is_closed_and_opens_again() -> Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::with(&server, &Setup::default())?;
    ensure!(closed(&gate, "run")?.is_none(), "closed at once");
    let mut session = held(&gate, &server)?;
    // Enrolled while all is well, it connects only later.
    let words = ["sh", "-c", "read go; exec psql -X -q -t -A -c 'select 1' 2>&1"];
    let mut late = gate.workload(&server, words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    wait::until("two workloads", || Ok(status(&gate)?["workloads"].as_array().is_some_and(|all| all.len() == 2)))?;

    let link = links(&gate)?.join("sendmsg4");
    break_capture(&link)?;
    wait::until("closed", || Ok(closed(&gate, "run")?.is_some_and(|reason| reason.contains("`sendmsg4`"))))?;
    ensure!(!gate.command(["status"]).output()?.status.success(), "status says that all is well");

    let metrics = gate.ask(["metrics"])?;
    ensure!(metrics.contains("portcullis_closed{tree=\"run\"} 1"), "{metrics}");

    writeln!(session.stdin.as_mut().context("psql's input")?, "select 'again';")?;
    let mut said = String::new();
    session.stdout.take().context("psql's output")?.read_to_string(&mut said)?;
    ensure!(said.contains("the gate is closed for this workload"), "{said}");
    ensure!(!said.contains("again\n"), "a statement passed: {said}");
    session.wait()?;

    writeln!(late.stdin.as_mut().context("its input")?, "go")?;
    let said = String::from_utf8(late.wait_with_output()?.stdout)?;
    ensure!(said.contains("the gate is closed for this workload"), "{said}");
    ensure!(!said.contains("sendmsg4"), "a workload learns where the hole is: {said}");
    let fresh = gate.psql(&server, "select 1")?;
    ensure!(!fresh.status.success(), "a new workload was let in");

    fs::remove_dir(&link)?;
    wait::until("open", || Ok(closed(&gate, "run")?.is_none()))?;
    ensure!(link.exists(), "the program is not pinned again");
    ensure!(gate.psql(&server, "select 'open'")?.stdout == b"open\n", "it is open, and nothing passes");

    let metrics = gate.ask(["metrics"])?;
    ensure!(metrics.contains("portcullis_closed{tree=\"run\"} 0"), "{metrics}");
    ensure!(metrics.contains("portcullis_canaries_held_total{tree=\"run\"}"), "{metrics}");
    ensure!(metrics.trim_end().ends_with("# EOF"), "{metrics}");

    let told = gate.ask(["sessions", "show", "host"])?;
    for event in ["started", "enrolled", "closed", "reattach failed", "reopened", "sendmsg4"] {
        ensure!(told.contains(event), "`{event}` is not in the host's record:\n{told}");
    }
    gate.ask(["sessions", "verify", "--all"])?;
    gate.leave()
}

#[test]
fn a_floor_whose_pin_is_removed_stays_and_is_pinned_again() -> Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::with(&server, &Setup::default())?;
    let link = links(&gate)?.join("egress");
    fs::remove_file(&link)?;
    wait::until("pinned again", || Ok(link.exists()))?;
    wait::until("reopened", || Ok(gate.ask(["sessions", "show", "host"])?.contains("reopened")))?;
    let told = gate.ask(["sessions", "show", "host"])?;
    ensure!(told.contains("`egress`") && told.contains("its pin is gone"), "{told}");
    gate.leave()
}
