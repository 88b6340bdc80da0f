//! Connects, and datagrams to a named address: redirected to the daemon, with the destination kept in the socket's
//! storage. Of datagrams only DNS; whatever cannot be redirected is refused.

use aya_ebpf::{bindings::BPF_SK_STORAGE_GET_F_CREATE, programs::SockAddrContext};
use portcullis_common::{Address, DNS_PORT, LOOPBACK_V4, LOOPBACK_V6, Origin, Refusal};

use crate::{
    attempt::refuse_address,
    context::{self, TCP, UDP},
    jail,
    listener::{self, Listener},
    maps::settings,
    packet, process, storage,
};

#[inline(always)]
pub fn redirect4(ctx: &SockAddrContext) -> bool {
    let (address, port) = (context::address4(ctx), context::port(ctx));
    match judge(ctx, address, port) {
        Verdict::Redirect(proxy) => {
            context::rewrite4(ctx, LOOPBACK_V4, proxy);
            true
        }
        Verdict::AsIs => true,
        Verdict::Refuse(refusal) => refuse_address(ctx, refusal, address, port),
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
        Verdict::AsIs => true,
        Verdict::Refuse(refusal) => refuse_address(ctx, refusal, address, port),
    }
}

enum Verdict {
    /// To the daemon, on this port.
    Redirect(u16),
    /// An earlier connect was redirected, or it stays in its jail.
    AsIs,
    Refuse(Refusal),
}

#[inline(always)]
fn judge(ctx: &SockAddrContext, address: Address, port: u16) -> Verdict {
    let protocol = context::protocol(ctx);
    if !process::in_captured_namespace(ctx) {
        return Verdict::Refuse(Refusal::Namespace);
    }
    let inside = is_loopback(&address) && jail::is_jail(process::namespace(ctx));
    if protocol == UDP && port != DNS_PORT {
        let allowed = inside || leads_back(ctx, &address, port);
        return if allowed { Verdict::AsIs } else { Verdict::Refuse(Refusal::Datagram) };
    }
    if protocol != TCP && protocol != UDP {
        return Verdict::Refuse(Refusal::Connect);
    }
    let settings = settings();
    if settings.port == 0 || (settings.ipv6 == 0 && !context::is_mapped(&address)) {
        return Verdict::Refuse(Refusal::Connect);
    }
    if port == settings.port && is_loopback(&address) {
        return Verdict::Refuse(Refusal::Loop);
    }
    if inside && protocol == TCP && jail::is_listening(ctx, &address, port) {
        return Verdict::AsIs;
    }
    let daemon = if context::is_mapped(&address) { LOOPBACK_V4 } else { LOOPBACK_V6 };
    if listener::at(ctx.sock_addr.cast(), &daemon, settings.port, protocol) == Listener::Other {
        return Verdict::Refuse(Refusal::Listener);
    }
    match remember(ctx, process::origin(ctx, address, port)) {
        true => Verdict::Redirect(settings.port),
        false => Verdict::Refuse(Refusal::Connect),
    }
}

/// Keeps the origin with the socket, replacing that of an earlier connect or datagram.
#[inline(always)]
fn remember(ctx: &SockAddrContext, mut origin: Origin) -> bool {
    let storage = storage::of(context::socket(ctx), &mut origin, BPF_SK_STORAGE_GET_F_CREATE);
    if storage.is_null() {
        return false;
    }
    // SAFETY: not null, and of the map's value type. An existing storage is returned as it was: overwrite it.
    unsafe { *storage = origin };
    true
}

/// Whether a datagram goes where its socket's connect was redirected: the kernel names the peer of a connected socket
/// anew with each datagram when it speaks IPv4 by mapped addresses.
#[inline(always)]
fn leads_back(ctx: &SockAddrContext, address: &Address, port: u16) -> bool {
    packet::is_daemon(address, port, UDP) && storage::origin(context::socket(ctx)).is_some()
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
