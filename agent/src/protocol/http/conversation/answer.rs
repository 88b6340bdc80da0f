//! What the server says: read as the answer to the one request that is sent, and passed on.

use bytes::Bytes;

use super::Conversation;
use crate::protocol::{
    http::{
        codec::{BodyLength, BodyReader, Connection, Malformed, ResponseHead, Version},
        masking::{MaskedBody, Masks, Unmasked},
        reply::Fatal,
    },
    wire::Wire,
};

/// How far an answer has come.
pub enum Answering {
    /// Nothing is asked.
    Idle,
    Head(Exchange),
    /// With what masks it, where it has to be.
    Body(Exchange, BodyReader, Option<Box<MaskedBody>>),
}

/// What an answer has to be read by.
pub struct Exchange {
    /// The request's method decides on the answer's length (RFC 9112, section 6.3).
    pub method: Bytes,
    /// The workload's.
    pub version: Version,
    /// Whether the connection ends with the answer.
    pub closes: bool,
    pub masks: Option<Masks>,
}

impl Answering {
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    pub fn begin(&mut self, exchange: Exchange) {
        *self = Self::Head(exchange);
    }
}

impl Conversation {
    /// Reads on in what the server said.
    pub(super) fn relay(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        while !self.is_over && !wire.up.unread().is_empty() {
            let goes_on = match &self.answering {
                Answering::Idle => return Err(Fatal::answer("the server spoke before anything was asked")),
                Answering::Head(_) => self.relay_head(wire)?,
                Answering::Body(..) => self.relay_body(wire)?,
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Whether there was one.
    fn relay_head(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        let Answering::Head(exchange) = &mut self.answering else { return Ok(false) };
        let unread = wire.up.unread().len();
        let Some((head, length)) = ResponseHead::read(&wire.up.slice(0..unread)).map_err(broken)? else {
            return Ok(false);
        };
        if head.status() == 101 {
            return Err(Fatal::answer("the server changed to a protocol that it was not offered"));
        }
        let body = BodyLength::of_response(&exchange.method, &head).map_err(broken)?;
        // What comes before the answer itself (RFC 9110, section 15.2).
        if head.status() < 200 {
            wire.up.keep(length);
            wire.release_up();
            return Ok(true);
        }
        exchange.closes |= !Connection::of_response(&head).persists || body == BodyLength::UntilClose;
        let masked = match exchange.masks.take().filter(|_| Masks::concern(body)) {
            None => {
                wire.up.keep(length);
                wire.release_up();
                None
            }
            Some(masks) => {
                let (masked, head) = masks.begin(&head, exchange.version).map_err(unmasked)?;
                exchange.closes |= masked.ends_with_connection();
                wire.drop_up(length);
                wire.tell_workload(head);
                Some(Box::new(masked))
            }
        };
        let Answering::Head(exchange) = std::mem::replace(&mut self.answering, Answering::Idle) else {
            return Ok(false);
        };
        match body {
            BodyLength::None | BodyLength::Exact(0) => self.end_answer(&exchange, wire),
            length => self.answering = Answering::Body(exchange, BodyReader::of_response(length), masked),
        }
        Ok(true)
    }

    /// Whether there was any.
    fn relay_body(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        let Answering::Body(_, reader, masked) = &mut self.answering else { return Ok(false) };
        let progress = reader.feed(wire.up.unread()).map_err(broken)?;
        match masked {
            None => {
                wire.up.keep(progress.taken);
                wire.release_up();
            }
            Some(masked) => {
                let sent = masked.feed(&wire.up.slice(progress.payload)).map_err(unmasked)?;
                wire.drop_up(progress.taken);
                tell(sent, wire);
            }
        }
        if progress.ended {
            self.end_body(wire)?;
        }
        Ok(true)
    }

    fn end_body(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        let Answering::Body(exchange, _, masked) = std::mem::replace(&mut self.answering, Answering::Idle) else {
            return Ok(());
        };
        if let Some(masked) = masked {
            match masked.finish() {
                Ok(rest) => tell(rest, wire),
                Err(error) => {
                    // Nothing more may be said, and what was said has no end.
                    self.answering = Answering::Body(exchange, BodyReader::of_response(BodyLength::UntilClose), None);
                    return Err(unmasked(error));
                }
            }
        }
        self.end_answer(&exchange, wire);
        Ok(())
    }

    /// The server has closed the connection: a body that ends so is whole.
    pub(super) fn end_with_connection(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        let Answering::Body(_, reader, _) = &self.answering else { return Ok(()) };
        if reader.ends_with_connection() { self.end_body(wire) } else { Ok(()) }
    }

    fn end_answer(&mut self, exchange: &Exchange, wire: &mut Wire) {
        if exchange.closes || self.is_heard_out {
            return self.end(wire);
        }
        self.end_exchange();
    }
}

/// A chunk of nothing would end the body.
fn tell(bytes: Bytes, wire: &mut Wire) {
    if !bytes.is_empty() {
        wire.tell_workload(bytes);
    }
}

fn unmasked(error: Unmasked) -> Fatal {
    Fatal::answer(format!("the server's answer is not passed on: {error}"))
}

/// The server's bytes cannot be read in one way.
fn broken(error: Malformed) -> Fatal {
    Fatal::answer(format!("the server's answer cannot be read: {error}"))
}
