//! The process in whose context a program runs.

use aya_ebpf::{
    helpers::{
        bpf_get_current_pid_tgid, bpf_get_current_uid_gid,
        generated::{bpf_get_current_cgroup_id, bpf_get_netns_cookie, bpf_ktime_get_boot_ns},
    },
    programs::SockAddrContext,
};
use portcullis_common::{Address, Origin};

use crate::maps::NAMESPACES;

/// The connecting process and its destination.
#[inline(always)]
pub fn origin(ctx: &SockAddrContext, address: Address, port: u16) -> Origin {
    Origin {
        address,
        netns_cookie: namespace(ctx),
        // SAFETY: no arguments.
        cgroup_id: unsafe { bpf_get_current_cgroup_id() },
        // SAFETY: no arguments.
        connected_at: unsafe { bpf_ktime_get_boot_ns() },
        pid: (bpf_get_current_pid_tgid() >> 32) as u32,
        uid: bpf_get_current_uid_gid() as u32,
        port,
        reserved: [0; 6],
    }
}

/// Whether the socket's network namespace is one whose loopback leads to the daemon.
#[inline(always)]
pub fn in_captured_namespace(ctx: &SockAddrContext) -> bool {
    NAMESPACES.get_ptr(namespace(ctx)).is_some()
}

#[inline(always)]
fn namespace(ctx: &SockAddrContext) -> u64 {
    // SAFETY: the helper takes the context.
    unsafe { bpf_get_netns_cookie(ctx.sock_addr.cast()) }
}
