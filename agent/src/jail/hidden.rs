//! What the host has and a workload must not find: the kernel's file systems, and sockets of services.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    os::{fd::AsFd, unix::ffi::OsStringExt},
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, open},
    mount::{MntFlags, umount2},
    sys::stat::{Mode, SFlag, fstat},
};

use super::{
    error::{LaunchError, at},
    mount::Detached,
};

/// File systems through which the kernel, or a daemon, is ruled. Those that programs need are mounted anew.
const KERNEL_FILE_SYSTEMS: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "functionfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
];

/// Takes them out of this mount namespace, wherever they are mounted.
pub(super) fn unmount_kernel_file_systems() -> Result<(), LaunchError> {
    const MOUNTS: &str = "/proc/self/mountinfo";
    let mounts = fs::read(MOUNTS).map_err(at("read", MOUNTS))?;
    let mut paths: Vec<_> = mounts.split(|byte| *byte == b'\n').filter_map(kernel_mount).collect();
    // Inner ones first; `/proc` last among them, which is read from.
    paths.reverse();
    for path in paths {
        match umount2(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            // Gone with the one that it was in, or out of sight below another.
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(error) => return Err(at("unmount", path)(error)),
        }
    }
    Ok(())
}

/// The mount point of a line of `mountinfo`, if it is of the kernel's, proc_pid_mountinfo(5).
fn kernel_mount(line: &[u8]) -> Option<PathBuf> {
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    let separator = line.windows(3).position(|window| window == b" - ")?;
    let kind = text(line.get(separator + 3..)?.split(|byte| *byte == b' ').next()?);
    // "fuse.lxcfs" is not the kernel's.
    KERNEL_FILE_SYSTEMS.contains(&kind.as_str()).then_some(())?;
    let point = line.get(..separator)?.split(|byte| *byte == b' ').nth(4)?;
    Some(unescape(point))
}

/// Reads `\040` and the like.
fn unescape(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match value {
            Some(value) => {
                bytes.push(value);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The Unix sockets with a path in this network namespace, proc_net(5). Read before another one is entered.
pub(super) fn sockets() -> Result<BTreeSet<PathBuf>, LaunchError> {
    const SOCKETS: &str = "/proc/net/unix";
    let sockets = fs::read(SOCKETS).map_err(at("read", SOCKETS))?;
    Ok(sockets.split(|byte| *byte == b'\n').filter_map(socket_path).collect())
}

fn socket_path(line: &[u8]) -> Option<PathBuf> {
    // Num RefCount Protocol Flags Type St Inode Path; an abstract name begins with `@`.
    let start = line.windows(2).position(|window| window == b" /")?;
    Some(PathBuf::from(OsString::from_vec(line.get(start + 1..)?.to_vec())))
}

/// Covers those that are still in sight with something that nobody may open.
pub(super) fn cover(sockets: &BTreeSet<PathBuf>, cover: &Path) -> Result<(), LaunchError> {
    for path in sockets {
        cover_one(path, cover).map_err(at("cover the socket", path))?;
    }
    Ok(())
}

fn cover_one(path: &Path, cover: &Path) -> io::Result<()> {
    // A name that is relative, or of another mount namespace, leads nowhere or to something else.
    let Ok(place) = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()) else { return Ok(()) };
    let kind = SFlag::from_bits_truncate(fstat(&place)?.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFSOCK { Detached::of(cover)?.attach_over(place.as_fd()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_file_systems_are_found_wherever_they_are() {
        let cgroup = b"41 31 0:38 / /odd\\040place/cg rw,relatime shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(kernel_mount(cgroup), Some("/odd place/cg".into()));
        assert_eq!(kernel_mount(b"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw"), None);
        assert_eq!(kernel_mount(b"22 1 0:50 / /var/lib/lxcfs rw - fuse.lxcfs lxcfs rw"), None);
        for line in [&b""[..], b" - ", b"41 31 - cgroup2"] {
            assert_eq!(kernel_mount(line), None);
        }
    }

    #[test]
    fn sockets_with_a_path_are_found_and_abstract_ones_left() {
        let listening = b"0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/docker.sock";
        let spaced = b"0000000000000000: 00000002 00000000 00000000 0002 01 12345 /srv/a b.sock";
        let abstracted = b"0000000000000000: 00000002 00000000 00010000 0001 01 12345 @/tmp/.X11-unix/X0";
        assert_eq!(socket_path(listening), Some("/run/docker.sock".into()));
        assert_eq!(socket_path(spaced), Some("/srv/a b.sock".into()));
        assert_eq!(socket_path(abstracted), None);
        assert_eq!(socket_path(b"0000000000000000: 00000002 00000000 00010000 0001 01 12345"), None);
    }
}
