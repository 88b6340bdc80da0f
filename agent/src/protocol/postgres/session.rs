//! A session from the first byte to the last, as a state machine.

use std::sync::Arc;

use super::{
    cancel::{Cancelling, Key},
    classify,
    codec::{STARTUP_MAX, write},
    conversation::Conversation,
    login::{self, Login, Progress},
    reply::{self, Fatal, Severity},
    startup::{Greeted, Greeting, Startup},
    wire::Wire,
};
use crate::{
    gate::{Denial, Verdict},
    protocol::{Input, Opening, Output, ProtocolError, Session, Side},
    sql::Classifier,
};

/// `invalid_authorization_specification`, for a login that the gate denies.
const LOGIN_DENIED: &str = "28000";

/// `sqlclient_unable_to_establish_sqlconnection`.
const UNREACHABLE: &str = "08001";

const UNWANTED_TLS: &str = "TLS was set up that nobody asked for";

/// One PostgreSQL session.
pub struct PostgresSession {
    opening: Opening,
    wire: Wire,
    phase: Phase,
}

/// Where a session stands. The order is that of time.
enum Phase {
    Greeting(Greeting),
    /// The gate is asked whether this workload may log in.
    Asking(Startup),
    Login(Box<Login>),
    /// The server is ready; the catalogue is awaited before the workload may say anything.
    Surveying(Box<Login>, super::codec::backend::Status),
    Talking(Box<Conversation>),
    Cancelling(Cancelling),
    Over,
}

impl PostgresSession {
    pub fn new(opening: Opening) -> Self {
        let greeting = if opening.destination.is_unix() { Greeting::in_the_clear() } else { Greeting::default() };
        Self { opening, wire: Wire::default(), phase: Phase::Greeting(greeting) }
    }

    fn take(&mut self, input: Input) -> Result<(), Fatal> {
        match input {
            Input::Bytes(side, bytes) => {
                if !matches!(self.phase, Phase::Over) {
                    self.wire.inbox(side).push(bytes);
                }
                self.advance(side)
            }
            Input::Closed(side) => {
                self.closed(side);
                Ok(())
            }
            Input::Unreachable => {
                self.say_last(&Fatal::upstream(UNREACHABLE, "the gate cannot reach the server"));
                Ok(())
            }
            Input::Accepted(_) => self.accepted(),
            Input::Connected(binding) => self.connected(binding),
            Input::Verdict(verdict) => self.answered(verdict),
            Input::Surveyed(surveyed) => self.surveyed(surveyed),
            Input::Alarm => self.in_conversation(Conversation::alarmed),
            Input::Cancelled => self.in_conversation(Conversation::cancelled),
            Input::Terminate(denial) => {
                self.terminate(&denial);
                Ok(())
            }
        }
    }

    fn advance(&mut self, side: Side) -> Result<(), Fatal> {
        match (&mut self.phase, side) {
            (Phase::Talking(conversation), _) => conversation.advance(side, &mut self.wire),
            (Phase::Greeting(greeting), Side::Downstream) => match greeting.advance(&mut self.wire) {
                Ok(Greeted::NeedMore) => self.check_early_bytes(),
                Ok(Greeted::Startup(startup)) => {
                    self.wire.want(Output::Ask(classify::login(&startup.database, &startup.user)));
                    self.phase = Phase::Asking(startup);
                    self.check_early_bytes()
                }
                Ok(Greeted::Cancel { process, key }) => {
                    self.cancel(Key { process, secret: key });
                    Ok(())
                }
                Err(error) => {
                    let sqlstate = error.sqlstate().into();
                    Err(Fatal { sqlstate, message: error.to_string(), by: Some(Side::Downstream) })
                }
            },
            (Phase::Login(login), Side::Upstream) => match login.advance(&self.opening, &mut self.wire)? {
                Progress::Pending => Ok(()),
                Progress::Done(status) => {
                    self.wire.want(Output::Survey { database: login.startup().database.clone() });
                    if let Phase::Login(login) = std::mem::replace(&mut self.phase, Phase::Over) {
                        self.phase = Phase::Surveying(login, status);
                    }
                    Ok(())
                }
            },
            (Phase::Cancelling(cancelling), Side::Upstream) => {
                cancelling.advance(&mut self.wire);
                Ok(())
            }
            (Phase::Asking(_) | Phase::Login(_) | Phase::Surveying(..) | Phase::Cancelling(_), Side::Downstream) => {
                self.check_early_bytes()
            }
            (Phase::Greeting(_) | Phase::Asking(_), Side::Upstream) => {
                Err(Fatal::broken(Side::Upstream, "the server spoke before anything was asked"))
            }
            (Phase::Surveying(..), Side::Upstream) => self.check_server_bytes(),
            (Phase::Over, _) => Ok(()),
        }
    }

