//! The recorder: begins sessions, takes their entries, and says when it cannot.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::SystemTime,
};

use super::{
    BeginEntry, ENTRY_MAX, Kind, RecordError, SessionHeader, SessionId, StoreError, folder,
    health::Health,
    index::Index,
    journal::Journal,
    session::{Session, SessionRecorder},
    shared::{Shared, micros},
    syncer::Syncer,
    writer::Writer,
};

/// Bytes of the journal unless the configuration says otherwise.
pub const JOURNAL_BYTES: u64 = 32 * 1024 * 1024;

/// Where records lie, and how much waits in memory at most.
#[derive(Clone, Debug)]
pub struct RecorderConfig {
    /// Made if it is not there; readable by its owner alone.
    pub directory: PathBuf,
    pub journal_bytes: u64,
}

impl RecorderConfig {
    /// Records below this state directory, with defaults for the rest.
    pub fn new(state_dir: &Path) -> Self {
        Self { directory: folder::below(state_dir), journal_bytes: JOURNAL_BYTES }
    }
}

/// Records sessions. Cheap to clone. Dropping the last clone waits until everything appended is on the disk.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
    _thread: Arc<WriterThread>,
}

impl Recorder {
    /// Opens the store, finishes what an earlier daemon left, and starts to write.
    pub fn open(config: &RecorderConfig) -> Result<Self, RecordError> {
        let root = &config.directory;
        let opened = Journal::open(&folder::journal_of(root), config.journal_bytes)?;
        let (index, fresh) = Index::open(root)?;
        let health = Arc::new(Health::default());
        let syncer =
            Syncer::start(root.clone(), Arc::clone(&health)).map_err(StoreError::file("start a thread for", root))?;
        let mut writer = Writer::new(root.clone(), opened.tail, index, syncer);

        let lost = writer.recover(opened.rebooted)?;
        if lost > 0 {
            tracing::error!(
                bytes = lost,
                "the journal was damaged when the machine stopped: its last entries are lost"
            );
        }
        if fresh || opened.rebooted || opened.journal.index_is_stale() {
            for id in folder::session_files(root)? {
                writer.adopt(id)?;
            }
        }
        writer.seal_interrupted()?;
        opened.journal.set_index_stale(!writer.is_indexed());
        let next = writer.index().last_number()? + 1;
        let journal = opened.journal;
        journal.next_number().fetch_max(next, Ordering::Relaxed);

        let shared = Arc::new(Shared::new(journal, health));
        let thread =
            WriterThread::start(Arc::clone(&shared), writer).map_err(StoreError::file("start a thread for", root))?;
        Ok(Self { shared, _thread: Arc::new(thread) })
    }

    /// Begins the record of a session, which may be one that is denied at once.
    pub fn begin(&self, header: &SessionHeader) -> Result<SessionRecorder, RecordError> {
        let now = SystemTime::now();
        let id = SessionId::new(now)?;
        let session = Session::new(id, Arc::clone(&self.shared));
        {
            let _turn = self.shared.beginning.lock();
            let number = self.shared.journal.next_number();
            let entry =
                BeginEntry { id, number: number.load(Ordering::Relaxed), started: micros(now), header: header.clone() };
            let payload = serde_json::to_vec(&entry).map_err(|error| RecordError::Header(error.into()))?;
            if payload.len() > ENTRY_MAX {
                return Err(RecordError::TooLarge { length: payload.len() });
            }
            session.append(Kind::Begin, &payload)?;
            number.fetch_add(1, Ordering::Relaxed);
        }
        Ok(SessionRecorder::new(session))
    }

    /// Why nothing can be recorded; `None` while all is well.
    pub fn broken(&self) -> Option<Arc<str>> {
        self.shared.health.broken()
    }

    /// Bytes that wait in the journal, and how many it holds.
    pub fn journal_level(&self) -> (u64, u64) {
        (self.shared.journal.pending(), self.shared.journal.capacity())
    }

    /// Waits until a session can begin, or the store breaks.
    pub async fn ready(&self) -> Result<(), RecordError> {
        self.shared.wait_until(|shared| shared.journal.has_room()).await
    }

    /// Waits until all that was appended so far is in the sessions' files and the index, where readers find it.
    pub async fn flush(&self) -> Result<(), RecordError> {
        self.shared.flush().await
    }
}

/// The thread that writes; ends with the recorder.
struct WriterThread {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
}

impl WriterThread {
    fn start(shared: Arc<Shared>, mut writer: Writer) -> std::io::Result<Self> {
        let runner = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("record-write".into());
        let handle = builder.spawn(move || runner.write(&mut writer))?;
        let _ = shared.writer.set(handle.thread().clone());
        Ok(Self { shared, handle: Some(handle) })
    }
}

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.wake_writer();
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
        self.shared.progress.notify_waiters();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pending, capacity) = self.journal_level();
        f.debug_struct("Recorder").field("pending", &pending).field("capacity", &capacity).finish_non_exhaustive()
    }
}
