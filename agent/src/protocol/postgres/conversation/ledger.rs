//! What exists in the session upstream, and what the server still owes an answer for.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;

use super::running::{Expected, Load, Portal, Prepared, Running};
use crate::{
    protocol::{
        Side,
        postgres::{codec::frontend::Formats, reply::Fatal},
    },
    request::Arguments,
};

/// Most statements that one session may have prepared at a time.
pub const STATEMENTS_MAX: usize = 10_000;
/// Most portals that one session may have open at a time.
pub const PORTALS_MAX: usize = 10_000;
/// Most bytes of texts and arguments that its statements and portals may hold. Those that were replaced count until
/// the server has answered; the workload is not heard meanwhile.
pub const HELD_MAX: usize = 128 << 20;
/// Most messages that may wait for their answers; the workload is not heard until some are answered.
pub const EXPECTED_MAX: usize = 1 << 17;
/// What one more message of the workload may add: itself, a Describe of the gate's own, a Sync.
const EXPECTED_RESERVE: usize = 8;

/// Statements, portals and open answers of one session.
///
/// A message costs the same however many wait: names are found by their pending changes, not by a search.
#[derive(Default)]
pub struct Ledger {
    statements: HashMap<Bytes, Arc<Prepared>>,
    portals: HashMap<Bytes, Arc<Portal>>,
    expected: VecDeque<Expected>,
    /// The number of the message at the front; they are numbered as they are sent.
    first: u64,
    statement_changes: Changes,
    portal_changes: Changes,
    /// How many descriptions are under way, by the address of the slot that they fill.
    describing: HashMap<usize, usize>,
    running: usize,
    /// How many Syncs stand at the end.
    trailing_syncs: usize,
    batches_sent: u64,
    batches_done: u64,
    /// How many of what is expected may change the search path.
    path_changes: usize,
    /// Portals in the order of their batches; some of them may have been replaced.
    portals_by_batch: VecDeque<(u64, Bytes)>,
    /// Bytes of all statements and arguments that are not gone, those too that were replaced and may come back.
    held: Arc<AtomicUsize>,
    /// Entries that were visited where a message visits more than its own.
    #[cfg(test)]
    visited: usize,
}

/// Messages under way that change what names mean.
#[derive(Default)]
struct Changes {
    /// The numbers of those that wait, by name.
    pending: HashMap<Bytes, VecDeque<u64>>,
    /// What was sent before this number gives no name back: all of them were forgotten.
    forgotten: u64,
}

impl Changes {
    fn enter(&mut self, name: &Bytes, number: u64) {
        self.pending.entry(name.clone()).or_default().push_back(number);
    }

    fn leave(&mut self, name: &Bytes) {
        let Some(numbers) = self.pending.get_mut(name) else { return };
        numbers.pop_front();
        if numbers.is_empty() {
            self.pending.remove(name);
        }
    }

    /// The first message under way that changes the name.
    fn first(&self, name: &[u8]) -> Option<u64> {
        self.pending.get(name)?.front().copied()
    }
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

    /// Whether a request runs: anything else is answered in a moment.
    pub fn is_running(&self) -> bool {
        self.running > 0
    }

    pub fn front(&self) -> Option<&Expected> {
        self.expected.front()
    }

    pub fn front_mut(&mut self) -> Option<&mut Expected> {
        self.expected.front_mut()
    }

    /// The request at the front, if that is one.
    pub fn running(&mut self) -> Option<&mut Running> {
        match self.front_mut() {
            Some(Expected::Query(running) | Expected::Execute(running)) => Some(running),
            Some(
                Expected::Parse { .. }
                | Expected::Poison(_)
                | Expected::Bind { .. }
                | Expected::Describe { .. }
                | Expected::CloseStatement { .. }
                | Expected::ClosePortal { .. }
                | Expected::Sync,
            )
            | None => None,
        }
    }

    pub fn pop(&mut self) -> Option<Expected> {
        let expected = self.expected.pop_front()?;
        self.leave(&expected);
        Some(expected)
    }

    /// Whether anything that is under way may change the search path.
    pub fn may_change_path(&self) -> bool {
        self.path_changes > 0
    }

    /// Whether so much is unanswered that no more may be sent.
    pub fn is_full(&self) -> bool {
        self.expected.len() >= EXPECTED_MAX - EXPECTED_RESERVE
    }

    /// Whether statements and arguments take so much that no more may be added.
    pub fn is_laden(&self) -> bool {
        self.held.load(Ordering::Relaxed) > HELD_MAX
    }

    fn check_load(&self) -> Result<(), Fatal> {
        if self.is_laden() { Err(too_many("bytes of open statements and arguments", HELD_MAX)) } else { Ok(()) }
    }

