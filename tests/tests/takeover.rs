//! Takeover: a new daemon in the place of the running one, with nothing refused and nothing direct in between.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::{
    gate::{Gate, Setup, files_with},
    place,
    postgres::Postgres,
    wait,
};
use serde_json::Value;

const WORKLOADS: usize = 2;
/// Takeovers without load.
const IDLE_TAKEOVERS: usize = 10;
/// Takeovers under load.
const LOADED_TAKEOVERS: usize = 4;

/// A workload that connects and asks, again and again, until `stop` exists. It notes each statement that ran, and what
/// was said of each that did not.
fn load(gate: &Gate, server: &Postgres, directory: &Path, number: usize) -> Result<Child> {
    let script = format!(
        "cd {place}; n=0; while [ ! -e stop ]; do n=$((n+1)); \
         if psql -X -q -t -A -c \"select 'marker-{number}-$n-end'\" > said-{number} 2>&1; \
         then echo {number}-$n >> ran; else cat said-{number} >> failed; fi; done",
        place = directory.display()
    );
    let mut command = gate.workload(server, ["sh", "-c", &script]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn wait_for_more(directory: &Path, more: usize) -> Result<()> {
    let begun = lines(&directory.join("ran")).len();
    wait::until("the workloads get further", || Ok(lines(&directory.join("ran")).len() >= begun + more))
        .with_context(|| format!("refused: {:?}", lines(&directory.join("failed"))))
}

/// The workloads that the daemon knows.
fn known(gate: &Gate) -> Result<Value> {
    Ok(gate.json(["status"])?.get("workloads").cloned().unwrap_or_default())
}

#[test]
fn connects_under_a_takeover_are_neither_refused_nor_direct() -> Result<()> {
    let server = Postgres::start()?;
    let mut gate = Gate::with(&server, &Setup::default())?;
    let directory = gate.place();
    place::open(&directory, 0o777)?;
    let workloads: Vec<_> =
        (0..WORKLOADS).map(|number| load(&gate, &server, &directory, number)).collect::<Result<_>>()?;
    for _ in 0..LOADED_TAKEOVERS {
        wait_for_more(&directory, 4)?;
        gate.take_over()?;
    }
    wait_for_more(&directory, 4)?;
    // One that asks for everything and dies before it serves.
    give_up(&gate)?;
    wait_for_more(&directory, 4)?;
    fs::write(directory.join("stop"), "")?;
    for mut workload in workloads {
        workload.wait()?;
    }
    let failed = lines(&directory.join("failed"));
    ensure!(failed.is_empty(), "refused: {failed:?}\n{}", gate.log());

    // The last daemon knows when the workloads of the first have ended.
    wait::until("no workload is left", || Ok(known(&gate)?.as_array().is_none_or(Vec::is_empty)))?;
    gate.stop()?;
    let mut recorded = Vec::new();
    for path in files_with(&gate.state().join("records"), "marker-")? {
        recorded.extend(fs::read(path)?);
    }
    for ran in lines(&directory.join("ran")) {
        let marker = format!("marker-{ran}-end");
        let found = recorded.windows(marker.len()).any(|window| window == marker.as_bytes());
        ensure!(found, "`{marker}` ran past the gate");
    }
    gate.resume()?;
    gate.ask(["sessions", "verify", "--all"])?;
    gate.leave()
}

/// Asks the daemon to hand over, as a new daemon would, and goes away.
fn give_up(gate: &Gate) -> Result<()> {
    let instance =
        gate.json(["status"])?.get("instance").and_then(serde_json::Value::as_str).context("an instance")?.to_owned();
    let said = ask_to_take_over(gate, &instance)?;
    ensure!(said == b"PCHAND01", "no handover: {}", String::from_utf8_lossy(&said));
    Ok(())
}

/// The first bytes that the daemon answers.
fn ask_to_take_over(gate: &Gate, instance: &str) -> Result<Vec<u8>> {
    let mut stream = UnixStream::connect(gate.control())?;
    let command = serde_json::json!({ "command": "take_over", "instance": instance, "port": 0 });
    writeln!(stream, "{command}")?;
    let mut said = vec![0; 8];
    stream.read_exact(&mut said)?;
    Ok(said)
}

#[test]
fn idle_takeovers_repeat_and_keep_who_owns_what() -> Result<()> {
    let server = Postgres::start()?;
    let mut gate = Gate::with(&server, &Setup::default())?;
    let mut workload = gate.workload(&server, ["cat"]).stdin(Stdio::piped()).spawn()?;
    wait::until("the workload is known", || Ok(known(&gate)?.as_array().is_some_and(|known| known.len() == 1)))?;
    let before = known(&gate)?;
    ensure!(before[0]["owner"].is_string(), "{before}");
    for _ in 0..IDLE_TAKEOVERS {
        gate.take_over()?;
        ensure!(known(&gate)? == before, "{} became {}", before, known(&gate)?);
    }
    // Records are written behind what they tell of.
    wait::until("the takeover is recorded", || Ok(gate.ask(["sessions", "show", "host"])?.contains("took over")))?;
    drop(workload.stdin.take());
    workload.wait()?;
    ensure!(gate.psql(&server, "select 'after'")?.stdout == b"after\n", "nothing passes after the takeovers");
    gate.leave()
}

#[test]
fn a_session_that_does_not_end_is_told_why_it_ends() -> Result<()> {
    let server = Postgres::start()?;
    let mut gate = Gate::with(&server, &Setup::default())?;
    let words = ["sh", "-c", "exec psql -X -q -t -A 2>&1"];
    let mut child = gate.workload(&server, words).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("psql's input")?;
    let mut output = child.stdout.take().context("psql's output")?;
    writeln!(input, "select 'alive';")?;
    output.read_exact(&mut [0; 6])?;
    gate.take_over()?;
    writeln!(input, "select 'again';")?;
    drop(input);
    let mut said = String::new();
    output.read_to_string(&mut said)?;
    child.wait()?;
    ensure!(said.contains("the gate is being replaced"), "{said}");
    gate.leave()
}

#[test]
fn a_daemon_that_cannot_serve_takes_nothing_over() -> Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::with(&server, &Setup::default())?;
    let pid = gate.json(["status"])?["pid"].clone();
    let said = ask_to_take_over(&gate, "another")?;
    ensure!(said.starts_with(b"{"), "another instance took over");

    let broken = gate.state().join("broken.toml");
    let policies = gate.state().join("broken-policies");
    fs::create_dir(&policies)?;
    fs::write(policies.join("policy.cedar"), "permit (everything);")?;
    let configuration = fs::read_to_string(gate.configuration())?;
    fs::write(&broken, configuration.replace("[policy]\n", &format!("[policy]\ndirectory = {policies:?}\n")))?;
    let output = takeover(&broken)?;
    ensure!(!output.status.success(), "a broken policy took over");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(said.contains("nothing is taken over"), "{said}");
    ensure!(gate.json(["status"])?["pid"] == pid, "the daemon did not go on");
    ensure!(gate.psql(&server, "select 'still'")?.stdout == b"still\n", "the daemon serves no more");
    gate.leave()
}

#[test]
fn a_takeover_from_nobody_says_so() -> Result<()> {
    let server = Postgres::start()?;
    let mut gate = Gate::with(&server, &Setup::default())?;
    gate.stop()?;
    let output = takeover(&gate.configuration())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && said.contains("to take over from"), "{said}");
    gate.leave()
}

fn takeover(configuration: &Path) -> Result<std::process::Output> {
    let mut command = Command::new(portcullis_tests::binary::portcullis()?);
    Ok(command.args(["up", "--takeover", "--config"]).arg(configuration).output()?)
}
