//! `portcullis sessions replay`.

use std::{
    io::{IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::bail;
use clap::Args;

use super::{Records, timeline::Timeline};
use crate::record::Recording;

/// The longest pause between two lines; what was longer is not worth watching.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Show what happened in a session, line by line
#[derive(Args, Debug)]
#[command(after_help = "Example: portcullis sessions replay latest --speed 4")]
pub struct Replay {
    /// The session's id, the beginning of it, `latest`, or `host` for the host's own record
    #[arg(value_name = "ID")]
    session: String,
    /// So many times as fast as it happened. Pauses end after two seconds. Default: 1 on a terminal
    #[arg(long, value_name = "N", conflicts_with = "instant", value_parser = parse_speed)]
    speed: Option<f64>,
    /// Without any pause. Default where the output is no terminal
    #[arg(long)]
    instant: bool,
    /// Show the bytes of the conversation instead of reading its protocol
    #[arg(long)]
    raw: bool,
}

impl Replay {
    pub fn run(self, records: &Records, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
        let recording = Recording::open(&records.path(records.find(&self.session)?))?;
        let mut timeline = Timeline::new(&recording, self.raw);
        let watched = !self.instant && std::io::stdout().is_terminal();
        let speed = self.speed.or(watched.then_some(1.0));
        let mut shown = 0;
        for part in recording.entries() {
            for line in timeline.lines(&part?) {
                if let Some(speed) = speed {
                    let pause = Duration::from_nanos(line.elapsed.saturating_sub(shown)).div_f64(speed).min(PAUSE_MAX);
                    if !pause.is_zero() {
                        out.flush()?;
                        std::thread::sleep(pause);
                    }
                }
                shown = line.elapsed;
                writeln!(out, "{:>10.3}  {:<9}  {}", seconds(line.elapsed), line.label, line.text)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub fn seconds(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64()
}

fn parse_speed(text: &str) -> anyhow::Result<f64> {
    match text.parse::<f64>() {
        Ok(speed) if (0.01..=1_000_000.0).contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => bail!("expected a number between 0.01 and 1000000"),
    }
}
