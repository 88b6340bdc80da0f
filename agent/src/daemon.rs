//! The daemon: everything wired together, started in order, drained in order.
//!
//! Order matters. The record, the policy and the credentials stand before the first connection can be
//! captured, and the daemon says that it is ready only after a canary has been captured.

mod audit;
mod event;
mod listeners;
mod namespaces;
mod obey;
mod prove;
mod ready;
mod state;
mod tend;
mod walk;

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::{
    accept::{Closures, Identities, Workloads},
    capture::{self, Attempts, Capture, CaptureConfig, Existing, canary::Canary},
    config::{self, Config},
    connection::{Gatehouse, announce_policy},
    control, credential,
    gate::Denial,
    lanes::Lanes,
    mask::Masker,
    policy,
    record::{Recorder, RecorderConfig},
    tls,
};

use audit::Audit;
use event::Event;
use listeners::Sockets;
use namespaces::Namespaces;
pub use obey::Daemon;
use prove::Prover;

/// How long running sessions have to end when the daemon stops.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the daemon until it is told to stop.
pub async fn up(config: Config) -> anyhow::Result<()> {
    let control = claim_socket(&config.control)?;
    let (gatehouse, sockets) = build(&config)?;
    let gatehouse = Arc::new(gatehouse);
    let namespaces = Arc::new(Namespaces::new(gatehouse.clone(), sockets.port()?)?);
    let generation = gatehouse.policy.current().generation();
    let audit = Arc::new(Audit::open(gatehouse.recorder.clone(), generation).context("failed to record the start")?);
    let prover = Arc::new(Prover::new(gatehouse.clone(), audit.clone()));
    let daemon = Arc::new(Daemon {
        gatehouse: gatehouse.clone(),
        namespaces: namespaces.clone(),
        audit: audit.clone(),
        prover: prover.clone(),
        config: config.clone(),
        started: SystemTime::now(),
    });
    let version = env!("CARGO_PKG_VERSION").to_owned();
    audit.note(&Event::Started { version, pid: std::process::id(), instance: daemon.instance() });

    tend::adopt_workloads(&config, &gatehouse)?;
    gatehouse.targets.refresh().await;
    // Held until the end: the policy directory is watched as long.
    let _watch = gatehouse.policy.watch().context("failed to watch the policy directory")?;
    let mut tasks = JoinSet::new();
    sockets.serve(&gatehouse, &mut tasks)?;
    namespaces.adopt().await.context("failed to listen in the network namespaces of workloads")?;
    tasks.spawn(follow_policy(gatehouse.clone(), audit.clone()));
    tasks.spawn(tend::tend_namespaces(namespaces));
    tasks.spawn(tend::tend_workloads(gatehouse.clone(), audit.clone()));
    tasks.spawn(tend::refresh_targets(gatehouse.clone()));
    prover.prove_all().await.context("capture is not proven, so the daemon does not start")?;
    tasks.spawn(async move { prover.keep_proving().await });
    tasks.spawn({
        let daemon = daemon.clone();
        async move { control::serve(control, daemon).await.context("the control socket failed") }
    });
    ready::tell();
    tracing::info!(control = %config.control.display(), instance = %daemon.instance(), "ready");

    let ended = until_stopped(&mut tasks, &gatehouse).await;
    ready::tell_stopping();
    audit.note(&Event::Stopping);
    let denial = Denial {
        message: "the gate is stopping".to_owned(),
        rule: None,
        hint: "connect again when it is back".to_owned(),
        reference: String::new(),
    };
    gatehouse.live.drain(&denial, DRAIN_TIMEOUT).await;
    audit.close();
    if let Err(error) = gatehouse.recorder.flush().await {
        tracing::error!(%error, "the end of the record waits in the journal for the next start");
    }
    // The next daemon makes its own.
    let _ = fs::remove_file(&config.control);
    ended
}

/// Waits for a signal, or for a part that must not end.
async fn until_stopped(tasks: &mut JoinSet<anyhow::Result<()>>, gatehouse: &Gatehouse) -> anyhow::Result<()> {
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
            Some(ended) = tasks.join_next() => return ended.context("a part of the daemon panicked")?,
        }
    }
}

fn build(config: &Config) -> anyhow::Result<(Gatehouse, Sockets)> {
    state::make_state_dir(&config.state_dir)?;
    let records =
        RecorderConfig { journal_bytes: config.record.journal_bytes, ..RecorderConfig::new(&config.state_dir) };
    let recorder = Recorder::open(&records).context("failed to open the record")?;
    let policy = policy::Store::open(policy::Settings {
        directory: config.policy.directory.clone(),
        state_dir: config.state_dir.clone(),
    });
    let authority = tls::Authority::open(&config.authority_dir()).context("failed to open the local CA")?;
    let masker = Masker::new(state::mask_key(&config.state_dir)?);
    let port = listeners::choose_port(config.listen.port)?;
    let mut capture = Capture::load(&CaptureConfig {
        instance: config.instance(),
        port,
        ipv6: true,
        bpffs: capture::BPFFS.into(),
        existing: config.workloads.iter().map(existing).collect(),
    })
    .context("failed to load the capture")?;
    // After the capture: a socket belongs to the cgroup that its maker was in.
    let sockets = listeners::listen_here(port)?;
    if let Some(attempts) = capture.attempts().context("failed to read refused attempts")? {
        tokio::spawn(log_attempts(attempts));
    }
    let gatehouse = Gatehouse {
        capture,
        canary: Canary::default(),
        closures: Closures::default(),
        identities: Identities::default(),
        workloads: Workloads::default(),
        targets: config::Targets::new(config.targets.clone()),
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
        cancels: Arc::default(),
        listeners: sockets.addresses()?,
        setups: Arc::default(),
    };
    Ok((gatehouse, sockets))
}

fn existing(workload: &config::Workload) -> Existing {
    Existing { name: workload.name.to_string(), cgroup: workload.cgroup.display().to_string() }
}

async fn follow_policy(gatehouse: Arc<Gatehouse>, audit: Arc<Audit>) -> anyhow::Result<()> {
    let mut generations = gatehouse.policy.subscribe();
    while generations.changed().await.is_ok() {
        announce_policy(&gatehouse);
        audit.note(&Event::Policy { generation: gatehouse.policy.current().generation() });
    }
    anyhow::bail!("the policy store has ended")
}

/// Says each refused attempt at `debug`.
async fn log_attempts(mut attempts: Attempts) -> io::Result<()> {
    loop {
        let attempt = attempts.next().await?;
        tracing::debug!(?attempt, "refused");
    }
}

/// Takes the control socket, unless another daemon answers there.
fn claim_socket(path: &Path) -> anyhow::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        anyhow::bail!(
            "another daemon answers at {}\n  hint: stop it, or set `control` to another path",
            path.display()
        );
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("failed to remove the stale socket {}", path.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path).with_context(|| format!("failed to listen on {}", path.display()))?;
    // Everyone may ask; what they may do follows from who they are.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Seconds since the epoch.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
