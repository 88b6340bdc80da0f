//! Says whether a record is what was written, and if not, exactly what is wrong with it.
//!
//! The chain of hashes proves; sequences and checksums locate. What is reported as altered, missing or moved is named by
//! the sequences of its entries. Needs no daemon, and only reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Index, Kind, Outcome, Row, SessionId, StoreError,
    blocks::{Block, Piece, Unreadable},
    folder::{journal_of, path_of, session_files},
    format::{Hash, genesis},
    journal,
    recording::{ReadError, Recording},
};

/// Most findings about one file; a file that is wrong throughout is not worth more.
pub const FINDINGS_MAX: usize = 1000;

/// How often a file that is being written is looked at again, and how long after.
const ATTEMPTS: u32 = 5;
const SETTLE: Duration = Duration::from_millis(50);

/// What was found out about one session's file.
#[derive(Clone, Debug)]
pub struct Report {
    pub path: PathBuf,
    /// Of the session that the file says it is.
    pub id: Option<SessionId>,
    pub entries: u64,
    pub blocks: u64,
    /// `None`: the session goes on, or was interrupted and the daemon has not started since.
    pub outcome: Option<Outcome>,
    /// In the order of the file. Empty: the record is whole.
    pub findings: Vec<Finding>,
}

impl Report {
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One thing that is wrong with a session's record. Numbers are sequences of entries.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// There is a row in the index, but no file.
    FileMissing,
    /// The beginning of the file is not that of a record of this version.
    NotARecord,
    /// The file's name or place says another session.
    OtherSession {
        id: SessionId,
    },
    /// At least one of these entries, or what the file says about them, was changed.
    Altered {
        first: u64,
        last: u64,
    },
    Missing {
        first: u64,
        last: u64,
    },
    /// An entry stands later than where it belongs.
    Moved {
        sequence: u64,
    },
    Repeated {
        sequence: u64,
    },
    /// What stands before this entry is not what stood there when it was written.
    Unchained {
        sequence: u64,
    },
    /// Bytes that are no entries.
    Foreign {
        offset: u64,
        bytes: u64,
    },
    /// The file ends within a block.
    Torn {
        offset: u64,
        bytes: u64,
    },
    /// Something was added after the session's end.
    AfterEnd {
        sequence: u64,
    },
    /// The session has ended, but its file has no end.
    Unended,
    /// The index knows of more entries than the file has.
    CutShort {
        entries: u64,
        indexed: u64,
    },
    /// The entries have other hashes than those that were indexed: the file was written anew.
    Replaced {
        entries: u64,
    },
    /// There is a file, but no row in the index.
    NotIndexed,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FileMissing => f.write_str("the file is missing"),
            Self::NotARecord => f.write_str("the file does not begin like a record"),
            Self::OtherSession { id } => write!(f, "the file is that of session {id}"),
            Self::Altered { first, last } if first == last => write!(f, "entry {first} was altered"),
            Self::Altered { first, last } => write!(f, "entries {first} to {last}: something among them was altered"),
            Self::Missing { first, last } if first == last => write!(f, "entry {first} is missing"),
            Self::Missing { first, last } => write!(f, "entries {first} to {last} are missing"),
            Self::Moved { sequence } => write!(f, "entry {sequence} does not stand where it was written"),
            Self::Repeated { sequence } => write!(f, "entry {sequence} stands there again"),
            Self::Unchained { sequence } => write!(f, "what stands before entry {sequence} was replaced"),
            Self::Foreign { offset, bytes } => write!(f, "{bytes} bytes at {offset} are no entries"),
            Self::Torn { offset, bytes } => {
                write!(f, "the file is cut off: its last {bytes} bytes at {offset} are no whole block")
            }
            Self::AfterEnd { sequence } => write!(f, "entry {sequence} was added after the end"),
            Self::Unended => f.write_str("the end is missing"),
            Self::CutShort { entries, indexed } => {
                write!(f, "the file is cut off: it has {entries} entries, the index knows of {indexed}")
            }
            Self::Replaced { entries } => write!(f, "the first {entries} entries are not those that were indexed"),
            Self::NotIndexed => f.write_str("the session is not in the index"),
        }
    }
}

/// What was found out about all records.
#[derive(Clone, Debug, Default)]
pub struct StoreReport {
    pub sessions: Vec<Report>,
    /// Numbers of sessions of which there is neither file nor row.
    pub missing_numbers: Vec<u64>,
}

impl StoreReport {
    pub fn is_sound(&self) -> bool {
        self.missing_numbers.is_empty() && self.sessions.iter().all(Report::is_sound)
    }
}

