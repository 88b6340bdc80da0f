//! One session's file: blocks of entries, each chained to the one before, only ever appended.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    BeginEntry, EndEntry, Kind, SessionId, StoreError, Tally,
    blocks::Piece,
    folder::{make_private_folder, path_of},
    format::{self, BLOCK_COVERED, BLOCK_HEADER, BLOCK_MAX, BlockHeader, Encoding, EntryHeader, Hash, PREAMBLE},
    recording::{ReadError, Recording},
};

/// The end of a session's file, to which the next block is chained.
pub struct SessionFile {
    id: SessionId,
    path: PathBuf,
    /// `None` while too many files are open, or before the first write.
    file: Option<Arc<File>>,
    /// Bytes that are known to be well.
    length: u64,
    hash: Hash,
    next: u64,
}

/// What a file says of its session so far.
#[derive(Default)]
pub struct Contents {
    pub begin: Option<BeginEntry>,
    pub end: Option<EndEntry>,
    pub tally: Tally,
    /// When the last entry was appended: nanoseconds since the beginning, microseconds since 1970.
    pub last: Option<format::Stamp>,
}

impl SessionFile {
    /// The file of a session that begins; nothing is written before the first block.
    pub fn new(root: &Path, id: SessionId) -> Self {
        Self { id, path: path_of(root, id), file: None, length: 0, hash: format::genesis(id), next: 0 }
    }

    /// Finds the end of a file that an earlier daemon left, and cuts off a block that it did not finish.
    pub fn resume(root: &Path, id: SessionId) -> Result<(Self, Contents), StoreError> {
        let mut session = Self::new(root, id);
        let mut contents = Contents::default();
        let recording = match Recording::open(&session.path) {
            Ok(recording) => recording,
            Err(ReadError::Store(StoreError::File { source, .. })) if source.kind() == io::ErrorKind::NotFound => {
                return Ok((session, contents));
            }
            Err(ReadError::Store(error)) => return Err(error),
            Err(_) => {
                // Less than a preamble was never finished; more than that is evidence, behind which we write.
                let found = std::fs::metadata(&session.path).map_err(StoreError::file("read", &session.path))?.len();
                session.length = if found < PREAMBLE as u64 { 0 } else { found };
                return Ok((session, contents));
            }
        };
        session.length = PREAMBLE as u64;
        for piece in recording.pieces() {
            match piece? {
                Piece::Block(block) => {
                    session.hash = block.header.hash;
                    session.next = session.next.max(block.header.first.saturating_add(block.header.entries.into()));
                    session.length = block.offset + (BLOCK_HEADER + block.body.len()) as u64;
                    for entry in block.entries(id).flatten() {
                        contents.take(&entry.header, entry.payload);
                    }
                }
                // Damage is evidence: it stays, and we write behind it.
                Piece::Junk(junk) if !junk.torn => session.length = junk.offset + junk.length,
                Piece::Junk(_) => {}
            }
        }
        Ok((session, contents))
    }

    /// The sequence of the next entry.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Leaves a gap before the next entry, because entries that were known are no longer there.
    pub fn skip_to(&mut self, sequence: u64) {
        self.next = self.next.max(sequence);
    }

    /// The hash of the last block.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// Appends a block. After a failure the file is as it was, as far as the disk obeys, and the same block may be
    /// written again.
    pub fn write(&mut self, block: &mut Block) -> Result<(), StoreError> {
        let hash = block.seal(self.hash);
        let file = self.open()?;
        let written = (&*file).write_all(&block.bytes);
        if let Err(error) = written {
            let _ = file.set_len(self.length);
            self.file = None;
            return Err(StoreError::file("write", &self.path)(error));
        }
        self.length += block.bytes.len() as u64;
        self.hash = hash;
        self.next = block.next;
        Ok(())
    }

    /// The open file, for flushing it to the disk.
    pub fn handle(&self) -> Option<Arc<File>> {
        self.file.clone()
    }

    /// Gives the descriptor back; the next write opens the file again.
    pub fn close(&mut self) {
        self.file = None;
    }

    fn open(&mut self) -> Result<Arc<File>, StoreError> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        if let Some(folder) = self.path.parent() {
            make_private_folder(folder)?;
        }
        let failed = |action| StoreError::file(action, &self.path);
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path).map_err(failed("open"))?;
        let found = file.metadata().map_err(failed("read"))?.len();
        if found > self.length {
            file.set_len(self.length).map_err(failed("cut"))?;
        }
        if self.length < PREAMBLE as u64 || found == 0 {
            // A file that vanished under us begins anew; `verify` then names the entries that are missing.
            (&file).write_all(&format::preamble(self.id)).map_err(failed("write"))?;
            self.length = PREAMBLE as u64;
        }
        let file = Arc::new(file);
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }
}

impl Contents {
    /// Takes in the next entry.
    pub fn take(&mut self, header: &EntryHeader, payload: &[u8]) {
        self.last = Some(format::Stamp { elapsed: header.elapsed, wall: header.wall });
        let Some(kind) = Kind::from_code(header.kind) else { return };
        self.tally.count(kind, payload.len(), header.more);
        match kind {
            Kind::Begin => self.begin = serde_json::from_slice(payload).ok(),
            Kind::End => self.end = serde_json::from_slice(payload).ok(),
            Kind::Lifecycle
            | Kind::FromWorkload
            | Kind::ToWorkload
            | Kind::Decision
            | Kind::Approval
            | Kind::Mask
            | Kind::Denial
            | Kind::Error => {}
        }
    }
}

/// Entries of one session on their way into its file.
#[derive(Default)]
pub struct Block {
    /// Room for the header, then entries.
    bytes: Vec<u8>,
    entries: u32,
    first: u64,
    next: u64,
}

impl Block {
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The sequence behind the last entry.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Whether another entry of this many bytes belongs into the next block.
    pub fn is_full_for(&self, length: usize) -> bool {
        !self.is_empty() && self.bytes.len() - BLOCK_HEADER + length > BLOCK_MAX
    }

    /// Takes an entry: its header, and the payload that `fill` appends.
    pub fn push(&mut self, sequence: u64, header: &[u8], fill: impl FnOnce(&mut Vec<u8>)) {
        if self.is_empty() {
            self.bytes.clear();
            self.bytes.resize(BLOCK_HEADER, 0);
            self.first = sequence;
        }
        self.bytes.extend_from_slice(header);
        fill(&mut self.bytes);
        self.entries += 1;
        self.next = sequence + 1;
    }

    /// The last bytes that were taken.
    pub fn last(&self, length: usize) -> &[u8] {
        self.bytes.get(self.bytes.len().saturating_sub(length)..).unwrap_or(&[])
    }

    /// Forgets the entries but keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries = 0;
    }

    /// Fills in the header and returns the block's hash.
    fn seal(&mut self, previous: Hash) -> Hash {
        let length = u32::try_from(self.bytes.len() - BLOCK_HEADER).unwrap_or(u32::MAX);
        let mut header = BlockHeader {
            hash: [0; 32],
            previous,
            first: self.first,
            entries: self.entries,
            length,
            encoding: Encoding::Raw,
        };
        self.place(&header);
        header.hash = *blake3::hash(self.bytes.get(BLOCK_COVERED..).unwrap_or(&[])).as_bytes();
        self.place(&header);
        header.hash
    }

    fn place(&mut self, header: &BlockHeader) {
        if let Some(room) = self.bytes.first_chunk_mut::<BLOCK_HEADER>() {
            *room = header.encode();
        }
    }
}
