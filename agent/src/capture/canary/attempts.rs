//! What a canary tries: the part of the attack table that is safe on a host in use.
//!
//! It dials documentation addresses, and beyond that only itself on the loopback: even where capture is missing,
//! nothing reaches anybody, and nothing on the host changes.

use std::{
    io::{self, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

use nix::sys::socket::{MsgFlags, SockaddrStorage, connect, sendto};
use serde::Serialize;

use super::{super::Loopback, ANSWER_TIMEOUT, CanaryError, DESTINATION_V4, DESTINATION_V6, TOKEN_LENGTH, Token};

/// One thing that a canary tried, and what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    pub name: &'static str,
    /// The layer that holds it.
    pub layer: &'static str,
    /// Whether capture held.
    pub held: bool,
    /// Whether it got out; where neither is so, nothing is known: nobody answered in time.
    pub escaped: bool,
    pub outcome: String,
}

/// Proves that this process is captured: call it between its admission and `exec`. Makes no threads, leaves no sockets.
///
/// IPv6 may be refused rather than redirected.
pub fn probe(token: &Token, loopback: Loopback) -> Result<(), CanaryError> {
    chosen(loopback).try_for_each(|(_, _, attempt)| attempt(token).map(drop))
}

/// Tries everything that [`probe`] tries, and goes on after what got out.
pub fn attempts(token: &Token, loopback: Loopback) -> Vec<Attempt> {
    let tried = chosen(loopback).map(|(name, layer, attempt)| match attempt(token) {
        Ok(held) => Attempt { name, layer, held: true, escaped: false, outcome: held.words() },
        Err(error) => Attempt { name, layer, held: false, escaped: error.is_escape(), outcome: error.to_string() },
    });
    tried.collect()
}

/// How an attempt was held.
enum Held {
    /// The daemon had the connection, and said the token.
    Captured,
    /// The kernel refused, with this error.
    Refused(io::Error),
}

impl Held {
    fn words(&self) -> String {
        match self {
            Self::Captured => "the daemon answered in its place".to_owned(),
            Self::Refused(error) => format!("refused: {error}"),
        }
    }
}

type Outcome = Result<Held, CanaryError>;
type Try = fn(&Token) -> Outcome;

/// What is to be tried: on a jail's loopback there are no services but the workload's own.
fn chosen(loopback: Loopback) -> impl Iterator<Item = &'static (&'static str, &'static str, Try)> {
    let shared = match loopback {
        Loopback::Shared => SHARED,
        Loopback::Private => &[],
    };
    ATTEMPTS.iter().chain(shared)
}

const ATTEMPTS: &[(&str, &str, Try)] = &[
    ("TCP over IPv4 to an address outside", "connect", |token| hear(DESTINATION_V4, token)),
    ("TCP over IPv6 to an address outside", "connect", hear_v6),
    ("TCP from an IPv6 socket to an IPv4-mapped address", "connect", |token| hear_v6_at(mapped(), token)),
    ("TCP Fast Open, which sends without a connect", "connect", fast_open),
    ("a second connect of one socket, after AF_UNSPEC", "connect", reconnect),
    ("a datagram over IPv4", "datagram", |_| send("a datagram over IPv4", DESTINATION_V4)),
    ("a datagram over IPv6", "datagram", |_| send("a datagram over IPv6", DESTINATION_V6)),
    ("a datagram to an IPv4-mapped address", "datagram", |_| send("a datagram to a mapped address", mapped())),
    ("a datagram to a multicast group", "datagram", |_| send("a datagram to a group", group())),
    ("a connected datagram socket", "datagram", |_| connect_datagrams()),
    ("a raw socket", "socket", |_| make("a raw socket", libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP)),
    ("a raw IPv6 socket", "socket", |_| {
        make("a raw IPv6 socket", libc::AF_INET6, libc::SOCK_RAW, libc::IPPROTO_ICMPV6)
    }),
    ("a ping socket", "socket", |_| make("a ping socket", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_ICMP)),
    ("an MPTCP socket", "socket", |_| make("an MPTCP socket", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_MPTCP)),
    ("an SCTP socket", "socket", |_| make("an SCTP socket", libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_SCTP)),
    ("a UDP-Lite socket", "socket", |_| {
        make("a UDP-Lite socket", libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_UDPLITE)
    }),
    ("the choice of an interface", "option", |_| {
        set("the choice of an interface", libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"lo\0")
    }),
    ("the choice of an interface by number", "option", |_| {
        set("the choice of an interface by number", libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, &1_i32.to_ne_bytes())
    }),
    ("another route by a mark", "option", |_| {
        set("another route by a mark", libc::SOL_SOCKET, libc::SO_MARK, &1_i32.to_ne_bytes())
    }),
    ("IPv4 source routing", "option", |_| {
        // RFC 791: a loose source route by 192.0.2.1, padded to a word.
        set("IPv4 source routing", libc::SOL_IP, libc::IP_OPTIONS, &[131, 7, 4, 192, 0, 2, 1, 0])
    }),
    ("membership in a multicast group", "option", |_| {
        // A group of RFC 5771's documentation range, at the loopback: no report leaves.
        set("membership in a group", libc::SOL_IP, libc::IP_ADD_MEMBERSHIP, &[233, 252, 0, 1, 127, 0, 0, 1])
    }),
];

