//! Cgroups: how the kernel tells one process tree from another.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt},
    },
    path::{Path, PathBuf},
};

/// The mount of cgroup v2: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` on hosts that have version 1 beside it.
#[derive(Clone, Debug)]
pub(super) struct Hierarchy {
    mount: PathBuf,
}

impl Hierarchy {
    /// Finds the first cgroup v2 mount of this process, `proc_pid_mountinfo(5)`.
    pub(super) fn find() -> io::Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mount = mounts.lines().find_map(cgroup2_mount);
        let none = || io::Error::new(io::ErrorKind::NotFound, "no cgroup v2 hierarchy is mounted");
        Ok(Self { mount: mount.ok_or_else(none)? })
    }

    pub(super) fn mount(&self) -> &Path {
        &self.mount
    }

    /// Where a cgroup is, by its path below the mount.
    pub(super) fn directory(&self, path: &Path) -> PathBuf {
        self.mount.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Opens a cgroup by its path below the mount, and makes it where it is missing.
    pub(super) fn create(&self, path: &Path) -> io::Result<Cgroup> {
        let directory = self.directory(path);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&directory)?;
        Cgroup::open(directory)
    }

    /// The path of a live cgroup below the mount, from its id.
    pub(super) fn path_of(&self, id: u64) -> io::Result<PathBuf> {
        let directory = open_by_id(File::open(&self.mount)?.as_fd(), id)?;
        let path = fs::read_link(format!("/proc/self/fd/{}", directory.as_raw_fd()))?;
        let below = path.strip_prefix(&self.mount).map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(Path::new("/").join(below))
    }
}

/// The mount point of one line, if it is cgroup v2's.
fn cgroup2_mount(line: &str) -> Option<PathBuf> {
    let (mount, filesystem) = line.split_once(" - ")?;
    (filesystem.split(' ').next()? == "cgroup2").then_some(())?;
    mount.split(' ').nth(4).map(PathBuf::from)
}

/// Opens a cgroup by the id that programs see. Needs CAP_DAC_READ_SEARCH.
fn open_by_id(mount: BorrowedFd<'_>, id: u64) -> io::Result<OwnedFd> {
    /// `struct file_handle` as kernfs fills it: `FILEID_KERNFS`, then the node's id.
    #[repr(C)]
    struct Handle {
        length: u32,
        kind: i32,
        id: [u8; 8],
    }
    let mut handle = Handle { length: 8, kind: 0xfe, id: id.to_ne_bytes() };
    // SAFETY: the handle is laid out and as long as it says.
    let descriptor = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            std::ptr::from_mut(&mut handle),
            libc::O_PATH | libc::O_CLOEXEC | libc::O_DIRECTORY,
        )
    };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as libc::c_int) })
}

/// An open cgroup directory.
#[derive(Debug)]
pub(super) struct Cgroup {
    directory: PathBuf,
    descriptor: File,
    id: u64,
}

impl Cgroup {
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        let descriptor = File::open(&directory)?;
        let id = descriptor.metadata()?.ino();
        Ok(Self { directory, descriptor, id })
    }

    /// What `bpf_get_current_cgroup_id` answers for its processes.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Takes the one lock of this cgroup, until the directory is closed.
    pub(super) fn lock(&self) -> io::Result<()> {
        self.descriptor.try_lock().map_err(io::Error::from)
    }

    /// The same cgroup by a descriptor that holds its lock already. Fails where that is of another cgroup.
    pub(super) fn with_lock(self, lock: OwnedFd) -> io::Result<Self> {
        let descriptor = File::from(lock);
        if descriptor.metadata()?.ino() != self.id {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // The open file has the lock: where it is ours, this changes nothing.
        descriptor.try_lock()?;
        Ok(Self { descriptor, ..self })
    }

    /// Moves a process in, with all its threads. Its sockets stay where they were made.
    pub(super) fn admit(&self, pid: u32) -> io::Result<()> {
        let mut members = File::options().write(true).open(self.directory.join("cgroup.procs"))?;
        members.write_all(pid.to_string().as_bytes())
    }

    /// Whether a process lives in it or below.
    pub(super) fn is_populated(&self) -> io::Result<bool> {
        match fs::read_to_string(self.directory.join("cgroup.events")) {
            Ok(events) => Ok(events.lines().any(|line| line == "populated 1")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the directory still is this cgroup, and not one made later under the same name.
    pub(super) fn is_current(&self) -> bool {
        fs::metadata(&self.directory).is_ok_and(|metadata| metadata.ino() == self.id)
    }

    /// Kills every process in it and below.
    pub(super) fn kill(&self) -> io::Result<()> {
        fs::write(self.directory.join("cgroup.kill"), "1")
    }

    /// Removes it and what is below; fails while a process lives there.
    pub(super) fn remove(&self) -> io::Result<()> {
        remove_tree(&self.directory)
    }
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_mount_is_found_beside_version_one() {
        let memory = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
        let unified = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(cgroup2_mount(memory), None);
        assert_eq!(cgroup2_mount(unified), Some("/sys/fs/cgroup/unified".into()));
    }

    #[test]
    fn a_line_cut_short_is_no_mount() {
        for line in ["", " - ", "41 31 - cgroup2", "x - cgroup2 y z"] {
            assert_eq!(cgroup2_mount(line), None, "{line}");
        }
    }
}
