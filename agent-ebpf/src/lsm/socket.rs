//! Sockets: of families that capture knows, and of the workload's own making.

use aya_ebpf::programs::LsmContext;

use super::{kernel, member};

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;

/// `socket(family, kind, protocol)`: the families of which cgroup hooks hold every socket, and those that lead nowhere.
#[inline(always)]
pub fn may_create(ctx: &LsmContext) -> bool {
    let (family, protocol, for_the_kernel): (i32, i32, i32) = (ctx.arg(0), ctx.arg(2), ctx.arg(3));
    if for_the_kernel != 0 || member::current().is_none() {
        return true;
    }
    match family as u16 {
        AF_UNIX | AF_INET | AF_INET6 => true,
        // NETLINK_ROUTE, _SOCK_DIAG, _AUDIT, _KOBJECT_UEVENT, _GENERIC: `linux/netlink.h`.
        AF_NETLINK => matches!(protocol, 0 | 4 | 9 | 15 | 16),
        _ => false,
    }
}

/// Anything that makes a socket speak: one that was made outside has no cgroup hook of ours.
#[inline(always)]
pub fn may_use(ctx: &LsmContext) -> bool {
    let Some(member) = member::current() else { return true };
    let Some(sock) = kernel::sock(ctx.arg(0)) else { return false };
    if sock == 0 {
        return true;
    }
    match kernel::family(sock) {
        // What a Unix socket reaches was decided when it was connected. Netlink ends in this kernel.
        Some(AF_UNIX | AF_NETLINK) => true,
        Some(_) => member.owns(kernel::cgroup_of_sock(sock)),
        None => false,
    }
}
