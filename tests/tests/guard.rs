//! Who may talk to the daemon, and what it says when it cannot start.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::{
    binary,
    gate::{Gate, Setup},
    place,
    postgres::Postgres,
    wait,
};
use serde_json::Value;

/// A program that asks for the daemon's status by one connection, and again whenever it is told.
const ASKER: &str = r#"
use IO::Socket::UNIX; $| = 1;
my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $ARGV[0]) or die "no connection: $!";
do { print $socket qq({"command":"live_sessions"}\n); print scalar(<$socket>) // "closed\n" } while (<STDIN>);
"#;

/// The directory of this daemon's workloads.
fn workloads(gate: &Gate) -> Result<PathBuf> {
    let instance = gate.json(["status"])?.get("instance").and_then(Value::as_str).context("an instance")?.to_owned();
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let line = mounts.lines().find(|line| line.contains(" - cgroup2 ")).context("cgroup v2")?;
    Ok(Path::new(line.split(' ').nth(4).context("its mount")?).join("portcullis").join(instance).join("workloads"))
}

#[test]
fn a_process_that_is_enrolled_loses_the_control_that_it_had() -> Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::with(&server, &Setup::default())?;
    let mut command = Command::new("perl");
    command.args(["-e", ASKER]).arg(gate.control()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut input = child.stdin.take().context("input")?;
    let mut output = BufReader::new(child.stdout.take().context("output")?);
    let mut line = String::new();
    output.read_line(&mut line)?;
    ensure!(line.contains("live_sessions"), "root outside is refused: {line}");

    // Root, and no jail around it: only the cgroup says that it is governed.
    let cgroup = workloads(&gate)?.join("insider-1");
    fs::create_dir(&cgroup)?;
    fs::write(cgroup.join("cgroup.procs"), child.id().to_string())?;
    writeln!(input)?;
    line.clear();
    output.read_line(&mut line)?;
    ensure!(line.contains("a governed process has no control"), "a connection from before still works: {line}");
    drop(input);
    child.wait()?;

    let script = format!("echo $$ > {}/cgroup.procs; exec \"$0\" status", cgroup.display());
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(binary::portcullis()?).env("PORTCULLIS_CONTROL", gate.control());
    let said = said(&command.output()?);
    ensure!(said.contains("a governed process has no control"), "{said}");
    let told = wait_for(&gate, "control refused")?;
    ensure!(told.contains("insider"), "{told}");
    fs::remove_dir(&cgroup)?;
    gate.leave()
}

/// The host's record, once it has this.
fn wait_for(gate: &Gate, event: &str) -> Result<String> {
    wait::until_some(&format!("`{event}` is in the host's record"), || {
        let told = gate.ask(["sessions", "show", "host"])?;
        Ok(told.contains(event).then_some(told))
    })
}

#[test]
fn an_attempt_is_in_the_record_with_who_made_it() -> Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::with(&server, &Setup::default())?;
    let cgroup = workloads(&gate)?.join("hostile-1");
    fs::create_dir(&cgroup)?;
    let script = format!(
        "echo $$ > {}/cgroup.procs; for n in $(seq 100); do echo x > /dev/udp/192.0.2.7/$n; done",
        cgroup.display()
    );
    Command::new("bash").args(["-c", &script]).stderr(Stdio::null()).status()?;
    let told = wait_for(&gate, "192.0.2.7:1,")?;
    let attempts: Vec<_> = told.lines().filter(|line| line.contains("attempt,")).collect();
    let first = attempts.first().context("an attempt")?;
    for fact in ["workload hostile", "refusal datagram", "command bash", "uid 0", "hostile-1"] {
        ensure!(first.contains(fact), "`{fact}` is not in: {first}");
    }
    ensure!(attempts.len() <= 20, "one workload fills the record with {} entries", attempts.len());
    let metrics = gate.ask(["metrics"])?;
    ensure!(metrics.contains("portcullis_attempts_total{refusal=\"datagram\"}"), "{metrics}");
    wait_until_empty(&cgroup)?;
    gate.leave()
}

fn wait_until_empty(cgroup: &Path) -> Result<()> {
    let left = || Ok(!cgroup.exists() || fs::remove_dir(cgroup).is_ok());
    wait::until(&format!("{} is left", cgroup.display()), left)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// What the daemon says when it is started on a host that was changed by `prepare`, a shell command in a mount
/// namespace of its own; it must not start.
fn start_on(prepare: &str, prefix: &str) -> Result<String> {
    let directory = place::temporary()?;
    let configuration = directory.path().join("portcullis.toml");
    let (state, control) = (directory.path().join("state"), directory.path().join("control.sock"));
    let target = "[[target]]\nname = \"t\"\nprotocol = \"postgres\"\naddress = [\"192.0.2.1:5432\"]\n";
    fs::write(&configuration, format!("state_dir = {state:?}\ncontrol = {control:?}\n\n{target}"))?;
    let script = format!("{prepare} && exec timeout 60 {prefix} \"$0\" up --config \"$1\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script]).arg(binary::portcullis()?).arg(&configuration);
    let output = command.env("RUST_LOG", "error").output()?;
    ensure!(!output.status.success() && output.status.code() != Some(124), "it started: {}", said(&output));
    Ok(said(&output))
}

#[test]
fn a_host_without_cgroup_v2_is_told_so() -> Result<()> {
    let hide = "for m in $(awk '$0 ~ / - cgroup2 / {print $5}' /proc/self/mountinfo); do umount -l $m; done";
    let said = start_on(hide, "")?;
    ensure!(said.contains("cgroup v2") && said.contains("hint:"), "{said}");
    Ok(())
}

#[test]
fn a_missing_capability_is_named() -> Result<()> {
    for (capability, named) in
        [("sys_admin", "CAP_SYS_ADMIN"), ("bpf,-sys_admin", "CAP_"), ("net_admin,-sys_admin", "CAP_")]
    {
        let said = start_on("true", &format!("setpriv --bounding-set -{capability} --inh-caps -{capability}"))?;
        ensure!(said.contains(named) && said.contains("hint:"), "without {capability}: {said}");
    }
    Ok(())
}

#[test]
fn a_second_daemon_is_refused() -> Result<()> {
    let server = Postgres::start()?;
    let gate = Gate::with(&server, &Setup::default())?;
    let mut command = Command::new(binary::portcullis()?);
    let said = said(&command.args(["up", "--config"]).arg(gate.configuration()).output()?);
    ensure!(said.contains("another daemon answers at") && said.contains("--takeover"), "{said}");
    // Nor where the socket was taken away: the instance is locked.
    fs::rename(gate.control(), gate.control().with_extension("away"))?;
    let said =
        self::said(&Command::new(binary::portcullis()?).args(["up", "--config"]).arg(gate.configuration()).output()?);
    ensure!(said.contains("in use by another daemon") || said.contains("another daemon runs"), "{said}");
    let _ = fs::remove_file(gate.control());
    fs::rename(gate.control().with_extension("away"), gate.control())?;
    gate.leave()
}
