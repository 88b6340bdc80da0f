//! The daemon: everything wired together, started in order, drained in order.
//!
//! Order matters. The record, the policy and the credentials stand before the first connection can be
//! captured, and the daemon says that it is ready only after a canary has been captured.

mod obey;
mod ready;

use std::{
    fs,
    io::{self, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context;
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

use crate::{
    accept::{Identities, Workload, Workloads},
    capture::{Canary, Capture, CaptureConfig},
    config::{self, Config},
    connection::{self, Gatehouse, announce_policy},
    control, credential,
    gate::Denial,
    mask::Masker,
    policy,
    record::{Recorder, RecorderConfig},
    tls,
};

pub use obey::Daemon;

/// How long running sessions have to end when the daemon stops.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a canary proves that capture still holds.
pub const CANARY_INTERVAL: Duration = Duration::from_secs(30);
/// How often host names of targets are resolved again.
pub const RESOLVE_INTERVAL: Duration = Duration::from_secs(30);
/// Where a free port is looked for when none is configured: below those that the kernel hands out.
const LISTEN_PORTS: (u16, u16) = (15001, 15400);

/// Runs the daemon until it is told to stop.
pub async fn up(config: Config) -> anyhow::Result<()> {
    let control = claim_socket(&config.control)?;
    let (gatehouse, listeners) = build(&config).await?;
    let gatehouse = Arc::new(gatehouse);
    let daemon = Arc::new(Daemon::new(gatehouse.clone(), &config));

    let mut tasks = JoinSet::new();
    for listener in listeners {
        tasks.spawn(accept(listener, gatehouse.clone()));
    }
    tasks.spawn(follow_policy(gatehouse.clone()));
    tasks.spawn(release_empty(gatehouse.clone()));
    tasks.spawn(refresh_targets(gatehouse.clone()));
    enrol_configured(&config, &gatehouse)?;
    daemon.prove().await.context("capture is not proven, so the daemon does not start")?;
    tasks.spawn(keep_proving(daemon.clone()));
    tasks.spawn({
        let daemon = daemon.clone();
        async move { control::serve(control, daemon).await.context("the control socket failed") }
    });
    ready::tell();
    tracing::info!(control = %config.control.display(), instance = %daemon.instance(), "ready");

    let ended = until_stopped(&mut tasks, &gatehouse).await;
    ready::tell_stopping();
    let denial = Denial {
        message: "the gate is stopping".to_owned(),
        rule: None,
        hint: "connect again when it is back".to_owned(),
        reference: String::new(),
    };
    gatehouse.live.drain(&denial, DRAIN_TIMEOUT).await;
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

async fn build(config: &Config) -> anyhow::Result<(Gatehouse, Vec<TcpListener>)> {
    make_state_dir(&config.state_dir)?;
    let records = RecorderConfig { journal_bytes: config.record.journal_bytes, ..RecorderConfig::new(&config.state_dir) };
    let recorder = Recorder::open(&records).context("failed to open the record")?;
    let policy = policy::Store::open(policy::Settings {
        directory: config.policy.directory.clone(),
        state_dir: config.state_dir.clone(),
    });
    let authority = tls::Authority::open(&config.authority_dir()).context("failed to open the local CA")?;
    let masker = Masker::new(mask_key(&config.state_dir)?);
    let listeners = listen(config.listen.port).await?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    let port = addresses.first().map_or(0, SocketAddr::port);
    let capture = Capture::load(&CaptureConfig {
        instance: config.instance(),
        proxy_port: port,
        resolvers: config.capture.resolvers.clone(),
    })
    .context("failed to load the capture")?;
    let gatehouse = Gatehouse {
        capture,
        canary: Canary::default(),
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
        masker: Arc::new(masker),
        cancels: Arc::default(),
        listeners: addresses,
        setups: Arc::default(),
    };
    Ok((gatehouse, listeners))
}

/// The proxy's sockets, on both loopback addresses and one port.
async fn listen(port: u16) -> anyhow::Result<Vec<TcpListener>> {
    let mut tried = Vec::new();
    let candidates = if port == 0 { (LISTEN_PORTS.0..LISTEN_PORTS.1).collect() } else { vec![port] };
    for port in candidates {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await;
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => return Ok(vec![v4, v6]),
            (Err(error), _) | (_, Err(error)) => tried.push(format!("{port}: {error}")),
        }
    }
    anyhow::bail!("cannot listen on 127.0.0.1 and ::1, tried {}\n  hint: name another port under [listen]", tried.join(", "))
}

async fn accept(listener: TcpListener, gatehouse: Arc<Gatehouse>) -> anyhow::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection::serve(stream, gatehouse.clone()));
            }
            Err(error) => {
                // Out of descriptors, most often: what waits is refused by the backlog, never let through.
                tracing::error!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn follow_policy(gatehouse: Arc<Gatehouse>) -> anyhow::Result<()> {
    let mut generations = gatehouse.policy.subscribe();
    while generations.changed().await.is_ok() {
        announce_policy(&gatehouse);
    }
    anyhow::bail!("the policy store has ended")
}

/// Releases workloads whose last process has ended.
async fn release_empty(gatehouse: Arc<Gatehouse>) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for cgroup_id in gatehouse.capture.release_empty() {
            if let Some(workload) = gatehouse.workloads.release(cgroup_id) {
                tracing::info!(workload = %workload.name, "released");
            }
        }
    }
}

/// Resolves the targets' host names again.
async fn refresh_targets(gatehouse: Arc<Gatehouse>) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(RESOLVE_INTERVAL).await;
        gatehouse.targets.refresh().await;
    }
}

async fn keep_proving(daemon: Arc<Daemon>) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(CANARY_INTERVAL).await;
        if let Err(error) = daemon.prove().await {
            tracing::error!(error = format!("{error:#}"), "the canary was not captured: this host's workloads may be out of the gate");
        }
    }
}

/// Captures the process trees that the configuration names.
fn enrol_configured(config: &Config, gatehouse: &Gatehouse) -> anyhow::Result<()> {
    for workload in &config.workloads {
        let enrolment = gatehouse
            .capture
            .enrol_existing(&workload.cgroup)
            .with_context(|| format!("failed to capture workload `{}` in cgroup `{}`", workload.name, workload.cgroup.display()))?;
        gatehouse.workloads.enrol(Workload {
            name: workload.name.clone(),
            groups: workload.groups.clone(),
            owner: None,
            cgroup: enrolment.cgroup().to_owned(),
            cgroup_id: enrolment.cgroup_id(),
        });
        tracing::info!(workload = %workload.name, cgroup = %workload.cgroup.display(), "captured");
    }
    Ok(())
}

/// Takes the control socket, unless another daemon answers there.
fn claim_socket(path: &Path) -> anyhow::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        anyhow::bail!("another daemon answers at {}\n  hint: stop it, or set `control` to another path", path.display());
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

fn make_state_dir(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
        .with_context(|| format!("failed to close {} to others", path.display()))
}

/// The key of the `hash` mask: made once, so that tokens stay the same over restarts.
fn mask_key(state_dir: &Path) -> anyhow::Result<[u8; 32]> {
    let path = state_dir.join("mask.key");
    match fs::read(&path) {
        Ok(bytes) => bytes
            .try_into()
            .map_err(|bytes: Vec<u8>| anyhow::anyhow!("{} holds {} bytes, expected 32", path.display(), bytes.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("the kernel gives no randomness: {error}"))?;
            write_private(&path, &key).with_context(|| format!("failed to write {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
    }
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(fresh, path)
}

/// Seconds since the epoch.
fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}
