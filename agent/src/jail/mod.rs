//! The jail: what a command that `portcullis run` starts can no longer do, before its first instruction.
//!
//! Capture holds what a process sends; the jail takes away what would reach around capture.
//!
//! ```text
//! caller ── supervisor ───────────── first process (pid 1) ───────── command (pid 2)
//!           the workload's user      makes the view, gives up,       its own session and
//!           passes signals and the   collects orphans, says how      terminal; everything
//!           terminal on              the command ended               below inherits the jail
//! ```
//!
//! | taken away | by |
//! |---|---|
//! | the host's network | a network namespace with nothing but the loopback ([`network`]) |
//! | other processes | a pid namespace, a user of the workload's own, a Landlock domain |
//! | files and named pipes outside, for writing | mounts for reading only, the Landlock domain ([`domain`]) |
//! | meeting places: `/run`, `/tmp`, sockets, devices, the kernel's file systems | a mount namespace ([`view`]) |
//! | privileges, and ways to get any | no capabilities, `no_new_privs` ([`confinement`]) |
//! | sockets of other kinds, namespaces, mounts, tracing, rings, keys | a system call filter ([`seccomp`]) |
//! | what was open | refused or closed ([`descriptors`]) |
//! | containers started outside | a refusal where their daemon's socket would be ([`refusal`]) |
//! | the caller's terminal | a terminal of its own ([`terminal`]) |

pub mod launcher;

mod accounts;
mod bind;
mod channel;
mod confinement;
mod descriptors;
mod devices;
mod domain;
mod environment;
mod error;
mod facts;
mod hidden;
mod identity;
mod idmap;
mod init;
mod mount;
mod network;
mod refusal;
mod relay;
mod seccomp;
mod signals;
mod supervisor;
mod terminal;
mod trust;
mod view;

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::{ForkResult, Uid, fork},
};

pub use bind::{BINDS_MAX, Bind, BindError};
pub use channel::Ended;
pub use error::LaunchError;
pub use facts::facts;
pub use identity::Identity;

use domain::Writable;
use environment::Environment;
use error::system;
use terminal::Outer;
use trust::Trust;
use view::View;

/// A Unix socket, or a directory of them, that stands in the jail at a path, whatever else is hidden.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opening {
    /// Where the workload finds it.
    pub path: PathBuf,
    /// Where it is on the host.
    pub source: PathBuf,
}

/// A jail that is begun: this process is in a network namespace of its own, and holds nothing from outside but its
/// input, output and error.
///
/// The caller makes no threads, here or later.
#[derive(Debug)]
pub struct Jail {
    binds: Vec<Bind>,
    directory: PathBuf,
    /// Seen before the host's network was left.
    sockets: BTreeSet<PathBuf>,
    trust: Option<Trust>,
}

impl Jail {
    /// Leaves the host's network, after everything that can be checked has been.
    pub fn begin(binds: &[OsString]) -> Result<Self, LaunchError> {
        descriptors::refuse_inherited()?;
        descriptors::close_others()?;
        if !Uid::effective().is_root() {
            return Err(LaunchError::NotRoot);
        }
        let binds = Bind::parse_all(binds)?;
        let directory = env::current_dir().map_err(system("find the working directory"))?;
        let sockets = hidden::sockets()?;
        network::enter()?;
        Ok(Self { binds, directory, sockets, trust: None })
    }

    /// Lets the command trust an authority, given as PEM, as if it were among the host's.
    pub fn trust(&mut self, authority: &str) -> Result<(), LaunchError> {
        self.trust = Some(Trust::of(authority)?);
        Ok(())
    }

    /// Runs a command as its supervisor, and answers how it ended.
    ///
    /// By then this process has given up what it does not need, for good: end soon.
    pub fn run(
        self,
        identity: &Identity,
        openings: &[Opening],
        variables: &[(OsString, OsString)],
        program: &OsStr,
        arguments: &[OsString],
    ) -> Result<Ended, LaunchError> {
        let terminal = Outer::find();
        let trusted = if self.trust.is_some() { trust::variables() } else { Vec::new() };
        let environment = Environment::of_jail(identity, &trusted, variables);
        let view = View::take(identity, &self.binds, openings, self.sockets, self.trust)?;
        let signals = signals::watch().map_err(system("watch for signals"))?;
        let (ours, theirs) = channel::pair().map_err(system("make a channel"))?;
        unshare(CloneFlags::CLONE_NEWPID).map_err(system("make a pid namespace"))?;
        let task = init::Task {
            identity,
            view,
            directory: &self.directory,
            environment: &environment,
            program,
            arguments,
            terminal: terminal.as_ref().map(Outer::manner),
        };
        // SAFETY: this process has one thread, so that the child may do what it likes.
        match unsafe { fork() }.map_err(system("start the jail's first process"))? {
            ForkResult::Child => {
                drop(ours);
                init::run(task, &theirs)
            }
            ForkResult::Parent { child } => {
                drop((task, theirs));
                if terminal.is_none() {
                    // Errors of the jail are still told.
                    descriptors::let_go(false).map_err(system("let go of input and output"))?;
                }
                // It opens nothing any more.
                confinement::confine(identity, &Writable::Below(Vec::new()))?;
                confinement::close_to_others()?;
                supervisor::supervise(child, ours, &signals, terminal)
            }
        }
    }
}
