//! Connects: redirected to the daemon, with the destination kept in the socket's storage.

use aya_ebpf::{
    bindings::BPF_SK_STORAGE_GET_F_CREATE, helpers::generated::bpf_sk_storage_get, programs::SockAddrContext,
};
use portcullis_common::{Address, DNS_PORT, LOOPBACK_V4, LOOPBACK_V6, Origin, Refusal};

use crate::{
    context::{self, TCP, UDP},
    maps::{ORIGINS, RESOLVERS, refuse, settings},
    process,
};

#[inline(always)]
pub fn redirect4(ctx: &SockAddrContext) -> bool {
    let (address, port) = (context::address4(ctx), context::port(ctx));
    match judge(ctx, address, port) {
        Verdict::Redirect(proxy) => {
            context::rewrite4(ctx, LOOPBACK_V4, proxy);
            true
        }
        Verdict::Direct => true,
        Verdict::Refuse(refusal) => refuse(ctx, refusal, address, port),
    }
}

#[inline(always)]
pub fn redirect6(ctx: &SockAddrContext) -> bool {
    let (address, port) = (context::address6(ctx), context::port(ctx));
    match judge(ctx, address, port) {
        Verdict::Redirect(proxy) => {
            // A socket that speaks IPv4 by mapped addresses stays one: its route and its source are IPv4's.
            let listener = if context::is_mapped(&address) { LOOPBACK_V4 } else { LOOPBACK_V6 };
            context::rewrite6(ctx, listener, proxy);
            true
        }
        Verdict::Direct => true,
        Verdict::Refuse(refusal) => refuse(ctx, refusal, address, port),
    }
}

enum Verdict {
    /// To the daemon, on this port.
    Redirect(u16),
    /// As it is: DNS to a configured resolver.
    Direct,
    Refuse(Refusal),
}

#[inline(always)]
fn judge(ctx: &SockAddrContext, address: Address, port: u16) -> Verdict {
    let protocol = context::protocol(ctx);
    if !process::in_captured_namespace(ctx) {
        return Verdict::Refuse(Refusal::Namespace);
    }
    if (protocol == TCP || protocol == UDP) && port == DNS_PORT && RESOLVERS.get_ptr(address).is_some() {
        return Verdict::Direct;
    }
    if protocol != TCP {
        return Verdict::Refuse(Refusal::Connect);
    }
    let settings = settings();
    if settings.port == 0 || (settings.ipv6 == 0 && !context::is_mapped(&address)) {
        return Verdict::Refuse(Refusal::Connect);
    }
    if port == settings.port && is_loopback(&address) {
        return Verdict::Refuse(Refusal::Loop);
    }
    match remember(ctx, process::origin(ctx, address, port)) {
        true => Verdict::Redirect(settings.port),
        false => Verdict::Refuse(Refusal::Connect),
    }
}

/// Keeps the origin with the socket, replacing that of an earlier connect.
#[inline(always)]
fn remember(ctx: &SockAddrContext, mut origin: Origin) -> bool {
    let storage = storage(ctx, &mut origin, u64::from(BPF_SK_STORAGE_GET_F_CREATE));
    if storage.is_null() {
        return false;
    }
    // SAFETY: not null, and of the map's value type. An existing storage is returned as it was: overwrite it.
    unsafe { *storage = origin };
    true
}

/// Whether an address reaches this host's loopback listener; the unspecified address does.
#[inline(always)]
fn is_loopback(address: &Address) -> bool {
    let unspecified = [0; 16];
    let mapped_unspecified = context::mapped(0);
    (context::is_mapped(address) && address[12] == 127)
        || *address == LOOPBACK_V6
        || *address == unspecified
        || *address == mapped_unspecified
}

/// Tells a workload that asks for its peer where it wanted to go.
#[inline(always)]
pub fn restore_peer4(ctx: &SockAddrContext) {
    let (address, port) = (context::address4(ctx), context::port(ctx));
    if let Some(origin) = redirected(ctx, address, port) {
        context::rewrite4(ctx, origin.address, origin.port);
    }
}

#[inline(always)]
pub fn restore_peer6(ctx: &SockAddrContext) {
    let (address, port) = (context::address6(ctx), context::port(ctx));
    if let Some(origin) = redirected(ctx, address, port) {
        context::rewrite6(ctx, origin.address, origin.port);
    }
}

/// The origin of a socket whose peer is the daemon.
#[inline(always)]
fn redirected(ctx: &SockAddrContext, peer: Address, port: u16) -> Option<Origin> {
    let proxy = settings().port;
    if port != proxy || (peer != LOOPBACK_V4 && peer != LOOPBACK_V6) {
        return None;
    }
    let origin = storage(ctx, core::ptr::null_mut(), 0);
    if origin.is_null() {
        return None;
    }
    // SAFETY: not null, and of the map's value type.
    Some(unsafe { *origin })
}

#[inline(always)]
fn storage(ctx: &SockAddrContext, initial: *mut Origin, flags: u64) -> *mut Origin {
    let map = core::ptr::from_ref(&ORIGINS).cast_mut();
    // SAFETY: the map, a socket of the context, and a value of the map's type or null.
    unsafe { bpf_sk_storage_get(map.cast(), context::socket(ctx).cast(), initial.cast(), flags) }.cast()
}
