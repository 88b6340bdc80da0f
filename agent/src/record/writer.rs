//! Takes entries out of the journal and writes them into the sessions' files and the index.
//!
//! Everything here may be done twice: an entry whose sequence its file already has is left out. So a write that failed
//! is simply tried again, and a start after a crash takes up what the last daemon did not finish.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    EndEntry, Kind, Outcome, RecordError, SessionId, StoreError,
    file::{Block, SessionFile},
    format::{ENTRY_HEADER, EntryHeader, Stamp},
    index::{Index, Progress, Row},
    journal::{Frame, Tail},
    syncer::Syncer,
};

/// Bytes that are taken out of the journal before its room is given back.
const BATCH: u64 = 4 * 1024 * 1024;

/// Most files of live sessions that are kept open for the next write.
pub const OPEN_FILES_MAX: usize = 256;

/// Most sessions that may wait for an index that does not take them; beyond it the store is broken.
pub const UNINDEXED_MAX: usize = 10_000;

/// How long an index that failed is left alone, so that it does not hold up the files.
const INDEX_RETRY_EVERY: Duration = Duration::from_secs(1);

/// How far the index may be behind the files in what it says of sessions that go on. A beginning and an end are there
/// with the file.
const INDEX_EVERY: Duration = Duration::from_secs(1);

/// Sessions that are adopted with one transaction.
const ADOPT_BATCH: usize = 1000;

/// Blocks whose memory is kept for the next batch.
const SPARE_BLOCKS_MAX: usize = 16;

/// The one who writes. Owned by one thread at a time.
pub struct Writer {
    root: PathBuf,
    tail: Tail,
    index: Index,
    syncer: Syncer,
    live: HashMap<SessionId, Live>,
    /// Sessions with entries in their block.
    staged: Vec<SessionId>,
    /// Sessions whose row in the index is older than their file.
    unindexed: Vec<SessionId>,
    /// One of them has begun or ended: the index is to know at once.
    pressing: bool,
    /// When the index took everything.
    indexed_at: Instant,
    /// In the order in which they were opened.
    open_files: VecDeque<SessionId>,
    spare: Vec<Block>,
    /// When an index that failed is tried again.
    index_retry: Option<Instant>,
    /// Whether payloads have to be checked: the machine may have lost power while they were written.
    distrust: bool,
}

/// Which rows go into the index.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rows {
    /// Every one that has changed.
    All,
    /// The same, once something presses or [`INDEX_EVERY`] is over.
    WhenDue,
}

/// A session that has not ended, or whose end is not yet in the index.
struct Live {
    file: SessionFile,
    row: Row,
    block: Block,
    /// What the row's progress becomes when the block is written.
    draft: Progress,
    /// When its last entry was appended.
    last: Stamp,
    /// Something in the block should reach the disk soon.
    urgent: bool,
    unindexed: bool,
    /// Whether the index has a row of it.
    has_row: bool,
}

impl Writer {
    pub fn new(root: PathBuf, tail: Tail, index: Index, syncer: Syncer) -> Self {
        Self {
            root,
            tail,
            index,
            syncer,
            live: HashMap::new(),
            staged: Vec::new(),
            unindexed: Vec::new(),
            pressing: false,
            indexed_at: Instant::now(),
            open_files: VecDeque::new(),
            spare: Vec::new(),
            index_retry: None,
            distrust: false,
        }
    }

    /// Writes everything that is in the journal; `released` is called whenever there is room again.
    pub fn drain(&mut self, released: impl Fn()) -> Result<(), RecordError> {
        let result = self.drain_batches(released);
        if result.is_err() {
            self.unstage();
        }
        result
    }

    /// Drains what a daemon left that was killed, or whose machine lost power. Returns the bytes that were unreadable.
    pub fn recover(&mut self, rebooted: bool) -> Result<u64, RecordError> {
        self.distrust = rebooted;
        let drained = self.drain(|| {});
        self.distrust = false;
        match drained {
            Err(RecordError::Store(StoreError::Journal { .. })) => {
                let lost = self.tail.head() - self.tail.position();
                self.tail.release(self.tail.head());
                Ok(lost)
            }
            drained => drained.map(|()| 0),
        }
    }

    /// Ends the sessions that an earlier daemon left open.
    pub fn seal_interrupted(&mut self) -> Result<(), RecordError> {
        for row in self.index.open_sessions()? {
            if !self.live.contains_key(&row.id) {
                let mut live = self.resume(row.id)?;
                if live.row.progress.entries < row.progress.entries {
                    // Entries that were written are gone. The gap stays visible for `verify`.
                    live.file.skip_to(row.progress.entries);
                    live.row = Row { progress: live.row.progress, ..row.clone() };
                }
                live.unindexed = true;
                self.unindexed.push(row.id);
                self.live.insert(row.id, live);
            }
        }
        let open: Vec<_> =
            self.live.iter().filter(|(_, live)| live.row.progress.ended.is_none()).map(|(id, _)| *id).collect();
        for id in open {
            self.stage_end(id, Outcome::Interrupted)?;
        }
        self.write_staged()?;
        self.write_index(Rows::All)?;
        Ok(())
    }

