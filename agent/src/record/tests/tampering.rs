//! Whatever is changed in a record is found, and named.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    super::{
        format::{BLOCK_HEADER, BlockHeader, ENTRY_HEADER, EntryHeader, PREAMBLE},
        verify::{Finding, Report, verify_all, verify_file, verify_session},
    },
    *,
};

/// A store with one session of four blocks: entries 0–2, 3–5, 6–8 and the end, 9.
struct Fixture {
    folder: TempDir,
    id: SessionId,
    path: std::path::PathBuf,
    bytes: Vec<u8>,
}

impl Fixture {
    fn new() -> Self {
        // The writer may wake by itself in between and make more blocks of it.
        std::iter::repeat_with(Self::record).find(|fixture| fixture.blocks().len() == 4).unwrap()
    }

    fn record() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(&small(folder.path())).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let session = recorder.begin(&header()).unwrap();
        let id = session.id();
        for (at, text) in ["one", "two", "three", "four", "five", "six", "seven", "eight"].iter().enumerate() {
            session.append(Kind::FromWorkload, text.as_bytes()).unwrap();
            if at % 3 == 1 || at == 7 {
                runtime.block_on(recorder.flush()).unwrap();
            }
        }
        session.end(Outcome::Closed);
        drop(recorder);
        let path = path_of(folder.path(), id);
        let bytes = fs::read(&path).unwrap();
        Self { folder, id, path, bytes }
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Where the blocks lie in the file.
    fn blocks(&self) -> Vec<std::ops::Range<usize>> {
        let mut blocks = Vec::new();
        let mut at = PREAMBLE;
        while at < self.bytes.len() {
            let header = BlockHeader::decode(self.bytes[at..].first_chunk().unwrap()).unwrap();
            let end = at + BLOCK_HEADER + header.length as usize;
            blocks.push(at..end);
            at = end;
        }
        blocks
    }

    /// Where the entries of a block lie in the file.
    fn entries_of(&self, block: &std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
        let mut entries = Vec::new();
        let mut at = block.start + BLOCK_HEADER;
        while at < block.end {
            let header = EntryHeader::decode(self.id, self.bytes[at..].first_chunk().unwrap()).unwrap();
            let end = at + ENTRY_HEADER + header.length as usize;
            entries.push(at..end);
            at = end;
        }
        entries
    }

    /// The file made of these parts, after its preamble.
    fn rebuilt(&self, parts: &[std::ops::Range<usize>]) -> Vec<u8> {
        let mut bytes = self.bytes[..PREAMBLE].to_vec();
        for part in parts {
            bytes.extend_from_slice(&self.bytes[part.clone()]);
        }
        bytes
    }

    fn verify(&self, bytes: &[u8]) -> Report {
        fs::write(&self.path, bytes).unwrap();
        // A file that changed a moment ago is looked at again and again: this one is not being written.
        let file = fs::OpenOptions::new().write(true).open(&self.path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        verify_session(self.root(), self.id).unwrap()
    }
}

/// Gives the block at the front the hash that fits its bytes, and returns it.
fn forge_hash(block: &mut [u8], previous: Option<[u8; 32]>) -> [u8; 32] {
    if let Some(previous) = previous {
        block[40..72].copy_from_slice(&previous);
    }
    let hash = *blake3::hash(&block[40..]).as_bytes();
    block[8..40].copy_from_slice(&hash);
    hash
}

#[test]
fn an_untouched_record_is_sound() {
    let fixture = Fixture::new();
    let report = verify_session(fixture.root(), fixture.id).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.entries, report.blocks, report.outcome), (10, 4, Some(Outcome::Closed)));
    let all = verify_all(fixture.root()).unwrap();
    assert!(all.is_sound());
    assert_eq!(all.sessions.len(), 1);
}

