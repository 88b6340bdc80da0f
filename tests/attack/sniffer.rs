//! The far end of the wire: hears every frame, whatever it is.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;

use crate::{ear::Ear, sys};

/// Longest frame, offloads included.
const FRAME_MAX: usize = 128 * 1024;

/// Opens a socket that gets all frames of a device.
pub fn open(device: &str) -> std::io::Result<OwnedFd> {
    let all = (libc::ETH_P_ALL as u16).to_be();
    let socket = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, all.into())?;
    let index = sys::interface(device)?.to_ne_bytes();
    let family = (libc::AF_PACKET as u16).to_ne_bytes();
    sys::bind(&socket, &[&family[..], &all.to_ne_bytes(), &index, &[0; 12]].concat())?;
    Ok(socket)
}

pub fn listen(socket: &OwnedFd, ear: &Ear) {
    let mut frame = vec![0; FRAME_MAX];
    loop {
        // SAFETY: an address and a buffer, each as long as said.
        let (length, from) = unsafe {
            let mut from: libc::sockaddr_ll = std::mem::zeroed();
            let mut size = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            let address = (&raw mut from).cast();
            let (bytes, room) = (frame.as_mut_ptr().cast(), frame.len());
            (libc::recvfrom(socket.as_raw_fd(), bytes, room, 0, address, &raw mut size), from)
        };
        let Ok(length) = usize::try_from(length) else { return };
        if from.sll_pkttype == libc::PACKET_OUTGOING {
            continue;
        }
        let frame = frame.get(..length).unwrap_or_default();
        if ear.pass_fence(frame) {
            continue;
        }
        ear.hear("the wire", frame);
        if is_connect(frame) {
            ear.notice("a connect on the wire");
        }
    }
}

/// Whether a frame asks for a connection: a SYN of TCP without an ACK, or any packet of SCTP or DCCP.
fn is_connect(frame: &[u8]) -> bool {
    const IPV4: &[u8] = &[8, 0];
    const IPV6: &[u8] = &[0x86, 0xdd];
    const TCP: u8 = 6;
    const DCCP: u8 = 33;
    const SCTP: u8 = 132;
    let at = |offset: usize| frame.get(offset).copied().unwrap_or_default();
    let (protocol, transport) = match frame.get(12..14) {
        Some(IPV4) => (at(23), 14 + 4 * usize::from(at(14) & 0xf)),
        Some(IPV6) => (at(20), 54),
        _ => return false,
    };
    match protocol {
        TCP => at(transport + 13) & 0x12 == 2,
        SCTP | DCCP => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(flags: u8) -> Vec<u8> {
        let mut frame = vec![0; 54];
        for (at, byte) in [(12, 8), (14, 0x45), (23, 6), (47, flags)] {
            frame[at] = byte;
        }
        frame
    }

    #[test]
    fn a_syn_is_a_connect_and_its_answer_is_not() {
        assert!(is_connect(&tcp(2)));
        assert!(!is_connect(&tcp(0x12)));
        assert!(!is_connect(&tcp(0x10)));
        assert!(!is_connect(&[]));
    }
}
