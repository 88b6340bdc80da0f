//! Gives up everything that capture or the jail could be undone with: what a process and its descendants never get
//! back.

use std::io;

use caps::{CapSet, Capability};
use nix::{
    sys::resource::{Resource, setrlimit},
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};

use super::{
    Identity,
    domain::{self, Writable},
    error::{LaunchError, check, system},
    seccomp,
};

/// Gives everything up, in an order in which each step still may be taken.
///
/// What holds from here on, for this process and all that it starts: the user, no capability and none to be had, no
/// gain by a setuid program or file capabilities, the Landlock domain, the system call filter.
pub(super) fn confine(identity: &Identity, writable: &Writable) -> Result<(), LaunchError> {
    leave_session_keyring()?;
    forbid_core_dumps()?;
    drop_bounding_set()?;
    if Uid::effective() != identity.uid() || Uid::current() != identity.uid() {
        become_user(identity)?;
    }
    drop_capabilities()?;
    forbid_new_privileges()?;
    domain::enter(writable)?;
    seccomp::install().map_err(system("install the system call filter"))
}

/// What only this process needs: nobody may look into it, not even its own user.
pub(super) fn close_to_others() -> Result<(), LaunchError> {
    // SAFETY: takes numbers only.
    let answer = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    check(answer.into(), "close the process to others").map(drop)
}

/// The caller's keys stay outside: a file system may use the session's without being asked.
fn leave_session_keyring() -> Result<(), LaunchError> {
    // SAFETY: a null name makes an anonymous keyring, keyctl(2).
    let answer = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, 0) };
    match io::Error::last_os_error() {
        error if answer < 0 && error.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        error if answer < 0 => Err(system("leave the session keyring")(error)),
        _ => Ok(()),
    }
}

/// One byte: neither a file nor a helper is given a dump, core(5). A helper would run outside, as root.
fn forbid_core_dumps() -> Result<(), LaunchError> {
    setrlimit(Resource::RLIMIT_CORE, 1, 1).map_err(system("forbid core dumps"))
}

/// Also where the caller is not root: what it may not drop, it does not have.
fn drop_bounding_set() -> Result<(), LaunchError> {
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).unwrap_or(false) {
        return Ok(());
    }
    caps::clear(None, CapSet::Bounding).map_err(capability)
}

fn become_user(identity: &Identity) -> Result<(), LaunchError> {
    let (uid, gid): (Uid, Gid) = (identity.uid(), identity.gid());
    setgroups(identity.groups()).map_err(system("set the groups"))?;
    setresgid(gid, gid, gid).map_err(system("set the group"))?;
    setresuid(uid, uid, uid).map_err(system("set the user"))
}

fn drop_capabilities() -> Result<(), LaunchError> {
    for set in [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set).map_err(capability)?;
    }
    Ok(())
}

fn capability(error: caps::errors::CapsError) -> LaunchError {
    system("drop capabilities")(io::Error::other(error.to_string()))
}

fn forbid_new_privileges() -> Result<(), LaunchError> {
    // SAFETY: takes numbers only.
    let answer = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    check(answer.into(), "forbid new privileges").map(drop)
}
