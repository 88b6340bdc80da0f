//! Capture: the only code that knows aya.
//!
//! A *workload* is a cgroup. The programs of `agent-ebpf` are attached to `…/workloads` and act on everything below:
//! they send each TCP connect to the daemon, keep where it wanted to go and who called it, and refuse what they
//! cannot send. Links and maps are pinned, so the guard outlives the daemon: without a listener, a connect is refused.
//!
//! ```text
//! <cgroup2>/portcullis/<instance>/daemon            this process; its connects are its own
//! <cgroup2>/portcullis/<instance>/workloads/<name>-<n>
//! <bpffs>/portcullis/<instance>/{maps-<layout>,programs,links}
//! ```
//!
//! Limits: sockets made outside a workload and handed to it are not seen (the launcher of `jail` closes what it can), nor
//! are connects over Unix sockets.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsRawFd, BorrowedFd},
    path::{Path, PathBuf},
};

use aya::{Ebpf, maps::MapError};
use thiserror::Error;

pub use enrolment::{Enrolment, WorkloadId};
pub use facts::{Fact, facts};
pub use logs::Logs;
pub use origin::Origin;
pub use portcullis_common::NAMESPACES_MAX;

pub mod canary;
pub mod namespace;

mod attachment;
mod bpf;
mod cgroup;
mod enrolment;
mod facts;
mod logs;
mod maps;
mod origin;
mod pins;
mod programs;

use attachment::Attachment;
use cgroup::{Cgroup, Hierarchy};
use maps::Maps;
use namespace::NamespaceId;
use pins::Pins;

/// What to capture, and where to send it.
#[derive(Clone, Debug)]
pub struct CaptureConfig {
    /// Tells daemons on one host apart: letters, digits, `-` and `_`.
    pub instance: String,
    /// Where the daemon listens, on `127.0.0.1`; outside the ephemeral range, so that nobody gets it by chance.
    pub port: u16,
    /// Whether it listens on `::1` as well; otherwise IPv6 connects are refused.
    pub ipv6: bool,
    /// Where the BPF file system is, or will be mounted; by default [`BPFFS`].
    pub bpffs: PathBuf,
    /// Resolvers that workloads may ask directly, on port 53.
    pub resolvers: Vec<IpAddr>,
    /// Process trees that are there without `portcullis run`.
    pub existing: Vec<Existing>,
}

/// Where the BPF file system is mounted by convention.
pub const BPFFS: &str = "/sys/fs/bpf";

/// A cgroup that somebody else manages.
///
/// The sockets that it has are cut: their packets are dropped from the moment of attachment. Processes in it keep the
/// privileges that they have; root among them can leave the cgroup.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Existing {
    /// The workload's name.
    pub name: String,
    /// A path below the cgroup v2 mount (`/system.slice/ci.service`) or the name of a systemd slice (`ci.slice`).
    pub cgroup: String,
}

