//! What the workload says: heads are judged, bodies pass or are thrown away.

use std::sync::Arc;

use bytes::Bytes;

use super::{Conversation, DROPPED_MAX, HEAD_TIMEOUT, answer::Exchange};
use crate::{
    gate::Verdict,
    policy::Obligations,
    protocol::{
        Output,
        http::{
            codec::{
                BodyLength, BodyReader, Connection, EscapedSlash, Location, Malformed, Query, RequestHead, Understood,
                Upgrade, classify, write::Edits,
            },
            credentials::Presented,
            masking::Masks,
            place::Misdirected,
            reply::{self, Fatal, Problem},
        },
        wire::Wire,
    },
};

/// How far a request has come.
pub enum Sending {
    /// The next request's head is awaited.
    Head,
    /// The gate is asked.
    Asking(Box<Asked>),
    /// The body of a permitted request passes.
    Body(BodyReader),
    /// The body of a refused one is thrown away, of which so many bytes may still come.
    Dropping(BodyReader, u64),
    /// The request is whole, and its answer is awaited.
    Done,
}

/// A request that waits for its verdict.
pub struct Asked {
    head: RequestHead,
    understood: Understood,
    body: BodyLength,
    connection: Connection,
}

impl Asked {
    fn read(head: RequestHead, conversation: &mut Conversation) -> Result<Self, Fatal> {
        let body = BodyLength::of_request(&head).map_err(refused)?;
        let connection = Connection::of_request(&head).map_err(refused)?;
        let place = &mut conversation.place;
        let location = Location::of_request(&head, place.scheme, EscapedSlash::default()).map_err(refused)?;
        place.admit(&location).map_err(misdirected)?;
        let understood = Understood::new(&head, location);
        Ok(Self { head, understood, body, connection })
    }

    pub fn method(&self) -> Bytes {
        Bytes::copy_from_slice(self.head.method())
    }
}

