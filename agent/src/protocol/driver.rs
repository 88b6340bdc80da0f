//! Runs a session between two sockets: one task, both sides.
//!
//! The driver moves bytes and nothing else. It records what came from the workload before the session
//! sees it, and what goes to the workload before it is sent; it takes the session's questions to the
//! gate and brings the answers back.

mod leg;

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    time::{Sleep, sleep},
};

use super::{Input, Output, ProtocolError, Session, Side};
use crate::{
    gate::{Denial, Gate, Verdict},
    record::{ErrorEntry, Kind, Outcome, RecordError},
    request::{Estimate, Request, Standing},
    sql::Classifier,
    tls::{self, HandshakeError},
    upstream::{Dialler, UpstreamError},
};
use leg::{Leg, Read};

/// From the accepted connection to the session's first question; slower clients are closed.
pub const OPENING_TIMEOUT: Duration = Duration::from_secs(30);
/// For the last bytes to a peer that does not read any more.
pub const CLOSING_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes from the workload that are kept while a question is open, only to notice that it leaves.
pub const HELD_MAX: usize = 256 * 1024;
/// Bytes that may wait to be written to one side before the other side is read no further.
pub const UNSENT_MAX: usize = 256 * 1024;

/// What one session needs beside its sockets.
pub struct Drive {
    pub gate: Arc<Gate>,
    pub dialler: Arc<Dialler>,
    pub authority: Arc<tls::Authority>,
    /// Application protocols that TLS towards the workload agrees to (RFC 7301).
    pub alpn: &'static [&'static str],
    pub surveys: Arc<dyn Survey>,
    /// What the rest of the daemon tells this session.
    pub signals: mpsc::UnboundedReceiver<Signal>,
}

/// News for a running session. Only people and policy cause them, so their queue stays short.
#[derive(Debug)]
pub enum Signal {
    /// Another policy is in force: judge again.
    Policy,
    /// The surveyed database has changed.
    Catalogue(Arc<Classifier>),
    /// Take back the question that waits for a person.
    Interrupt,
    /// End with this denial, spoken in the protocol.
    End(Denial),
}

/// What one session has done at its target's server beside its own connection.
pub trait Survey: Send + Sync {
    /// The catalogue; `fresh`: read from now on, not from memory. Newer ones come as [`Signal::Catalogue`].
    fn survey(&self, database: String, fresh: bool) -> Pin<Box<dyn Future<Output = Surveyed> + Send + '_>>;

    /// What the server's planner expects of a request; nothing where it does not say in time.
    fn estimate(&self, request: &Request) -> Pin<Box<dyn Future<Output = Option<Estimate>> + Send + '_>>;

    /// Sends `message` on a connection of its own, and returns once the server has closed it.
    fn cancel(&self, message: Bytes) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What a survey brings back.
pub type Surveyed = Result<Arc<Classifier>, String>;

/// Why a session ended, when not by itself.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    #[error("{0}")]
    Protocol(#[from] ProtocolError),
    #[error("the record failed: {0}")]
    Record(#[from] RecordError),
    #[error("{side:?} failed: {source}")]
    Socket { side: Side, source: io::Error },
    #[error("no TLS on {side:?}: {reason}")]
    Tls { side: Side, reason: String },
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    #[error("the workload asked for nothing within {} s", OPENING_TIMEOUT.as_secs())]
    Silent,
}

impl DriveError {
    /// Who erred, in the record's words.
    fn by(&self) -> &'static str {
        match self {
            Self::Protocol(ProtocolError { by, .. }) | Self::Socket { side: by, .. } | Self::Tls { side: by, .. } => {
                match by {
                    Side::Downstream => "workload",
                    Side::Upstream => "server",
                }
            }
            Self::Silent => "workload",
            Self::Upstream(_) => "server",
            Self::Record(_) => "gate",
        }
    }
}

/// Runs `session` until one side is done; says how it ended.
pub async fn drive(session: Box<dyn Session>, downstream: tls::Stream, drive: Drive) -> Outcome {
    let mut driver = Driver::new(session, downstream, drive);
    match driver.run().await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::info!(session = %driver.drive.gate.recorder().id(), %error, "session broke");
            // A broken record cannot take the entry that says so; the log above has it.
            let entry = ErrorEntry { by: error.by().into(), what: error.to_string() };
            let _ = driver.drive.gate.recorder().append_json(Kind::Error, &entry);
            if matches!(error, DriveError::Upstream(_)) {
                // The session says so in its protocol; it has no other error to add.
                let _ = driver.hand(Input::Unreachable);
            }
            driver.say_goodbye().await;
            Outcome::Failed
        }
    }
}

