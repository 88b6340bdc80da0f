//! The conversation after login: requests are judged and forwarded, answers are masked and forwarded.
//!
//! [`requests`] reads what the workload says, [`binding`] the arguments in it, [`judge`] takes it to the gate, [`replies`] reads what the server
//! says and [`results`] masks it, [`limits`] cuts it where it is too long, and the [`ledger`] knows which answer belongs to which request that is [`running`].

mod binding;
mod freshness;
mod judge;
mod ledger;
mod limits;
mod names;
mod replies;
mod requests;
mod results;
mod running;
mod standing;
mod watch;

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;

use self::{freshness::Freshness, ledger::Ledger, limits::InFlight, running::Way, watch::Meter};
use super::{
    cancel::Lease,
    codec::{BIND_WHOLE_MAX, REPLY_MAX, TEXT_MAX, backend::Status, frontend::Oversized, write},
    reply::{self, Fatal},
    rows::Shield,
    wire::Wire,
};
use crate::{
    gate::{Denial, Verdict},
    mask::Masker,
    protocol::{Output, Side},
    sql::{Classified, Classifier, Path, SearchPath, SessionState},
};

/// Most bytes of the workload that wait while a question is open.
pub const PENDING_MAX: usize = BIND_WHOLE_MAX + TEXT_MAX;
/// Most bytes of the server that wait while the catalogue is read again.
pub const HELD_BACK_MAX: usize = 2 * REPLY_MAX;
/// Most shields that one session remembers.
const SHIELDS_MAX: usize = 8;

/// One session after login.
pub struct Conversation {
    database: Arc<str>,
    masker: Arc<Masker>,
    /// Of the catalogue as it was read last.
    surveyed: Arc<Classifier>,
    /// The same under the session's search path.
    classifier: Arc<Classifier>,
    state: SessionState,
    ledger: Ledger,
    status: Status,
    /// Whether something was sent since the last Sync, so that a transaction may be open unseen.
    is_batch_open: bool,
    skip: Skip,
    waiting: Option<judge::Waiting>,
    copy_in: Option<CopyIn>,
    /// Whether what is kept for the server must not wait for a verdict on what comes next.
    is_urgent: bool,
    from_workload: Rest,
    /// The long Bind that passes.
    binding: Option<binding::Binding>,
    /// The answer to the long message that is being dropped.
    refusal: Option<Refusal>,
    from_server: Rest,
    freshness: Freshness,
    /// Whether answers wait for a newer catalogue.
    is_held_back: bool,
    shields: Vec<(Arc<Classified>, Arc<Shield>)>,
    /// The shield that serves words of the server which belong to no request.
    last_shield: Option<Arc<Shield>>,
    /// The shield of a change of masked data that may still be checked: what is said then may quote it.
    deferring: Option<Arc<Shield>>,
    /// Whether functions ran that may have put values into the session's settings.
    settings_are_suspect: bool,
    /// The shield of the LISTEN that was permitted last.
    listening: Option<Arc<Shield>>,
    is_over: bool,
    record: standing::Record,
    /// How much was read of each cursor that DECLARE has made.
    cursors: HashMap<String, Arc<Meter>>,
    in_flight: Option<InFlight>,
    /// Whether the server must have failed at the end of this batch, because an answer in it was cut.
    must_fail: bool,
    /// Executes since the last Sync.
    executes_in_batch: usize,
    /// Whether the server was asked for its answers to all that was sent.
    is_flushed: bool,
    /// Withdraws the cancel key when the session ends.
    lease: Option<Lease>,
}

/// What happens to the workload's messages before its next Sync.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Skip {
    Nothing,
    /// The server skips them too, and its Sync has to reach it.
    ToSync,
    /// The error was spoken here and the server knows nothing: Sync is answered here too.
    ToOwnSync,
}

/// COPY from the workload is under way.
#[derive(Clone, Copy, Debug, Default)]
struct CopyIn {
    /// A Sync that came before the end of the data: overlooked, unless the server fails meanwhile.
    has_early_sync: bool,
}

/// What is left of a message that passes in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct Rest {
    count: usize,
    is_dropped: bool,
}

/// An error that is spoken once the last byte of its message has come.
struct Refusal {
    way: Way,
    error: Bytes,
}

impl From<Oversized> for Refusal {
    fn from(oversized: Oversized) -> Self {
        let Oversized { length, max, is_simple } = oversized;
        let message =
            format!("denied: the request is {length} bytes long, and the gate reads at most {max} of its kind");
        let hint = "send it in parts, with values as arguments, or load rows with COPY … FROM STDIN";
        let way = if is_simple { Way::Simple } else { Way::Extended };
        Self { way, error: reply::error(reply::TOO_LONG, &message, hint) }
    }
}

impl Conversation {
    pub fn new(
        database: String,
        path: Path,
        masker: Arc<Masker>,
        surveyed: Arc<Classifier>,
        status: Status,
        lease: Option<Lease>,
    ) -> Self {
        Self {
            database: database.into(),
            masker,
            classifier: surveyed.under(&path),
            surveyed,
            state: SessionState { path: SearchPath::starting(path), ..SessionState::default() },
            ledger: Ledger::default(),
            status,
            is_batch_open: false,
            skip: Skip::Nothing,
            waiting: None,
            copy_in: None,
            is_urgent: false,
            from_workload: Rest::default(),
            binding: None,
            refusal: None,
            from_server: Rest::default(),
            freshness: Freshness::default(),
            is_held_back: false,
            shields: Vec::new(),
            last_shield: None,
            deferring: None,
            settings_are_suspect: false,
            listening: None,
            is_over: false,
            record: standing::Record::new(status),
            cursors: HashMap::new(),
            in_flight: None,
            must_fail: false,
            executes_in_batch: 0,
            is_flushed: false,
            lease,
        }
    }

