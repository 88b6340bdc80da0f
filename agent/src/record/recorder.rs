//! The recorder: begins sessions, takes their entries, and says when it cannot.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{JoinHandle, Thread},
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    APPEND_MAX, BeginEntry, ENTRY_MAX, EndEntry, Kind, Outcome, RecordError, SessionHeader, SessionId, StoreError,
    Tally, folder,
    format::{ENTRY_HEADER, EntryHeader, Stamp},
    health::{Health, Part},
    index::Index,
    journal::Journal,
    syncer::Syncer,
    writer::Writer,
};

/// Bytes of the journal unless the configuration says otherwise.
pub const JOURNAL_BYTES: u64 = 32 * 1024 * 1024;

/// How long entries gather in the journal before they are written, while they are few.
pub const FLUSH_EVERY: Duration = Duration::from_millis(10);

/// Bytes in the journal with which writing starts at once.
const FLUSH_AT: u64 = 512 * 1024;

/// How long the writer sleeps when there is nothing to write, and between attempts at a broken store.
const IDLE: Duration = Duration::from_secs(1);
const RETRY_EVERY: Duration = Duration::from_millis(200);

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

/// What sessions and the writer share.
struct Shared {
    journal: Arc<Journal>,
    health: Arc<Health>,
    clock: Clock,
    /// Told whenever the journal has room again, or the store's health changes.
    progress: Notify,
    writer: OnceLock<Thread>,
    /// Sessions that begin take turns, so that their numbers have no gaps.
    beginning: Mutex<()>,
    /// Ends that found the journal full.
    ends: Mutex<Vec<PendingEnd>>,
    closed: AtomicBool,
}

struct PendingEnd {
    id: SessionId,
    header: [u8; ENTRY_HEADER],
    payload: Vec<u8>,
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

        let shared = Arc::new(Shared {
            journal,
            health,
            clock: Clock::new(),
            progress: Notify::new(),
            writer: OnceLock::new(),
            beginning: Mutex::new(()),
            ends: Mutex::default(),
            closed: AtomicBool::new(false),
        });
        let thread =
            WriterThread::start(Arc::clone(&shared), writer).map_err(StoreError::file("start a thread for", root))?;
        Ok(Self { shared, _thread: Arc::new(thread) })
    }

    /// Begins the record of a session, which may be one that is denied at once.
    pub fn begin(&self, header: &SessionHeader) -> Result<SessionRecorder, RecordError> {
        let now = SystemTime::now();
        let id = SessionId::new(now)?;
        let session = Session {
            id,
            shared: Arc::clone(&self.shared),
            started: Instant::now(),
            state: Mutex::new(State::default()),
        };
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
        Ok(SessionRecorder { session: Arc::new(session) })
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
        let wanted = self.shared.journal.position();
        self.shared.wake_writer();
        self.shared.wait_until(|shared| shared.journal.drained() >= wanted).await
    }
}

/// The record of one session. Clones are the same session; they may be used from several tasks.
#[derive(Clone)]
pub struct SessionRecorder {
    session: Arc<Session>,
}

impl SessionRecorder {
    pub fn id(&self) -> SessionId {
        self.session.id
    }

    /// Copies an entry into the journal and returns its sequence in this session. All of it is recorded, or nothing.
    ///
    /// Costs a copy and two checksums. Fails with [`RecordError::Full`] when the writer is behind (wait with
    /// [`ready`](Self::ready)) and with [`RecordError::Broken`] when the store is.
    pub fn append(&self, kind: Kind, payload: &[u8]) -> Result<u64, RecordError> {
        match kind {
            Kind::Begin | Kind::End => Err(RecordError::Reserved { kind: kind.name() }),
            Kind::Lifecycle
            | Kind::FromWorkload
            | Kind::ToWorkload
            | Kind::Decision
            | Kind::Approval
            | Kind::Mask
            | Kind::Denial
            | Kind::Error => self.session.append(kind, payload),
        }
    }

    /// Appends an entry whose payload is JSON.
    pub fn append_json(&self, kind: Kind, entry: &impl serde::Serialize) -> Result<u64, RecordError> {
        let payload = serde_json::to_vec(entry).map_err(|error| RecordError::Header(error.into()))?;
        self.append(kind, &payload)
    }

    /// Appends, and waits for room while the journal is full. Payloads beyond [`APPEND_MAX`] go in parts.
    pub async fn write(&self, kind: Kind, payload: &[u8]) -> Result<u64, RecordError> {
        let mut sequence = self.write_part(kind, payload.get(..APPEND_MAX).unwrap_or(payload)).await?;
        for part in payload.chunks(APPEND_MAX).skip(1) {
            sequence = self.write_part(kind, part).await?;
        }
        Ok(sequence)
    }

    async fn write_part(&self, kind: Kind, part: &[u8]) -> Result<u64, RecordError> {
        loop {
            match self.append(kind, part) {
                Err(RecordError::Full { .. }) => self.ready().await?,
                done => return done,
            }
        }
    }

    /// Waits until an entry of any permitted length fits, or the store breaks.
    pub async fn ready(&self) -> Result<(), RecordError> {
        self.session.shared.wait_until(|shared| shared.journal.has_room()).await
    }

    /// Ends the session for all its clones; what they append later fails. Never fails itself: an end that finds the
    /// journal full is written when there is room.
    pub fn end(self, outcome: Outcome) {
        self.session.end(outcome);
    }
}

