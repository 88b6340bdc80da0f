//! What this repository builds and tests run: `portcullis` itself, and the clients written in Rust.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::place;

/// Names the `portcullis` to test. Whoever sets it (`cargo xtask`) has built everything else too.
pub const VARIABLE: &str = "PORTCULLIS_BINARY";

/// The binary named by [`VARIABLE`]; without one, that of the running test's own target directory, built first.
pub fn portcullis() -> Result<PathBuf> {
    match env::var_os(VARIABLE) {
        Some(path) => std::fs::canonicalize(&path).with_context(|| format!("{VARIABLE}={}", path.display())),
        None => built(&["--package", "portcullis"], "portcullis"),
    }
}

/// An example of this package, built first unless [`VARIABLE`] is set.
pub fn example(name: &str) -> Result<PathBuf> {
    let path = format!("examples/{name}");
    match env::var_os(VARIABLE) {
        Some(_) => Ok(target_directory()?.join("debug").join(path)),
        None => built(&["--package", "portcullis-tests", "--example", name], &path),
    }
}

/// `target`, from `target/debug/deps/postgres-1f2e…` or `target/debug/xtask`.
pub fn target_directory() -> Result<PathBuf> {
    let own = env::current_exe()?;
    own.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists())
        .map(Path::to_owned)
        .with_context(|| format!("{} is in no target directory", own.display()))
}

fn built(what: &[&str], path: &str) -> Result<PathBuf> {
    let target = target_directory()?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What Cargo tells a test about its package would have build scripts run anew, and all that depends on them.
    for (name, _) in env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|word| name.to_string_lossy().starts_with(word)) {
            cargo.env_remove(&name);
        }
    }
    let output = cargo
        .args(["build", "--quiet", "--target-dir"])
        .arg(&target)
        .args(what)
        .current_dir(place::repository())
        .output()
        .context("running cargo")?;
    if !output.status.success() {
        bail!("cargo build {}: {}", what.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    Ok(target.join("debug").join(path))
}
