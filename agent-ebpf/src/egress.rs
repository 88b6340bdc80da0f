//! Packets: the floor under everything else. Only what leads to the daemon, and DNS, leaves a workload's socket.

use core::ptr::addr_of;

use aya_ebpf::programs::SkBuffContext;
use portcullis_common::{Address, DNS_PORT, LOOPBACK_INDEX, LOOPBACK_V4, LOOPBACK_V6, Refusal};

use crate::{
    context::{self, TCP, UDP},
    maps::{RESOLVERS, refuse, settings},
};

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;

/// Version 4, five words of header: no options, so no source route.
const IPV4_PLAIN: u8 = 0x45;

/// "More fragments" and the fragment offset.
const IPV4_FRAGMENT: u16 = 0x3fff;

/// Where a packet goes.
struct Destination {
    address: Address,
    port: u16,
    protocol: u32,
    interface: u32,
}

#[inline(always)]
pub fn judge(ctx: &SkBuffContext) -> bool {
    // SAFETY: the kernel hands a valid context; the verifier checks the offsets.
    let (ethertype, interface) = unsafe {
        (
            u16::from_be(addr_of!((*ctx.skb.skb).protocol).read_volatile() as u16),
            addr_of!((*ctx.skb.skb).ifindex).read_volatile(),
        )
    };
    let destination = match ethertype {
        ETH_P_IP => ipv4(ctx, interface),
        ETH_P_IPV6 => ipv6(ctx, interface),
        _ => None,
    };
    match destination {
        Some(destination) if leads_to_daemon(&destination) || leads_to_resolver(&destination) => true,
        Some(destination) => refuse(ctx, Refusal::Packet, destination.address, destination.port),
        None => refuse(ctx, Refusal::Packet, [0; 16], ethertype),
    }
}

#[inline(always)]
fn leads_to_daemon(to: &Destination) -> bool {
    let settings = settings();
    to.protocol == TCP
        && settings.port != 0
        && to.port == settings.port
        && to.interface == LOOPBACK_INDEX
        && (to.address == LOOPBACK_V4 || to.address == LOOPBACK_V6)
}

#[inline(always)]
fn leads_to_resolver(to: &Destination) -> bool {
    if to.port != DNS_PORT || (to.protocol != UDP && to.protocol != TCP) {
        return false;
    }
    match RESOLVERS.get_ptr(to.address) {
        // SAFETY: a value of a preallocated map.
        Some(interface) => unsafe { *interface == to.interface },
        None => false,
    }
}

/// RFC 791, section 3.1, and the ports that follow.
#[inline(always)]
fn ipv4(ctx: &SkBuffContext, interface: u32) -> Option<Destination> {
    let h: [u8; 24] = ctx.load(0).ok()?;
    let fragment = u16::from_be_bytes([h[6], h[7]]) & IPV4_FRAGMENT;
    if h[0] != IPV4_PLAIN || fragment != 0 {
        return None;
    }
    Some(Destination {
        address: context::mapped(u32::from_ne_bytes([h[16], h[17], h[18], h[19]])),
        port: u16::from_be_bytes([h[22], h[23]]),
        protocol: u32::from(h[9]),
        interface,
    })
}

/// RFC 8200, section 3, and the ports that follow: an extension header is not among the protocols let through.
#[inline(always)]
fn ipv6(ctx: &SkBuffContext, interface: u32) -> Option<Destination> {
    let h: [u8; 44] = ctx.load(0).ok()?;
    if h[0] >> 4 != 6 {
        return None;
    }
    let address = [
        h[24], h[25], h[26], h[27], h[28], h[29], h[30], h[31], h[32], h[33], h[34], h[35], h[36], h[37], h[38], h[39],
    ];
    Some(Destination { address, port: u16::from_be_bytes([h[42], h[43]]), protocol: u32::from(h[6]), interface })
}
