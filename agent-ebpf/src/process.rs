//! The process that a program judges, as far as a program of its kind can know it.

use core::ptr::addr_of;

use aya_ebpf::{
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        generated::{
            bpf_get_current_cgroup_id, bpf_get_netns_cookie, bpf_get_socket_uid, bpf_ktime_get_boot_ns,
            bpf_skb_cgroup_id,
        },
    },
    programs::{SkBuffContext, SockAddrContext, SockContext, SockoptContext},
};
use portcullis_common::{Address, Origin};

use crate::{maps::NAMESPACES, packet, storage};

/// Whether this kernel lets programs on socket options ask for the process (Linux 6.1): the daemon says so at load.
#[unsafe(no_mangle)]
static OPTIONS_KNOW_PROCESS: u8 = 0;

/// The process at an address: the connecting one, and its destination.
#[inline(always)]
pub fn origin(ctx: &SockAddrContext, address: Address, port: u16) -> Origin {
    Origin { address, port, pid: pid(), ..current(namespace(ctx)) }
}

/// The process that makes a socket.
#[inline(always)]
pub fn maker(ctx: &SockContext) -> Origin {
    // SAFETY: the helper takes the context.
    Origin { pid: pid(), ..current(unsafe { bpf_get_netns_cookie(ctx.sock.cast()) }) }
}

/// The running process, where nothing else is known.
#[inline(always)]
pub fn actor() -> Origin {
    Origin { pid: pid(), ..current(0) }
}

/// The process that sets an option, with the option's number for a port, and the process's name.
#[inline(always)]
pub fn setter(ctx: &SockoptContext, number: u16) -> (Origin, [u8; 16]) {
    // SAFETY: the helper takes the context.
    let origin = Origin { port: number, ..current(unsafe { bpf_get_netns_cookie(ctx.sockopt.cast()) }) };
    // SAFETY: a static of this program; volatile, because the daemon changes it before the program is loaded.
    if unsafe { addr_of!(OPTIONS_KNOW_PROCESS).read_volatile() } == 0 {
        return (origin, [0; 16]);
    }
    (Origin { pid: pid(), ..origin }, name())
}

/// Whose socket a packet belongs to: the process that connected it, or else the user who made it.
#[inline(always)]
pub fn owner(ctx: &SkBuffContext, address: Address, port: u16) -> Origin {
    let socket = packet::socket(ctx);
    if !socket.is_null()
        && let Some(origin) = storage::origin(socket)
    {
        return Origin { address, port, connected_at: now(), ..origin };
    }
    // SAFETY: both helpers take the context.
    let (cgroup_id, uid) = unsafe { (bpf_skb_cgroup_id(ctx.skb.skb), bpf_get_socket_uid(ctx.skb.skb)) };
    Origin { address, netns_cookie: 0, cgroup_id, connected_at: now(), pid: 0, uid, port, reserved: [0; 6] }
}

/// The process's name.
#[inline(always)]
pub fn name() -> [u8; 16] {
    bpf_get_current_comm().unwrap_or([0; 16])
}

/// Whether the socket's network namespace is one whose loopback leads to the daemon.
#[inline(always)]
pub fn in_captured_namespace(ctx: &SockAddrContext) -> bool {
    NAMESPACES.get_ptr(namespace(ctx)).is_some()
}

/// The running process without its pid, for which not every program may ask.
#[inline(always)]
fn current(netns_cookie: u64) -> Origin {
    Origin {
        address: [0; 16],
        netns_cookie,
        // SAFETY: no arguments.
        cgroup_id: unsafe { bpf_get_current_cgroup_id() },
        connected_at: now(),
        pid: 0,
        uid: bpf_get_current_uid_gid() as u32,
        port: 0,
        reserved: [0; 6],
    }
}

#[inline(always)]
fn pid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// The socket's network namespace, by its cookie.
#[inline(always)]
pub fn namespace(ctx: &SockAddrContext) -> u64 {
    // SAFETY: the helper takes the context.
    unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) }
}
