//! `portcullis sessions`: looks into what was recorded. Reads the state directory, and needs no daemon.

mod export;
mod kill;
mod list;
mod replay;
mod show;
mod timeline;
mod verify;

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::ask;
use crate::{
    config,
    control::{self, Reply},
    record::{self, Index, Search, SessionId, Whose, printable::printable_json},
};

/// How to name the session that began last.
const LATEST: &str = "latest";
/// How to name the record of the host itself that began last.
const HOST: &str = "host";

/// Look into recorded sessions, and end running ones
#[derive(Args, Debug)]
pub struct Sessions {
    /// The daemon's state directory, instead of the configured one
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    List(list::List),
    Show(show::Show),
    Replay(replay::Replay),
    Verify(verify::Verify),
    Export(export::Export),
    Kill(kill::Kill),
}

impl Sessions {
    /// Runs the command against the records below `--state`, or those of the daemon at `control`.
    pub fn run(mut self, control: PathBuf) -> anyhow::Result<ExitCode> {
        if let Command::Kill(kill) = self.command {
            return kill.run(control);
        }
        let state_dir = match self.state.take() {
            Some(state) => state,
            None => state_of_daemon(control)?,
        };
        let mut out = BufWriter::new(io::stdout().lock());
        let done = self.run_to(&state_dir, &mut out).and_then(|code| Ok(out.flush().map(|()| code)?));
        match done {
            // `| head` has seen enough.
            Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
            done => done,
        }
    }

    fn run_to(self, state_dir: &Path, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let records = Records::open(state_dir)?;
        match self.command {
            Command::List(list) => list.run(&records, out),
            Command::Show(show) => show.run(&records, out),
            Command::Replay(replay) => replay.run(&records, out),
            Command::Verify(verify) => verify.run(&records, out),
            Command::Export(export) => export.run(&records, out),
            // Answered before the records were opened.
            Command::Kill(_) => Ok(ExitCode::SUCCESS),
        }
    }
}

/// Where the running daemon keeps its records; without one, where the default configuration does.
fn state_of_daemon(control: PathBuf) -> anyhow::Result<PathBuf> {
    match ask(control, &control::Command::Status) {
        Ok(Reply::Status(status)) => Ok(status.state_dir),
        Ok(_) | Err(_) => Ok(config::load(None)?.state_dir),
    }
}

/// Where records lie, and how to find them.
struct Records {
    root: PathBuf,
    index: Index,
}

impl Records {
    fn open(state_dir: &Path) -> anyhow::Result<Self> {
        let root = record::folder_below(state_dir);
        if !Index::path(&root).exists() {
            bail!("no records in `{}`\nhint: name the daemon's state directory with `--state`", state_dir.display());
        }
        let index = Index::open_to_read(&root).context("failed to open the index of records")?;
        Ok(Self { root, index })
    }

    /// The session of this id, of the only id that begins so, or the latest.
    fn find(&self, name: &str) -> anyhow::Result<SessionId> {
        if let Ok(id) = name.parse() {
            return Ok(id);
        }
        let (whose, prefix, limit) = match name {
            LATEST => (Whose::Workloads, None, 1),
            HOST => (Whose::Host, None, 1),
            prefix => (Whose::Both, Some(prefix.to_ascii_lowercase()), 2),
        };
        let found = self.index.search(&Search { whose, prefix, limit: Some(limit), ..Search::default() })?;
        match found.as_slice() {
            [row] => Ok(row.id),
            [] => bail!("no session begins with: {name}\nhint: `portcullis sessions list` shows their ids"),
            _ => bail!("more than one session begins with: {name}\nhint: write more of the id"),
        }
    }

    fn path(&self, id: SessionId) -> PathBuf {
        record::path_of(&self.root, id)
    }
}

/// Writes a value as JSON that is safe to look at.
fn write_json(out: &mut dyn Write, value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value)?;
    writeln!(out, "{}", printable_json(&json))?;
    Ok(())
}

/// A time of the host's clock, as people here read it.
fn local_time(micros: u64) -> String {
    timestamp(micros).to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn timestamp(micros: u64) -> Timestamp {
    i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok()).unwrap_or(Timestamp::MAX)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests;
