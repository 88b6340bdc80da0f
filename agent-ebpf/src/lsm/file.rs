//! Files that are more than files: sockets of others, the file systems of capture itself, devices that send.

use aya_ebpf::programs::LsmContext;

use super::{
    kernel::{self, Place},
    member::{self, Member},
};

/// Magic numbers of `linux/magic.h`.
const SOCKFS: u64 = 0x534f_434b;
const CGROUP2: u64 = 0x6367_7270;
const BPFFS: u64 = 0xcafe_4a11;

/// `MAY_WRITE` and `MAY_APPEND` of `linux/fs.h`.
const WRITE: i32 = 2 | 8;

const S_IFMT: u16 = 0o170_000;
const S_IFCHR: u16 = 0o020_000;
const S_IFBLK: u16 = 0o060_000;

/// A descriptor that comes over a Unix socket or by `pidfd_getfd(2)`.
#[inline(always)]
pub fn may_receive(ctx: &LsmContext) -> bool {
    let Some(member) = member::current() else { return true };
    let file: Place = ctx.arg(0);
    let Some(inode) = kernel::inode_of_file(file) else { return false };
    match kernel::magic_of_inode(inode) {
        Some(SOCKFS) => owns_socket(&member, file),
        Some(CGROUP2 | BPFFS) | None => false,
        Some(_) => !sends(inode),
    }
}

#[inline(always)]
fn owns_socket(member: &Member, file: Place) -> bool {
    let sock = kernel::socket_of_file(file).and_then(|socket| kernel::sock(socket));
    match sock {
        Some(0) => true,
        Some(sock) => member.owns(kernel::cgroup_of_sock(sock)),
        None => false,
    }
}

#[inline(always)]
pub fn may_open(ctx: &LsmContext) -> bool {
    if member::current().is_none() {
        return true;
    }
    match kernel::inode_of_file(ctx.arg(0)) {
        Some(inode) => !sends(inode),
        None => false,
    }
}

/// Whether an inode is a device by which packets leave, or one under everything: `Documentation/admin-guide/devices.txt`.
#[inline(always)]
fn sends(inode: Place) -> bool {
    let Some((mode, device)) = kernel::device_of_inode(inode) else { return true };
    // As the kernel keeps it: twelve bits of major number, twenty of minor.
    let (major, minor) = (device >> 20, device & 0xf_ffff);
    match mode & S_IFMT {
        S_IFBLK => true,
        // mem, kmem, port; tun, vhost-net, vhost-vsock.
        S_IFCHR => (major == 1 && matches!(minor, 1 | 2 | 4)) || (major == 10 && matches!(minor, 200 | 238 | 241)),
        _ => false,
    }
}

/// Keeps processes in their cgroup, and the guard's pins in their place.
#[inline(always)]
pub fn may_access(ctx: &LsmContext) -> bool {
    let (inode, mask): (Place, i32) = (ctx.arg(0), ctx.arg(1));
    if mask & WRITE == 0 || member::current().is_none() {
        return true;
    }
    !matches!(kernel::magic_of_inode(inode), Some(CGROUP2 | BPFFS) | None)
}

/// An unmounted BPF file system forgets its pins, and with them the guard. A jail unmounts only its own copies.
#[inline(always)]
pub fn may_unmount(ctx: &LsmContext) -> bool {
    match member::current() {
        Some(member) if member.is_existing() => {
            !matches!(kernel::magic_of_mount(ctx.arg(0)), Some(CGROUP2 | BPFFS) | None)
        }
        Some(_) | None => true,
    }
}
