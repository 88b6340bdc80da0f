//! Results on their way to the workload: rows and COPY data, masked as their request demands.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{
    Conversation, Rest,
    replies::unexpected,
    running::{Expected, Running},
};
use crate::protocol::{
    Side,
    postgres::{
        codec::{
            self, HEAD, Head, REPLY_MAX,
            backend::{self, Tag},
            frontend::Formats,
            write,
        },
        copy::CopyData,
        reply::Fatal,
        rows::{Columns, Shield},
        wire::Wire,
    },
};

/// Length of the message that ends COPY data in binary: a field count of -1. A row of no columns is as long.
const BINARY_END: usize = HEAD + 2;

impl Conversation {
    /// Rows and COPY data: in pieces as they come, unless their values have to be looked at.
    /// False when more bytes are needed.
    pub(super) fn data(&mut self, tag: Tag, head: Head, wire: &mut Wire) -> Result<bool, Fatal> {
        let Some(running) = self.ledger.running() else { return Err(unexpected(tag)) };
        if running.denial.is_some() {
            return Err(unexpected(tag));
        }
        if running.is_cut() {
            self.from_server = Rest { count: head.total, is_dropped: true };
            return Ok(true);
        }
        if tag == Tag::CopyData && running.shield.is_some() && running.copy.is_none() {
            // Nobody announced it, so that nobody can say how it is masked.
            return Err(unexpected(tag));
        }
        let Some(shield) = running.shield.clone() else {
            if !self.count(tag, head, wire)? {
                return Ok(true);
            }
            self.from_server = Rest { count: head.total, is_dropped: false };
            return Ok(true);
        };
        if head.total > REPLY_MAX {
            let message = format!("a value arrived that is too long to be masked: more than {REPLY_MAX} bytes");
            return Err(Fatal::upstream("54000", message));
        }
        if wire.up.unread().len() < head.total {
            return Ok(false);
        }
        if tag == Tag::CopyData {
            if self.count(tag, head, wire)? {
                let data = self.ledger.running().and_then(|running| running.copy.as_mut());
                copied(data.ok_or_else(|| unexpected(tag))?, &shield, head.total, wire)?;
            }
            return Ok(true);
        }
        let undescribed = || Fatal::broken(Side::Upstream, "rows arrived that nobody described");
        let mut columns = columns_of(running, &shield)?.ok_or_else(undescribed)?;
        if columns.has_unknown_origin {
            if self.hold_back(wire) {
                return Ok(false);
            }
            let running = self.ledger.running().ok_or_else(|| unexpected(tag))?;
            let shield = running.shield.clone().unwrap_or(shield);
            columns = columns_of(running, &shield)?.ok_or_else(undescribed)?;
            return self.rows(&columns, &shield, wire).map(|()| true);
        }
        self.rows(&columns, &shield, wire).map(|()| true)
    }

    /// Counts a row that is about to pass; false when it is beyond a limit, and the answer was cut before it.
    fn count(&mut self, tag: Tag, head: Head, wire: &mut Wire) -> Result<bool, Fatal> {
        let Some(running) = self.ledger.running() else { return Err(unexpected(tag)) };
        if tag == Tag::CopyData && running.is_binary_copy && head.total == BINARY_END {
            running.take_trailer(head.total);
            return Ok(true);
        }
        match running.take(head.total) {
            Ok(()) => {
                self.record.returned(1);
                Ok(true)
            }
            Err(error) => {
                self.cut(error, wire);
                Ok(false)
            }
        }
    }

    /// Masks all whole rows that stand at the front, as far as limits let them through.
    fn rows(&mut self, columns: &Columns, shield: &Shield, wire: &mut Wire) -> Result<(), Fatal> {
        let Some(running) = self.ledger.running() else { return Err(unexpected(Tag::DataRow)) };
        let (run, excess) = rows_end(wire.up.unread(), running)?;
        self.record.returned(run.count);
        mask_rows(run.bytes, columns, shield, wire)?;
        if let Some(error) = excess {
            self.cut(error, wire);
        }
        Ok(())
    }

    /// A description of rows, for a Describe or ahead of a query's rows.
    pub(super) fn described(&mut self, tag: Tag, total: usize, body: Bytes, wire: &mut Wire) -> Result<(), Fatal> {
        match self.ledger.front_mut() {
            Some(Expected::Describe { slot, is_own }) => {
                let is_own = *is_own;
                if let Some(slot) = slot.as_ref().filter(|_| tag == Tag::RowDescription) {
                    // Described before: the server answers the same, or refuses to run a changed plan.
                    let _ = slot.set(Bytes::copy_from_slice(&body));
                }
                self.ledger.pop();
                if is_own {
                    wire.drop_up(total);
                    return Ok(());
                }
                self.pass(total, wire)
            }
            Some(Expected::Query(running)) if tag == Tag::RowDescription && running.denial.is_none() => {
                running.columns = None;
                if let Some(shield) = running.shield.clone() {
                    let columns = shield.columns(&body, &Formats::Text)?;
                    if columns.has_unknown_origin && self.hold_back(wire) {
                        return Ok(());
                    }
                    let columns = match self.front_shield() {
                        Some(shield) => shield.columns(&body, &Formats::Text)?,
                        None => columns,
                    };
                    if let Some(running) = self.ledger.running() {
                        running.columns = Some(columns);
                    }
                }
                self.pass(total, wire)
            }
            _ => Err(unexpected(tag)),
        }
    }

