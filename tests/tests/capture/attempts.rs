//! What a workload's process tries, one line each. The answer is what it heard, or the kind of its error.

use std::{
    ffi::OsString,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

use nix::{
    sched::{CloneFlags, unshare},
    sys::socket::{MsgFlags, SockaddrIn, bind, connect, sendto},
};
use portcullis::{
    capture::canary::{self, Token},
    jail::launcher::{self, Identity},
};

use crate::rig;

/// Longest that an attempt waits: a refusal must be immediate.
const PATIENCE: Duration = Duration::from_secs(2);

pub fn client() {
    let mut held = Held::default();
    rig::answer_each(|attempt| match make(attempt, &mut held) {
        Ok(answer) => answer,
        Err(error) => format!("{:?}", error.kind()),
    });
}

/// What stays open between two attempts.
#[derive(Default)]
struct Held {
    stream: Option<TcpStream>,
    receiver: Option<UdpSocket>,
}

fn make(attempt: &str, held: &mut Held) -> io::Result<String> {
    match attempt.split(' ').collect::<Vec<_>>()[..] {
        ["tcp", address] => heard(TcpStream::connect_timeout(&parse(address), PATIENCE)?),
        ["tcp-from", source, address] => heard(connect_from(source.parse().unwrap(), parse(address), &[])?),
        ["tcp-by", device, address] => {
            heard(connect_from(0, parse(address), &[(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device.as_bytes())])?)
        }
        ["fast-open", address] => heard(fast_open(parse(address))?),
        ["reconnect", first, second] => heard(reconnect(parse(first), parse(second))?),
        ["peer", address] => Ok(TcpStream::connect_timeout(&parse(address), PATIENCE)?.peer_addr()?.to_string()),
        ["hold", address] => {
            TcpStream::connect_timeout(&parse(address), PATIENCE).map(|it| held.stream = Some(it)).map(answer)
        }
        ["say"] => held.stream.as_mut().unwrap().write_all(b"out").map(answer),
        ["by", device] => {
            let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
            set(&socket, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device.as_bytes()).map(answer)
        }
        ["udp", address] => UdpSocket::bind(any(parse(address)))?.send_to(b"out", parse(address)).map(answer),
        // The same again and again.
        ["udp-burst", number, address] => {
            let socket = UdpSocket::bind(any(parse(address)))?;
            let refused =
                (0..number.parse().unwrap()).filter(|_: &u32| socket.send_to(b"out", parse(address)).is_err());
            Ok(refused.count().to_string())
        }
        // Each to another address.
        ["udp-sweep", number] => {
            let socket = UdpSocket::bind(any(parse("0.0.0.0:0")))?;
            let to = |number: u32| (Ipv4Addr::from(0xc612_0000 + (number >> 15)), 1024 + (number & 0x7fff) as u16);
            let refused = (0..number.parse().unwrap()).filter(|number| socket.send_to(b"out", to(*number)).is_err());
            Ok(refused.count().to_string())
        }
        ["unix", kind, name] => unix(number(kind), name, true).map(answer),
        ["unix-send", name] => unix(libc::SOCK_DGRAM, name, false).map(answer),
        ["unix-pair"] => {
            let (mut one, mut other) = UnixStream::pair()?;
            one.write_all(b"x")?;
            other.read_exact(&mut [0]).map(answer)
        }
        ["udp-connect", address] => UdpSocket::bind(any(parse(address)))?.connect(parse(address)).map(answer),
        ["udp-by", device, address] => {
            let sender = UdpSocket::bind(any(parse(address)))?;
            set(&sender, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device.as_bytes())?;
            sender.send_to(b"out", parse(address)).map(answer)
        }
        ["dns", address] => {
            let socket = UdpSocket::bind(any(parse(address)))?;
            socket.send_to(&QUESTION, parse(address))?;
            answered(&socket)
        }
        ["dns-connect", address] => {
            let socket = UdpSocket::bind(any(parse(address)))?;
            socket.connect(parse(address))?;
            socket.send(&QUESTION)?;
            answered(&socket).map(|answer| format!("{answer} {}", socket.peer_addr().unwrap()))
        }
        // The question by one socket to two servers, then their answers.
        ["dns-both", first, second] => {
            let socket = UdpSocket::bind(any(parse(first)))?;
            socket.send_to(&QUESTION, parse(first))?;
            socket.send_to(&[2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0], parse(second))?;
            Ok(format!("{} {}", answered(&socket)?, answered(&socket)?))
        }
        ["socket", family, kind, protocol] => socket(number(family), number(kind), number(protocol)).map(answer),
        ["option", kind, level, name] => {
            let kind = if kind == "tcp" { libc::SOCK_STREAM } else { libc::SOCK_DGRAM };
            let family = if number(level) == libc::IPPROTO_IPV6 { libc::AF_INET6 } else { libc::AF_INET };
            set(&socket(family, kind, 0)?, number(level), number(name), &[0; 20]).map(answer)
        }
        ["bind", address] => TcpListener::bind(parse(address)).map(answer),
        ["listen"] => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            std::mem::forget(listener);
            Ok(address.to_string())
        }
        ["listen-udp"] => {
            let receiver = held.receiver.insert(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
            receiver.set_read_timeout(Some(Duration::from_secs(1)))?;
            Ok(receiver.local_addr()?.to_string())
        }
        ["receive"] => held.receiver.as_ref().unwrap().recv(&mut [0; 8]).map(answer),
        ["namespace-tcp", address] => {
            unshare(CloneFlags::CLONE_NEWNET)?;
            heard(TcpStream::connect_timeout(&parse(address), PATIENCE)?)
        }
        ["probe"] => canary::probe(&Token::random().unwrap(), portcullis::capture::Loopback::Shared)
            .map_err(|error| io::Error::other(error.to_string()))
            .map(answer)
            .or_else(|error| Ok(error.to_string())),
        ["exec", ref script @ ..] => {
            let arguments = [OsString::from("-c"), script.join(" ").into()];
            let error = launcher::exec(&Identity::find("nobody").unwrap(), "/bin/sh".as_ref(), &arguments);
            Ok(error.to_string())
        }
        ref other => panic!("{other:?}"),
    }
}

fn parse(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn number(text: &str) -> i32 {
    text.parse().unwrap()
}

/// Says that the attempt went through.
fn answer<T>(_: T) -> String {
    "possible".into()
}

fn any(address: SocketAddr) -> SocketAddr {
    if address.is_ipv4() { parse("0.0.0.0:0") } else { parse("[::]:0") }
}

/// Dials a Unix socket, or sends to it; `@` stands for the zero of an abstract name, `^` for what follows the path's end.
fn unix(kind: i32, name: &str, connect_first: bool) -> io::Result<()> {
    let socket = socket(libc::AF_UNIX, kind, 0)?;
    let name: Vec<u8> = name.bytes().map(|byte| if matches!(byte, b'@' | b'^') { 0 } else { byte }).collect();
    // SAFETY: an address of zeros is one.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as u16;
    address.sun_path.iter_mut().zip(&name).for_each(|(to, from)| *to = *from as libc::c_char);
    let (to, length) = ((&raw const address).cast(), (2 + name.len()) as libc::socklen_t);
    // SAFETY: the address is as long as said.
    let answer = unsafe {
        match connect_first {
            true => libc::connect(socket.as_raw_fd(), to, length) as isize,
            false => libc::sendto(socket.as_raw_fd(), c"out".as_ptr().cast(), 3, 0, to, length),
        }
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The header of a DNS message, RFC 1035, section 4.1.1.
const QUESTION: [u8; 12] = [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// What the server says, and where it seems to be.
fn answered(socket: &UdpSocket) -> io::Result<String> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut answer = [0; 512];
    let (length, source) = socket.recv_from(&mut answer)?;
    Ok(format!("{} from {source}", String::from_utf8_lossy(answer.get(2..length).unwrap_or_default())))
}

/// What the other end says before it closes.
fn heard(mut stream: TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said.trim_end().into())
}

/// Connects from a port of one's choice, and leaves by RST: the port is free at once.
pub fn connect_from(source: u16, to: SocketAddr, options: &[(i32, i32, &[u8])]) -> io::Result<TcpStream> {
    let socket = bound(source)?;
    for (level, name, value) in options {
        set(&socket, *level, *name, value)?;
    }
    connect(socket.as_raw_fd(), &ipv4(to))?;
    Ok(socket.into())
}

/// Connects by sending, TCP Fast Open: `connect` is never called.
fn fast_open(to: SocketAddr) -> io::Result<TcpStream> {
    let socket = bound(0)?;
    let address = ipv4(to);
    sendto(socket.as_raw_fd(), b"out", &address, MsgFlags::from_bits_retain(libc::MSG_FASTOPEN))?;
    Ok(socket.into())
}

/// Connects, disconnects by AF_UNSPEC, and connects the same socket to somewhere else.
fn reconnect(first: SocketAddr, second: SocketAddr) -> io::Result<TcpStream> {
    let socket = bound(0)?;
    connect(socket.as_raw_fd(), &ipv4(first))?;
    // SAFETY: an address of one word, the family, zero for AF_UNSPEC.
    unsafe {
        let nowhere: libc::sockaddr = std::mem::zeroed();
        if libc::connect(socket.as_raw_fd(), &raw const nowhere, size_of::<libc::sockaddr>() as libc::socklen_t) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    connect(socket.as_raw_fd(), &ipv4(second))?;
    Ok(socket.into())
}

fn ipv4(address: SocketAddr) -> SockaddrIn {
    let SocketAddr::V4(address) = address else { panic!("IPv4 only") };
    address.into()
}

/// A TCP socket with this source port; zero leaves the choice to the kernel.
fn bound(source: u16) -> io::Result<OwnedFd> {
    let socket = socket(libc::AF_INET, libc::SOCK_STREAM, 0)?;
    let linger = [1_i32.to_ne_bytes(), 0_i32.to_ne_bytes()].concat();
    set(&socket, libc::SOL_SOCKET, libc::SO_LINGER, &linger)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1_i32.to_ne_bytes())?;
    let address = SockaddrIn::new(0, 0, 0, 0, source);
    bind(socket.as_raw_fd(), &address)?;
    Ok(socket)
}

fn set(socket: &impl AsRawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: the value is as long as said.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), value.len() as libc::socklen_t)
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor that is ours.
    unsafe {
        let socket = libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol);
        if socket < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(socket)) }
    }
}
