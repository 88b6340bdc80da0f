//! A directory of authorities, with one more in it.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
};

use rustls_pki_types::CertificateDer;

use super::name_hash::name_hash;
use crate::jail::mount::{self, Detached};

/// What the authority is called in it.
const FILE: &str = "portcullis.pem";

/// Most entries of a directory, and most bytes of the files among them; one with more is left as it is.
const ENTRIES_MAX: usize = 8192;
const BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Most names with one hash that OpenSSL is given to choose from.
const SAME_HASH_MAX: u32 = 16;

/// What a directory has, taken before it is covered.
enum Entry {
    Link(std::path::PathBuf),
    File { content: Vec<u8>, metadata: fs::Metadata },
    Directory(Detached),
}

/// Covers a directory with a copy of it in memory, in which the authority stands by its name's hash too
/// (`openssl-rehash(1)`).
pub fn cover(path: &Path, pem: &str, certificate: &CertificateDer<'_>) -> io::Result<()> {
    let Some(entries) = take(path)? else {
        eprintln!("warning: {} is too large to be copied, so it is left without the authority", path.display());
        return Ok(());
    };
    mount::memory(path, "mode=0755,size=64m")?;
    for (name, entry) in &entries {
        entry.place(&path.join(name))?;
    }
    let file = path.join(FILE);
    if !file.exists() {
        fs::write(&file, pem)?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444))?;
    }
    let Some(hash) = name_hash(certificate) else { return Ok(()) };
    let free = (0..SAME_HASH_MAX).map(|number| path.join(format!("{hash:08x}.{number}")));
    match free.into_iter().find(|link| fs::symlink_metadata(link).is_err()) {
        Some(link) => symlink(FILE, link),
        None => Ok(()),
    }
}

/// Everything in it but devices, pipes and sockets. `None`: it is too much.
fn take(path: &Path) -> io::Result<Option<Vec<(std::ffi::OsString, Entry)>>> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let kind = metadata.file_type();
        bytes += metadata.len();
        if entries.len() >= ENTRIES_MAX || bytes > BYTES_MAX {
            return Ok(None);
        }
        let taken = if kind.is_symlink() {
            Entry::Link(fs::read_link(entry.path())?)
        } else if kind.is_dir() {
            Entry::Directory(Detached::of(&entry.path())?)
        } else if kind.is_file() {
            Entry::File { content: fs::read(entry.path())?, metadata }
        } else {
            continue;
        };
        entries.push((entry.file_name(), taken));
    }
    Ok(Some(entries))
}

impl Entry {
    fn place(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Link(target) => symlink(target, path),
            Self::File { content, metadata } => {
                fs::write(path, content)?;
                chown(path, Some(metadata.uid()), Some(metadata.gid()))?;
                fs::set_permissions(path, metadata.permissions())
            }
            Self::Directory(mount) => {
                fs::create_dir(path)?;
                mount.attach(path)
            }
        }
    }
}
