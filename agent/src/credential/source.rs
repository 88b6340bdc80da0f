use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Presentation, Secret};

/// Most bytes of a secret's file.
pub const SECRET_MAX: usize = 16 * 1024;

/// Permission bits that let others than the owner at a secret.
const EXPOSING: u32 = 0o077;

/// Where a credential's parts are kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    pub name: Arc<str>,
    /// Empty where there are no users.
    pub user: String,
    /// The file with the password.
    pub password: Option<PathBuf>,
    pub certificate: Option<CertificateFiles>,
    pub http: Option<Presentation>,
}

impl Source {
    /// Every file that the credential is made of.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let certificate = self.certificate.iter().flat_map(|files| [files.chain.as_path(), files.key.as_path()]);
        self.password.as_deref().into_iter().chain(certificate)
    }
}

/// A client certificate and its private key, both as PEM.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CertificateFiles {
    pub chain: PathBuf,
    pub key: PathBuf,
}

/// Why a secret's file is not used. None of them holds a byte of it.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read `{}`", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{}` is not a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("`{}` may be read or changed by others: its mode is {mode:04o}", path.display())]
    Exposed { path: PathBuf, mode: u32 },
    #[error("`{}` belongs to user {owner}, who could change it", path.display())]
    Foreign { path: PathBuf, owner: u32 },
    #[error("`{}` is longer than {SECRET_MAX} bytes", path.display())]
    TooLong { path: PathBuf },
    #[error("`{}` is empty", path.display())]
    Empty { path: PathBuf },
    #[error("`{}` holds a NUL byte, which no protocol can send", path.display())]
    Nul { path: PathBuf },
}

/// Reads a password: the file's bytes without the newline at the end.
pub fn read_password(path: &Path) -> Result<Secret, SourceError> {
    let secret = read_secret(path)?;
    let bytes = secret.expose();
    let line = bytes.strip_suffix(b"\r\n").or_else(|| bytes.strip_suffix(b"\n")).unwrap_or(bytes);
    if line.is_empty() {
        return Err(SourceError::Empty { path: path.into() });
    }
    if line.contains(&0) {
        return Err(SourceError::Nul { path: path.into() });
    }
    Ok(Secret::new(line.to_vec()))
}

/// Reads a file that only its owner may read, and whose owner is root or this process's user.
pub fn read_secret(path: &Path) -> Result<Secret, SourceError> {
    let unreadable = |source| SourceError::Unreadable { path: path.into(), source };
    // Not blocking, because opening a pipe would wait for its writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(unreadable)?;
    check(path, &file.metadata().map_err(unreadable)?)?;

    let mut bytes = Secret::new(Vec::with_capacity(SECRET_MAX + 1));
    file.take(SECRET_MAX as u64 + 1).read_to_end(bytes.bytes_mut()).map_err(unreadable)?;
    if bytes.expose().len() > SECRET_MAX {
        return Err(SourceError::TooLong { path: path.into() });
    }
    Ok(bytes)
}

fn check(path: &Path, metadata: &Metadata) -> Result<(), SourceError> {
    if !metadata.is_file() {
        return Err(SourceError::NotAFile { path: path.into() });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & EXPOSING != 0 {
        return Err(SourceError::Exposed { path: path.into(), mode });
    }
    let owner = metadata.uid();
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err(SourceError::Foreign { path: path.into(), owner });
    }
    Ok(())
}
