//! The sockets of a network namespace, listed and destroyed: `sock_diag(7)`, `include/uapi/linux/inet_diag.h`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsRawFd, OwnedFd},
};

use nix::sys::{
    socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt},
    time::{TimeVal, TimeValLike},
};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
/// The cgroup that the socket was made in, Linux 5.9.
const INET_DIAG_CGROUP_ID: u16 = 21;

const HEADER: usize = 16;
const ANSWER: usize = 72;
/// `struct inet_diag_sockid`.
const SOCKET_ID: usize = 48;
const ALL_STATES: u32 = u32::MAX;

/// Longest batch of answers; the kernel fills at most 32 KiB at once.
const BATCH_MAX: usize = 64 * 1024;
/// How long the kernel may take for an answer.
const ANSWER_SECONDS_MAX: i64 = 5;

/// A transport whose sockets the kernel lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Transport {
    Tcp,
    Udp,
}

impl Transport {
    pub(super) const ALL: [Self; 2] = [Self::Tcp, Self::Udp];

    const fn number(self) -> u8 {
        match self {
            Self::Tcp => libc::IPPROTO_TCP as u8,
            Self::Udp => libc::IPPROTO_UDP as u8,
        }
    }
}

/// One socket of a network namespace, hashed: bound, listening or connected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Socket {
    pub(super) transport: Transport,
    pub(super) state: u8,
    pub(super) peer: IpAddr,
    pub(super) peer_port: u16,
    pub(super) inode: u32,
    /// `None` when nobody has it any more, as in TIME_WAIT, and on kernels that do not tell.
    pub(super) cgroup_id: Option<u64>,
    family: u8,
    /// Names it to the kernel: addresses, ports, interface and cookie.
    id: [u8; SOCKET_ID],
}

/// States of TCP, `include/net/tcp_states.h`; UDP uses the first and [`CLOSE`].
const TIME_WAIT: u8 = 6;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;
const NEW_SYN_RECV: u8 = 12;

impl Socket {
    /// Whether it has a peer.
    pub(super) fn is_connected(&self) -> bool {
        !matches!(self.state, CLOSE | LISTEN)
    }

    /// Whether a process has it: what it left to the kernel neither sends nor takes anything more of anybody.
    pub(super) fn is_held(&self) -> bool {
        !matches!(self.state, TIME_WAIT | NEW_SYN_RECV)
    }
}

/// A question line to the kernel, in the network namespace in which it was opened.
pub(super) struct Diag(OwnedFd);

