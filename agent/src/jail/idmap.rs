//! User namespaces that nobody lives in: they say whose a file is, inside and outside.
//!
//! Source: <https://docs.kernel.org/filesystems/idmappings.html>. Linux 5.12; ext4, xfs and btrfs have it, tmpfs
//! since 6.3.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::wait::waitpid,
    unistd::{ForkResult, Gid, Uid, fork},
};

use super::Identity;

/// What one owner's files are to a workload.
#[derive(Debug)]
pub(super) struct IdMap {
    owner: (Uid, Gid),
    namespace: OwnedFd,
}

impl IdMap {
    /// The map of one owner to the workload; one that was made before serves again.
    pub(super) fn find_or_make<'a>(
        maps: &'a mut Vec<Self>,
        owner: (Uid, Gid),
        identity: &Identity,
    ) -> io::Result<BorrowedFd<'a>> {
        let known = maps.iter().position(|map| map.owner == owner);
        let at = match known {
            Some(at) => at,
            None => {
                maps.push(Self { owner, namespace: make(owner, identity)? });
                maps.len() - 1
            }
        };
        maps.get(at).map(|map| map.namespace.as_fd()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// Makes the namespace by a child that lives as long as it takes to open it.
fn make((uid, gid): (Uid, Gid), identity: &Identity) -> io::Result<OwnedFd> {
    let (mut made, tell_made) = io::pipe()?;
    let (wait_done, done) = io::pipe()?;
    // SAFETY: this process has one thread, so that the child may do what it likes.
    let child = match unsafe { fork() }? {
        ForkResult::Child => {
            drop((made, done));
            live(tell_made, wait_done)
        }
        ForkResult::Parent { child } => child,
    };
    drop((tell_made, wait_done));
    let opened = made.read_exact(&mut [0]).and_then(|()| {
        fs::write(format!("/proc/{child}/uid_map"), format!("{uid} {} 1\n", identity.uid()))?;
        fs::write(format!("/proc/{child}/gid_map"), format!("{gid} {} 1\n", identity.gid()))?;
        File::open(format!("/proc/{child}/ns/user"))
    });
    drop(done);
    waitpid(child, None)?;
    Ok(opened?.into())
}

/// The child: enters a new namespace, says so, and ends when it is told.
fn live(mut tell_made: impl Write, mut wait_done: impl Read) -> ! {
    let made = unshare(CloneFlags::CLONE_NEWUSER).is_ok() && tell_made.write_all(&[1]).is_ok();
    drop(tell_made);
    let _ = wait_done.read(&mut [0]);
    // SAFETY: ends this process without running what its parent has registered.
    unsafe { libc::_exit(i32::from(!made)) }
}
