//! What the server says.

use std::sync::Arc;

use bytes::Bytes;

use super::{Conversation, CopyIn, HELD_BACK_MAX, Skip, running::Expected};
use crate::protocol::{
    Side,
    postgres::{
        codec::{
            self, HEAD,
            backend::{self, Status, Tag},
        },
        login::check_parameter,
        reply::Fatal,
        rows::Shield,
        wire::Wire,
    },
};

impl Conversation {
    /// Reads on as far as messages are there and nothing has to be waited for.
    pub(super) fn hear_server(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        while !self.is_over && !self.is_held_back {
            if self.from_server.count > 0 {
                let count = wire.up.unread().len().min(self.from_server.count);
                match self.from_server.is_dropped {
                    true => wire.drop_up(count),
                    false => wire.up.keep(count),
                }
                self.from_server.count -= count;
                if count == 0 {
                    break;
                }
                continue;
            }
            let Some(head) = codec::head(wire.up.unread())? else { break };
            let tag = Tag::of(head)?;
            if tag == Tag::DataRow || tag == Tag::CopyData {
                if !self.data(tag, head, wire)? {
                    break;
                }
                continue;
            }
            if wire.up.unread().len() < head.total {
                break;
            }
            self.reply(tag, head.total, wire)?;
        }
        wire.release_up();
        if self.is_held_back && wire.up.unread().len() > HELD_BACK_MAX {
            return Err(Fatal::upstream("54000", "too much arrived while the catalogue was read again"));
        }
        Ok(())
    }

    fn reply(&mut self, tag: Tag, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        let body = wire.up.slice(HEAD..total);
        let is_of_answer = match tag {
            Tag::Notice | Tag::ParameterStatus | Tag::Notification | Tag::ReadyForQuery => false,
            Tag::RowDescription
            | Tag::DataRow
            | Tag::CommandComplete
            | Tag::EmptyQuery
            | Tag::ParseComplete
            | Tag::BindComplete
            | Tag::CloseComplete
            | Tag::NoData
            | Tag::ParameterDescription
            | Tag::PortalSuspended
            | Tag::Error
            | Tag::CopyIn
            | Tag::CopyOut
            | Tag::CopyData
            | Tag::CopyDone => true,
        };
        if is_of_answer && self.is_cut() {
            return self.after_cut(tag, total, wire);
        }
        match tag {
            // Handled where they may pass in pieces.
            Tag::DataRow | Tag::CopyData => Err(unexpected(tag)),
            Tag::Error => self.error(total, &body, wire),
            Tag::Notice => self.spoken(total, wire, |shield| shield.notice(b'N', &body)),
            Tag::ParameterStatus => {
                check_parameter(&body)?;
                self.spoken(total, wire, |shield| shield.parameter(&body))
            }
            Tag::Notification => {
                let listening = self.listening.clone();
                self.spoken(total, wire, |shield| {
                    listening.as_deref().unwrap_or(shield).notification(&body, listening.is_some())
                })
            }
            Tag::ReadyForQuery => self.ready(total, backend::ready(&body)?, wire),
            Tag::RowDescription | Tag::NoData => self.described(tag, total, body, wire),
            Tag::ParameterDescription => match self.ledger.front() {
                Some(Expected::Describe { is_own: false, .. }) => self.pass(total, wire),
                _ => Err(unexpected(tag)),
            },
            Tag::ParseComplete => match self.ledger.pop() {
                Some(Expected::Parse { name, .. }) => {
                    self.note_parsed(&name);
                    self.pass(total, wire)
                }
                _ => Err(unexpected(tag)),
            },
            Tag::BindComplete => self.complete(tag, total, wire, |front| matches!(front, Expected::Bind { .. })),
            Tag::CloseComplete => self.complete(tag, total, wire, |front| {
                matches!(front, Expected::CloseStatement { .. } | Expected::ClosePortal { .. })
            }),
            Tag::CommandComplete | Tag::EmptyQuery | Tag::PortalSuspended => self.finished(tag, total, &body, wire),
            Tag::CopyIn => self.copy_in(total, wire),
            Tag::CopyOut => self.copy_out(total, &body, wire),
            Tag::CopyDone => match self.ledger.running() {
                Some(_) => self.pass(total, wire),
                None => Err(unexpected(tag)),
            },
        }
    }

    pub(super) fn pass(&mut self, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        wire.up.keep(total);
        Ok(())
    }

    /// The answer to a message that has exactly one.
    fn complete(
        &mut self,
        tag: Tag,
        total: usize,
        wire: &mut Wire,
        is_due: fn(&Expected) -> bool,
    ) -> Result<(), Fatal> {
        if !self.ledger.front().is_some_and(is_due) {
            return Err(unexpected(tag));
        }
        self.ledger.pop();
        self.pass(total, wire)
    }

    /// One statement is done.
    fn finished(&mut self, tag: Tag, total: usize, body: &[u8], wire: &mut Wire) -> Result<(), Fatal> {
        let Some(running) = self.ledger.running().filter(|running| running.denial.is_none()) else {
            return Err(unexpected(tag));
        };
        running.columns = None;
        running.copy = None;
        let rows = std::mem::take(&mut running.rows);
        let done = running.classified.clone().map(|classified| (classified, running.completed));
        if tag != Tag::PortalSuspended {
            running.completed += 1;
        }
        if let (Some((classified, index)), Tag::CommandComplete) = (done, tag) {
            self.note_completed(&classified, index, body, rows);
        }
        if matches!(self.ledger.front(), Some(Expected::Execute(_))) {
            self.ledger.pop();
            self.answered_limited(wire);
        } else if tag == Tag::PortalSuspended {
            return Err(unexpected(tag));
        }
        self.pass(total, wire)
    }

