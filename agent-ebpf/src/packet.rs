//! What a packet of a workload's socket says of itself.

use core::ptr::addr_of;

use aya_ebpf::{bindings::bpf_sock, programs::SkBuffContext};
use portcullis_common::{Address, LOOPBACK_INDEX, LOOPBACK_V4, LOOPBACK_V6};

use crate::{
    context::{self, TCP, UDP},
    maps::settings,
};

const ETH_P_IP: u16 = 0x0800;
const ETH_P_IPV6: u16 = 0x86dd;

/// Version 4, five words of header: no options, so no source route.
const IPV4_PLAIN: u8 = 0x45;

/// "More fragments" and the fragment offset.
const IPV4_FRAGMENT: u16 = 0x3fff;

/// One of TCP or UDP, whole and without options; ports are in host order.
pub struct Packet {
    pub source: Address,
    pub source_port: u16,
    pub destination: Address,
    pub destination_port: u16,
    pub protocol: u32,
    /// Of DNS over UDP, the message's identifier.
    pub query: u16,
}

/// The packet, unless it is one that cannot be told.
#[inline(always)]
pub fn parse(ctx: &SkBuffContext) -> Option<Packet> {
    match ethertype(ctx) {
        ETH_P_IP => ipv4(ctx),
        ETH_P_IPV6 => ipv6(ctx),
        _ => None,
    }
}

#[inline(always)]
pub fn ethertype(ctx: &SkBuffContext) -> u16 {
    // SAFETY: the kernel hands a valid context; the verifier checks the offset.
    u16::from_be(unsafe { addr_of!((*ctx.skb.skb).protocol).read_volatile() } as u16)
}

/// Whether a packet leaves, or came, over the loopback.
#[inline(always)]
pub fn on_loopback(ctx: &SkBuffContext) -> bool {
    // SAFETY: as above.
    let interface = unsafe { addr_of!((*ctx.skb.skb).ifindex).read_volatile() };
    interface == LOOPBACK_INDEX
}

/// The socket, or null.
#[inline(always)]
pub fn socket(ctx: &SkBuffContext) -> *mut bpf_sock {
    // SAFETY: as above.
    unsafe { addr_of!((*ctx.skb.skb).__bindgen_anon_2.sk).read_volatile() }
}

/// Whether this is where the daemon listens, for TCP and for DNS.
#[inline(always)]
pub fn is_daemon(address: &Address, port: u16, protocol: u32) -> bool {
    let settings = settings();
    settings.port != 0
        && port == settings.port
        && (protocol == TCP || protocol == UDP)
        && (*address == LOOPBACK_V4 || *address == LOOPBACK_V6)
}

/// RFC 791, section 3.1, and what follows: the ports, and behind the header of UDP the first word.
#[inline(always)]
fn ipv4(ctx: &SkBuffContext) -> Option<Packet> {
    let h: [u8; 30] = ctx.load(0).ok()?;
    let fragment = u16::from_be_bytes([h[6], h[7]]) & IPV4_FRAGMENT;
    if h[0] != IPV4_PLAIN || fragment != 0 {
        return None;
    }
    Some(Packet {
        source: context::mapped(u32::from_ne_bytes([h[12], h[13], h[14], h[15]])),
        source_port: u16::from_be_bytes([h[20], h[21]]),
        destination: context::mapped(u32::from_ne_bytes([h[16], h[17], h[18], h[19]])),
        destination_port: u16::from_be_bytes([h[22], h[23]]),
        protocol: u32::from(h[9]),
        query: u16::from_be_bytes([h[28], h[29]]),
    })
}

/// RFC 8200, section 3, and what follows: an extension header is not among the protocols let through.
#[inline(always)]
fn ipv6(ctx: &SkBuffContext) -> Option<Packet> {
    let h: [u8; 50] = ctx.load(0).ok()?;
    if h[0] >> 4 != 6 {
        return None;
    }
    Some(Packet {
        source: [
            h[8], h[9], h[10], h[11], h[12], h[13], h[14], h[15], h[16], h[17], h[18], h[19], h[20], h[21], h[22],
            h[23],
        ],
        source_port: u16::from_be_bytes([h[40], h[41]]),
        destination: [
            h[24], h[25], h[26], h[27], h[28], h[29], h[30], h[31], h[32], h[33], h[34], h[35], h[36], h[37], h[38],
            h[39],
        ],
        destination_port: u16::from_be_bytes([h[42], h[43]]),
        protocol: u32::from(h[6]),
        query: u16::from_be_bytes([h[48], h[49]]),
    })
}
