//! Joining a multicast group makes the kernel announce it on the wire: some 28 bits of the joiner's choice.

use nix::libc::{self, AF_INET, AF_INET6, SOCK_DGRAM};

use super::Attempt;
use crate::{
    scene::{DEVICE, NEAR_V4, Scene},
    sys::{self, At, Tried, address, option},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("join-v4", "IP_ADD_MEMBERSHIP: an IGMP report", join),
    Attempt::new("join-v4-generic", "MCAST_JOIN_GROUP", join_generic),
    Attempt::new("join-v4-source", "IP_ADD_SOURCE_MEMBERSHIP", join_source),
    Attempt::new("join-v6", "IPV6_JOIN_GROUP: an MLD report", join6),
    Attempt::new("join-v4-padded", "IP_ADD_MEMBERSHIP with a value longer than a page", join_padded),
];

fn join(scene: &Scene) -> Tried {
    joined(libc::IP_ADD_MEMBERSHIP, &[scene.group().octets(), NEAR_V4.octets()].concat())
}

/// The kernel shows a program at most a page of an option's value.
fn join_padded(scene: &Scene) -> Tried {
    let mut request = [scene.group().octets(), NEAR_V4.octets()].concat();
    request.resize(8192, 0);
    joined(libc::IP_ADD_MEMBERSHIP, &request)
}

fn join_source(scene: &Scene) -> Tried {
    let request = [scene.group().octets(), NEAR_V4.octets(), [198, 18, 0, 9]].concat();
    joined(libc::IP_ADD_SOURCE_MEMBERSHIP, &request)
}

fn join_generic(scene: &Scene) -> Tried {
    /// `linux/in.h`, `struct group_req`: the interface, padding, then an address of 128 bytes.
    const MCAST_JOIN_GROUP: i32 = 42;
    let device = u64::from(sys::interface(DEVICE).at("interface")?);
    let mut request = [&device.to_ne_bytes()[..], &address((scene.group(), 0).into())].concat();
    request.resize(8 + 128, 0);
    joined(MCAST_JOIN_GROUP, &request)
}

fn joined(name: i32, request: &[u8]) -> Tried {
    let socket = sys::socket(AF_INET, SOCK_DGRAM, 0).at("socket")?;
    option(&socket, libc::SOL_IP, name, request).at("setsockopt")?;
    announced();
    Ok(())
}

fn join6(scene: &Scene) -> Tried {
    let device = sys::interface(DEVICE).at("interface")?;
    let socket = sys::socket(AF_INET6, SOCK_DGRAM, 0).at("socket")?;
    let request = [&scene.group6().octets()[..], &device.to_ne_bytes()].concat();
    option(&socket, libc::SOL_IPV6, libc::IPV6_ADD_MEMBERSHIP, &request).at("setsockopt")?;
    announced();
    Ok(())
}

/// The first report leaves within a random part of this time.
fn announced() {
    std::thread::sleep(sys::PATIENCE);
}
