//! Letting others come: who may not dial out can still wait to be called, and answer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::libc::{self, AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM};

use super::{Attempt, Entry};
use crate::{
    scene::Scene,
    sys::{self, At, Tried, address},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("listen-v4", "listen, and answer the far host that calls", |scene| {
        serve(scene, AF_INET, scene.on(Ipv4Addr::UNSPECIFIED))
    })
    .entering(Entry::Called),
    Attempt::new("listen-v6", "the same over IPv6", |scene| serve(scene, AF_INET6, scene.on(Ipv6Addr::UNSPECIFIED)))
        .entering(Entry::Called),
    Attempt::new("listen-local", "listen on 127.0.0.1, and answer a process of this host", |scene| {
        serve(scene, AF_INET, scene.on(Ipv4Addr::LOCALHOST))
    })
    .entering(Entry::Called),
    Attempt::new("udp-answer", "bind a datagram socket, and answer the far host", answer).entering(Entry::Called),
];

/// The far host and a process of this one call this port while the attempt runs.
fn serve(scene: &Scene, family: i32, on: SocketAddr) -> Tried {
    let socket = sys::socket(family, SOCK_STREAM, 0).at("socket")?;
    sys::switch_on(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR).at("setsockopt")?;
    sys::bind(&socket, &address(on)).at("bind")?;
    sys::listen(&socket).at("listen")?;
    sys::patient(&socket).at("patience")?;
    use std::os::fd::AsRawFd;
    let accepted = sys::opening(libc::SYS_accept4, [socket.as_raw_fd() as u64, 0, 0, 0, 0]).at("accept")?;
    sys::send(&accepted, scene.marker(), 0).at("send")?;
    sys::linger(accepted);
    Ok(())
}

fn answer(scene: &Scene) -> Tried {
    let socket = sys::socket(AF_INET, SOCK_DGRAM, 0).at("socket")?;
    sys::bind(&socket, &address(scene.on(Ipv4Addr::UNSPECIFIED))).at("bind")?;
    sys::patient(&socket).at("patience")?;
    let socket = std::net::UdpSocket::from(socket);
    let (_, caller) = socket.recv_from(&mut [0; 64]).at("recvfrom")?;
    socket.send_to(scene.marker(), caller).at("sendto").map(drop)
}
