//! The daemon: everything wired together, started in order, drained in order.
//!
//! Order matters. The record, the policy and the credentials stand before the first connection can be
//! captured, and the daemon says that it is ready only after a canary has been captured.

mod attempts;
mod audit;
mod datagrams;
mod doorways;
mod end;
mod event;
mod inheritance;
mod listeners;
mod lookups;
mod metrics;
mod namespaces;
mod obey;
mod prove;
mod quota;
mod ready;
mod rest;
mod roll;
mod start;
mod state;
mod takeover;
mod tend;
mod walk;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use tokio::{
    net::UnixListener,
    runtime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinSet,
};

use crate::{
    accept::{Closures, Identities, Places, Standings, Workloads},
    capture::{self, Capture, CaptureConfig, canary::Canary},
    config::{self, Config},
    connection::Gatehouse,
    control, credential, dns,
    lanes::Lanes,
    mask::Masker,
    policy,
    record::{Recorder, RecorderConfig},
    tls,
};

use attempts::{Attempts, Refused};
use audit::Audit;
use doorways::Doorways;
pub use doorways::remove as remove_doorways;
pub use end::DRAIN_TIMEOUT;
use event::Event;
use listeners::Sockets;
use namespaces::Namespaces;
pub use obey::Daemon;
use prove::Prover;
use roll::Roll;
use start::{Left, Start};
use takeover::{Handed, Predecessor};

/// How long tasks that block have to end when a daemon ends or hands over.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the daemon until it is told to stop, or until another has taken over from it.
pub fn up(config: &Config, takeover: bool) -> anyhow::Result<()> {
    let mut start = if takeover { Start::after_another(config)? } else { Start::default() };
    loop {
        let runtime = runtime::Builder::new_multi_thread().enable_all().build().context("failed to start tokio")?;
        let ended = runtime.block_on(run(config, start));
        // With it end the sessions that are left, the listeners, and the record.
        runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
        start = match ended? {
            Ended::Stopped => return Ok(()),
            Ended::Asked(predecessor) => match predecessor.hand_over() {
                Handed::Over => return Ok(()),
                Handed::Back { inheritance, reason } => Start::again(*inheritance, reason),
            },
        };
    }
}

/// Why a daemon ended well.
enum Ended {
    Stopped,
    /// Another daemon is to go on.
    Asked(Box<Predecessor>),
}

async fn run(config: &Config, start: Start) -> anyhow::Result<Ended> {
    let Start { inheritance, successor, resumed } = start;
    let mut left = inheritance.map_or_else(|| Left::claim(config), |inheritance| Ok(Left::of(inheritance)))?;
    let control = left.control.try_clone()?;
    state::make_state_dir(&config.state_dir)?;
    let list = roll::read(&config.state_dir)?;
    let (gatehouse, sockets, refused) = build(config, &list, &mut left)?;
    roll::expect(config, &list, &gatehouse);
    let gatehouse = Arc::new(gatehouse);
    let doorways = Arc::new(Doorways::new(gatehouse.clone(), config, left.doorways)?);
    let generation = gatehouse.policy.current().generation();
    let audit = Arc::new(Audit::open(gatehouse.recorder.clone(), generation).context("failed to record the start")?);
    let (handover, mut asked) = mpsc::unbounded_channel();
    let namespaces = Arc::new(Namespaces::new(gatehouse.clone(), sockets.port()?, left.namespaces)?);
    let daemon = Arc::new(Daemon {
        gatehouse: gatehouse.clone(),
        roll: Arc::new(Roll::new(gatehouse.clone(), audit.clone(), config, list)),
        namespaces: namespaces.clone(),
        doorways: doorways.clone(),
        audit: audit.clone(),
        attempts: Arc::new(Attempts::new(gatehouse.clone(), namespaces, audit.clone())),
        prover: Arc::new(Prover::new(gatehouse.clone(), audit.clone())),
        port: sockets.port()?,
        handover,
        config: config.clone(),
        started: SystemTime::now(),
    });
    audit.note(&Event::Started {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        instance: daemon.instance(),
    });

    tend::adopt_workloads(config, &gatehouse, &left.workloads)?;
    daemon.roll.examine_all().await;
    gatehouse.targets.refresh().await;
    // Held until the end: the policy directory is watched as long.
    let _watch = gatehouse.policy.watch().context("failed to watch the policy directory")?;
    let mut accepting = JoinSet::new();
    sockets.try_clone()?.serve(&gatehouse, &mut accepting)?;
    daemon.namespaces.adopt().await.context("failed to listen in the network namespaces of workloads")?;
    daemon.doorways.adopt().context("failed to listen on the Unix sockets of workloads")?;
    let mut tasks = daemon.tend(refused);
    daemon.prover.prove_all().await.context("capture is not proven, so the daemon does not start")?;
    tasks.spawn(daemon.prover.clone().keep_proving());
    if let Some(successor) = successor {
        tokio::task::spawn_blocking(|| successor.confirm()).await?.context("the takeover came to nothing")?;
        let from = left.from.unwrap_or_default();
        audit.note(&Event::TookOver { from, sockets: left.sockets });
    }
    if let Some(reason) = resumed {
        audit.note(&Event::Resumed { reason });
    }
    accepting.spawn({
        let (listener, daemon) = (UnixListener::from_std(control.try_clone()?)?, daemon.clone());
        async move { control::serve(listener, daemon).await.context("the control socket failed") }
    });
    ready::tell();
    tracing::info!(control = %config.control.display(), instance = %daemon.instance(), "ready");

    let asked = tokio::select! {
        stopped = until_stopped(&mut tasks, &mut accepting, &gatehouse) => Err(stopped),
        asked = asked.recv() => Ok(asked),
    };
    match asked {
        Ok(Some(asked)) => {
            audit.note(&Event::HandingOver { to: asked.by.clone() });
            stop_accepting(&mut accepting, &daemon).await;
            let inheritance = daemon.leave(control, sockets).await?;
            Ok(Ended::Asked(Box::new(Predecessor { successor: asked.by, stream: asked.stream, inheritance })))
        }
        Ok(None) => anyhow::bail!("nobody can ask for a takeover any more"),
        Err(stopped) => {
            daemon.stop().await;
            stopped.map(|()| Ended::Stopped)
        }
    }
}

