//! Answers that are held to limits.
//!
//! An answer that goes beyond its limit is cut: the workload reads the rows up to there and then an error, the
//! server is told to stop, and whatever else it says of that answer is dropped. So that the session is left as
//! after any other error, nothing but Sync is sent behind a request with limits before it is answered.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Conversation, Skip,
    running::{Expected, Running, Way},
    watch::{Meter, Watch, stopped},
};
use crate::{
    gate::Denial,
    policy::{Bound, Limits, Obligations, RuleId},
    protocol::{
        Output,
        postgres::{
            cancel::Lease,
            codec::{
                backend::{Status, Tag},
                frontend, write,
            },
            reply::{Fatal, POISON, POISON_NAME},
            wire::Wire,
        },
    },
    request::{Footprint, sql},
    sql::{Classified, Statement, StatementKind},
};

/// `query_canceled`.
const CANCELLED: &[u8] = b"57014";
/// For the server to stop what it was told to stop; then the session ends.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// A request with limits that the server works on; there is at most one.
#[derive(Debug)]
pub struct InFlight {
    /// Whether the Sync behind it may be sent before it is answered.
    may_sync: bool,
    time: Option<Bound<Duration>>,
    is_overdue: bool,
    is_answered: bool,
    /// Whether the server was told to stop, so that only waiting is left.
    is_stopping: bool,
    /// Whether a cancel request is under way, which must not meet the next request.
    is_cancelling: bool,
}

impl Conversation {
    /// What is counted of the answer to a request with limits.
    pub(super) fn watch(
        &self,
        classified: &Classified,
        obligations: &Arc<Obligations>,
        own: Option<Arc<Meter>>,
    ) -> Option<Watch> {
        if obligations.limits.is_empty() {
            return None;
        }
        let cursors = classified.statements.iter().filter_map(|statement| match &statement.kind {
            StatementKind::Fetch { name } => self.cursors.get(name).cloned(),
            _ => None,
        });
        let meters = std::iter::once(own.unwrap_or_default()).chain(cursors).collect();
        Some(Watch::new(obligations.clone(), meters))
    }

    /// Why this request cannot be held to its limits; then it is refused.
    pub(super) fn unlimitable(&self, classified: &Classified, limits: &Limits, way: Way) -> Option<Denial> {
        let refused = |rule: &RuleId, message: &str, hint: &str| {
            let (message, hint) = (message.to_owned(), hint.to_owned());
            Some(Denial { message, rule: Some(rule.clone()), hint, reference: String::new() })
        };
        let of_answer =
            limits.rows.as_ref().map(|bound| &bound.rule).or(limits.bytes.as_ref().map(|bound| &bound.rule));
        if let Some(rule) = of_answer
            && writes(&classified.footprint)
            && (classified.statements.len() != 1 || classified.statements.iter().any(answers))
        {
            let message = "its answer is limited, and what it writes cannot be undone once the answer is too long";
            return refused(rule, message, "leave RETURNING out, and send each statement by itself");
        }
        if let Some(rule) = of_answer
            && way == Way::Simple
            && self.executes_in_batch > 0
        {
            let message = "its answer is limited, and statements before it in the same batch could not be undone";
            return refused(rule, message, "send Sync before it");
        }
        if let Some(bound) = &limits.time
            && self.lease.is_none()
        {
            let message = "its time is limited, and the server gave out no key to stop it by";
            return refused(&bound.rule, message, "connect to the server itself, not to a pooler before it");
        }
        None
    }

    /// A request with limits is about to be sent.
    pub(super) fn begin_limited(&mut self, watch: Option<&Watch>, way: Way, wire: &mut Wire) {
        let Some(watch) = watch else { return };
        let time = watch.limits().time.clone();
        if let Some(bound) = &time {
            wire.want(Output::Alarm(Some(bound.most)));
        }
        // A Sync commits what the batch did before: that may have to be undone.
        let may_sync = way == Way::Extended && self.executes_in_batch == 0;
        self.in_flight = Some(InFlight {
            may_sync,
            time,
            is_overdue: false,
            is_answered: false,
            is_stopping: false,
            is_cancelling: false,
        });
    }

    /// Whether this message has to wait for the answer to a request with limits.
    pub(super) fn is_behind_limited(&self, tag: frontend::Tag) -> bool {
        let Some(in_flight) = &self.in_flight else { return false };
        match tag {
            frontend::Tag::Flush
            | frontend::Tag::Terminate
            | frontend::Tag::CopyData
            | frontend::Tag::CopyDone
            | frontend::Tag::CopyFail => false,
            frontend::Tag::Sync => in_flight.is_answered || !in_flight.may_sync,
            frontend::Tag::Query
            | frontend::Tag::Parse
            | frontend::Tag::Bind
            | frontend::Tag::Describe
            | frontend::Tag::Execute
            | frontend::Tag::Close
            | frontend::Tag::FunctionCall => true,
        }
    }

