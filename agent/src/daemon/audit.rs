//! The host's own record: what befell the daemon and the capture, and who changed what.
//!
//! It is written as sessions are, into the same chain of files, and shown by `portcullis sessions show host`. Appending
//! is a copy into the journal: nobody waits for it. What cannot be appended is counted, and the count is the first thing
//! that is written when the record is well again; until then the gate lets nothing pass anyway.

use std::{collections::BTreeMap, fs};

use parking_lot::Mutex;

use super::event::Event;
use crate::record::{Kind, LifecycleEntry, Outcome, RecordError, Recorder, SessionHeader, SessionRecorder};

/// Bytes of one record of the host; a longer one is continued in the next.
pub const AUDIT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The host's record. Dropping it ends it as broken off; [`Audit::close`] ends it well.
#[derive(Debug)]
pub struct Audit {
    recorder: Recorder,
    host: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `None` while the store takes none, and after the end.
    session: Option<SessionRecorder>,
    bytes: u64,
    /// Events that could not be written, since the last that could.
    missed: u64,
    missed_ever: u64,
    policy_generation: u64,
    closed: bool,
}

impl Audit {
    pub fn open(recorder: Recorder, policy_generation: u64) -> Result<Self, RecordError> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned();
        let session = recorder.begin(&SessionHeader::of_host(host.clone(), policy_generation))?;
        let state = State { session: Some(session), policy_generation, ..State::default() };
        Ok(Self { recorder, host, state: state.into() })
    }

    /// Writes an event down, and says it in the daemon's log.
    pub fn note(&self, event: &Event) {
        event.log();
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        if let Event::Policy { generation } = event {
            state.policy_generation = *generation;
        }
        if let Err(error) = self.write(&mut state, event) {
            state.missed += 1;
            state.missed_ever += 1;
            tracing::error!(%error, event = event.name(), "the host's record misses an event");
        }
    }

    /// How many events are in no record.
    pub fn missed_ever(&self) -> u64 {
        self.state.lock().missed_ever
    }

    /// Ends the record; later events are only logged.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        if let Some(session) = state.session.take() {
            session.end(Outcome::Closed);
        }
    }

    fn write(&self, state: &mut State, event: &Event) -> Result<(), RecordError> {
        if state.bytes >= AUDIT_BYTES_MAX {
            self.turn(state)?;
        }
        if state.missed > 0 {
            self.append(state, &Event::Missed { events: state.missed })?;
            state.missed = 0;
        }
        self.append(state, event)
    }

    /// Ends this record, and begins the next.
    fn turn(&self, state: &mut State) -> Result<(), RecordError> {
        let next = self.recorder.begin(&SessionHeader::of_host(self.host.clone(), state.policy_generation))?;
        let next_id = next.id().to_string();
        state.bytes = 0;
        if let Some(full) = state.session.replace(next) {
            let before = full.id().to_string();
            // The journal may be full: the next record's word of it suffices.
            let _ = full.append_json(Kind::Lifecycle, &entry(&Event::ContinuedIn { record: next_id }));
            full.end(Outcome::Closed);
            self.append(state, &Event::ContinuationOf { record: before })?;
        }
        Ok(())
    }

    fn append(&self, state: &mut State, event: &Event) -> Result<(), RecordError> {
        let payload = serde_json::to_vec(&entry(event)).map_err(|error| RecordError::Header(error.into()))?;
        let session = state.session.as_ref().ok_or(RecordError::Closed)?;
        session.append(Kind::Lifecycle, &payload)?;
        state.bytes += payload.len() as u64;
        Ok(())
    }
}

fn entry(event: &Event) -> LifecycleEntry {
    let facts: BTreeMap<_, _> = event.facts().into_iter().map(|(name, value)| (name.into(), value)).collect();
    LifecycleEntry { event: event.name().into(), facts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Index, RecorderConfig, Recording, Search, Whose, reader::Part};

    fn events(directory: &std::path::Path) -> Vec<Vec<String>> {
        let root = crate::record::folder_below(directory);
        let index = Index::open_to_read(&root).unwrap();
        let rows = index.search(&Search { whose: Whose::Host, ..Search::default() }).unwrap();
        let names = |row: &crate::record::Row| {
            let recording = Recording::open(&crate::record::path_of(&root, row.id)).unwrap();
            let entries = recording.entries().filter_map(|part| match part.unwrap() {
                Part::Entry(entry) if entry.kind == Some(Kind::Lifecycle) => {
                    Some(entry.json::<LifecycleEntry>().unwrap().event.into_owned())
                }
                Part::Entry(_) => None,
                Part::Damage => panic!("damage"),
            });
            entries.collect()
        };
        rows.iter().rev().map(names).collect()
    }

    #[test]
    fn the_host_has_a_record_of_its_own() {
        let state_dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(&RecorderConfig::new(state_dir.path())).unwrap();
        let audit = Audit::open(recorder.clone(), 1).unwrap();
        audit.note(&Event::Started { version: "1".into(), pid: 7, instance: "default".into() });
        audit.note(&Event::Policy { generation: 2 });
        audit.close();
        audit.note(&Event::Stopping);
        drop((audit, recorder));
        assert_eq!(events(state_dir.path()), [["started", "policy"]]);
        let index = Index::open_to_read(&crate::record::folder_below(state_dir.path())).unwrap();
        assert!(index.search(&Search::default()).unwrap().is_empty(), "it is no session of a workload");
    }

    #[test]
    fn a_long_record_is_continued_in_another() {
        let state_dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(&RecorderConfig::new(state_dir.path())).unwrap();
        let audit = Audit::open(recorder.clone(), 1).unwrap();
        audit.note(&Event::Stopping);
        audit.state.lock().bytes = AUDIT_BYTES_MAX;
        audit.note(&Event::Policy { generation: 2 });
        audit.close();
        drop((audit, recorder));
        let found = events(state_dir.path());
        assert_eq!(found, [vec!["stopping", "continued in"], vec!["continuation of", "policy"]]);
    }

    #[test]
    fn what_was_missed_is_counted_and_told() {
        let state_dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::open(&RecorderConfig::new(state_dir.path())).unwrap();
        let audit = Audit::open(recorder.clone(), 1).unwrap();
        let session = audit.state.lock().session.take();
        audit.note(&Event::Stopping);
        audit.note(&Event::Stopping);
        assert_eq!(audit.missed_ever(), 2);
        audit.state.lock().session = session;
        audit.note(&Event::Policy { generation: 2 });
        audit.close();
        drop((audit, recorder));
        assert_eq!(events(state_dir.path()), [["missed", "policy"]]);
    }
}
