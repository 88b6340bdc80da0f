//! The command line.
//!
//! Exit codes: 0 done, 1 a finding or a refusal, 2 wrong usage or something unreadable, 126 and 127
//! from `run` when the command cannot be run or found, as shells have them.

mod approvals;
mod ca;
mod config;
mod doctor;
mod enrol;
mod findings;
mod generate;
mod highlight;
mod metrics;
mod options;
mod output;
mod policy;
mod run;
mod sessions;
mod status;
mod target;
mod up;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::control::{Client, ClientError, socket_path};

/// A gate that no AI agent on this host can walk around.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// The daemon's control socket [default: $PORTCULLIS_CONTROL, else /run/portcullis/control.sock]
    #[arg(long, global = true, value_name = "PATH")]
    control: Option<PathBuf>,

    #[command(subcommand)]
    command: Subject,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Run the daemon in the foreground
    Up(up::Args),
    /// Take the capture away, when no workload runs any more
    Down(up::DownArgs),
    /// Run a command under capture
    Run(run::Args),
    /// Put processes that run already under capture
    Enrol(enrol::Args),
    /// Let processes go that `enrol` put under capture
    Release(enrol::ReleaseArgs),
    /// Show what is enforced
    Status(status::Args),
    /// Print metrics for a monitoring system
    Metrics(metrics::Args),
    /// Say what this kernel allows, and what that means
    Doctor(doctor::Args),
    /// Try to get out, and show what held
    Prove(doctor::ProveArgs),
    /// Answer requests that wait for a person
    Approvals(approvals::Args),
    /// Show and revoke standing grants
    Grants(approvals::GrantArgs),
    /// List, replay and verify recorded sessions; end running ones
    Sessions(sessions::Sessions),
    /// Check, test and explain policy
    Policy(policy::Policy),
    /// List and try the configured targets
    Target(target::Args),
    /// Show the local certificate authority
    Ca(ca::Args),
    /// Check the configuration
    Config(config::Args),
    /// Print completions for a shell
    Completions(generate::CompletionArgs),
    /// Write the man pages
    Man(generate::ManArgs),
    /// The probing half of the canary
    #[command(hide = true)]
    Canary,
}

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if !matches!(cli.command, Subject::Up(_) | Subject::Run(_)) {
        end_with_reader();
    }
    let control = socket_path(cli.control.as_deref());
    let ended = match cli.command {
        Subject::Up(args) => up::run(args),
        Subject::Down(args) => up::down(args),
        Subject::Run(args) => return run::run(args, control),
        Subject::Enrol(args) => enrol::run(args, control),
        Subject::Release(args) => enrol::release(args, control),
        Subject::Status(args) => status::run(args, control),
        Subject::Metrics(args) => metrics::run(args, control),
        Subject::Doctor(args) => doctor::run(args, control),
        Subject::Prove(args) => doctor::prove(args, control),
        Subject::Approvals(args) => approvals::run(args, control),
        Subject::Grants(args) => approvals::grants(args, control),
        Subject::Sessions(args) => args.run(control),
        Subject::Policy(args) => return policy::run(args),
        Subject::Target(args) => return target::run(args),
        Subject::Ca(args) => return ca::run(args),
        Subject::Config(args) => return config::run(args),
        Subject::Completions(args) => return generate::completions(args),
        Subject::Man(args) => return generate::man(args),
        Subject::Canary => doctor::canary(),
    };
    ended.unwrap_or_else(|error| {
        output::fail(&error);
        ExitCode::from(code_of(&error))
    })
}

/// Lets a command end quietly when whoever reads its output has seen enough (`| head`).
fn end_with_reader() {
    // SAFETY: the default action replaces no handler; no other thread runs yet.
    let restored = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    // Without it the command only ends less quietly.
    let _ = restored;
}

/// 1 for a refusal, 2 for everything that kept the command from being carried out.
fn code_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused { .. }) => 1,
        Some(ClientError::Unreachable { .. } | ClientError::BrokeOff { .. } | ClientError::Foreign { .. }) | None => 2,
    }
}

/// Asks the daemon one thing.
fn ask(control: PathBuf, command: &crate::control::Command) -> anyhow::Result<crate::control::Reply> {
    Ok(Client::connect(control)?.ask(command)?)
}
