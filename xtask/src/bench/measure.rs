//! One measurement of one scenario on one route.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use portcullis_tests::postgres::succeeded;

use super::{
    rig::{Rig, Route},
    scenario::{Load, Scenario},
};

/// Copies in one measurement.
const COPIES: usize = 9;
/// How long idle sessions get to settle before memory is read.
const SETTLE: Duration = Duration::from_secs(3);

/// Memory that is in use, in proc_pid_status(5).
const RESIDENT: &str = "VmRSS:";

/// What one run gave.
pub struct Sample {
    /// In the scenario's unit.
    pub value: f64,
    /// Requests that went through, for the cost of one; zero where that means nothing.
    pub requests: f64,
}

/// Puts the scenario's load on the route for about `length`.
pub fn sample(rig: &Rig, scenario: &Scenario, route: Route, length: Duration) -> Result<Sample> {
    match &scenario.load {
        Load::SelectOnly { protocol, clients } => {
            let (clients, threads) = (clients.to_string(), clients.min(&2).to_string());
            pgbench(rig, route, length, &["-S", "-M", protocol, "-c", &clients, "-j", &threads])
        }
        Load::Connects => pgbench(rig, route, length, &["-S", "-C", "-c", "8", "-j", "2"]),
        Load::Statement(statement) => {
            let script = script(rig, "statement.sql", &format!("{statement};\n"))?;
            pgbench(rig, route, length, &["-f", &script, "-c", "1"])
        }
        Load::Latency => latency(rig, route, length),
        Load::Copy(statement) => copies(rig, route, statement),
        Load::Growth(statement) => growth(rig, route, statement),
        Load::Idle { sessions } => idle(rig, route, *sessions),
    }
}

fn pgbench(rig: &Rig, route: Route, length: Duration, arguments: &[&str]) -> Result<Sample> {
    let seconds = length.as_secs().max(1).to_string();
    let words = [&["pgbench", "-n", "-T", &seconds], arguments].concat();
    let output = succeeded("pgbench", rig.client(route, &words).output()?)?;
    let number = |before: &str| -> Option<f64> {
        let rest = output.split_once(before)?.1;
        rest.split(|character: char| !character.is_ascii_digit() && character != '.').next()?.parse().ok()
    };
    let value = number("\ntps = ").with_context(|| format!("no `tps` in: {output}"))?;
    let requests = number("transactions actually processed: ").unwrap_or_default();
    ensure!(number("number of failed transactions: ").unwrap_or_default() == 0.0, "failed transactions: {output}");
    Ok(Sample { value, requests })
}

/// The median of every transaction's own latency, from pgbench's log.
fn latency(rig: &Rig, route: Route, length: Duration) -> Result<Sample> {
    let script = script(rig, "latency.sql", "select 1;\n")?;
    let prefix = rig.place().join("latency").to_string_lossy().into_owned();
    let mut sample = pgbench(rig, route, length, &["-f", &script, "-c", "1", "-l", "--log-prefix", &prefix])?;
    let mut latencies = Vec::new();
    for entry in fs::read_dir(rig.place())? {
        let path = entry?.path();
        if path.to_string_lossy().starts_with(&format!("{prefix}.")) && path.extension().is_some_and(|end| end != "sql")
        {
            // The third field is the time in microseconds.
            let log = fs::read_to_string(&path)?;
            latencies.extend(log.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<f64>().ok()));
            fs::remove_file(path)?;
        }
    }
    sample.value = super::figure::median(&latencies).context("pgbench logged nothing")?;
    Ok(sample)
}

/// Copies a second, from the median of psql's own timing of each.
fn copies(rig: &Rig, route: Route, statement: &str) -> Result<Sample> {
    let body = format!("\\timing on\n\\o /dev/null\n{}", format!("{statement};\n").repeat(COPIES));
    let script = script(rig, "copy.sql", &body)?;
    let output = succeeded("psql", rig.client(route, &["psql", "-X", "-q", "-f", &script]).output()?)?;
    let times = output.lines().filter_map(|line| line.strip_prefix("Time: ")?.split(' ').next()?.parse().ok());
    let times: Vec<f64> = times.collect();
    ensure!(times.len() == COPIES, "{} of {COPIES} copies were timed: {output}", times.len());
    let median = super::figure::median(&times).context("no times")?;
    Ok(Sample { value: 1000.0 / median, requests: COPIES as f64 })
}

/// By how much the middleman's process grows at most while one long answer passes.
fn growth(rig: &Rig, route: Route, statement: &str) -> Result<Sample> {
    let pid = rig.middleman(route).context("nothing stands between")?;
    // What the first answers allocate once and for all does not count.
    pgbench(rig, route, Duration::from_secs(1), &["-S", "-c", "8", "-j", "2"])?;
    // proc_pid_clear_refs(5): 5 resets the peak.
    fs::write(format!("/proc/{pid}/clear_refs"), "5").context("clear_refs")?;
    let before = memory(pid, "VmHWM:")?;
    let script = script(rig, "growth.sql", &format!("{statement};\n"))?;
    succeeded("pgbench", rig.client(route, &["pgbench", "-n", "-t", "1", "-f", &script]).output()?)?;
    Ok(Sample { value: memory(pid, "VmHWM:")? - before, requests: 0.0 })
}

/// How much more memory the middleman's process has with the sessions than without, for each.
fn idle(rig: &Rig, route: Route, sessions: u32) -> Result<Sample> {
    let pid = rig.middleman(route).context("nothing stands between")?;
    // What the first sessions allocate once and for all does not count.
    pgbench(rig, route, Duration::from_secs(1), &["-S", "-c", "8", "-j", "2"])?;
    let before = memory(pid, RESIDENT)?;
    let script = script(rig, "idle.sql", "\\sleep 20 s\nselect 1;\n")?;
    let count = sessions.to_string();
    let words = ["pgbench", "-n", "-t", "1", "-f", &script, "-c", &count, "-j", "1"];
    let mut command: Command = rig.client(route, &words);
    let mut holder = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let backends = "select count(*) from pg_stat_activity where usename = 'app'";
    let mut held = 0;
    for _ in 0..100 {
        thread::sleep(Duration::from_millis(100));
        held = rig.server().shop(backends)?.parse::<u32>()?;
        if held >= sessions {
            break;
        }
    }
    thread::sleep(SETTLE);
    let after = memory(pid, RESIDENT)?;
    holder.wait()?;
    ensure!(held >= sessions, "only {held} of {sessions} sessions were open");
    Ok(Sample { value: (after - before) / f64::from(sessions), requests: 0.0 })
}

/// A line of proc_pid_status(5), in KiB.
fn memory(pid: u32, name: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    line.split_whitespace().next().context("no number")?.parse().with_context(|| name.to_owned())
}

fn script(rig: &Rig, name: &str, text: &str) -> Result<String> {
    let path = rig.place().join(name);
    fs::write(&path, text)?;
    Ok(path.to_string_lossy().into_owned())
}
