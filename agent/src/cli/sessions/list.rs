//! `portcullis sessions list`.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::anyhow;
use clap::Args;
use comfy_table::CellAlignment;
use jiff::{Span, Timestamp, Zoned, civil, tz::TimeZone};
use serde::Serialize;

use super::{Records, local_time, timestamp, write_json};
use crate::cli::output::{self, table};
use crate::record::{Outcome, Row, Search, SessionId, Tally, Whose, printable::printable};

/// Rows that are shown unless `--limit` says otherwise.
const LIMIT: usize = 50;

/// List sessions, the latest first
#[derive(Args, Debug)]
#[command(after_help = "Example: portcullis sessions list --workload ci-runner --since 2h --denied")]
pub struct List {
    /// Only sessions of this workload
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
    /// Only sessions with this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Only sessions that began since then: `90m`, `2h`, `3d`, `2026-11-21` or `2026-11-21T10:00`
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Timestamp>,
    /// The host's own records instead: starts, enrolments, proofs of the capture, refused attempts
    #[arg(long, conflicts_with_all = ["workload", "target", "denied"])]
    host: bool,
    /// Only sessions in which something was denied
    #[arg(long)]
    denied: bool,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = LIMIT)]
    limit: usize,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl List {
    pub fn run(self, records: &Records, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let rows = records.index.search(&Search {
            whose: if self.host { Whose::Host } else { Whose::Workloads },
            workload: self.workload,
            target: self.target,
            since: self.since.map(|since| u64::try_from(since.as_microsecond()).unwrap_or(0)),
            denied: self.denied,
            prefix: None,
            limit: Some(self.limit),
        })?;
        if self.json {
            let listed: Vec<_> = rows.into_iter().map(|row| Listed::new(records, row)).collect();
            write_json(out, &listed)?;
        } else {
            write_table(out, &rows)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One session, for scripts.
#[derive(Serialize)]
pub struct Listed {
    id: SessionId,
    number: u64,
    started: String,
    ended: Option<String>,
    workload: Option<String>,
    owner: Option<String>,
    target: Option<String>,
    protocol: Option<String>,
    destination: String,
    outcome: Option<Outcome>,
    #[serde(flatten)]
    tally: Tally,
    entries: u64,
    path: PathBuf,
}

impl Listed {
    pub fn new(records: &Records, row: Row) -> Self {
        Self {
            id: row.id,
            number: row.number,
            started: timestamp(row.started).to_string(),
            ended: row.progress.ended.map(|ended| timestamp(ended).to_string()),
            workload: row.workload,
            owner: row.owner,
            target: row.target,
            protocol: row.protocol,
            destination: row.destination,
            outcome: row.progress.outcome,
            tally: row.progress.tally,
            entries: row.progress.entries,
            path: records.path(row.id),
        }
    }
}

fn write_table(out: &mut dyn Write, rows: &[Row]) -> anyhow::Result<()> {
    let mut table = table([
        "SESSION",
        "STARTED",
        "LASTED",
        "WORKLOAD",
        "OWNER",
        "TARGET",
        "REQUESTS",
        "DENIED",
        "APPROVALS",
        "SENT",
        "RECEIVED",
        "OUTCOME",
    ]);
    for row in rows {
        let tally = &row.progress.tally;
        let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".into(), printable);
        let lasted = row.progress.ended.map(|ended| ended.saturating_sub(row.started));
        table.add_row([
            row.id.to_string(),
            local_time(row.started),
            lasted.map_or_else(|| "-".into(), duration),
            text(&row.workload),
            text(&row.owner),
            row.target.as_deref().map_or_else(|| printable(&row.destination), printable),
            tally.decisions.to_string(),
            tally.denials.to_string(),
            tally.approvals.to_string(),
            bytes(tally.from_workload),
            bytes(tally.to_workload),
            row.progress.outcome.map_or("open", Outcome::name).into(),
        ]);
    }
    for column in table.column_iter_mut() {
        if matches!(column.index, 2 | 6..=10) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    Ok(output::write_table(out, &mut table)?)
}

/// A length of time in at most two units.
fn duration(micros: u64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        0..60 => format!("{seconds}.{}s", micros % 1_000_000 / 100_000),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600.. => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A number of bytes with three digits.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scaled = count as f64;
    let mut shown = format!("{count} B");
    for unit in UNITS {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        shown = if scaled < 10.0 { format!("{scaled:.1} {unit}") } else { format!("{scaled:.0} {unit}") };
    }
    shown
}

/// Reads a point in time: a span before now, or a date with or without time, here or with an offset.
fn parse_since(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(span) = text.parse::<Span>() {
        return Ok(Zoned::now().checked_sub(span.abs())?.timestamp());
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    let local = text.parse::<civil::DateTime>().or_else(|_| text.parse::<civil::Date>().map(civil::Date::into));
    let local = local.map_err(|_| anyhow!("expected a span such as `2h`, or a date such as `2026-11-21`"))?;
    Ok(local.to_zoned(TimeZone::system())?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_are_short() {
        assert_eq!([bytes(0), bytes(1023), bytes(1024), bytes(15_000_000)], ["0 B", "1023 B", "1.0 KiB", "14 MiB"]);
        assert_eq!(
            [duration(0), duration(59_990_000), duration(61_000_000), duration(7_260_000_000)],
            ["0.0s", "59.9s", "1m01s", "2h01m"]
        );
    }

    #[test]
    fn times_are_read_in_every_form() {
        for text in ["90m", "2h", "3d", "2026-11-21", "2026-11-21T10:00", "2026-11-21T10:00:00Z"] {
            assert!(parse_since(text).is_ok(), "{text}");
        }
        assert!(parse_since("yesterday-ish").is_err());
    }
}
