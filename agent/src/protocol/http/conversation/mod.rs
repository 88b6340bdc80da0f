//! Requests and answers on one connection, one exchange after the other.
//!
//! What is permitted goes on as it came, byte for byte, but for fields of the connection and credentials. Framing has one
//! owner, the codec: what it cannot read in exactly one way ends the connection.

mod answer;
mod request;

use std::time::Duration;

use bytes::Bytes;

use self::{answer::Answering, request::Sending};
use super::{
    credentials::{Presented, Unpresentable},
    masking::Masking,
    place::Place,
    reply::{self, Fatal, Problem},
};
use crate::{
    gate::Denial,
    mask::body::PathError,
    protocol::{Output, Side, wire::Wire},
};

/// For a head to come whole, once it has begun.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a refused request's body that are heard and thrown away; over more the connection is closed.
pub const DROPPED_MAX: u64 = 1 << 20;
/// Most bytes of the workload that wait for an answer to end.
pub const WAITING_MAX: usize = 64 * 1024;

/// One connection, once it is known how it is spoken on.
pub struct Conversation {
    place: Place,
    /// Whether the server is spoken to through TLS.
    is_secured: bool,
    credential: Result<Option<Presented>, Unpresentable>,
    masking: Result<Masking, PathError>,
    sending: Sending,
    answering: Answering,
    is_connected: bool,
    /// Whether the workload says nothing more.
    is_heard_out: bool,
    /// Whether [`HEAD_TIMEOUT`] runs.
    is_timed: bool,
    is_over: bool,
}

impl Conversation {
    pub fn new(
        place: Place,
        is_secured: bool,
        credential: Result<Option<Presented>, Unpresentable>,
        masking: Result<Masking, PathError>,
    ) -> Self {
        Self {
            place,
            is_secured,
            credential,
            masking,
            sending: Sending::Head,
            answering: Answering::Idle,
            is_connected: false,
            is_heard_out: false,
            is_timed: false,
            is_over: false,
        }
    }

    pub fn advance(&mut self, side: Side, wire: &mut Wire) -> Result<(), Fatal> {
        if self.is_over {
            return Ok(());
        }
        if side == Side::Upstream {
            self.relay(wire)?;
        }
        // The answer's end lets the next request in.
        self.hear(wire)
    }

    /// Whether the workload is not to be heard before the server answers; `unread` bytes of it wait.
    pub fn is_full(&self, unread: usize) -> bool {
        match self.sending {
            Sending::Head | Sending::Asking(_) | Sending::Done => unread > WAITING_MAX,
            Sending::Body(_) | Sending::Dropping(..) => false,
        }
    }

    /// The next request is heard when both are whole: the request and its answer.
    fn end_exchange(&mut self) {
        if matches!((&self.sending, &self.answering), (Sending::Done, Answering::Idle)) {
            self.sending = Sending::Head;
        }
    }

    /// That side says nothing more.
    pub fn closed(&mut self, side: Side, wire: &mut Wire) -> Result<(), Fatal> {
        match (side, &self.answering) {
            // A workload may end its side and still wait for the answer.
            (Side::Downstream, Answering::Head(_) | Answering::Body(..)) if matches!(self.sending, Sending::Done) => {
                self.is_heard_out = true;
                return Ok(());
            }
            (Side::Upstream, Answering::Head(_)) => {
                return Err(Fatal::answer("the server closed the connection without an answer"));
            }
            (Side::Upstream, Answering::Body(..)) => self.end_with_connection(wire)?,
            (Side::Downstream | Side::Upstream, _) => {}
        }
        self.end(wire);
        Ok(())
    }

    pub fn alarmed(&mut self) -> Result<(), Fatal> {
        if !self.is_timed {
            return Ok(());
        }
        let seconds = HEAD_TIMEOUT.as_secs();
        Err(Fatal::request(reply::REQUEST_TIMEOUT, format!("the request's head was not whole after {seconds} s")))
    }

    /// The gate ends this connection.
    pub fn terminate(&mut self, denial: &Denial, wire: &mut Wire) {
        self.say_last(&Problem::denied(denial), wire);
    }

    /// Says why nothing more will come, where that would be read as an answer and not as a piece of one.
    pub fn say_last(&mut self, problem: &Problem<'_>, wire: &mut Wire) {
        let may_speak = match (&self.sending, &self.answering) {
            // Nobody who asked for nothing is answered.
            (Sending::Head, Answering::Idle) => self.is_timed || !wire.down.unread().is_empty(),
            (Sending::Dropping(..), _) | (_, Answering::Body(..)) => false,
            (_, Answering::Idle | Answering::Head(_)) => true,
        };
        if may_speak && !self.is_over {
            wire.tell_workload(problem.spoken(&self.method(), true));
        }
        self.end(wire);
    }

    /// The method that an answer of the gate's own would answer.
    fn method(&self) -> Bytes {
        match (&self.sending, &self.answering) {
            (_, Answering::Head(exchange)) => exchange.method.clone(),
            (Sending::Asking(asked), _) => asked.method(),
            _ => Bytes::new(),
        }
    }

    fn end(&mut self, wire: &mut Wire) {
        if !std::mem::replace(&mut self.is_over, true) {
            wire.want(Output::Close);
        }
    }
}
