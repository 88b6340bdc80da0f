//! Arguments for prepared statements: held whole where they are short, read as they pass where they are long.
//!
//! A Bind runs nothing: what it binds is judged when it is executed.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Conversation, Refusal, Rest, Skip,
    running::{Prepared, Way},
};
use crate::protocol::postgres::{
    classify,
    codec::{
        CodecError, HEAD, Head,
        frontend::{self, Bind},
        long_bind::LongBind,
    },
    reply::{self, Fatal, by_workload},
    wire::Wire,
};

/// Longest Bind that is copied, so that its portal does not hold on to everything that arrived with it.
const BIND_COPY_MAX: usize = 4096;

/// A long Bind of which parts have gone to the server.
pub struct Binding {
    portal: Bytes,
    statement: Arc<Prepared>,
    arguments: LongBind,
}

impl Conversation {
    /// Binds what came in one piece.
    pub(super) fn bind(&mut self, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        let message = wire.down.slice(0..total);
        let Bind { portal, statement, formats } =
            frontend::bind(message.get(HEAD..).unwrap_or_default()).map_err(by_workload)?;
        let Some(prepared) = self.ledger.statement(statement).cloned() else {
            return self.deny(Way::Extended, not_prepared(statement), total, wire);
        };
        let held = if total <= BIND_COPY_MAX { Bytes::copy_from_slice(&message) } else { message.clone() };
        self.note_bind(portal, &prepared);
        self.ledger.bind(portal, prepared, formats, classify::bound(held))?;
        self.forward(total, wire);
        Ok(())
    }

    /// Lets a long Bind begin to pass, once its names have come.
    pub(super) fn begin_long_bind(&mut self, head: Head, wire: &mut Wire) -> Result<(), Fatal> {
        if self.skip != Skip::Nothing {
            self.from_workload = Rest { count: head.total, is_dropped: true };
            return Ok(());
        }
        let start = wire.down.unread().get(HEAD..).unwrap_or_default();
        let Some(frontend::BindNames { portal, statement, length }) =
            frontend::bind_names(start).map_err(by_workload)?
        else {
            return Ok(());
        };
        let Some(prepared) = self.ledger.statement(statement).cloned() else {
            self.refusal = Some(Refusal { way: Way::Extended, error: not_prepared(statement) });
            self.from_workload = Rest { count: head.total, is_dropped: true };
            return Ok(());
        };
        let arguments = LongBind::behind(start.get(..length).unwrap_or_default());
        let portal = Bytes::copy_from_slice(portal);
        self.note_bind(&portal, &prepared);
        self.binding = Some(Binding { portal, statement: prepared, arguments });
        self.forward(HEAD + length, wire);
        self.from_workload = Rest { count: head.total.saturating_sub(HEAD + length), is_dropped: false };
        self.is_urgent = true;
        Ok(())
    }

    /// Reads a piece of the long Bind that passes, if one does.
    pub(super) fn read_binding(&mut self, piece: &[u8]) -> Result<(), CodecError> {
        match &mut self.binding {
            Some(binding) => binding.arguments.read(piece),
            None => Ok(()),
        }
    }

    /// The last byte of a long Bind has gone to the server.
    pub(super) fn end_long_bind(&mut self, binding: Binding) -> Result<(), Fatal> {
        let Binding { portal, statement, arguments } = binding;
        let (formats, digested) = arguments.end().map_err(by_workload)?;
        if self.skip != Skip::Nothing {
            // The batch failed meanwhile, and the server overlooks it.
            return Ok(());
        }
        self.ledger.bind(&portal, statement, formats, classify::digested(&digested))
    }

    fn note_bind(&mut self, portal: &[u8], statement: &Prepared) {
        self.note_binding(portal);
        if let Some(shield) = &statement.shield {
            self.note_shield(shield);
        }
    }
}

fn not_prepared(name: &[u8]) -> Bytes {
    let message = format!("prepared statement \"{}\" does not exist", String::from_utf8_lossy(name));
    reply::error("26000", &message, "the gate knows the statements that were prepared by Parse in this session")
}
