//! Requests and answers on one connection, one exchange after the other.
//!
//! What is permitted goes on as it came, byte for byte, but for fields of the connection and credentials. Framing has one
//! owner, the codec: what it cannot read in exactly one way ends the connection.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    classify::{self, Understood},
    codec::{BodyLength, BodyReader, Connection, Location, Malformed, RequestHead, ResponseHead, Version, write},
    credentials::{Presented, Unpresentable},
    place::Place,
    reply::{self, Fatal, Problem},
};
use crate::{
    gate::{Denial, Verdict},
    policy::Obligations,
    protocol::{Output, Side, wire::Wire},
};

/// For a head to come whole, once it has begun.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a refused request's body that are heard and thrown away; over more the connection is closed.
pub const DROPPED_MAX: u64 = 1 << 20;
/// Most bytes of the workload that wait for an answer to end.
pub const WAITING_MAX: usize = 64 * 1024;

pub struct Conversation {
    place: Place,
    /// Whether the server is spoken to through TLS.
    is_secured: bool,
    credential: Result<Option<Presented>, Unpresentable>,
    sending: Sending,
    answering: Answering,
    is_connected: bool,
    /// Whether the workload says nothing more.
    is_heard_out: bool,
    /// Whether [`HEAD_TIMEOUT`] runs.
    is_timed: bool,
}

/// What the workload says.
enum Sending {
    /// The next request's head is awaited.
    Head,
    /// The gate is asked.
    Asking(Box<Asked>),
    /// The body of a permitted request passes.
    Body(BodyReader),
    /// The body of a refused one is thrown away, of which so much may still come.
    Dropping(BodyReader, u64),
    /// The request is whole, and its answer is awaited.
    Done,
}

/// A request that waits for its verdict.
struct Asked {
    head: RequestHead,
    understood: Understood,
    body: BodyLength,
    connection: Connection,
}

/// What the server says.
enum Answering {
    /// Nothing is asked.
    Idle,
    Head(Exchange),
    Body(Exchange, BodyReader),
    /// The body ends with the connection.
    Rest,
}

/// What an answer has to be read by.
struct Exchange {
    /// The request's method decides on the answer's length (RFC 9112, section 6.3).
    method: Bytes,
    /// Whether the connection ends with the answer.
    closes: bool,
}

impl Asked {
    fn is_head(&self) -> bool {
        self.head.method() == b"HEAD"
    }
}

impl Conversation {
    pub fn new(place: Place, is_secured: bool, credential: Result<Option<Presented>, Unpresentable>) -> Self {
        Self {
            place,
            is_secured,
            credential,
            sending: Sending::Head,
            answering: Answering::Idle,
            is_connected: false,
            is_heard_out: false,
            is_timed: false,
        }
    }

    pub fn advance(&mut self, side: Side, wire: &mut Wire) -> Result<(), Fatal> {
        match side {
            Side::Downstream => self.hear(wire),
            Side::Upstream => {
                self.relay(wire)?;
                // The answer's end lets the next request in.
                self.hear(wire)
            }
        }
    }

    /// Whether the workload is not to be heard before the server answers; `unread` bytes of it wait.
    pub fn is_full(&self, unread: usize) -> bool {
        match self.sending {
            Sending::Head | Sending::Asking(_) | Sending::Done => unread > WAITING_MAX,
            Sending::Body(_) | Sending::Dropping(..) => false,
        }
    }