/// Verifies every session of which there is a file or a row.
pub fn verify_all(root: &Path) -> Result<StoreReport, StoreError> {
    // First, so that sessions which begin meanwhile are not missed.
    let next_number = journal::next_number_of(&journal_of(root));
    let index = Index::open_to_read(root)?;
    let mut rows: BTreeMap<_, _> = index.every_session()?.into_iter().map(|row| (row.id, row)).collect();
    let mut numbers: BTreeSet<u64> = rows.values().map(|row| row.number).collect();
    let mut sessions = Vec::new();
    for id in session_files(root)? {
        if rows.remove(&id).is_none() {
            let recording = Recording::open(&path_of(root, id));
            numbers.extend(recording.and_then(|recording| recording.begin()).map(|begin| begin.number));
        }
        sessions.push(verify_settled(root, &index, id)?);
    }
    for id in rows.into_keys() {
        sessions.push(verify_settled(root, &index, id)?);
    }
    sessions.sort_by(|left, right| left.path.cmp(&right.path));
    let end = next_number.unwrap_or_else(|| numbers.last().map_or(1, |last| last + 1));
    let missing_numbers = (1..end).filter(|number| !numbers.contains(number)).take(FINDINGS_MAX).collect();
    Ok(StoreReport { sessions, missing_numbers })
}

/// Verifies one session against its row in the index.
pub fn verify_session(root: &Path, id: SessionId) -> Result<Report, StoreError> {
    verify_settled(root, &Index::open_to_read(root)?, id)
}

/// Verifies a file on its own. A file that was cut between two blocks is told from a session that goes on only by the
/// index, or by whoever knows that it has ended.
pub fn verify_file(path: &Path) -> Result<Report, StoreError> {
    Ok(Verifier::new(path, None).run()?.0)
}

/// Verifies a session that the daemon may be writing at this moment: what is wrong now may be well in the next.
fn verify_settled(root: &Path, index: &Index, id: SessionId) -> Result<Report, StoreError> {
    let path = path_of(root, id);
    let mut attempts = 0;
    loop {
        // The row first: the file may be ahead of it, never behind.
        let row = index.find(id)?;
        let report = verify_indexed(&path, id, row.as_ref())?;
        attempts += 1;
        if report.is_sound() || attempts == ATTEMPTS || !is_being_written(&path) {
            return Ok(report);
        }
        std::thread::sleep(SETTLE);
    }
}

/// Whether the file has changed a moment ago.
fn is_being_written(path: &Path) -> bool {
    let changed = path.metadata().and_then(|file| file.modified()).ok();
    changed.is_some_and(|changed| changed.elapsed().is_ok_and(|since| since < SETTLE * ATTEMPTS))
}

fn verify_indexed(path: &Path, id: SessionId, row: Option<&Row>) -> Result<Report, StoreError> {
    let (mut report, found) = Verifier::new(path, row).run()?;
    if matches!(report.findings.as_slice(), [Finding::FileMissing]) {
        return Ok(report);
    }
    if let Some(other) = report.id.filter(|found| *found != id) {
        report.findings.push(Finding::OtherSession { id: other });
    }
    let Some(row) = row else {
        report.findings.push(Finding::NotIndexed);
        return Ok(report);
    };
    if found.reached < row.progress.entries {
        report.findings.push(Finding::CutShort { entries: found.reached, indexed: row.progress.entries });
    } else if !found.indexed_hash && report.findings.is_empty() {
        report.findings.push(Finding::Replaced { entries: row.progress.entries });
    } else if row.progress.ended.is_some() && report.outcome.is_none() && report.findings.is_empty() {
        report.findings.push(Finding::Unended);
    }
    Ok(report)
}

/// What comparing with the index needs beside the report.
struct Found {
    /// The sequence behind the last entry.
    reached: u64,
    /// A block that ends where the row does has the row's hash.
    indexed_hash: bool,
}

/// Walks over one file.
struct Verifier<'a> {
    row: Option<&'a Row>,
    report: Report,
    /// The sequence that comes next.
    expected: u64,
    /// Hashes that the next block may name as the one before it.
    before: [Hash; 2],
    /// Sequences that were skipped.
    skipped: BTreeSet<u64>,
    indexed_hash: bool,
}

/// Most skipped sequences that are remembered, to tell moved entries from repeated ones.
const SKIPPED_MAX: u64 = 100_000;

