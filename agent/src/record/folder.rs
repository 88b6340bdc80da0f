//! The folder of records: `journal`, `index.sqlite`, and a folder of session files for each day.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{SessionId, StoreError};

/// What session files end with.
const EXTENSION: &str = "rec";

/// Where a session's file lies: `YYYY-MM-DD/<id>.rec`, by its beginning in UTC.
pub fn path_of(root: &Path, id: SessionId) -> PathBuf {
    root.join(id.date().to_string()).join(format!("{id}.{EXTENSION}"))
}

/// The folder of records of a daemon with this state directory.
pub fn below(state_dir: &Path) -> PathBuf {
    state_dir.join("records")
}

pub fn journal_of(root: &Path) -> PathBuf {
    root.join("journal")
}

/// Makes a folder that only its owner enters, and its parents.
pub fn make_private_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreError::file("make the folder", path))
}

/// The ids of all session files, in the order of their beginning.
pub fn session_files(root: &Path) -> Result<Vec<SessionId>, StoreError> {
    let read = || -> io::Result<Vec<SessionId>> {
        let mut ids = Vec::new();
        for day in fs::read_dir(root)? {
            let day = day?;
            if !day.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(day.path())? {
                let path = file?.path();
                let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
                // A file that lies elsewhere than its name says is none of ours.
                ids.extend(id.filter(|id| path_of(root, *id) == path));
            }
        }
        ids.sort_unstable();
        Ok(ids)
    };
    read().map_err(StoreError::file("list", root))
}
