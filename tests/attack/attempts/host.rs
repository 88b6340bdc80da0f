//! Services of the host itself, and the daemon's own listener.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::net::UnixStream,
};

use nix::libc::{AF_INET, SO_REUSEADDR, SO_REUSEPORT, SOCK_STREAM, SOL_SOCKET};

use super::{Attempt, Entry, tcp::dial, udp};
use crate::{
    scene::{NEAR_V4, NEAR_V6, Scene},
    sys::{self, At, Tried, address, switch_on},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("host-v4", "TCP to 127.0.0.1", |scene| local(scene, Ipv4Addr::LOCALHOST)),
    Attempt::new("host-v6", "TCP to ::1", |scene| local(scene, Ipv6Addr::LOCALHOST)),
    Attempt::new("host-unspecified-v4", "TCP to 0.0.0.0", |scene| local(scene, Ipv4Addr::UNSPECIFIED)),
    Attempt::new("host-unspecified-v6", "TCP to ::", |scene| local(scene, Ipv6Addr::UNSPECIFIED)),
    Attempt::new("host-other-loopback", "TCP to 127.0.0.2", |scene| local(scene, Ipv4Addr::new(127, 0, 0, 2))),
    Attempt::new("host-mapped", "TCP to ::ffff:127.0.0.1", |scene| local(scene, Ipv4Addr::LOCALHOST.to_ipv6_mapped())),
    Attempt::new("host-own-v4", "TCP to the host's own address", |scene| local(scene, NEAR_V4)),
    Attempt::new("host-own-v6", "the same over IPv6", |scene| local(scene, NEAR_V6)),
    Attempt::new("host-udp-v4", "UDP to 127.0.0.1", |scene| udp::to(scene, scene.on(Ipv4Addr::LOCALHOST))),
    Attempt::new("host-udp-v6", "UDP to ::1", |scene| udp::to(scene, scene.on(Ipv6Addr::LOCALHOST))),
    Attempt::new("host-udp-own", "UDP to the host's own address", |scene| udp::to(scene, scene.on(NEAR_V4))),
    Attempt::new("daemon-direct", "the daemon's own listener, by 127.0.0.1", |scene| daemon(scene, [127, 0, 0, 1]))
        .by_consent(),
    Attempt::new("daemon-direct-v6", "the same by ::1", |scene| daemon(scene, Ipv6Addr::LOCALHOST)).by_consent(),
    Attempt::new("daemon-other-loopback", "the same by 127.0.0.9", |scene| daemon(scene, [127, 0, 0, 9])),
    Attempt::new("daemon-own-address", "the same by the host's own address", |scene| daemon(scene, NEAR_V4)),
    Attempt::new("daemon-dead", "connect when the daemon is dead, and somebody outside has taken its port", |scene| {
        wait()?;
        dial(scene, scene.far())
    })
    .entering(Entry::Orphaned),
    Attempt::new("daemon-dead-v6", "the same over IPv6", |scene| {
        wait()?;
        dial(scene, scene.far6())
    })
    .entering(Entry::Orphaned),
    Attempt::new("daemon-dead-datagram", "a datagram to port 53 when it is", |scene| {
        wait()?;
        udp::to(scene, SocketAddr::new(scene.far().ip(), 53))
    })
    .entering(Entry::Orphaned),
    Attempt::new("daemon-control", "the daemon's control socket: ask it what runs", control).by_consent(),
    Attempt::new("daemon-port-taken", "bind of the daemon's port, beside it", |scene| take_port(scene, SO_REUSEADDR))
        .by_consent(),
    Attempt::new("daemon-port-shared", "SO_REUSEPORT on the daemon's own address", |scene| {
        take_port(scene, SO_REUSEPORT)
    })
    .by_consent(),
];

fn local(scene: &Scene, host: impl Into<IpAddr>) -> Tried {
    dial(scene, scene.on(host))
}

fn daemon(scene: &Scene, host: impl Into<IpAddr>) -> Tried {
    dial(scene, SocketAddr::new(host.into(), scene.daemon_port))
}

/// Says that it has begun, and waits until it is time.
fn wait() -> Tried {
    println!("ready");
    io::stdin().read_exact(&mut [0]).at("go-ahead")
}

/// Consent is an answer to what only an operator may ask.
fn control(scene: &Scene) -> Tried {
    let mut stream = UnixStream::connect(&scene.control).at("connect")?;
    sys::patient(&stream).at("patience")?;
    stream.write_all(b"{\"command\":\"status\"}\n").at("write")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).at("read")?;
    match answer.contains("\"reply\":\"status\"") {
        true => Ok(()),
        false => Err(io::Error::from(io::ErrorKind::PermissionDenied)).at("answer"),
    }
}

/// Whoever holds the port gets the connects of all workloads once the daemon is gone.
fn take_port(scene: &Scene, sharing: i32) -> Tried {
    let host = if sharing == SO_REUSEPORT { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(127, 0, 0, 9) };
    let socket = sys::socket(AF_INET, SOCK_STREAM, 0).at("socket")?;
    switch_on(&socket, SOL_SOCKET, sharing).at("setsockopt")?;
    sys::bind(&socket, &address(SocketAddr::new(host.into(), scene.daemon_port))).at("bind")?;
    sys::listen(&socket).at("listen")
}
