//! What exists in the session upstream, and what the server still owes an answer for.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::running::{Expected, Portal, Prepared};
use crate::protocol::{
    Side,
    postgres::{codec::frontend::Formats, reply::Fatal},
};

/// Most statements that one session may have prepared at a time.
pub const STATEMENTS_MAX: usize = 10_000;
/// Most portals that one session may have open at a time.
pub const PORTALS_MAX: usize = 10_000;
/// Most messages that may wait for their answers; the workload is not heard until some are answered.
pub const EXPECTED_MAX: usize = 1 << 17;
/// What one more message of the workload may add: itself, a Describe of the gate's own, a Sync.
const EXPECTED_RESERVE: usize = 8;

/// Statements, portals and open answers of one session.
#[derive(Default)]
pub struct Ledger {
    statements: HashMap<Bytes, Arc<Prepared>>,
    portals: HashMap<Bytes, Arc<Portal>>,
    expected: VecDeque<Expected>,
    batches_sent: u64,
    batches_done: u64,
    /// How many of what is expected may change the search path.
    path_changes: usize,
}

impl Ledger {
    pub fn statement(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        self.statements.get(name)
    }

    pub fn portal(&self, name: &[u8]) -> Option<&Arc<Portal>> {
        self.portals.get(name)
    }

    pub fn is_settled(&self) -> bool {
        self.expected.is_empty()
    }

    pub fn front(&self) -> Option<&Expected> {
        self.expected.front()
    }

    pub fn front_mut(&mut self) -> Option<&mut Expected> {
        self.expected.front_mut()
    }

    pub fn pop(&mut self) -> Option<Expected> {
        let expected = self.expected.pop_front();
        self.path_changes -= usize::from(expected.as_ref().is_some_and(changes_path));
        expected
    }

    /// Whether anything that is under way may change the search path.
    pub fn may_change_path(&self) -> bool {
        self.path_changes > 0
    }

    /// Whether so much is unanswered that no more may be sent.
    pub fn is_full(&self) -> bool {
        self.expected.len() >= EXPECTED_MAX - EXPECTED_RESERVE
    }

    pub fn expect(&mut self, expected: Expected) -> Result<(), Fatal> {
        if self.expected.len() >= EXPECTED_MAX {
            return Err(Fatal::broken(
                Side::Downstream,
                format!("more than {EXPECTED_MAX} messages were sent without waiting for answers"),
            ));
        }
        if matches!(expected, Expected::Sync | Expected::Query(_)) {
            self.batches_sent += 1;
        }
        self.path_changes += usize::from(changes_path(&expected));
        self.expected.push_back(expected);
        Ok(())
    }

    /// Whether the answer that fills `slot` is under way.
    pub fn describes(&self, slot: &Arc<OnceLock<Bytes>>) -> bool {
        self.expected.iter().any(|expected| match expected {
            Expected::Describe { slot: Some(pending), .. } => Arc::ptr_eq(pending, slot),
            Expected::Query(_)
            | Expected::Parse { .. }
            | Expected::Poison(_)
            | Expected::Bind { .. }
            | Expected::Describe { slot: None, .. }
            | Expected::Execute(_)
            | Expected::CloseStatement { .. }
            | Expected::ClosePortal { .. }
            | Expected::Sync => false,
        })
    }

    /// Parse was sent.
    pub fn prepare(&mut self, name: &[u8], prepared: Prepared) -> Result<(), Fatal> {
        if self.statements.len() >= STATEMENTS_MAX {
            return Err(too_many("prepared statements", STATEMENTS_MAX));
        }
        let name = Bytes::copy_from_slice(name);
        let replaced = self.statements.insert(name.clone(), Arc::new(prepared));
        self.expect(Expected::Parse { name, replaced })
    }

    /// Bind was sent.
    pub fn bind(
        &mut self,
        name: &[u8],
        statement: Arc<Prepared>,
        formats: Formats,
        arguments: Bytes,
    ) -> Result<(), Fatal> {
        if self.portals.len() >= PORTALS_MAX {
            return Err(too_many("portals", PORTALS_MAX));
        }
        let name = Bytes::copy_from_slice(name);
        let (description, batch) = (Arc::default(), self.batches_sent);
        let portal = Arc::new(Portal { statement, formats, arguments, description, batch });
        let replaced = self.portals.insert(name.clone(), portal);
        self.expect(Expected::Bind { name, replaced })
    }

    /// Close was sent for a statement.
    pub fn close_statement(&mut self, name: &[u8]) -> Result<(), Fatal> {
        let closed = self.statements.remove(name);
        self.expect(Expected::CloseStatement { name: Bytes::copy_from_slice(name), closed })
    }

    /// Close was sent for a portal.
    pub fn close_portal(&mut self, name: &[u8]) -> Result<(), Fatal> {
        let closed = self.portals.remove(name);
        self.expect(Expected::ClosePortal { name: Bytes::copy_from_slice(name), closed })
    }

    /// Forgets the statement that SQL text may have replaced behind the protocol's back.
    pub fn forget_statement(&mut self, name: &[u8]) {
        self.return_statement(Bytes::copy_from_slice(name), None);
        self.statements.remove(name);
    }

    /// Forgets the portal that SQL text may have replaced behind the protocol's back.
    pub fn forget_portal(&mut self, name: &[u8]) {
        self.return_portal(Bytes::copy_from_slice(name), None);
        self.portals.remove(name);
    }

