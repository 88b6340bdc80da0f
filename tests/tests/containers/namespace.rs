//! Enrolment from a network namespace that the caller made, as `portcullis run` does it for a jail.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::postgres;

use super::{Pair, latest_workload, said, wait_for};

const LOOPBACK_UP: &str = "ip link set lo up";

/// Asks the daemon to enrol the process, then becomes the command.
const ENROLS: &str = include_str!("enrols.py");

/// A command in a network namespace of its own in which a shell has run `prepare`, enrolled by this gate.
fn enrolled(pair: &Pair, prepare: &str, words: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let script = format!("{prepare}; exec \"$@\"");
    command.args(["--net", "sh", "-c", &script, "sh", "python3", "-c", ENROLS]).args(words);
    let portcullis = pair.gate.command(["status"]);
    command.envs(portcullis.get_envs().filter_map(|(name, value)| Some((name, value?))));
    postgres::environment(&mut command, pair.server.port());
    command
}

/// How many sockets the daemon has open.
fn sockets(pair: &Pair) -> Result<usize> {
    let pid = pair.gate.pid().context("the daemon runs")?;
    let open = fs::read_dir(format!("/proc/{pid}/fd"))?.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    Ok(open.filter(|link| link.to_string_lossy().starts_with("socket:")).count())
}

#[test]
fn a_workload_in_a_namespace_of_its_own_reaches_its_targets_through_the_gate() -> Result<()> {
    let pair = Pair::start()?;
    for host in ["127.0.0.1", "::1"] {
        let query = ["psql", "-X", "-t", "-A", "-h", host, "-c", "select 'through ' || count(*) from customers"];
        let output = enrolled(&pair, LOOPBACK_UP, &query).output()?;
        ensure!(said(&output).starts_with("through "), "{host}: {}", said(&output));
        ensure!(latest_workload(&pair.gate)? == "agent", "another workload's");
    }
    Ok(())
}

#[test]
fn a_namespace_is_left_when_its_last_process_has_ended() -> Result<()> {
    let pair = Pair::start()?;
    let before = sockets(&pair)?;
    let mut sleeper = enrolled(&pair, LOOPBACK_UP, &["sleep", "1000"]);
    let mut sleeper = sleeper.stdout(Stdio::null()).spawn()?;
    wait_for("listeners in the namespace", || Ok(sockets(&pair)? > before))?;
    sleeper.kill()?;
    sleeper.wait()?;
    wait_for("their end", || Ok(sockets(&pair)? <= before))?;
    ensure!(pair.gate.log().contains("a network namespace was left"), "{}", pair.gate.log());
    Ok(())
}

#[test]
fn a_new_daemon_listens_where_the_last_one_did() -> Result<()> {
    let mut pair = Pair::start()?;
    let place = portcullis_tests::place::temporary()?;
    portcullis_tests::place::open(place.path(), 0o777)?;
    let ask = "psql -X -q -t -A -c 'select 1' > answer.new 2>&1; mv answer.new answer; sleep 0.05";
    let script = format!("cd {}; while :; do {ask}; done", place.path().display());
    let mut asker = enrolled(&pair, LOOPBACK_UP, &["sh", "-c", &script]).spawn()?;
    let answer = || fs::read_to_string(place.path().join("answer")).unwrap_or_default();
    let outcome = (|| {
        wait_for("an answer", || Ok(answer() == "1\n"))?;
        pair.gate.kill()?;
        wait_for("a refusal", || Ok(answer().contains("Connection refused")))?;
        pair.gate.resume()?;
        wait_for("an answer of the next daemon", || Ok(answer() == "1\n"))
    })();
    asker.kill()?;
    asker.wait()?;
    outcome
}

#[test]
fn a_namespace_without_ipv6_is_served_over_ipv4() -> Result<()> {
    let pair = Pair::start()?;
    let prepare = "echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6; ip link set lo up";
    let query = ["psql", "-X", "-t", "-A", "-c", "select 'through'"];
    let output = enrolled(&pair, prepare, &query).output()?;
    ensure!(said(&output) == "through\n", "{}", said(&output));
    Ok(())
}

#[test]
fn a_namespace_that_cannot_be_served_is_not_enrolled() -> Result<()> {
    let pair = Pair::start()?;
    let listen = pair.gate.json(["status"])?["listen"][0].as_str().unwrap_or_default().to_owned();
    let port = listen.rsplit_once(':').context("a port")?.1.to_owned();
    let place = portcullis_tests::place::temporary()?;
    // As long as its parent, which becomes the command.
    let squatter = format!(
        "import os, socket, time\nparent = os.getppid()\ns = socket.create_server((\"127.0.0.1\", {port}))\n\
         open(\"squats\", \"w\")\nwhile os.getppid() == parent: time.sleep(0.1)"
    );
    let squat = format!("{LOOPBACK_UP}; python3 -c '{squatter}' & while [ ! -e squats ]; do sleep 0.05; done");
    for (prepare, complaint) in [("true", "loopback interface is down"), (squat.as_str(), "port is taken")] {
        let output = enrolled(&pair, prepare, &["echo", "it ran"]).current_dir(place.path()).output()?;
        ensure!(said(&output).contains(complaint), "no `{complaint}` in: {}", said(&output));
        ensure!(!said(&output).contains("it ran"), "a workload ran without the gate");
    }
    Ok(())
}
