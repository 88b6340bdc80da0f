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
//! are connects over Unix sockets of a jail: there the mount namespace decides what can be named.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use aya::maps::MapError;
use thiserror::Error;

pub use attempt::{Attempt, Attempts};
pub use cut::{Held, HeldKind};
pub use enrolment::{Enrolment, WorkloadId};
pub use existing::{EXISTING_MAX, Existing};
pub use facts::{Fact, facts};
pub use layer::{Layer, UnknownLayer};
pub use members::MEMBERS_MAX;
pub use origin::Origin;
pub use portcullis_common::{ATTEMPTS_PER_SECOND_MAX, Loopback, NAMESPACES_MAX, Refusal, UNIX_ALLOWED_MAX};
pub use tree::Tree;
pub use unix::{UnixName, UnixNameError};

pub mod canary;
pub mod find;
pub mod namespace;

mod attachment;
mod attempt;
mod bpf;
mod btf;
mod cgroup;
mod cut;
mod enrolment;
mod existing;
mod facts;
mod fields;
mod kernel;
mod layer;
mod lsm;
mod maps;
mod members;
mod object;
mod origin;
mod pins;
mod programs;
mod sock_diag;
mod tree;
mod unix;

use attachment::Attachment;
use cgroup::{Cgroup, Hierarchy};
use existing::Trees;
use layer::Scope;
use lsm::{Domain, Lsm};
use maps::Maps;
use namespace::NamespaceId;
use pins::Pins;
use portcullis_common::Governed;
use programs::Programs;

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
    /// Process trees that are there without `portcullis run`.
    pub existing: Vec<Existing>,
    /// Layers without which to capture, where this kernel lacks them; an essential one is never gone without.
    pub allow_missing: Vec<Layer>,
}

/// What a daemon without configured cgroups attaches to.
const RUNS: [Scope; 2] = [Scope::Runs, Scope::Daemon];
const EVERYWHERE: [Scope; 3] = [Scope::Runs, Scope::Existing, Scope::Daemon];

/// Marks a socket as one that the daemon listens on, before it is bound. Connections are led to no other: whoever takes
/// the port of a daemon that is dead hears nothing.
pub fn claim(socket: &impl AsFd) -> io::Result<()> {
    let priority = i32::try_from(portcullis_common::LISTENER_PRIORITY).map_err(io::Error::other)?;
    Ok(nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::Priority, &priority)?)
}

/// Where the BPF file system is mounted by convention.
pub const BPFFS: &str = "/sys/fs/bpf";