    /// Bytes arrived from that side.
    pub fn advance(&mut self, side: Side, wire: &mut Wire) -> Result<(), Fatal> {
        match side {
            Side::Downstream => self.hear_workload(wire),
            Side::Upstream => {
                self.hear_server(wire)?;
                self.go_on(wire)?;
                // An answer may have been what the workload's next message was waiting for.
                self.hear_workload(wire)
            }
        }
    }

    /// The gate answered.
    pub fn answered(&mut self, verdict: Verdict, wire: &mut Wire) -> Result<(), Fatal> {
        self.settle(verdict, wire)?;
        self.hear_workload(wire)
    }

    /// The time that was asked for is over.
    pub fn alarmed(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        self.time_over(wire)?;
        self.hear_workload(wire)
    }

    /// The cancel request has reached the server, or cannot.
    pub fn cancelled(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        self.stopped(wire);
        self.hear_workload(wire)
    }

    /// A catalogue came, asked for or not.
    pub fn surveyed(&mut self, surveyed: Result<Arc<Classifier>, String>, wire: &mut Wire) -> Result<(), Fatal> {
        match surveyed {
            Ok(classifier) => {
                let is_awaited = self.freshness.came(classifier.definitions());
                self.surveyed = classifier;
                self.state.path.pend(false);
                self.classifier = self.by_path();
                self.shields.clear();
                if !is_awaited {
                    return Ok(());
                }
                self.resume(None, wire)?;
            }
            Err(reason) => {
                self.freshness.failed();
                self.resume(Some(reason), wire)?;
            }
        }
        if std::mem::take(&mut self.is_held_back) {
            self.hear_server(wire)?;
            self.go_on(wire)?;
        }
        self.hear_workload(wire)
    }

    /// That side will send nothing more.
    pub fn closed(&mut self, side: Side, wire: &mut Wire) {
        if side == Side::Downstream && self.from_workload.count == 0 {
            wire.tell_server(write::terminate());
        }
        self.end(wire);
    }

    /// The gate ends the session.
    pub fn terminate(&mut self, denial: &Denial, wire: &mut Wire) {
        let spoken = reply::denied(denial, reply::Severity::Fatal, reply::ENDED);
        self.say_last(spoken, wire);
    }

    /// Says why the session ends, where a message may begin.
    pub fn say_last(&mut self, spoken: Bytes, wire: &mut Wire) {
        wire.release_up();
        if self.from_server.count == 0 {
            wire.tell_workload(spoken);
        }
        if self.from_workload.count == 0 {
            wire.tell_server(write::terminate());
        }
        self.end(wire);
    }

    /// Whether the workload is not to be heard before the server answers; `unread` bytes of it wait.
    ///
    /// Data that is copied in is always heard: the server waits for it.
    pub fn is_full(&self, unread: usize) -> bool {
        let is_waiting = self.waiting.is_some() || self.in_flight.is_some();
        self.ledger.is_full() || self.copy_in.is_none() && (self.is_laden() || is_waiting && unread > PENDING_MAX / 2)
    }

    /// Whether so much is held that answers have to come first, which give some of it back.
    fn is_laden(&self) -> bool {
        self.ledger.is_laden() && !self.ledger.is_settled()
    }

    /// Has the catalogue read again.
    fn survey(&mut self, wire: &mut Wire) {
        self.freshness.asked(self.surveyed.definitions());
        wire.want(Output::Survey { database: self.database.to_string() });
    }

    fn end(&mut self, wire: &mut Wire) {
        if !std::mem::replace(&mut self.is_over, true) {
            wire.want(Output::Close);
        }
    }

    /// How the answer to what was just permitted has to be masked.
    fn shield(
        &mut self,
        classified: &Arc<Classified>,
        obligations: &Arc<crate::policy::Obligations>,
    ) -> Option<Arc<Shield>> {
        if obligations.masks.is_empty() {
            return None;
        }
        let known = self
            .shields
            .iter()
            .find(|(known, shield)| Arc::ptr_eq(known, classified) && shield.serves(obligations, &self.classifier));
        let shield = match known {
            Some((_, shield)) => shield.clone(),
            None => {
                let suspect = self.settings_are_suspect;
                let shield = Shield::new(&self.masker, obligations, &self.classifier, classified, suspect)?;
                if self.shields.len() >= SHIELDS_MAX {
                    self.shields.remove(0);
                }
                self.shields.push((classified.clone(), shield.clone()));
                shield
            }
        };
        self.note_shield(&shield);
        Some(shield)
    }

    /// Takes note of a shield under which the server may speak from now on.
    ///
    /// While answers are awaited, a stricter one before it stays: nobody knows yet which of them an error is about.
    fn note_shield(&mut self, shield: &Arc<Shield>) {
        let is_weaker = self.last_shield.as_ref().is_some_and(|last| last.is_sensitive() && !shield.is_sensitive());
        if !is_weaker || self.ledger.is_settled() {
            self.last_shield = Some(shield.clone());
        }
    }
}
