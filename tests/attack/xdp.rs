//! One frame by AF_XDP: a memory area shared with the driver, a ring of what to send, and a wake-up.
//!
//! Source: <https://docs.kernel.org/networking/af_xdp.html>, `linux/if_xdp.h`.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use nix::libc;

use crate::sys::{self, At, Tried, option};

const SOL_XDP: i32 = 283;
const XDP_MMAP_OFFSETS: i32 = 1;
const XDP_TX_RING: i32 = 3;
const XDP_UMEM_REG: i32 = 4;
const XDP_UMEM_FILL_RING: i32 = 5;
const XDP_UMEM_COMPLETION_RING: i32 = 6;
const TX_RING_OFFSET: i64 = 0x8000_0000;
const XDP_COPY: u16 = 1 << 1;

const FRAME: usize = 4096;
const FRAMES: usize = 16;
const ENTRIES: u32 = 16;

/// Sends a whole frame by the first queue of a device.
pub fn send(device: u32, frame: &[u8]) -> Tried {
    let socket = sys::socket(libc::AF_XDP, libc::SOCK_RAW, 0).at("socket")?;
    let area = memory(None, FRAMES * FRAME, 0).at("mmap")?;
    // `struct xdp_umem_reg`: where, how long, how long a frame, its headroom, flags.
    let words = [area as u64, (FRAMES * FRAME) as u64, FRAME as u64, 0].map(u64::to_ne_bytes);
    option(&socket, SOL_XDP, XDP_UMEM_REG, &words.concat()).at("XDP_UMEM_REG")?;
    for ring in [XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_TX_RING] {
        option(&socket, SOL_XDP, ring, &ENTRIES.to_ne_bytes()).at("ring")?;
    }
    let offsets = offsets(&socket).at("XDP_MMAP_OFFSETS")?;
    let length = offsets.descriptors as usize + ENTRIES as usize * 16;
    let ring = memory(Some(&socket), length, TX_RING_OFFSET).at("mmap")?;
    // `struct sockaddr_xdp`: family, flags, device, queue, shared descriptor.
    let family = (libc::AF_XDP as u16).to_ne_bytes();
    let address = [&family[..], &XDP_COPY.to_ne_bytes(), &device.to_ne_bytes(), &[0; 8]].concat();
    sys::bind(&socket, &address).at("bind")?;
    // SAFETY: both areas are mapped for as long as this process lives, and longer than what is written into them.
    unsafe {
        ptr::copy_nonoverlapping(frame.as_ptr(), area.cast(), frame.len().min(FRAME));
        // `struct xdp_desc`: address within the area, length, options.
        let descriptor = ring.add(offsets.descriptors as usize);
        ptr::write(descriptor.cast::<[u64; 2]>(), [0, frame.len() as u64]);
        (*ring.add(offsets.producer as usize).cast::<AtomicU32>()).store(1, Ordering::Release);
    }
    sys::send(&socket, &[], libc::MSG_DONTWAIT).at("send")
}

/// Where in the ring of what to send its parts are.
struct Offsets {
    producer: u64,
    descriptors: u64,
}

/// `struct xdp_mmap_offsets`: four rings, each with producer, consumer, descriptors and flags; the second is for sending.
fn offsets(socket: &OwnedFd) -> io::Result<Offsets> {
    let mut words = [0_u64; 16];
    let mut length = size_of_val(&words) as libc::socklen_t;
    // SAFETY: a buffer as long as said.
    let answer = unsafe {
        let place = words.as_mut_ptr().cast();
        libc::getsockopt(socket.as_raw_fd(), SOL_XDP, XDP_MMAP_OFFSETS, place, &raw mut length)
    };
    sys::checked(answer.into())?;
    let [_, _, _, _, producer, _, descriptors, ..] = words;
    Ok(Offsets { producer, descriptors })
}

fn memory(of: Option<&OwnedFd>, length: usize, offset: i64) -> io::Result<*mut u8> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let (flags, descriptor) = match of {
        Some(socket) => (libc::MAP_SHARED | libc::MAP_POPULATE, socket.as_raw_fd()),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    // SAFETY: a new mapping that nothing else refers to.
    let area = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, descriptor, offset) };
    if area == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(area.cast()) }
}
