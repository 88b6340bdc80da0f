//! What the workload says.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Conversation, CopyIn, PENDING_MAX, Refusal, Rest, Skip,
    judge::Subject,
    running::{Expected, Portal, Way},
};
use crate::protocol::{
    Side,
    postgres::{
        codec::{
            self, HEAD,
            frontend::{self, Named, Tag},
            write,
        },
        reply::{self, DENIED, Fatal, by_workload},
        wire::Wire,
    },
};

impl Conversation {
    /// Reads on as far as whole messages are there and nothing has to be waited for.
    pub(super) fn hear_workload(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        while !self.is_over && self.waiting.is_none() && !self.ledger.is_full() {
            if self.from_workload.count > 0 {
                if !self.pass_rest(wire)? {
                    break;
                }
                continue;
            }
            if let Some(binding) = self.binding.take() {
                self.end_long_bind(binding)?;
                continue;
            }
            if let Some(Refusal { way, error }) = self.refusal.take() {
                if self.skip == Skip::Nothing {
                    self.deny(way, error, 0, wire)?;
                }
                continue;
            }
            let Some(head) = codec::head(wire.down.unread()).map_err(by_workload)? else { break };
            if self.copy_in.is_none()
                && let Some(oversized) = Tag::oversized(head)
            {
                self.refusal = Some(Refusal::from(oversized));
                self.from_workload = Rest { count: head.total, is_dropped: true };
                continue;
            }
            if self.copy_in.is_none() && Tag::is_long_bind(head) {
                if self.must_wait(Tag::Bind, wire) {
                    break;
                }
                self.begin_long_bind(head, wire)?;
                if self.from_workload.count == 0 {
                    break;
                }
                continue;
            }
            let tag = Tag::of(head).map_err(by_workload)?;
            if tag == Tag::CopyData {
                // Late data of a COPY that failed is ignored by the server too. Early data is not: some
                // clients do not wait for the server to ask.
                let is_late = self.copy_in.is_none() && (self.ledger.is_settled() || self.skip != Skip::Nothing);
                self.from_workload = Rest { count: head.total, is_dropped: is_late };
                self.is_urgent = true;
                continue;
            }
            if self.must_wait(tag, wire) {
                break;
            }
            if wire.down.unread().len() < head.total {
                break;
            }
            self.hear(tag, head.total, wire)?;
        }
        if self.is_laden() {
            self.have_answered(wire);
        }
        if self.waiting.is_none() {
            self.is_urgent = false;
            wire.release_down();
        }
        let is_waiting = self.waiting.is_some() || self.in_flight.is_some();
        if is_waiting && wire.down.unread().len() > PENDING_MAX {
            let what = format!("more than {PENDING_MAX} bytes were sent while a statement waits");
            return Err(Fatal::broken(Side::Downstream, what));
        }
        Ok(())
    }

    /// Whether a request may not be read before others are answered; then the server is asked to answer them.
    fn must_wait(&mut self, tag: Tag, wire: &mut Wire) -> bool {
        let must_wait = self.is_behind_limited(tag) || matches!(tag, Tag::Parse | Tag::Bind) && self.is_laden();
        if must_wait {
            self.have_answered(wire);
        }
        must_wait
    }

    /// Passes or drops what there is of a message that goes in pieces; false when there is nothing.
    fn pass_rest(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        let count = wire.down.unread().len().min(self.from_workload.count);
        match self.from_workload.is_dropped {
            true => wire.drop_down(count),
            false => {
                self.read_binding(wire.down.unread().get(..count).unwrap_or_default()).map_err(by_workload)?;
                wire.down.keep(count);
            }
        }
        self.from_workload.count -= count;
        Ok(count > 0)
    }