/// Why capture could not be set up, or a connection not be identified.
#[derive(Debug, Error)]
pub enum CaptureError {
    #[error("the name `{0}` holds something else than letters, digits, `.`, `-` and `_`, or is longer than {NAME_MAX}")]
    InvalidName(String),
    #[error("port {port} is in the ephemeral range {low}–{high}, where any process may be given it")]
    EphemeralPort { port: u16, low: u16, high: u16 },
    #[error(
        "this process lacks {capability}, which {purpose}\n  hint: run it as root; a service gets it by `CapabilityBoundingSet=`"
    )]
    Capability { capability: String, purpose: &'static str },
    #[error(
        "no cgroup v2 hierarchy is mounted, and workloads are cgroups\n  \
         hint: `mount -t cgroup2 none /sys/fs/cgroup/unified`, beside version 1 or in its place"
    )]
    NoHierarchy(#[source] io::Error),
    #[error("another daemon runs as instance `{0}`\n  hint: stop it, or go on in its place with --takeover")]
    InstanceInUse(String),
    #[error("the cgroup {} holds the daemon itself", .0.display())]
    HoldsDaemon(PathBuf),
    #[error("the root of all cgroups holds the daemon itself, and everything else on this host")]
    HierarchyRoot,
    #[error("the cgroup {} is made and governed by a daemon of Portcullis", .0.display())]
    OfInstance(PathBuf),
    #[error("there is no cgroup {}", .0.display())]
    NoCgroup(PathBuf),
    #[error("the cgroup {} overlaps {}, which is captured as `{workload}`", .cgroup.display(), .captured.display())]
    AlreadyCaptured { cgroup: PathBuf, workload: String, captured: PathBuf },
    #[error("another cgroup is captured as `{0}`")]
    NameInUse(String),
    #[error("{EXISTING_MAX} cgroups are captured already, and one more cannot be")]
    TooManyTrees,
    #[error("failed to {action} {}", .path.display())]
    Path { action: &'static str, path: PathBuf, source: io::Error },
    #[error("security hooks do not mind what is captured")]
    Lsm(#[from] lsm::LsmError),
    #[error("failed to load the programs")]
    Object(#[from] Box<aya::EbpfError>),
    #[error("the object has no program `{0}`")]
    MissingProgram(&'static str),
    #[error("the kernel refused the program `{program}`")]
    Load { program: &'static str, source: Box<aya::programs::ProgramError> },
    #[error("failed to load the program `{program}`")]
    LoadOther { program: &'static str, source: Box<object::ObjectError> },
    #[error("failed to read the id of the program `{program}`")]
    Describe { program: &'static str, source: io::Error },
    #[error(
        "this kernel lacks the layer `{layer}`, which {}; without it, {}; {} ({cause})",
        .layer.meaning(), .layer.lost(), .layer.remedy()
    )]
    MissingLayer { layer: Layer, cause: String },
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
    #[error("{0} names of Unix sockets are to be allowed: at most {UNIX_ALLOWED_MAX} can be")]
    TooManyUnixNames(usize),
    #[error("failed to destroy the connections that its processes hold")]
    Destroy(#[source] io::Error),
    #[error("the connection has no origin: no workload opened it")]
    NoOrigin,
    #[error("the cgroup {0} is no workload's")]
    NoWorkload(u64),
    #[error("`{program}` on {} would end with the daemon: its pin is gone", .cgroup.display())]
    Unpinned { program: &'static str, cgroup: PathBuf },
    #[error("no captured cgroup is called `{0}`")]
    NoTree(std::sync::Arc<str>),
}

/// Longest name of an instance or a workload, in bytes.
pub const NAME_MAX: usize = 64;

/// The guard over this instance's workloads. Dropping it leaves everything attached.
pub struct Capture {
    hierarchy: Hierarchy,
    root: PathBuf,
    pins: Pins,
    programs: Programs,
    allow_missing: Vec<Layer>,
    maps: Maps,
    lsm: Option<Lsm>,
    /// Its lock lasts as long as it is open.
    daemon: Cgroup,
    workloads: parking_lot::Mutex<Attachment>,
    existing: Trees,
    /// Held while a cgroup of somebody else's is captured or let go.
    capturing: parking_lot::Mutex<()>,
}

impl Capture {
    /// Attaches the guard, or takes over the one that an earlier daemon left, without a moment in between.
    ///
    /// Moves this process into the daemon's cgroup. Make the listeners afterwards: a socket belongs to the cgroup that
    /// its maker was in, and one made before would accept connections without an origin. Until then connects are
    /// refused.
    pub fn load(config: &CaptureConfig) -> Result<Self, CaptureError> {
        Self::load_with(config, None)
    }

    /// The same with the lock that another daemon holds and passes on, as [`Capture::lock`] gives it.
    pub fn load_with(config: &CaptureConfig, lock: Option<OwnedFd>) -> Result<Self, CaptureError> {
        check_name(&config.instance)?;
        check_port(config.port)?;
        if let Some((capability, purpose)) = facts::missing_capability() {
            return Err(CaptureError::Capability { capability: capability.to_string(), purpose });
        }
        let hierarchy = Hierarchy::find().map_err(CaptureError::NoHierarchy)?;
        let root = Path::new("/portcullis").join(&config.instance);
        let daemon = open(&hierarchy, &root.join("daemon"))?;
        let workloads = open(&hierarchy, &root.join("workloads"))?;
        let daemon = match lock {
            Some(lock) => daemon.with_lock(lock).map_err(|_| CaptureError::InstanceInUse(config.instance.clone()))?,
            None => {
                self::lock(&daemon, &config.instance)?;
                daemon
            }
        };
        daemon.admit(std::process::id()).map_err(at("move the daemon into", daemon.directory()))?;

        let pins = Pins::open(&config.bpffs, &config.instance)?;
        let mut programs = Programs::load(Some(&pins.maps()))?;
        let scopes: &[_] = if config.existing.is_empty() { &RUNS } else { &EVERYWHERE };
        programs.require(scopes, &config.allow_missing)?;
        let maps = Maps::take(programs.maps())?;
        // Those of an earlier daemon stay: where nobody listens any more, connects are refused.
        maps.allow_namespace(NamespaceId::current().map_err(CaptureError::Namespace)?, Loopback::Shared)?;
        maps.set_listener(config.port, config.ipv6)?;

        pins.keep_programs(&programs)?;
        let workloads = Attachment::ensure(&programs, &pins, "workloads", workloads, Scope::Runs)?;
        let existing = Trees::default();
        for tree in &config.existing {
            let Some(cgroup) = existing::open(&hierarchy, tree, &root)? else { continue };
            existing.add(tree.clone(), Attachment::ensure(&programs, &pins, &tree.pins(), cgroup, Scope::Existing)?);
        }
        pins.release_links_except(&config.existing.iter().map(Existing::pins).collect::<Vec<_>>())?;
        let lsm = attach_lsm(programs.maps(), &pins)?;
        // Last: until it is there, connections have no origin and are refused.
        let daemon_cgroup = open(&hierarchy, &root.join("daemon"))?;
        Attachment::ensure(&programs, &pins, "daemon", daemon_cgroup, Scope::Daemon)?;
        let (workloads, capturing) = (workloads.into(), parking_lot::Mutex::default());
        let allow_missing = config.allow_missing.clone();
        let capture =
            Self { hierarchy, root, pins, programs, allow_missing, maps, lsm, daemon, workloads, existing, capturing };
        capture.govern()?;
        Ok(capture)
    }

    /// Has security hooks mind the processes of what is captured now, and of nothing else.
    fn govern(&self) -> Result<(), CaptureError> {
        let Some(lsm) = &self.lsm else { return Ok(()) };
        let runs = self.workloads.lock().cgroup().id();
        let runs = Domain { id: runs, path: self.root.join("workloads"), governed: Governed::Runs };
        let existing = self.existing.all();
        let existing = existing.iter().map(|tree| Domain {
            id: tree.attachment.lock().cgroup().id(),
            path: tree.path.clone(),
            governed: Governed::Existing,
        });
        Ok(lsm.govern(&[runs].into_iter().chain(existing).collect::<Vec<_>>())?)
    }

    /// The lock of the instance, for the daemon that goes on in this one's place.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        self.daemon.as_fd().try_clone_to_owned()
    }

    /// Where an accepted connection wanted to go, and who opened it.
    ///
    /// # Errors
    /// [`CaptureError::NoOrigin`] when no workload opened it: close it.
    pub fn origin(&self, accepted: &impl AsRawFd) -> Result<Origin, CaptureError> {
        self.maps.origin(accepted)
    }

    /// Where a DNS message wanted to go, and who sent it: by its source, the cookie of the network namespace in which
    /// the daemon received it, and its identifier. Of a message sent to several servers at once, one of them is told.
    ///
    /// # Errors
    /// [`CaptureError::NoOrigin`] when no workload sent it, or too long ago: drop it.
    pub fn datagram_origin(&self, source: SocketAddr, netns_cookie: u64, query: u16) -> Result<Origin, CaptureError> {
        self.maps.datagram_origin(source, netns_cookie, query)
    }

    /// The workload of a cgroup that an [`Origin`] names, and the cgroup's path below the mount.
    ///
    /// # Errors
    /// [`CaptureError::NoWorkload`] when the cgroup is gone, or a socket was passed out of its workload.
    pub fn workload(&self, cgroup_id: u64) -> Result<WorkloadId, CaptureError> {
        let path = self.hierarchy.path_of(cgroup_id).map_err(|_| CaptureError::NoWorkload(cgroup_id))?;
        let name = self.name_of(&path).ok_or(CaptureError::NoWorkload(cgroup_id))?;
        Ok(WorkloadId { name, cgroup: path })
    }

    /// The kernel's number of the cgroup that is at this path below the mount; `None`: there is none.
    pub fn cgroup_id(&self, cgroup: &Path) -> Option<u64> {
        Cgroup::open(self.hierarchy.directory(cgroup)).ok().map(|cgroup| cgroup.id())
    }

    /// Whether a cgroup, by its path below the mount, is a workload's or below one.
    pub fn governs(&self, cgroup: &Path) -> bool {
        self.name_of(cgroup).is_some()
    }

    fn name_of(&self, cgroup: &Path) -> Option<std::sync::Arc<str>> {
        let existing = || self.existing.of(cgroup).map(|tree| tree.existing.workload().into());
        enrolment::name_of(cgroup, &self.root.join("workloads")).map(Into::into).or_else(existing)
    }

    /// Makes a cgroup for a new workload. It is captured before the first process enters.
    pub fn enrol(&self, name: &str) -> Result<Enrolment, CaptureError> {
        Enrolment::create(self.workloads.lock().cgroup().directory(), name)
    }

    /// The workloads that are there: those of an earlier daemon included.
    pub fn enrolments(&self) -> Result<Vec<Enrolment>, CaptureError> {
        Enrolment::all(self.workloads.lock().cgroup().directory())
    }

    /// Captures connects in a network namespace. Listen on its loopback first: until then they are refused.
    ///
    /// # Errors
    /// [`CaptureError::NamespacesFull`] beyond [`NAMESPACES_MAX`].
    pub fn allow_namespace(&self, netns: BorrowedFd<'_>, loopback: Loopback) -> Result<NamespaceId, CaptureError> {
        let namespace = NamespaceId::of(netns).map_err(CaptureError::Namespace)?;
        self.maps.allow_namespace(namespace, loopback)?;
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
        let workloads = self.workloads.lock().cgroup().directory().to_owned();
        let mut trees = Vec::new();
        for entry in std::fs::read_dir(&workloads).map_err(at("read", &workloads))? {
            let entry = entry.map_err(at("read", &workloads))?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                trees.push(entry.path());
            }
        }
        trees.extend(self.existing.all().iter().map(|tree| tree.attachment.lock().cgroup().directory().to_owned()));
        Ok(trees)
    }

    /// That one of [`Capture::trees`] that a cgroup, by its path below the mount, is in.
    pub fn tree_directory(&self, cgroup: &Path) -> Result<Option<PathBuf>, CaptureError> {
        let directory = self.hierarchy.mount().join(cgroup.strip_prefix("/").unwrap_or(cgroup));
        Ok(self.trees()?.into_iter().find(|tree| directory.starts_with(tree)))
    }

    /// Lets processes without a jail dial these Unix sockets, and no others: until the first call, those of the daemon
    /// before.
    ///
    /// # Errors
    /// [`CaptureError::TooManyUnixNames`] beyond [`UNIX_ALLOWED_MAX`].
    pub fn set_unix_allowed(&self, names: &[UnixName]) -> Result<(), CaptureError> {
        self.maps.set_unix_allowed(names)
    }

    /// Whether the capture lets processes of a cgroup, captured where it is or about to be, dial a Unix socket by its
    /// path: always where the kernel cannot refuse it, and in workloads of its own, which a jail is to hold.
    pub fn reaches_unix(&self, cgroup: &Path, path: &str) -> Result<bool, CaptureError> {
        if self.tree_of(cgroup) == Some(Tree::Runs) || self.programs.missing(Layer::Unix).is_some() {
            return Ok(true);
        }
        path.parse().map_or(Ok(true), |name| self.maps.is_unix_allowed(&name))
    }

    /// The layers that this kernel lacks.
    pub fn missing_layers(&self) -> Vec<Layer> {
        Layer::ALL.into_iter().filter(|layer| self.programs.missing(*layer).is_some()).collect()
    }

    /// Asks the kernel whether every program is in force on every captured cgroup.
    pub fn verify(&self) -> Result<(), CaptureError> {
        self.captured().iter().try_for_each(|tree| self.verify_tree(tree))
    }

    /// Programs on security hooks stay attached as long as this is open: whether they stay without the daemon.
    fn verify_hooks(&self) -> Result<(), CaptureError> {
        match self.lsm.as_ref().and_then(Lsm::unpinned) {
            Some(program) => Err(CaptureError::Unpinned { program, cgroup: self.root.clone() }),
            None => Ok(()),
        }
    }

    /// How often each kind of refusal has happened since the maps were made, by name.
    pub fn refusals(&self) -> Result<Vec<(&'static str, u64)>, CaptureError> {
        self.maps.refusals()
    }

    /// Refused attempts, as they happen, for a task to read; `None` on the second call. Needs the runtime of tokio.
    pub fn attempts(&mut self) -> io::Result<Option<Attempts>> {
        self.maps.take_attempts().map(Attempts::open).transpose()
    }

    /// How many refused attempts [`Capture::attempts`] did not tell, since the maps were made: those beyond
    /// [`ATTEMPTS_PER_SECOND_MAX`] of one cgroup, and those for which the buffer had no room.
    pub fn lost_attempts(&self) -> Result<u64, CaptureError> {
        self.maps.lost_attempts()
    }
}

/// Attaches programs to security hooks where the kernel takes them: where it does and they do not stay, nothing starts.
/// What an earlier daemon left stays where it does not.
fn attach_lsm(ebpf: &mut aya::Ebpf, pins: &Pins) -> Result<Option<Lsm>, CaptureError> {
    match lsm::check(ebpf) {
        Ok(()) => Ok(Some(Lsm::attach(ebpf, pins)?)),
        Err(error) => {
            tracing::info!(reason = &error as &dyn std::error::Error, "there are no programs on security hooks");
            Ok(None)
        }
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
