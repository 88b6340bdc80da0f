//! The journal: a ring in a mapped file, into which sessions copy their entries.
//!
//! The pages belong to the kernel, not to the process: what was appended survives `kill -9`, and the
//! next start of the daemon finishes the work. It does not survive a loss of power before the file
//! system has written it. The whole file is allocated when it is made, so that a full disk is met
//! then and not in the middle of a session. (On copy-on-write file systems allocation promises less.)
//!
//! ```text
//! page 0        magic, capacity, boot, head, tail, next session's number, whether the index lacks rows
//! from page 1   the ring: frames of [session id 16][position 8][entry header 40][payload]
//! ```

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use memmap2::{MmapOptions, MmapRaw};
use parking_lot::Mutex;

use super::{
    APPEND_MAX, ENTRY_MAX, RecordError, SessionId, StoreError,
    folder::make_private_folder,
    format::{ENTRY_HEADER, EntryHeader, put, take},
};

/// Least size of the ring: room for several entries of the largest size.
pub const JOURNAL_LEAST: u64 = 4 * APPEND_MAX as u64;

/// Bytes before the ring.
const PAGE: u64 = 4096;
const MAGIC: [u8; 8] = *b"PCJRNL01";

// Where page 0 holds what. The counters stand on cache lines of their own.
const CAPACITY_AT: usize = 8;
const BOOT_AT: usize = 16;
const BOOT_LENGTH: usize = 36;
const HEAD_AT: usize = 128;
const TAIL_AT: usize = 256;
const NUMBER_AT: usize = 384;
const STALE_AT: usize = 392;

/// What stands before an entry's header in the ring: whose it is, and where in the stream it stands.
const PREFIX: usize = 24;
/// Bytes of a frame without its payload.
pub const FRAME: usize = PREFIX + ENTRY_HEADER;

/// A mapped ring with many writers and one reader.
///
/// `head` and `tail` count bytes since the journal was made and never wrap; `head` moves when a
/// frame is complete, `tail` when it is safe in the session's file.
pub struct Journal {
    map: MmapRaw,
    /// Bytes of the ring.
    capacity: u64,
    /// Writers take turns; each holds it for the copy alone.
    writing: Mutex<()>,
    /// Keeps the lock that keeps other daemons away.
    _file: File,
}

/// The right to take frames out. There is one of it.
pub struct Tail {
    journal: Arc<Journal>,
}

/// What the journal was like when it was opened.
pub struct Opened {
    pub journal: Arc<Journal>,
    pub tail: Tail,
    /// The machine has started anew since it was last used: pages may be missing or torn.
    pub rebooted: bool,
}

/// How full the ring was around an append.
#[derive(Clone, Copy, Debug)]
pub struct Level {
    pub before: u64,
    pub after: u64,
}

