//! Mounts by descriptor: made apart, changed while nobody sees them, then attached.
//!
//! A path is walked once, without symlinks, so that nobody swaps a part of it in between. Source: `open_tree(2)`,
//! `mount_setattr(2)`, `move_mount(2)`; Linux 5.12.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    path::Path,
};

use nix::{
    fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2},
    mount::{MsFlags, mount},
    sys::stat::{SFlag, fstat},
};

/// `linux/mount.h`.
pub(super) const READ_ONLY: u64 = 0x1;
pub(super) const NO_SETUID: u64 = 0x2;
pub(super) const NO_DEVICES: u64 = 0x4;
const MAPPED_IDS: u64 = 0x0010_0000;
const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOVE_MOUNT_FROM_EMPTY_PATH: libc::c_uint = 0x04;
const MOVE_MOUNT_TO_EMPTY_PATH: libc::c_uint = 0x40;
const AT_RECURSIVE: libc::c_uint = 0x8000;

/// `struct mount_attr`.
#[repr(C)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    namespace: u64,
}

/// A mount that is in no tree yet. Dropped, it is gone.
#[derive(Debug)]
pub(super) struct Detached(OwnedFd);

impl Detached {
    /// Of a file or a directory, without what is mounted below it. Symlinks in the path are an error.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        Self::of_place(place(path)?.as_fd())
    }

    pub(super) fn of_place(place: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint | libc::AT_EMPTY_PATH as libc::c_uint;
        // SAFETY: the path is empty and ends in a zero; the answer is a new descriptor.
        let tree = unsafe { libc::syscall(libc::SYS_open_tree, place.as_raw_fd(), c"".as_ptr(), flags) };
        // SAFETY: a new descriptor that is ours.
        answer(tree).map(|tree| Self(unsafe { OwnedFd::from_raw_fd(tree as libc::c_int) }))
    }

    pub(super) fn is_directory(&self) -> io::Result<bool> {
        let kind = SFlag::from_bits_truncate(fstat(&self.0)?.st_mode) & SFlag::S_IFMT;
        Ok(kind == SFlag::S_IFDIR)
    }

    /// Restricts it by the flags above.
    pub(super) fn restrict(&self, flags: u64) -> io::Result<()> {
        set_attributes(self.0.as_fd(), c"", libc::AT_EMPTY_PATH as libc::c_uint, flags, None)
    }

    /// Shows the owners of its files as a user namespace maps them.
    pub(super) fn map_ids(&self, namespace: BorrowedFd<'_>) -> io::Result<()> {
        set_attributes(self.0.as_fd(), c"", libc::AT_EMPTY_PATH as libc::c_uint, MAPPED_IDS, Some(namespace))
    }

    /// Puts it over what stands at a path. Symlinks in the path are an error.
    pub(super) fn attach(&self, target: &Path) -> io::Result<()> {
        self.attach_over(place(target)?.as_fd())
    }

    pub(super) fn attach_over(&self, target: BorrowedFd<'_>) -> io::Result<()> {
        let (from, to) = (self.0.as_raw_fd(), target.as_raw_fd());
        let flags = MOVE_MOUNT_FROM_EMPTY_PATH | MOVE_MOUNT_TO_EMPTY_PATH;
        // SAFETY: both paths are empty and end in a zero.
        answer(unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) }).map(drop)
    }
}

/// A descriptor of what stands at a path, without opening it.
pub(super) fn place(path: &Path) -> io::Result<OwnedFd> {
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_SYMLINKS);
    Ok(openat2(AT_FDCWD, path, how)?)
}

/// Mounts a file system of the kernel's.
pub(super) fn kernel_file_system(kind: &str, target: &Path, options: &str) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(mount(Some(kind), target, Some(kind), flags, Some(options))?)
}

/// Mounts terminals, apart from the host's: devices, but no others.
pub(super) fn terminals(target: &Path, options: &str) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    Ok(mount(Some("devpts"), target, Some("devpts"), flags, Some(options))?)
}

/// Mounts an empty file system in memory.
pub(super) fn memory(target: &Path, options: &str) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    Ok(mount(Some("tmpfs"), target, Some("tmpfs"), flags, Some(options))?)
}

/// Restricts every mount of this namespace.
pub(super) fn restrict_all(flags: u64) -> io::Result<()> {
    set_attributes(AT_FDCWD, c"/", AT_RECURSIVE, flags, None)
}

/// Makes every mount of this namespace its own: nothing goes over to the host's, and nothing comes.
pub(super) fn keep_apart() -> io::Result<()> {
    Ok(mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?)
}

fn set_attributes(
    directory: BorrowedFd<'_>,
    path: &CStr,
    flags: libc::c_uint,
    set: u64,
    namespace: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let namespace = namespace.map_or(0, |namespace| namespace.as_raw_fd().unsigned_abs().into());
    let attributes = Attributes { set, clear: 0, propagation: 0, namespace };
    // SAFETY: the path ends in a zero, the attributes are laid out as the call wants them, as long as said.
    answer(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            directory.as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<Attributes>(),
        )
    })
    .map(drop)
}

fn answer(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}
