//! Datagrams, in every form, and what a datagram may carry beside its payload.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::libc::{self, AF_INET, AF_INET6, SOCK_DGRAM, SOL_SOCKET};

use super::Attempt;
use crate::{
    scene::{DEVICE, FAR_V4, FAR_V6, RESOLVER, Scene},
    sys::{self, At, Refused, Tried, address, ancillary, option, switch_on},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("udp-connect", "connect, then send", |scene| connected(scene, scene.far())),
    Attempt::new("udp-connect-v6", "the same over IPv6", |scene| connected(scene, scene.far6())),
    Attempt::new("udp-sendto", "sendto over IPv4", |scene| to(scene, scene.far())),
    Attempt::new("udp-sendto-v6", "sendto over IPv6", |scene| to(scene, scene.far6())),
    Attempt::new("udp-sendto-mapped", "sendto to an IPv4-mapped address", |scene| to(scene, scene.far_mapped())),
    Attempt::new("udp-sendmmsg", "sendmmsg", many),
    Attempt::new("udp-quic", "port 443, as HTTP/3 does", |scene| to(scene, SocketAddr::new(FAR_V4.into(), 443))),
    Attempt::new("udp-multicast", "a multicast group", |scene| to(scene, scene.on(scene.group()))),
    Attempt::new("udp-multicast-v6", "an IPv6 multicast group, by interface", multicast6),
    Attempt::new("udp-broadcast", "255.255.255.255", |scene| broadcast(scene, Ipv4Addr::BROADCAST)),
    Attempt::new("udp-broadcast-subnet", "the network's own broadcast address", |scene| {
        broadcast(scene, Ipv4Addr::new(198, 18, 0, 255))
    }),
    Attempt::new("udp-fragments", "a datagram longer than a packet", fragments),
    Attempt::new("udp-segments", "UDP_SEGMENT: one send, many datagrams", segments),
    Attempt::new("udp-cork", "MSG_MORE, then the rest", corked),
    Attempt::new("udp-reconnect", "connect to the resolver, then sendto elsewhere", reconnected),
    Attempt::new("udp-bindtodevice", "SO_BINDTODEVICE", |scene| {
        with(scene, SOL_SOCKET, libc::SO_BINDTODEVICE, DEVICE.as_bytes(), scene.far())
    }),
    Attempt::new("udp-mark", "SO_MARK", |scene| {
        with(scene, SOL_SOCKET, libc::SO_MARK, &7_i32.to_ne_bytes(), scene.far())
    }),
    Attempt::new("udp-routing-header", "an IPv6 routing header of type 2 as ancillary data", routing_header),
    Attempt::new("udp-hop-by-hop", "IPv6 hop-by-hop options as ancillary data", hop_by_hop),
    Attempt::new("udp-source-route", "IPv4 source routing as ancillary data", source_route),
    Attempt::new("udp-mark-ancillary", "SO_MARK as ancillary data", |scene| {
        carrying(scene, scene.far(), &ancillary(SOL_SOCKET, libc::SO_MARK, &7_i32.to_ne_bytes()))
    }),
    Attempt::new("dns-foreign", "port 53 of a host that is no resolver", |scene| to(scene, dns(FAR_V4))),
    Attempt::new("dns-foreign-connect", "the same after a connect", |scene| connected(scene, dns(FAR_V4))),
    Attempt::new("dns-foreign-v6", "the same over IPv6", |scene| to(scene, SocketAddr::new(FAR_V6.into(), 53))),
    Attempt::new("dns-foreign-pktinfo", "port 53 with the interface in IP_PKTINFO", |scene| {
        pktinfo(scene, dns(FAR_V4))
    }),
    Attempt::new("dns-foreign-unicast-if", "port 53 with IP_UNICAST_IF", unicast_interface),
    Attempt::new("dns-foreign-pktinfo-v6", "port 53 with IPV6_PKTINFO", pktinfo6),
    Attempt::new("dns-bindtodevice", "port 53 with SO_BINDTODEVICE", |scene| {
        with(scene, SOL_SOCKET, libc::SO_BINDTODEVICE, DEVICE.as_bytes(), dns(FAR_V4))
    }),
    Attempt::new("dns-not-dns", "bytes that are no query, to the host's resolver", |scene| to(scene, dns(RESOLVER))),
    Attempt::new("dns-resolver-pktinfo", "the same with the interface in IP_PKTINFO", |scene| {
        pktinfo(scene, dns(RESOLVER))
    }),
    Attempt::new("dns-tunnel", "a query of the resolver, with what is to get out as the name", |scene| {
        tunnel(&question(&[scene.marker(), b"example"], A))
    }),
    Attempt::new("dns-tunnel-below", "the same below a name that may be asked", |scene| {
        tunnel(&question(&[scene.marker(), b"known", b"example"], A))
    }),
    Attempt::new("dns-tunnel-text", "the same, asking for a text", |scene| {
        tunnel(&question(&[scene.marker(), b"known", b"example"], TEXT))
    }),
    Attempt::new("dns-tunnel-reverse", "the same as the name of an address", |scene| {
        tunnel(&question(&[scene.marker(), b"in-addr", b"arpa"], POINTER))
    }),
    Attempt::new("dns-tunnel-option", "a name that may be asked, with what is to get out as an option", |scene| {
        let option =
            [&65_001_u16.to_be_bytes()[..], &(scene.marker().len() as u16).to_be_bytes(), scene.marker()].concat();
        let record = [&[0, 0, 41, 4, 208, 0, 0, 0, 0][..], &(option.len() as u16).to_be_bytes(), &option].concat();
        let mut query = question(&[b"known", b"example"], A);
        // One additional record.
        query.get_mut(11).into_iter().for_each(|count| *count = 1);
        tunnel(&[query, record].concat())
    }),
    Attempt::new("dns-tunnel-trailer", "a name that may be asked, and what is to get out behind it", |scene| {
        tunnel(&[&question(&[b"known", b"example"], A), scene.marker()].concat())
    }),
    Attempt::new("dns-tunnel-tcp", "a query of the resolver over TCP, with what is to get out as the name", |scene| {
        let query = question(&[scene.marker(), b"example"], A);
        let socket = sys::socket(AF_INET, libc::SOCK_STREAM, 0).at("socket")?;
        sys::connect(&socket, &address(dns(RESOLVER))).at("connect")?;
        sys::send(&socket, &[&(query.len() as u16).to_be_bytes()[..], &query].concat(), 0).at("send")?;
        heed(&socket)
    }),
];

