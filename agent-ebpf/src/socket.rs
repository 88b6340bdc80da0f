//! What a workload's socket may be, where it may be bound and how it may be set.

use core::ptr::{addr_of, addr_of_mut};

use aya_ebpf::programs::{SockAddrContext, SockContext, SockoptContext};
use portcullis_common::Refusal;

use crate::{
    attempt::{refuse_address, refuse_option, refuse_socket},
    context::{self, TCP, UDP},
    jail,
    maps::settings,
};

const SOCK_STREAM: u32 = 1;
const SOCK_DGRAM: u32 = 2;

/// Lets TCP and UDP be: not MPTCP, SCTP, UDP-Lite, ping or raw sockets. The kernel has resolved protocol 0 by now.
#[inline(always)]
pub fn judge_create(ctx: &SockContext) -> bool {
    // SAFETY: the kernel hands a valid context; the verifier checks the offsets.
    let (kind, protocol) =
        unsafe { (addr_of!((*ctx.sock).type_).read_volatile(), addr_of!((*ctx.sock).protocol).read_volatile()) };
    let allowed = (kind == SOCK_STREAM && protocol == TCP) || (kind == SOCK_DGRAM && protocol == UDP);
    if allowed {
        jail::mark_new(ctx);
    }
    allowed || refuse_socket(ctx, protocol)
}

/// Keeps workloads off the daemon's port: whoever held it while the daemon is down would get everyone's connects.
#[inline(always)]
pub fn judge_bind(ctx: &SockAddrContext) -> bool {
    let port = context::port(ctx);
    port != settings().port || port == 0 || refuse_address(ctx, Refusal::Bind, [0; 16], port)
}

/// Longest option value that the kernel shows; of a longer one it takes the caller's bytes as they are.
const OPTION_SHOWN_MAX: i32 = 4096;

#[inline(always)]
pub fn judge_option(ctx: &SockoptContext) -> bool {
    // SAFETY: the kernel hands a valid context; the verifier checks the offsets.
    let (level, name, length) = unsafe {
        (
            addr_of!((*ctx.sockopt).level).read_volatile(),
            addr_of!((*ctx.sockopt).optname).read_volatile(),
            addr_of!((*ctx.sockopt).optlen).read_volatile(),
        )
    };
    if steers(level, name) {
        return refuse_option(ctx, level, name);
    }
    if length > OPTION_SHOWN_MAX {
        // SAFETY: as above; zero is how a program says "unseen, unchanged".
        unsafe { addr_of_mut!((*ctx.sockopt).optlen).write_volatile(0) };
    }
    true
}

/// Whether an option moves packets to another interface, another route or another header, or talks by itself
/// (group membership). Numbers are those of `asm-generic/socket.h`, `linux/in.h` and `linux/in6.h`.
#[inline(always)]
fn steers(level: i32, name: i32) -> bool {
    const SOL_SOCKET: i32 = 1;
    const SOL_IP: i32 = 0;
    const SOL_IPV6: i32 = 41;
    match level {
        // SO_BINDTODEVICE, SO_MARK, SO_BINDTOIFINDEX.
        SOL_SOCKET => matches!(name, 25 | 36 | 62),
        // IP_HDRINCL, IP_OPTIONS, IP_TRANSPARENT, IP_MULTICAST_IF, IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP,
        // IP_MSFILTER, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP, MCAST_MSFILTER, IP_UNICAST_IF.
        SOL_IP => matches!(name, 3 | 4 | 19 | 32 | 35 | 39 | 41 | 42 | 46 | 48 | 50),
        // IPV6_2292PKTINFO, _2292HOPOPTS, _2292DSTOPTS, _2292RTHDR, _2292PKTOPTIONS, _MULTICAST_IF, _JOIN_GROUP,
        // _JOIN_ANYCAST, _HDRINCL, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP, MCAST_MSFILTER, IPV6_PKTINFO, _HOPOPTS,
        // _RTHDRDSTOPTS, _RTHDR, _DSTOPTS, _TRANSPARENT, _UNICAST_IF.
        SOL_IPV6 => {
            matches!(name, 2 | 3 | 4 | 5 | 6 | 17 | 20 | 27 | 36 | 42 | 46 | 48 | 50 | 54 | 55 | 57 | 59 | 75 | 76)
        }
        _ => false,
    }
}
