//! The blocks of a session's file as they stand, and what lies between them.

use std::io;

use memchr::memmem;

use super::{
    SessionId, StoreError,
    format::{self, BLOCK_COVERED, BLOCK_HEADER, BLOCK_MAGIC, BlockHeader, ENTRY_HEADER, EntryHeader, PREAMBLE},
    recording::Recording,
};

/// Bytes that are searched at once for the next block behind damage.
const SEARCH_WINDOW: usize = 64 * 1024;

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
        BlockEntries::new(id, &self.body)
    }
}

/// Walks over a file's blocks.
pub struct Pieces<'a> {
    recording: &'a Recording,
    at: u64,
}

impl<'a> Pieces<'a> {
    pub fn new(recording: &'a Recording) -> Self {
        Self { recording, at: PREAMBLE as u64 }
    }

    pub fn id(&self) -> SessionId {
        self.recording.id()
    }

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
        piece.map_err(StoreError::file("read", self.recording.path())).transpose()
    }
}

/// Walks over the entries of one block.
pub struct BlockEntries<'a> {
    id: SessionId,
    rest: &'a [u8],
}

impl<'a> BlockEntries<'a> {
    pub fn new(id: SessionId, rest: &'a [u8]) -> Self {
        Self { id, rest }
    }
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
