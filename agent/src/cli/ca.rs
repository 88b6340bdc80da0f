//! `portcullis ca`: the local certificate authority that workloads trust.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;

use super::{options::Options, output};
use crate::tls::{Authority, Change, TrustStore};

const EXAMPLES: &str = "Examples:
  portcullis ca show > portcullis-ca.pem
  portcullis ca install --dry-run
  portcullis ca install
  portcullis ca remove --all

`portcullis run` needs none of this: what it starts trusts the authority already. What does not: agent/docs/trust.md.";

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
    #[command(after_help = EXAMPLES)]
    Install(ChangeArgs),
    /// Take the certificate out of them
    #[command(after_help = EXAMPLES)]
    Remove {
        #[command(flatten)]
        change: ChangeArgs,
        /// Every authority that `ca install` has ever added, of other daemons and of former ones too
        #[arg(long)]
        all: bool,
    },
}

/// Which store is changed, and whether it is.
#[derive(Debug, clap::Args)]
struct ChangeArgs {
    #[command(flatten)]
    options: Options,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// The store of the system below this directory, such as an image that is being made
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

pub fn run(args: Args) -> ExitCode {
    let ended = match &args.command {
        Command::Show(options) => show(options),
        Command::Install(change) => install(change),
        Command::Remove { change, all } => remove(change, *all),
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
    /// Whether it is in this host's store; `None`: where that is, is not known.
    trusted: Option<bool>,
    pem: &'a str,
}

/// What became of a trust store.
#[derive(Serialize)]
struct Changed<'a> {
    fingerprint: Option<String>,
    /// Written or removed; none: it was so already.
    files: &'a [PathBuf],
    /// The command that was run, so that programs read the files.
    ran: Option<&'a str>,
    /// The command that is left to be run in the system below `--root`.
    left: Option<&'a str>,
    dry_run: bool,
}

fn show(options: &Options) -> anyhow::Result<()> {
    let authority = open(options)?;
    let trusted = TrustStore::find(Path::new("/")).and_then(|store| store.trusts(authority.pem())).ok();
    if options.json {
        return output::json(&Shown { fingerprint: authority.fingerprint(), trusted, pem: authority.pem() });
    }
    eprintln!("SHA-256 fingerprint: {}", authority.fingerprint());
    print!("{}", authority.pem());
    Ok(())
}

fn install(args: &ChangeArgs) -> anyhow::Result<()> {
    let (authority, store) = (open(&args.options)?, TrustStore::find(&args.root)?);
    let change = if args.dry_run { store.to_install(authority.pem()) } else { store.install(authority.pem()) }?;
    if args.options.json {
        return tell_json(args, Some(&authority), &change);
    }
    let verb = if args.dry_run { "would write" } else { "wrote" };
    tell(args, verb, "it is installed already", &change);
    if !change.files.is_empty() && !args.dry_run {
        println!("undo with: portcullis ca remove");
    }
    println!(
        "programs with a list of their own (Node.js, Python's certifi, browsers) do not read it: agent/docs/trust.md"
    );
    Ok(())
}

fn remove(args: &ChangeArgs, all: bool) -> anyhow::Result<()> {
    let store = TrustStore::find(&args.root)?;
    // What former daemons have left is removed without one.
    let authority = if all { None } else { Some(open(&args.options)?) };
    let wanted = match &authority {
        Some(authority) => store.to_remove(authority.pem())?,
        None => store.to_remove_all()?,
    };
    let change = if args.dry_run { wanted } else { store.remove(wanted)? };
    if args.options.json {
        return tell_json(args, authority.as_ref(), &change);
    }
    let verb = if args.dry_run { "would remove" } else { "removed" };
    tell(args, verb, "it is not installed", &change);
    if !change.files.is_empty() && !args.dry_run && !all {
        println!("undo with: portcullis ca install");
    }
    Ok(())
}

/// In words.
fn tell(args: &ChangeArgs, verb: &str, nothing: &str, change: &Change) {
    for file in &change.files {
        println!("{verb} {}", file.display());
    }
    if change.files.is_empty() {
        println!("{nothing}");
    }
    match (change.updates, args.dry_run) {
        (true, true) => println!("would run {}", change.update),
        (true, false) => println!("ran {}", change.update),
        (false, _) if !change.files.is_empty() => {
            println!("run `{}` in the system below {}", change.update, args.root.display());
        }
        (false, _) => {}
    }
}

fn tell_json(args: &ChangeArgs, authority: Option<&Authority>, change: &Change) -> anyhow::Result<()> {
    output::json(&Changed {
        fingerprint: authority.map(Authority::fingerprint),
        files: &change.files,
        ran: (change.updates && !args.dry_run).then_some(change.update),
        left: (!change.updates && !change.files.is_empty()).then_some(change.update),
        dry_run: args.dry_run,
    })
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
