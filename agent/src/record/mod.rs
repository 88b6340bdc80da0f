//! The record: what happened, appended before it goes on.
//!
//! ```text
//! SessionRecorder::append ─▶ journal (mapped ring) ─▶ writer ─▶ YYYY-MM-DD/<session>.rec, index.sqlite
//!   one copy, in the session    survives kill -9       one thread: blocks, hash chain, files
//! ```
//!
//! What could not be appended is not permitted. Nothing is dropped: a session waits when the writer is behind, and
//! fails when the store does. `docs/recording-format.md` beside this crate describes the bytes.
//!
//! The hash chain shows what was changed, lost or moved by anybody who does not rewrite the rest of the file **and** the
//! index. It does not stop root from replacing everything: keep a copy elsewhere where that matters.

pub mod blocks;
mod entry;
mod error;
mod file;
mod folder;
pub mod format;
mod health;
mod id;
mod index;
mod journal;
pub mod printable;
pub mod reader;
mod recorder;
mod recording;
mod session;
mod shared;
mod syncer;
pub mod verify;
mod writer;

pub use entry::{
    AccessEntry, ApprovalEntry, ApprovalEvent, BeginEntry, DecisionEntry, DenialEntry, EndEntry, ErrorEntry, Kind,
    LifecycleEntry, MaskEntry, Outcome, SUMMARY_MAX, SessionHeader, Tally,
};
pub use error::{RecordError, StoreError};
pub use folder::{below as folder_below, path_of, session_files};
pub use format::ENTRY_MAX;
pub use id::{NotASessionId, SESSION_ID_LENGTH, SessionId};
pub use index::{Index, Progress, Row, SEARCH_MAX, Search, Whose};
pub use journal::JOURNAL_LEAST;
pub use recorder::{JOURNAL_BYTES, Recorder, RecorderConfig};
pub use recording::{ReadError, Recording};
pub use session::SessionRecorder;
pub use shared::FLUSH_EVERY;
pub use syncer::{SYNC_EACH_MAX, SYNC_EVERY};
pub use writer::{OPEN_FILES_MAX, UNINDEXED_MAX};

/// Most bytes of one append.
pub const APPEND_MAX: usize = 1024 * 1024;

#[cfg(test)]
mod tests;
