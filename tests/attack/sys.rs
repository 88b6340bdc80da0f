//! System calls as an attacker makes them: nothing between it and the kernel, and each refusal with its step.

use std::{
    ffi::CString,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    time::Duration,
};

use nix::libc;

/// Longest that a connect, a send or a wait for an answer may take.
pub const PATIENCE: Duration = Duration::from_millis(400);

/// What the kernel did not do, and at which step.
#[derive(Debug)]
pub struct Refused {
    pub step: &'static str,
    pub error: io::Error,
}

/// What came of an attempt, as the attacker sees it.
pub type Tried = Result<(), Refused>;

/// Names the step that an error ended.
pub trait At<T> {
    fn at(self, step: &'static str) -> Result<T, Refused>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: &'static str) -> Result<T, Refused> {
        self.map_err(|error| Refused { step, error })
    }
}

impl<T> At<T> for nix::Result<T> {
    fn at(self, step: &'static str) -> Result<T, Refused> {
        self.map_err(|error| Refused { step, error: error.into() })
    }
}

/// The error of a call that answered below zero.
pub fn checked(answer: libc::c_long) -> io::Result<libc::c_long> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

/// A system call by its number, with up to five arguments.
pub fn call(number: libc::c_long, arguments: [u64; 5]) -> io::Result<libc::c_long> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: each caller passes numbers, or addresses of memory that outlives the call and is as long as it says.
    checked(unsafe { libc::syscall(number, a, b, c, d, e) })
}

/// A call that answers a new descriptor.
pub fn opening(number: libc::c_long, arguments: [u64; 5]) -> io::Result<OwnedFd> {
    let descriptor = call(number, arguments)? as RawFd;
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

pub fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    opening(libc::SYS_socket, [family as u64, kind as u64, protocol as u64, 0, 0])
}

pub fn connect(socket: &impl AsRawFd, address: &[u8]) -> io::Result<()> {
    patient(socket)?;
    let arguments = [socket.as_raw_fd() as u64, address.as_ptr() as u64, address.len() as u64, 0, 0];
    call(libc::SYS_connect, arguments).map(drop)
}

pub fn bind(socket: &impl AsRawFd, address: &[u8]) -> io::Result<()> {
    call(libc::SYS_bind, [socket.as_raw_fd() as u64, address.as_ptr() as u64, address.len() as u64, 0, 0]).map(drop)
}

pub fn listen(socket: &impl AsRawFd) -> io::Result<()> {
    call(libc::SYS_listen, [socket.as_raw_fd() as u64, 8, 0, 0, 0]).map(drop)
}

pub fn option(socket: &impl AsRawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let arguments = [socket.as_raw_fd() as u64, level as u64, name as u64, value.as_ptr() as u64, value.len() as u64];
    call(libc::SYS_setsockopt, arguments).map(drop)
}

pub fn switch_on(socket: &impl AsRawFd, level: i32, name: i32) -> io::Result<()> {
    option(socket, level, name, &1_i32.to_ne_bytes())
}

/// Makes sends, connects and reads on a socket end.
pub fn patient(socket: &impl AsRawFd) -> io::Result<()> {
    let time = [(PATIENCE.as_secs() as i64).to_ne_bytes(), i64::from(PATIENCE.subsec_micros()).to_ne_bytes()].concat();
    // Where a family has no such options, the attempt's own alarm ends it.
    let _ = option(socket, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &time);
    let _ = option(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, &time);
    Ok(())
}

pub fn send(socket: &impl AsRawFd, bytes: &[u8], flags: i32) -> io::Result<()> {
    send_message(socket, bytes, &[], &[], flags)
}

pub fn send_to(socket: &impl AsRawFd, bytes: &[u8], address: &[u8]) -> io::Result<()> {
    send_message(socket, bytes, address, &[], 0)
}

/// `sendmsg(2)` with an address and ancillary data, each of which may be empty.
pub fn send_message(
    socket: &impl AsRawFd,
    bytes: &[u8],
    address: &[u8],
    ancillary: &[u8],
    flags: i32,
) -> io::Result<()> {
    let mut parts = [libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }];
    let message = message(&mut parts, address, ancillary);
    // SAFETY: everything that the message names outlives the call.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags | libc::MSG_NOSIGNAL) };
    checked(sent as libc::c_long).map(drop)
}

/// A message header over parts that the caller keeps alive.
pub fn message(parts: &mut [libc::iovec], address: &[u8], ancillary: &[u8]) -> libc::msghdr {
    // SAFETY: integers and pointers, for which zero is a value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (parts.as_mut_ptr(), parts.len());
    if !address.is_empty() {
        (message.msg_name, message.msg_namelen) = (address.as_ptr().cast_mut().cast(), address.len() as u32);
    }
    if !ancillary.is_empty() {
        (message.msg_control, message.msg_controllen) = (ancillary.as_ptr().cast_mut().cast(), ancillary.len());
    }
    message
}

/// One control message, `cmsg(3)`.
pub fn ancillary(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
    let length = size_of::<libc::cmsghdr>() + data.len();
    let mut bytes = [&length.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// A socket address as it lies in memory; `scope` is the interface of a link-local one.
pub fn address_in(address: SocketAddr, scope: u32) -> Vec<u8> {
    let port = address.port().to_be_bytes();
    match address {
        SocketAddr::V4(v4) => [&(libc::AF_INET as u16).to_ne_bytes()[..], &port, &v4.ip().octets(), &[0; 8]].concat(),
        SocketAddr::V6(v6) => {
            let family = (libc::AF_INET6 as u16).to_ne_bytes();
            [&family[..], &port, &[0; 4], &v6.ip().octets(), &scope.to_ne_bytes()].concat()
        }
    }
}

pub fn address(of: SocketAddr) -> Vec<u8> {
    address_in(of, 0)
}

/// A Unix address: a path, or after a `@` an abstract name.
pub fn unix_address(name: &str) -> Vec<u8> {
    let family = (libc::AF_UNIX as u16).to_ne_bytes();
    match name.strip_prefix('@') {
        Some(name) => [&family[..], &[0], name.as_bytes()].concat(),
        None => [&family[..], name.as_bytes(), &[0]].concat(),
    }
}

pub fn family_of(address: SocketAddr) -> i32 {
    if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

/// Waits until the other end has read and closed, or patience ends.
pub fn linger(socket: OwnedFd) {
    patient(&socket).ok();
    // SAFETY: the descriptor is a socket of this process, given away.
    let mut stream = unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) };
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let _ = stream.read(&mut [0; 64]);
}

/// A descriptor that this process was started with.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks of a number whether it is open, and makes a descriptor of our own of it.
    let copy = checked(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) }.into())?;
    // SAFETY: a new descriptor that is ours.
    Ok(unsafe { OwnedFd::from_raw_fd(copy as RawFd) })
}

pub fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::ErrorKind::InvalidInput.into())
}

pub fn interface(name: &str) -> io::Result<u32> {
    let name = c_string(name)?;
    // SAFETY: a string that ends.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

pub fn write_all(to: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    std::fs::File::from(to.try_clone()?).write_all(bytes)
}
