//! The registry of protocols, and the contract of a session.

pub mod driver;
pub mod http;
mod inbox;
pub mod postgres;
mod wire;

#[cfg(test)]
mod laws;
#[cfg(test)]
pub(crate) mod playbook;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    credential::Credential,
    gate::{Denial, Verdict},
    mask::Masker,
    request::Request,
    sql::Classifier,
    target::{OriginalDestination, Target},
};

/// Every protocol that the gate speaks. A new one is a folder and a line here.
pub const PROTOCOLS: &[Protocol] = &[postgres::PROTOCOL, http::PROTOCOL];

/// One protocol: how it is recognised and who speaks it.
pub struct Protocol {
    /// As the configuration writes it.
    pub name: &'static str,
    /// Whether a connection's first bytes are of this protocol.
    pub detect: fn(&[u8]) -> Detection,
    /// Application protocols that TLS towards the workload agrees to (RFC 7301).
    pub alpn: &'static [&'static str],
    pub engine: Engine,
    /// Reads a recorded session back for people.
    pub transcript: fn() -> Box<dyn Transcript>,
}

/// What a connection's first bytes say.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detection {
    Yes,
    No,
    /// Too few bytes to tell.
    NeedMore,
}

/// Who runs a protocol's sessions.
pub enum Engine {
    /// A pure state machine, run by the shared driver.
    Session(fn(Opening) -> Box<dyn Session>),
}

/// All that a session is given when it opens. Nothing in it does input or output.
pub struct Opening {
    pub target: Arc<Target>,
    pub destination: OriginalDestination,
    /// `None`: the target has no credential, and what needs one fails.
    pub credential: Option<Arc<Credential>>,
    /// Tells which workload this is, so that one workload cannot cancel another's statements.
    pub workload: Arc<str>,
    /// Randomness for nonces and cancel keys, so that a session needs none of its own.
    pub seed: [u8; 32],
    pub cancels: Arc<postgres::Cancels>,
    /// Takes back the question that this session has asked, for whoever may cancel its statements.
    pub interrupt: Interrupt,
    pub masker: Arc<Masker>,
}

/// Wakes a session that waits for a person, and lets it go on without the answer.
pub type Interrupt = Arc<dyn Fn() + Send + Sync>;

/// The two ends of a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// The workload.
    Downstream,
    /// The server.
    Upstream,
}

/// One conversation as a state machine: no socket, clock, task or randomness.
pub trait Session: Send {
    /// Takes one input. After an error nothing more is handed in; what [`poll`](Self::poll) still
    /// holds (the error in the protocol's words) is sent, then both sides are closed.
    fn handle(&mut self, input: Input) -> Result<(), ProtocolError>;

    /// The next output, or `None` when there is nothing to do before the next input.
    fn poll(&mut self) -> Option<Output>;

    /// Whether it says itself what goes into the record of what the workload says ([`Output::Record`]): where that
    /// holds secrets that no record may have. Otherwise everything is recorded as it comes.
    fn keeps_record(&self) -> bool {
        false
    }

    /// Whether the workload is not to be heard for now, because too much of what it said is unanswered.
    fn is_full(&self) -> bool {
        false
    }
}

/// What happens to a session.
#[derive(Debug)]
pub enum Input {
    Bytes(Side, Bytes),
    /// That side will send nothing more.
    Closed(Side),
    /// The server cannot be reached, or TLS with it not be set up. Why is not for the workload: it stands in the log.
    Unreachable,
    /// TLS stands towards the workload, with the name of the server that it asked for (RFC 6066, section 3).
    Accepted(Option<Arc<str>>),
    /// TLS stands with the server, with the channel binding of its certificate (`tls-server-end-point`, RFC 5929).
    Connected(Option<Vec<u8>>),
    /// The answer to [`Output::Ask`].
    Verdict(Verdict),
    /// The answer to [`Output::Survey`].
    Surveyed(Result<Arc<Classifier>, String>),
    /// The time of [`Output::Alarm`] is over.
    Alarm,
    /// What [`Output::Cancel`] wanted is done, or could not be.
    Cancelled,
    /// The gate ends this session (policy changed, a person killed it, the daemon drains).
    Terminate(Denial),
}

/// What a session wants done, in order.
#[derive(Debug)]
pub enum Output {
    Send(Side, Bytes),
    /// Something that the workload said, as the record may have it; only of sessions that keep it themselves.
    Record(Bytes),
    /// May this run? Nothing else is handed in until the verdict, but bytes from upstream and
    /// [`Input::Closed`].
    Ask(Request),
    /// Wanted: what the target's database holds, at least as new as now.
    Survey {
        database: String,
    },
    /// Wanted: [`Input::Alarm`] after this time, in place of any that was wanted before; `None`: no more.
    Alarm(Option<Duration>),
    /// Wanted: these bytes sent to the server on a connection of their own, and [`Input::Cancelled`] once the server
    /// has closed it.
    Cancel(Bytes),
    /// Wanted: TLS towards the workload. Bytes that came but were not consumed belong to the handshake;
    /// they are handed back here.
    AcceptTls(Bytes),
    /// Wanted: TLS with the server, which has to prove that it is this host; `None`: any that the target's may be.
    ConnectTls(Option<Arc<str>>),
    /// Everything is said: flush and close both sides.
    Close,
}

/// What broke a session.
#[derive(Debug, thiserror::Error)]
#[error("{by:?} broke the protocol: {what}")]
pub struct ProtocolError {
    pub by: Side,
    pub what: String,
}

/// Reads recorded bytes back into lines for people.
pub trait Transcript {
    /// Takes the next recorded bytes of one direction and returns the lines that they complete.
    fn feed(&mut self, from: Side, bytes: &[u8]) -> Vec<String>;
}