/// What means something only where others are at the loopback, not in a jail.
const SHARED: &[(&str, &str, Try)] = &[
    ("TCP to a service of this host", "connect", |_| stay_off_local_services()),
    ("a datagram to a service of this host", "datagram", |_| send_to_own_socket()),
];

fn mapped() -> SocketAddr {
    let IpAddr::V4(host) = DESTINATION_V4.ip() else { return DESTINATION_V4 };
    SocketAddr::new(host.to_ipv6_mapped().into(), DESTINATION_V4.port())
}

/// RFC 6676, MCAST-TEST-NET.
fn group() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(233, 252, 0, 1).into(), 9)
}

fn hear_v6(token: &Token) -> Outcome {
    hear_v6_at(DESTINATION_V6, token)
}

fn hear_v6_at(destination: SocketAddr, token: &Token) -> Outcome {
    match TcpStream::connect_timeout(&destination, ANSWER_TIMEOUT) {
        Ok(stream) => compare(destination, &stream, token),
        Err(error) if is_refusal(&error) => Ok(Held::Refused(error)),
        Err(error) => Err(CanaryError::NoAnswer(destination, error)),
    }
}

/// Whether IPv6 was refused, or is not in this kernel or this network namespace at all.
fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAFNOSUPPORT)
        || matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::AddrNotAvailable | io::ErrorKind::NetworkUnreachable
        )
}

fn hear(destination: SocketAddr, token: &Token) -> Outcome {
    let stream = TcpStream::connect_timeout(&destination, ANSWER_TIMEOUT)
        .map_err(|error| CanaryError::NoAnswer(destination, error))?;
    compare(destination, &stream, token)
}

fn compare(destination: SocketAddr, mut stream: &TcpStream, token: &Token) -> Outcome {
    let mut heard = [0; TOKEN_LENGTH];
    stream
        .set_read_timeout(Some(ANSWER_TIMEOUT))
        .and_then(|()| stream.read_exact(&mut heard))
        .map_err(|error| CanaryError::NoAnswer(destination, error))?;
    if heard == token.0 { Ok(Held::Captured) } else { Err(CanaryError::WrongAnswer(destination)) }
}

/// Connects by sending nothing, `tcp(7)`. A kernel on which clients may not is none that lets it out.
fn fast_open(token: &Token) -> Outcome {
    let socket = patient(socket(libc::AF_INET, libc::SOCK_STREAM, 0).map_err(CanaryError::Preparation)?)?;
    let to = SockaddrStorage::from(DESTINATION_V4);
    match sendto(socket.as_raw_fd(), &[], &to, MsgFlags::from_bits_retain(libc::MSG_FASTOPEN)) {
        Ok(_) => compare(DESTINATION_V4, &socket, token),
        Err(nix::Error::EOPNOTSUPP | nix::Error::EPERM) => Ok(Held::Refused(nix::Error::EOPNOTSUPP.into())),
        Err(error) => Err(CanaryError::NoAnswer(DESTINATION_V4, error.into())),
    }
}

fn reconnect(token: &Token) -> Outcome {
    let socket = patient(socket(libc::AF_INET, libc::SOCK_STREAM, 0).map_err(CanaryError::Preparation)?)?;
    let to = SockaddrStorage::from(DESTINATION_V4);
    let dial = || {
        let connected = connect(socket.as_raw_fd(), &to);
        connected.map_err(|error| CanaryError::NoAnswer(DESTINATION_V4, error.into()))?;
        compare(DESTINATION_V4, &socket, token)
    };
    dial()?;
    // To the end: or the daemon would be left with a connection that is cut.
    (&socket).read_to_end(&mut Vec::new()).map_err(|error| CanaryError::NoAnswer(DESTINATION_V4, error))?;
    disconnect(&socket).map_err(CanaryError::Preparation)?;
    dial()
}

