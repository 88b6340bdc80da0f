//! Fields of `bpf_sock_addr`, as types.
//!
//! The verifier takes accesses at constant offsets only; every read here is volatile and unconditional, so that the
//! compiler merges none of them into an access through a computed pointer.

use core::ptr::{addr_of, addr_of_mut};

use aya_ebpf::{bindings::bpf_sock, programs::SockAddrContext};
use portcullis_common::Address;

macro_rules! field {
    ($ctx:expr, $($path:tt)+) => {
        // SAFETY: the kernel hands a valid context; the verifier checks the offset.
        unsafe { addr_of!((*$ctx.sock_addr).$($path)+).read_volatile() }
    };
}

/// Transport protocols, <https://www.iana.org/assignments/protocol-numbers>.
pub const TCP: u32 = 6;
pub const UDP: u32 = 17;

#[inline(always)]
pub fn protocol(ctx: &SockAddrContext) -> u32 {
    field!(ctx, protocol)
}

/// The port in host order.
#[inline(always)]
pub fn port(ctx: &SockAddrContext) -> u16 {
    u16::from_be(field!(ctx, user_port) as u16)
}

#[inline(always)]
pub fn address4(ctx: &SockAddrContext) -> Address {
    mapped(field!(ctx, user_ip4))
}

#[inline(always)]
pub fn address6(ctx: &SockAddrContext) -> Address {
    join([field!(ctx, user_ip6[0]), field!(ctx, user_ip6[1]), field!(ctx, user_ip6[2]), field!(ctx, user_ip6[3])])
}

#[inline(always)]
pub fn socket(ctx: &SockAddrContext) -> *mut bpf_sock {
    field!(ctx, __bindgen_anon_1.sk)
}

#[inline(always)]
pub fn rewrite4(ctx: &SockAddrContext, address: Address, port: u16) {
    let [_, _, _, word] = split(address);
    // SAFETY: as in `field`.
    unsafe {
        addr_of_mut!((*ctx.sock_addr).user_ip4).write_volatile(word);
        addr_of_mut!((*ctx.sock_addr).user_port).write_volatile(u32::from(port.to_be()));
    }
}

#[inline(always)]
pub fn rewrite6(ctx: &SockAddrContext, address: Address, port: u16) {
    let [a, b, c, d] = split(address);
    // SAFETY: as in `field`.
    unsafe {
        addr_of_mut!((*ctx.sock_addr).user_ip6[0]).write_volatile(a);
        addr_of_mut!((*ctx.sock_addr).user_ip6[1]).write_volatile(b);
        addr_of_mut!((*ctx.sock_addr).user_ip6[2]).write_volatile(c);
        addr_of_mut!((*ctx.sock_addr).user_ip6[3]).write_volatile(d);
        addr_of_mut!((*ctx.sock_addr).user_port).write_volatile(u32::from(port.to_be()));
    }
}

/// An IPv4 address, as it lies in memory, as `::ffff:a.b.c.d`.
#[inline(always)]
pub fn mapped(word: u32) -> Address {
    join([0, 0, 0xffff_u32.to_be(), word])
}

/// Whether an address is `::ffff:a.b.c.d`.
#[inline(always)]
pub fn is_mapped(address: &Address) -> bool {
    let [a, b, c, _] = split(*address);
    a == 0 && b == 0 && c == 0xffff_u32.to_be()
}

/// Four words, each as it lies in memory.
#[inline(always)]
pub fn join(words: [u32; 4]) -> Address {
    let [a, b, c, d] = words.map(u32::to_ne_bytes);
    [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
}

/// The four words of an address, each as it lies in memory.
#[inline(always)]
pub fn split(a: Address) -> [u32; 4] {
    [[a[0], a[1], a[2], a[3]], [a[4], a[5], a[6], a[7]], [a[8], a[9], a[10], a[11]], [a[12], a[13], a[14], a[15]]]
        .map(u32::from_ne_bytes)
}
