//! `kill -9` of the daemon under load: refused, never direct; and every permitted statement is in a verified record.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
};

use anyhow::{Result, ensure};
use portcullis_tests::{
    gate::{Gate, Setup, files_with},
    postgres::Postgres,
    wait,
};

/// Workloads that put the load on.
const WORKLOADS: usize = 3;

/// A workload that connects and asks, again and again, until `stop` exists. Each statement names itself once.
///
/// It notes every attempt, so that the test knows that attempts were made while nobody listened.
fn load(gate: &Gate, server: &Postgres, number: usize) -> Result<Child> {
    let script = format!(
        "n=0; while [ ! -e stop ]; do n=$((n+1)); echo $n > attempts-{number}; \
         psql -X -q -t -A -c \"select 'marker-{number}-$n-end'\" > /dev/null 2>&1 || sleep 0.02; done"
    );
    let mut command = gate.workload(server, ["sh", "-c", &script]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// How many attempts all workloads have made.
fn attempts(directory: &Path) -> u64 {
    let made = |number| fs::read_to_string(directory.join(format!("attempts-{number}"))).unwrap_or_default();
    (0..WORKLOADS).filter_map(|number| made(number).trim().parse::<u64>().ok()).sum()
}

fn wait_for_attempts(directory: &Path, more: u64) -> Result<()> {
    let begun = attempts(directory);
    wait::until(&format!("the workloads make {more} attempts"), || Ok(attempts(directory) >= begun + more))
}

/// Connections that the server has seen from anywhere but its own socket.
fn connections(server: &Postgres) -> usize {
    server.log().lines().filter(|line| line.contains("connection received: host=127.0.0.1")).count()
}

/// Waits until no backend of the workloads is left, so that what the server sees from then on is new.
fn quiet(server: &Postgres) -> Result<()> {
    let backends = || server.shop("select count(*) from pg_stat_activity where usename = 'app'");
    wait::until("no backend outlives the daemon", || Ok(backends()? == "0"))
}

/// Every marker in the server's log: the statements that were permitted and ran.
fn permitted(server: &Postgres) -> Vec<String> {
    let log = server.log();
    let markers = log.lines().filter(|line| line.contains("app@shop")).filter_map(|line| {
        let from = line.find("marker-")?;
        let rest = line.get(from..)?;
        rest.get(..rest.find("-end")? + 4).map(str::to_owned)
    });
    markers.collect()
}

fn recorded(directory: &Path) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for path in files_with(directory, "marker-")? {
        all.extend(fs::read(path)?);
    }
    Ok(all)
}

#[test]
fn a_killed_daemon_means_refused_and_nothing_permitted_is_lost() -> Result<()> {
    let server = Postgres::start()?;
    let mut gate = Gate::with(&server, &Setup::default())?;
    let directory = gate.place();
    let workloads: Vec<_> = (0..WORKLOADS).map(|number| load(&gate, &server, number)).collect::<Result<_>>()?;

    for _ in 0..2 {
        wait_for_attempts(&directory, 10)?;
        gate.kill()?;
        quiet(&server)?;
        let before = connections(&server);
        wait_for_attempts(&directory, 30)?;
        ensure!(connections(&server) == before, "a workload reached the server while the daemon was dead");
        gate.resume()?;
        let ran = permitted(&server).len();
        wait_for_attempts(&directory, 10)?;
        ensure!(permitted(&server).len() > ran, "no new session works after the restart:\n{}", gate.log());
    }
    fs::write(directory.join("stop"), "")?;
    for mut workload in workloads {
        workload.wait()?;
    }
    gate.stop()?;

    let permitted = permitted(&server);
    ensure!(!permitted.is_empty(), "nothing ran");
    let recorded = recorded(&gate.state().join("records"))?;
    for marker in &permitted {
        let found = recorded.windows(marker.len()).any(|window| window == marker.as_bytes());
        ensure!(found, "`{marker}` ran and is in no record");
    }
    gate.resume()?;
    gate.ask(["sessions", "verify", "--all"]).map(drop)
}

#[test]
fn a_stopped_daemon_means_refused_too() -> Result<()> {
    let server = Postgres::start()?;
    let mut gate = Gate::with(&server, &Setup::default())?;
    let directory = gate.place();
    let mut workload = load(&gate, &server, 0)?;
    wait_for_attempts(&directory, 3)?;
    gate.stop()?;
    quiet(&server)?;
    let before = connections(&server);
    wait_for_attempts(&directory, 10)?;
    ensure!(connections(&server) == before, "a workload reached the server while no daemon ran");
    fs::write(directory.join("stop"), "")?;
    workload.wait()?;
    Ok(())
}