struct Driver {
    session: Box<dyn Session>,
    downstream: Leg,
    upstream: Option<Leg>,
    drive: Drive,
    asked: Option<Pin<Box<dyn Future<Output = Verdict> + Send>>>,
    surveying: Option<Pin<Box<dyn Future<Output = Surveyed> + Send>>>,
    surveyed: bool,
    cancelling: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Runs out at the time that the session asked for.
    alarm: Option<Pin<Box<Sleep>>>,
    /// The session's first question: what it may be at all.
    opening: Option<Request>,
    /// Runs out when no question has been asked.
    patience: Option<Pin<Box<Sleep>>>,
    held: VecDeque<Bytes>,
    held_bytes: usize,
    closing: bool,
    outcome: Outcome,
}

/// What wakes the driver.
enum Event {
    Read(Side, Read),
    Verdict(Verdict),
    Surveyed(Surveyed),
    Signal(Signal),
    Alarm,
    Cancelled,
    Impatient,
}

impl Driver {
    fn new(session: Box<dyn Session>, downstream: tls::Stream, drive: Drive) -> Self {
        Self {
            session,
            downstream: Leg::new(downstream),
            upstream: None,
            drive,
            asked: None,
            surveying: None,
            surveyed: false,
            cancelling: None,
            alarm: None,
            opening: None,
            patience: Some(Box::pin(sleep(OPENING_TIMEOUT))),
            held: VecDeque::new(),
            held_bytes: 0,
            closing: false,
            outcome: Outcome::Closed,
        }
    }

    async fn run(&mut self) -> Result<Outcome, DriveError> {
        loop {
            self.obey().await?;
            if self.closing {
                // Bounded: a peer that reads no more cannot keep its session.
                self.shutdown().await;
                return Ok(self.outcome);
            }
            let event = poll_fn(|cx| self.poll_event(cx)).await?;
            self.take(event).await?;
        }
    }

