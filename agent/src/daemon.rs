//! The daemon: everything wired together, started in order, drained in order.
//!
//! Order matters. The record, the policy and the credentials stand before the first connection can be
//! captured, and the daemon says that it is ready only after a canary has been captured.

mod obey;
mod ready;

use std::{
    fs,
    io::{self, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
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
    capture::{self, Capture, CaptureConfig, Existing, canary::Canary},
    config::{self, Config},
    connection::{self, Gatehouse, announce_policy},
    control, credential,
    gate::Denial,
    lanes::Lanes,
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
/// How often workloads are looked at: whether anybody is left, whether their cgroup still is the same.
pub const TEND_INTERVAL: Duration = Duration::from_millis(500);
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

    adopt_workloads(&config, &gatehouse)?;
    gatehouse.targets.refresh().await;
    // Held until the end: the policy directory is watched as long.
    let _watch = gatehouse.policy.watch().context("failed to watch the policy directory")?;
    let mut tasks = JoinSet::new();
    for listener in listeners {
        tasks.spawn(accept(listener, gatehouse.clone()));
    }
    tasks.spawn(follow_policy(gatehouse.clone()));
    tasks.spawn(tend_workloads(gatehouse.clone()));
    tasks.spawn(refresh_targets(gatehouse.clone()));
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
    let records =
        RecorderConfig { journal_bytes: config.record.journal_bytes, ..RecorderConfig::new(&config.state_dir) };
    let recorder = Recorder::open(&records).context("failed to open the record")?;
    let policy = policy::Store::open(policy::Settings {
        directory: config.policy.directory.clone(),
        state_dir: config.state_dir.clone(),
    });
    let authority = tls::Authority::open(&config.authority_dir()).context("failed to open the local CA")?;
    let masker = Masker::new(mask_key(&config.state_dir)?);
    let port = choose_port(config.listen.port).await?;
    let mut capture = Capture::load(&CaptureConfig {
        instance: config.instance(),
        port,
        ipv6: true,
        bpffs: capture::BPFFS.into(),
        resolvers: config.capture.resolvers.clone().unwrap_or_else(resolvers_of_host),
        existing: config.workloads.iter().map(existing).collect(),
    })
    .context("failed to load the capture")?;
    // After the capture: a socket belongs to the cgroup that its maker was in.
    let listeners = listen(port).await?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    if let Some(logs) = capture.logs() {
        tokio::spawn(logs.forward());
    }
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
        lanes: Lanes::start().context("failed to start the threads that sessions run on")?,
        masker: Arc::new(masker),
        cancels: Arc::default(),
        listeners: addresses,
        setups: Arc::default(),
    };
    Ok((gatehouse, listeners))
}

/// The configured port, or the first free one.
async fn choose_port(port: u16) -> anyhow::Result<u16> {
    if port != 0 {
        return Ok(port);
    }
    for port in LISTEN_PORTS.0..LISTEN_PORTS.1 {
        if listen(port).await.is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port from {} to {} is free\n  hint: name one under [listen]", LISTEN_PORTS.0, LISTEN_PORTS.1)
}

/// The gate's sockets, on both loopback addresses and one port.
async fn listen(port: u16) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let listener = TcpListener::bind((address, port)).await;
        listeners.push(listener.with_context(|| {
            format!("failed to listen on {address} port {port}\n  hint: name another port under [listen]")
        })?);
    }
    Ok(listeners)
}

/// The name servers that this host asks itself (resolv.conf(5)).
fn resolvers_of_host() -> Vec<IpAddr> {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|line| line.strip_prefix("nameserver"));
    servers.filter_map(|server| server.trim().parse().ok()).collect()
}

fn existing(workload: &config::Workload) -> Existing {
    Existing { name: workload.name.to_string(), cgroup: workload.cgroup.display().to_string() }
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

/// Releases workloads whose last process has ended, and captures configured cgroups that were made anew.
async fn tend_workloads(gatehouse: Arc<Gatehouse>) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(TEND_INTERVAL).await;
        for enrolment in gatehouse.capture.enrolments()? {
            // Those just made are still waiting for their first process.
            if gatehouse.workloads.is_settled(enrolment.cgroup_id()) && !enrolment.is_populated()? {
                enrolment.release()?;
                gatehouse.workloads.release(enrolment.cgroup_id());
                tracing::info!(workload = %enrolment.name(), "released");
            }
        }
        if let Err(error) = gatehouse.capture.recapture() {
            tracing::error!(error = &error as &dyn std::error::Error, "a configured cgroup is not captured");
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
            tracing::error!(
                error = format!("{error:#}"),
                "the canary was not captured: this host's workloads may be out of the gate"
            );
        }
    }
}

/// Takes over the workloads of an earlier daemon: who owned them is not known any more.
fn adopt_workloads(config: &Config, gatehouse: &Gatehouse) -> anyhow::Result<()> {
    for workload in &config.workloads {
        gatehouse.workloads.configure(workload.name.clone(), workload.groups.clone());
    }
    for enrolment in gatehouse.capture.enrolments()? {
        gatehouse.workloads.enrol(Workload {
            name: enrolment.name().clone(),
            groups: config.workload_defaults.groups.clone(),
            owner: None,
            cgroup: gatehouse.capture.workload(enrolment.cgroup_id())?.cgroup,
            cgroup_id: enrolment.cgroup_id(),
        });
        gatehouse.workloads.settle(enrolment.cgroup_id());
    }
    Ok(())
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
