//! One captured connection, from the accepted socket to the end of its session.

use std::{net::SocketAddr, sync::Arc};

use jiff::tz::TimeZone;
use tokio::{
    net::{TcpStream, UnixStream},
    sync::mpsc,
};

use crate::{
    accept::{
        Closures, Doorway, DoorwayError, Identities, Places, Standings, Workloads,
        places::{NoPlace, Turn},
    },
    approval::Desk,
    capture::{Capture, CaptureError, Origin, canary::Canary},
    config::Targets,
    credential,
    detect::detect,
    dns,
    gate::{Asker, Denial, Gate},
    lanes::Lanes,
    live::{Live, LiveSession},
    mask::Masker,
    policy,
    principal::Principal,
    protocol::{
        Engine, Interrupt, Opening, PROTOCOLS, Protocol,
        driver::{Drive, Signal, drive},
        postgres::Cancels,
    },
    record::{ErrorEntry, Kind, Outcome, RecordError, Recorder, SessionHeader},
    socket::Socket,
    surveys::{SessionSurvey, Surveys},
    target::{SocketPath, Target, Verify},
    tls,
    upstream::{Dialler, TlsSetups},
};

/// What all connections of a daemon share.
pub struct Gatehouse {
    pub capture: Capture,
    pub canary: Canary,
    /// What is captured, but not proven.
    pub closures: Closures,
    /// What was captured where it was, and whether it is fit to pass.
    pub standings: Standings,
    /// How many connections each workload may have.
    pub places: Arc<Places>,
    pub identities: Identities,
    pub workloads: Workloads,
    pub targets: Targets,
    pub credentials: credential::Store,
    pub authority: Arc<tls::Authority>,
    pub policy: Arc<policy::Store>,
    pub time_zone: TimeZone,
    pub desk: Arc<Desk>,
    pub recorder: Recorder,
    pub surveys: Arc<Surveys>,
    pub live: Live,
    pub lanes: Lanes,
    pub masker: Arc<Masker>,
    pub dns: dns::Relay,
    pub cancels: Arc<Cancels>,
    /// The daemon's own listeners, which it never dials.
    pub listeners: Vec<SocketAddr>,
    pub setups: Arc<TlsSetups>,
}

