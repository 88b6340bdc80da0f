//! `portcullis ca`: the local certificate authority that workloads trust.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;

use super::{options::Options, output};
use crate::tls::{Authority, TrustStore};

const EXAMPLES: &str = "Examples:
  portcullis ca show > portcullis-ca.pem
  portcullis ca install
  PGSSLROOTCERT=portcullis-ca.pem portcullis run -- psql 'host=db.internal sslmode=verify-full'";

/// Show the local certificate authority, or make this host trust it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the certificate as PEM; its fingerprint goes to standard error
    #[command(after_help = EXAMPLES)]
    Show(Options),
    /// Add the certificate to the authorities that this host's programs trust
    Install(Options),
    /// Take the certificate out of them
    Remove(Options),
}

pub fn run(args: Args) -> ExitCode {
    let ended = match &args.command {
        Command::Show(options) => show(options),
        Command::Install(options) => install(options),
        Command::Remove(options) => remove(options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::fail(&error);
            ExitCode::from(2)
        }
    }
}

/// An authority as programs read it.
#[derive(Serialize)]
struct Shown<'a> {
    fingerprint: String,
    pem: &'a str,
}

/// What became of a file of the host's trust store.
#[derive(Serialize)]
struct Changed {
    fingerprint: String,
    /// `None`: there was none.
    file: Option<PathBuf>,
}

fn show(options: &Options) -> anyhow::Result<()> {
    let authority = open(options)?;
    if options.json {
        return output::json(&Shown { fingerprint: authority.fingerprint(), pem: authority.pem() });
    }
    eprintln!("SHA-256 fingerprint: {}", authority.fingerprint());
    print!("{}", authority.pem());
    Ok(())
}

fn install(options: &Options) -> anyhow::Result<()> {
    let authority = open(options)?;
    let file = TrustStore::find()?.install(authority.pem())?;
    if !options.json {
        println!("installed {}", file.display());
        println!("programs with a store of their own (Java, Node.js, Python's certifi) do not read it");
        return Ok(());
    }
    output::json(&Changed { fingerprint: authority.fingerprint(), file: Some(file) })
}

fn remove(options: &Options) -> anyhow::Result<()> {
    let authority = open(options)?;
    let file = TrustStore::find()?.remove(authority.pem())?;
    if options.json {
        return output::json(&Changed { fingerprint: authority.fingerprint(), file });
    }
    match file {
        Some(file) => println!("removed {}", file.display()),
        None => println!("it was not installed"),
    }
    Ok(())
}

/// The authority of the daemon with that configuration. Only a daemon makes one.
fn open(options: &Options) -> anyhow::Result<Authority> {
    let directory = options.load()?.authority_dir();
    if !directory.exists() {
        anyhow::bail!(
            "there is no certificate authority in {}\n  hint: `portcullis up` makes it; name its configuration with --config",
            directory.display()
        );
    }
    Authority::open(&directory).context("failed to open the certificate authority")
}