fn dns(host: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(host.into(), 53)
}

fn datagram(family: i32) -> Result<std::os::fd::OwnedFd, Refused> {
    sys::socket(family, SOCK_DGRAM, 0).at("socket")
}

fn connected(scene: &Scene, far: SocketAddr) -> Tried {
    let socket = datagram(sys::family_of(far))?;
    sys::connect(&socket, &address(far)).at("connect")?;
    sys::send(&socket, scene.marker(), 0).at("send")
}

pub fn to(scene: &Scene, far: SocketAddr) -> Tried {
    carrying(scene, far, &[])
}

fn carrying(scene: &Scene, far: SocketAddr, control: &[u8]) -> Tried {
    let socket = datagram(sys::family_of(far))?;
    sys::send_message(&socket, scene.marker(), &address(far), control, 0).at("sendmsg")
}

fn with(scene: &Scene, level: i32, name: i32, value: &[u8], far: SocketAddr) -> Tried {
    let socket = datagram(AF_INET)?;
    option(&socket, level, name, value).at("setsockopt")?;
    sys::send_to(&socket, scene.marker(), &address(far)).at("sendto")
}

fn many(scene: &Scene) -> Tried {
    let socket = datagram(AF_INET)?;
    let far = address(scene.far());
    let mut parts =
        [libc::iovec { iov_base: scene.marker().as_ptr().cast_mut().cast(), iov_len: scene.marker().len() }];
    let header = sys::message(&mut parts, &far, &[]);
    let mut messages = [libc::mmsghdr { msg_hdr: header, msg_len: 0 }, libc::mmsghdr { msg_hdr: header, msg_len: 0 }];
    use std::os::fd::AsRawFd;
    // SAFETY: two messages, whose parts and address outlive the call.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), 2, 0) };
    sys::checked(sent.into()).at("sendmmsg").map(drop)
}

fn multicast6(scene: &Scene) -> Tried {
    let socket = datagram(AF_INET6)?;
    let device = sys::interface(DEVICE).at("interface")?;
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0xc3c3, scene.port);
    sys::send_to(&socket, scene.marker(), &sys::address_in(scene.on(group), device)).at("sendto")
}

fn broadcast(scene: &Scene, to: Ipv4Addr) -> Tried {
    let socket = datagram(AF_INET)?;
    switch_on(&socket, SOL_SOCKET, libc::SO_BROADCAST).at("setsockopt")?;
    sys::send_to(&socket, scene.marker(), &address(scene.on(to))).at("sendto")
}

