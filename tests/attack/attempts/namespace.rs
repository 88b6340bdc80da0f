//! Other network namespaces, and changes to this one.

use std::{fs::File, os::fd::AsRawFd};

use nix::libc;

use super::{Attempt, cgroup::unshared, dial, needs, udp};
use crate::{
    netlink,
    scene::Scene,
    sys::{self, At, Refused, Tried},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("setns-tcp", "into the far host's network namespace, then connect", |scene| {
        enter(scene)?;
        dial(scene)
    }),
    Attempt::new("setns-udp", "the same, then a datagram", |scene| {
        enter(scene)?;
        udp::to(scene, scene.far())
    }),
    Attempt::new("setns-host", "into the network namespace of a process outside, then connect", |scene| {
        let namespace = File::open(format!("/proc/{}/ns/net", scene.victim)).at("open")?;
        sys::call(libc::SYS_setns, [namespace.as_raw_fd() as u64, libc::CLONE_NEWNET as u64, 0, 0, 0]).at("setns")?;
        dial(scene)
    }),
    Attempt::new("setns-listen", "into it, then wait there to be called", |scene| {
        enter(scene)?;
        let far = crate::scene::FAR_V4;
        let listener = std::net::TcpListener::bind((far, scene.port + 10_000)).at("bind")?;
        listener.set_nonblocking(true).at("nonblocking")?;
        let caller = std::net::TcpStream::connect_timeout(&(far, scene.port + 10_000).into(), sys::PATIENCE);
        caller.at("connect").map(drop)
    })
    .by_consent(),
    Attempt::new("unshare-net", "a network namespace of its own, then connect", |scene| {
        unshared(libc::CLONE_NEWNET)?;
        dial(scene)
    }),
    Attempt::new("unshare-user-net", "user and network namespaces of its own, then raw packets", |scene| {
        unshared(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
        let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).at("socket")?;
        super::packet::send_frame(scene, &socket, libc::SOCK_RAW)
    }),
    Attempt::new("route", "another route, by netlink", |_| {
        let (network, device) = ([203, 0, 113, 0], crate::scene::DEVICE);
        netlink::add_route(network, 24, device).at("RTM_NEWROUTE")?;
        netlink::remove_route(network, 24, device).at("RTM_DELROUTE")
    })
    .by_consent()
    .root_needs(needs::PRIVILEGE),
    Attempt::new("local-route", "127.0.0.1 onto the wire, then connect", local_route),
    Attempt::new("nftables", "a table of its own in the host's packet filter", |_| {
        netlink::add_table("escape").at("NFT_MSG_NEWTABLE")
    })
    .by_consent()
    .root_needs(needs::FRAMES),
    Attempt::new("traffic-class", "a hook for programs of its own on the wire, which may redirect", |_| {
        netlink::try_classes(crate::scene::DEVICE).at("RTM_NEWQDISC")
    })
    .by_consent()
    .root_needs(needs::PRIVILEGE),
    Attempt::new("device", "a network device of its own", |_| netlink::try_device("esc1").at("RTM_NEWLINK"))
        .by_consent()
        .root_needs(needs::PRIVILEGE),
];

fn enter(scene: &Scene) -> Result<(), Refused> {
    let namespace = File::open(&scene.far_namespace).at("open")?;
    sys::call(libc::SYS_setns, [namespace.as_raw_fd() as u64, libc::CLONE_NEWNET as u64, 0, 0, 0]).at("setns").map(drop)
}

/// What is redirected goes to 127.0.0.1: so let 127.0.0.1 be elsewhere.
fn local_route(scene: &Scene) -> Tried {
    std::fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").at("route_localnet")?;
    netlink::prefer_route([127, 0, 0, 1], crate::scene::DEVICE).at("RTM_NEWROUTE")?;
    let went = dial(scene);
    let _ = netlink::forget_preferred_route([127, 0, 0, 1], crate::scene::DEVICE);
    went
}
