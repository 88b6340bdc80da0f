//! What the host has and a workload must not find: the kernel's file systems, those that others serve, and sockets of
//! services.

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
    mount::{self, Detached},
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

/// File systems that another host serves, or another process: each name that is looked up there is heard by whoever
/// does. Those of FUSE are told by their prefix.
const SERVED_FILE_SYSTEMS: &[&str] =
    &["9p", "afs", "ceph", "cifs", "coda", "fuse", "lustre", "nfs", "nfs4", "orangefs", "smb3", "smbfs", "virtiofs"];
const FUSE_PREFIX: &str = "fuse.";

/// Whose a mount is that a workload must not find.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Owner {
    Kernel,
    Server,
}

/// Takes the kernel's file systems, and those that others serve, out of this mount namespace, wherever they are
/// mounted. Of the latter an empty directory stays, in which what was bound from there can stand.
pub(super) fn unmount() -> Result<(), LaunchError> {
    const MOUNTS: &str = "/proc/self/mountinfo";
    let mounts = fs::read(MOUNTS).map_err(at("read", MOUNTS))?;
    let mut hidden: Vec<_> = mounts.split(|byte| *byte == b'\n').filter_map(hidden_mount).collect();
    // Inner ones first; `/proc` last among them, which is read from.
    hidden.reverse();
    for (path, owner) in hidden {
        match umount2(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) if owner == Owner::Server && path.is_dir() => {
                mount::memory(&path, "mode=0755,size=1m").map_err(at("hide", path))?;
            }
            // Gone with the one that it was in, or out of sight below another.
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(error) => return Err(at("unmount", path)(error)),
        }
    }
    Ok(())
}

/// The mount point of a line of `mountinfo`, proc_pid_mountinfo(5), if it is to be hidden. The root stays, whoever
/// serves it.
fn hidden_mount(line: &[u8]) -> Option<(PathBuf, Owner)> {
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    let separator = line.windows(3).position(|window| window == b" - ")?;
    let kind = text(line.get(separator + 3..)?.split(|byte| *byte == b' ').next()?);
    let is_served = SERVED_FILE_SYSTEMS.contains(&kind.as_str()) || kind.starts_with(FUSE_PREFIX);
    let owner = match KERNEL_FILE_SYSTEMS.contains(&kind.as_str()) {
        true => Owner::Kernel,
        false => is_served.then_some(Owner::Server)?,
    };
    let point = unescape(line.get(..separator)?.split(|byte| *byte == b' ').nth(4)?);
    (point != Path::new("/")).then_some((point, owner))
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
        assert_eq!(hidden_mount(cgroup), Some(("/odd place/cg".into(), Owner::Kernel)));
        assert_eq!(hidden_mount(b"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw"), None);
        for line in [&b""[..], b" - ", b"41 31 - cgroup2"] {
            assert_eq!(hidden_mount(line), None);
        }
    }

    #[test]
    fn what_others_serve_is_found_but_not_the_root() {
        for kind in ["fuse.sshfs", "fuse", "nfs4", "cifs", "9p"] {
            let at = |point: &str| hidden_mount(format!("22 1 0:50 / {point} rw - {kind} x rw").as_bytes());
            assert_eq!(at("/mnt/far"), Some(("/mnt/far".into(), Owner::Server)), "{kind}");
            assert_eq!(at("/"), None, "{kind}");
        }
        assert_eq!(hidden_mount(b"22 1 0:50 / /mnt rw - fuseblk /dev/sdb1 rw"), None, "a disk of this host");
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
