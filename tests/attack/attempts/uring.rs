//! io_uring: the kernel makes the calls, from the task's context or from a thread of its own.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::libc::{self, AF_INET, AF_PACKET, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM};

use super::{Attempt, needs, packet};
use crate::{
    ring::{self, Ring},
    scene::Scene,
    sys::{self, At, Refused, Tried, address},
};

pub const ALL: &[Attempt] = &[
    Attempt::new("uring-connect", "IORING_OP_CONNECT", |scene| connect(scene, 0)),
    Attempt::new("uring-connect-sqpoll", "the same from a thread of the kernel's", |scene| {
        connect(scene, ring::SQPOLL)
    }),
    Attempt::new("uring-sendmsg", "IORING_OP_SENDMSG of a datagram", |scene| sendmsg(scene, 0)),
    Attempt::new("uring-sendmsg-sqpoll", "the same from a thread of the kernel's", |scene| {
        sendmsg(scene, ring::SQPOLL)
    }),
    Attempt::new("uring-send-to", "IORING_OP_SEND with an address", |scene| send_to(scene, ring::SEND)),
    Attempt::new("uring-send-zero-copy", "IORING_OP_SEND_ZC with an address", |scene| send_to(scene, ring::SEND_ZC)),
    Attempt::new("uring-socket-tcp", "IORING_OP_SOCKET, then an ordinary connect", |scene| {
        let socket = made(AF_INET, SOCK_STREAM, 0)?;
        sys::connect(&socket, &address(scene.far())).at("connect")?;
        sys::send(&socket, scene.marker(), 0).at("send")?;
        sys::linger(socket);
        Ok(())
    }),
    Attempt::new("uring-socket-raw", "IORING_OP_SOCKET of a raw socket", |scene| {
        let socket = made(AF_INET, SOCK_RAW, 253)?;
        sys::send_to(&socket, scene.marker(), &address((crate::scene::FAR_V4, 0).into())).at("sendto")
    }),
    Attempt::new("uring-socket-packet", "IORING_OP_SOCKET of AF_PACKET", |scene| {
        packet::send_frame(scene, &made(AF_PACKET, SOCK_RAW, 0)?, SOCK_RAW)
    })
    .root_needs(needs::FRAMES),
    Attempt::new("uring-setsockopt", "SOCKET_URING_OP_SETSOCKOPT of SO_BINDTODEVICE", setsockopt),
];

fn connect(scene: &Scene, flags: u32) -> Tried {
    let socket = sys::socket(AF_INET, SOCK_STREAM, 0).at("socket")?;
    sys::patient(&socket).at("patience")?;
    let to = address(scene.far());
    let ring = Ring::new(flags).at("io_uring_setup")?;
    let entry = ring::Entry::new(ring::CONNECT, socket.as_raw_fd()).address(to.as_ptr() as u64).offset(to.len() as u64);
    ring.run(entry).at("IORING_OP_CONNECT")?;
    sys::send(&socket, scene.marker(), 0).at("send")?;
    sys::linger(socket);
    Ok(())
}

fn sendmsg(scene: &Scene, flags: u32) -> Tried {
    let socket = sys::socket(AF_INET, SOCK_DGRAM, 0).at("socket")?;
    let to = address(scene.far());
    let mut parts =
        [libc::iovec { iov_base: scene.marker().as_ptr().cast_mut().cast(), iov_len: scene.marker().len() }];
    let message = sys::message(&mut parts, &to, &[]);
    let ring = Ring::new(flags).at("io_uring_setup")?;
    let entry = ring::Entry::new(ring::SENDMSG, socket.as_raw_fd()).address((&raw const message) as u64).length(1);
    ring.run(entry).at("IORING_OP_SENDMSG").map(drop)
}

fn send_to(scene: &Scene, operation: u8) -> Tried {
    let socket = sys::socket(AF_INET, SOCK_DGRAM, 0).at("socket")?;
    let to = address(scene.far());
    let ring = Ring::new(0).at("io_uring_setup")?;
    let entry = ring::Entry::new(operation, socket.as_raw_fd())
        .address(scene.marker().as_ptr() as u64)
        .length(scene.marker().len() as u32)
        .destination(to.as_ptr() as u64, to.len() as u16);
    ring.run(entry).at("IORING_OP_SEND").map(drop)
}

/// A socket that `socket(2)` never saw.
fn made(family: i32, kind: i32, protocol: u32) -> Result<OwnedFd, Refused> {
    let ring = Ring::new(0).at("io_uring_setup")?;
    let entry = ring::Entry::new(ring::SOCKET, family).offset(kind as u64).length(protocol);
    let descriptor = ring.run(entry).at("IORING_OP_SOCKET")?;
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn setsockopt(scene: &Scene) -> Tried {
    let socket = sys::socket(AF_INET, SOCK_DGRAM, 0).at("socket")?;
    let ring = Ring::new(0).at("io_uring_setup")?;
    let device = crate::scene::DEVICE;
    let entry = ring::Entry::option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device.as_bytes());
    ring.run(entry).at("IORING_OP_URING_CMD")?;
    sys::send_to(&socket, scene.marker(), &address(scene.far())).at("sendto")
}
