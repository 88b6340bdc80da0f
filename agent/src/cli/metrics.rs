//! `portcullis metrics`.

use std::{path::PathBuf, process::ExitCode};

use super::ask;
use crate::control::{Command, Reply};

/// Print the daemon's metrics as OpenMetrics text.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis metrics | grep portcullis_closed")]
pub struct Args {}

pub fn run(_: Args, control: PathBuf) -> anyhow::Result<ExitCode> {
    let Reply::Metrics { text } = ask(control, &Command::Metrics)? else {
        anyhow::bail!("the daemon answered something else than was asked");
    };
    print!("{text}");
    Ok(ExitCode::SUCCESS)
}