    fn hear(&mut self, tag: Tag, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        if self.copy_in.is_some() {
            return self.hear_in_copy(tag, total, wire);
        }
        match (tag, self.skip) {
            (Tag::Terminate, _) => {
                wire.down.keep(total);
                wire.release_down();
                self.end(wire);
                Ok(())
            }
            (Tag::Sync, Skip::ToOwnSync) => {
                self.skip = Skip::Nothing;
                wire.drop_down(total);
                wire.tell_workload(write::ready(self.status));
                Ok(())
            }
            (Tag::Sync, Skip::Nothing | Skip::ToSync) => self.sync(total, wire),
            (_, Skip::ToSync | Skip::ToOwnSync) => {
                wire.drop_down(total);
                Ok(())
            }
            (Tag::Query, Skip::Nothing) => {
                let body = wire.down.slice(HEAD..total);
                let text = body.slice_ref(frontend::query(&body).map_err(by_workload)?);
                self.judge(Subject::Query { text }, total, wire)
            }
            (Tag::Parse, Skip::Nothing) => {
                let body = wire.down.slice(HEAD..total);
                let frontend::Parse { name, text, types } = frontend::parse(&body).map_err(by_workload)?;
                let (name, text) = (Bytes::copy_from_slice(name), Bytes::copy_from_slice(text));
                self.judge(Subject::Parse { name, text, types: types.into() }, total, wire)
            }
            (Tag::Bind, Skip::Nothing) => self.bind(total, wire),
            (Tag::Describe, Skip::Nothing) => self.describe(total, wire),
            (Tag::Execute, Skip::Nothing) => self.execute(total, wire),
            (Tag::Close, Skip::Nothing) => self.close(total, wire),
            (Tag::Flush, Skip::Nothing) => {
                wire.down.keep(total);
                self.is_urgent = true;
                Ok(())
            }
            (Tag::CopyDone | Tag::CopyFail, Skip::Nothing) if !self.ledger.is_settled() => {
                self.ledger.end_early();
                wire.down.keep(total);
                self.is_urgent = true;
                Ok(())
            }
            (Tag::CopyData | Tag::CopyDone | Tag::CopyFail, Skip::Nothing) => {
                wire.drop_down(total);
                Ok(())
            }
            (Tag::FunctionCall, Skip::Nothing) => {
                let hint = "call the function with SELECT, so that it can be judged";
                let error = reply::error(DENIED, "denied: function calls outside SQL are refused", hint);
                self.deny(Way::Simple, error, total, wire)
            }
        }
    }

    /// While data is copied in, the server reads nothing else.
    fn hear_in_copy(&mut self, tag: Tag, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        match tag {
            Tag::CopyDone | Tag::CopyFail => {
                self.copy_in = None;
                wire.down.keep(total);
                self.is_urgent = true;
            }
            Tag::Sync => {
                self.copy_in = Some(CopyIn { has_early_sync: true });
                wire.drop_down(total);
            }
            Tag::Flush => wire.drop_down(total),
            Tag::Terminate => {
                wire.down.keep(total);
                wire.release_down();
                self.end(wire);
            }
            Tag::CopyData
            | Tag::Query
            | Tag::Parse
            | Tag::Bind
            | Tag::Describe
            | Tag::Execute
            | Tag::Close
            | Tag::FunctionCall => {
                return Err(Fatal::broken(Side::Downstream, "another request was sent in the middle of COPY data"));
            }
        }
        Ok(())
    }

    fn sync(&mut self, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        self.skip = Skip::Nothing;
        self.is_batch_open = false;
        self.executes_in_batch = 0;
        self.note_sync();
        self.is_urgent = true;
        wire.down.keep(total);
        self.ledger.expect(Expected::Sync)
    }

    fn describe(&mut self, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        let body = wire.down.slice(HEAD..total);
        let slot = match frontend::named("Describe", &body).map_err(by_workload)? {
            Named::Statement(name) => self.ledger.statement(name).map(|statement| statement.description.clone()),
            Named::Portal(name) => self.ledger.portal(name).map(|portal| portal.description.clone()),
        };
        self.forward(total, wire);
        self.ledger.expect(Expected::Describe { slot, is_own: false })
    }

    fn execute(&mut self, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        let body = wire.down.slice(HEAD..total);
        let name = frontend::execute(&body).map_err(by_workload)?;
        match self.ledger.portal(name).cloned() {
            Some(portal) => self.judge(Subject::Execute { name: Bytes::copy_from_slice(name), portal }, total, wire),
            None => {
                let message = format!("portal \"{}\" does not exist", String::from_utf8_lossy(name));
                let hint = "the gate knows the portals that were made by Bind; FETCH reads from cursors";
                self.deny(Way::Extended, reply::error("34000", &message, hint), total, wire)
            }
        }
    }

    fn close(&mut self, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        let body = wire.down.slice(HEAD..total);
        match frontend::named("Close", &body).map_err(by_workload)? {
            Named::Statement(name) => {
                self.note_parsing(name);
                self.ledger.close_statement(name)?;
            }
            Named::Portal(name) => self.ledger.close_portal(name)?,
        }
        self.forward(total, wire);
        Ok(())
    }

    /// Lets a message within a batch go on as it came.
    pub(super) fn forward(&mut self, total: usize, wire: &mut Wire) {
        self.is_batch_open = true;
        self.is_flushed = false;
        wire.down.keep(total);
    }

    /// Whether the server must be asked what the portal's rows look like, because nobody else did.
    pub(super) fn needs_description(&self, portal: &Arc<Portal>) -> bool {
        portal.described().is_none()
            && !self.ledger.describes(&portal.description)
            && !self.ledger.describes(&portal.statement.description)
    }
}