/// Why a connection was refused before it had a session.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("it cannot be identified: {0}")]
    Capture(#[from] CaptureError),
    #[error("{path}: {source}")]
    Doorway { path: SocketPath, source: DoorwayError },
    #[error("a canary left: {0}")]
    Canary(#[from] std::io::Error),
    #[error("{0}")]
    NoPlace(#[from] NoPlace),
    #[error("no record: {0}")]
    Record(#[from] RecordError),
    #[error("no randomness: {0}")]
    Randomness(String),
}

/// Serves one accepted connection. Whatever goes wrong ends this connection alone.
pub async fn serve(stream: TcpStream, turn: Turn, gatehouse: Arc<Gatehouse>) {
    tell(admit(stream, turn, &gatehouse).await);
}

/// Serves one connection that a doorway has accepted.
pub async fn serve_doorway(stream: UnixStream, turn: Turn, doorway: Arc<Doorway>, gatehouse: Arc<Gatehouse>) {
    let admitted = match doorway.origin(&stream, &gatehouse.capture) {
        Ok(origin) => go_on(stream.into(), turn, &origin, &gatehouse).await,
        Err(error) => Err(record_intruder(&doorway, error, &gatehouse)),
    };
    tell(admitted);
}

fn tell(admitted: Result<(), Refusal>) {
    match admitted {
        Ok(()) | Err(Refusal::NoPlace(NoPlace { tell: None, .. })) => {}
        Err(refusal) => tracing::warn!(%refusal, "connection refused"),
    }
}

async fn admit(stream: TcpStream, turn: Turn, gatehouse: &Arc<Gatehouse>) -> Result<(), Refusal> {
    let origin = gatehouse.capture.origin(&stream)?;
    go_on(stream.into(), turn, &origin, gatehouse).await
}

/// Serves a connection whose origin is known.
async fn go_on(stream: Socket, turn: Turn, origin: &Origin, gatehouse: &Arc<Gatehouse>) -> Result<(), Refusal> {
    if Canary::is_destination(&origin.destination) {
        return Ok(gatehouse.canary.answer(origin, stream).await?);
    }
    let workload = match gatehouse.capture.workload(origin.cgroup_id) {
        Ok(workload) => workload,
        Err(error) => return Err(record_stranger(origin, error, gatehouse)),
    };
    let _place = match gatehouse.places.take(&workload.name) {
        Ok(place) => place,
        Err(refusal) => {
            stream.reset();
            return Err(refusal.into());
        }
    };
    drop(turn);
    let known = gatehouse.workloads.find(origin.cgroup_id, &workload);
    let principal = Arc::new(gatehouse.identities.principal(origin, &known, &workload.cgroup));
    stream.hurry();
    match gatehouse.targets.find(&origin.destination) {
        Some(target) => {
            let closed = closed(&principal, gatehouse).map(|denial| denial.message);
            converse(stream, origin, principal, target, closed, gatehouse).await
        }
        // A canary also tries what is nobody's target; that is no session. Once it has become its command, it is none.
        None if gatehouse.canary.is_expected(origin) && is_own_program(&principal) => Ok(()),
        None if origin.destination.port() == Some(dns::PORT) => {
            if let Err(error) = dns::serve(stream, &gatehouse.dns, &principal.workload).await {
                tracing::debug!(workload = %principal.workload, %error, "a DNS connection broke off");
            }
            Ok(())
        }
        None => turn_away(stream, origin, principal, gatehouse).await,
    }
}

/// What a session ends with for whose tree the gate is closed, and that of a process that is in no tree.
fn closed(principal: &Principal, gatehouse: &Gatehouse) -> Option<Denial> {
    let cgroup = principal.process.cgroup.as_ref();
    let tree = gatehouse.capture.tree_of(cgroup);
    if tree.is_none_or(|tree| gatehouse.closures.is_closed(&tree)) {
        return Some(Closures::denial());
    }
    gatehouse.standings.refusal(cgroup).map(|_| Standings::denial())
}

/// Whether the connecting process still runs this program.
fn is_own_program(principal: &Principal) -> bool {
    std::env::current_exe().is_ok_and(|own| principal.process.executable.as_deref() == Some(own.as_path()))
}

/// A captured process of no known workload: the attempt is recorded, and that is all.
fn record_stranger(origin: &Origin, error: CaptureError, gatehouse: &Gatehouse) -> Refusal {
    record_refused(origin.destination.to_string(), error.into(), gatehouse)
}

/// A process that came through a workload's doorway and is none of its own.
fn record_intruder(doorway: &Doorway, source: DoorwayError, gatehouse: &Gatehouse) -> Refusal {
    let refusal = Refusal::Doorway { path: doorway.path().clone(), source };
    record_refused(doorway.path().to_string(), refusal, gatehouse)
}

fn record_refused(destination: String, refusal: Refusal, gatehouse: &Gatehouse) -> Refusal {
    let header = SessionHeader {
        principal: None,
        target: None,
        protocol: None,
        destination,
        upstream: None,
        policy_generation: gatehouse.policy.current().generation(),
    };
    match gatehouse.recorder.begin(&header) {
        Ok(recorder) => {
            // A broken record cannot take the entry that says so; the log has it.
            let _ = recorder.append_json(Kind::Error, &ErrorEntry { by: "workload".into(), what: refusal.to_string() });
            recorder.end(Outcome::Denied);
            refusal
        }
        Err(error) => error.into(),
    }
}

/// A destination that nobody declared: refused in the client's own protocol where it is known.
async fn turn_away(
    stream: Socket,
    origin: &Origin,
    principal: Arc<Principal>,
    gatehouse: &Arc<Gatehouse>,
) -> Result<(), Refusal> {
    let reason = format!("no target is declared for {}", origin.destination);
    let protocol = match &stream {
        Socket::Tcp(stream) => detect(stream).await,
        // A doorway is made for a declared target only.
        Socket::Unix(_) => None,
    };
    let target = Arc::new(undeclared(protocol));
    if protocol.is_some() {
        return converse(stream, origin, principal, target, Some(reason), gatehouse).await;
    }
    let header = header(origin, &principal, &target, gatehouse);
    let recorder = gatehouse.recorder.begin(&header)?;
    tracing::info!(session = %recorder.id(), workload = %principal.workload, reason, "connection denied");
    recorder.end(Outcome::Denied);
    stream.reset();
    Ok(())
}

/// Runs the session of a connection; with `closed`, one that nothing passes.
async fn converse(
    stream: Socket,
    origin: &Origin,
    principal: Arc<Principal>,
    target: Arc<Target>,
    closed: Option<String>,
    gatehouse: &Arc<Gatehouse>,
) -> Result<(), Refusal> {
    let recorder = gatehouse.recorder.begin(&header(origin, &principal, &target, gatehouse))?;
    let Some(protocol) = PROTOCOLS.iter().find(|protocol| *protocol.name == *target.protocol) else {
        tracing::error!(target_name = %target.name, protocol = %target.protocol, "this protocol is not spoken here");
        recorder.end(Outcome::Failed);
        stream.reset();
        return Ok(());
    };
    let credential = match target.credential.as_deref().map(|name| gatehouse.credentials.find(name)) {
        Some(Ok(credential)) => Some(credential),
        Some(Err(error)) => {
            tracing::error!(target_name = %target.name, %error, "the credential cannot be read");
            None
        }
        None => None,
    };
    let asker = Asker { principal: principal.clone(), target: target.clone(), time_zone: gatehouse.time_zone.clone() };
    let gate = Gate::new(asker, recorder.clone(), gatehouse.policy.clone(), gatehouse.desk.clone());
    let was_open = closed.is_none();
    let gate = Arc::new(match closed {
        Some(reason) => gate.closed(reason),
        None => gate,
    });
    let dialler = Arc::new(Dialler {
        target: target.clone(),
        destination: origin.destination.clone(),
        credential: credential.clone(),
        listeners: gatehouse.listeners.clone(),
        setups: gatehouse.setups.clone(),
    });
    let (sender, signals) = mpsc::unbounded_channel();
    let survey =
        SessionSurvey { surveys: gatehouse.surveys.clone(), dialler: dialler.clone(), signals: sender.clone() };
    let opening = Opening {
        target: target.clone(),
        destination: origin.destination.clone(),
        credential,
        workload: principal.workload.clone(),
        seed: seed()?,
        cancels: gatehouse.cancels.clone(),
        interrupt: interrupt(sender.clone()),
        masker: gatehouse.masker.clone(),
    };
    let place = LiveSession::new(recorder.id(), &principal, &target, origin.destination.clone(), sender.clone());
    let _live = gatehouse.live.enter(place);
    // Closed in the meantime: those who close end the sessions that have entered.
    if was_open && let Some(denial) = self::closed(&principal, gatehouse) {
        // The receiver is held by the session that begins below.
        let _ = sender.send(Signal::End(denial));
    }
    let Engine::Session(open) = protocol.engine;
    let drive_with = Drive {
        gate,
        dialler,
        authority: gatehouse.authority.clone(),
        alpn: protocol.alpn,
        surveys: Arc::new(survey),
        signals,
    };
    let session = move |stream: Socket| drive(open(opening), stream.into(), drive_with);
    let outcome = gatehouse.lanes.run(stream, session).await.unwrap_or_else(|error| {
        tracing::error!(session = %recorder.id(), %error, "session broke");
        Outcome::Failed
    });
    recorder.end(outcome);
    Ok(())
}

fn header(origin: &Origin, principal: &Principal, target: &Target, gatehouse: &Gatehouse) -> SessionHeader {
    let declared = target.is_declared();
    SessionHeader {
        principal: Some(principal.clone()),
        target: declared.then(|| target.name.clone()),
        protocol: PROTOCOLS.iter().any(|protocol| *protocol.name == *target.protocol).then(|| target.protocol.clone()),
        destination: origin.destination.to_string(),
        upstream: target.upstream.as_ref().map(ToString::to_string),
        policy_generation: gatehouse.policy.current().generation(),
    }
}

/// Stands in for the target that a connection does not have.
fn undeclared(protocol: Option<&Protocol>) -> Target {
    Target {
        name: Target::UNDECLARED.into(),
        protocol: protocol.map_or("(unknown)", |protocol| protocol.name).into(),
        addresses: Vec::new(),
        upstream: None,
        tls: Verify::Off,
        credential: None,
        labels: Default::default(),
        classes: Default::default(),
        paths: Default::default(),
    }
}

fn interrupt(signals: mpsc::UnboundedSender<Signal>) -> Interrupt {
    Arc::new(move || {
        // A session that has just ended waits for nothing.
        let _ = signals.send(Signal::Interrupt);
    })
}

fn seed() -> Result<[u8; 32], Refusal> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Refusal::Randomness(error.to_string()))?;
    Ok(seed)
}

/// Tells every session that another policy is in force.
pub fn announce_policy(gatehouse: &Gatehouse) {
    gatehouse.live.tell_all(|| Signal::Policy);
}