    /// Before the session has begun, a workload has no reason to send much.
    fn check_early_bytes(&self) -> Result<(), Fatal> {
        if self.wire.down.unread().len() > 2 * STARTUP_MAX {
            return Err(Fatal::broken(Side::Downstream, "too much was sent before the login was answered"));
        }
        Ok(())
    }

    fn check_server_bytes(&self) -> Result<(), Fatal> {
        if self.wire.up.unread().len() > super::codec::REPLY_MAX {
            return Err(Fatal::broken(Side::Upstream, "too much was sent while the catalogue is read"));
        }
        Ok(())
    }

    fn accepted(&mut self) -> Result<(), Fatal> {
        let Phase::Greeting(greeting) = &mut self.phase else {
            return Err(Fatal::broken(Side::Downstream, UNWANTED_TLS));
        };
        greeting.secured();
        self.advance(Side::Downstream)
    }

    fn connected(&mut self, binding: Option<Vec<u8>>) -> Result<(), Fatal> {
        match &mut self.phase {
            Phase::Login(login) => login.secured(binding, &self.opening, &mut self.wire),
            Phase::Cancelling(cancelling) => {
                cancelling.secured(&mut self.wire);
                Ok(())
            }
            Phase::Greeting(_) | Phase::Asking(_) | Phase::Surveying(..) | Phase::Talking(_) | Phase::Over => {
                Err(Fatal::broken(Side::Upstream, UNWANTED_TLS))
            }
        }
    }

