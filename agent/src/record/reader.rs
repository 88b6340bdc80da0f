//! Reads a session's file: entries for people.
//!
//! Reading trusts nothing: what is damaged is said and stepped over, so that the rest can still be read.

use serde::de::DeserializeOwned;

use super::{
    APPEND_MAX, BeginEntry, Kind,
    blocks::{Block, BlockEntries, Piece, Pieces, Unreadable},
    format::ENTRY_HEADER,
    recording::{ReadError, Recording},
};

impl Recording {
    /// What the first entry says.
    pub fn begin(&self) -> Result<BeginEntry, ReadError> {
        match self.entries().next() {
            Some(Ok(Part::Entry(entry))) if entry.kind == Some(Kind::Begin) => entry.json(),
            Some(Err(error)) => Err(error),
            _ => Err(ReadError::NoBegin { path: self.path().to_owned() }),
        }
    }

    /// The file's blocks and what lies between them.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces::new(self)
    }

    /// The entries in the order of the file, long ones put together again.
    pub fn entries(&self) -> Entries<'_> {
        Entries { pieces: self.pieces(), block: None, begun: None }
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
        let id = self.pieces.id();
        let (block, at) = self.block.as_mut()?;
        let rest = block.body.get(*at..)?;
        let raw = match BlockEntries::new(id, rest).next()? {
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
