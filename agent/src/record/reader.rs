//! Reads a session's file: blocks as they stand, and entries for people.
//!
//! Reading trusts nothing: what is damaged is said and stepped over, so that the rest can still be read.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use memchr::memmem;
use serde::de::DeserializeOwned;

use super::{
    APPEND_MAX, BeginEntry, Kind, SessionId, StoreError,
    format::{self, BLOCK_COVERED, BLOCK_HEADER, BLOCK_MAGIC, BlockHeader, ENTRY_HEADER, EntryHeader, PREAMBLE},
};

/// Bytes that are searched at once for the next block behind damage.
const SEARCH_WINDOW: usize = 64 * 1024;

/// A file of one session, as long as it was when it was opened.
pub struct Recording {
    path: PathBuf,
    file: File,
    length: u64,
    id: SessionId,
}

/// Why a file is no recording.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`{path}` does not begin like a record of version {}", format::VERSION)]
    NotARecord { path: PathBuf },
    #[error("entry {sequence} of kind `{kind}` cannot be read: {source}")]
    Payload { sequence: u64, kind: &'static str, source: serde_json::Error },
    #[error("`{path}` has no intact first entry")]
    NoBegin { path: PathBuf },
}

impl Recording {
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let read = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            let mut preamble = [0; PREAMBLE];
            if length >= PREAMBLE as u64 {
                file.read_exact_at(&mut preamble, 0)?;
            }
            Ok((file, length, preamble))
        };
        let (file, length, preamble) = read().map_err(StoreError::file("read", path))?;
        match format::read_preamble(&preamble) {
            Some(id) => Ok(Self { path: path.into(), file, length, id }),
            None => Err(ReadError::NotARecord { path: path.into() }),
        }
    }

    pub const fn id(&self) -> SessionId {
        self.id
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the first entry says.
    pub fn begin(&self) -> Result<BeginEntry, ReadError> {
        match self.entries().next() {
            Some(Ok(Part::Entry(entry))) if entry.kind == Some(Kind::Begin) => entry.json(),
            Some(Err(error)) => Err(error),
            _ => Err(ReadError::NoBegin { path: self.path.clone() }),
        }
    }

    /// The file's blocks and what lies between them.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces { recording: self, at: PREAMBLE as u64 }
    }

    /// The entries in the order of the file, long ones put together again.
    pub fn entries(&self) -> Entries<'_> {
        Entries { pieces: self.pieces(), block: None, begun: None }
    }

    fn read_at(&self, at: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }
}

/// A stretch of a file.
pub enum Piece {
    Block(Block),
    /// Bytes that are no block.
    Junk(Junk),
}

/// A block as it stands, intact or not.
pub struct Block {
    pub offset: u64,
    pub header: BlockHeader,
    /// The hash that its bytes have.
    pub computed: format::Hash,
    pub body: Vec<u8>,
}

/// Bytes between blocks or behind the last.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Junk {
    pub offset: u64,
    pub length: u64,
    /// They look like a block whose write was cut short, at the end of the file.
    pub torn: bool,
}

impl Block {
    pub fn intact(&self) -> bool {
        self.computed == self.header.hash
    }

    pub fn entries(&self, id: SessionId) -> BlockEntries<'_> {
        BlockEntries { id, rest: &self.body }
    }
}

/// Walks over a file's blocks.
pub struct Pieces<'a> {
    recording: &'a Recording,
    at: u64,
}

