//! The state directory, and what the daemon itself keeps there.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::Context;

pub(super) fn make_state_dir(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("failed to close {} to others", path.display()))
}

/// The key of the `hash` mask: made once, so that tokens stay the same over restarts.
pub(super) fn mask_key(state_dir: &Path) -> anyhow::Result<[u8; 32]> {
    let path = state_dir.join("mask.key");
    match fs::read(&path) {
        Ok(bytes) => bytes
            .try_into()
            .map_err(|bytes: Vec<u8>| anyhow::anyhow!("{} holds {} bytes, expected 32", path.display(), bytes.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("the kernel gives no randomness: {error}"))?;
            write_private(&path, &key).with_context(|| format!("failed to write {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(fresh, path)
}
