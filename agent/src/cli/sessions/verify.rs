//! `portcullis sessions verify`.

use std::{io::Write, process::ExitCode};

use clap::Args;
use serde::Serialize;

use super::{Records, write_json};
use crate::record::{
    Outcome,
    verify::{Report, StoreReport, verify_all, verify_session},
};

/// Prove that records are what was written: exit status 0 if they are, 1 if not
#[derive(Args, Debug)]
#[command(after_help = "Example: portcullis sessions verify --all")]
pub struct Verify {
    /// Sessions by id, the beginning of it, or `latest`
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
    sessions: Vec<String>,
    /// Every session, and whether one is missing
    #[arg(long)]
    all: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub fn run(self, records: &Records, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let report = if self.all { verify_all(&records.root)? } else { self.verify_each(records)? };
        if self.json {
            write_json(out, &Verified::from(&report))?;
        } else {
            write_text(out, &report)?;
        }
        Ok(if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn verify_each(&self, records: &Records) -> anyhow::Result<StoreReport> {
        let mut sessions = Vec::new();
        for name in &self.sessions {
            sessions.push(verify_session(&records.root, records.find(name)?)?);
        }
        Ok(StoreReport { sessions, missing_numbers: Vec::new() })
    }
}

fn write_text(out: &mut dyn Write, report: &StoreReport) -> anyhow::Result<()> {
    for session in &report.sessions {
        let name = name(session);
        let entries = session.entries;
        let state = session.outcome.map_or("open", Outcome::name);
        if session.is_sound() {
            writeln!(out, "{name}  sound   {entries} entries, {state}")?;
        }
        for finding in &session.findings {
            writeln!(out, "{name}  BROKEN  {finding}")?;
        }
    }
    for number in &report.missing_numbers {
        writeln!(out, "session number {number}  BROKEN  there is neither a file nor a row in the index")?;
    }
    let broken = report.sessions.iter().filter(|session| !session.is_sound()).count() + report.missing_numbers.len();
    let sound = report.sessions.iter().filter(|session| session.is_sound()).count();
    writeln!(out, "{sound} sound, {broken} broken")?;
    Ok(())
}

/// The session's id as the file's name has it.
fn name(report: &Report) -> String {
    report.path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// A report for scripts.
#[derive(Serialize)]
struct Verified {
    sound: bool,
    sessions: Vec<VerifiedSession>,
    missing_numbers: Vec<u64>,
}

#[derive(Serialize)]
struct VerifiedSession {
    session: String,
    sound: bool,
    entries: u64,
    outcome: Option<Outcome>,
    findings: Vec<String>,
}

impl From<&StoreReport> for Verified {
    fn from(report: &StoreReport) -> Self {
        let sessions = report.sessions.iter().map(|session| VerifiedSession {
            session: name(session),
            sound: session.is_sound(),
            entries: session.entries,
            outcome: session.outcome,
            findings: session.findings.iter().map(ToString::to_string).collect(),
        });
        Self { sound: report.is_sound(), sessions: sessions.collect(), missing_numbers: report.missing_numbers.clone() }
    }
}
