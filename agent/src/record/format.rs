//! The bytes of a record, version 1, as `docs/recording-format.md` describes them.
//!
//! A file is a preamble and blocks; a block is a header that chains it to the block before, and
//! entries. Everything is little-endian. Pure: nothing here reads or writes a file.

use super::{Kind, SessionId};

/// Most bytes of one entry's payload; longer ones are split into pieces.
pub const ENTRY_MAX: usize = 64 * 1024;

/// Most bytes of one block's entries.
pub const BLOCK_MAX: usize = 512 * 1024;

/// Bytes of a file before its first block: magic, version, reserved, session id.
pub const PREAMBLE: usize = 32;
pub const PREAMBLE_MAGIC: [u8; 8] = *b"PCRECORD";
pub const VERSION: u32 = 1;

/// Bytes of a block's header.
pub const BLOCK_HEADER: usize = 96;
pub const BLOCK_MAGIC: [u8; 8] = *b"PCBLOCK\n";
/// The block's hash covers everything behind the magic and the hash itself.
pub const BLOCK_COVERED: usize = 40;

/// Bytes of an entry's header.
pub const ENTRY_HEADER: usize = 40;
/// The next entry of this session continues this payload.
const FLAG_MORE: u8 = 1;

pub type Hash = [u8; 32];

/// What a file of this session begins with.
pub fn preamble(id: SessionId) -> [u8; PREAMBLE] {
    let mut bytes = [0; PREAMBLE];
    let mut to = bytes.as_mut_slice();
    put(&mut to, &PREAMBLE_MAGIC);
    put(&mut to, &VERSION.to_le_bytes());
    put(&mut to, &[0; 4]);
    put(&mut to, &id.to_bytes());
    bytes
}

/// The hash that the first block names as the one before it.
pub fn genesis(id: SessionId) -> Hash {
    *blake3::hash(&preamble(id)).as_bytes()
}

/// Reads which session a preamble belongs to; `None` if it is not one of this version.
pub fn read_preamble(bytes: &[u8; PREAMBLE]) -> Option<SessionId> {
    let id = SessionId::from_bytes(*bytes.last_chunk()?);
    (preamble(id) == *bytes).then_some(id)
}

/// How a block's entries are stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// As they are.
    Raw,
}

impl Encoding {
    const fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Raw),
            _ => None,
        }
    }
}

/// What stands before a block's entries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BlockHeader {
    pub hash: Hash,
    /// The hash of the block before.
    pub previous: Hash,
    /// The sequence of the first entry.
    pub first: u64,
    pub entries: u32,
    /// Bytes behind this header.
    pub length: u32,
    pub encoding: Encoding,
}

impl BlockHeader {
    pub fn encode(&self) -> [u8; BLOCK_HEADER] {
        let mut bytes = [0; BLOCK_HEADER];
        let mut to = bytes.as_mut_slice();
        put(&mut to, &BLOCK_MAGIC);
        put(&mut to, &self.hash);
        put(&mut to, &self.previous);
        put(&mut to, &self.first.to_le_bytes());
        put(&mut to, &self.entries.to_le_bytes());
        put(&mut to, &self.length.to_le_bytes());
        put(&mut to, &[self.encoding.code()]);
        bytes
    }

    /// Reads a header; `None` if these bytes are none, or one that no writer of this version made.
    pub fn decode(bytes: &[u8; BLOCK_HEADER]) -> Option<Self> {
        let mut from = bytes.as_slice();
        let magic: [u8; 8] = take(&mut from)?;
        let header = Self {
            hash: take(&mut from)?,
            previous: take(&mut from)?,
            first: u64::from_le_bytes(take(&mut from)?),
            entries: u32::from_le_bytes(take(&mut from)?),
            length: u32::from_le_bytes(take(&mut from)?),
            encoding: Encoding::from_code(u8::from_le_bytes(take(&mut from)?))?,
        };
        (magic == BLOCK_MAGIC && header.length as usize <= BLOCK_MAX && from.iter().all(|byte| *byte == 0))
            .then_some(header)
    }
}

/// What stands before an entry's payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EntryHeader {
    pub length: u32,
    /// A [`Kind`]'s code; readers skip codes that they do not know.
    pub kind: u8,
    /// The next entry continues this payload.
    pub more: bool,
    pub sequence: u64,
    /// Nanoseconds since the session began, by a clock that never jumps.
    pub elapsed: u64,
    /// Microseconds since 1970, by the host's clock.
    pub wall: u64,
    /// CRC-32 of the payload.
    pub payload_check: u32,
}