/// Leaves who connects from now on in the backlogs, for the next daemon.
async fn stop_accepting(accepting: &mut JoinSet<anyhow::Result<()>>, daemon: &Daemon) {
    accepting.shutdown().await;
    daemon.namespaces.stop_accepting().await;
    daemon.doorways.stop_accepting().await;
}

/// Waits for a signal, or for a part that must not end.
async fn until_stopped(
    tasks: &mut JoinSet<anyhow::Result<()>>,
    accepting: &mut JoinSet<anyhow::Result<()>>,
    gatehouse: &Gatehouse,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                if let Err(error) = gatehouse.policy.reload() {
                    tracing::error!(%error, "the policy is broken; the last good one stays in force");
                }
            }
            Some(ended) = accepting.join_next() => return ended.context("a part of the daemon panicked")?,
            Some(ended) = tasks.join_next() => return ended.context("a part of the daemon panicked")?,
        }
    }
}

fn build(config: &Config, list: &roll::List, left: &mut Left) -> anyhow::Result<(Gatehouse, Sockets, Refused)> {
    let records =
        RecorderConfig { journal_bytes: config.record.journal_bytes, ..RecorderConfig::new(&config.state_dir) };
    let recorder = Recorder::open(&records).context("failed to open the record")?;
    let policy = policy::Store::open(policy::Settings {
        directory: config.policy.directory.clone(),
        state_dir: config.state_dir.clone(),
    });
    let authority = tls::Authority::open(&config.authority_dir()).context("failed to open the local CA")?;
    let masker = Masker::new(state::mask_key(&config.state_dir)?);
    let port = match &left.host {
        Some(sockets) => sockets.port()?,
        None => listeners::choose_port(config.listen.port)?,
    };
    listeners::warn_of_squatters(port);
    let capture_config = CaptureConfig {
        instance: config.instance(),
        port,
        ipv6: true,
        bpffs: capture::BPFFS.into(),
        existing: roll::existing(config, list).context("failed to find the cgroups to capture")?,
        allow_missing: config.capture.allow_missing.clone(),
    };
    let capture = Capture::load_with(&capture_config, left.lock.take());
    let mut capture = capture.context("failed to load the capture")?;
    // After the capture: a socket belongs to the cgroup that its maker was in.
    let sockets = match left.host.take() {
        Some(sockets) => sockets,
        None => listeners::listen_here(port)?,
    };
    let (dns, lookups) = dns::Relay::new(resolvers(config), config.names(), config.homes());
    let refused = Refused { kernel: capture.attempts().context("failed to read refused attempts")?, lookups };
    let gatehouse = Gatehouse {
        capture,
        canary: Canary::default(),
        closures: Closures::default(),
        standings: Standings::default(),
        places: Arc::new(Places::of_process()),
        identities: Identities::default(),
        workloads: Workloads::default(),
        targets: config::Targets::new(config.targets.clone()).with_homes(config.homes()),
        credentials: credential::Store::new(config.credentials.clone()),
        authority: Arc::new(authority),
        policy,
        time_zone: config.policy.time_zone.clone(),
        desk: Arc::default(),
        recorder,
        surveys: Arc::default(),
        live: Default::default(),
        lanes: Lanes::start().context("failed to start the threads that sessions run on")?,
        masker: Arc::new(masker),
        dns,
        cancels: Arc::default(),
        listeners: sockets.addresses()?,
        setups: Arc::default(),
    };
    Ok((gatehouse, sockets, refused))
}

fn resolvers(config: &Config) -> dns::Resolvers {
    match &config.capture.resolvers {
        Some(named) => dns::Resolvers::fixed(named),
        None => dns::Resolvers::host(),
    }
}

/// Seconds since the epoch.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
