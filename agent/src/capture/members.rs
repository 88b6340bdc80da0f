//! Who lives in a cgroup and below it, and what they have open.

use std::{
    collections::HashSet,
    fs, io,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

/// Most processes of one cgroup that are looked at; of more, nothing is known.
pub const MEMBERS_MAX: usize = 65_536;

/// The processes of a cgroup with everything below, as they were when it was read.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) pids: Vec<u32>,
    /// The ids of the cgroup and of those below.
    pub(super) cgroups: HashSet<u64>,
}

impl Members {
    /// # Errors
    /// `PermissionDenied` where a process is in a PID namespace that this one does not see into; `QuotaExceeded` beyond [`MEMBERS_MAX`]; `Unsupported` where the cgroup is threaded: its processes are listed
    /// above it (cgroups(7)).
    pub(super) fn of(directory: &Path) -> io::Result<Self> {
        let mut members = Self::default();
        members.read(directory)?;
        let mut waiting = children(directory)?;
        while let Some(directory) = waiting.pop() {
            // A cgroup that is gone in the meantime has nobody; a threaded one's processes are listed in its domain.
            if members.read(&directory).or_else(gone_or_threaded)? {
                waiting.extend(children(&directory).unwrap_or_default());
            }
            if members.pids.len() > MEMBERS_MAX {
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
        }
        Ok(members)
    }

    fn read(&mut self, directory: &Path) -> io::Result<bool> {
        let id = fs::metadata(directory)?.ino();
        let listed = fs::read_to_string(directory.join("cgroup.procs"))?;
        for line in listed.lines() {
            match line.parse() {
                // Of a PID namespace that is none of ours or below: nothing can be known of it.
                Ok(0) | Err(_) => return Err(io::ErrorKind::PermissionDenied.into()),
                Ok(pid) => self.pids.push(pid),
            }
        }
        Ok(self.cgroups.insert(id))
    }
}

fn gone_or_threaded(error: io::Error) -> io::Result<bool> {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV) => Ok(false),
        Some(libc::EOPNOTSUPP) => Ok(true),
        Some(_) | None => Err(error),
    }
}

fn children(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut children = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            children.push(entry.path());
        }
    }
    Ok(children)
}

/// One open descriptor of a process.
#[derive(Clone, Debug)]
pub(super) struct Descriptor {
    pub(super) pid: u32,
    pub(super) number: i32,
    /// What `/proc/PID/fd` shows: `socket:[17]`, `anon_inode:[io_uring]`, a path.
    pub(super) link: String,
    /// Whether only a thread of the process has it, in a table of its own.
    pub(super) of_thread: bool,
}

impl Descriptor {
    /// The number of a socket's inode.
    pub(super) fn socket(&self) -> Option<u32> {
        self.link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    }

    /// A descriptor of ours for the same open file. Needs CAP_SYS_PTRACE; Linux 5.6.
    pub(super) fn borrow(&self) -> io::Result<OwnedFd> {
        if self.of_thread {
            return Err(io::ErrorKind::Unsupported.into());
        }
        // SAFETY: takes numbers; answers with a new descriptor that is ours, or fails.
        let process = unsafe { owned(libc::syscall(libc::SYS_pidfd_open, self.pid, 0)) }?;
        let process = std::os::fd::AsRawFd::as_raw_fd(&process);
        // SAFETY: as above.
        unsafe { owned(libc::syscall(libc::SYS_pidfd_getfd, process, self.number, 0)) }
    }
}

/// # Safety
/// A number that is not negative must be a descriptor that belongs to nobody else.
unsafe fn owned(answer: libc::c_long) -> io::Result<OwnedFd> {
    match answer {
        0.. => Ok(unsafe { OwnedFd::from_raw_fd(answer as libc::c_int) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Everything that a process has open, in every table of its threads. One that has ended has nothing.
pub(super) fn descriptors(pid: u32) -> io::Result<Vec<Descriptor>> {
    let mut found = Vec::new();
    let process = PathBuf::from(format!("/proc/{pid}"));
    if read_table(&process.join("fd"), pid, false, &mut found)?.is_none() {
        return Ok(found);
    }
    let threads = match fs::read_dir(process.join("task")) {
        Ok(threads) => threads,
        Err(error) if is_gone(&error) => return Ok(found),
        Err(error) => return Err(error),
    };
    for thread in threads {
        let Ok(thread) = thread else { continue };
        let Some(id) = thread.file_name().to_str().and_then(|id| id.parse::<u32>().ok()) else { continue };
        if id != pid && !shares_table(pid, id) {
            read_table(&thread.path().join("fd"), pid, true, &mut found)?;
        }
    }
    Ok(found)
}

fn read_table(table: &Path, pid: u32, of_thread: bool, found: &mut Vec<Descriptor>) -> io::Result<Option<()>> {
    let entries = match fs::read_dir(table) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    for entry in entries {
        // What is closed or ends in the meantime is not held.
        let Ok(entry) = entry else { continue };
        let Some(number) = entry.file_name().to_str().and_then(|number| number.parse().ok()) else { continue };
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        found.push(Descriptor { pid, number, link: link.to_string_lossy().into_owned(), of_thread });
    }
    Ok(Some(()))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH))
}

/// Whether a thread uses the descriptors of its process, as all do that were not made otherwise (`kcmp(2)`).
fn shares_table(pid: u32, thread: u32) -> bool {
    const KCMP_FILES: libc::c_int = 2;
    // SAFETY: takes numbers, answers a number.
    unsafe { libc::syscall(libc::SYS_kcmp, pid, thread, KCMP_FILES, 0, 0) == 0 }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, os::fd::AsRawFd};

    use super::*;

    #[test]
    fn an_open_socket_is_found_and_borrowed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let found = descriptors(std::process::id()).unwrap();
        let own = found.iter().find(|found| found.number == listener.as_raw_fd()).unwrap();
        let inode = fs::metadata(format!("/proc/self/fd/{}", own.number)).unwrap().ino();
        assert_eq!(own.socket().map(u64::from), Some(inode));
        let borrowed = TcpListener::from(own.borrow().unwrap());
        assert_eq!(borrowed.local_addr().unwrap(), listener.local_addr().unwrap());
    }

    #[test]
    fn a_table_of_a_threads_own_is_read_too() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            // SAFETY: takes a number.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FILES) }, 0);
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let inode = fs::metadata(format!("/proc/thread-self/fd/{}", listener.as_raw_fd())).unwrap().ino();
            sender.send(inode).unwrap();
            let _ = ended.recv();
        });
        let inode = receiver.recv().unwrap();
        let found = descriptors(std::process::id()).unwrap();
        assert!(found.iter().any(|found| found.of_thread && found.socket().map(u64::from) == Some(inode)));
        drop(end);
        thread.join().unwrap();
    }

    #[test]
    fn a_process_that_has_ended_has_nothing() {
        assert!(descriptors(u32::MAX).unwrap().is_empty());
    }
}
