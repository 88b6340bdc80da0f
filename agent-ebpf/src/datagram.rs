//! Datagrams: DNS to the configured resolvers, nothing else.

use aya_ebpf::programs::SockAddrContext;
use portcullis_common::{Address, DNS_PORT, Refusal};

use crate::{
    context,
    maps::{RESOLVERS, refuse},
    process,
};

#[inline(always)]
pub fn judge4(ctx: &SockAddrContext) -> bool {
    judge(ctx, context::address4(ctx), context::port(ctx))
}

#[inline(always)]
pub fn judge6(ctx: &SockAddrContext) -> bool {
    judge(ctx, context::address6(ctx), context::port(ctx))
}

#[inline(always)]
fn judge(ctx: &SockAddrContext, address: Address, port: u16) -> bool {
    let allowed = port == DNS_PORT && process::in_captured_namespace(ctx) && RESOLVERS.get_ptr(address).is_some();
    allowed || refuse(ctx, Refusal::Datagram, address, port)
}