impl Journal {
    /// Opens the journal, or makes one of `capacity` bytes. Locks it against other daemons.
    pub fn open(path: &Path, capacity: u64) -> Result<Opened, RecordError> {
        if capacity < JOURNAL_LEAST {
            return Err(RecordError::JournalTooSmall { given: capacity, least: JOURNAL_LEAST });
        }
        if let Some(folder) = path.parent() {
            make_private_folder(folder)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(StoreError::file("open", path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RecordError::InUse { path: path.into() }),
            Err(TryLockError::Error(error)) => return Err(StoreError::file("lock", path)(error).into()),
        }
        let boot = boot_id();
        let existing = Existing::read(&file);
        if existing.is_none() && file.metadata().is_ok_and(|file| file.len() > 0) {
            tracing::error!(path = %path.display(), "the journal is not readable and made anew: what it held is lost");
        }
        let (capacity, rebooted) = match existing {
            // A journal with entries is emptied first; it gets its new size with the next start.
            Some(existing) if existing.capacity == capacity || existing.pending > 0 => {
                file.write_all_at(&boot, BOOT_AT as u64).map_err(StoreError::file("write", path))?;
                (existing.capacity, existing.boot != boot)
            }
            existing => {
                make(&file, path, capacity, existing.as_ref(), boot)?;
                (capacity, existing.is_some_and(|existing| existing.boot != boot))
            }
        };
        let map = MmapOptions::new().populate().map_raw(&file).map_err(StoreError::file("map", path))?;
        let journal = Arc::new(Self { map, capacity, writing: Mutex::new(()), _file: file });
        let tail = Tail { journal: Arc::clone(&journal) };
        Ok(Opened { journal, tail, rebooted })
    }

    pub const fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bytes that wait to be taken.
    pub fn pending(&self) -> u64 {
        let tail = self.tail().load(Ordering::Acquire);
        self.head().load(Ordering::Acquire).saturating_sub(tail)
    }

    pub fn position(&self) -> u64 {
        self.head().load(Ordering::Acquire)
    }

    /// Up to where everything is in the sessions' files.
    pub fn drained(&self) -> u64 {
        self.tail().load(Ordering::Acquire)
    }

    /// Whether an append of any permitted length fits now.
    pub fn has_room(&self) -> bool {
        self.capacity - self.pending() >= frame_bytes(APPEND_MAX)
    }

    /// The number of the next session.
    pub fn next_number(&self) -> &AtomicU64 {
        self.counter(NUMBER_AT)
    }

    /// Whether sessions were written that the index did not take: it has to be filled from the files.
    pub fn index_is_stale(&self) -> bool {
        self.counter(STALE_AT).load(Ordering::Relaxed) != 0
    }

    pub fn set_index_stale(&self, stale: bool) {
        self.counter(STALE_AT).store(stale.into(), Ordering::Relaxed);
    }

    /// Copies all pieces into the ring, or none of them.
    pub fn append(&self, id: SessionId, pieces: &[([u8; ENTRY_HEADER], &[u8])]) -> Result<Level, RecordError> {
        let needed: u64 = pieces.iter().map(|(_, payload)| (FRAME + payload.len()) as u64).sum();
        let _turn = self.writing.lock();
        let head = self.head().load(Ordering::Relaxed);
        let before = head.saturating_sub(self.tail().load(Ordering::Acquire));
        if before.saturating_add(needed) > self.capacity {
            return Err(RecordError::Full { capacity: self.capacity });
        }
        let mut at = head;
        for (header, payload) in pieces {
            let frame = frame_header(id, at, header);
            for part in [frame.as_slice(), payload] {
                // SAFETY: `at..at + part.len()` lies within `head..head + needed`, which is free
                // (checked above) and ours alone while we hold `writing`.
                unsafe { self.copy_in(at, part) };
                at += part.len() as u64;
            }
        }
        self.head().store(at, Ordering::Release);
        Ok(Level { before, after: before + needed })
    }

    /// Copies bytes to a position of the ring, around its end if need be.
    ///
    /// # Safety
    /// `position..position + bytes.len()` must be free, at most `capacity` long, and nobody else's.
    unsafe fn copy_in(&self, position: u64, bytes: &[u8]) {
        let offset = (position % self.capacity) as usize;
        let until_end = self.capacity as usize - offset;
        let (front, rest) = bytes.split_at(bytes.len().min(until_end));
        // SAFETY: the map is `PAGE + capacity` long; `front` ends at its end at the latest, and `rest`
        // starts over at the ring's beginning. The caller vouches for the region being free.
        unsafe {
            ptr::copy_nonoverlapping(front.as_ptr(), self.ring().add(offset), front.len());
            ptr::copy_nonoverlapping(rest.as_ptr(), self.ring(), rest.len());
        }
    }

    fn ring(&self) -> *mut u8 {
        // SAFETY: the map is `PAGE + capacity` long.
        unsafe { self.map.as_mut_ptr().add(PAGE as usize) }
    }

    fn head(&self) -> &AtomicU64 {
        self.counter(HEAD_AT)
    }

    fn tail(&self) -> &AtomicU64 {
        self.counter(TAIL_AT)
    }

    /// A counter in page 0.
    fn counter(&self, at: usize) -> &AtomicU64 {
        debug_assert!(at.is_multiple_of(8) && at < PAGE as usize);
        // SAFETY: the mapping starts at a page, `at` is a multiple of eight within it, the memory lives
        // as long as `self`, and all access to it while it is mapped is atomic.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast()) }
    }
}

/// A frame as it was found in the ring.
pub struct Frame {
    pub id: SessionId,
    pub header: EntryHeader,
    /// The header as it goes into the file.
    pub encoded: [u8; ENTRY_HEADER],
    payload: u64,
    /// Where the next one starts.
    pub end: u64,
}

impl Tail {
    pub fn position(&self) -> u64 {
        self.journal.drained()
    }

    pub fn head(&self) -> u64 {
        self.journal.position()
    }

    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Looks at the frame at `at`; `None`: no intact frame stands there.
    pub fn frame(&self, at: u64) -> Option<Frame> {
        let mut bytes = [0; FRAME];
        let (front, rest) = self.slices(at, FRAME)?;
        let (to_front, to_rest) = bytes.split_at_mut(front.len());
        to_front.copy_from_slice(front);
        to_rest.copy_from_slice(rest);
        let mut from = bytes.as_slice();
        let id = SessionId::from_bytes(take(&mut from)?);
        let position = u64::from_le_bytes(take(&mut from)?);
        let encoded = take(&mut from)?;
        let header = EntryHeader::decode(id, &encoded)?;
        let payload = at + FRAME as u64;
        let end = payload + u64::from(header.length);
        (position == at && end <= self.head()).then_some(Frame { id, header, encoded, payload, end })
    }

    /// Appends the frame's payload to `into`.
    pub fn copy_payload(&self, frame: &Frame, into: &mut Vec<u8>) {
        if let Some((front, rest)) = self.slices(frame.payload, frame.header.length as usize) {
            into.extend_from_slice(front);
            into.extend_from_slice(rest);
        }
    }