#[test]
fn every_flipped_byte_is_found_without_the_index() {
    let fixture = Fixture::new();
    for at in 0..fixture.bytes.len() {
        let mut bytes = fixture.bytes.clone();
        bytes[at] ^= 0x20;
        fs::write(&fixture.path, &bytes).unwrap();
        assert!(!verify_file(&fixture.path).unwrap().is_sound(), "byte {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_overwritten_is_found(at in 0_usize..1000, with in proptest::collection::vec(any::<u8>(), 1..200)) {
        let fixture = Fixture::new();
        let mut bytes = fixture.bytes.clone();
        let at = at % bytes.len();
        let end = (at + with.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&with[..end - at]);
        prop_assume!(bytes != fixture.bytes);
        prop_assert!(!fixture.verify(&bytes).is_sound());
    }
}

#[test]
fn an_altered_payload_is_named() {
    let fixture = Fixture::new();
    let five = memchr::memmem::find(&fixture.bytes, b"five").unwrap();
    let mut bytes = fixture.bytes.clone();
    bytes[five] = b'F';
    assert_eq!(fixture.verify(&bytes).findings, [Finding::Altered { first: 5, last: 5 }]);
}

#[test]
fn an_altered_entry_header_is_named() {
    let fixture = Fixture::new();
    let entries = fixture.entries_of(&fixture.blocks()[1]);
    let mut bytes = fixture.bytes.clone();
    bytes[entries[1].start + 16] ^= 1;
    assert_eq!(fixture.verify(&bytes).findings, [Finding::Altered { first: 4, last: 5 }]);
}

#[test]
fn an_altered_block_header_names_its_entries() {
    let fixture = Fixture::new();
    let mut bytes = fixture.bytes.clone();
    bytes[fixture.blocks()[1].start + 8] ^= 1;
    assert_eq!(fixture.verify(&bytes).findings, [Finding::Altered { first: 3, last: 5 }]);
}

#[test]
fn a_deleted_entry_is_named() {
    let fixture = Fixture::new();
    let blocks = fixture.blocks();
    let entries = fixture.entries_of(&blocks[1]);
    let mut bytes = fixture.bytes.clone();
    let length = (blocks[1].len() - BLOCK_HEADER - entries[1].len()) as u32;
    bytes[blocks[1].start + 84..][..4].copy_from_slice(&length.to_le_bytes());
    bytes.drain(entries[1].clone());
    assert_eq!(fixture.verify(&bytes).findings, [Finding::Missing { first: 4, last: 4 }]);
}

#[test]
fn a_deleted_block_is_named() {
    let fixture = Fixture::new();
    let [first, _, third, last] = fixture.blocks().try_into().unwrap();
    let bytes = fixture.rebuilt(&[first, third, last]);
    assert_eq!(fixture.verify(&bytes).findings, [Finding::Missing { first: 3, last: 5 }]);
}

#[test]
fn a_deleted_end_is_named() {
    let fixture = Fixture::new();
    let blocks = fixture.blocks();
    let bytes = fixture.rebuilt(&blocks[..3]);
    assert_eq!(fixture.verify(&bytes).findings, [Finding::CutShort { entries: 9, indexed: 10 }]);
}

#[test]
fn swapped_entries_are_named() {
    let fixture = Fixture::new();
    let [first, second, third] = fixture.entries_of(&fixture.blocks()[1]).try_into().unwrap();
    let mut bytes = fixture.bytes[..first.start].to_vec();
    for part in [&third, &second, &first] {
        bytes.extend_from_slice(&fixture.bytes[part.clone()]);
    }
    bytes.extend_from_slice(&fixture.bytes[third.end..]);
    let findings = fixture.verify(&bytes).findings;
    assert_eq!(
        findings,
        [Finding::Missing { first: 3, last: 4 }, Finding::Moved { sequence: 4 }, Finding::Moved { sequence: 3 }]
    );
}

#[test]
fn swapped_blocks_are_named() {
    let fixture = Fixture::new();
    let [first, second, third, last] = fixture.blocks().try_into().unwrap();
    let findings = fixture.verify(&fixture.rebuilt(&[first, third, second, last])).findings;
    assert!(findings.contains(&Finding::Moved { sequence: 3 }), "{findings:?}");
}

#[test]
fn a_repeated_block_is_named() {
    let fixture = Fixture::new();
    let [first, second, third, last] = fixture.blocks().try_into().unwrap();
    let findings = fixture.verify(&fixture.rebuilt(&[first, second.clone(), second, third, last])).findings;
    assert!(findings.contains(&Finding::Repeated { sequence: 3 }), "{findings:?}");
}

#[test]
fn a_replaced_block_with_a_fitting_hash_breaks_the_chain() {
    let fixture = Fixture::new();
    let blocks = fixture.blocks();
    let mut bytes = fixture.bytes.clone();
    forge_entry(&fixture, &mut bytes, 1, 1);
    forge_hash(&mut bytes[blocks[1].clone()], None);
    assert_eq!(fixture.verify(&bytes).findings, [Finding::Unchained { sequence: 6 }]);
}

#[test]
fn a_file_that_was_written_anew_is_not_the_one_that_was_indexed() {
    let fixture = Fixture::new();
    let blocks = fixture.blocks();
    let mut bytes = fixture.bytes.clone();
    forge_entry(&fixture, &mut bytes, 1, 1);
    let mut previous = None;
    for block in &blocks[1..] {
        previous = Some(forge_hash(&mut bytes[block.clone()], previous));
    }
    assert_eq!(fixture.verify(&bytes).findings, [Finding::Replaced { entries: 10 }]);
    assert!(verify_file(&fixture.path).unwrap().is_sound(), "the file alone cannot tell");
}

/// Changes one entry and gives it checksums that fit.
fn forge_entry(fixture: &Fixture, bytes: &mut [u8], block: usize, entry: usize) {
    let entry = fixture.entries_of(&fixture.blocks()[block])[entry].clone();
    let (head, payload) = bytes[entry].split_at_mut(ENTRY_HEADER);
    payload[0] ^= 1;
    let mut header = EntryHeader::decode(fixture.id, (*head).first_chunk().unwrap()).unwrap();
    header.payload_check = crc32fast::hash(payload);
    head.copy_from_slice(&header.encode(fixture.id));
}

#[test]
fn every_truncation_is_found() {
    let fixture = Fixture::new();
    for length in 0..fixture.bytes.len() {
        assert!(!fixture.verify(&fixture.bytes[..length]).is_sound(), "{length} bytes");
    }
}

#[test]
fn a_file_that_ends_within_a_block_is_torn() {
    let fixture = Fixture::new();
    let last = fixture.blocks()[3].clone();
    let report = fixture.verify(&fixture.bytes[..last.end - 1]);
    let torn = Finding::Torn { offset: last.start as u64, bytes: last.len() as u64 - 1 };
    assert_eq!(report.findings, [torn, Finding::CutShort { entries: 9, indexed: 10 }]);
}

#[test]
fn appended_garbage_is_named() {
    let fixture = Fixture::new();
    let bytes = [fixture.bytes.as_slice(), b"garbage"].concat();
    let foreign = Finding::Foreign { offset: fixture.bytes.len() as u64, bytes: 7 };
    assert_eq!(fixture.verify(&bytes).findings, [foreign]);
}

#[test]
fn a_block_behind_the_end_is_named() {
    let fixture = Fixture::new();
    let mut added = fixture.bytes[fixture.blocks()[2].clone()].to_vec();
    forge_hash(&mut added, Some(*fixture.bytes[fixture.blocks()[3].start + 8..].first_chunk().unwrap()));
    let findings = fixture.verify(&[fixture.bytes.clone(), added].concat()).findings;
    assert!(findings.contains(&Finding::AfterEnd { sequence: 6 }), "{findings:?}");
}

#[test]
fn another_sessions_file_under_this_name_is_named() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let findings = fixture.verify(&other.bytes).findings;
    assert!(findings.contains(&Finding::OtherSession { id: other.id }), "{findings:?}");
}

