//! What the server says.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{
    Conversation, CopyIn, HELD_BACK_MAX, Rest, Skip,
    ledger::{CopyOut, Expected, Running},
};
use crate::protocol::{
    Output, Side,
    postgres::{
        classify,
        codec::{
            self, HEAD, Head, REPLY_MAX,
            backend::{self, Status, Tag},
            frontend::Formats,
            write,
        },
        copy,
        login::check_parameter,
        reply::Fatal,
        rows::{Columns, Shield},
        wire::Wire,
    },
};

impl Conversation {
    /// Reads on as far as messages are there and nothing has to be waited for.
    pub(super) fn hear_server(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        while !self.is_over && !self.is_held_back {
            if self.from_server.count > 0 {
                let count = wire.up.unread().len().min(self.from_server.count);
                wire.up.keep(count);
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

    /// Rows and COPY data: in pieces as they come, unless their values have to be looked at.
    /// False when more bytes are needed.
    fn data(&mut self, tag: Tag, head: Head, wire: &mut Wire) -> Result<bool, Fatal> {
        let Some(running) = running(self.ledger.front_mut()) else { return Err(unexpected(tag)) };
        if running.denial.is_some() {
            return Err(unexpected(tag));
        }
        if tag == Tag::CopyData && running.shield.is_some() && running.copy == CopyOut::Verbatim {
            // Nobody announced it, so that nobody can say how it is masked.
            return Err(unexpected(tag));
        }
        let Some(shield) = running.shield.clone() else {
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
            let (copy, total) = (running.copy, head.total);
            return copied(copy, &shield, total, wire).map(|()| true);
        }
        match columns(running, &shield)? {
            Some(columns) if columns.has_unknown_origin && self.hold_back(wire) => Ok(false),
            Some(columns) => {
                let shield = self.front_shield().unwrap_or(shield);
                mask_rows(&columns, &shield, wire)?;
                Ok(true)
            }
            None => Err(Fatal::broken(Side::Upstream, "rows arrived that nobody described")),
        }
    }

    fn reply(&mut self, tag: Tag, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        let body = wire.up.slice(HEAD..total);
        match tag {
            // Handled where they may pass in pieces.
            Tag::DataRow | Tag::CopyData => Err(unexpected(tag)),
            Tag::Error => self.error(total, &body, wire),
            Tag::Notice => self.spoken(total, wire, |shield| shield.notice(b'N', &body)),
            Tag::ParameterStatus => {
                check_parameter(&body)?;
                let (name, value) = backend::parameter(&body)?;
                self.spoken(total, wire, |shield| Ok(shield.words(value).map(|value| write::parameter(name, &value))))
            }
            Tag::Notification => {
                let (process, channel, payload) = backend::notification(&body)?;
                self.spoken(total, wire, |shield| {
                    Ok(shield.words(payload).map(|payload| write::notification(process, channel, &payload)))
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
            Tag::CommandComplete | Tag::EmptyQuery | Tag::PortalSuspended => self.finished(tag, total, wire),
            Tag::CopyIn => self.copy_in(total, wire),
            Tag::CopyOut => self.copy_out(total, &body, wire),
            Tag::CopyDone => match running(self.ledger.front_mut()) {
                Some(_) => self.pass(total, wire),
                None => Err(unexpected(tag)),
            },
        }
    }

    fn pass(&mut self, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
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

    /// A description of rows, for a Describe or ahead of a query's rows.
    fn described(&mut self, tag: Tag, total: usize, body: Bytes, wire: &mut Wire) -> Result<(), Fatal> {
        match self.ledger.front_mut() {
            Some(Expected::Describe { slot, is_own }) => {
                let is_own = *is_own;
                if let Some(slot) = slot.take().filter(|_| tag == Tag::RowDescription) {
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
                    if let Some(running) = running_of(&mut self.ledger) {
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
        let Some(running) = running_of(&mut self.ledger) else { return false };
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
        wire.want(Output::Survey { database: self.database.clone() });
        true
    }

    fn front_shield(&mut self) -> Option<Arc<Shield>> {
        running_of(&mut self.ledger).and_then(|running| running.shield.clone())
    }

    /// One statement is done.
    fn finished(&mut self, tag: Tag, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        let Some(running) = running(self.ledger.front_mut()).filter(|running| running.denial.is_none()) else {
            return Err(unexpected(tag));
        };
        running.columns = None;
        running.copy = CopyOut::Verbatim;
        let done = running.classified.clone().map(|classified| (classified, running.completed));
        if tag != Tag::PortalSuspended {
            running.completed += 1;
        }
        if let (Some((classified, index)), Tag::CommandComplete) = (done, tag) {
            self.note_completed(&classified, index);
        }
        if matches!(self.ledger.front(), Some(Expected::Execute(_))) {
            self.ledger.pop();
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
        if self.catalogue.is_uncommitted && status == Status::Idle {
            self.catalogue.is_stale = true;
            self.catalogue.is_uncommitted = false;
        }
        self.pass(total, wire)
    }

    /// An error: of the request at the front, whose followers within the batch it takes along.
    fn error(&mut self, total: usize, body: &[u8], wire: &mut Wire) -> Result<(), Fatal> {
        let denial = match self.ledger.front_mut() {
            Some(Expected::Poison(denial)) => Some(denial.clone()),
            Some(Expected::Query(running) | Expected::Execute(running)) => {
                running.columns = None;
                running.copy = CopyOut::Verbatim;
                running.denial.clone()
            }
            Some(_) | None => None,
        };
        match denial {
            Some(denial) => {
                wire.drop_up(total);
                wire.tell_workload(denial);
            }
            None => self.spoken(total, wire, |shield| shield.notice(b'E', body))?,
        }
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
        Ok(())
    }

    /// Words of the server, which may quote what has to be masked.
    fn spoken<'a>(
        &mut self,
        total: usize,
        wire: &mut Wire,
        masked: impl FnOnce(&Shield) -> Result<Option<Bytes>, codec::CodecError> + 'a,
    ) -> Result<(), Fatal> {
        let shield = self.front_shield().or_else(|| self.last_shield.clone());
        match shield.map(|shield| masked(&shield)).transpose()?.flatten() {
            Some(bytes) => {
                wire.drop_up(total);
                wire.tell_workload(bytes);
                Ok(())
            }
            None => self.pass(total, wire),
        }
    }

    fn copy_in(&mut self, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        let is_extended = matches!(self.ledger.front(), Some(Expected::Execute(_)));
        let Some(running) = running(self.ledger.front_mut()).filter(|running| running.denial.is_none()) else {
            return Err(unexpected(Tag::CopyIn));
        };
        let is_ended = running.early_ends > 0;
        running.early_ends = running.early_ends.saturating_sub(1);
        let sent_before_end = is_ended.then_some(running.early_syncs);
        if is_extended && self.ledger.forget_early_syncs(sent_before_end) && !is_ended {
            self.is_batch_open = true;
        }
        self.copy_in = (!is_ended).then(CopyIn::default);
        self.pass(total, wire)
    }

    fn copy_out(&mut self, total: usize, body: &[u8], wire: &mut Wire) -> Result<(), Fatal> {
        let (is_binary, _) = backend::copy_response(body)?;
        match running(self.ledger.front_mut()).filter(|running| running.denial.is_none()) {
            Some(running) if running.shield.is_some() => {
                running.copy = if is_binary { CopyOut::Binary } else { CopyOut::Text };
            }
            Some(_) => {}
            None => return Err(unexpected(Tag::CopyOut)),
        }
        self.pass(total, wire)
    }

    /// Whether the catalogue at hand still holds after what was done.
    pub(super) fn note_catalogue(&mut self, classified: &crate::sql::Classified) {
        if classify::changes_catalogue(&classified.footprint) {
            self.catalogue.is_stale = true;
            self.catalogue.is_uncommitted = true;
        }
    }
}

fn running(front: Option<&mut Expected>) -> Option<&mut Running> {
    match front {
        Some(Expected::Query(running) | Expected::Execute(running)) => Some(running),
        Some(_) | None => None,
    }
}

fn running_of(ledger: &mut super::ledger::Ledger) -> Option<&mut Running> {
    running(ledger.front_mut())
}

/// How the columns of the rows that arrive are treated.
fn columns(running: &mut Running, shield: &Arc<Shield>) -> Result<Option<Arc<Columns>>, codec::CodecError> {
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

/// Masks all whole rows that stand at the front.
fn mask_rows(columns: &Columns, shield: &Shield, wire: &mut Wire) -> Result<(), Fatal> {
    let unread = wire.up.unread();
    let end = rows_end(unread)?;
    let rows = unread.get(..end).unwrap_or_default();
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

/// Where the run of whole rows at the front ends.
fn rows_end(bytes: &[u8]) -> Result<usize, codec::CodecError> {
    let mut end = 0;
    while let Some(rest) = bytes.get(end..)
        && let Some(head) = codec::head(rest)?
        && head.tag == b'D'
        && head.total <= rest.len()
    {
        end += head.total;
    }
    Ok(end)
}

/// Masks one message of COPY data.
fn copied(format: CopyOut, shield: &Shield, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
    let body = wire.up.slice(HEAD..total);
    // Without a masked class in the answer, only the detectors have a say.
    let masks = shield.flow().and(shield.outputs());
    let masked = match (format, masks) {
        (CopyOut::Verbatim, _) => None,
        (CopyOut::Text, None) => copy::scan_text(shield, &body),
        (CopyOut::Text, Some(masks)) => copy::mask_text(shield, masks, &body)?,
        (CopyOut::Binary, masks) => copy::mask_binary(shield, masks, &body)?,
    };
    match masked {
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

fn unexpected(tag: Tag) -> Fatal {
    Fatal::broken(Side::Upstream, format!("{tag:?} answers nothing that was asked"))
}
