//! A connection from the first byte to the last, as a state machine.

use super::{
    conversation::Conversation,
    credentials::Presented,
    masking::Masking,
    place::Place,
    reply::{Fatal, Problem},
};
use crate::{
    gate::Denial,
    protocol::{Input, Opening, Output, ProtocolError, Session, Side, wire::Wire},
    request::http::Scheme,
    target::Verify,
};

/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// One connection that speaks HTTP/1.1.
pub struct HttpSession {
    opening: Opening,
    wire: Wire,
    phase: Phase,
}

/// Where a connection stands. The order is that of time.
enum Phase {
    /// Nothing has come: a handshake will, or a request.
    Greeting,
    Securing,
    Talking(Box<Conversation>),
    Over,
}

impl HttpSession {
    pub fn new(opening: Opening) -> Self {
        Self { opening, wire: Wire::default(), phase: Phase::Greeting }
    }

    fn take(&mut self, input: Input) -> Result<(), Fatal> {
        match input {
            Input::Bytes(side, bytes) => {
                if !matches!(self.phase, Phase::Over) {
                    self.wire.inbox(side).push(bytes);
                }
                self.advance(side)
            }
            Input::Closed(side) => self.closed(side),
            Input::Unreachable => {
                self.say_last(&Fatal::answer("the gate cannot reach the server"));
                Ok(())
            }
            Input::Accepted(server_name) => {
                self.begin(Scheme::Https, server_name.as_deref().map(str::to_owned));
                self.advance(Side::Downstream)
            }
            Input::Verdict(verdict) => match &mut self.phase {
                Phase::Talking(conversation) => conversation.answered(verdict, &mut self.wire),
                Phase::Greeting | Phase::Securing | Phase::Over => Ok(()),
            },
            Input::Alarm => match &mut self.phase {
                Phase::Talking(conversation) => conversation.alarmed(),
                Phase::Greeting | Phase::Securing | Phase::Over => Ok(()),
            },
            Input::Terminate(denial) => {
                self.terminate(&denial);
                Ok(())
            }
            // Its bytes were queued behind the handshake.
            Input::Connected(_) => Ok(()),
            // Nothing of the kind was asked for.
            Input::Surveyed(_) | Input::Cancelled => Ok(()),
        }
    }

    fn advance(&mut self, side: Side) -> Result<(), Fatal> {
        match (&mut self.phase, side) {
            (Phase::Greeting, Side::Downstream) => match self.wire.down.unread().first() {
                None => Ok(()),
                Some(&HANDSHAKE) if !self.opening.destination.is_unix() => {
                    let hello = self.wire.down.take();
                    self.wire.want(Output::AcceptTls(hello));
                    self.phase = Phase::Securing;
                    Ok(())
                }
                Some(_) => {
                    self.begin(Scheme::Http, None);
                    self.advance(Side::Downstream)
                }
            },
            (Phase::Talking(conversation), _) => conversation.advance(side, &mut self.wire),
            (Phase::Greeting | Phase::Securing, Side::Upstream) => {
                Err(Fatal::answer("the server spoke before anything was asked"))
            }
            // The driver hands the handshake's bytes to TLS.
            (Phase::Securing, Side::Downstream) | (Phase::Over, _) => Ok(()),
        }
    }

    fn begin(&mut self, scheme: Scheme, server_name: Option<String>) {
        let Opening { target, destination, credential, masker, .. } = &self.opening;
        let place = Place::new(target, destination, scheme, server_name);
        let credential = Presented::of(target, credential.as_deref());
        let masking = Masking::new(target, masker.clone());
        let conversation = Conversation::new(place, target.tls != Verify::Off, credential, masking);
        self.phase = Phase::Talking(Box::new(conversation));
    }

    fn closed(&mut self, side: Side) -> Result<(), Fatal> {
        match &mut self.phase {
            Phase::Talking(conversation) => conversation.closed(side, &mut self.wire),
            Phase::Greeting | Phase::Securing => {
                self.phase = Phase::Over;
                self.wire.want(Output::Close);
                Ok(())
            }
            Phase::Over => Ok(()),
        }
    }

    fn terminate(&mut self, denial: &Denial) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Talking(mut conversation) => conversation.terminate(denial, &mut self.wire),
            // Nobody who asked for nothing is answered.
            Phase::Greeting | Phase::Securing => self.wire.want(Output::Close),
            Phase::Over => {}
        }
    }

    fn say_last(&mut self, fatal: &Fatal) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Talking(mut conversation) => {
                conversation.say_last(&Problem::new(fatal.status, &fatal.message), &mut self.wire)
            }
            Phase::Greeting | Phase::Securing => self.wire.want(Output::Close),
            Phase::Over => {}
        }
    }
}

impl Session for HttpSession {
    fn handle(&mut self, input: Input) -> Result<(), ProtocolError> {
        let Err(fatal) = self.take(input) else { return Ok(()) };
        self.say_last(&fatal);
        match fatal.by {
            Some(by) => Err(ProtocolError { by, what: fatal.message }),
            None => Ok(()),
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.wire.next()
    }

    fn keeps_record(&self) -> bool {
        true
    }

    fn is_full(&self) -> bool {
        matches!(&self.phase, Phase::Talking(conversation) if conversation.is_full(self.wire.down.unread().len()))
    }
}
