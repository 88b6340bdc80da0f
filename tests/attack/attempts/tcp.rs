//! TCP to another host, in every form that `connect` and its likes have.

use std::{
    fs::File,
    io::{Seek, Write},
    net::{Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::libc::{self, AF_INET, AF_INET6, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET};

use super::Attempt;
use crate::{
    scene::{DEVICE, NEAR_V4, Scene},
    sys::{self, At, Tried, address, address_in, option, switch_on},
};

/// `linux/socket.h`.
const AF_SMC: i32 = 43;

pub const ALL: &[Attempt] = &[
    Attempt::new("tcp-v4", "connect over IPv4", |scene| dial(scene, scene.far())),
    Attempt::new("tcp-v6", "connect over IPv6", |scene| dial(scene, scene.far6())),
    Attempt::new("tcp-mapped", "an IPv6 socket to an IPv4-mapped address", |scene| dial(scene, scene.far_mapped())),
    Attempt::new("tcp-dns", "port 53 of a host that is no resolver", dns),
    Attempt::new("tcp-link-local", "an IPv6 link-local address, with its interface", link_local),
    Attempt::new("tcp-nonblocking", "a connect that does not wait", nonblocking),
    Attempt::new("tcp-fastopen", "MSG_FASTOPEN: data in place of a connect", |scene| fast_open(scene, scene.far())),
    Attempt::new("tcp-fastopen-v6", "the same over IPv6", |scene| fast_open(scene, scene.far6())),
    Attempt::new("tcp-fastopen-connect", "TCP_FASTOPEN_CONNECT: the SYN leaves with the first write", |scene| {
        with(scene, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, &1_i32.to_ne_bytes())
    }),
    Attempt::new("tcp-bound", "bind to the host's own address before the connect", bound),
    Attempt::new("tcp-freebind", "IP_FREEBIND to an address that the host does not have", |scene| {
        foreign_source(scene, libc::IP_FREEBIND)
    }),
    Attempt::new("tcp-transparent", "IP_TRANSPARENT, with a source of somebody else", |scene| {
        foreign_source(scene, libc::IP_TRANSPARENT)
    }),
    Attempt::new("tcp-mark", "SO_MARK, to take another route", |scene| {
        with(scene, SOL_SOCKET, libc::SO_MARK, &7_i32.to_ne_bytes())
    }),
    Attempt::new("tcp-dontroute", "SO_DONTROUTE", |scene| {
        with(scene, SOL_SOCKET, libc::SO_DONTROUTE, &1_i32.to_ne_bytes())
    }),
    Attempt::new("tcp-bindtodevice", "SO_BINDTODEVICE: out by the wire, whatever the address", |scene| {
        with(scene, SOL_SOCKET, libc::SO_BINDTODEVICE, DEVICE.as_bytes())
    }),
    Attempt::new("tcp-bindtoifindex", "SO_BINDTOIFINDEX, the same by number", bind_to_index),
    Attempt::new("tcp-unicast-if", "IP_UNICAST_IF", unicast_interface),
    Attempt::new("tcp-source-route", "IPv4 source routing by IP_OPTIONS", source_route),
    Attempt::new("tcp-routing-header", "an IPv6 routing header as a socket option", routing_header),
    Attempt::new("tcp-reconnect", "connect, AF_UNSPEC, connect elsewhere", reconnect),
    Attempt::new("tcp-addrform", "IPV6_ADDRFORM turns a connected IPv6 socket into an IPv4 one", addrform),
    Attempt::new("tcp-repair", "TCP_REPAIR: a connection by decree, without a handshake", repair),
    Attempt::new("tcp-ulp", "kernel TLS on the connection", |scene| with_ulp(scene, b"tls")),
    Attempt::new("tcp-zerocopy", "MSG_ZEROCOPY", zero_copy),
    Attempt::new("tcp-splice", "splice from a pipe", splice),
    Attempt::new("tcp-sendfile", "sendfile from a file", send_file),
    Attempt::new("tcp-same-port", "many connects from one source port by SO_REUSEPORT", same_port),
    Attempt::new("tcp-ports-exhausted", "IP_LOCAL_PORT_RANGE of one port, used until there is none", exhausted),
    Attempt::new("tcp-flood", "2,000 connects at once, then one more", flood),
    Attempt::new("tcp-urgent", "urgent data", urgent),
    Attempt::new("tcp-orphan", "from a process whose parent is gone", orphan),
    Attempt::new("mptcp", "Multipath TCP", |scene| over(scene, AF_INET, libc::IPPROTO_MPTCP)),
    Attempt::new("mptcp-fastopen", "Multipath TCP by MSG_FASTOPEN", mptcp_fast_open),
    Attempt::new("smc", "AF_SMC, which falls back to TCP", |scene| over(scene, AF_SMC, 0)),
];

/// Connects, and says the marker.
pub fn dial(scene: &Scene, to: SocketAddr) -> Tried {
    let socket = sys::socket(sys::family_of(to), SOCK_STREAM, 0).at("socket")?;
    say(scene, socket, &address(to))
}

fn say(scene: &Scene, socket: OwnedFd, to: &[u8]) -> Tried {
    sys::connect(&socket, to).at("connect")?;
    sys::send(&socket, scene.marker(), 0).at("send")?;
    sys::linger(socket);
    Ok(())
}

fn stream() -> Result<OwnedFd, sys::Refused> {
    sys::socket(AF_INET, SOCK_STREAM, 0).at("socket")
}

/// Sets one option first.
fn with(scene: &Scene, level: i32, name: i32, value: &[u8]) -> Tried {
    let socket = stream()?;
    option(&socket, level, name, value).at("setsockopt")?;
    say(scene, socket, &address(scene.far()))
}

fn over(scene: &Scene, family: i32, protocol: i32) -> Tried {
    let socket = sys::socket(family, SOCK_STREAM, protocol).at("socket")?;
    say(scene, socket, &address(scene.far()))
}

fn dns(scene: &Scene) -> Tried {
    dial(scene, SocketAddr::new(scene.far().ip(), 53))
}

fn link_local(scene: &Scene) -> Tried {
    let device = sys::interface(DEVICE).at("interface")?;
    let far = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0x18, 2);
    let socket = sys::socket(AF_INET6, SOCK_STREAM, 0).at("socket")?;
    say(scene, socket, &address_in(scene.on(far), device))
}

fn nonblocking(scene: &Scene) -> Tried {
    let socket = sys::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).at("socket")?;
    match sys::connect(&socket, &address(scene.far())) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        answer => answer.at("connect")?,
    }
    std::thread::sleep(sys::PATIENCE / 4);
    sys::send(&socket, scene.marker(), 0).at("send")?;
    sys::linger(socket);
    Ok(())
}