impl EntryHeader {
    /// Describes a payload of at most [`ENTRY_MAX`] bytes.
    pub fn of(kind: Kind, sequence: u64, stamp: Stamp, payload: &[u8], more: bool) -> Self {
        Self {
            length: u32::try_from(payload.len()).unwrap_or(u32::MAX),
            kind: kind.code(),
            more,
            sequence,
            elapsed: stamp.elapsed,
            wall: stamp.wall,
            payload_check: crc32fast::hash(payload),
        }
    }

    /// Writes the header with a checksum that also covers whose entry it is.
    pub fn encode(&self, id: SessionId) -> [u8; ENTRY_HEADER] {
        let mut bytes = [0; ENTRY_HEADER];
        let mut to = bytes.as_mut_slice();
        put(&mut to, &self.length.to_le_bytes());
        put(&mut to, &[self.kind, if self.more { FLAG_MORE } else { 0 }, 0, 0]);
        put(&mut to, &self.sequence.to_le_bytes());
        put(&mut to, &self.elapsed.to_le_bytes());
        put(&mut to, &self.wall.to_le_bytes());
        put(&mut to, &self.payload_check.to_le_bytes());
        let check = header_check(id, &bytes);
        let (_, to) = bytes.split_at_mut(ENTRY_HEADER - 4);
        to.copy_from_slice(&check.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` if it is damaged or another session's.
    pub fn decode(id: SessionId, bytes: &[u8; ENTRY_HEADER]) -> Option<Self> {
        let mut from = bytes.as_slice();
        let length = u32::from_le_bytes(take(&mut from)?);
        let [kind, flags, ..]: [u8; 4] = take(&mut from)?;
        let header = Self {
            length,
            kind,
            more: flags & FLAG_MORE != 0,
            sequence: u64::from_le_bytes(take(&mut from)?),
            elapsed: u64::from_le_bytes(take(&mut from)?),
            wall: u64::from_le_bytes(take(&mut from)?),
            payload_check: u32::from_le_bytes(take(&mut from)?),
        };
        let check = u32::from_le_bytes(take(&mut from)?);
        (check == header_check(id, bytes) && length as usize <= ENTRY_MAX).then_some(header)
    }
}

/// When an entry was appended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stamp {
    /// Nanoseconds since the session began.
    pub elapsed: u64,
    /// Microseconds since 1970.
    pub wall: u64,
}

fn header_check(id: SessionId, header: &[u8; ENTRY_HEADER]) -> u32 {
    let mut covered = [0; 16 + ENTRY_HEADER - 4];
    let mut to = covered.as_mut_slice();
    put(&mut to, &id.to_bytes());
    put(&mut to, header.first_chunk::<{ ENTRY_HEADER - 4 }>().unwrap_or(&[0; ENTRY_HEADER - 4]));
    crc32fast::hash(&covered)
}

/// Writes to the front of `to` and moves it on.
pub fn put(to: &mut &mut [u8], bytes: &[u8]) {
    if let Some((front, rest)) = std::mem::take(to).split_at_mut_checked(bytes.len()) {
        front.copy_from_slice(bytes);
        *to = rest;
    }
}

/// Reads from the front of `from` and moves it on.
pub fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (front, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*front)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamp() -> Stamp {
        Stamp { elapsed: 7, wall: 1_795_262_400_000_000 }
    }

    #[test]
    fn an_entry_of_another_session_is_refused() {
        let (mine, other) = (SessionId::from_bytes([1; 16]), SessionId::from_bytes([2; 16]));
        let bytes = EntryHeader::of(Kind::Decision, 3, stamp(), b"{}", false).encode(mine);
        assert!(EntryHeader::decode(mine, &bytes).is_some());
        assert_eq!(EntryHeader::decode(other, &bytes), None);
    }

    #[test]
    fn no_flipped_bit_of_an_entry_header_passes() {
        let id = SessionId::from_bytes([1; 16]);
        let bytes = EntryHeader::of(Kind::Decision, 3, stamp(), b"{}", true).encode(id);
        for bit in 0..ENTRY_HEADER * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(EntryHeader::decode(id, &flipped), None, "bit {bit}");
        }
    }

    proptest! {
        #[test]
        fn block_headers_are_read_back(hash: Hash, previous: Hash, first: u64, entries: u32, length in 0..=BLOCK_MAX as u32) {
            let header = BlockHeader { hash, previous, first, entries, length, encoding: Encoding::Raw };
            prop_assert_eq!(BlockHeader::decode(&header.encode()), Some(header));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: [u8; BLOCK_HEADER], entry: [u8; ENTRY_HEADER], start: [u8; PREAMBLE]) {
            BlockHeader::decode(&bytes);
            EntryHeader::decode(SessionId::from_bytes([0; 16]), &entry);
            read_preamble(&start);
        }
    }
}
