//! Socket families that are neither IP nor Unix: where the kernel has one, no cgroup hook sees it.
//!
//! Most need hardware or a peer that no test machine has, so the kernel's consent to make the socket counts.

use nix::libc::{self, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM};

use super::{Attempt, needs};
use crate::{
    scene::Scene,
    sys::{self, At, Tried, address},
};

macro_rules! family {
    ($name:literal, $about:literal, $family:expr, $kind:expr, $protocol:expr) => {
        Attempt::new($name, $about, |_| made($family, $kind, $protocol)).by_consent().needs(needs::FAMILIES)
    };
}

pub const ALL: &[Attempt] = &[
    Attempt::new("rds", "AF_RDS: a worker of the kernel dials", rds).needs(needs::FAMILIES),
    Attempt::new("rxrpc", "AF_RXRPC, over a UDP socket of the kernel's", rxrpc).needs(needs::FAMILIES),
    Attempt::new("vsock", "AF_VSOCK, to the hypervisor", vsock).by_consent().needs(needs::FAMILIES).in_guests(),
    family!("tipc", "AF_TIPC", libc::AF_TIPC, SOCK_SEQPACKET, 0),
    family!("kcm", "AF_KCM", 41, SOCK_DGRAM, 0),
    family!("alg", "AF_ALG: no network, but much of the kernel", libc::AF_ALG, SOCK_SEQPACKET, 0),
    family!("can", "AF_CAN", libc::AF_CAN, SOCK_RAW, 1),
    family!("bluetooth", "AF_BLUETOOTH", libc::AF_BLUETOOTH, SOCK_SEQPACKET, 0),
    family!("nfc", "AF_NFC", libc::AF_NFC, SOCK_SEQPACKET, 0),
    family!("infiniband", "AF_IB", libc::AF_IB, SOCK_RAW, 0),
    family!("pppox", "AF_PPPOX", libc::AF_PPPOX, SOCK_DGRAM, 0),
    family!("llc", "AF_LLC", libc::AF_LLC, SOCK_DGRAM, 0),
    family!("appletalk", "AF_APPLETALK", libc::AF_APPLETALK, SOCK_DGRAM, 0),
    family!("ax25", "AF_AX25", libc::AF_AX25, SOCK_DGRAM, 0),
    family!("x25", "AF_X25", libc::AF_X25, SOCK_SEQPACKET, 0),
    family!("ieee802154", "AF_IEEE802154", libc::AF_IEEE802154, SOCK_DGRAM, 0),
    family!("phonet", "AF_PHONET", libc::AF_PHONET, SOCK_DGRAM, 0),
    family!("caif", "AF_CAIF", libc::AF_CAIF, SOCK_SEQPACKET, 0),
    family!("qipcrtr", "AF_QIPCRTR", 42, SOCK_DGRAM, 0),
    family!("mctp", "AF_MCTP", 45, SOCK_DGRAM, 0),
    family!("isdn", "AF_ISDN", libc::AF_ISDN, SOCK_RAW, 0),
];

fn made(family: i32, kind: i32, protocol: i32) -> Tried {
    sys::socket(family, kind, protocol).at("socket").map(drop)
}

fn rds(scene: &Scene) -> Tried {
    let socket = sys::socket(libc::AF_RDS, SOCK_SEQPACKET, 0).at("socket")?;
    sys::bind(&socket, &address((crate::scene::NEAR_V4, scene.port).into())).at("bind")?;
    sys::send_to(&socket, scene.marker(), &address(scene.far())).at("sendto")
}

fn rxrpc(scene: &Scene) -> Tried {
    /// `linux/rxrpc.h`; the transport below is UDP over IPv4.
    const AF_RXRPC: i32 = 33;
    let socket = sys::socket(AF_RXRPC, SOCK_DGRAM, libc::AF_INET).at("socket")?;
    let local = rxrpc_address(&address((crate::scene::NEAR_V4, 0).into()));
    sys::bind(&socket, &local).at("bind")?;
    let call = sys::ancillary(272, 1, &1_u64.to_ne_bytes());
    let far = rxrpc_address(&address(scene.far()));
    sys::send_message(&socket, scene.marker(), &far, &call, 0).at("sendmsg")
}

/// `struct sockaddr_rxrpc` around a transport's address.
fn rxrpc_address(transport: &[u8]) -> Vec<u8> {
    let head = [33_u16.to_ne_bytes(), 0_u16.to_ne_bytes(), (SOCK_DGRAM as u16).to_ne_bytes()].concat();
    let mut bytes = [&head[..], &(transport.len() as u16).to_ne_bytes(), transport].concat();
    bytes.resize(36, 0);
    bytes
}

/// The context of the hypervisor, `vsock(7)`: only on a machine whose hypervisor is the test's own.
fn vsock(scene: &Scene) -> Tried {
    const VMADDR_CID_LOCAL: u32 = 1;
    if !scene.guest {
        return Err(super::absent("vsock on a machine in use"));
    }
    let socket = sys::socket(libc::AF_VSOCK, SOCK_STREAM, 0).at("socket")?;
    let head = [&(libc::AF_VSOCK as u16).to_ne_bytes()[..], &[0, 0]].concat();
    let to = [&head[..], &u32::from(scene.port).to_ne_bytes(), &VMADDR_CID_LOCAL.to_ne_bytes(), &[0; 4]].concat();
    match sys::connect(&socket, &to) {
        // Asked and answered: the request went out.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ECONNRESET | libc::ENODEV | libc::ETIMEDOUT)) => Ok(()),
        answer => answer.at("connect"),
    }
}
