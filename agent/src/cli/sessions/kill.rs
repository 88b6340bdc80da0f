//! `portcullis sessions kill`.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{
    cli::ask,
    control::{Command, Reply},
};

/// End running sessions: the workload reads why, in its protocol
#[derive(Args, Debug)]
#[command(after_help = "Example: portcullis sessions kill 01k9 --reason 'maintenance at noon'")]
pub struct Kill {
    /// The session's id, or its beginning
    id: String,
    /// What the workload reads
    #[arg(long)]
    reason: Option<String>,
}

impl Kill {
    pub fn run(self, control: PathBuf) -> anyhow::Result<ExitCode> {
        if let Reply::Done { message } = ask(control, &Command::KillSession { id: self.id, reason: self.reason })? {
            println!("{message}");
        }
        Ok(ExitCode::SUCCESS)
    }
}