impl<'a> Verifier<'a> {
    fn new(path: &Path, row: Option<&'a Row>) -> Self {
        let report = Report { path: path.into(), id: None, entries: 0, blocks: 0, outcome: None, findings: Vec::new() };
        Self { row, report, expected: 0, before: [[0; 32]; 2], skipped: BTreeSet::new(), indexed_hash: false }
    }

    fn run(mut self) -> Result<(Report, Found), StoreError> {
        match Recording::open(&self.report.path) {
            Ok(recording) => self.walk(&recording)?,
            Err(ReadError::Store(StoreError::File { source, .. })) if source.kind() == std::io::ErrorKind::NotFound => {
                self.found(Finding::FileMissing);
            }
            Err(ReadError::Store(error)) => return Err(error),
            Err(ReadError::NotARecord { .. } | ReadError::NoBegin { .. } | ReadError::Payload { .. }) => {
                self.found(Finding::NotARecord);
            }
        }
        Ok((self.report, Found { reached: self.expected, indexed_hash: self.indexed_hash }))
    }

    fn walk(&mut self, recording: &Recording) -> Result<(), StoreError> {
        let id = recording.id();
        self.report.id = Some(id);
        self.before = [genesis(id); 2];
        for piece in recording.pieces() {
            if self.report.findings.len() >= FINDINGS_MAX {
                return Ok(());
            }
            match piece? {
                Piece::Block(block) => self.block(id, &block),
                Piece::Junk(junk) if junk.torn => {
                    self.found(Finding::Torn { offset: junk.offset, bytes: junk.length });
                }
                Piece::Junk(junk) => self.found(Finding::Foreign { offset: junk.offset, bytes: junk.length }),
            }
        }
        Ok(())
    }

    fn block(&mut self, id: SessionId, block: &Block) {
        let findings = self.report.findings.len();
        let chained = self.before.contains(&block.header.previous);
        if self.report.outcome.is_some() {
            self.found(Finding::AfterEnd { sequence: block.header.first });
        }
        let end = self.entries(id, block);
        let located = self.report.findings.len() > findings;
        if !located && (!block.intact() || end != (block.header.first, block.header.entries)) {
            let last = block.header.first.saturating_add(u64::from(block.header.entries).saturating_sub(1));
            self.found(Finding::Altered { first: block.header.first, last });
        } else if !located && !chained {
            self.found(Finding::Unchained { sequence: block.header.first });
        }
        // Where a hash itself was altered, the next block still names the true one.
        self.before = [block.header.hash, block.computed];
        self.report.blocks += 1;
        if let Some(row) = self.row {
            self.indexed_hash |= self.expected == row.progress.entries && block.header.hash == row.progress.hash;
        }
    }

    /// Walks over a block's entries; returns the first one's sequence and how many there are.
    fn entries(&mut self, id: SessionId, block: &Block) -> (u64, u32) {
        let mut first = block.header.first;
        let mut count = 0;
        for entry in block.entries(id) {
            match entry {
                Ok(entry) => {
                    if count == 0 {
                        first = entry.header.sequence;
                    }
                    count += 1;
                    self.sequence(entry.header.sequence);
                    if !entry.intact() {
                        let sequence = entry.header.sequence;
                        self.found(Finding::Altered { first: sequence, last: sequence });
                    }
                    if Kind::from_code(entry.header.kind) == Some(Kind::End) {
                        let end = serde_json::from_slice::<super::EndEntry>(entry.payload);
                        self.report.outcome = Some(end.map_or(Outcome::Failed, |end| end.outcome));
                    }
                }
                Err(Unreadable) => {
                    let stated = block.header.first.saturating_add(u64::from(block.header.entries));
                    let last = stated.saturating_sub(1).max(self.expected);
                    self.found(Finding::Altered { first: self.expected, last });
                    self.report.entries += (last + 1).saturating_sub(self.expected);
                    self.expected = last.saturating_add(1);
                }
            }
        }
        (first, count)
    }

    fn sequence(&mut self, sequence: u64) {
        if sequence > self.expected {
            self.found(Finding::Missing { first: self.expected, last: sequence - 1 });
            self.skipped.extend((self.expected..sequence).take(usize::try_from(SKIPPED_MAX).unwrap_or(usize::MAX)));
        } else if sequence < self.expected {
            let moved = self.skipped.remove(&sequence);
            self.found(if moved { Finding::Moved { sequence } } else { Finding::Repeated { sequence } });
        }
        self.expected = self.expected.max(sequence.saturating_add(1));
        self.report.entries += 1;
    }

    fn found(&mut self, finding: Finding) {
        self.report.findings.push(finding);
    }
}