    pub fn expect(&mut self, expected: Expected) -> Result<(), Fatal> {
        if self.expected.len() >= EXPECTED_MAX {
            return Err(Fatal::broken(
                Side::Downstream,
                format!("more than {EXPECTED_MAX} messages were sent without waiting for answers"),
            ));
        }
        self.enter(&expected);
        self.expected.push_back(expected);
        Ok(())
    }

    fn enter(&mut self, expected: &Expected) {
        let number = self.next();
        self.path_changes += usize::from(changes_path(expected));
        self.trailing_syncs = if matches!(expected, Expected::Sync) { self.trailing_syncs + 1 } else { 0 };
        match expected {
            Expected::Query(_) => {
                self.running += 1;
                self.batches_sent += 1;
            }
            Expected::Sync => self.batches_sent += 1,
            Expected::Execute(_) => self.running += 1,
            Expected::Parse { name, .. } | Expected::CloseStatement { name, .. } => {
                self.statement_changes.enter(name, number);
            }
            Expected::Bind { name, .. } | Expected::ClosePortal { name, .. } => self.portal_changes.enter(name, number),
            Expected::Describe { slot: Some(slot), .. } => {
                *self.describing.entry(Arc::as_ptr(slot).addr()).or_default() += 1;
            }
            Expected::Describe { slot: None, .. } | Expected::Poison(_) => {}
        }
    }

    /// The message at the front is gone.
    fn leave(&mut self, expected: &Expected) {
        self.first += 1;
        self.path_changes -= usize::from(changes_path(expected));
        self.trailing_syncs = self.trailing_syncs.min(self.expected.len());
        match expected {
            Expected::Query(_) | Expected::Execute(_) => self.running -= 1,
            Expected::Parse { name, .. } | Expected::CloseStatement { name, .. } => self.statement_changes.leave(name),
            Expected::Bind { name, .. } | Expected::ClosePortal { name, .. } => self.portal_changes.leave(name),
            Expected::Describe { slot: Some(slot), .. } => {
                let address = Arc::as_ptr(slot).addr();
                if let Some(count) = self.describing.get_mut(&address) {
                    *count -= 1;
                    if *count == 0 {
                        self.describing.remove(&address);
                    }
                }
            }
            Expected::Describe { slot: None, .. } | Expected::Poison(_) | Expected::Sync => {}
        }
    }

    /// The number of the message that is sent next.
    fn next(&self) -> u64 {
        self.first + self.expected.len() as u64
    }