    /// Takes a session's file into the index, and seals it if nobody else will.
    pub fn adopt(&mut self, id: SessionId) -> Result<(), RecordError> {
        if self.live.contains_key(&id) || self.index.find(id)?.is_some() {
            return Ok(());
        }
        let mut live = self.resume(id)?;
        live.unindexed = true;
        self.live.insert(id, live);
        self.unindexed.push(id);
        if self.unindexed.len() >= ADOPT_BATCH { Ok(self.write_index(Rows::All)?) } else { Ok(()) }
    }

    /// Whether every row is in the index.
    pub fn is_indexed(&self) -> bool {
        self.unindexed.is_empty()
    }

    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Brings the index up to date, as far as it takes rows, and says up to where of the journal.
    pub fn settle(&mut self) -> Result<u64, RecordError> {
        self.write_index(Rows::All)?;
        Ok(self.tail.position())
    }

    fn drain_batches(&mut self, released: impl Fn()) -> Result<(), RecordError> {
        while self.tail.position() < self.tail.head() {
            let (end, damaged) = self.stage_batch()?;
            self.write_staged()?;
            self.write_index(Rows::WhenDue)?;
            self.tail.release(end);
            released();
            if damaged {
                return Err(StoreError::Journal { position: end }.into());
            }
        }
        Ok(self.write_index(Rows::WhenDue)?)
    }

    /// Sorts a batch of frames into their sessions' blocks; returns where it ends, and whether damage ended it.
    fn stage_batch(&mut self) -> Result<(u64, bool), RecordError> {
        let start = self.tail.position();
        let head = self.tail.head();
        let mut at = start;
        while at < head && at - start < BATCH {
            let intact = |frame: &Frame| !self.distrust || self.tail.payload_is_intact(frame);
            let Some(frame) = self.tail.frame(at).filter(intact) else { return Ok((at, true)) };
            self.stage(&frame)?;
            at = frame.end;
        }
        Ok((at, false))
    }

    fn stage(&mut self, frame: &Frame) -> Result<(), RecordError> {
        let length = ENTRY_HEADER + frame.header.length as usize;
        match self.live.get(&frame.id).map(|live| live.block.is_full_for(length)) {
            Some(false) => {}
            Some(true) => self.write(frame.id)?,
            None => self.meet(frame)?,
        }
        let Some(live) = self.live.get_mut(&frame.id) else { return Ok(()) };
        if frame.header.sequence < live.next() {
            return Ok(());
        }
        if live.block.is_empty() {
            live.block = self.spare.pop().unwrap_or_default();
            live.draft = live.row.progress;
            self.staged.push(frame.id);
        }
        let tail = &self.tail;
        live.block.push(frame.header.sequence, &frame.encoded, |into| tail.copy_payload(frame, into));
        live.account(&frame.header);
        Ok(())
    }

    /// Takes up a session of which there was nothing in memory.
    fn meet(&mut self, frame: &Frame) -> Result<(), StoreError> {
        let begins = Kind::from_code(frame.header.kind) == Some(Kind::Begin);
        let mut live = if begins && !super::folder::path_of(&self.root, frame.id).exists() {
            Live::new(SessionFile::new(&self.root, frame.id), Row::new(frame.id, None))
        } else {
            self.resume(frame.id)?
        };
        // Its file may have everything already, and the index nothing: a crash can fall between the two.
        live.unindexed = true;
        self.unindexed.push(frame.id);
        self.pressing = true;
        self.live.insert(frame.id, live);
        Ok(())
    }

    fn stage_end(&mut self, id: SessionId, outcome: Outcome) -> Result<(), RecordError> {
        let Some(live) = self.live.get_mut(&id) else { return Ok(()) };
        let entry = EndEntry { outcome, tally: live.row.progress.tally };
        let payload = serde_json::to_vec(&entry).map_err(|error| RecordError::Header(error.into()))?;
        let header = EntryHeader::of(Kind::End, live.next(), live.last, &payload, false);
        live.block = self.spare.pop().unwrap_or_default();
        live.draft = live.row.progress;
        live.block.push(header.sequence, &header.encode(id), |into| into.extend_from_slice(&payload));
        live.account(&header);
        self.staged.push(id);
        Ok(())
    }

    fn write_staged(&mut self) -> Result<(), StoreError> {
        while let Some(id) = self.staged.last().copied() {
            self.write(id)?;
            self.staged.pop();
        }
        Ok(())
    }