/// One session that is being recorded.
struct Session {
    id: SessionId,
    shared: Arc<Shared>,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The sequence of the next entry.
    next: u64,
    tally: Tally,
    ended: bool,
}

impl Session {
    fn append(&self, kind: Kind, payload: &[u8]) -> Result<u64, RecordError> {
        if let Some(reason) = self.shared.health.broken() {
            return Err(RecordError::Broken { reason });
        }
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(RecordError::Closed);
        }
        if payload.len() > APPEND_MAX {
            return Err(RecordError::TooLarge { length: payload.len() });
        }
        let mut state = self.state.lock();
        if state.ended {
            return Err(RecordError::Ended);
        }
        let stamp = self.stamp();
        let piece = |sequence, part, more| (EntryHeader::of(kind, sequence, stamp, part, more).encode(self.id), part);
        if payload.len() <= ENTRY_MAX {
            self.shared.append(self.id, &[piece(state.next, payload, false)])?;
            state.next += 1;
        } else {
            let last = payload.len().div_ceil(ENTRY_MAX) - 1;
            let parts = payload.chunks(ENTRY_MAX).enumerate();
            let pieces: Vec<_> = parts.map(|(at, part)| piece(state.next + at as u64, part, at < last)).collect();
            self.shared.append(self.id, &pieces)?;
            state.next += pieces.len() as u64;
        }
        state.tally.count(kind, payload.len(), false);
        Ok(state.next - 1)
    }

    fn end(&self, outcome: Outcome) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let entry = EndEntry { outcome, tally: state.tally };
        let payload = serde_json::to_vec(&entry).unwrap_or_default();
        let header = EntryHeader::of(Kind::End, state.next, self.stamp(), &payload, false).encode(self.id);
        if self.shared.append(self.id, &[(header, &payload)]).is_err() {
            self.shared.ends.lock().push(PendingEnd { id: self.id, header, payload });
        }
    }

    fn stamp(&self) -> Stamp {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.started);
        Stamp { elapsed: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), wall: self.shared.clock.wall(now) }
    }
}

impl Drop for Session {
    /// A session that nobody ended broke off.
    fn drop(&mut self) {
        let begun = self.state.get_mut().next > 0;
        if begun && !self.shared.closed.load(Ordering::Acquire) {
            self.end(Outcome::Failed);
        }
    }
}

impl Shared {
    fn append(&self, id: SessionId, pieces: &[([u8; ENTRY_HEADER], &[u8])]) -> Result<(), RecordError> {
        let level = self.journal.append(id, pieces)?;
        if level.before == 0 || level.before < FLUSH_AT && level.after >= FLUSH_AT {
            self.wake_writer();
        }
        Ok(())
    }

    fn wake_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Waits for the writer to bring this about; ends when the store breaks or the recorder is shut down.
    async fn wait_until(&self, reached: impl Fn(&Self) -> bool) -> Result<(), RecordError> {
        loop {
            let mut changed = std::pin::pin!(self.progress.notified());
            changed.as_mut().enable();
            if reached(self) {
                return Ok(());
            }
            if let Some(reason) = self.health.broken() {
                return Err(RecordError::Broken { reason });
            }
            if self.closed.load(Ordering::Acquire) {
                return Err(RecordError::Closed);
            }
            changed.await;
        }
    }

    /// Appends the ends that found no room.
    fn append_pending_ends(&self) {
        let mut ends = self.ends.lock();
        ends.retain(|end| self.journal.append(end.id, &[(end.header, &end.payload)]).is_err());
    }

    /// Runs on its own thread until the recorder is dropped and everything is written.
    fn write(&self, writer: &mut Writer) {
        loop {
            let closed = self.closed.load(Ordering::Acquire);
            self.clock.follow();
            self.append_pending_ends();
            if self.journal.pending() == 0 {
                if closed {
                    return;
                }
                std::thread::park_timeout(IDLE);
            }
            if !closed && self.journal.pending() < FLUSH_AT {
                std::thread::park_timeout(FLUSH_EVERY);
            }
            let written = writer.drain(|| self.progress.notify_waiters()).and_then(|()| writer.settle());
            match written {
                Ok(()) => self.health.succeeded(Part::Writing),
                Err(error) => {
                    self.health.failed(Part::Writing, &error);
                    self.progress.notify_waiters();
                    if closed {
                        // The journal keeps what could not be written for the next start.
                        return;
                    }
                    std::thread::sleep(RETRY_EVERY);
                }
            }
        }
    }
}

/// Tells the host's time from the clock that never jumps, so that an append reads only one of the two.
///
/// The writer's thread follows the host's clock at least every [`IDLE`]: that long after somebody has set it, entries
/// may bear the time before.
struct Clock {
    epoch: Instant,
    /// The host's time at `epoch`, in microseconds since 1970.
    wall: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        let clock = Self { epoch: Instant::now(), wall: AtomicU64::new(0) };
        clock.follow();
        clock
    }

    fn follow(&self) {
        self.wall.store(micros(SystemTime::now()).saturating_sub(self.since_epoch(Instant::now())), Ordering::Relaxed);
    }

    fn wall(&self, now: Instant) -> u64 {
        self.wall.load(Ordering::Relaxed).saturating_add(self.since_epoch(now))
    }

    fn since_epoch(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX)
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

impl fmt::Debug for SessionRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecorder").field("id", &self.session.id).finish_non_exhaustive()
    }
}

fn micros(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
