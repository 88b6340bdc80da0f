//! Network namespaces: each has a loopback of its own, and only where the daemon listens does it lead to the daemon.
//!
//! The kernel knows a namespace by its cookie, a number that is never given twice (`SO_NETNS_COOKIE`, Linux 5.14).
//! A namespace whose cookie is not allowed is no way out: the programs refuse every connect in it.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    thread,
};

use nix::{
    ifaddrs::getifaddrs,
    net::if_::InterfaceFlags,
    sched::{CloneFlags, setns},
};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

/// What the programs know a namespace by.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NamespaceId(u64);

impl NamespaceId {
    /// What `Origin::netns_cookie` of its connections is.
    pub fn cookie(self) -> u64 {
        self.0
    }

    /// That of the namespace that the calling thread is in.
    pub(super) fn current() -> io::Result<Self> {
        // Goes nowhere: it is only asked where it is.
        let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        Self::of_socket(socket.as_fd())
    }

    /// That of the namespace that a socket was made in.
    pub fn of_socket(socket: BorrowedFd<'_>) -> io::Result<Self> {
        cookie(socket).map(Self)
    }

    pub(super) fn of(netns: BorrowedFd<'_>) -> io::Result<Self> {
        enter_and(netns, Self::current)
    }

    pub(super) fn from_cookie(cookie: u64) -> Self {
        Self(cookie)
    }
}

/// Tells namespaces apart by their file (namespaces(7)): no two that are there at one moment have the same.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
pub struct NamespaceFile {
    device: u64,
    inode: u64,
}

impl NamespaceFile {
    /// Of a process, without opening anything.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        std::fs::metadata(path(pid)).map(|metadata| Self::of(&metadata))
    }

    fn of(metadata: &std::fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// An open network namespace; it lasts at least as long as this.
#[derive(Debug)]
pub struct Namespace {
    descriptor: File,
    file: NamespaceFile,
}

impl Namespace {
    /// That of a process, which may be another one's by now where the pid was given again: look at the process after.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::open(&path(pid))
    }

    /// That of this process.
    pub fn own() -> io::Result<Self> {
        Self::open("/proc/self/ns/net")
    }

    fn open(path: &str) -> io::Result<Self> {
        let descriptor = File::open(path)?;
        let file = NamespaceFile::of(&descriptor.metadata()?);
        Ok(Self { descriptor, file })
    }

    pub fn file(&self) -> NamespaceFile {
        self.file
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Makes something in another network namespace, by a thread that enters it and ends there. Blocks until then.
///
/// Sockets stay in the namespace that they were made in, and in the cgroup of this process.
pub fn enter_and<T: Send>(netns: BorrowedFd<'_>, make: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let visit = move || {
            setns(netns, CloneFlags::CLONE_NEWNET)?;
            make()
        };
        let visitor = thread::Builder::new().name("visitor".into()).spawn_scoped(scope, visit)?;
        visitor.join().unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
    })
}

/// Whether the loopback interface is up in the namespace that the calling thread is in. While it is down, a socket can
/// be bound to its addresses all the same, but nobody reaches it.
pub fn is_loopback_up() -> io::Result<bool> {
    let wanted = InterfaceFlags::IFF_LOOPBACK | InterfaceFlags::IFF_UP;
    Ok(getifaddrs()?.any(|interface| interface.flags.contains(wanted)))
}

fn path(pid: u32) -> String {
    format!("/proc/{pid}/ns/net")
}

/// The cookie of the namespace that a socket was made in.
fn cookie(socket: BorrowedFd<'_>) -> io::Result<u64> {
    /// `SO_NETNS_COOKIE` of `asm-generic/socket.h`.
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    let value = (&raw mut cookie).cast();
    // SAFETY: writes at most `length` bytes into `cookie`.
    let answer =
        unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, SO_NETNS_COOKIE, value, &raw mut length) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(cookie) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_known_by_its_file() {
        let own = Namespace::own().unwrap();
        assert_eq!(own.file(), NamespaceFile::of_process(std::process::id()).unwrap());
        assert_eq!(Namespace::of_process(u32::MAX).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_fails_in_a_namespace_is_told_outside() {
        let no_namespace = File::open("/dev/null").unwrap();
        let entered = enter_and(no_namespace.as_fd(), || Ok(()));
        assert_eq!(entered.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