    /// Has the catalogue read again for a result that names what it does not know; false when that was done
    /// for this request already, or cannot be done now. Then what is unknown is masked.
    fn hold_back(&mut self, wire: &mut Wire) -> bool {
        let is_asking = self.waiting.is_some();
        let Some(running) = self.ledger.running() else { return false };
        let under_old = running.shield.as_ref().is_some_and(|shield| shield.is_under(&self.classifier));
        if running.is_surveyed {
            // The newer catalogue is here; it is the last word.
            if let (false, Some(shield)) = (under_old, &running.shield) {
                running.shield = Some(shield.under(&self.classifier));
            }
            return false;
        }
        if is_asking {
            return false;
        }
        running.is_surveyed = true;
        self.is_held_back = true;
        self.survey(wire);
        true
    }

    pub(super) fn front_shield(&mut self) -> Option<Arc<Shield>> {
        self.ledger.running().and_then(|running| running.shield.clone())
    }

    pub(super) fn copy_out(&mut self, total: usize, body: &[u8], wire: &mut Wire) -> Result<(), Fatal> {
        let (is_binary, columns) = backend::copy_response(body)?;
        let running = self.ledger.running().filter(|running| running.denial.is_none());
        let running = running.ok_or_else(|| unexpected(Tag::CopyOut))?;
        running.is_binary_copy = is_binary;
        if let Some(shield) = &running.shield {
            running.copy = Some(CopyData::announced(shield, running.layout.as_ref(), is_binary, columns)?);
        }
        self.pass(total, wire)
    }
}

/// How the columns of the rows that arrive are treated.
fn columns_of(running: &mut Running, shield: &Arc<Shield>) -> Result<Option<Arc<Columns>>, codec::CodecError> {
    if let Some(columns) = &running.columns {
        return Ok(Some(columns.clone()));
    }
    let Some((description, formats)) = running.portal.as_ref().and_then(|portal| portal.described()) else {
        return Ok(None);
    };
    let columns = shield.columns(description, formats)?;
    if !columns.has_unknown_origin {
        running.columns = Some(columns.clone());
    }
    Ok(Some(columns))
}

/// Masks the whole rows that stand in the first `end` bytes.
fn mask_rows(end: usize, columns: &Columns, shield: &Shield, wire: &mut Wire) -> Result<(), Fatal> {
    let rows = wire.up.unread().get(..end).unwrap_or_default();
    if rows.is_empty() {
        return Ok(());
    }
    if columns.passes(shield, rows) {
        wire.up.keep(end);
        return Ok(());
    }
    let mut masked = BytesMut::with_capacity(end + end / 8);
    let mut rest = rows;
    while let Some(head) = codec::head(rest)? {
        let Some((row, after)) = rest.split_at_checked(head.total) else { break };
        columns.mask(shield, row.get(HEAD..).unwrap_or_default(), &mut masked)?;
        rest = after;
    }
    wire.drop_up(end);
    wire.tell_workload(masked.freeze());
    Ok(())
}

/// A run of rows.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    bytes: usize,
    count: u64,
}

/// The run of whole rows at the front, as far as limits let them through, and the error behind it where they do not.
fn rows_end(bytes: &[u8], running: &mut Running) -> Result<(Run, Option<Bytes>), codec::CodecError> {
    let mut run = Run::default();
    while let Some(rest) = bytes.get(run.bytes..)
        && let Some(head) = codec::head(rest)?
        && head.tag == b'D'
        && head.total <= rest.len()
    {
        if let Err(error) = running.take(head.total) {
            return Ok((run, Some(error)));
        }
        run.bytes += head.total;
        run.count += 1;
    }
    Ok((run, None))
}

/// Masks one message of COPY data.
fn copied(data: &mut CopyData, shield: &Shield, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
    let body = wire.up.slice(HEAD..total);
    match data.mask(shield, &body)? {
        None => wire.up.keep(total),
        Some(masked) => {
            let mut message = BytesMut::with_capacity(masked.len() + HEAD);
            write::message(&mut message, b'd', |out| out.extend_from_slice(&masked));
            wire.drop_up(total);
            wire.tell_workload(message.freeze());
        }
    }
    Ok(())
}