/// Why capture could not be set up, or a connection not be identified.
#[derive(Debug, Error)]
pub enum CaptureError {
    #[error("the name `{0}` holds something else than letters, digits, `.`, `-` and `_`, or is longer than {NAME_MAX}")]
    InvalidName(String),
    #[error("port {port} is in the ephemeral range {low}–{high}, where any process may be given it")]
    EphemeralPort { port: u16, low: u16, high: u16 },
    #[error("another daemon runs as instance `{0}`")]
    InstanceInUse(String),
    #[error("the cgroup {} holds the daemon itself", .0.display())]
    HoldsDaemon(PathBuf),
    #[error("failed to {action} {}", .path.display())]
    Path { action: &'static str, path: PathBuf, source: io::Error },
    #[error("failed to load the programs")]
    Object(#[from] Box<aya::EbpfError>),
    #[error("the object has no program `{0}`")]
    MissingProgram(&'static str),
    #[error("the kernel refused the program `{program}`")]
    Load { program: &'static str, source: Box<aya::programs::ProgramError> },
    #[error("failed to attach `{program}` to {}", .cgroup.display())]
    Attach { program: &'static str, cgroup: PathBuf, source: io::Error },
    #[error("`{program}` is not attached to {}", .cgroup.display())]
    Detached { program: &'static str, cgroup: PathBuf },
    #[error("failed to use the map `{map}`")]
    Map { map: &'static str, source: MapError },
    #[error("failed to read the number of a network namespace")]
    Namespace(#[source] io::Error),
    #[error("{NAMESPACES_MAX} network namespaces are captured already, and one more cannot be")]
    NamespacesFull,
    #[error("the connection has no origin: no workload opened it")]
    NoOrigin,
    #[error("the cgroup {0} is no workload's")]
    NoWorkload(u64),
}

/// Longest name of an instance or a workload, in bytes.
pub const NAME_MAX: usize = 64;

/// The guard over this instance's workloads. Dropping it leaves everything attached.
pub struct Capture {
    hierarchy: Hierarchy,
    root: PathBuf,
    pins: Pins,
    ebpf: Ebpf,
    maps: Maps,
    daemon: Cgroup,
    workloads: Attachment,
    existing: Vec<(Existing, parking_lot::Mutex<Attachment>)>,
}

impl Capture {
    /// Attaches the guard, or takes over the one that an earlier daemon left, without a moment in between.
    ///
    /// Moves this process into the daemon's cgroup. Make the listeners afterwards: a socket belongs to the cgroup that
    /// its maker was in, and one made before would accept connections without an origin. Until then connects are
    /// refused.
    pub fn load(config: &CaptureConfig) -> Result<Self, CaptureError> {
        check_name(&config.instance)?;
        check_port(config.port)?;
        let hierarchy = Hierarchy::find().map_err(at("find a cgroup v2 hierarchy below", "/proc/self/mountinfo"))?;
        let root = Path::new("/portcullis").join(&config.instance);
        let daemon = open(&hierarchy, &root.join("daemon"))?;
        let workloads = open(&hierarchy, &root.join("workloads"))?;
        lock(&daemon, &config.instance)?;
        daemon.admit(std::process::id()).map_err(at("move the daemon into", daemon.directory()))?;

        let pins = Pins::open(&config.bpffs, &config.instance)?;
        let mut ebpf = programs::load(&pins.maps())?;
        let maps = Maps::take(&mut ebpf)?;
        // Those of an earlier daemon stay: where nobody listens any more, connects are refused.
        maps.allow_namespace(NamespaceId::current().map_err(CaptureError::Namespace)?)?;
        maps.set_resolvers(&config.resolvers)?;
        maps.set_listener(config.port, config.ipv6)?;

        pins.keep_programs(&ebpf)?;
        let workloads = Attachment::ensure(&ebpf, &pins, "workloads", workloads, programs::WORKLOAD)?;
        let mut existing = Vec::new();
        for tree in &config.existing {
            let cgroup = existing_cgroup(&hierarchy, tree, &daemon)?;
            let attachment = Attachment::ensure(&ebpf, &pins, &tree_pins(tree), cgroup, programs::WORKLOAD)?;
            existing.push((tree.clone(), parking_lot::Mutex::new(attachment)));
        }
        pins.release_links_except(&config.existing.iter().map(tree_pins).collect::<Vec<_>>())?;
        // Last: until it is there, connections have no origin and are refused.
        let daemon_cgroup = open(&hierarchy, &root.join("daemon"))?;
        Attachment::ensure(&ebpf, &pins, "daemon", daemon_cgroup, programs::DAEMON)?;
        Ok(Self { hierarchy, root, pins, ebpf, maps, daemon, workloads, existing })
    }

    /// Where an accepted connection wanted to go, and who opened it.
    ///
    /// # Errors
    /// [`CaptureError::NoOrigin`] when no workload opened it: close it.
    pub fn origin(&self, accepted: &impl AsRawFd) -> Result<Origin, CaptureError> {
        self.maps.origin(accepted)
    }

    /// The workload of a cgroup that an [`Origin`] names, and the cgroup's path below the mount.
    ///
    /// # Errors
    /// [`CaptureError::NoWorkload`] when the cgroup is gone, or a socket was passed out of its workload.
    pub fn workload(&self, cgroup_id: u64) -> Result<WorkloadId, CaptureError> {
        let path = self.hierarchy.path_of(cgroup_id).map_err(|_| CaptureError::NoWorkload(cgroup_id))?;
        let name = self.name_of(&path).ok_or(CaptureError::NoWorkload(cgroup_id))?;
        Ok(WorkloadId { name: name.into(), cgroup: path.clone() })
    }

    /// The id of a cgroup, by its path below the mount.
    pub fn cgroup_id(&self, cgroup: &Path) -> Result<u64, CaptureError> {
        self.hierarchy.id_of(cgroup).map_err(at("look at the cgroup", cgroup))
    }

    /// Whether a cgroup, by its path below the mount, is a workload's or below one.
    pub fn governs(&self, cgroup: &Path) -> bool {
        self.name_of(cgroup).is_some()
    }

    fn name_of<'a>(&'a self, cgroup: &'a Path) -> Option<&'a str> {
        let existing = || {
            let tree = self.existing.iter().find(|(tree, _)| cgroup.starts_with(existing_path(tree)));
            tree.map(|(tree, _)| &*tree.name)
        };
        enrolment::name_of(cgroup, &self.root.join("workloads")).or_else(existing)
    }

    /// Makes a cgroup for a new workload. It is captured before the first process enters.
    pub fn enrol(&self, name: &str) -> Result<Enrolment, CaptureError> {
        Enrolment::create(self.workloads.cgroup().directory(), name)
    }

    /// The workloads that are there: those of an earlier daemon included.
    pub fn enrolments(&self) -> Result<Vec<Enrolment>, CaptureError> {
        Enrolment::all(self.workloads.cgroup().directory())
    }

    /// Captures connects in a network namespace. Listen on its loopback first: until then they are refused.
    ///
    /// # Errors
    /// [`CaptureError::NamespacesFull`] beyond [`NAMESPACES_MAX`].
    pub fn allow_namespace(&self, netns: BorrowedFd<'_>) -> Result<NamespaceId, CaptureError> {
        let namespace = NamespaceId::of(netns).map_err(CaptureError::Namespace)?;
        self.maps.allow_namespace(namespace)?;
        Ok(namespace)
    }

    /// Refuses every connect in a network namespace from now on.
    pub fn forget_namespace(&self, namespace: NamespaceId) -> Result<(), CaptureError> {
        self.maps.forget_namespace(namespace)
    }

    /// Forgets the network namespaces of an earlier daemon, but for this process's own and those that are served again.
    pub fn forget_namespaces_except(&self, served: &[NamespaceId]) -> Result<(), CaptureError> {
        let own = NamespaceId::current().map_err(CaptureError::Namespace)?;
        self.maps.forget_namespaces_except(&[served, &[own]].concat())
    }

    /// The directory of each workload's cgroup, and of each configured one.
    pub fn trees(&self) -> Result<Vec<PathBuf>, CaptureError> {
        let workloads = self.workloads.cgroup().directory();
        let mut trees = Vec::new();
        for entry in std::fs::read_dir(workloads).map_err(at("read", workloads))? {
            let entry = entry.map_err(at("read", workloads))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                trees.push(entry.path());
            }
        }
        trees.extend(self.existing.iter().map(|(_, attachment)| attachment.lock().cgroup().directory().to_owned()));
        Ok(trees)
    }

    /// Lets workloads ask these resolvers, and no others. Called again when routes may have changed.
    pub fn set_resolvers(&self, resolvers: &[IpAddr]) -> Result<(), CaptureError> {
        self.maps.set_resolvers(resolvers)
    }

    /// Asks the kernel whether every program is in force on every captured cgroup.
    pub fn verify(&self) -> Result<(), CaptureError> {
        self.workloads.verify(&self.ebpf, programs::WORKLOAD)?;
        for (_, attachment) in &self.existing {
            attachment.lock().verify(&self.ebpf, programs::WORKLOAD)?;
        }
        Ok(())
    }

    /// Captures configured cgroups anew that were removed and made again, as systemd does when a unit restarts; answers
    /// how many. Between the two, their processes are free: capture a slice that stays, where that matters.
    pub fn recapture(&self) -> Result<usize, CaptureError> {
        let mut recaptured = 0;
        for (tree, attachment) in &self.existing {
            let mut attachment = attachment.lock();
            if attachment.cgroup().is_current() {
                continue;
            }
            let cgroup = existing_cgroup(&self.hierarchy, tree, &self.daemon)?;
            *attachment = Attachment::ensure(&self.ebpf, &self.pins, &tree_pins(tree), cgroup, programs::WORKLOAD)?;
            recaptured += 1;
        }
        Ok(recaptured)
    }

    /// How often each kind of refusal has happened since the maps were made, by name.
    pub fn refusals(&self) -> Result<Vec<(&'static str, u64)>, CaptureError> {
        self.maps.refusals()
    }

    /// What the programs log, for a task to forward; `None` on the second call.
    pub fn logs(&mut self) -> Option<Logs> {
        Logs::of(&mut self.ebpf)
    }
}

/// Takes an instance's guard away. Its workloads' cgroups must be empty; no daemon of the instance may run.
pub fn remove(instance: &str, bpffs: &Path) -> Result<(), CaptureError> {
    check_name(instance)?;
    let hierarchy = Hierarchy::find().map_err(at("find a cgroup v2 hierarchy below", "/proc/self/mountinfo"))?;
    let root = open(&hierarchy, &Path::new("/portcullis").join(instance))?;
    let daemon = open(&hierarchy, &Path::new("/portcullis").join(instance).join("daemon"))?;
    lock(&daemon, instance)?;
    root.remove().map_err(at("remove the cgroup", root.directory()))?;
    Pins::open(bpffs, instance)?.remove()
}

fn open(hierarchy: &Hierarchy, path: &Path) -> Result<Cgroup, CaptureError> {
    hierarchy
        .create(path)
        .map_err(at("open the cgroup", hierarchy.mount().join(path.strip_prefix("/").unwrap_or(path))))
}

/// One daemon an instance: the lock is the daemon's open cgroup directory, and ends with the process.
fn lock(daemon: &Cgroup, instance: &str) -> Result<(), CaptureError> {
    daemon.lock().map_err(|_| CaptureError::InstanceInUse(instance.into()))
}

/// Opens a configured cgroup, and makes it where its unit has not started yet: systemd takes what is there.
fn existing_cgroup(hierarchy: &Hierarchy, tree: &Existing, daemon: &Cgroup) -> Result<Cgroup, CaptureError> {
    check_name(&tree.name)?;
    let cgroup = open(hierarchy, &existing_path(tree))?;
    if daemon.directory().starts_with(cgroup.directory()) {
        return Err(CaptureError::HoldsDaemon(existing_path(tree)));
    }
    Ok(cgroup)
}

/// The path below the mount: of a slice `a-b.slice`, `/a.slice/a-b.slice`, as `systemd.slice(5)` has it.
fn existing_path(tree: &Existing) -> PathBuf {
    let Some(name) = tree.cgroup.strip_suffix(".slice").filter(|name| !name.contains('/')) else {
        return Path::new("/").join(&tree.cgroup);
    };
    let mut path = PathBuf::from("/");
    for (end, _) in name.match_indices('-').chain([(name.len(), "")]) {
        path.push(format!("{}.slice", name.get(..end).unwrap_or(name)));
    }
    path
}

/// Where the links of a configured cgroup are pinned. The BPF file system keeps dots in names to itself.
fn tree_pins(tree: &Existing) -> String {
    format!("existing-{}", tree.name.replace('.', "+"))
}

fn check_name(name: &str) -> Result<(), CaptureError> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let plain = !name.is_empty() && !name.starts_with('.') && name.len() <= NAME_MAX && name.bytes().all(known);
    if plain { Ok(()) } else { Err(CaptureError::InvalidName(name.into())) }
}

/// A port of the ephemeral range could be anybody's while the daemon is down.
fn check_port(port: u16) -> Result<(), CaptureError> {
    const RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";
    let range = std::fs::read_to_string(RANGE).map_err(at("read", RANGE))?;
    let mut bounds = range.split_ascii_whitespace().map_while(|bound| bound.parse().ok());
    match (bounds.next(), bounds.next()) {
        (Some(low), Some(high)) if (low..=high).contains(&port) => Err(CaptureError::EphemeralPort { port, low, high }),
        _ => Ok(()),
    }
}

/// Says what failed, and where.
fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> CaptureError {
    let path = path.into();
    move |source| CaptureError::Path { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(cgroup: &str) -> PathBuf {
        existing_path(&Existing { name: "ci".into(), cgroup: cgroup.into() })
    }

    #[test]
    fn a_slice_is_found_where_systemd_puts_it() {
        assert_eq!(path("ci.slice"), Path::new("/ci.slice"));
        assert_eq!(path("ci-nightly-x.slice"), Path::new("/ci.slice/ci-nightly.slice/ci-nightly-x.slice"));
        assert_eq!(path("/system.slice/ci.service"), Path::new("/system.slice/ci.service"));
    }

    #[test]
    fn a_name_cannot_leave_its_directory() {
        for name in ["", ".", "..", "../x", "a/b", "a b", "ä", &"x".repeat(NAME_MAX + 1)] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for name in ["default", "ci-runner_2", "v1.2"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }
}
