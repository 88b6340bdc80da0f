//! Sockets in a jail: in its network namespace nobody is but one workload, so its processes may talk to each other over
//! the loopback. There is no other interface, and nobody else at this one but the daemon.

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    helpers::generated::{bpf_get_netns_cookie, bpf_sk_storage_get},
    programs::{SkBuffContext, SockAddrContext, SockContext},
};
use portcullis_common::{Address, LOOPBACK_V4, LOOPBACK_V6, Loopback};

use crate::{
    context::{self, TCP},
    listener::{self, Listener},
    maps::{JAILED, NAMESPACES},
    packet,
};

/// Marks a new socket that is made in a jail. One that cannot be marked talks to the daemon alone.
#[inline(always)]
pub fn mark_new(ctx: &SockContext) {
    // SAFETY: the helper takes the context.
    if is_jail(unsafe { bpf_get_netns_cookie(ctx.sock.cast()) }) {
        mark(ctx.sock);
    }
}

/// Marks a socket that a listener in a jail has accepted.
#[inline(always)]
pub fn mark_accepted(socket: *mut bpf_sock, netns_cookie: u64) {
    if is_jail(netns_cookie) {
        mark(socket);
    }
}

/// Whether a packet stays in its jail.
#[inline(always)]
pub fn holds(ctx: &SkBuffContext) -> bool {
    let socket = packet::socket(ctx);
    packet::on_loopback(ctx) && !socket.is_null() && !storage(socket, core::ptr::null_mut(), 0).is_null()
}

/// Whether a network namespace is a jail's.
#[inline(always)]
pub fn is_jail(netns_cookie: u64) -> bool {
    match NAMESPACES.get_ptr(netns_cookie) {
        // SAFETY: a value of a preallocated map.
        Some(loopback) => unsafe { *loopback == Loopback::Private as u8 },
        None => false,
    }
}

/// Whether a listener in the jail has this port: what is dialled at it is a service of the workload's own, and what
/// is dialled elsewhere on the loopback is meant for the host.
#[inline(always)]
pub fn is_listening(ctx: &SockAddrContext, address: &Address, port: u16) -> bool {
    let address = match *address {
        unspecified if unspecified == context::mapped(0) => LOOPBACK_V4,
        unspecified if unspecified == [0; 16] => LOOPBACK_V6,
        address => address,
    };
    listener::at(ctx.sock_addr.cast(), &address, port, TCP) != Listener::Nobody
}

#[inline(always)]
fn mark(socket: *mut bpf_sock) {
    let mut marked = 1_u32;
    storage(socket, &mut marked, BPF_SK_STORAGE_GET_F_CREATE);
}

#[inline(always)]
fn storage(socket: *mut bpf_sock, initial: *mut u32, flags: u32) -> *mut u32 {
    let map = core::ptr::from_ref(&JAILED).cast_mut();
    // SAFETY: the map, a socket of the context that the verifier knows not to be null, and a value of the map's type
    // or null.
    unsafe { bpf_sk_storage_get(map.cast(), socket.cast(), initial.cast(), u64::from(flags)) }.cast()
}
