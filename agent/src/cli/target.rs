//! `portcullis target`: the configured targets, and whether they can be reached as configured.

mod check;
mod scan;

use std::{process::ExitCode, sync::Arc};

use anyhow::{Context, bail};
use clap::Subcommand;
use serde::Serialize;

use super::{
    options::Options,
    output::{self, plain, table},
};
use crate::{
    config::Config,
    credential,
    target::{Target, Verify},
};

const EXAMPLES: &str = "Examples:
  portcullis target list
  portcullis target check
  portcullis target check shop --json
  portcullis target scan shop --database orders --write proposal.toml

Exit status: 0 all is well, 1 a target cannot be reached as configured or has classes that policy does not know, 2 the configuration could not be used.";

/// List and try the configured targets.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the targets
    #[command(after_help = EXAMPLES)]
    List(Options),
    /// Read each target's credential, dial its server and verify its certificate; does not log in
    #[command(after_help = EXAMPLES)]
    Check {
        /// Only these targets
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        #[command(flatten)]
        options: Options,
    },
    /// Log in, look at columns' names and a sample of their values, and propose data classes; never shows a value
    #[command(after_help = EXAMPLES)]
    Scan(scan::Args),
}

pub fn run(args: Args) -> ExitCode {
    let ended = match &args.command {
        Command::List(options) => list(options).map(|()| true),
        Command::Check { names, options } => check(names, options),
        Command::Scan(args) => scan::run(args),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            output::fail(&error);
            ExitCode::from(2)
        }
    }
}

/// A target as programs read it.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    protocol: &'a str,
    address: Vec<String>,
    upstream: Option<String>,
    tls: &'static str,
    credential: Option<&'a str>,
    labels: &'a std::collections::BTreeMap<String, String>,
}

impl<'a> Listed<'a> {
    fn of(target: &'a Target) -> Self {
        Self {
            name: &target.name,
            protocol: &target.protocol,
            address: target.addresses.iter().map(ToString::to_string).collect(),
            upstream: target.upstream.as_ref().map(ToString::to_string),
            tls: match &target.tls {
                Verify::Full { .. } => "full",
                Verify::Ca { .. } => "ca",
                Verify::Off => "off",
            },
            credential: target.credential.as_deref(),
            labels: &target.labels,
        }
    }
}

fn list(options: &Options) -> anyhow::Result<()> {
    let config = options.load()?;
    let listed: Vec<_> = config.targets.iter().map(|target| Listed::of(target)).collect();
    if options.json {
        return output::json(&listed);
    }
    let mut table = table(["NAME", "PROTOCOL", "ADDRESS", "UPSTREAM", "TLS", "CREDENTIAL", "LABELS"]);
    for target in &listed {
        let labels: Vec<_> = target.labels.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect();
        table.add_row([
            target.name.to_owned(),
            target.protocol.to_owned(),
            target.address.join(","),
            target.upstream.clone().unwrap_or_else(|| "-".to_owned()),
            target.tls.to_owned(),
            target.credential.unwrap_or("-").to_owned(),
            labels.join(","),
        ]);
    }
    output::print_table(table)
}

/// Whether all of them are well.
fn check(names: &[String], options: &Options) -> anyhow::Result<bool> {
    let config = options.load()?;
    let targets = chosen(&config, names)?;
    let credentials = credential::Store::new(config.credentials.clone());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("failed to start tokio")?;
    let trials = runtime.block_on(async {
        let mut trials = Vec::new();
        for target in targets {
            trials.extend(check::try_target(target, &credentials).await);
        }
        trials
    });
    let well = trials.iter().all(check::Trial::is_well);
    if options.json {
        output::json(&trials)?;
        return Ok(well);
    }
    let mut table = table(["TARGET", "DIALLED", "RESULT"]);
    for trial in &trials {
        let result = match &trial.error {
            None => trial.found.clone(),
            Some(error) => format!("error: {error}"),
        };
        table.add_row([trial.target.to_string(), trial.dialled.clone(), plain(&result)]);
    }
    output::print_table(table)?;
    Ok(well)
}

fn chosen<'a>(config: &'a Config, names: &[String]) -> anyhow::Result<Vec<&'a Arc<Target>>> {
    for name in names {
        if !config.targets.iter().any(|target| *target.name == **name) {
            bail!("no target is named `{}`\n  hint: `portcullis target list` names them", plain(name));
        }
    }
    let wanted = |target: &&Arc<Target>| names.is_empty() || names.iter().any(|name| **name == *target.name);
    Ok(config.targets.iter().filter(wanted).collect())
}