    fn answered(&mut self, verdict: Verdict) -> Result<(), Fatal> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Asking(startup) => match verdict {
                Verdict::Forward(_) => {
                    self.phase = Phase::Login(Box::new(Login::begin(startup, &self.opening, &mut self.wire)?));
                    Ok(())
                }
                Verdict::Block(denial) => {
                    self.wire.tell_workload(reply::denied(&denial, Severity::Fatal, LOGIN_DENIED));
                    self.wire.want(Output::Close);
                    Ok(())
                }
                // Nothing was sent before it, so that it is settled from the start.
                Verdict::Settle => {
                    self.wire.want(Output::Ask(classify::login(&startup.database, &startup.user)));
                    self.phase = Phase::Asking(startup);
                    Ok(())
                }
            },
            Phase::Talking(mut conversation) => {
                let settled = conversation.answered(verdict, &mut self.wire);
                self.phase = Phase::Talking(conversation);
                settled
            }
            phase @ (Phase::Greeting(_)
            | Phase::Login(_)
            | Phase::Surveying(..)
            | Phase::Cancelling(_)
            | Phase::Over) => {
                self.phase = phase;
                Ok(())
            }
        }
    }

    /// What only a conversation has asked for.
    fn in_conversation(&mut self, tell: fn(&mut Conversation, &mut Wire) -> Result<(), Fatal>) -> Result<(), Fatal> {
        match &mut self.phase {
            Phase::Talking(conversation) => tell(conversation, &mut self.wire),
            Phase::Greeting(_)
            | Phase::Asking(_)
            | Phase::Login(_)
            | Phase::Surveying(..)
            | Phase::Cancelling(_)
            | Phase::Over => Ok(()),
        }
    }

    fn surveyed(&mut self, surveyed: Result<Arc<Classifier>, String>) -> Result<(), Fatal> {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Surveying(login, status) => {
                let classifier = surveyed.map_err(|reason| {
                    Fatal::upstream("58000", format!("the gate could not read the database's catalogue: {reason}"))
                })?;
                let conversation = self.begin(*login, status, classifier);
                self.phase = Phase::Talking(Box::new(conversation));
                self.advance(Side::Upstream)
            }
            Phase::Talking(mut conversation) => {
                let resumed = conversation.surveyed(surveyed, &mut self.wire);
                self.phase = Phase::Talking(conversation);
                resumed
            }
            phase @ (Phase::Greeting(_) | Phase::Asking(_) | Phase::Login(_) | Phase::Cancelling(_) | Phase::Over) => {
                self.phase = phase;
                Ok(())
            }
        }
    }

    /// Lets the workload in: its own cancel key, and the word that it may begin.
    fn begin(
        &mut self,
        mut login: Login,
        status: super::codec::backend::Status,
        classifier: Arc<Classifier>,
    ) -> Conversation {
        let lease = login.take_key().map(|server| {
            let ours = login::own_key(&self.opening.seed, server.process, login.startup().has_long_keys());
            self.wire.tell_workload(write::key_data(ours.process, &ours.secret));
            self.opening.cancels.lease(ours, server, &self.opening)
        });
        self.wire.tell_workload(write::ready(status));
        let (database, path) = (login.startup().database.clone(), login.startup().path.clone());
        Conversation::new(database, path, self.opening.masker.clone(), classifier, status, lease)
    }

    fn cancel(&mut self, ours: Key) {
        let Opening { cancels, workload, target, .. } = &self.opening;
        self.phase = match Cancelling::begin(&ours, cancels, workload, target, &mut self.wire) {
            Some(cancelling) => Phase::Cancelling(cancelling),
            None => Phase::Over,
        };
    }

    fn closed(&mut self, side: Side) {
        match (std::mem::replace(&mut self.phase, Phase::Over), side) {
            (Phase::Talking(mut conversation), _) => conversation.closed(side, &mut self.wire),
            // The workload need not wait for the server to act on its cancel request.
            (phase @ Phase::Cancelling(_), Side::Downstream) => self.phase = phase,
            (Phase::Login(_) | Phase::Surveying(..), Side::Upstream) => {
                self.say_last(&Fatal::upstream("08006", "the server closed the connection during login"));
            }
            (Phase::Over, _) => {}
            (Phase::Surveying(..), Side::Downstream) => {
                self.wire.tell_server(write::terminate());
                self.wire.want(Output::Close);
            }
            (Phase::Greeting(_) | Phase::Asking(_) | Phase::Login(_) | Phase::Cancelling(_), _) => {
                self.wire.want(Output::Close);
            }
        }
    }

    fn terminate(&mut self, denial: &Denial) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Talking(mut conversation) => conversation.terminate(denial, &mut self.wire),
            // Nobody who asked for nothing is answered.
            Phase::Over | Phase::Greeting(_) => self.wire.want(Output::Close),
            Phase::Cancelling(_) => self.wire.want(Output::Close),
            Phase::Asking(_) | Phase::Login(_) | Phase::Surveying(..) => {
                self.wire.tell_workload(reply::denied(denial, Severity::Fatal, reply::ENDED));
                self.wire.want(Output::Close);
            }
        }
    }

    fn say_last(&mut self, fatal: &Fatal) {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Talking(mut conversation) => conversation.say_last(fatal.spoken(), &mut self.wire),
            _ => {
                self.wire.tell_workload(fatal.spoken());
                self.wire.want(Output::Close);
            }
        }
    }
}

impl Session for PostgresSession {
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

    fn is_full(&self) -> bool {
        matches!(&self.phase, Phase::Talking(conversation) if conversation.is_full(self.wire.down.unread().len()))
    }
}