    fn ready(&mut self, total: usize, status: Status, wire: &mut Wire) -> Result<(), Fatal> {
        if !matches!(self.ledger.front(), Some(Expected::Query(_) | Expected::Sync)) {
            return Err(unexpected(Tag::ReadyForQuery));
        }
        self.copy_in = None;
        self.status = status;
        self.ledger.finish_batch(status == Status::Idle);
        if status == Status::Idle {
            self.note_transaction_end();
            self.freshness.committed();
        }
        if self.ledger.is_settled() {
            self.freshness.settled(status == Status::Idle);
        }
        if status == Status::Idle && self.ledger.is_settled() {
            self.deferring = None;
            self.state.brought_code = false;
        }
        self.record.ready(status);
        // Of a batch before it, when a request with limits still runs.
        if !self.ledger.is_running() {
            if self.fail_late(status, total, wire)? {
                return Ok(());
            }
            self.must_fail = false;
            self.answered_limited(wire);
        }
        self.pass(total, wire)
    }

    /// An error: of the request at the front, whose followers within the batch it takes along.
    fn error(&mut self, total: usize, body: &[u8], wire: &mut Wire) -> Result<(), Fatal> {
        let denial = match self.ledger.front_mut() {
            Some(Expected::Poison(denial)) => Some(denial.clone()),
            Some(Expected::Query(running) | Expected::Execute(running)) => {
                running.columns = None;
                running.copy = None;
                running.denial.clone()
            }
            Some(_) | None => None,
        };
        let denial = denial.or_else(|| self.overdue(&sqlstate(body)));
        match denial {
            Some(denial) => {
                wire.drop_up(total);
                if !denial.is_empty() {
                    wire.tell_workload(denial);
                }
            }
            None => self.spoken(total, wire, |shield| shield.notice(b'E', body))?,
        }
        self.note_failure();
        let early_sync = self.copy_in.take().is_some_and(|copy| copy.has_early_sync);
        match self.ledger.front() {
            None | Some(Expected::Query(_) | Expected::Sync) => {}
            Some(_) => {
                if early_sync {
                    wire.tell_server(Bytes::from_static(b"S\0\0\0\x04"));
                    self.is_batch_open = false;
                    self.ledger.expect(Expected::Sync)?;
                }
                if !self.ledger.fail_batch() && self.skip == Skip::Nothing {
                    self.skip = Skip::ToSync;
                }
            }
        }
        if !self.ledger.is_running() {
            self.answered_limited(wire);
        }
        Ok(())
    }

    /// Words of the server, which may quote what has to be masked.
    fn spoken<'a>(
        &mut self,
        total: usize,
        wire: &mut Wire,
        masked: impl FnOnce(&Shield) -> Result<Option<Bytes>, codec::CodecError> + 'a,
    ) -> Result<(), Fatal> {
        match self.speaking().map(|shield| masked(&shield)).transpose()?.flatten() {
            Some(bytes) => {
                wire.drop_up(total);
                wire.tell_workload(bytes);
                Ok(())
            }
            None => self.pass(total, wire),
        }
    }

    /// The shield that serves what the server says now.
    ///
    /// A change of masked data may be checked at any time until it is committed: `DEFERRABLE`, constraint triggers.
    fn speaking(&mut self) -> Option<Arc<Shield>> {
        let only_reads = self
            .ledger
            .running()
            .and_then(|running| running.classified.as_deref())
            .is_some_and(|classified| classified.statements.iter().all(|statement| statement.kind.only_reads()));
        let deferring = self.deferring.clone().filter(|_| !only_reads);
        deferring.or_else(|| self.front_shield()).or_else(|| self.last_shield.clone())
    }

    fn copy_in(&mut self, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        let is_extended = matches!(self.ledger.front(), Some(Expected::Execute(_)));
        let Some(running) = self.ledger.running().filter(|running| running.denial.is_none()) else {
            return Err(unexpected(Tag::CopyIn));
        };
        let is_ended = running.early_ends > 0;
        if !is_ended && self.awaits_answers() {
            return Err(Fatal::broken(Side::Downstream, "another request was sent in place of COPY data"));
        }
        let Some(running) = self.ledger.running() else { return Err(unexpected(Tag::CopyIn)) };
        running.early_ends = running.early_ends.saturating_sub(1);
        let sent_before_end = is_ended.then_some(running.early_syncs);
        if is_extended && self.ledger.forget_early_syncs(sent_before_end) && !is_ended {
            self.is_batch_open = true;
        }
        self.copy_in = (!is_ended).then(CopyIn::default);
        self.pass(total, wire)
    }
}

/// The SQLSTATE of an error; empty for one without.
fn sqlstate(body: &[u8]) -> Vec<u8> {
    let parts = backend::notice(body).unwrap_or_default();
    parts.iter().find(|(kind, _)| *kind == b'C').map(|(_, code)| code.to_vec()).unwrap_or_default()
}

pub(super) fn unexpected(tag: Tag) -> Fatal {
    Fatal::broken(Side::Upstream, format!("{tag:?} answers nothing that was asked"))
}
