//! `cargo xtask fuzz`: the targets of `tests/fuzz`, where nightly Rust is.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use portcullis_tests::{cache, place, postgres::succeeded};

use crate::{
    prerequisites::{self, Need},
    progress,
    soundness::{self, Wanted},
};

/// The name of what is no target of cargo-fuzz: queries, not bytes.
const SOUNDNESS: &str = "soundness";

/// Feed hostile bytes to the codecs, the SQL classifier, the detectors, the record's reader and the configuration.
///
/// `cargo xtask fuzz soundness` asks queries instead, composed at random over planted secrets, through the gate on a live
/// server, and looks for the secrets in what comes back.
#[derive(clap::Args)]
pub struct Arguments {
    /// Targets to fuzz; all that take bytes when none is named.
    targets: Vec<String>,
    /// How many queries `soundness` asks.
    #[arg(long, default_value_t = 10_000)]
    queries: u64,
    /// Where the queries of `soundness` begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Put the figures of `soundness` into the documentation.
    #[arg(long)]
    write: bool,
    /// How long each target is fuzzed.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Fuzzes; false when a target found something.
pub fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.targets.iter().any(|target| target == SOUNDNESS) {
        ensure!(arguments.targets.len() == 1, "`{SOUNDNESS}` is fuzzed alone");
        let Arguments { queries, seed, write, .. } = *arguments;
        return soundness::run(&Wanted { queries, seed, write });
    }
    ensure!(available(), "fuzzing needs nightly Rust\nhint: `rustup toolchain install nightly`");
    prerequisites::install(&[Need::Build, Need::Fuzz])?;
    let known = targets()?;
    let unknown: Vec<_> = arguments.targets.iter().filter(|target| !known.contains(target)).collect();
    if !unknown.is_empty() {
        bail!("unknown targets: {unknown:?}\nhint: there are {}, {SOUNDNESS}", known.join(", "));
    }
    let wanted = if arguments.targets.is_empty() { &known } else { &arguments.targets };
    let mut clean = true;
    for target in wanted {
        clean &= feed(target, arguments.seconds)?;
    }
    Ok(clean)
}

/// Whether this machine can fuzz at all.
pub fn available() -> bool {
    let nightly = nightly("rustc").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    nightly.is_ok_and(|status| status.success()) && place::repository().join("tests/fuzz").exists()
}

/// The names of the fuzz targets.
pub fn targets() -> Result<Vec<String>> {
    let listed = fuzz("list").output().context("running cargo fuzz")?;
    Ok(succeeded("cargo fuzz list", listed)?.lines().map(|line| line.trim().to_owned()).collect())
}

/// Fuzzes one target, from its named seeds on; prints what it found. False when it found something.
pub fn feed(target: &str, seconds: u32) -> Result<bool> {
    let corpus = cache::root().join("corpus").join(target);
    std::fs::create_dir_all(&corpus)?;
    let mut command = fuzz("run");
    command.arg("--target-dir").arg(cache::root().join("fuzz-target")).arg(target).arg(corpus);
    let seeds = place::repository().join("tests/fuzz/seeds").join(target);
    if seeds.exists() {
        command.arg(seeds);
    }
    command.arg("--").arg(format!("-max_total_time={seconds}"));
    let mut said = Vec::new();
    let clean = progress::watch(&format!("fuzz {target}"), &mut command, |line| said.push(line.to_owned()))?;
    if !clean {
        said.iter().skip(said.len().saturating_sub(60)).for_each(|line| eprintln!("{line}"));
    }
    Ok(clean)
}

fn fuzz(action: &str) -> Command {
    let mut command = nightly("cargo");
    command.args(["fuzz", action, "--fuzz-dir"]).arg(place::repository().join("tests/fuzz"));
    command
}

/// A program of the nightly toolchain, whichever toolchain runs this.
fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]).env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    command
}
