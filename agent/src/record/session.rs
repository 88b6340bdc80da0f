//! The record of one session, as its driver and its gate use it.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use parking_lot::Mutex;

use super::{
    APPEND_MAX, ENTRY_MAX, EndEntry, Kind, Outcome, RecordError, SessionId, Tally,
    format::{EntryHeader, Stamp},
    shared::Shared,
};

/// The record of one session. Clones are the same session; they may be used from several tasks.
#[derive(Clone)]
pub struct SessionRecorder {
    session: Arc<Session>,
}

impl SessionRecorder {
    pub(super) fn new(session: Session) -> Self {
        Self { session: Arc::new(session) }
    }

    pub fn id(&self) -> SessionId {
        self.session.id
    }

    /// Copies an entry into the journal and returns its sequence in this session. All of it is recorded, or nothing.
    ///
    /// Costs a copy and two checksums. Fails with [`RecordError::Full`] when the writer is behind (wait with
    /// [`ready`](Self::ready)) and with [`RecordError::Broken`] when the store is.
    pub fn append(&self, kind: Kind, payload: &[u8]) -> Result<u64, RecordError> {
        match kind {
            Kind::Begin | Kind::End => Err(RecordError::Reserved { kind: kind.name() }),
            Kind::Lifecycle
            | Kind::FromWorkload
            | Kind::ToWorkload
            | Kind::Decision
            | Kind::Approval
            | Kind::Mask
            | Kind::Denial
            | Kind::Error => self.session.append(kind, payload),
        }
    }

    /// Appends an entry whose payload is JSON.
    pub fn append_json(&self, kind: Kind, entry: &impl serde::Serialize) -> Result<u64, RecordError> {
        let payload = serde_json::to_vec(entry).map_err(|error| RecordError::Header(error.into()))?;
        self.append(kind, &payload)
    }

    /// Appends, and waits for room while the journal is full. Payloads beyond [`APPEND_MAX`] go in parts.
    pub async fn write(&self, kind: Kind, payload: &[u8]) -> Result<u64, RecordError> {
        let mut sequence = self.write_part(kind, payload.get(..APPEND_MAX).unwrap_or(payload)).await?;
        for part in payload.chunks(APPEND_MAX).skip(1) {
            sequence = self.write_part(kind, part).await?;
        }
        Ok(sequence)
    }

    async fn write_part(&self, kind: Kind, part: &[u8]) -> Result<u64, RecordError> {
        loop {
            match self.append(kind, part) {
                Err(RecordError::Full { .. }) => self.ready().await?,
                done => return done,
            }
        }
    }

    /// Waits until an entry of any permitted length fits, or the store breaks.
    pub async fn ready(&self) -> Result<(), RecordError> {
        self.session.shared.wait_until(|shared| shared.journal.has_room()).await
    }

    /// Ends the session for all its clones; what they append later fails. Never fails itself: an end that finds the
    /// journal full is written when there is room.
    pub fn end(self, outcome: Outcome) {
        self.session.end(outcome);
    }
}

/// One session that is being recorded.
pub struct Session {
    id: SessionId,
    shared: Arc<Shared>,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The sequence of the next entry.
    next: u64,
    tally: Tally,
    ended: bool,
}

impl Session {
    pub fn new(id: SessionId, shared: Arc<Shared>) -> Self {
        Self { id, shared, started: Instant::now(), state: Mutex::default() }
    }

    pub fn append(&self, kind: Kind, payload: &[u8]) -> Result<u64, RecordError> {
        if let Some(reason) = self.shared.health.broken() {
            return Err(RecordError::Broken { reason });
        }
        if self.shared.closed.load(Ordering::Acquire) {
            return Err(RecordError::Closed);
        }
        if payload.len() > APPEND_MAX {
            return Err(RecordError::TooLarge { length: payload.len() });
        }
        let mut state = self.state.lock();
        if state.ended {
            return Err(RecordError::Ended);
        }
        let stamp = self.stamp();
        let piece = |sequence, part, more| (EntryHeader::of(kind, sequence, stamp, part, more).encode(self.id), part);
        if payload.len() <= ENTRY_MAX {
            self.shared.append(self.id, &[piece(state.next, payload, false)])?;
            state.next += 1;
        } else {
            let last = payload.len().div_ceil(ENTRY_MAX) - 1;
            let parts = payload.chunks(ENTRY_MAX).enumerate();
            let pieces: Vec<_> = parts.map(|(at, part)| piece(state.next + at as u64, part, at < last)).collect();
            self.shared.append(self.id, &pieces)?;
            state.next += pieces.len() as u64;
        }
        state.tally.count(kind, payload.len(), false);
        Ok(state.next - 1)
    }

    fn end(&self, outcome: Outcome) {
        let mut state = self.state.lock();
        if std::mem::replace(&mut state.ended, true) {
            return;
        }
        let entry = EndEntry { outcome, tally: state.tally };
        let payload = serde_json::to_vec(&entry).unwrap_or_default();
        let header = EntryHeader::of(Kind::End, state.next, self.stamp(), &payload, false).encode(self.id);
        self.shared.append_end(self.id, header, payload);
    }

    fn stamp(&self) -> Stamp {
        let now = Instant::now();
        let elapsed = now.saturating_duration_since(self.started);
        Stamp { elapsed: u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), wall: self.shared.wall(now) }
    }
}

impl Drop for Session {
    /// A session that nobody ended broke off.
    fn drop(&mut self) {
        let begun = self.state.get_mut().next > 0;
        if begun && !self.shared.closed.load(Ordering::Acquire) {
            self.end(Outcome::Failed);
        }
    }
}

impl fmt::Debug for SessionRecorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRecorder").field("id", &self.session.id).finish_non_exhaustive()
    }
}
