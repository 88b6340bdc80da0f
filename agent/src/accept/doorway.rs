//! Who came through a doorway: the daemon's listening socket where a workload expects a server's.

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use nix::time::{ClockId, clock_gettime};
use tokio::net::UnixStream;

use super::identity::cgroup_of;
use crate::{
    capture::{Capture, Origin},
    target::{OriginalDestination, SocketPath},
};

/// `include/uapi/asm-generic/socket.h`, since Linux 6.5.
const SO_PEERPIDFD: libc::c_int = 77;

/// One workload's way to one target. A process of no other workload comes through, root's included.
#[derive(Clone, Debug)]
pub struct Doorway {
    path: SocketPath,
    keeper: Keeper,
}

/// Whose doorway it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Keeper {
    /// The jail's in this cgroup, below the mount.
    Jail(PathBuf),
    /// The workload's of this name, in whichever cgroups it was found.
    Workload(Arc<str>),
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jail(cgroup) => write!(f, "in `{}`", cgroup.display()),
            Self::Workload(name) => write!(f, "of the workload `{name}`"),
        }
    }
}

/// Why a connection through a doorway was refused.
#[derive(Debug, thiserror::Error)]
pub enum DoorwayError {
    #[error("the kernel does not say who connected")]
    Unnamed(#[source] io::Error),
    #[error("the connecting process {pid} has ended")]
    Gone { pid: u32 },
    #[error("process {pid} of user {uid} in `{}` is not {keeper}", cgroup.display())]
    Stranger { pid: u32, uid: u32, cgroup: PathBuf, keeper: Keeper },
}

impl Doorway {
    pub fn new(path: SocketPath, keeper: Keeper) -> Self {
        Self { path, keeper }
    }

    /// What the workload dials.
    pub fn path(&self) -> &SocketPath {
        &self.path
    }

    /// The origin of a connection: who called `connect`, as the kernel kept it (unix(7), `SO_PEERCRED`).
    ///
    /// From Linux 6.5 on, the process is held by a descriptor while its cgroup is read. Before, a process that ends in
    /// between may be mistaken for one that got its number: the doorway's directory, which only its workload sees,
    /// then is what keeps strangers out.
    pub fn origin(&self, stream: &UnixStream, capture: &Capture) -> Result<Origin, DoorwayError> {
        let peer = stream.peer_cred().map_err(DoorwayError::Unnamed)?;
        let (pid, uid) = (peer.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default(), peer.uid());
        let process = peer_process(stream).map_err(|_| DoorwayError::Gone { pid })?;
        let cgroup = cgroup_of(pid).ok_or(DoorwayError::Gone { pid })?;
        if process.is_some_and(|process| !is_there(&process)) {
            return Err(DoorwayError::Gone { pid });
        }
        let cgroup_id = capture.cgroup_id(&cgroup).ok_or(DoorwayError::Gone { pid })?;
        let is_own = match &self.keeper {
            Keeper::Jail(tree) => cgroup.starts_with(tree),
            Keeper::Workload(name) => capture.workload(cgroup_id).is_ok_and(|workload| workload.name == *name),
        };
        if !is_own {
            return Err(DoorwayError::Stranger { pid, uid, cgroup, keeper: self.keeper.clone() });
        }
        Ok(Origin {
            destination: OriginalDestination::Unix(self.path.clone()),
            pid,
            uid,
            cgroup_id,
            netns_cookie: 0,
            connected_at: since_boot(),
        })
    }
}

/// The process that connected; `None` where the kernel cannot hold it (before Linux 6.5).
fn peer_process(stream: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut descriptor: libc::c_int = -1;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the value is as long as said, and both outlive the call.
    let answer = unsafe {
        let value = std::ptr::from_mut(&mut descriptor).cast();
        libc::getsockopt(stream.as_fd().as_raw_fd(), libc::SOL_SOCKET, SO_PEERPIDFD, value, &mut length)
    };
    match answer {
        // SAFETY: a new descriptor that is ours.
        0 if descriptor >= 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) })),
        0 => Err(io::ErrorKind::NotFound.into()),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(None),
            error => Err(error),
        },
    }
}

/// Whether a process still has its number: it runs, or its parent has not collected it.
fn is_there(process: &OwnedFd) -> bool {
    // SAFETY: takes numbers and a null pointer, sends nothing.
    let sent = unsafe {
        let nothing = std::ptr::null::<libc::siginfo_t>();
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), 0, nothing, 0)
    };
    sent == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// Nanoseconds since boot, sleep included.
fn since_boot() -> u64 {
    const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
    let Ok(time) = clock_gettime(ClockId::CLOCK_BOOTTIME) else { return 0 };
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    part(time.tv_sec()) * NANOSECONDS_PER_SECOND + part(time.tv_nsec())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_process_that_has_ended_is_not_there() {
        let (one, _other) = UnixStream::pair().unwrap();
        let own = peer_process(&one).unwrap().expect("a kernel of 6.5 or newer");
        assert!(is_there(&own));

        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let script = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()";
        let mut child = Command::new("python3").args(["-c", script]).arg(&path).stdin(Stdio::piped()).spawn().unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let process = peer_process(&accepted).unwrap().unwrap();
        assert!(is_there(&process));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!is_there(&process));
    }
}
