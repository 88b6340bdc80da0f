//! Below IP: frames on a device, and a device of one's own.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc::{self, AF_INET, AF_PACKET, SOCK_DGRAM, SOCK_RAW};

use super::{Attempt, needs, raw};
use crate::{
    scene::{DEVICE, Scene},
    sys::{self, At, Tried, switch_on},
    xdp,
};

pub const ALL: &[Attempt] = &[
    Attempt::new("packet-raw", "AF_PACKET: a whole frame", |scene| frame(scene, SOCK_RAW, false))
        .root_needs(needs::FRAMES),
    Attempt::new("packet-dgram", "AF_PACKET without the link's header", |scene| frame(scene, SOCK_DGRAM, false))
        .root_needs(needs::FRAMES),
    Attempt::new("packet-qdisc-bypass", "PACKET_QDISC_BYPASS: past every traffic class", |scene| {
        frame(scene, SOCK_RAW, true)
    })
    .root_needs(needs::FRAMES),
    Attempt::new("xdp", "AF_XDP: straight to the driver's queue", |scene| {
        let frame = [&header()[..], &raw::packet(scene)].concat();
        xdp::send(sys::interface(DEVICE).at("interface")?, &frame)
    })
    .root_needs(needs::FRAMES),
    Attempt::new("tun-forward", "a tun device whose packets the host forwards", tun).root_needs(needs::FRAMES),
];

const ETH_P_IP: u16 = 0x0800;
const BROADCAST: [u8; 6] = [0xff; 6];

fn frame(scene: &Scene, kind: i32, bypass: bool) -> Tried {
    let socket = sys::socket(AF_PACKET, kind, 0).at("socket")?;
    if bypass {
        switch_on(&socket, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS).at("setsockopt")?;
    }
    send_frame(scene, &socket, kind)
}

/// Sends the marker in an IP packet to everybody on the wire, `packet(7)`.
pub fn send_frame(scene: &Scene, socket: &OwnedFd, kind: i32) -> Tried {
    let device = sys::interface(DEVICE).at("interface")?;
    let to = [
        &(AF_PACKET as u16).to_ne_bytes()[..],
        &ETH_P_IP.to_be_bytes(),
        &device.to_ne_bytes(),
        &[0, 0, 0, 6],
        &BROADCAST,
        &[0; 2],
    ]
    .concat();
    let packet = raw::packet(scene);
    let bytes = if kind == SOCK_RAW { [&header()[..], &packet].concat() } else { packet };
    sys::send_to(socket, &bytes, &to).at("sendto")
}

/// Of Ethernet: to everybody, from nobody in particular.
fn header() -> Vec<u8> {
    [&BROADCAST[..], &[2, 0, 0, 0, 0, 1], &ETH_P_IP.to_be_bytes()].concat()
}

fn tun(scene: &Scene) -> Tried {
    const TUNSETIFF: u64 = 0x4004_54ca;
    const IFF_TUN_NO_PI: u16 = 0x1001;
    let path = sys::c_string("/dev/net/tun").at("path")?;
    let tun = sys::opening(libc::SYS_openat, [libc::AT_FDCWD as u64, path.as_ptr() as u64, libc::O_RDWR as u64, 0, 0])
        .at("open")?;
    let mut request = interface_request("esc0", &IFF_TUN_NO_PI.to_ne_bytes());
    ioctl(&tun, TUNSETIFF, &mut request).at("TUNSETIFF")?;

    let control = sys::socket(AF_INET, SOCK_DGRAM, 0).at("socket")?;
    let address = sys::address(([198, 19, 0, 1], 0).into());
    ioctl(&control, libc::SIOCSIFADDR, &mut interface_request("esc0", &address)).at("SIOCSIFADDR")?;
    let up = (libc::IFF_UP | libc::IFF_RUNNING) as u16;
    ioctl(&control, libc::SIOCSIFFLAGS, &mut interface_request("esc0", &up.to_ne_bytes())).at("SIOCSIFFLAGS")?;
    std::fs::write("/proc/sys/net/ipv4/conf/esc0/rp_filter", "0").at("rp_filter")?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").at("ip_forward")?;
    crate::netlink::add_route([198, 19, 0, 0], 16, "esc0").at("route")?;
    sys::write_all(&tun, &raw::packet_from(scene, [198, 19, 0, 2])).at("write")?;
    std::thread::sleep(sys::PATIENCE / 4);
    let _ = std::fs::write("/proc/sys/net/ipv4/ip_forward", "0");
    Ok(())
}

/// `struct ifreq`: a name, then what the request wants.
pub fn interface_request(name: &str, value: &[u8]) -> [u8; 40] {
    let mut request = [0; 40];
    for (place, byte) in request.iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    for (place, byte) in request.iter_mut().skip(16).zip(value) {
        *place = *byte;
    }
    request
}

pub fn ioctl(on: &impl AsRawFd, request: u64, argument: &mut [u8; 40]) -> std::io::Result<()> {
    sys::call(libc::SYS_ioctl, [on.as_raw_fd() as u64, request, argument.as_mut_ptr() as u64, 0, 0]).map(drop)
}
