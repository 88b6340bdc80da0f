//! What a command finds open: input, output and error, and only what cannot reach around the gate.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        socket::{SockType, SockaddrStorage, getpeername, getsockopt, sockopt},
        stat::{FileStat, SFlag, fstat, major, minor},
        statfs::{FsType, HUGETLBFS_MAGIC, TMPFS_MAGIC, fstatfs},
    },
    unistd::{dup2_stderr, dup2_stdin, dup2_stdout},
};

use super::error::{LaunchError, check, system};

/// Refuses what a command may not find as its input, output or error.
///
/// A socket made elsewhere is captured by nothing, a directory leads out of the jail's file systems, a device or an
/// object without a name (a ring, a map, a tunnel) leads past the network.
pub(super) fn refuse_inherited() -> Result<(), LaunchError> {
    let (input, output, error) = (io::stdin(), io::stdout(), io::stderr());
    for descriptor in [input.as_fd(), output.as_fd(), error.as_fd()] {
        if let Some(what) = refused(descriptor)? {
            return Err(LaunchError::InheritedDescriptor { descriptor: descriptor.as_raw_fd(), what });
        }
    }
    Ok(())
}

/// Those of input, output and error that are files open for writing.
pub(super) fn written() -> io::Result<Vec<BorrowedFd<'static>>> {
    let mut written = Vec::new();
    for number in 0..3 {
        // SAFETY: whoever calls leaves input, output and error open, or closed, as they are.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        match fstat(descriptor) {
            Ok(status) if kind(&status) == SFlag::S_IFREG && is_for_writing(descriptor)? => written.push(descriptor),
            Ok(_) | Err(nix::Error::EBADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(written)
}

/// Lets go of input, output and, where said, error: who reads what is written there sees the end of it when others let
/// go as well.
pub(super) fn let_go(error: bool) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    if error { Ok(dup2_stderr(&null)?) } else { Ok(()) }
}

/// Closes everything above error. The caller holds nothing there yet.
pub(super) fn close_others() -> Result<(), LaunchError> {
    close_range(0)
}

/// Lets nothing above error be inherited by the command.
pub(super) fn close_others_on_exec() -> Result<(), LaunchError> {
    close_range(libc::CLOSE_RANGE_CLOEXEC)
}

fn close_range(flags: libc::c_uint) -> Result<(), LaunchError> {
    // SAFETY: takes numbers only; whoever calls uses no descriptor above error any more.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, flags) };
    check(closed, "close the inherited files").map(drop)
}

/// What a descriptor is, if it is refused. One that is closed is harmless.
fn refused(descriptor: BorrowedFd<'_>) -> Result<Option<&'static str>, LaunchError> {
    let status = match fstat(descriptor) {
        Err(nix::Error::EBADF) => return Ok(None),
        status => status.map_err(system("look at the inherited files"))?,
    };
    Ok(match kind(&status) {
        SFlag::S_IFREG if rules(descriptor).map_err(system("look at the inherited files"))? => {
            Some("a file of the kernel's, open for writing")
        }
        SFlag::S_IFREG | SFlag::S_IFIFO => None,
        SFlag::S_IFCHR if is_harmless(major(status.st_rdev), minor(status.st_rdev)) => None,
        SFlag::S_IFCHR if nix::unistd::isatty(descriptor).unwrap_or(false) => None,
        SFlag::S_IFSOCK if is_connected_pipe(descriptor) => None,
        SFlag::S_IFSOCK => Some("a socket made outside of the workload"),
        SFlag::S_IFDIR => Some("a directory"),
        SFlag::S_IFCHR | SFlag::S_IFBLK => Some("a device"),
        _ => Some("no file"),
    })
}

fn kind(status: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT
}

fn is_for_writing(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    let flags = OFlag::from_bits_truncate(fcntl(descriptor, FcntlArg::F_GETFL)?);
    Ok(flags & OFlag::O_ACCMODE != OFlag::O_RDONLY)
}

/// Whether a file rules something when it is written, as those of cgroups and of `/proc` do: whoever opened it may do
/// what the workload may not. Their file systems hold no blocks; others that hold none are in memory.
fn rules(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    /// `linux/magic.h`.
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
    let file_system = fstatfs(descriptor)?;
    let in_memory = [TMPFS_MAGIC, RAMFS_MAGIC, HUGETLBFS_MAGIC].contains(&file_system.filesystem_type());
    Ok(file_system.blocks() == 0 && !in_memory && is_for_writing(descriptor)?)
}

/// The memory devices that every program knows: null, zero, full, random, urandom.
fn is_harmless(major: u64, minor: u64) -> bool {
    major == 1 && matches!(minor, 3 | 5 | 7 | 8 | 9)
}

/// Whether a socket can do no more than a pipe: it has its one peer, on this host, for good.
fn is_connected_pipe(descriptor: BorrowedFd<'_>) -> bool {
    let Ok(kind) = getsockopt(&descriptor, sockopt::SockType) else { return false };
    let peer = getpeername::<SockaddrStorage>(descriptor.as_raw_fd());
    matches!(kind, SockType::Stream | SockType::SeqPacket) && peer.is_ok_and(|peer| peer.as_unix_addr().is_some())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        net::{TcpListener, UdpSocket},
        os::unix::net::{UnixDatagram, UnixListener, UnixStream},
        path::Path,
    };

    use super::*;

    fn answer(descriptor: &impl AsFd) -> Option<&'static str> {
        refused(descriptor.as_fd()).unwrap()
    }

    #[test]
    fn files_pipes_and_connected_sockets_are_taken() {
        let (reader, writer) = io::pipe().unwrap();
        let (one, other) = UnixStream::pair().unwrap();
        assert_eq!(answer(&reader), None);
        assert_eq!(answer(&writer), None);
        assert_eq!(answer(&one), None);
        assert_eq!(answer(&other), None);
        assert_eq!(answer(&File::open("/dev/null").unwrap()), None);
        assert_eq!(answer(&File::open("/etc/passwd").unwrap()), None);
    }

    #[test]
    fn what_reaches_out_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(answer(&TcpListener::bind("127.0.0.1:0").unwrap()).is_some());
        assert!(answer(&UdpSocket::bind("127.0.0.1:0").unwrap()).is_some());
        assert!(answer(&UnixListener::bind(directory.path().join("s")).unwrap()).is_some());
        assert!(answer(&UnixDatagram::pair().unwrap().0).is_some());
        assert!(answer(&UnixDatagram::unbound().unwrap()).is_some());
        assert_eq!(answer(&File::open("/").unwrap()), Some("a directory"));
    }

    #[test]
    fn a_file_that_rules_the_kernel_is_taken_for_reading_only() {
        let path = "/proc/self/comm";
        assert_eq!(answer(&File::open(path).unwrap()), None);
        let written = File::options().write(true).open(path).unwrap();
        assert_eq!(answer(&written), Some("a file of the kernel's, open for writing"));
        for place in [Path::new("/dev/shm"), Path::new("/tmp"), Path::new(env!("CARGO_MANIFEST_DIR"))] {
            assert_eq!(answer(&tempfile::tempfile_in(place).unwrap()), None, "{}", place.display());
        }
    }
}
