//! From a privileged process to a workload's command, in place: what the command could undo capture with is gone
//! before it runs, and terminal, signals and exit status are its own.

use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::PathBuf,
    process::Command,
};

use caps::{CapSet, Capability};
use nix::unistd::{Gid, Uid, User, getgrouplist, setgroups, setresgid, setresuid};
use thiserror::Error;

use super::seccomp;

/// Why a command was not started.
#[derive(Debug, Error)]
pub enum LaunchError {
    #[error("there is no user `{0}`")]
    UnknownUser(String),
    #[error("a workload must not run as root: root owns the cgroups, and leaves them")]
    Root,
    #[error("file descriptor {0} is a network socket made outside of the workload")]
    InheritedSocket(i32),
    #[error("failed to {action}")]
    System { action: &'static str, source: io::Error },
    #[error("failed to run `{}`", .program.display())]
    Exec { program: PathBuf, source: io::Error },
}

impl LaunchError {
    /// As shells have it: 127 when the command was not found, 126 when it could not be run.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::UnknownUser(_) | Self::Root | Self::InheritedSocket(_) | Self::System { .. } | Self::Exec { .. } => {
                126
            }
        }
    }
}

/// As whom a command runs: never root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    name: CString,
    uid: Uid,
    gid: Gid,
    home: PathBuf,
    shell: PathBuf,
}

impl Identity {
    /// A user by name or number.
    pub fn find(user: &str) -> Result<Self, LaunchError> {
        let found = match user.parse() {
            Ok(uid) => User::from_uid(Uid::from_raw(uid)),
            Err(_) => User::from_name(user),
        };
        let system = |source: nix::Error| LaunchError::System { action: "look up the user", source: source.into() };
        Self::of(found.map_err(system)?.ok_or_else(|| LaunchError::UnknownUser(user.into()))?)
    }

    fn of(user: User) -> Result<Self, LaunchError> {
        if user.uid.is_root() {
            return Err(LaunchError::Root);
        }
        let name = CString::new(user.name.as_bytes()).map_err(|_| LaunchError::UnknownUser(user.name.clone()))?;
        Ok(Self { name, uid: user.uid, gid: user.gid, home: user.dir, shell: user.shell })
    }

    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }
}

/// Becomes the command, in this process; returns only on failure. The caller has been admitted and has probed.
///
/// With a change of user, `HOME`, `USER`, `LOGNAME` and `SHELL` become the user's; the rest of the environment stays.
pub fn exec(identity: &Identity, program: &OsStr, arguments: &[OsString]) -> LaunchError {
    match confine(identity) {
        Ok(changed) => {
            let mut command = Command::new(program);
            command.args(arguments);
            if changed {
                let name = OsStr::from_bytes(identity.name.as_bytes());
                command
                    .env("HOME", &identity.home)
                    .env("SHELL", &identity.shell)
                    .env("USER", name)
                    .env("LOGNAME", name);
            }
            LaunchError::Exec { program: program.into(), source: command.exec() }
        }
        Err(error) => error,
    }
}

/// Gives everything up, in an order in which each step still may be taken; answers whether the user changed.
fn confine(identity: &Identity) -> Result<bool, LaunchError> {
    refuse_inherited_sockets()?;
    close_other_descriptors()?;
    let changed = !(Uid::effective() == identity.uid && Uid::current() == identity.uid);
    drop_bounding_set()?;
    if changed {
        become_user(identity)?;
    }
    drop_capabilities()?;
    forbid_new_privileges()?;
    seccomp::install().map_err(|source| LaunchError::System { action: "install the system call filter", source })?;
    Ok(changed)
}

/// A socket that was made outside of the workload is captured by nothing.
fn refuse_inherited_sockets() -> Result<(), LaunchError> {
    let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
    for descriptor in [input.as_fd(), output.as_fd(), error.as_fd()] {
        match family(descriptor) {
            None | Some(libc::AF_UNIX) => {}
            Some(_) => return Err(LaunchError::InheritedSocket(descriptor.as_raw_fd())),
        }
    }
    Ok(())
}

/// A socket's address family; `None` when it is no socket.
fn family(descriptor: BorrowedFd<'_>) -> Option<libc::c_int> {
    let mut family: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: writes at most `length` bytes into `family`.
    let answer = unsafe {
        let value = (&raw mut family).cast();
        libc::getsockopt(descriptor.as_raw_fd(), libc::SOL_SOCKET, libc::SO_DOMAIN, value, &raw mut length)
    };
    (answer == 0).then_some(family)
}

fn close_other_descriptors() -> Result<(), LaunchError> {
    // SAFETY: nothing here uses a descriptor above 2 any more; `exec` follows.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    check(closed, "close the inherited files")
}

/// Also where the caller is not root: what it may not drop, it does not have.
fn drop_bounding_set() -> Result<(), LaunchError> {
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        return Ok(());
    }
    caps::clear(None, CapSet::Bounding).map_err(capability)
}

fn become_user(identity: &Identity) -> Result<(), LaunchError> {
    let system = |action| move |source: nix::Error| LaunchError::System { action, source: source.into() };
    let groups = getgrouplist(&identity.name, identity.gid).map_err(system("look up the user's groups"))?;
    setgroups(&groups).map_err(system("set the groups"))?;
    setresgid(identity.gid, identity.gid, identity.gid).map_err(system("set the group"))?;
    setresuid(identity.uid, identity.uid, identity.uid).map_err(system("set the user"))
}

fn drop_capabilities() -> Result<(), LaunchError> {
    for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set).map_err(capability)?;
    }
    Ok(())
}

fn capability(error: caps::errors::CapsError) -> LaunchError {
    LaunchError::System { action: "drop capabilities", source: io::Error::other(error.to_string()) }
}

fn forbid_new_privileges() -> Result<(), LaunchError> {
    // SAFETY: takes numbers only.
    let answer = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    check(answer.into(), "forbid new privileges")
}

fn check(answer: libc::c_long, action: &'static str) -> Result<(), LaunchError> {
    if answer < 0 { Err(LaunchError::System { action, source: io::Error::last_os_error() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_no_identity() {
        assert!(matches!(Identity::find("root"), Err(LaunchError::Root)));
        assert!(matches!(Identity::find("0"), Err(LaunchError::Root)));
        assert!(matches!(Identity::find("no-such-user"), Err(LaunchError::UnknownUser(_))));
        assert!(Identity::find("nobody").is_ok());
    }

    #[test]
    fn exit_statuses_are_a_shells() {
        let exec = |kind: io::ErrorKind| LaunchError::Exec { program: "x".into(), source: kind.into() };
        assert_eq!(exec(io::ErrorKind::NotFound).exit_status(), 127);
        assert_eq!(exec(io::ErrorKind::PermissionDenied).exit_status(), 126);
        assert_eq!(LaunchError::Root.exit_status(), 126);
    }
}
