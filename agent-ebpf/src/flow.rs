//! How an origin gets from the connecting socket to the accepted one, which are strangers to each other.
//!
//! The source port is chosen when a connection departs, and it is free again only after the socket's close: in
//! between, source address and port name one connection. The accepting side takes the origin into the storage of the
//! accepted socket before the daemon can see that socket.

use core::ptr::addr_of;

use aya_ebpf::{
    EbpfContext,
    bindings::{
        BPF_ANY, BPF_SK_STORAGE_GET_F_CREATE, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB, BPF_SOCK_OPS_STATE_CB,
        BPF_SOCK_OPS_STATE_CB_FLAG, BPF_SOCK_OPS_TCP_CONNECT_CB, BPF_TCP_CLOSE, bpf_sock,
    },
    helpers::generated::bpf_get_netns_cookie,
    programs::SockOpsContext,
};
use portcullis_common::{Address, Flow};

use crate::{
    context, jail,
    maps::{FLOWS, settings},
    storage,
};

const AF_INET: u32 = 2;

macro_rules! field {
    ($ctx:expr, $($path:tt)+) => {
        // SAFETY: the kernel hands a valid context; the verifier checks the offset.
        unsafe { addr_of!((*$ctx.ops).$($path)+).read_volatile() }
    };
}

/// Notes a connection whose SYN is about to leave, and forgets one that failed.
#[inline(always)]
pub fn departs(ctx: &SockOpsContext) {
    let op = field!(ctx, op);
    let flow = Flow { address: local_address(ctx), netns_cookie: namespace(ctx), port: local_port(ctx), query: 0 };
    if op == BPF_SOCK_OPS_TCP_CONNECT_CB && remote_port(ctx) == u32::from(settings().port) {
        let socket = socket(ctx);
        if !socket.is_null()
            && let Some(origin) = storage::origin(socket)
        {
            let _ = FLOWS.insert(flow, origin, u64::from(BPF_ANY));
            let _ = ctx.set_cb_flags(BPF_SOCK_OPS_STATE_CB_FLAG as i32);
        }
    } else if op == BPF_SOCK_OPS_STATE_CB && new_state(ctx) == BPF_TCP_CLOSE {
        // A refused connect frees its port: the next owner of the port must not inherit the origin.
        let _ = FLOWS.remove(flow);
    } else if op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB {
        let socket = socket(ctx);
        if !socket.is_null() {
            jail::mark_accepted(socket, flow.netns_cookie);
        }
    }
}

/// Hands the origin of a connection to the socket that accepted it.
#[inline(always)]
pub fn arrives(ctx: &SockOpsContext) {
    let op = field!(ctx, op);
    if op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || local_port(ctx) != u32::from(settings().port) {
        return;
    }
    let flow = Flow { address: remote_address(ctx), netns_cookie: namespace(ctx), port: remote_port(ctx), query: 0 };
    let Some(found) = FLOWS.get_ptr(flow) else { return };
    // SAFETY: a value of a preallocated map; the port is held, so nobody replaces it.
    let mut origin = unsafe { *found };
    let _ = FLOWS.remove(flow);
    let socket = socket(ctx);
    if !socket.is_null() {
        // On failure the daemon finds no origin, and refuses.
        storage::of(socket, &mut origin, BPF_SK_STORAGE_GET_F_CREATE);
    }
}

#[inline(always)]
fn socket(ctx: &SockOpsContext) -> *mut bpf_sock {
    field!(ctx, __bindgen_anon_2.sk)
}

#[inline(always)]
fn local_address(ctx: &SockOpsContext) -> Address {
    let family = field!(ctx, family);
    let v4 = context::mapped(field!(ctx, local_ip4));
    let v6 = context::join([
        field!(ctx, local_ip6[0]),
        field!(ctx, local_ip6[1]),
        field!(ctx, local_ip6[2]),
        field!(ctx, local_ip6[3]),
    ]);
    if family == AF_INET { v4 } else { v6 }
}

#[inline(always)]
fn remote_address(ctx: &SockOpsContext) -> Address {
    let family = field!(ctx, family);
    let v4 = context::mapped(field!(ctx, remote_ip4));
    let v6 = context::join([
        field!(ctx, remote_ip6[0]),
        field!(ctx, remote_ip6[1]),
        field!(ctx, remote_ip6[2]),
        field!(ctx, remote_ip6[3]),
    ]);
    if family == AF_INET { v4 } else { v6 }
}

/// Host order, as the context has it.
#[inline(always)]
fn local_port(ctx: &SockOpsContext) -> u32 {
    field!(ctx, local_port)
}

/// Host order; the context has network order.
#[inline(always)]
fn remote_port(ctx: &SockOpsContext) -> u32 {
    u32::from_be(field!(ctx, remote_port))
}

/// Of a state callback: the state that follows.
#[inline(always)]
fn new_state(ctx: &SockOpsContext) -> u32 {
    field!(ctx, __bindgen_anon_1.args[1])
}

#[inline(always)]
fn namespace(ctx: &SockOpsContext) -> u64 {
    // SAFETY: the helper takes the context.
    unsafe { bpf_get_netns_cookie(ctx.as_ptr()) }
}
