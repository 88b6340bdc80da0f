//! The far end as a workload sees it: the address that it dialled, wherever the kernel would name the daemon's.

use aya_ebpf::programs::SockAddrContext;
use portcullis_common::{Address, LOOPBACK_V4, LOOPBACK_V6, Origin};

use crate::{context, maps::settings, storage};

/// Tells a socket that asks for its peer, or for the source of a datagram, where it wanted to go.
#[inline(always)]
pub fn restore4(ctx: &SockAddrContext) {
    let (address, port) = (context::address4(ctx), context::port(ctx));
    if let Some(origin) = redirected(ctx, address, port) {
        context::rewrite4(ctx, origin.address, origin.port);
    }
}

#[inline(always)]
pub fn restore6(ctx: &SockAddrContext) {
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
    storage::origin(context::socket(ctx))
}
