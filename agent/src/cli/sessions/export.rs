//! `portcullis sessions export`.

use std::{io::Write, process::ExitCode};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Records, replay::seconds, timeline::Timeline, timestamp};
use crate::record::{
    Kind, Recording,
    printable::printable_json,
    reader::{Entry, Part},
};

/// Width of the terminal that a player shows.
const COLUMNS: u32 = 132;
const LINES: u32 = 40;

/// Write a session for other tools
#[derive(Args, Debug)]
#[command(after_help = "Example: portcullis sessions export latest --format asciicast > session.cast")]
pub struct Export {
    /// The session's id, the beginning of it, or `latest`
    #[arg(value_name = "ID")]
    session: String,
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One JSON object for each entry, everything in it
    Jsonl,
    /// The replay as asciinema plays it (asciicast v2)
    Asciicast,
}

impl Export {
    pub fn run(self, records: &Records, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let recording = Recording::open(&records.path(records.find(&self.session)?))?;
        match self.format {
            Format::Jsonl => write_lines(&recording, out)?,
            Format::Asciicast => write_asciicast(&recording, out)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write_lines(recording: &Recording, out: &mut dyn Write) -> anyhow::Result<()> {
    for part in recording.entries() {
        let line = match part? {
            Part::Entry(entry) => exported(&entry),
            Part::Damage => json!({ "damaged": true }),
        };
        writeln!(out, "{}", printable_json(&line.to_string()))?;
    }
    Ok(())
}

fn exported(entry: &Entry) -> Value {
    let mut line = json!({
        "sequence": entry.sequence,
        "elapsed": seconds(entry.elapsed),
        "time": timestamp(entry.wall).to_string(),
        "kind": entry.kind.map_or("unknown", Kind::name),
    });
    let (key, payload) = match entry.kind {
        Some(
            Kind::Begin
            | Kind::End
            | Kind::Lifecycle
            | Kind::Decision
            | Kind::Approval
            | Kind::Mask
            | Kind::Denial
            | Kind::Error,
        ) => match serde_json::from_slice(&entry.payload) {
            Ok(payload) => ("entry", payload),
            Err(_) => ("base64", BASE64_STANDARD.encode(&entry.payload).into()),
        },
        Some(Kind::FromWorkload | Kind::ToWorkload) | None => ("base64", BASE64_STANDARD.encode(&entry.payload).into()),
    };
    if let Some(fields) = line.as_object_mut() {
        fields.insert(key.into(), payload);
    }
    line
}

/// Writes the timeline in the format of <https://docs.asciinema.org/manual/asciicast/v2/>.
fn write_asciicast(recording: &Recording, out: &mut dyn Write) -> anyhow::Result<()> {
    let begin = recording.begin()?;
    let title = format!("portcullis session {}", recording.id());
    let started = begin.started / 1_000_000;
    writeln!(
        out,
        "{}",
        json!({ "version": 2, "width": COLUMNS, "height": LINES, "timestamp": started, "title": title })
    )?;
    let mut timeline = Timeline::new(recording, false);
    for part in recording.entries() {
        for line in timeline.lines(&part?) {
            let shown = format!("{:<9}  {}\r\n", line.label, line.text);
            writeln!(out, "{}", printable_json(&json!([seconds(line.elapsed), "o", shown]).to_string()))?;
        }
    }
    Ok(())
}
