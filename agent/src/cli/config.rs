//! `portcullis config`: check the configuration, and say what it may hold.

use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use super::{options::Options, output};
use crate::config::{self, Config, ConfigErrors, Report};

const EXAMPLES: &str = "Examples:
  portcullis config check
  portcullis config check --config ./portcullis.toml --json
  portcullis config schema > portcullis.schema.json

Exit status: 0 it is valid, 1 it has mistakes, 2 it could not be read.";

/// Check the configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find every mistake: keys, types, names, references, and the files that are named
    #[command(after_help = EXAMPLES)]
    Check(Options),
    /// Print the JSON Schema of the file, for completion in an editor
    Schema,
}

pub fn run(args: Args) -> ExitCode {
    let ended = match args.command {
        Command::Check(options) => check(&options),
        Command::Schema => output::json(&config::schema()).map(|()| ExitCode::SUCCESS),
    };
    ended.unwrap_or_else(|error| {
        output::fail(&error);
        ExitCode::from(2)
    })
}

/// What a check found, as programs read it.
#[derive(Serialize)]
struct Checked<'a> {
    valid: bool,
    file: Option<String>,
    mistakes: Vec<Report<'a>>,
}

fn check(options: &Options) -> anyhow::Result<ExitCode> {
    match options.load() {
        Ok(config) if options.json => {
            let file = config.file.map(|file| file.display().to_string());
            output::json(&Checked { valid: true, file, mistakes: Vec::new() })?;
        }
        Ok(config) => println!("{}", summary(&config)),
        Err(errors) => return refuse(&errors, options.json),
    }
    Ok(ExitCode::SUCCESS)
}

fn refuse(errors: &ConfigErrors, json: bool) -> anyhow::Result<ExitCode> {
    if json {
        let file = errors.file.as_ref().map(|file| file.display().to_string());
        output::json(&Checked { valid: false, file, mistakes: errors.reports() })?;
    } else {
        eprintln!("{errors}");
    }
    Ok(ExitCode::from(if errors.is_unreadable() { 2 } else { 1 }))
}

fn summary(config: &Config) -> String {
    let file = match &config.file {
        Some(file) => file.display().to_string(),
        None => format!("{} does not exist; the built-in defaults", config::DEFAULT_FILE),
    };
    let counts = [
        count(config.targets.len(), "target"),
        count(config.credentials.len(), "credential"),
        count(config.workloads.len(), "workload"),
        count(config.approvers.len(), "group of approvers"),
    ];
    format!("{file}: valid ({})", counts.join(", "))
}

fn count(number: usize, what: &str) -> String {
    match (number, what) {
        (1, _) => format!("1 {what}"),
        (_, "group of approvers") => format!("{number} groups of approvers"),
        _ => format!("{number} {what}s"),
    }
}