    fn numbered(&mut self, number: u64) -> Option<&mut Expected> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.expected.get_mut(index)
    }

    /// Whether the answer that fills `slot` is under way.
    pub fn describes(&self, slot: &Arc<OnceLock<Bytes>>) -> bool {
        self.describing.contains_key(&Arc::as_ptr(slot).addr())
    }

    /// Parse was sent.
    pub fn prepare(&mut self, name: &[u8], prepared: Prepared) -> Result<(), Fatal> {
        self.check_load()?;
        if self.statements.len() >= STATEMENTS_MAX {
            return Err(too_many("prepared statements", STATEMENTS_MAX));
        }
        let name = Bytes::copy_from_slice(name);
        let load = Load::new(&self.held, prepared.text.len());
        let replaced = self.statements.insert(name.clone(), Arc::new(Prepared { load, ..prepared }));
        self.expect(Expected::Parse { name, replaced })
    }

    /// Bind was sent.
    pub fn bind(
        &mut self,
        name: &[u8],
        statement: Arc<Prepared>,
        formats: Formats,
        arguments: Arguments,
    ) -> Result<(), Fatal> {
        self.check_load()?;
        if self.portals.len() >= PORTALS_MAX {
            return Err(too_many("portals", PORTALS_MAX));
        }
        let name = Bytes::copy_from_slice(name);
        let (description, batch) = (Arc::default(), self.batches_sent);
        let meter = Arc::default();
        let load = Load::new(&self.held, arguments.held());
        let portal = Arc::new(Portal { statement, formats, arguments, meter, description, batch, load });
        let replaced = self.portals.insert(name.clone(), portal);
        self.portals_by_batch.push_back((batch, name.clone()));
        self.tidy_batches();
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
        self.portal_changes.forgotten = self.next();
        self.portals.clear();
        self.portals_by_batch.clear();
    }

    /// The statement of that name, unless something was sent that changes it.
    pub fn settled_statement(&self, name: &[u8]) -> Option<&Arc<Prepared>> {
        self.statements.get(name).filter(|_| self.statement_changes.first(name).is_none())
    }

    /// Forgets every statement and portal.
    pub fn forget_all(&mut self) {
        self.statement_changes.forgotten = self.next();
        self.statements.clear();
        self.forget_portals();
    }

    /// The server failed within a batch and skips to the next Sync: nothing sent before that is answered or
    /// takes effect. True when that Sync is sent already.
    pub fn fail_batch(&mut self) -> bool {
        let mut skipped = Vec::new();
        while let Some(front) = self.front() {
            if matches!(front, Expected::Sync) {
                break;
            }
            let number = self.first;
            skipped.extend(self.pop().map(|expected| (number, expected)));
        }
        self.steps(skipped.len());
        for (number, expected) in skipped.into_iter().rev() {
            self.undo(number, expected);
        }
        !self.is_settled()
    }

    /// The end of COPY data was sent before the server asked for any: it belongs to the last request.
    pub fn end_early(&mut self) {
        let syncs = self.trailing_syncs;
        let last = self.expected.len().checked_sub(syncs + 1).and_then(|index| self.expected.get_mut(index));
        match last {
            Some(Expected::Query(running) | Expected::Execute(running)) => {
                running.early_ends += 1;
                running.early_syncs = syncs;
            }
            Some(
                Expected::Parse { .. }
                | Expected::Poison(_)
                | Expected::Bind { .. }
                | Expected::Describe { .. }
                | Expected::CloseStatement { .. }
                | Expected::ClosePortal { .. }
                | Expected::Sync,
            )
            | None => {}
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
        // What stands behind them keeps its number; the Execute at the front is looked up by none.
        self.first += early as u64;
        self.trailing_syncs = self.trailing_syncs.min(self.expected.len().saturating_sub(1));
        self.batches_done += early as u64;
        early > 0
    }

    /// ReadyForQuery arrived for the message at the front; outside a transaction its portals are gone.
    pub fn finish_batch(&mut self, is_idle: bool) {
        self.pop();
        self.batches_done += 1;
        while is_idle
            && let Some((batch, _)) = self.portals_by_batch.front()
            && *batch < self.batches_done
        {
            self.steps(1);
            let Some((batch, name)) = self.portals_by_batch.pop_front() else { return };
            if self.portals.get(&name).is_some_and(|portal| portal.batch == batch) {
                self.portals.remove(&name);
            }
        }
    }

    /// Drops what stands for portals that were replaced, once it is more than half.
    fn tidy_batches(&mut self) {
        if self.portals_by_batch.len() <= 2 * self.portals.len() + 64 {
            return;
        }
        self.steps(self.portals_by_batch.len());
        let portals = &self.portals;
        self.portals_by_batch.retain(|(batch, name)| portals.get(name).is_some_and(|portal| portal.batch == *batch));
        let mut known = HashSet::new();
        self.portals_by_batch.retain(|entry| known.insert(entry.clone()));
    }

    fn undo(&mut self, number: u64, expected: Expected) {
        match expected {
            Expected::Parse { name, replaced: was } | Expected::CloseStatement { name, closed: was } => {
                let was = was.filter(|_| number >= self.statement_changes.forgotten);
                self.return_statement(name, was);
            }
            Expected::Bind { name, replaced: was } | Expected::ClosePortal { name, closed: was } => {
                let was = was.filter(|_| number >= self.portal_changes.forgotten);
                self.return_portal(name, was);
            }
            // The server skipped it, and its ReadyForQuery never comes.
            Expected::Query(_) => self.batches_done += 1,
            Expected::Poison(_) | Expected::Describe { .. } | Expected::Execute(_) | Expected::Sync => {}
        }
    }

    /// Gives a name back what it meant before, as seen by whatever was sent for that name afterwards.
    fn return_statement(&mut self, name: Bytes, was: Option<Arc<Prepared>>) {
        let later = self.statement_changes.first(&name).and_then(|number| self.numbered(number));
        match later {
            Some(Expected::Parse { replaced: known, .. } | Expected::CloseStatement { closed: known, .. }) => {
                *known = was
            }
            _ => restore(&mut self.statements, name, was),
        }
    }

    fn return_portal(&mut self, name: Bytes, was: Option<Arc<Portal>>) {
        let later = self.portal_changes.first(&name).and_then(|number| self.numbered(number));
        match later {
            Some(Expected::Bind { replaced: known, .. } | Expected::ClosePortal { closed: known, .. }) => *known = was,
            _ => {
                if let Some(was) = &was {
                    self.portals_by_batch.push_back((was.batch, name.clone()));
                }
                restore(&mut self.portals, name, was);
            }
        }
    }

    /// Counts work whose amount depends on what waits.
    #[cfg(test)]
    const fn steps(&mut self, count: usize) {
        self.visited += count;
    }

    #[cfg(not(test))]
    const fn steps(&self, _: usize) {}
}

fn changes_path(expected: &Expected) -> bool {
    matches!(expected, Expected::Query(running) | Expected::Execute(running) if running.changes_path)
}

fn restore<T>(map: &mut HashMap<Bytes, Arc<T>>, name: Bytes, was: Option<Arc<T>>) {
    match was {
        Some(was) => drop(map.insert(name, was)),
        None => drop(map.remove(&name)),
    }
}

fn too_many(what: &str, max: usize) -> Fatal {
    Fatal { sqlstate: "53000".into(), message: format!("the session has more than {max} {what}"), by: None }
}

#[cfg(test)]
mod tests;