impl Conversation {
    /// Reads on in what the workload said.
    pub(super) fn hear(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        while !self.is_over {
            let goes_on = match &self.sending {
                Sending::Head if self.answering.is_idle() => self.hear_head(wire)?,
                Sending::Head | Sending::Asking(_) | Sending::Done => false,
                Sending::Body(_) | Sending::Dropping(..) => self.hear_body(wire)?,
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// Whether there is more to hear at once.
    fn hear_head(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        let unread = wire.down.unread().len();
        if unread == 0 {
            return Ok(false);
        }
        let read = RequestHead::read(&wire.down.slice(0..unread)).map_err(refused)?;
        let Some((head, length)) = read else {
            if !std::mem::replace(&mut self.is_timed, true) {
                wire.want(Output::Alarm(Some(HEAD_TIMEOUT)));
            }
            return Ok(false);
        };
        if std::mem::take(&mut self.is_timed) {
            wire.want(Output::Alarm(None));
        }
        wire.want(Output::Record(recordable(&head).map_err(refused)?));
        let asked = Asked::read(head, self)?;
        wire.drop_down(length);
        wire.want(Output::Ask(asked.understood.request()));
        self.sending = Sending::Asking(Box::new(asked));
        Ok(false)
    }

    /// Whether it has ended.
    fn hear_body(&mut self, wire: &mut Wire) -> Result<bool, Fatal> {
        loop {
            let (reader, dropped) = match &mut self.sending {
                Sending::Body(reader) => (reader, None),
                Sending::Dropping(reader, left) => (reader, Some(left)),
                Sending::Head | Sending::Asking(_) | Sending::Done => return Ok(false),
            };
            let progress = reader.feed(wire.down.unread()).map_err(refused)?;
            let is_dropped = dropped.is_some();
            if let Some(left) = dropped {
                *left = left.checked_sub(progress.taken as u64).ok_or_else(too_much_to_drop)?;
            }
            if progress.taken > 0 {
                wire.want(Output::Record(wire.down.slice(0..progress.taken)));
            }
            if is_dropped {
                wire.drop_down(progress.taken);
            } else {
                wire.down.keep(progress.taken);
                wire.release_down();
            }
            if progress.ended {
                self.sending = if is_dropped { Sending::Head } else { Sending::Done };
                self.end_exchange();
                return Ok(true);
            }
            if wire.down.unread().is_empty() {
                return Ok(false);
            }
        }
    }

    /// The gate's answer to the request that waits for it.
    pub fn answered(&mut self, verdict: Verdict, wire: &mut Wire) -> Result<(), Fatal> {
        let Sending::Asking(asked) = std::mem::replace(&mut self.sending, Sending::Head) else { return Ok(()) };
        match verdict {
            Verdict::Forward(permit) => match self.masks(&asked, permit.obligations()) {
                Err(why) => self.refuse(&asked, &Problem::new(reply::FORBIDDEN, &why), wire),
                Ok(masks) => self.send(*asked, masks, wire)?,
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

    /// What masks the answer to a permitted request, or why the request cannot be sent as it would have to be.
    fn masks(&mut self, asked: &Asked, obligations: &Arc<Obligations>) -> Result<Option<Masks>, String> {
        if let Err(error) = &self.credential {
            return Err(error.to_string());
        }
        if asked.head.method() == b"CONNECT" {
            return Err("this gate makes no tunnels: dial the server itself".to_owned());
        }
        match asked.connection.upgrade {
            // An offer that may be ignored.
            Upgrade::None | Upgrade::H2c => {}
            Upgrade::WebSocket => return Err("this gate does not speak WebSocket".to_owned()),
            Upgrade::Other => return Err("this gate does not speak the protocol that `Upgrade` offers".to_owned()),
        }
        if !obligations.limits.is_empty() {
            return Err("a rule limits the answer, which this gate cannot do with HTTP".to_owned());
        }
        match &mut self.masking {
            Ok(masking) => masking.plan(obligations).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn send(&mut self, asked: Asked, masks: Option<Masks>, wire: &mut Wire) -> Result<(), Fatal> {
        let head = self.edits(&asked).map_err(refused)?;
        let head = if head.is_empty() { asked.head.bytes().clone() } else { head.request(&asked.head) };
        if !std::mem::replace(&mut self.is_connected, true) && self.is_secured {
            wire.want(Output::ConnectTls(Some(asked.understood.location.host.name().into())));
        }
        wire.tell_server(head);
        let (method, version) = (asked.method(), asked.head.version());
        self.answering.begin(Exchange { method, version, closes: !asked.connection.persists, masks });
        self.sending = match asked.body {
            BodyLength::None | BodyLength::Exact(0) => Sending::Done,
            length => Sending::Body(BodyReader::of_request(length)),
        };
        Ok(())
    }

    /// What the server is told in other words than the workload's.
    fn edits(&self, asked: &Asked) -> Result<Edits, Malformed> {
        let mut edits = Edits::default();
        let credential = self.credential.as_ref().ok().and_then(Option::as_ref);
        let location = &asked.understood.location;
        let target = match credential.and_then(Presented::query) {
            Some((name, value)) => target_with(location, name, value),
            None => location.target(),
        };
        if target.as_bytes() != asked.head.target() {
            edits = edits.target(&target)?;
        }
        if asked.connection.upgrade != Upgrade::None {
            edits = edits.remove_hop_by_hop();
            if !asked.connection.persists {
                edits = edits.add("Connection", b"close")?;
            }
        }
        let Some(credential) = credential else { return Ok(edits) };
        for (name, _) in asked.head.fields().iter() {
            let name = String::from_utf8_lossy(name);
            if credential.replaces(&name) {
                edits = edits.remove(&name);
            }
        }
        match credential.header() {
            Some((name, value)) => edits.set(name, value),
            None => Ok(edits),
        }
    }

    /// Says no, and leaves the connection usable where the rest of the request can be heard out.
    fn refuse(&mut self, asked: &Asked, problem: &Problem<'_>, wire: &mut Wire) {
        // Whoever waits for a word before the body may send it now or not: nobody could tell which.
        let closes = asked.connection.expects_continue || !asked.connection.persists;
        wire.tell_workload(problem.spoken(asked.head.method(), closes));
        if closes {
            return self.end(wire);
        }
        self.sending = match asked.body {
            BodyLength::None | BodyLength::Exact(0) => Sending::Head,
            length => Sending::Dropping(BodyReader::of_request(length), DROPPED_MAX),
        };
    }
}

/// The target with one more field in its query, in place of any of that name. The value is escaped.
fn target_with(location: &Location, name: &str, value: &[u8]) -> String {
    let is_other = |field: &&str| match Query::read(field.as_bytes()) {
        Ok(query) => query.fields().all(|(own, _)| own != name),
        Err(_) => false,
    };
    let mut target = format!("{}?", location.path);
    for field in location.query.iter().flat_map(|query| query.raw().split('&')).filter(is_other) {
        target.push_str(field);
        target.push('&');
    }
    target.push_str(name);
    target.push('=');
    target.push_str(&String::from_utf8_lossy(value));
    target
}

/// The head as the record may have it.
fn recordable(head: &RequestHead) -> Result<Bytes, Malformed> {
    let is_held = |name: &&&str| head.fields().contains(name);
    let mut edits = Edits::default();
    for name in classify::CREDENTIALS.iter().filter(is_held) {
        edits = edits.set(name, b"[not recorded]")?;
    }
    Ok(if edits.is_empty() { head.bytes().clone() } else { edits.request(head) })
}

/// The workload's bytes cannot be read in one way.
fn refused(error: Malformed) -> Fatal {
    Fatal::request(error.status(), error.to_string())
}

fn misdirected(error: Misdirected) -> Fatal {
    Fatal::request(reply::MISDIRECTED_REQUEST, error.to_string())
}

fn too_much_to_drop() -> Fatal {
    Fatal::request(reply::FORBIDDEN, format!("a refused request's body has more than {DROPPED_MAX} bytes"))
}