    /// Does what the session wants, in order.
    async fn obey(&mut self) -> Result<(), DriveError> {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Send(Side::Downstream, bytes) => {
                    self.drive.gate.recorder().write(Kind::ToWorkload, &bytes).await?;
                    self.downstream.push(bytes);
                }
                Output::Send(Side::Upstream, bytes) => self.upstream().await?.push(bytes),
                Output::Record(bytes) => {
                    self.drive.gate.recorder().write(Kind::FromWorkload, &bytes).await?;
                }
                Output::Ask(request) => self.ask(request),
                Output::Survey { database } => self.survey(database),
                Output::Alarm(after) => self.alarm = after.map(|after| Box::pin(sleep(after))),
                Output::Cancel(message) => self.cancel(message),
                Output::AcceptTls(unread) => self.accept_tls(unread).await?,
                Output::ConnectTls(host) => self.connect_tls(host.as_deref()).await?,
                Output::Close => self.closing = true,
            }
        }
        Ok(())
    }

    async fn take(&mut self, event: Event) -> Result<(), DriveError> {
        match event {
            Event::Read(Side::Downstream, Read::Bytes(bytes)) if self.is_waiting() => {
                self.held_bytes += bytes.len();
                self.held.push_back(bytes);
                Ok(())
            }
            Event::Read(Side::Downstream, Read::Bytes(bytes)) => self.hear(bytes).await,
            Event::Read(Side::Upstream, Read::Bytes(bytes)) => self.hand(Input::Bytes(Side::Upstream, bytes)),
            Event::Read(side, Read::End) => {
                // A workload that leaves takes its question with it.
                if side == Side::Downstream {
                    self.withdraw("the workload has left").await?;
                }
                self.hand(Input::Closed(side))
            }
            Event::Verdict(verdict) => {
                if matches!(verdict, Verdict::Block(_)) && self.upstream.is_none() {
                    self.outcome = Outcome::Denied;
                }
                self.hand(Input::Verdict(verdict))?;
                self.release().await
            }
            Event::Surveyed(surveyed) => {
                self.hand(Input::Surveyed(surveyed))?;
                self.release().await
            }
            Event::Signal(Signal::Catalogue(classifier)) => self.hand(Input::Surveyed(Ok(classifier))),
            Event::Signal(Signal::Policy) => {
                match self.opening.as_ref().and_then(|opening| self.drive.gate.rejudge(opening)) {
                    Some(denial) => {
                        self.withdraw("the policy has changed").await?;
                        self.end(denial)
                    }
                    None => Ok(()),
                }
            }
            Event::Signal(Signal::Interrupt) => match self.withdraw("cancelled by the workload").await? {
                Some(denial) => {
                    self.hand(Input::Verdict(Verdict::Block(denial)))?;
                    self.release().await
                }
                None => Ok(()),
            },
            Event::Signal(Signal::End(denial)) => {
                self.withdraw("the gate ended the session").await?;
                self.end(denial)
            }
            Event::Alarm => self.hand(Input::Alarm),
            Event::Cancelled => self.hand(Input::Cancelled),
            Event::Impatient => Err(DriveError::Silent),
        }
    }

    /// Bytes from the workload: into the record first, then to the session.
    async fn hear(&mut self, bytes: Bytes) -> Result<(), DriveError> {
        if !self.session.keeps_record() {
            self.drive.gate.recorder().write(Kind::FromWorkload, &bytes).await?;
        }
        self.hand(Input::Bytes(Side::Downstream, bytes))
    }

    /// Takes back a question that waits for a person. `None`: no person was asked.
    async fn withdraw(&mut self, why: &str) -> Result<Option<Denial>, DriveError> {
        let withdrawn = self.drive.gate.withdraw(why).await?;
        if withdrawn.is_some() {
            self.asked = None;
        }
        Ok(withdrawn)
    }

    fn end(&mut self, denial: Denial) -> Result<(), DriveError> {
        self.outcome = Outcome::Terminated;
        self.hand(Input::Terminate(denial))
    }

    fn hand(&mut self, input: Input) -> Result<(), DriveError> {
        Ok(self.session.handle(input)?)
    }

    /// Hands over what came while a question was open, as far as no new question is asked.
    async fn release(&mut self) -> Result<(), DriveError> {
        while !self.held.is_empty() {
            self.obey().await?;
            if self.is_waiting() {
                return Ok(());
            }
            let Some(bytes) = self.held.pop_front() else { return Ok(()) };
            self.held_bytes -= bytes.len();
            self.hear(bytes).await?;
        }
        Ok(())
    }

    fn is_waiting(&self) -> bool {
        self.asked.is_some() || self.surveying.is_some()
    }

    fn ask(&mut self, request: Request) {
        self.patience = None;
        self.opening.get_or_insert_with(|| request.clone());
        let (gate, surveys) = (self.drive.gate.clone(), self.drive.surveys.clone());
        self.asked = Some(Box::pin(async move {
            if !gate.wants_estimate(&request) {
                return gate.check(request).await;
            }
            let estimate = surveys.estimate(&request).await;
            let standing = Standing { estimate, ..request.standing.clone() };
            gate.check(Request { standing, ..request }).await
        }));
    }

    fn cancel(&mut self, message: Bytes) {
        let surveys = self.drive.surveys.clone();
        self.cancelling = Some(Box::pin(async move { surveys.cancel(message).await }));
    }

    fn survey(&mut self, database: String) {
        let fresh = std::mem::replace(&mut self.surveyed, true);
        let surveys = self.drive.surveys.clone();
        self.surveying = Some(Box::pin(async move { surveys.survey(database, fresh).await }));
    }

    async fn upstream(&mut self) -> Result<&mut Leg, DriveError> {
        if self.upstream.is_none() {
            let stream = self.drive.dialler.dial().await?;
            self.upstream = Some(Leg::new(stream.into()));
        }
        self.upstream.as_mut().ok_or(DriveError::Silent)
    }

    async fn accept_tls(&mut self, unread: Bytes) -> Result<(), DriveError> {
        let failed = |error: HandshakeError| DriveError::Tls { side: Side::Downstream, reason: error.to_string() };
        let lost = |source| DriveError::Socket { side: Side::Downstream, source };
        self.downstream.flush(CLOSING_TIMEOUT).await.map_err(lost)?;
        let stream = self.downstream.take_stream().ok_or_else(|| lost(io::ErrorKind::NotConnected.into()))?;
        let unknown = || DriveError::Tls { side: Side::Downstream, reason: "there is none on Unix sockets".into() };
        let address = self.drive.dialler.destination.ip().ok_or_else(unknown)?;
        let acceptor = self.drive.authority.acceptor(address, self.drive.alpn);
        let stream = stream.accept(unread, &acceptor).await.map_err(failed)?;
        let asked_for = stream.server_name().map(Arc::from);
        self.downstream = Leg::new(stream);
        self.hand(Input::Accepted(asked_for))
    }

    async fn connect_tls(&mut self, host: Option<&str>) -> Result<(), DriveError> {
        let lost = |source| DriveError::Socket { side: Side::Upstream, source };
        let leg = self.upstream().await?;
        leg.flush(CLOSING_TIMEOUT).await.map_err(lost)?;
        let stream = leg.take_stream().ok_or_else(|| lost(io::ErrorKind::NotConnected.into()))?;
        let (stream, binding) = self.drive.dialler.secure(stream, host).await?;
        self.upstream = Some(Leg::new(stream));
        self.hand(Input::Connected(binding))
    }

    /// Sends what the session still had to say after an error, then closes.
    async fn say_goodbye(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Send(Side::Downstream, bytes) => {
                    // Not recorded, not sent.
                    if self.drive.gate.recorder().write(Kind::ToWorkload, &bytes).await.is_ok() {
                        self.downstream.push(bytes);
                    }
                }
                Output::Send(Side::Upstream, _) | Output::Ask(_) | Output::Survey { .. } => {}
                Output::Alarm(_) | Output::Cancel(_) | Output::Record(_) => {}
                Output::AcceptTls(_) | Output::ConnectTls(_) | Output::Close => {}
            }
        }
        self.shutdown().await;
    }

    async fn shutdown(&mut self) {
        self.downstream.close(CLOSING_TIMEOUT).await;
        if let Some(upstream) = &mut self.upstream {
            upstream.close(CLOSING_TIMEOUT).await;
        }
    }

    /// Moves bytes as far as they go without waiting, and returns the first thing worth telling.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, DriveError>> {
        poll_send(&mut self.downstream, Side::Downstream, cx)?;
        if let Some(leg) = &mut self.upstream {
            poll_send(leg, Side::Upstream, cx)?;
        }
        if let Poll::Ready(event) = self.poll_answers(cx) {
            return Poll::Ready(Ok(event));
        }
        if let Some(leg) = &mut self.upstream
            && self.downstream.unsent() < UNSENT_MAX
            && let Poll::Ready(read) = leg.poll_read(cx)
        {
            let read = read.map_err(|source| DriveError::Socket { side: Side::Upstream, source })?;
            return Poll::Ready(Ok(Event::Read(Side::Upstream, read)));
        }
        let wanted = if self.asked.is_some() || self.surveying.is_some() {
            self.held_bytes < HELD_MAX
        } else {
            self.upstream.as_ref().is_none_or(|leg| leg.unsent() < UNSENT_MAX) && !self.session.is_full()
        };
        if wanted && let Poll::Ready(read) = self.downstream.poll_read(cx) {
            let read = read.map_err(|source| DriveError::Socket { side: Side::Downstream, source })?;
            return Poll::Ready(Ok(Event::Read(Side::Downstream, read)));
        }
        Poll::Pending
    }

    fn poll_answers(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(asked) = &mut self.asked
            && let Poll::Ready(verdict) = asked.as_mut().poll(cx)
        {
            self.asked = None;
            return Poll::Ready(Event::Verdict(verdict));
        }
        if let Some(surveying) = &mut self.surveying
            && let Poll::Ready(surveyed) = surveying.as_mut().poll(cx)
        {
            self.surveying = None;
            return Poll::Ready(Event::Surveyed(surveyed));
        }
        if let Some(cancelling) = &mut self.cancelling
            && cancelling.as_mut().poll(cx).is_ready()
        {
            self.cancelling = None;
            return Poll::Ready(Event::Cancelled);
        }
        if let Some(alarm) = &mut self.alarm
            && alarm.as_mut().poll(cx).is_ready()
        {
            self.alarm = None;
            return Poll::Ready(Event::Alarm);
        }
        if let Poll::Ready(Some(signal)) = self.drive.signals.poll_recv(cx) {
            return Poll::Ready(Event::Signal(signal));
        }
        if let Some(patience) = &mut self.patience
            && patience.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Event::Impatient);
        }
        Poll::Pending
    }
}

/// Writes what waits, as far as the socket takes it now.
fn poll_send(leg: &mut Leg, side: Side, cx: &mut Context<'_>) -> Result<(), DriveError> {
    match leg.poll_send(cx) {
        Poll::Ready(Err(source)) => Err(DriveError::Socket { side, source }),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
    }
}
