//! Directories of one test, open to the users that services run as.

use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// A temporary directory that other users may enter, removed with the value.
pub fn temporary() -> Result<TempDir> {
    let directory = tempfile::Builder::new().prefix("portcullis-test-").tempdir().context("temporary directory")?;
    open(directory.path(), 0o755)?;
    Ok(directory)
}

/// Sets a path's permission bits.
pub fn open(path: &Path, mode: u32) -> Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).with_context(|| format!("chmod {}", path.display()))
}

/// The root of the repository that this was built from.
pub fn repository() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
