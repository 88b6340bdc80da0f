//! A network namespace with nothing in it but the loopback.

use std::{io, os::fd::AsRawFd};

use nix::{
    sched::{CloneFlags, unshare},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

use super::error::{LaunchError, check, system};

/// Leaves the host's network for one of its own, whose loopback is up.
///
/// Here an address, a raw socket, a packet socket, a tunnel or a multicast group reaches nobody but the workload
/// itself; the daemon listens here, and serves from the host's network.
pub(super) fn enter() -> Result<(), LaunchError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(system("make a network namespace"))?;
    raise_loopback()
}

/// Sets `IFF_UP`, netdevice(7).
fn raise_loopback() -> Result<(), LaunchError> {
    const ACTION: &str = "raise the loopback of the network namespace";
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(|error| system(ACTION)(io::Error::from(error)))?;
    // SAFETY: an all-zero request is a valid one, with an empty name.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the request is laid out as the call wants it, and outlives it.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    check(answer.into(), ACTION).map(drop)
}