    /// A Sync was sent: one is enough, for a failure that is made late has to come before the next.
    pub(super) fn note_sync(&mut self) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.may_sync = false;
        }
    }

    /// Has the server send its answers, which it keeps back within a batch.
    pub(super) fn have_answered(&mut self, wire: &mut Wire) {
        if self.is_batch_open && !self.ledger.is_settled() && !std::mem::replace(&mut self.is_flushed, true) {
            wire.tell_server(write::flush());
        }
        wire.release_down();
    }

    /// The answer at the front goes beyond a limit: the workload is told, and the server stopped.
    pub(super) fn cut(&mut self, error: Bytes, wire: &mut Wire) {
        if let Some(watch) = self.ledger.running().and_then(|running| running.watch.as_mut()) {
            watch.cut();
        }
        wire.tell_workload(error);
        self.must_fail = true;
        self.stop(wire);
    }

    /// Time is over: for the running request, or for the server to stop.
    pub(super) fn time_over(&mut self, wire: &mut Wire) -> Result<(), Fatal> {
        match &mut self.in_flight {
            None => Ok(()),
            Some(in_flight) if in_flight.is_stopping => {
                Err(Fatal::upstream("57014", format!("the server did not stop within {} s", STOP_TIMEOUT.as_secs())))
            }
            Some(in_flight) => {
                in_flight.is_overdue = true;
                self.stop(wire);
                Ok(())
            }
        }
    }

    /// The error in place of the server's, where it was told to stop because time was over.
    pub(super) fn overdue(&self, sqlstate: &[u8]) -> Option<Bytes> {
        let in_flight = self.in_flight.as_ref().filter(|in_flight| in_flight.is_overdue && sqlstate == CANCELLED)?;
        let bound = in_flight.time.as_ref()?;
        let problem = format!("it ran longer than {} s", bound.most.as_secs());
        Some(stopped("57014", &bound.rule, &problem, "The statement has had no effect.", "ask for less at once"))
    }

    fn stop(&mut self, wire: &mut Wire) {
        // Within a batch the server keeps the end of its answer back.
        self.have_answered(wire);
        let Some(in_flight) = &mut self.in_flight else { return };
        in_flight.is_stopping = true;
        if let Some(request) = self.lease.as_ref().and_then(Lease::request) {
            in_flight.is_cancelling = true;
            wire.want(Output::Cancel(request));
        }
        wire.want(Output::Alarm(Some(STOP_TIMEOUT)));
    }

    /// The server was told to stop, or could not be told.
    pub(super) fn stopped(&mut self, wire: &mut Wire) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.is_cancelling = false;
        }
        self.end_limited(wire);
    }

    /// The request with limits is answered.
    pub(super) fn answered_limited(&mut self, wire: &mut Wire) {
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.is_answered = true;
        }
        self.end_limited(wire);
    }

    /// Lets the workload go on once no cancel request and no failure is under way any more.
    pub(super) fn end_limited(&mut self, wire: &mut Wire) {
        let is_over = |in_flight: &InFlight| in_flight.is_answered && !in_flight.is_cancelling;
        let has_failed = !self.must_fail || self.ledger.is_settled();
        if self.in_flight.as_ref().is_some_and(is_over) && has_failed {
            self.in_flight = None;
            self.must_fail = false;
            wire.want(Output::Alarm(None));
        }
    }

    /// Whether what the server says is of an answer that was cut.
    pub(super) fn is_cut(&mut self) -> bool {
        self.ledger.running().is_some_and(|running| running.is_cut())
    }

    /// One more message of an answer that was cut.
    pub(super) fn after_cut(&mut self, tag: Tag, total: usize, wire: &mut Wire) -> Result<(), Fatal> {
        wire.drop_up(total);
        let is_execute = matches!(self.ledger.front(), Some(Expected::Execute(_)));
        match tag {
            Tag::CommandComplete | Tag::EmptyQuery | Tag::PortalSuspended if is_execute => {
                self.ledger.pop();
                if self.ledger.is_settled() {
                    // The server has not failed, and must not go on as if nothing had happened.
                    wire.tell_server(write::parse(POISON_NAME, POISON));
                    self.skip = Skip::ToSync;
                    self.ledger.expect(Expected::Poison(Bytes::new()))?;
                }
                self.answered_limited(wire);
            }
            Tag::Error if is_execute => {
                if !self.ledger.fail_batch() && self.skip == Skip::Nothing {
                    self.skip = Skip::ToSync;
                }
                self.answered_limited(wire);
            }
            _ => {}
        }
        Ok(())
    }

    /// The end of a batch in which an answer was cut, and the server has not failed: it does so now, so that
    /// the transaction is where the workload believes it. True when the message was taken.
    pub(super) fn fail_late(&mut self, status: Status, total: usize, wire: &mut Wire) -> Result<bool, Fatal> {
        if !self.must_fail || status != Status::InTransaction {
            return Ok(false);
        }
        self.must_fail = false;
        wire.drop_up(total);
        wire.tell_server(write::query(POISON));
        self.ledger.expect(Expected::Query(Running::poison(Bytes::new())))?;
        Ok(true)
    }
}

/// Whether rows or COPY data come back.
fn answers(statement: &Statement) -> bool {
    statement.returns_rows || statement.kind == StatementKind::CopyOut
}

/// Whether anything may be changed that a transaction would undo: whatever is not known to change nothing.
fn writes(footprint: &Footprint) -> bool {
    use sql::Operation as Sql;
    footprint.sql().any(|access| {
        !matches!(access.operation, Sql::Connect | Sql::Select | Sql::CopyOut | Sql::Lock | Sql::Call | Sql::Set)
    })
}