    /// Writes what is staged for this session.
    fn write(&mut self, id: SessionId) -> Result<(), StoreError> {
        let Some(live) = self.live.get_mut(&id) else { return Ok(()) };
        if live.block.is_empty() {
            return Ok(());
        }
        let was_open = live.file.handle().is_some();
        live.file.write(&mut live.block)?;
        live.row.progress = Progress { entries: live.file.next(), hash: live.file.hash(), ..live.draft };
        if let Some(file) = live.file.handle() {
            self.syncer.wrote(id, file);
        }
        if std::mem::take(&mut live.urgent) {
            self.syncer.hurry();
        }
        let mut block = std::mem::take(&mut live.block);
        block.clear();
        if self.spare.len() < SPARE_BLOCKS_MAX {
            self.spare.push(block);
        }
        self.pressing |= !live.has_row || live.row.progress.ended.is_some();
        if !std::mem::replace(&mut live.unindexed, true) {
            self.unindexed.push(id);
        }
        if live.row.progress.ended.is_some() {
            live.file.close();
        } else if !was_open {
            self.open_files.push_back(id);
        }
        self.close_surplus();
        Ok(())
    }

    /// Forgets what is staged: it is still in the journal.
    fn unstage(&mut self) {
        for id in self.staged.drain(..) {
            if let Some(live) = self.live.get_mut(&id) {
                live.block.clear();
                live.urgent = false;
            }
        }
    }

    /// Writes the rows that have changed. An index that fails is tried again later; the files have everything.
    fn write_index(&mut self, rows: Rows) -> Result<(), StoreError> {
        let due = rows == Rows::All || self.pressing || self.indexed_at.elapsed() >= INDEX_EVERY;
        if self.unindexed.is_empty() || !due || self.index_retry.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        let rows = self.unindexed.iter().filter_map(|id| self.live.get(id)).map(|live| &live.row);
        if let Err(source) = self.index.write(rows) {
            return self.index_failed(source);
        }
        if self.index_retry.take().is_some() {
            tracing::info!("the index of records is well again");
            self.tail.journal().set_index_stale(false);
        }
        self.pressing = false;
        self.indexed_at = Instant::now();
        for id in self.unindexed.drain(..) {
            if let Some(live) = self.live.get_mut(&id) {
                live.unindexed = false;
                live.has_row = true;
                if live.row.progress.ended.is_some() {
                    self.live.remove(&id);
                }
            }
        }
        Ok(())
    }

    fn index_failed(&mut self, source: rusqlite::Error) -> Result<(), StoreError> {
        if self.index_retry.replace(Instant::now() + INDEX_RETRY_EVERY).is_none() {
            tracing::warn!(error = %source, "the index of records takes nothing: trying again");
            self.tail.journal().set_index_stale(true);
        }
        let waiting = self.unindexed.len();
        if waiting > UNINDEXED_MAX {
            return Err(StoreError::IndexBehind { waiting, max: UNINDEXED_MAX, source: source.into() });
        }
        Ok(())
    }

    fn close_surplus(&mut self) {
        while self.open_files.len() > OPEN_FILES_MAX {
            let Some(oldest) = self.open_files.pop_front() else { return };
            if let Some(live) = self.live.get_mut(&oldest) {
                live.file.close();
            }
        }
    }

    fn resume(&self, id: SessionId) -> Result<Live, StoreError> {
        let (file, contents) = SessionFile::resume(&self.root, id)?;
        let mut row = Row::new(id, contents.begin.as_ref());
        let last = contents.last.unwrap_or(Stamp { elapsed: 0, wall: row.started });
        row.progress = Progress {
            ended: contents.end.as_ref().map(|_| last.wall),
            outcome: contents.end.map(|end| end.outcome),
            tally: contents.tally,
            entries: file.next(),
            hash: file.hash(),
        };
        Ok(Live { last, ..Live::new(file, row) })
    }
}

impl Live {
    fn new(file: SessionFile, row: Row) -> Self {
        let last = Stamp { elapsed: 0, wall: row.started };
        let draft = row.progress;
        Self { file, row, block: Block::default(), draft, last, urgent: false, unindexed: false, has_row: false }
    }

    /// The sequence of the entry that belongs next into the block.
    fn next(&self) -> u64 {
        if self.block.is_empty() { self.file.next() } else { self.block.next() }
    }

    /// Takes the block's last entry into account.
    fn account(&mut self, header: &EntryHeader) {
        self.last = Stamp { elapsed: header.elapsed, wall: header.wall };
        // Kinds of later versions are kept, and mean nothing to us.
        let Some(kind) = Kind::from_code(header.kind) else { return };
        let payload = self.block.last(header.length as usize);
        self.draft.tally.count(kind, payload.len(), header.more);
        match kind {
            Kind::Begin => {
                if let Ok(begin) = serde_json::from_slice(payload) {
                    self.row.describe(&begin);
                }
            }
            Kind::End => {
                let end = serde_json::from_slice::<EndEntry>(payload);
                self.draft.ended = Some(header.wall);
                self.draft.outcome = Some(end.map_or(Outcome::Failed, |end| end.outcome));
            }
            Kind::Denial | Kind::Approval => self.urgent = true,
            Kind::Lifecycle | Kind::FromWorkload | Kind::ToWorkload | Kind::Decision | Kind::Mask | Kind::Error => {}
        }
    }
}