fn fragments(scene: &Scene) -> Tried {
    let socket = datagram(AF_INET)?;
    let long = scene.marker().repeat(300);
    sys::send_to(&socket, &long, &address(scene.far())).at("sendto")
}

fn segments(scene: &Scene) -> Tried {
    let socket = datagram(AF_INET)?;
    let length = scene.marker().len() as i32;
    option(&socket, libc::IPPROTO_UDP, libc::UDP_SEGMENT, &length.to_ne_bytes()).at("setsockopt")?;
    sys::send_to(&socket, &scene.marker().repeat(4), &address(scene.far())).at("sendto")
}

fn corked(scene: &Scene) -> Tried {
    let socket = datagram(AF_INET)?;
    sys::send_message(&socket, scene.marker(), &address(scene.far()), &[], libc::MSG_MORE).at("sendto")?;
    sys::send_to(&socket, b".", &address(scene.far())).at("sendto")
}

fn reconnected(scene: &Scene) -> Tried {
    let socket = datagram(AF_INET)?;
    sys::connect(&socket, &address(dns(RESOLVER))).at("connect")?;
    sys::send_to(&socket, scene.marker(), &address(scene.far())).at("sendto")
}

/// RFC 6275, 6.4: the one routing header that an unprivileged process may attach.
pub fn type_2_routing_header() -> Vec<u8> {
    [&[0, 2, 2, 1, 0, 0, 0, 0][..], &FAR_V6.octets()].concat()
}

fn routing_header(scene: &Scene) -> Tried {
    let header = ancillary(libc::SOL_IPV6, libc::IPV6_RTHDR, &type_2_routing_header());
    carrying(scene, scene.far6(), &header)
}

fn hop_by_hop(scene: &Scene) -> Tried {
    // RFC 8200, 4.3: one PadN of four bytes.
    let options = [0, 0, 1, 4, 0, 0, 0, 0];
    carrying(scene, scene.far6(), &ancillary(libc::SOL_IPV6, libc::IPV6_HOPOPTS, &options))
}

fn source_route(scene: &Scene) -> Tried {
    let route = [&[131, 7, 4][..], &FAR_V4.octets(), &[0]].concat();
    carrying(scene, scene.far(), &ancillary(libc::SOL_IP, libc::IP_RETOPTS, &route))
}

fn pktinfo(scene: &Scene, far: SocketAddr) -> Tried {
    let device = sys::interface(DEVICE).at("interface")?;
    let info = [device.to_ne_bytes(), [0; 4], [0; 4]].concat();
    carrying(scene, far, &ancillary(libc::SOL_IP, libc::IP_PKTINFO, &info))
}

fn pktinfo6(scene: &Scene) -> Tried {
    let device = sys::interface(DEVICE).at("interface")?;
    let info = [&[0; 16][..], &device.to_ne_bytes()].concat();
    carrying(scene, SocketAddr::new(FAR_V6.into(), 53), &ancillary(libc::SOL_IPV6, libc::IPV6_PKTINFO, &info))
}

fn unicast_interface(scene: &Scene) -> Tried {
    /// `linux/in.h`.
    const IP_UNICAST_IF: i32 = 50;
    let device = sys::interface(DEVICE).at("interface")?;
    with(scene, libc::SOL_IP, IP_UNICAST_IF, &device.to_be_bytes(), dns(FAR_V4))
}

/// Kinds of records: RFC 1035, 3.2.2.
const A: u16 = 1;
const POINTER: u16 = 12;
const TEXT: u16 = 16;

/// RFC 1035, 4.1: one question, for this name.
fn question(labels: &[&[u8]], kind: u16) -> Vec<u8> {
    let header = [0x18, 0x18, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let name: Vec<u8> = labels.iter().flat_map(|label| [&[label.len() as u8][..], label].concat()).collect();
    [&header[..], &name, &[0], &kind.to_be_bytes(), &[0, 1]].concat()
}

fn tunnel(query: &[u8]) -> Tried {
    let socket = datagram(AF_INET)?;
    sys::send_to(&socket, query, &address(dns(RESOLVER))).at("sendto")?;
    heed(&socket)
}

/// Waits for an answer: a relay asks while the asker waits.
fn heed(socket: &std::os::fd::OwnedFd) -> Tried {
    sys::patient(socket).at("patience")?;
    use std::os::fd::AsRawFd;
    let mut answer = [0_u8; 512];
    // SAFETY: a buffer as long as said.
    unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    Ok(())
}
