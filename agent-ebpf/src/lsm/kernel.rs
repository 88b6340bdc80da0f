//! Structures of the kernel, read at the offsets that the daemon found in its BTF.
//!
//! A read that fails is `None`, and whoever asked refuses. Addresses are numbers here: nothing is dereferenced, so no
//! pointer can be wrong in a way that matters to the kernel.

use core::ptr::{addr_of, from_mut};

use aya_ebpf::helpers::{bpf_probe_read_kernel, generated};
use portcullis_common::{Fields, UNIX_PATH_MAX, UnixName};

/// The daemon fills it in before the programs are loaded.
#[unsafe(no_mangle)]
static FIELDS: Fields = Fields {
    socket_sock: 0,
    sock_family: 0,
    sock_cgroup: 0,
    unix_address: 0,
    unix_length: 0,
    unix_name: 0,
    task_set: 0,
    set_cgroup: 0,
    cgroup_level: 0,
    cgroup_ancestors: 0,
    ancestors_are_ids: 0,
    cgroup_node: 0,
    node_id: 0,
    file_inode: 0,
    file_data: 0,
    inode_superblock: 0,
    inode_mode: 0,
    inode_device: 0,
    superblock_magic: 0,
    mount_superblock: 0,
};

/// An address in the kernel.
pub type Place = u64;

macro_rules! field {
    ($name:ident) => {
        // SAFETY: a static of this program; volatile, because the daemon changes it before the program is loaded.
        u64::from(unsafe { addr_of!(FIELDS.$name).read_volatile() })
    };
}

/// The `sock` of a `socket`; zero of one that is not connected to a protocol.
#[inline(always)]
pub fn sock(socket: Place) -> Option<Place> {
    read(socket + field!(socket_sock))
}

#[inline(always)]
pub fn family(sock: Place) -> Option<u16> {
    read(sock + field!(sock_family))
}

/// The cgroup in which a `sock` was made.
#[inline(always)]
pub fn cgroup_of_sock(sock: Place) -> Option<Place> {
    read(sock + field!(sock_cgroup))
}

/// The cgroup of a `task_struct`.
#[inline(always)]
pub fn cgroup_of_task(task: Place) -> Option<Place> {
    let set: Place = read(task + field!(task_set))?;
    read(set + field!(set_cgroup))
}

/// The id of a cgroup's ancestor at a level, itself included; `None` below its own level.
#[inline(always)]
pub fn ancestor(cgroup: Place, level: u32) -> Option<u64> {
    let own: i32 = read(cgroup + field!(cgroup_level))?;
    if own < level as i32 {
        return None;
    }
    let ancestor: u64 = read(cgroup + field!(cgroup_ancestors) + 8 * u64::from(level))?;
    if field!(ancestors_are_ids) != 0 {
        return Some(ancestor);
    }
    let node: Place = read(ancestor + field!(cgroup_node))?;
    read(node + field!(node_id))
}

#[inline(always)]
pub fn inode_of_file(file: Place) -> Option<Place> {
    read(file + field!(file_inode))
}

/// The `socket` of a file on sockfs.
#[inline(always)]
pub fn socket_of_file(file: Place) -> Option<Place> {
    read(file + field!(file_data))
}

/// What kind of file system an inode is on, `statfs(2)`.
#[inline(always)]
pub fn magic_of_inode(inode: Place) -> Option<u64> {
    magic(read(inode + field!(inode_superblock))?)
}

/// What kind of file system is mounted, of a `vfsmount`.
#[inline(always)]
pub fn magic_of_mount(mount: Place) -> Option<u64> {
    magic(read(mount + field!(mount_superblock))?)
}

#[inline(always)]
fn magic(superblock: Place) -> Option<u64> {
    read(superblock + field!(superblock_magic))
}

/// Kind and permissions, and the number of the device that it is.
#[inline(always)]
pub fn device_of_inode(inode: Place) -> Option<(u16, u32)> {
    Some((read(inode + field!(inode_mode))?, read(inode + field!(inode_device))?))
}

/// `sun_path` in `struct sockaddr_un`.
const PATH: u64 = 2;

/// Reads the name to which a Unix `sock` is bound; false where there is none.
#[inline(always)]
pub fn read_unix_name(sock: Place, name: &mut UnixName) -> bool {
    let Some(address) = read::<Place>(sock + field!(unix_address)) else { return false };
    let Some(length) = read::<u32>(address + field!(unix_length)) else { return false };
    let length = length.wrapping_sub(PATH as u32);
    // SAFETY: a variable of this function; volatile, so that what is compared is what the verifier sees used.
    let length = unsafe { addr_of!(length).read_volatile() };
    if length > UNIX_PATH_MAX as u32 {
        return false;
    }
    let path = address + field!(unix_name) + PATH;
    // SAFETY: a read that fails instead of faulting; the length is checked.
    if unsafe { generated::bpf_probe_read_kernel(from_mut(&mut name.bytes).cast(), length, path as *const _) } != 0 {
        return false;
    }
    // The kernel counts the zero behind a path. Without a name there is nothing to count.
    name.length = if name.bytes[0] == 0 { length } else { length.wrapping_sub(1) };
    length > 0
}

#[inline(always)]
fn read<T>(place: Place) -> Option<T> {
    // SAFETY: the helper fails where nothing can be read.
    unsafe { bpf_probe_read_kernel(place as *const T).ok() }
}
