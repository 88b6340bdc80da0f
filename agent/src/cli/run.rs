//! `portcullis run`: becomes the command, under capture.
//!
//! The command replaces this process, so that its input, output, terminal, signals and exit status are
//! its own. Before that, the capture has been proven from inside.

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Context;

use super::output;
use crate::{
    capture::canary,
    control::{Client, Command, Reply},
    jail::launcher,
};

/// Whom root's workloads run as, unless a user is named.
const NOBODY: &str = "nobody";

/// Run a command under capture, with privileges dropped.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis run --name report-bot --user alice -- psql -h db.internal shop")]
pub struct Args {
    /// The workload's name, as policy knows it [default: run-<pid>]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Run as this user [default: who called sudo, else who calls; root's workloads run as `nobody`]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub fn run(args: Args, control: PathBuf) -> ExitCode {
    let Some((program, arguments)) = args.command.split_first() else { return ExitCode::from(2) };
    match prepare(&args, control) {
        Ok(identity) => {
            let error = launcher::exec(&identity, program, arguments);
            let code = error.exit_status();
            output::fail(&error.into());
            ExitCode::from(code)
        }
        Err(error) => {
            output::fail(&error);
            ExitCode::from(super::code_of(&error))
        }
    }
}

/// Enters the capture, proves it, and says as whom to go on.
fn prepare(args: &Args, control: PathBuf) -> anyhow::Result<launcher::Identity> {
    let identity = launcher::Identity::find(&user(args.user.as_deref()))?;
    let mut client = Client::connect(control)?;
    let Reply::Enrolled(enrolled) = client.ask(&Command::Enrol { name: args.name.clone(), jail: false })? else {
        anyhow::bail!("the daemon answered something else than was asked");
    };
    drop(client);
    let token = enrolled.token.parse().context("the daemon sent no canary token")?;
    canary::probe(&token).context("the capture does not hold, so the command is not run")?;
    Ok(identity)
}

/// The user named, else who called sudo, else who calls; root becomes a user that owns nothing.
fn user(named: Option<&str>) -> String {
    let caller = nix::unistd::getuid();
    let sudo = || env::var("SUDO_UID").ok().filter(|uid| uid != "0");
    match named {
        Some(named) => named.to_owned(),
        None if caller.is_root() => sudo().unwrap_or_else(|| NOBODY.to_owned()),
        None => caller.to_string(),
    }
}