/// `connect(2)`: an address of the family AF_UNSPEC dissolves the association.
fn disconnect(socket: &TcpStream) -> io::Result<()> {
    // SAFETY: integers, for which zero is a value; the family AF_UNSPEC is zero.
    let nowhere: libc::sockaddr = unsafe { std::mem::zeroed() };
    // SAFETY: the address is as long as said.
    let answer = unsafe {
        libc::connect(socket.as_raw_fd(), &raw const nowhere, size_of::<libc::sockaddr>() as libc::socklen_t)
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes a connect or a send that hangs end.
fn patient(socket: OwnedFd) -> Result<TcpStream, CanaryError> {
    let stream = TcpStream::from(socket);
    stream.set_write_timeout(Some(ANSWER_TIMEOUT)).map_err(CanaryError::Preparation)?;
    Ok(stream)
}

/// Dials a listener of its own: the daemon must get the connection, the listener must not.
fn stay_off_local_services() -> Outcome {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(CanaryError::Preparation)?;
    listener.set_nonblocking(true).map_err(CanaryError::Preparation)?;
    let address = listener.local_addr().map_err(CanaryError::Preparation)?;
    let connected = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT).and_then(|mut connection| {
        connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        // Until the daemon has closed it: it is a canary's attempt only while this still is the canary.
        let _ = connection.read(&mut [0]);
        Ok(())
    });
    match (listener.accept(), connected) {
        (Ok(_), _) => Err(CanaryError::Possible("a connection to a local service")),
        (Err(error), Ok(())) if error.kind() == io::ErrorKind::WouldBlock => Ok(Held::Captured),
        (Err(error), Err(refused)) if error.kind() == io::ErrorKind::WouldBlock => Ok(Held::Refused(refused)),
        (Err(error), _) => Err(CanaryError::Preparation(error)),
    }
}

fn send(what: &'static str, to: SocketAddr) -> Outcome {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let sender = match socket(family, libc::SOCK_DGRAM, 0) {
        Ok(sender) => sender,
        // No IPv6 in this kernel.
        Err(error) => return Ok(Held::Refused(error)),
    };
    let to = SockaddrStorage::from(to);
    refused(what, sendto(sender.as_raw_fd(), b"canary", &to, MsgFlags::empty()).map_err(io::Error::from))
}

/// Sends to a socket of its own.
fn send_to_own_socket() -> Outcome {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(CanaryError::Preparation)?;
    send("a datagram to a local service", receiver.local_addr().map_err(CanaryError::Preparation)?)
}

fn connect_datagrams() -> Outcome {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0).map_err(CanaryError::Preparation)?;
    let to = SockaddrStorage::from(DESTINATION_V4);
    refused("a connected datagram socket", connect(socket.as_raw_fd(), &to).map_err(io::Error::from))
}

fn make(what: &'static str, family: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> Outcome {
    refused(what, socket(family, kind, protocol))
}

fn set(what: &'static str, level: libc::c_int, name: libc::c_int, value: &[u8]) -> Outcome {
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0).map_err(CanaryError::Preparation)?;
    // SAFETY: the value is as long as said.
    let answer = unsafe {
        let (bytes, length) = (value.as_ptr().cast(), value.len() as libc::socklen_t);
        libc::setsockopt(socket.as_raw_fd(), level, name, bytes, length)
    };
    refused(what, if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) })
}

/// What must fail, whatever the error: a kernel that cannot do it does not let it out.
fn refused<T>(what: &'static str, answer: io::Result<T>) -> Outcome {
    match answer {
        Ok(_) => Err(CanaryError::Possible(what)),
        Err(error) => Ok(Held::Refused(error)),
    }
}

fn socket(family: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor that is ours.
    unsafe {
        let socket = libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol);
        if socket < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(socket)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_process_is_found_out() {
        // Only what stays on this host: nobody is dialled for a test.
        let token = Token::random().unwrap();
        for (name, _, attempt) in SHARED {
            assert!(matches!(attempt(&token), Err(CanaryError::Possible(_))), "{name}");
        }
        let interface = set("an interface", libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"lo\0");
        assert!(matches!(interface, Err(CanaryError::Possible(_))));
    }

    #[test]
    fn a_canary_dials_nobody() {
        let documentation = |host: IpAddr| match host.to_canonical() {
            IpAddr::V4(v4) => v4.is_documentation() || v4.octets().starts_with(&[233, 252, 0]),
            IpAddr::V6(v6) => v6.segments().starts_with(&[0x2001, 0xdb8]),
        };
        for address in [DESTINATION_V4, DESTINATION_V6, mapped(), group()] {
            assert!(documentation(address.ip()), "{address}");
        }
    }
}