#[test]
fn an_entry_of_another_session_is_named() {
    let (fixture, other) = (Fixture::new(), Fixture::new());
    let place = fixture.blocks()[1].clone();
    let mut bytes = fixture.bytes.clone();
    bytes.splice(place, other.bytes[other.blocks()[1].clone()].iter().copied());
    let findings = fixture.verify(&bytes).findings;
    assert_eq!(findings, [Finding::Altered { first: 3, last: 5 }, Finding::Unchained { sequence: 6 }]);
}

#[test]
fn a_deleted_file_is_named() {
    let fixture = Fixture::new();
    fs::remove_file(&fixture.path).unwrap();
    let all = verify_all(fixture.root()).unwrap();
    assert_eq!(all.sessions[0].findings, [Finding::FileMissing]);
}

#[test]
fn a_deleted_row_is_named() {
    let fixture = Fixture::new();
    rusqlite::Connection::open(Index::path(fixture.root())).unwrap().execute("DELETE FROM sessions", []).unwrap();
    assert_eq!(verify_all(fixture.root()).unwrap().sessions[0].findings, [Finding::NotIndexed]);
}

#[test]
fn a_session_without_file_and_row_leaves_its_number() {
    let fixture = Fixture::new();
    fs::remove_file(&fixture.path).unwrap();
    rusqlite::Connection::open(Index::path(fixture.root())).unwrap().execute("DELETE FROM sessions", []).unwrap();
    let all = verify_all(fixture.root()).unwrap();
    assert_eq!((all.is_sound(), all.missing_numbers), (false, vec![1]));
}

#[test]
fn entries_that_were_cut_off_a_live_session_are_missed_after_its_end() {
    let fixture = Fixture::new();
    // As if the daemon had been killed before the end, and somebody had cut the file meanwhile.
    fs::write(&fixture.path, fixture.rebuilt(&fixture.blocks()[..2])).unwrap();
    let index = rusqlite::Connection::open(Index::path(fixture.root())).unwrap();
    index.execute("UPDATE sessions SET ended = NULL, outcome = NULL, entries = 9", []).unwrap();
    drop(index);
    drop(Recorder::open(&small(fixture.root())).unwrap());
    let report = verify_session(fixture.root(), fixture.id).unwrap();
    assert_eq!(report.findings, [Finding::Missing { first: 6, last: 8 }]);
    assert_eq!(report.outcome, Some(Outcome::Interrupted));
}

#[test]
fn a_lost_index_is_rebuilt_from_the_files() {
    let fixture = Fixture::new();
    let before = search_all(fixture.root());
    fs::write(Index::path(fixture.root()), b"not a database, but long enough to be looked at").unwrap();
    drop(Recorder::open(&small(fixture.root())).unwrap());
    assert_eq!(search_all(fixture.root()), before);
}
