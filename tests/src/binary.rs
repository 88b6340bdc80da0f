//! The `portcullis` binary that tests run.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use anyhow::{Context, Result, bail};

use crate::place;

/// Names the binary to test; `cargo xtask` sets it after building once.
pub const VARIABLE: &str = "PORTCULLIS_BINARY";

/// The binary named by [`VARIABLE`]; without one, that of the running test's own target directory, built first.
pub fn portcullis() -> Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOUND.get_or_init(|| find().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("no portcullis binary: {error}"),
    }
}

fn find() -> Result<PathBuf> {
    if let Some(path) = env::var_os(VARIABLE) {
        return std::fs::canonicalize(&path).with_context(|| format!("{VARIABLE}={}", path.display()));
    }
    let target = target_directory()?;
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--package", "portcullis", "--target-dir"])
        .arg(&target)
        .current_dir(place::repository())
        .status()
        .context("running cargo")?;
    if !built.success() {
        bail!("`cargo build --package portcullis` failed");
    }
    Ok(target.join("debug/portcullis"))
}

/// `target`, from `target/debug/deps/postgres-1f2e…`, `target/debug/examples/x` or `target/debug/xtask`.
pub fn target_directory() -> Result<PathBuf> {
    let own = env::current_exe()?;
    own.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .map(Path::to_owned)
        .with_context(|| format!("{} is in no target directory", own.display()))
}