fn fast_open(scene: &Scene, to: SocketAddr) -> Tried {
    let socket = sys::socket(sys::family_of(to), SOCK_STREAM, 0).at("socket")?;
    fast(scene, socket, to)
}

fn fast(scene: &Scene, socket: OwnedFd, to: SocketAddr) -> Tried {
    sys::patient(&socket).at("patience")?;
    sys::send_message(&socket, scene.marker(), &address(to), &[], libc::MSG_FASTOPEN).at("sendto")?;
    sys::linger(socket);
    Ok(())
}

fn mptcp_fast_open(scene: &Scene) -> Tried {
    let socket = sys::socket(AF_INET, SOCK_STREAM, libc::IPPROTO_MPTCP).at("socket")?;
    fast(scene, socket, scene.far())
}

fn bound(scene: &Scene) -> Tried {
    let socket = stream()?;
    sys::bind(&socket, &address(SocketAddr::new(NEAR_V4.into(), 0))).at("bind")?;
    say(scene, socket, &address(scene.far()))
}

fn foreign_source(scene: &Scene, how: i32) -> Tried {
    let socket = stream()?;
    switch_on(&socket, libc::SOL_IP, how).at("setsockopt")?;
    sys::bind(&socket, &address(SocketAddr::new([198, 18, 0, 77].into(), 0))).at("bind")?;
    say(scene, socket, &address(scene.far()))
}

fn bind_to_index(scene: &Scene) -> Tried {
    let device = sys::interface(DEVICE).at("interface")?;
    with(scene, SOL_SOCKET, libc::SO_BINDTOIFINDEX, &device.to_ne_bytes())
}

fn unicast_interface(scene: &Scene) -> Tried {
    /// `linux/in.h`.
    const IP_UNICAST_IF: i32 = 50;
    let device = sys::interface(DEVICE).at("interface")?;
    with(scene, libc::SOL_IP, IP_UNICAST_IF, &device.to_be_bytes())
}

