//! `portcullis sessions show`.

use std::{io::Write, path::Path, process::ExitCode};

use clap::Args;
use serde::Serialize;

use super::{
    Records,
    list::{Listed, bytes},
    local_time,
    timeline::{Line, Timeline},
    write_json,
};
use crate::{
    principal::Principal,
    record::{BeginEntry, DenialEntry, Kind, Outcome, Recording, Row, printable::printable, reader::Part},
};

/// Most notable entries that are shown; `replay` shows them all.
const NOTABLE_MAX: usize = 200;

/// Show who a session was, what it did and what was denied
#[derive(Args, Debug)]
#[command(after_help = "Example: portcullis sessions show latest")]
pub struct Show {
    /// The session's id, the beginning of it, `latest`, or `host` for the host's own record
    #[arg(value_name = "ID")]
    session: String,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub fn run(self, records: &Records, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let id = records.find(&self.session)?;
        let recording = Recording::open(&records.path(id))?;
        let begin = recording.begin()?;
        let row = records.index.find(id)?.unwrap_or_else(|| Row::new(id, Some(&begin)));
        if self.json {
            let denials = denials(&recording)?;
            write_json(out, &Shown { listed: Listed::new(records, row), begin, denials })?;
            return Ok(ExitCode::SUCCESS);
        }
        write_session(out, &begin, &row)?;
        if let Some(principal) = &begin.header.principal {
            write_principal(out, principal)?;
        }
        write_field(out, "record", &recording.path().display().to_string())?;
        write_notable(out, &recording)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A session for scripts.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    listed: Listed,
    begin: BeginEntry,
    denials: Vec<Denied>,
}

#[derive(Serialize)]
struct Denied {
    sequence: u64,
    #[serde(flatten)]
    denial: DenialEntry,
}

fn denials(recording: &Recording) -> anyhow::Result<Vec<Denied>> {
    let mut denials = Vec::new();
    for part in recording.entries() {
        match part? {
            Part::Entry(entry) if entry.kind == Some(Kind::Denial) => {
                denials.push(Denied { sequence: entry.sequence, denial: entry.json()? });
            }
            Part::Entry(_) | Part::Damage => {}
        }
    }
    Ok(denials)
}

fn write_session(out: &mut dyn Write, begin: &BeginEntry, row: &Row) -> anyhow::Result<()> {
    let header = &begin.header;
    let tally = &row.progress.tally;
    let dash = "-";
    write_field(out, "session", &format!("{} (number {})", begin.id, begin.number))?;
    write_field(out, "started", &local_time(begin.started))?;
    write_field(out, "ended", &row.progress.ended.map_or_else(|| dash.into(), local_time))?;
    write_field(out, "outcome", row.progress.outcome.map_or("open", Outcome::name))?;
    write_field(out, "target", header.target.as_deref().unwrap_or(dash))?;
    write_field(out, "protocol", header.protocol.as_deref().unwrap_or(dash))?;
    write_field(out, "destination", &header.destination)?;
    write_field(out, "upstream", header.upstream.as_deref().unwrap_or(dash))?;
    write_field(out, "policy", &format!("generation {}", header.policy_generation))?;
    let counts = [("requests", tally.decisions), ("denied", tally.denials), ("approvals", tally.approvals)];
    for (name, count) in counts {
        write_field(out, name, &count.to_string())?;
    }
    write_field(out, "sent", &bytes(tally.from_workload))?;
    write_field(out, "received", &bytes(tally.to_workload))
}

fn write_principal(out: &mut dyn Write, principal: &Principal) -> anyhow::Result<()> {
    let process = &principal.process;
    let executable = |path: Option<&Path>| path.map_or_else(|| "gone".into(), |path| path.display().to_string());
    write_field(out, "workload", &principal.workload)?;
    write_field(out, "groups", &principal.groups.join(", "))?;
    write_field(out, "owner", principal.owner.as_deref().unwrap_or("-"))?;
    write_field(out, "user", &format!("{} ({})", process.user, process.uid))?;
    write_field(out, "process", &format!("{} {}", process.pid, executable(process.executable.as_deref())))?;
    write_field(out, "hash", process.executable_hash.as_deref().unwrap_or("-"))?;
    write_field(out, "command", &process.command_line.join(" "))?;
    for (depth, parent) in process.parents.iter().enumerate() {
        let name = if depth == 0 { "parents" } else { "" };
        let indent = "  ".repeat(depth);
        write_field(out, name, &format!("{indent}{} {}", parent.pid, executable(parent.executable.as_deref())))?;
    }
    write_field(out, "cgroup", &process.cgroup)
}

/// Writes denials, approvals, errors and what happened to the session.
fn write_notable(out: &mut dyn Write, recording: &Recording) -> anyhow::Result<()> {
    let mut timeline = Timeline::new(recording, true);
    let mut shown = 0;
    for part in recording.entries() {
        let part = part?;
        let notable = match &part {
            Part::Entry(entry) => {
                matches!(entry.kind, Some(Kind::Denial | Kind::Approval | Kind::Error | Kind::Lifecycle))
            }
            Part::Damage => true,
        };
        if !notable {
            continue;
        }
        if shown == 0 {
            writeln!(out)?;
        }
        if shown == NOTABLE_MAX {
            writeln!(out, "and more: `portcullis sessions replay {}` shows them all", recording.id())?;
            return Ok(());
        }
        shown += 1;
        for Line { elapsed, label, text } in timeline.lines(&part) {
            writeln!(out, "{:>10.3}  {label:<9}  {text}", super::replay::seconds(elapsed))?;
        }
    }
    Ok(())
}

fn write_field(out: &mut dyn Write, name: &str, value: &str) -> anyhow::Result<()> {
    let value = if value.is_empty() { "-".into() } else { printable(value) };
    Ok(writeln!(out, "{name:<12} {value}")?)
}
