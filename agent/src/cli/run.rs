//! `portcullis run`: a command in a jail, under capture.
//!
//! This process stands for the command: input, output, terminal, signals and exit status are the command's. Before
//! the command runs, the capture has been proven from inside.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;

use super::output;
use crate::{
    capture::{Loopback, canary},
    control::{Client, Command, Doorway, Enrolled, Leads, Reply},
    jail::{Ended, Identity, Jail, LaunchError, Opening},
};

/// Run a command under capture, in a jail of its own.
#[derive(Debug, clap::Args)]
#[command(
    long_about = "Run a command under capture, in a jail of its own.\n\n\
        The command has a user, a network, processes, a /tmp and a home of its own, and no privileges. It sees the \
        host's programs and libraries, and for writing only what --bind names. Its connections arrive at the daemon. \
        It ends with this command, and this command ends as it ended.",
    after_help = "Examples:\n  \
        cd ~/project && sudo portcullis run --name report-bot --bind . -- bash\n  \
        sudo portcullis run --bind ~/project --bind ~/.cargo:ro -- claude\n  \
        sudo portcullis run --user alice -- psql -h db.internal shop\n\n\
        What does not work inside, and why: agent/docs/jail.md."
)]
pub struct Args {
    /// The workload's name, as policy knows it [default: run-<pid>]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Run as this user of the host, with its files and its home [default: a user of the workload's own]
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Give a file or directory to the command, at its own place; `:ro` for reading only. Repeatable
    #[arg(long, value_name = "PATH[:ro]")]
    bind: Vec<OsString>,
    /// Set a variable, or keep one that names something outside, such as SSH_AUTH_SOCK. Repeatable
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Leave the stores of certificates as they are: the command does not trust what the gate shows it for a server
    #[arg(long)]
    no_trust: bool,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub fn run(args: Args, control: PathBuf) -> ExitCode {
    match jailed(&args, control) {
        Ok(Ended::Exited(status)) => ExitCode::from(status),
        Ok(Ended::Killed(signal)) => end_by(signal),
        Err(error) => {
            output::fail(&error);
            ExitCode::from(error.downcast_ref().map_or_else(|| super::code_of(&error), LaunchError::exit_status))
        }
    }
}

/// Enters the jail's network, is enrolled there, proves the capture, and runs the command.
fn jailed(args: &Args, control: PathBuf) -> anyhow::Result<Ended> {
    let Some((program, arguments)) = args.command.split_first() else { anyhow::bail!("no command") };
    let named = args.user.as_deref().map(Identity::find).transpose()?;
    let mut jail = Jail::begin(&args.bind)?;
    let enrolled = enrol(args, control)?;
    let identity = match named {
        Some(identity) => identity,
        None => {
            Identity::own(enrolled.uid.context("the daemon gave the workload no user; is it of another version?")?)?
        }
    };
    if !args.no_trust {
        jail.trust(enrolled.authority.as_deref().unwrap_or_default())?;
    }
    let token = enrolled.token.parse().context("the daemon sent no canary token")?;
    canary::probe(&token, Loopback::Private).context("the capture does not hold, so the command is not run")?;
    let mut openings: Vec<_> = enrolled.doorways.into_iter().map(opening).collect();
    // Directories first, so that files stand in them; each once, however many sockets are in it.
    openings.sort_by(|one, other| one.path.cmp(&other.path));
    openings.dedup();
    Ok(jail.run(&identity, &openings, &variables(&args.env), program, arguments)?)
}

fn enrol(args: &Args, control: PathBuf) -> anyhow::Result<Enrolled> {
    match Client::connect(control)?.ask(&Command::Enrol { name: args.name.clone(), jail: true })? {
        Reply::Enrolled(enrolled) => Ok(enrolled),
        _ => anyhow::bail!("the daemon answered something else than was asked"),
    }
}

/// Directories of the jail's own, which a doorway's cannot stand in for.
const SHARED: [&str; 3] = ["/run", "/tmp", "/var/tmp"];

/// What the jail mounts for a doorway: the directory, so that the next daemon's socket is found there as well.
fn opening(doorway: Doorway) -> Opening {
    match (doorway.leads, doorway.path.parent(), doorway.listener.parent()) {
        (Leads::ToTarget, Some(path), Some(source)) if !SHARED.iter().any(|shared| path == Path::new(shared)) => {
            Opening { path: path.to_owned(), source: source.to_owned() }
        }
        // In a directory that everything else needs, the socket alone: it ends with this daemon.
        (Leads::ToTarget | Leads::ToHost, ..) => Opening { path: doorway.path, source: doorway.listener },
    }
}

/// `NAME=VALUE` as it is, `NAME` with the caller's value where there is one.
fn variables(given: &[String]) -> Vec<(OsString, OsString)> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) => Some((name.into(), value.into())),
        None => std::env::var_os(text).map(|value| (text.into(), value)),
    };
    given.iter().filter_map(pair).collect()
}

/// Ends as the command did: by the same signal, so that whoever waits sees it.
fn end_by(number: u8) -> ExitCode {
    // SAFETY: the default action replaces no handler that anybody else relies on.
    unsafe {
        let mut only: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut only);
        libc::sigaddset(&raw mut only, number.into());
        libc::signal(number.into(), libc::SIG_DFL);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
        libc::raise(number.into());
    }
    // It did not end this process: as a shell has it.
    ExitCode::from(number.saturating_add(128))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jail_mounts_what_outlives_the_daemon_where_nothing_else_is() {
        let opened = |path: &str, leads| {
            let listener = Path::new("/kept").join(path.trim_start_matches('/'));
            let opening = opening(Doorway { path: path.into(), listener, leads });
            (opening.path.display().to_string(), opening.source.display().to_string())
        };
        for (path, leads, mounted) in [
            ("/run/postgresql/s", Leads::ToTarget, "/run/postgresql"),
            ("/tmp/s", Leads::ToTarget, "/tmp/s"),
            ("/run/nscd/socket", Leads::ToHost, "/run/nscd/socket"),
        ] {
            assert_eq!(opened(path, leads), (mounted.to_owned(), format!("/kept{mounted}")), "{path}");
        }
    }
}