fn source_route(scene: &Scene) -> Tried {
    // RFC 791: loose source route by the far host, padded to a word.
    let route = [&[131, 7, 4][..], &crate::scene::FAR_V4.octets(), &[0]].concat();
    with(scene, libc::SOL_IP, libc::IP_OPTIONS, &route)
}

fn routing_header(scene: &Scene) -> Tried {
    let socket = sys::socket(AF_INET6, SOCK_STREAM, 0).at("socket")?;
    option(&socket, libc::SOL_IPV6, libc::IPV6_RTHDR, &super::udp::type_2_routing_header()).at("setsockopt")?;
    say(scene, socket, &address(scene.far6()))
}

fn reconnect(scene: &Scene) -> Tried {
    let socket = stream()?;
    // The first goes where the host itself listens; a refusal does not matter.
    let _ = sys::connect(&socket, &address(scene.on([127, 0, 0, 1])));
    sys::connect(&socket, &[0; 16]).at("disconnect")?;
    say(scene, socket, &address(scene.far()))
}

fn addrform(scene: &Scene) -> Tried {
    let socket = sys::socket(AF_INET6, SOCK_STREAM, 0).at("socket")?;
    sys::connect(&socket, &address(scene.far_mapped())).at("connect")?;
    option(&socket, libc::SOL_IPV6, libc::IPV6_ADDRFORM, &AF_INET.to_ne_bytes()).at("setsockopt")?;
    sys::connect(&socket, &[0; 16]).at("disconnect")?;
    say(scene, socket, &address(scene.far()))
}

fn repair(scene: &Scene) -> Tried {
    let socket = stream()?;
    switch_on(&socket, libc::IPPROTO_TCP, libc::TCP_REPAIR).at("setsockopt")?;
    sys::bind(&socket, &address(SocketAddr::new(NEAR_V4.into(), 0))).at("bind")?;
    sys::connect(&socket, &address(scene.far())).at("connect")?;
    // `struct tcp_repair_window`: a peer that takes a page.
    let window = [0_u32, 4096, 4096, 4096, 0].map(u32::to_ne_bytes).concat();
    option(&socket, libc::IPPROTO_TCP, libc::TCP_REPAIR_WINDOW, &window).at("setsockopt")?;
    // TCP_REPAIR_OFF_NO_WP: without a window probe, at whose answer the connection would end.
    option(&socket, libc::IPPROTO_TCP, libc::TCP_REPAIR, &(-1_i32).to_ne_bytes()).at("setsockopt")?;
    sys::send(&socket, scene.marker(), 0).at("send")
}

fn with_ulp(scene: &Scene, name: &[u8]) -> Tried {
    let socket = stream()?;
    sys::connect(&socket, &address(scene.far())).at("connect")?;
    // Without the module the plain connection goes on: what counts is who hears it.
    let _ = option(&socket, libc::IPPROTO_TCP, libc::TCP_ULP, name);
    sys::send(&socket, scene.marker(), 0).at("send")?;
    sys::linger(socket);
    Ok(())
}

fn zero_copy(scene: &Scene) -> Tried {
    let socket = stream()?;
    switch_on(&socket, SOL_SOCKET, libc::SO_ZEROCOPY).at("setsockopt")?;
    sys::connect(&socket, &address(scene.far())).at("connect")?;
    sys::send(&socket, scene.marker(), libc::MSG_ZEROCOPY).at("send")?;
    sys::linger(socket);
    Ok(())
}

fn splice(scene: &Scene) -> Tried {
    let socket = stream()?;
    sys::connect(&socket, &address(scene.far())).at("connect")?;
    spliced(scene, &socket)?;
    sys::linger(socket);
    Ok(())
}

/// Moves the marker into a socket through a pipe, with no call that sends.
pub fn spliced(scene: &Scene, to: &OwnedFd) -> Tried {
    let (reader, mut writer) = std::io::pipe().at("pipe")?;
    writer.write_all(scene.marker()).at("write")?;
    // SAFETY: two descriptors of ours, and no offsets.
    let moved = unsafe {
        let none = std::ptr::null_mut();
        libc::splice(reader.as_raw_fd(), none, to.as_raw_fd(), none, scene.marker().len(), 0)
    };
    sys::checked(moved as libc::c_long).at("splice").map(drop)
}