impl Pieces<'_> {
    fn read(&mut self) -> io::Result<Option<Piece>> {
        if self.at >= self.recording.length {
            return Ok(None);
        }
        let Some(block) = self.block_at(self.at)? else {
            return self.junk().map(Some);
        };
        let end = block.offset + (BLOCK_HEADER + block.body.len()) as u64;
        if !block.intact() && !self.continues_at(end)? {
            // Its length may be what was altered: look for the next block from its header on.
            let start = block.offset + BLOCK_HEADER as u64;
            self.at = self.next_block(start)?.unwrap_or(self.recording.length);
            return Ok(Some(Piece::Block(block)));
        }
        self.at = end;
        Ok(Some(Piece::Block(block)))
    }

    fn block_at(&self, at: u64) -> io::Result<Option<Block>> {
        let Some(header) = self.header_at(at)? else { return Ok(None) };
        let body_at = at + BLOCK_HEADER as u64;
        if body_at + u64::from(header.length) > self.recording.length {
            return Ok(None);
        }
        let body = self.recording.read_at(body_at, header.length as usize)?;
        let mut hasher = blake3::Hasher::new();
        let encoded = header.encode();
        hasher.update(encoded.get(BLOCK_COVERED..).unwrap_or(&[]));
        hasher.update(&body);
        Ok(Some(Block { offset: at, header, computed: *hasher.finalize().as_bytes(), body }))
    }

    fn header_at(&self, at: u64) -> io::Result<Option<BlockHeader>> {
        if at + BLOCK_HEADER as u64 > self.recording.length {
            return Ok(None);
        }
        let bytes = self.recording.read_at(at, BLOCK_HEADER)?;
        Ok(bytes.first_chunk().and_then(BlockHeader::decode))
    }

    /// Whether the file ends here or another block begins.
    fn continues_at(&self, at: u64) -> io::Result<bool> {
        Ok(at == self.recording.length || self.header_at(at)?.is_some())
    }

    fn junk(&mut self) -> io::Result<Piece> {
        let offset = self.at;
        let next = self.next_block(offset + 1)?;
        self.at = next.unwrap_or(self.recording.length);
        let torn = next.is_none() && self.looks_torn(offset)?;
        Ok(Piece::Junk(Junk { offset, length: self.at - offset, torn }))
    }

    /// A cut write leaves the beginning of a block; a loss of power may leave zeros.
    fn looks_torn(&self, offset: u64) -> io::Result<bool> {
        let rest = self.recording.length - offset;
        let start = self.recording.read_at(offset, usize::try_from(rest).unwrap_or(usize::MAX).min(BLOCK_HEADER))?;
        let magic = start.get(..BLOCK_MAGIC.len()).unwrap_or(&start);
        let longest = (BLOCK_HEADER + format::BLOCK_MAX) as u64;
        Ok(rest < longest && (BLOCK_MAGIC.starts_with(magic) || start.iter().all(|byte| *byte == 0)))
    }

    /// Where the next complete block begins, at `from` or later.
    fn next_block(&self, from: u64) -> io::Result<Option<u64>> {
        let finder = memmem::Finder::new(&BLOCK_MAGIC);
        let mut window_at = from;
        while window_at < self.recording.length {
            let rest = self.recording.length - window_at;
            let length = usize::try_from(rest).unwrap_or(usize::MAX).min(SEARCH_WINDOW);
            let window = self.recording.read_at(window_at, length)?;
            for found in finder.find_iter(&window) {
                let at = window_at + found as u64;
                if self.block_at(at)?.is_some() {
                    return Ok(Some(at));
                }
            }
            if length < SEARCH_WINDOW {
                break;
            }
            window_at += (length - BLOCK_MAGIC.len()) as u64;
        }
        Ok(None)
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Piece, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.read();
        if piece.is_err() {
            self.at = self.recording.length;
        }
        piece.map_err(StoreError::file("read", &self.recording.path)).transpose()
    }
}

/// Walks over the entries of one block.
pub struct BlockEntries<'a> {
    id: SessionId,
    rest: &'a [u8],
}

/// An entry as it stands in a block.
pub struct RawEntry<'a> {
    pub header: EntryHeader,
    pub payload: &'a [u8],
}

impl RawEntry<'_> {
    /// Whether the payload has the checksum that the header names.
    pub fn intact(&self) -> bool {
        crc32fast::hash(self.payload) == self.header.payload_check
    }
}

/// An entry's header is damaged; what follows in this block cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unreadable;

