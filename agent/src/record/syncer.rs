//! Brings written files to the disk, so that a loss of power costs little.
//!
//! What a killed daemon had appended is safe in the journal; this is about the machine. Files are flushed every
//! [`SYNC_EVERY`], and at once when a denial or an approval was written. Nobody waits for it.

use std::{collections::HashMap, fs::File, io, path::PathBuf, sync::Arc, thread::JoinHandle, time::Duration};

use parking_lot::{Condvar, Mutex};

use super::{
    SessionId, StoreError,
    health::{Health, Part},
};

/// The longest that a written entry waits for the disk, unless the disk is slower.
pub const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Most files that are flushed one by one; more are left to one flush of the whole file system.
pub const SYNC_EACH_MAX: usize = 256;

/// The thread that flushes, and what it has to flush.
pub struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    root: PathBuf,
    health: Arc<Health>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    dirty: HashMap<SessionId, Arc<File>>,
    /// Too many to remember each.
    everything: bool,
    urgent: bool,
    stopping: bool,
}

impl Syncer {
    pub fn start(root: PathBuf, health: Arc<Health>) -> io::Result<Self> {
        let shared = Arc::new(Shared { root, health, state: Mutex::default(), changed: Condvar::new() });
        let runner = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("record-sync".into()).spawn(move || runner.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Notes that this file was written to.
    pub fn wrote(&self, id: SessionId, file: Arc<File>) {
        let mut state = self.shared.state.lock();
        if state.everything {
            return;
        }
        state.dirty.insert(id, file);
        if state.dirty.len() > SYNC_EACH_MAX {
            state.dirty.clear();
            state.everything = true;
        }
    }

    /// Flushes as soon as the flush that is under way is done.
    pub fn hurry(&self) {
        self.shared.state.lock().urgent = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.state.lock().stopping = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let mut state = self.state.lock();
            if !state.urgent && !state.stopping {
                self.changed.wait_for(&mut state, SYNC_EVERY);
            }
            state.urgent = false;
            let stopping = state.stopping;
            let dirty = std::mem::take(&mut state.dirty);
            let everything = std::mem::take(&mut state.everything);
            drop(state);

            match self.flush(&dirty, everything) {
                Ok(()) => self.health.succeeded(Part::Syncing),
                Err(error) => {
                    self.health.failed(Part::Syncing, &error);
                    self.state.lock().everything = true;
                }
            }
            if stopping {
                return;
            }
        }
    }

    fn flush(&self, dirty: &HashMap<SessionId, Arc<File>>, everything: bool) -> Result<(), StoreError> {
        if everything {
            let folder = File::open(&self.root).map_err(StoreError::file("open", &self.root))?;
            return nix::unistd::syncfs(&folder)
                .map_err(io::Error::from)
                .map_err(StoreError::file("flush the file system of", &self.root));
        }
        for (id, file) in dirty {
            file.sync_data().map_err(StoreError::file("flush", super::folder::path_of(&self.root, *id)))?;
        }
        Ok(())
    }
}