fn send_file(scene: &Scene) -> Tried {
    let socket = stream()?;
    sys::connect(&socket, &address(scene.far())).at("connect")?;
    file_sent(scene, &socket)?;
    sys::linger(socket);
    Ok(())
}

/// Moves the marker into a socket from a file.
pub fn file_sent(scene: &Scene, to: &OwnedFd) -> Tried {
    let name = sys::c_string("marker").at("name")?;
    let file = sys::opening(libc::SYS_memfd_create, [name.as_ptr() as u64, 0, 0, 0, 0]).at("memfd")?;
    let mut file = File::from(file);
    file.write_all(scene.marker()).and_then(|()| file.rewind()).at("write")?;
    // SAFETY: two descriptors of ours, and no offset.
    let moved = unsafe { libc::sendfile(to.as_raw_fd(), file.as_raw_fd(), std::ptr::null_mut(), scene.marker().len()) };
    sys::checked(moved as libc::c_long).at("sendfile").map(drop)
}

fn urgent(scene: &Scene) -> Tried {
    let socket = stream()?;
    sys::connect(&socket, &address(scene.far())).at("connect")?;
    sys::send(&socket, scene.marker(), libc::MSG_OOB).at("send")?;
    sys::linger(socket);
    Ok(())
}

/// Forks twice: the one that dials belongs to nobody who is still there.
fn orphan(scene: &Scene) -> Tried {
    let (mut reader, writer) = std::io::pipe().at("pipe")?;
    // SAFETY: this process has one thread.
    match sys::checked(unsafe { libc::fork() }.into()).at("fork")? {
        0 => {
            // SAFETY: as above; the middle one ends at once.
            if unsafe { libc::fork() } == 0 {
                let _ = dial(scene, scene.far());
            }
            // SAFETY: ends a child.
            unsafe { libc::_exit(0) }
        }
        _ => drop(writer),
    }
    // Until the last holder of the other end is gone.
    std::io::Read::read(&mut reader, &mut [0]).at("read").map(drop)
}

fn same_port(scene: &Scene) -> Tried {
    let mut source = SocketAddr::new(NEAR_V4.into(), 0);
    let mut last = Ok(());
    for number in 0..8_u8 {
        let socket = stream()?;
        switch_on(&socket, SOL_SOCKET, libc::SO_REUSEPORT).at("setsockopt")?;
        sys::bind(&socket, &address(source)).at("bind")?;
        source.set_port(local_port(&socket)?);
        let other = SocketAddr::new(scene.far().ip(), 1 + u16::from(number));
        let to = if number == 7 { scene.far() } else { other };
        last = sys::connect(&socket, &address(to)).at("connect").and_then(|()| {
            sys::send(&socket, scene.marker(), 0).at("send")?;
            if number == 7 {
                sys::linger(socket);
            }
            Ok(())
        });
    }
    last
}

fn local_port(socket: &OwnedFd) -> Result<u16, sys::Refused> {
    let stream = std::net::TcpStream::from(socket.try_clone().at("clone")?);
    Ok(stream.local_addr().at("getsockname")?.port())
}

/// The last connect finds no source port of its own: it must not find a way without one.
fn exhausted(scene: &Scene) -> Tried {
    /// `linux/in.h`, from Linux 6.3 on: two bounds, the higher in the upper half.
    const IP_LOCAL_PORT_RANGE: i32 = 51;
    let only = 40_000 + u32::from(scene.port % 10_000);
    let mut held = Vec::new();
    for place in [[127, 0, 0, 1].into(), scene.far().ip(), scene.far().ip()] {
        let socket = stream()?;
        option(&socket, libc::SOL_IP, IP_LOCAL_PORT_RANGE, &(only << 16 | only).to_ne_bytes()).at("setsockopt")?;
        let connected = sys::connect(&socket, &address(scene.on(place)));
        let _ = sys::send(&socket, scene.marker(), 0);
        held.push((socket, connected));
    }
    held.into_iter().try_for_each(|(socket, connected)| {
        connected.at("connect")?;
        sys::linger(socket);
        Ok(())
    })
}

fn flood(scene: &Scene) -> Tried {
    const CONNECTS: u16 = 2_000;
    for number in 0..CONNECTS {
        let socket = sys::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).at("socket")?;
        let to = SocketAddr::new([127, 0, 0, 1].into(), 10_000 + number);
        let _ = sys::connect(&socket, &address(to));
    }
    dial(scene, scene.far())
}