    /// Whether the payload has the checksum that its header names.
    pub fn payload_is_intact(&self, frame: &Frame) -> bool {
        self.slices(frame.payload, frame.header.length as usize).is_some_and(|(front, rest)| {
            let mut check = crc32fast::Hasher::new();
            check.update(front);
            check.update(rest);
            check.finalize() == frame.header.payload_check
        })
    }

    /// Frees everything before `to`.
    pub fn release(&mut self, to: u64) {
        self.journal.tail().store(to.min(self.head()), Ordering::Release);
    }

    /// Bytes of the ring, in two parts where they go around its end; `None` where they are not between tail and head.
    fn slices(&self, position: u64, length: usize) -> Option<(&[u8], &[u8])> {
        let capacity = self.journal.capacity;
        let (tail, head) = (self.position(), self.head());
        if position < tail || position.checked_add(length as u64)? > head || head - tail > capacity {
            return None;
        }
        let offset = (position % capacity) as usize;
        let front = length.min(capacity as usize - offset);
        // SAFETY: both slices lie within the ring and between tail and head: writers are done with this
        // region, and only `release` frees it, which needs `&mut self`.
        unsafe {
            let ring = self.journal.ring();
            Some((
                std::slice::from_raw_parts(ring.add(offset), front),
                std::slice::from_raw_parts(ring, length - front),
            ))
        }
    }
}

/// What stands before a payload in the ring.
fn frame_header(id: SessionId, position: u64, header: &[u8; ENTRY_HEADER]) -> [u8; FRAME] {
    let mut bytes = [0; FRAME];
    let mut to = bytes.as_mut_slice();
    put(&mut to, &id.to_bytes());
    put(&mut to, &position.to_le_bytes());
    put(&mut to, header);
    bytes
}

/// Most bytes that an append of this length takes in the ring.
fn frame_bytes(length: usize) -> u64 {
    (length + length.div_ceil(ENTRY_MAX).max(1) * FRAME) as u64
}

/// The number of the next session, as the file at `path` has it; `None` where entries wait in it, or it is no journal.
///
/// For readers beside the daemon: the pages of the mapping are those of the file.
pub fn next_number_of(path: &Path) -> Option<u64> {
    let file = File::open(path).ok()?;
    let number = Existing::read(&file)?.next_number;
    // Read again: sessions that had a number by then have left the journal if nothing waits in it now.
    (Existing::read(&file)?.pending == 0).then_some(number)
}

/// The first page of a journal that is there already.
struct Existing {
    capacity: u64,
    pending: u64,
    next_number: u64,
    stale: u64,
    boot: [u8; BOOT_LENGTH],
}

impl Existing {
    /// `None` where there is none, or none that could hold anything.
    fn read(file: &File) -> Option<Self> {
        let mut page = [0; PAGE as usize];
        file.read_exact_at(&mut page, 0).ok()?;
        let at = |offset: usize| page.get(offset..)?.first_chunk().copied().map(u64::from_le_bytes);
        let capacity = at(CAPACITY_AT)?;
        let pending = at(HEAD_AT)?.checked_sub(at(TAIL_AT)?)?;
        let (next_number, stale) = (at(NUMBER_AT)?, at(STALE_AT)?);
        let whole = file.metadata().ok()?.len() == PAGE.checked_add(capacity)?;
        let boot = *page.get(BOOT_AT..)?.first_chunk()?;
        (page.starts_with(&MAGIC) && whole && capacity >= JOURNAL_LEAST && pending <= capacity).then_some(Self {
            capacity,
            pending,
            next_number,
            stale,
            boot,
        })
    }
}

/// Makes an empty journal, with the numbers of the one before. The magic goes last: a journal that was half made is made
/// again.
fn make(
    file: &File,
    path: &Path,
    capacity: u64,
    before: Option<&Existing>,
    boot: [u8; BOOT_LENGTH],
) -> Result<(), StoreError> {
    let length = PAGE.saturating_add(capacity);
    file.set_len(0).map_err(StoreError::file("empty", path))?;
    let wanted = i64::try_from(length).unwrap_or(i64::MAX);
    nix::fcntl::posix_fallocate(file, 0, wanted)
        .map_err(std::io::Error::from)
        .map_err(StoreError::file("allocate space for", path))?;
    let write = |bytes: &[u8], at: usize| file.write_all_at(bytes, at as u64).map_err(StoreError::file("write", path));
    write(&capacity.to_le_bytes(), CAPACITY_AT)?;
    write(&boot, BOOT_AT)?;
    write(&before.map_or(1, |before| before.next_number).to_le_bytes(), NUMBER_AT)?;
    write(&before.map_or(0, |before| before.stale).to_le_bytes(), STALE_AT)?;
    write(&MAGIC, 0)?;
    file.sync_all().map_err(StoreError::file("flush", path))
}

/// Tells one start of the machine from the next; zeros where the kernel does not say.
fn boot_id() -> [u8; BOOT_LENGTH] {
    let text = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.first_chunk().copied().unwrap_or([0; BOOT_LENGTH])
}
