//! IP by other transports, and by hand.

use std::net::{Ipv6Addr, SocketAddr};

use nix::libc::{self, AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM};

use super::Attempt;
use crate::{
    scene::{FAR_V4, FAR_V6, NEAR_V4, Scene},
    sys::{self, At, Tried, address, switch_on},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("raw-icmp", "a raw ICMP socket", |scene| raw(scene, AF_INET, libc::IPPROTO_ICMP)),
    Attempt::new("raw-udp", "a raw UDP socket", |scene| raw(scene, AF_INET, libc::IPPROTO_UDP)),
    Attempt::new("raw-unassigned", "a protocol number that nobody has (253, RFC 3692)", |scene| {
        raw(scene, AF_INET, 253)
    }),
    Attempt::new("raw-header", "IPPROTO_RAW: the whole IP packet by hand", raw_header),
    Attempt::new("raw-v6", "a raw IPv6 socket", |scene| raw(scene, AF_INET6, 253)),
    Attempt::new("raw-header-v6", "IPPROTO_RAW over IPv6", raw_header6),
    Attempt::new("ping", "a ping socket", |scene| ping(scene, AF_INET, libc::IPPROTO_ICMP)),
    Attempt::new("ping-v6", "an IPv6 ping socket", |scene| ping(scene, AF_INET6, libc::IPPROTO_ICMPV6)),
    Attempt::new("udplite", "UDP-Lite", |scene| to(scene, AF_INET, SOCK_DGRAM, libc::IPPROTO_UDPLITE)),
    Attempt::new("udplite-v6", "UDP-Lite over IPv6", |scene| to(scene, AF_INET6, SOCK_DGRAM, libc::IPPROTO_UDPLITE)),
    Attempt::new("sctp", "SCTP", |scene| connected(scene, SOCK_STREAM, libc::IPPROTO_SCTP)),
    Attempt::new("sctp-seqpacket", "SCTP, one socket for many peers", |scene| {
        to(scene, AF_INET, SOCK_SEQPACKET, libc::IPPROTO_SCTP)
    }),
    Attempt::new("dccp", "DCCP", dccp),
    Attempt::new("l2tp", "L2TP over IP", |scene| l2tp(scene, AF_INET)),
    Attempt::new("l2tp-v6", "L2TP over IPv6", |scene| l2tp(scene, AF_INET6)),
];

fn far(scene: &Scene, family: i32) -> SocketAddr {
    if family == AF_INET { scene.far() } else { scene.far6() }
}

fn raw(scene: &Scene, family: i32, protocol: i32) -> Tried {
    let mut far = far(scene, family);
    far.set_port(0);
    let socket = sys::socket(family, SOCK_RAW, protocol).at("socket")?;
    sys::send_to(&socket, scene.marker(), &address(far)).at("sendto")
}

fn raw_header(scene: &Scene) -> Tried {
    let socket = sys::socket(AF_INET, SOCK_RAW, libc::IPPROTO_RAW).at("socket")?;
    sys::send_to(&socket, &packet(scene), &address(SocketAddr::new(FAR_V4.into(), 0))).at("sendto")
}

fn raw_header6(scene: &Scene) -> Tried {
    let socket = sys::socket(AF_INET6, SOCK_RAW, libc::IPPROTO_RAW).at("socket")?;
    let length = (scene.marker().len() as u16).to_be_bytes();
    let source: Ipv6Addr = crate::scene::NEAR_V6;
    let header = [&[0x60, 0, 0, 0][..], &length, &[253, 64], &source.octets(), &FAR_V6.octets()].concat();
    let bytes = [&header, scene.marker()].concat();
    sys::send_to(&socket, &bytes, &address(SocketAddr::new(FAR_V6.into(), 0))).at("sendto")
}

/// An IPv4 packet with a UDP datagram that holds the marker, RFC 791 and RFC 768.
pub fn packet(scene: &Scene) -> Vec<u8> {
    packet_from(scene, NEAR_V4.octets())
}

pub fn packet_from(scene: &Scene, source: [u8; 4]) -> Vec<u8> {
    let length = (28 + scene.marker().len()) as u16;
    let udp_length = (8 + scene.marker().len()) as u16;
    let mut header =
        [&[0x45, 0][..], &length.to_be_bytes(), &[0, 0, 0, 0, 64, 17, 0, 0], &source, &FAR_V4.octets()].concat();
    let sum = checksum(&header).to_be_bytes();
    header.splice(10..12, sum);
    let ports = [4444_u16.to_be_bytes(), scene.port.to_be_bytes()].concat();
    // A checksum of zero means none.
    [&header[..], &ports, &udp_length.to_be_bytes(), &[0, 0], scene.marker()].concat()
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match *pair {
        [high, low] => u32::from(u16::from_be_bytes([high, low])),
        [high] => u32::from(high) << 8,
        _ => 0,
    });
    let sum: u32 = words.sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

fn ping(scene: &Scene, family: i32, protocol: i32) -> Tried {
    let socket = sys::socket(family, SOCK_DGRAM, protocol).at("socket")?;
    // RFC 792 and RFC 4443: an echo request; the kernel fills in the checksum and the identifier.
    let kind = if family == AF_INET { 8 } else { 128 };
    let echo = [&[kind, 0, 0, 0, 0, 0, 0, 1][..], scene.marker()].concat();
    let mut far = far(scene, family);
    far.set_port(0);
    sys::send_to(&socket, &echo, &address(far)).at("sendto")
}

fn to(scene: &Scene, family: i32, kind: i32, protocol: i32) -> Tried {
    let socket = sys::socket(family, kind, protocol).at("socket")?;
    sys::patient(&socket).at("patience")?;
    sys::send_to(&socket, scene.marker(), &address(far(scene, family))).at("sendto")
}

fn connected(scene: &Scene, kind: i32, protocol: i32) -> Tried {
    let socket = sys::socket(AF_INET, kind, protocol).at("socket")?;
    sys::connect(&socket, &address(scene.far())).at("connect")?;
    sys::send(&socket, scene.marker(), 0).at("send")
}

fn dccp(scene: &Scene) -> Tried {
    /// `linux/dccp.h`; a service must be named before a connect.
    const DCCP_SOCKOPT_SERVICE: i32 = 2;
    const SOL_DCCP: i32 = 269;
    let socket = sys::socket(AF_INET, libc::SOCK_DCCP, libc::IPPROTO_DCCP).at("socket")?;
    sys::option(&socket, SOL_DCCP, DCCP_SOCKOPT_SERVICE, &1_u32.to_be_bytes()).at("setsockopt")?;
    sys::connect(&socket, &address(scene.far())).at("connect")
}

fn l2tp(scene: &Scene, family: i32) -> Tried {
    /// RFC 3931, 4.1.1.1.
    const IPPROTO_L2TP: i32 = 115;
    let socket = sys::socket(family, SOCK_DGRAM, IPPROTO_L2TP).at("socket")?;
    let _ = switch_on(&socket, libc::SOL_SOCKET, libc::SO_BROADCAST);
    // Where IP has a port, `struct sockaddr_l2tpip` has nothing, and the connection's id comes after the address.
    let mut far = far(scene, family);
    far.set_port(0);
    let mut to = address(far);
    if family == AF_INET6 {
        to.extend([0; 4]);
    }
    sys::send_to(&socket, scene.marker(), &to).at("sendto")
}