impl Diag {
    pub(super) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(ANSWER_SECONDS_MAX))?;
        Ok(Self(socket))
    }

    /// Every socket of a transport, of both address families.
    pub(super) fn list(&self, transport: Transport) -> io::Result<Vec<Socket>> {
        let mut sockets = Vec::new();
        for family in [libc::AF_INET as u8, libc::AF_INET6 as u8] {
            let flags = libc::NLM_F_REQUEST | libc::NLM_F_DUMP;
            self.ask(SOCK_DIAG_BY_FAMILY, flags, family, transport, &[0; SOCKET_ID])?;
            self.collect(transport, &mut sockets)?;
        }
        Ok(sockets)
    }

    /// Ends a socket as a reset would; false when it was gone. Needs CAP_NET_ADMIN and `CONFIG_INET_DIAG_DESTROY`.
    pub(super) fn destroy(&self, socket: &Socket) -> io::Result<bool> {
        let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK;
        self.ask(SOCK_DESTROY, flags, socket.family, socket.transport, &socket.id)?;
        let batch = self.receive()?;
        match Messages(&batch).next() {
            Some(message) => match message.error() {
                None | Some(0) => Ok(true),
                Some(libc::ENOENT) => Ok(false),
                Some(error) => Err(io::Error::from_raw_os_error(error)),
            },
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn ask(&self, kind: u16, flags: i32, family: u8, transport: Transport, id: &[u8; SOCKET_ID]) -> io::Result<()> {
        let mut message = Vec::with_capacity(HEADER + 8 + SOCKET_ID);
        message.extend(((HEADER + 8 + SOCKET_ID) as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend((flags as u16).to_ne_bytes());
        message.extend([0; 8]);
        message.extend([family, transport.number(), 0, 0]);
        message.extend(ALL_STATES.to_ne_bytes());
        message.extend(id);
        send(self.0.as_raw_fd(), &message, MsgFlags::empty())?;
        Ok(())
    }

    fn collect(&self, transport: Transport, sockets: &mut Vec<Socket>) -> io::Result<()> {
        loop {
            let batch = self.receive()?;
            for message in Messages(&batch) {
                if message.kind == libc::NLMSG_DONE as u16 {
                    return Ok(());
                }
                if let Some(error) = message.error() {
                    return Err(io::Error::from_raw_os_error(error));
                }
                sockets.extend(socket_of(message.body, transport));
            }
        }
    }

    fn receive(&self) -> io::Result<Vec<u8>> {
        let mut batch = vec![0; BATCH_MAX];
        let length = recv(self.0.as_raw_fd(), &mut batch, MsgFlags::empty())?;
        batch.truncate(length);
        Ok(batch)
    }
}

/// One netlink message (`netlink(7)`).
struct Message<'a> {
    kind: u16,
    body: &'a [u8],
}

impl Message<'_> {
    /// The number of an error message, positive; zero acknowledges.
    fn error(&self) -> Option<i32> {
        let number = || i32::from_ne_bytes(*self.body.first_chunk().unwrap_or(&libc::EBADMSG.to_ne_bytes()));
        (self.kind == libc::NLMSG_ERROR as u16).then(|| number().saturating_abs())
    }
}

/// The messages of a batch; what is cut short ends it.
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = u32::from_ne_bytes(*self.0.first_chunk()?) as usize;
        let kind = u16::from_ne_bytes(self.0.get(4..6)?.try_into().ok()?);
        let body = self.0.get(HEADER..length)?;
        self.0 = self.0.get(aligned(length)..).unwrap_or_default();
        Some(Message { kind, body })
    }
}

/// `struct inet_diag_msg` and its attributes.
fn socket_of(body: &[u8], transport: Transport) -> Option<Socket> {
    let (family, state) = (*body.first()?, *body.get(1)?);
    let id: [u8; SOCKET_ID] = body.get(4..4 + SOCKET_ID)?.try_into().ok()?;
    let peer = id.get(20..36)?;
    let peer = match i32::from(family) {
        libc::AF_INET => Ipv4Addr::from(*peer.first_chunk::<4>()?).into(),
        _ => Ipv6Addr::from(*peer.first_chunk::<16>()?).to_canonical(),
    };
    Some(Socket {
        transport,
        state,
        peer,
        peer_port: u16::from_be_bytes(id.get(2..4)?.try_into().ok()?),
        inode: u32::from_ne_bytes(body.get(ANSWER - 4..ANSWER)?.try_into().ok()?),
        cgroup_id: attribute(body.get(ANSWER..)?, INET_DIAG_CGROUP_ID)
            .and_then(|value| Some(u64::from_ne_bytes(*value.first_chunk()?))),
        family,
        id,
    })
}

/// The value of an attribute: length and kind in two bytes each, then the value, each attribute aligned to four bytes.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(attributes.get(2..4)?.try_into().ok()?);
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(aligned(length)..)?;
    }
}

const fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_connection_of_this_process_is_listed_with_its_peer() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let sockets = Diag::open().unwrap().list(Transport::Tcp).unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = sockets.iter().find(|socket| socket.peer_port == port && socket.is_held()).unwrap();
        assert_eq!((found.peer, found.is_connected()), (client.peer_addr().unwrap().ip(), true));
        assert!(found.cgroup_id.is_some());
    }

    #[test]
    fn what_is_cut_short_is_nothing() {
        for length in 0..ANSWER {
            assert_eq!(socket_of(&vec![2; length], Transport::Tcp), None, "{length}");
        }
        for batch in [&[][..], &[255; 3], &[0; 16], &[4, 0, 0, 0, 1, 0, 0, 0], &[255; 64]] {
            assert_eq!(Messages(batch).count(), 0, "{batch:?}");
            assert_eq!(attribute(batch, INET_DIAG_CGROUP_ID), None, "{batch:?}");
        }
    }
}