    /// Forgets every portal.
    pub fn forget_portals(&mut self) {
        for expected in &mut self.expected {
            if let Expected::Bind { replaced: was, .. } | Expected::ClosePortal { closed: was, .. } = expected {
                *was = None;
            }
        }
        self.portals.clear();
    }

    /// The statement of that name, unless something was sent that changes it.
    pub fn settled_statement(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        let is_changing = self.expected.iter().any(|expected| {
            matches!(expected, Expected::Parse { name: same, .. } | Expected::CloseStatement { name: same, .. } if same == name)
        });
        self.statements.get(name).filter(|_| !is_changing)
    }

    /// Forgets every statement and portal.
    pub fn forget_all(&mut self) {
        for expected in &mut self.expected {
            match expected {
                Expected::Parse { replaced, .. } | Expected::CloseStatement { closed: replaced, .. } => {
                    *replaced = None
                }
                Expected::Bind { replaced, .. } | Expected::ClosePortal { closed: replaced, .. } => *replaced = None,
                Expected::Query(_)
                | Expected::Poison(_)
                | Expected::Describe { .. }
                | Expected::Execute(_)
                | Expected::Sync => {}
            }
        }
        self.statements.clear();
        self.portals.clear();
    }

    /// The server failed within a batch and skips to the next Sync: nothing sent before that is answered or
    /// takes effect. True when that Sync is sent already.
    pub fn fail_batch(&mut self) -> bool {
        let sync = self.expected.iter().position(|expected| matches!(expected, Expected::Sync));
        let skipped: Vec<_> = self.expected.drain(..sync.unwrap_or(self.expected.len())).collect();
        for expected in skipped.into_iter().rev() {
            self.path_changes -= usize::from(changes_path(&expected));
            self.undo(expected);
        }
        sync.is_some()
    }

    /// The end of COPY data was sent before the server asked for any: it belongs to the last request.
    pub fn end_early(&mut self) {
        let mut syncs = 0;
        for expected in self.expected.iter_mut().rev() {
            match expected {
                Expected::Sync => syncs += 1,
                Expected::Query(running) | Expected::Execute(running) => {
                    running.early_ends += 1;
                    running.early_syncs = syncs;
                    return;
                }
                Expected::Parse { .. }
                | Expected::Poison(_)
                | Expected::Bind { .. }
                | Expected::Describe { .. }
                | Expected::CloseStatement { .. }
                | Expected::ClosePortal { .. } => return,
            }
        }
    }

    /// The server has begun to read COPY data for the Execute at the front. It overlooks what was sent as
    /// Sync before the data's end; at most `sent_before_end` were, when that end is sent already.
    /// True when there was any.
    pub fn forget_early_syncs(&mut self, sent_before_end: Option<usize>) -> bool {
        let max = sent_before_end.unwrap_or(usize::MAX);
        let early =
            self.expected.iter().skip(1).take(max).take_while(|expected| matches!(expected, Expected::Sync)).count();
        self.expected.drain(1..1 + early);
        self.batches_done += early as u64;
        early > 0
    }

    /// ReadyForQuery arrived for the message at the front; outside a transaction its portals are gone.
    pub fn finish_batch(&mut self, is_idle: bool) {
        self.pop();
        self.batches_done += 1;
        if is_idle && !self.portals.is_empty() {
            let done = self.batches_done;
            self.portals.retain(|_, portal| portal.batch >= done);
        }
    }

    fn undo(&mut self, expected: Expected) {
        match expected {
            Expected::Parse { name, replaced: was } | Expected::CloseStatement { name, closed: was } => {
                self.return_statement(name, was);
            }
            Expected::Bind { name, replaced: was } | Expected::ClosePortal { name, closed: was } => {
                self.return_portal(name, was);
            }
            // The server skipped it, and its ReadyForQuery never comes.
            Expected::Query(_) => self.batches_done += 1,
            Expected::Poison(_) | Expected::Describe { .. } | Expected::Execute(_) | Expected::Sync => {}
        }
    }

    /// Gives a name back what it meant before, as seen by whatever was sent for that name afterwards.
    fn return_statement(&mut self, name: Bytes, was: Option<Arc<Prepared>>) {
        for later in &mut self.expected {
            if let Expected::Parse { name: same, replaced } | Expected::CloseStatement { name: same, closed: replaced } =
                later
                && *same == name
            {
                *replaced = was;
                return;
            }
        }
        restore(&mut self.statements, name, was);
    }

    fn return_portal(&mut self, name: Bytes, was: Option<Arc<Portal>>) {
        for later in &mut self.expected {
            if let Expected::Bind { name: same, replaced } | Expected::ClosePortal { name: same, closed: replaced } =
                later
                && *same == name
            {
                *replaced = was;
                return;
            }
        }
        restore(&mut self.portals, name, was);
    }
}

fn changes_path(expected: &Expected) -> bool {
    matches!(expected, Expected::Query(running) | Expected::Execute(running) if running.changes_path)
}

fn restore<T>(map: &mut HashMap<Bytes, Arc<T>>, name: Bytes, was: Option<Arc<T>>) {
    match was {
        Some(was) => map.insert(name, was),
        None => map.remove(&name),
    };
}

fn too_many(what: &str, max: usize) -> Fatal {
    Fatal { sqlstate: "53000".into(), message: format!("the session has more than {max} {what}"), by: None }
}
