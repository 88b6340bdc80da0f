//! What can go wrong with the record. Every one of these means: no permit.

use std::{io, path::PathBuf, sync::Arc};

use super::APPEND_MAX;

/// Why something could not be recorded.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RecordError {
    /// The writer is behind; wait with `SessionRecorder::ready`.
    #[error("the record's journal of {capacity} bytes is full")]
    Full { capacity: u64 },
    /// The store fails. The recorder tries again by itself, and takes entries when it succeeds.
    #[error("the record cannot be written: {reason}")]
    Broken { reason: Arc<str> },
    #[error("an entry of {length} bytes exceeds the limit of {APPEND_MAX}")]
    TooLarge { length: usize },
    /// `begin` and `end` write these entries.
    #[error("entries of kind `{kind}` are the recorder's own")]
    Reserved { kind: &'static str },
    #[error("the session's record is closed")]
    Ended,
    #[error("the recorder is shut down")]
    Closed,
    #[error("the system gave no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error("the session header cannot be written as JSON: {0}")]
    Header(Arc<serde_json::Error>),
    /// Another daemon writes to the same state directory.
    #[error("`{path}` is in use by another daemon")]
    InUse { path: PathBuf },
    #[error("the journal's size of {given} bytes is below the least of {least}")]
    JournalTooSmall { given: u64, least: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the store did not do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("failed to {action} `{path}`: {source}")]
    File { action: &'static str, path: PathBuf, source: Arc<io::Error> },
    #[error("the index failed: {0}")]
    Index(Arc<rusqlite::Error>),
    /// Somebody else wrote to the mapped file, or the memory failed.
    #[error("the journal is damaged at byte {position}")]
    Journal { position: u64 },
    /// Sessions that are written but not yet in the index are kept in memory.
    #[error("{waiting} sessions wait for the index, the limit is {max}: {source}")]
    IndexBehind { waiting: usize, max: usize, source: Arc<rusqlite::Error> },
}

impl StoreError {
    /// Names what was tried on which file.
    pub fn file(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { action, path, source: Arc::new(source) }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Index(Arc::new(error))
    }
}