    /// Reads on in what the workload said.
    fn hear(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        loop {
            let goes_on = match &mut self.sending {
                Sending::Head if matches!(self.answering, Answering::Idle) => self.hear_head(wire)?,
                Sending::Head | Sending::Asking(_) | Sending::Done => false,
                Sending::Body(_) => self.hear_body(wire)?,
                Sending::Dropping(..) => self.drop_body(wire)?,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Whether there was one.
    fn hear_head(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        let unread = wire.down.unread().len();
        if unread == 0 {
            return Ok(false);
        }
        let Some((head, length)) = RequestHead::read(&wire.down.slice(0..unread)).map_err(refused)? else {
            if !std::mem::replace(&mut self.is_timed, true) {
                wire.want(Output::Alarm(Some(HEAD_TIMEOUT)));
            }
            return Ok(false);
        };
        if std::mem::take(&mut self.is_timed) {
            wire.want(Output::Alarm(None));
        }
        wire.want(Output::Record(write::redacted(&head, &classify::CREDENTIALS)));
        wire.drop_down(length);
        let body = BodyLength::of_request(&head).map_err(refused)?;
        let connection = Connection::of_request(&head).map_err(refused)?;
        let location = Location::of(&head, self.place.scheme).map_err(refused)?;
        let misdirected = |error: super::place::Misdirected| Fatal::request(reply::MISDIRECTED_REQUEST, error.to_string());
        self.place.admit(&location).map_err(misdirected)?;
        let understood = Understood::new(&head, location);
        wire.want(Output::Ask(understood.request()));
        self.sending = Sending::Asking(Box::new(Asked { head, understood, body, connection }));
        Ok(false)
    }

    /// Whether it has ended.
    fn hear_body(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        let Sending::Body(reader) = &mut self.sending else { return Ok(false) };
        let progress = reader.feed(wire.down.unread()).map_err(refused)?;
        if progress.consumed > 0 {
            wire.want(Output::Record(wire.down.slice(0..progress.consumed)));
            wire.down.keep(progress.consumed);
            wire.release_down();
        }
        if progress.is_done {
            self.sending = Sending::Done;
            self.end_exchange();
        }
        Ok(progress.is_done)
    }

    /// Whether it has ended.
    fn drop_body(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        let Sending::Dropping(reader, left) = &mut self.sending else { return Ok(false) };
        let progress = reader.feed(wire.down.unread()).map_err(refused)?;
        *left = left.checked_sub(progress.consumed as u64).ok_or_else(|| {
            Fatal::request(reply::FORBIDDEN, format!("a refused request's body has more than {DROPPED_MAX} bytes"))
        })?;
        wire.want(Output::Record(wire.down.slice(0..progress.consumed)));
        wire.drop_down(progress.consumed);
        if progress.is_done {
            self.sending = Sending::Head;
        }
        Ok(progress.is_done)
    }

    /// The gate's answer to the request that waits for it.
    pub fn answered(&mut self, verdict: Verdict, wire: &mut Wire) -> Result<(), Fatal> {
        let Sending::Asking(asked) = std::mem::replace(&mut self.sending, Sending::Head) else { return Ok(()) };
        match verdict {
            Verdict::Forward(permit) => match self.unfulfilled(permit.obligations()) {
                Some(why) => self.refuse(&asked, &Problem::new(reply::FORBIDDEN, &why), wire),
                None => self.send(*asked, wire)?,
            },
            Verdict::Block(denial) => self.refuse(&asked, &Problem::denied(&denial), wire),
            // Nothing that was sent before it is unanswered, so that it is settled from the start.
            Verdict::Settle => {
                wire.want(Output::Ask(asked.understood.request()));
                self.sending = Sending::Asking(asked);
            }
        }
        self.hear(wire)
    }

    /// Why the request cannot be sent under these obligations.
    fn unfulfilled(&self, obligations: &Obligations) -> Option<String> {
        if let Err(error) = &self.credential {
            return Some(error.to_string());
        }
        if !obligations.masks.is_empty() {
            return Some("a rule wants the answer masked, which this gate cannot do with HTTP".to_owned());
        }
        if !obligations.limits.is_empty() {
            return Some("a rule limits the answer, which this gate cannot do with HTTP".to_owned());
        }
        None
    }

    fn send(&mut self, asked: Asked, wire: &mut Wire) -> Result<(), Fatal> {
        if !std::mem::replace(&mut self.is_connected, true) && self.is_secured {
            wire.want(Output::ConnectTls(Some(asked.understood.location.host.to_string().into())));
        }
        let credential = self.credential.as_ref().ok().and_then(Option::as_ref);
        wire.tell_server(write::request(&asked.head, &asked.understood.location, &asked.connection, credential));
        let method = Bytes::copy_from_slice(asked.head.method());
        self.answering = Answering::Head(Exchange { method, closes: !asked.connection.is_persistent() });
        self.sending = match BodyReader::new(asked.body) {
            Some(reader) => Sending::Body(reader),
            None => Sending::Done,
        };
        Ok(())
    }

    /// Says no, and leaves the connection usable where the rest of the request can be heard out.
    fn refuse(&mut self, asked: &Asked, problem: &Problem<'_>, wire: &mut Wire) {
        // Whoever waits for a word before the body may send it now or not: nobody could tell.
        let closes = asked.connection.expects_continue() || !asked.connection.is_persistent();
        wire.tell_workload(problem.spoken(!asked.is_head(), closes));
        if closes {
            wire.want(Output::Close);
            self.sending = Sending::Done;
            return;
        }
        self.sending = match BodyReader::new(asked.body) {
            Some(reader) => Sending::Dropping(reader, DROPPED_MAX),
            None => Sending::Head,
        };
    }

    /// Reads on in what the server said.
    fn relay(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        loop {
            let goes_on = match &self.answering {
                Answering::Idle if wire.up.unread().is_empty() => false,
                Answering::Idle => return Err(Fatal::answer("the server spoke before anything was asked")),
                Answering::Head(_) => self.relay_head(wire)?,
                Answering::Body(..) => self.relay_body(wire)?,
                Answering::Rest => {
                    wire.up.keep(wire.up.unread().len());
                    wire.release_up();
                    false
                }
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Whether there was one.
    fn relay_head(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        let Answering::Head(exchange) = &mut self.answering else { return Ok(false) };
        let unread = wire.up.unread().len();
        if unread == 0 {
            return Ok(false);
        }
        let read = ResponseHead::read(&wire.up.slice(0..unread)).map_err(broken)?;
        let Some((head, length)) = read else { return Ok(false) };
        if head.status() == 101 {
            return Err(Fatal::answer("the server changed to a protocol that nobody asked for"));
        }
        let body = BodyLength::of_response(&exchange.method, &head).map_err(broken)?;
        wire.up.keep(length);
        wire.release_up();
        // What comes before the answer itself (RFC 9110, section 15.2).
        if head.status() < 200 {
            return Ok(true);
        }
        exchange.closes |= !Connection::of_response(&head).map_err(broken)?.is_persistent();
        let Answering::Head(exchange) = std::mem::replace(&mut self.answering, Answering::Rest) else { return Ok(false) };
        match (body, BodyReader::new(body)) {
            (BodyLength::UntilClose, _) => {}
            (_, Some(reader)) => self.answering = Answering::Body(exchange, reader),
            (_, None) => self.end_answer(&exchange, wire),
        }
        Ok(true)
    }

    /// Whether it has ended.
    fn relay_body(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        let Answering::Body(_, reader) = &mut self.answering else { return Ok(false) };
        let progress = reader.feed(wire.up.unread()).map_err(broken)?;
        wire.up.keep(progress.consumed);
        wire.release_up();
        if progress.is_done
            && let Answering::Body(exchange, _) = std::mem::replace(&mut self.answering, Answering::Idle)
        {
            self.end_answer(&exchange, wire);
        }
        Ok(progress.is_done)
    }

    fn end_answer(&mut self, exchange: &Exchange, wire: &mut Wire) {
        self.answering = Answering::Idle;
        if exchange.closes || self.is_heard_out {
            wire.want(Output::Close);
            self.sending = Sending::Done;
            return;
        }
        self.end_exchange();
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
            (Side::Downstream, Answering::Head(_) | Answering::Body(..) | Answering::Rest)
                if matches!(self.sending, Sending::Done) =>
            {
                self.is_heard_out = true;
                return Ok(());
            }
            (Side::Upstream, Answering::Head(_)) => {
                return Err(Fatal::answer("the server closed the connection without an answer"));
            }
            (Side::Downstream | Side::Upstream, _) => {}
        }
        wire.want(Output::Close);
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
        if self.may_answer() {
            wire.tell_workload(Problem::denied(denial).spoken(!self.is_asked_head(), true));
        }
        wire.want(Output::Close);
    }

    /// Says why nothing more will come, where the workload awaits an answer that has not begun.
    pub fn say_last(&mut self, status: u16, why: &str, wire: &mut Wire) {
        if self.may_answer() {
            wire.tell_workload(Problem::new(status, why).spoken(!self.is_asked_head(), true));
        }
        wire.want(Output::Close);
    }

    /// Whether what is said now would be read as the answer to a request, and not as a piece of another.
    fn may_answer(&self) -> bool {
        match (&self.sending, &self.answering) {
            (Sending::Dropping(..), _) | (_, Answering::Body(..) | Answering::Rest) => false,
            (_, Answering::Idle | Answering::Head(_)) => true,
        }
    }

    fn is_asked_head(&self) -> bool {
        match (&self.sending, &self.answering) {
            (_, Answering::Head(exchange)) => exchange.method == "HEAD",
            (Sending::Asking(asked), _) => asked.is_head(),
            _ => false,
        }
    }
}

/// The workload's bytes cannot be read in one way.
fn refused(error: Malformed) -> Fatal {
    Fatal::request(error.status(), error.to_string())
}

/// The server's bytes cannot be read in one way.
fn broken(error: Malformed) -> Fatal {
    Fatal::answer(format!("the server's answer cannot be read: {error}"))
}