impl<'a> Iterator for BlockEntries<'a> {
    type Item = Result<RawEntry<'a>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = self.rest.split_first_chunk::<ENTRY_HEADER>().and_then(|(header, rest)| {
            let header = EntryHeader::decode(self.id, header)?;
            let (payload, rest) = rest.split_at_checked(header.length as usize)?;
            self.rest = rest;
            Some(RawEntry { header, payload })
        });
        if entry.is_none() {
            self.rest = &[];
        }
        Some(entry.ok_or(Unreadable))
    }
}

/// One entry, for people.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Of its last piece.
    pub sequence: u64,
    /// Nanoseconds since the session began.
    pub elapsed: u64,
    /// Microseconds since 1970.
    pub wall: u64,
    /// `None`: of a later version.
    pub kind: Option<Kind>,
    pub payload: Vec<u8>,
}

impl Entry {
    /// The payload of an entry whose kind has one.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        serde_json::from_slice(&self.payload).map_err(|source| ReadError::Payload {
            sequence: self.sequence,
            kind: self.kind.map_or("unknown", Kind::name),
            source,
        })
    }
}

/// What reading meets.
#[derive(Clone, Debug)]
pub enum Part {
    Entry(Entry),
    /// Something here is damaged; `verify` says what.
    Damage,
}

/// Walks over a file's entries.
pub struct Entries<'a> {
    pieces: Pieces<'a>,
    block: Option<(Block, usize)>,
    /// Pieces of a long entry that came so far.
    begun: Option<Entry>,
}

impl Entries<'_> {
    /// The next piece of an entry in the current block.
    fn next_in_block(&mut self) -> Option<Result<(Entry, bool), Unreadable>> {
        let id = self.pieces.recording.id;
        let (block, at) = self.block.as_mut()?;
        let rest = block.body.get(*at..)?;
        let raw = match (BlockEntries { id, rest }).next()? {
            Ok(raw) => raw,
            Err(unreadable) => {
                self.block = None;
                return Some(Err(unreadable));
            }
        };
        *at += ENTRY_HEADER + raw.payload.len();
        let entry = Entry {
            sequence: raw.header.sequence,
            elapsed: raw.header.elapsed,
            wall: raw.header.wall,
            kind: Kind::from_code(raw.header.kind),
            payload: raw.payload.to_vec(),
        };
        Some(Ok((entry, raw.header.more)))
    }

    /// Puts the pieces of a long entry together; bytes of the conversation are handed on as they come.
    fn join(&mut self, entry: Entry, more: bool) -> Option<Entry> {
        let whole = match self.begun.take() {
            Some(begun) if begun.kind == entry.kind && begun.payload.len() <= APPEND_MAX => {
                let mut payload = begun.payload;
                payload.extend_from_slice(&entry.payload);
                Entry { payload, elapsed: begun.elapsed, wall: begun.wall, ..entry }
            }
            Some(_) | None => entry,
        };
        if more && !matches!(whole.kind, Some(Kind::FromWorkload | Kind::ToWorkload)) {
            self.begun = Some(whole);
            return None;
        }
        Some(whole)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Part, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.next_in_block() {
                Some(Ok((entry, more))) => match self.join(entry, more) {
                    Some(entry) => return Some(Ok(Part::Entry(entry))),
                    None => continue,
                },
                Some(Err(Unreadable)) => return Some(Ok(Part::Damage)),
                None => {}
            }
            match self.pieces.next()? {
                Ok(Piece::Block(block)) => {
                    let intact = block.intact();
                    self.block = Some((block, 0));
                    if !intact {
                        return Some(Ok(Part::Damage));
                    }
                }
                // The block that is being written, or was when the daemon was killed.
                Ok(Piece::Junk(junk)) if junk.torn => {}
                Ok(Piece::Junk(_)) => return Some(Ok(Part::Damage)),
                Err(error) => return Some(Err(error.into())),
            }
        }
    }
}
