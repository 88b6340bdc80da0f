//! `bpf(2)` as root in a workload would use it against the guard: two programs of a few instructions, and the links.

use std::{
    fs::File,
    io,
    net::SocketAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::libc;

use crate::sys::{self, At, Tried};

const MAP_CREATE: u64 = 0;
const PROG_LOAD: u64 = 5;
const OBJ_GET: u64 = 7;
const LINK_CREATE: u64 = 28;
const LINK_GET_FD_BY_ID: u64 = 30;
const LINK_GET_NEXT_ID: u64 = 31;
const LINK_DETACH: u64 = 34;
const OBJ_GET_INFO_BY_FD: u64 = 15;

const CGROUP_SOCK_ADDR: u32 = 18;
const INET4_CONNECT: u32 = 10;

/// Most links that are looked at.
const LINKS_MAX: usize = 4096;

/// `r0 = 1; exit`: what a connect program answers to let pass.
const PASS: [u64; 2] = [instruction(0xb7, 0, 0, 0, 1), instruction(0x95, 0, 0, 0, 0)];

const fn instruction(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> u64 {
    (code as u64)
        | ((to | (from << 4)) as u64) << 8
        | ((offset as u16) as u64) << 16
        | ((immediate as u32) as u64) << 32
}

fn bpf(command: u64, attributes: &mut [u32; 32]) -> io::Result<libc::c_long> {
    sys::call(libc::SYS_bpf, [command, attributes.as_mut_ptr() as u64, size_of_val(attributes) as u64, 0, 0])
}

fn attributes(words: &[u32]) -> [u32; 32] {
    let mut attributes = [0; 32];
    for (place, word) in attributes.iter_mut().zip(words) {
        *place = *word;
    }
    attributes
}

fn halves(address: u64) -> [u32; 2] {
    [address as u32, (address >> 32) as u32]
}

pub fn make_map() -> Tried {
    // A hash of four-byte keys and values, one entry.
    let descriptor = bpf(MAP_CREATE, &mut attributes(&[1, 4, 4, 1])).at("BPF_MAP_CREATE")?;
    // SAFETY: a new descriptor that is ours, closed at once.
    unsafe { libc::close(descriptor as i32) };
    Ok(())
}

/// A map of one socket.
pub fn make_socket_map() -> Tried {
    const SOCKMAP: u32 = 15;
    let descriptor = bpf(MAP_CREATE, &mut attributes(&[SOCKMAP, 4, 4, 1])).at("BPF_MAP_CREATE")?;
    // SAFETY: a new descriptor that is ours, closed at once.
    unsafe { libc::close(descriptor as i32) };
    Ok(())
}

/// Opens what is pinned at a path, for reading and writing.
pub fn open_pin(path: &str) -> Tried {
    let path = sys::c_string(path).at("path")?;
    let [low, high] = halves(path.as_ptr() as u64);
    let descriptor = bpf(OBJ_GET, &mut attributes(&[low, high])).at("BPF_OBJ_GET")?;
    // SAFETY: a new descriptor that is ours, closed at once.
    unsafe { libc::close(descriptor as i32) };
    Ok(())
}

/// Attaches a program that lets every connect pass.
pub fn pass_every_connect(cgroup: &str) -> Tried {
    attach(cgroup, &PASS)
}

/// Attaches a program that sends every connect to one address, whatever ran before it.
pub fn lead_connects_to(cgroup: &str, to: SocketAddr) -> Tried {
    let SocketAddr::V4(to) = to else { return Ok(()) };
    let host = i32::from_ne_bytes(to.ip().octets());
    let port = i32::from(to.port().to_be());
    let [pass, exit] = PASS;
    // Stores of a register into `user_ip4` and `user_port` of the context, `struct bpf_sock_addr`.
    let program = [
        instruction(0xb4, 2, 0, 0, host),
        instruction(0x63, 1, 2, 4, 0),
        instruction(0xb4, 2, 0, 0, port),
        instruction(0x63, 1, 2, 24, 0),
        pass,
        exit,
    ];
    attach(cgroup, &program)
}

fn attach(cgroup: &str, program: &[u64]) -> Tried {
    let directory = File::open(cgroup).at("open the cgroup")?;
    let program = load(program).at("BPF_PROG_LOAD")?;
    let words = [program.as_raw_fd() as u32, directory.as_raw_fd() as u32, INET4_CONNECT];
    // Attached for as long as this process keeps the descriptor: to its end.
    bpf(LINK_CREATE, &mut attributes(&words)).at("BPF_LINK_CREATE").map(drop)
}

fn load(program: &[u64]) -> io::Result<OwnedFd> {
    let license = c"GPL";
    let [low, high] = halves(program.as_ptr() as u64);
    let [license_low, license_high] = halves(license.as_ptr() as u64);
    let mut words = attributes(&[CGROUP_SOCK_ADDR, program.len() as u32, low, high, license_low, license_high]);
    // `expected_attach_type`.
    if let Some(place) = words.get_mut(17) {
        *place = INET4_CONNECT;
    }
    let descriptor = bpf(PROG_LOAD, &mut words)?;
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(descriptor as i32) })
}

/// Detaches every link of a cgroup.
pub fn detach_links_of(cgroup: &str) -> Tried {
    use std::os::unix::fs::MetadataExt;
    let wanted = std::fs::metadata(cgroup).at("stat")?.ino();
    let (mut last, mut detached) = (0, 0);
    for _ in 0..LINKS_MAX {
        let mut next = attributes(&[last]);
        match bpf(LINK_GET_NEXT_ID, &mut next) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => break,
            answer => answer.at("BPF_LINK_GET_NEXT_ID")?,
        };
        last = next.get(1).copied().unwrap_or_default();
        let descriptor = bpf(LINK_GET_FD_BY_ID, &mut attributes(&[last])).at("BPF_LINK_GET_FD_BY_ID")?;
        if cgroup_of(descriptor as u32).is_ok_and(|cgroup| cgroup == wanted) {
            bpf(LINK_DETACH, &mut attributes(&[descriptor as u32])).at("BPF_LINK_DETACH")?;
            detached += 1;
        }
        // SAFETY: a descriptor that the call above made for us.
        unsafe { libc::close(descriptor as i32) };
    }
    if detached == 0 { Err(io::Error::from(io::ErrorKind::NotFound)).at("find a link") } else { Ok(()) }
}

/// The cgroup of a link: `struct bpf_link_info`, after kind, id and program.
fn cgroup_of(link: u32) -> io::Result<u64> {
    let mut info = [0_u32; 16];
    let [low, high] = halves(info.as_mut_ptr() as u64);
    bpf(OBJ_GET_INFO_BY_FD, &mut attributes(&[link, size_of_val(&info) as u32, low, high]))?;
    let [_, _, _, _, low, high, ..] = info;
    Ok(u64::from(low) | u64::from(high) << 32)
}
