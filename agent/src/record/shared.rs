//! What sessions and the writer's thread share.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::Thread,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    RecordError, SessionId,
    format::ENTRY_HEADER,
    health::{Health, Part},
    journal::Journal,
    writer::Writer,
};

/// How long entries gather in the journal before they are written, while they are few.
pub const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// Bytes in the journal with which writing starts at once.
const FLUSH_AT: u64 = 512 * 1024;

/// How long the writer sleeps when there is nothing to write, and between attempts at a broken store.
const IDLE: Duration = Duration::from_secs(1);
const RETRY_EVERY: Duration = Duration::from_millis(200);

/// What sessions and the writer share.
pub struct Shared {
    pub journal: Arc<Journal>,
    pub health: Arc<Health>,
    clock: Clock,
    /// Told whenever the journal has room again, or the store's health changes.
    pub progress: Notify,
    pub writer: OnceLock<Thread>,
    /// Sessions that begin take turns, so that their numbers have no gaps.
    pub beginning: Mutex<()>,
    /// Ends that found the journal full.
    ends: Mutex<Vec<PendingEnd>>,
    /// Somebody waits for everything to be written.
    flushing: AtomicBool,
    /// Up to where of the journal everything is in the files, and in the index as far as that takes rows.
    settled: AtomicU64,
    pub closed: AtomicBool,
}

struct PendingEnd {
    id: SessionId,
    header: [u8; ENTRY_HEADER],
    payload: Vec<u8>,
}

impl Shared {
    pub fn new(journal: Arc<Journal>, health: Arc<Health>) -> Self {
        Self {
            journal,
            health,
            clock: Clock::new(),
            progress: Notify::new(),
            writer: OnceLock::new(),
            beginning: Mutex::new(()),
            ends: Mutex::default(),
            flushing: AtomicBool::new(false),
            settled: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Appends an end, or leaves it to the writer's thread if there is no room.
    pub fn append_end(&self, id: SessionId, header: [u8; ENTRY_HEADER], payload: Vec<u8>) {
        if self.append(id, &[(header, &payload)]).is_err() {
            self.ends.lock().push(PendingEnd { id, header, payload });
        }
    }

    /// The host's time, in microseconds since 1970.
    pub fn wall(&self, now: Instant) -> u64 {
        self.clock.wall(now)
    }

    pub fn append(&self, id: SessionId, pieces: &[([u8; ENTRY_HEADER], &[u8])]) -> Result<(), RecordError> {
        let level = self.journal.append(id, pieces)?;
        if level.before == 0 || level.before < FLUSH_AT && level.after >= FLUSH_AT {
            self.wake_writer();
        }
        Ok(())
    }

    pub fn wake_writer(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Waits for the writer to bring this about; ends when the store breaks or the recorder is shut down.
    pub async fn wait_until(&self, reached: impl Fn(&Self) -> bool) -> Result<(), RecordError> {
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

    /// Waits until all that was appended so far is in the files and in the index.
    pub async fn flush(&self) -> Result<(), RecordError> {
        let wanted = self.journal.position();
        self.flushing.store(true, Ordering::Release);
        self.wake_writer();
        self.wait_until(|shared| shared.settled.load(Ordering::Acquire) >= wanted).await
    }

    /// Runs on its own thread until the recorder is dropped and everything is written.
    pub fn write(&self, writer: &mut Writer) {
        loop {
            let closed = self.closed.load(Ordering::Acquire);
            self.clock.follow();
            self.append_pending_ends();
            if !closed {
                self.gather();
            }
            let written = self.write_once(writer, closed);
            match &written {
                Ok(()) => self.health.succeeded(Part::Writing),
                Err(error) => {
                    self.health.failed(Part::Writing, error);
                    self.progress.notify_waiters();
                }
            }
            // After a failure the journal keeps what could not be written for the next start.
            match written {
                Ok(()) if closed && self.journal.pending() == 0 => return,
                Err(_) if closed => return,
                Ok(()) => {}
                Err(_) => std::thread::sleep(RETRY_EVERY),
            }
        }
    }

    /// Sleeps until there is something to write, and then for a moment more, so that entries are written together.
    fn gather(&self) {
        let is_flushing = || self.flushing.load(Ordering::Acquire);
        if self.journal.pending() == 0 && !is_flushing() {
            std::thread::park_timeout(IDLE);
        }
        if self.journal.pending() < FLUSH_AT && !is_flushing() {
            std::thread::park_timeout(FLUSH_EVERY);
        }
    }

    fn write_once(&self, writer: &mut Writer, closed: bool) -> Result<(), RecordError> {
        // Read first: what was appended before somebody asked is drained below.
        let is_flushing = self.flushing.swap(false, Ordering::AcqRel);
        writer.drain(|| self.progress.notify_waiters())?;
        if is_flushing || closed {
            self.settled.store(writer.settle()?, Ordering::Release);
            self.progress.notify_waiters();
        }
        Ok(())
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

/// Microseconds since 1970.
pub fn micros(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}
