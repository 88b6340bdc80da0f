//! A session's file, opened to be read.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    SessionId, StoreError,
    format::{self, PREAMBLE},
};

/// A file of one session, as long as it was when it was opened.
pub struct Recording {
    path: PathBuf,
    file: File,
    pub(super) length: u64,
    id: SessionId,
}

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`{path}` does not begin like a record of version {}", format::VERSION)]
    NotARecord { path: PathBuf },
    #[error("entry {sequence} of kind `{kind}` cannot be read: {source}")]
    Payload { sequence: u64, kind: &'static str, source: serde_json::Error },
    #[error("`{path}` has no intact first entry")]
    NoBegin { path: PathBuf },
}

impl Recording {
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let read = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            let mut preamble = [0; PREAMBLE];
            if length >= PREAMBLE as u64 {
                file.read_exact_at(&mut preamble, 0)?;
            }
            Ok((file, length, preamble))
        };
        let (file, length, preamble) = read().map_err(StoreError::file("read", path))?;
        match format::read_preamble(&preamble) {
            Some(id) => Ok(Self { path: path.into(), file, length, id }),
            None => Err(ReadError::NotARecord { path: path.into() }),
        }
    }

    pub const fn id(&self) -> SessionId {
        self.id
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read_at(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}
