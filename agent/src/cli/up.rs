//! `portcullis up` and `down`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, fmt};

use crate::{capture, config, daemon};

/// Run the daemon in the foreground. systemd runs the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis up --config /etc/portcullis/portcullis.toml")]
pub struct Args {
    /// The configuration [default: /etc/portcullis/portcullis.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Go on in the place of the daemon that runs with this configuration's control socket, without a gap
    #[arg(long)]
    takeover: bool,
    /// How the log is written to standard error; what is logged follows RUST_LOG
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().init(),
    }
    let config = config::load(args.config.as_deref())?;
    daemon::up(&config, args.takeover)?;
    Ok(ExitCode::SUCCESS)
}

/// Take the capture away: pinned programs and empty cgroups. Refused while a workload runs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  portcullis down --config /etc/portcullis/portcullis.toml")]
pub struct DownArgs {
    /// The configuration that `up` was given
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub fn down(args: DownArgs) -> anyhow::Result<ExitCode> {
    let config = config::load(args.config.as_deref())?;
    if std::os::unix::net::UnixStream::connect(&config.control).is_ok() {
        anyhow::bail!("the daemon still runs at {}\n  hint: stop it first", config.control.display());
    }
    capture::remove(&config.instance(), capture::BPFFS.as_ref())?;
    daemon::remove_doorways(&config.instance()).context("failed to remove the doorways")?;
    println!("capture `{}` is gone; nothing is governed any more", config.instance());
    Ok(ExitCode::SUCCESS)
}
