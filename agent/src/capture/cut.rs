//! What the processes of a cgroup already hold when it is captured: connections, which are cut, and descriptors that
//! no program on the cgroup governs, which are found.

use std::{
    collections::HashSet,
    io,
    net::{Ipv4Addr, UdpSocket},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use super::{
    Capture, CaptureError, at,
    members::{Descriptor, Members, descriptors},
    namespace::{Namespace, NamespaceFile, enter_and},
    sock_diag::{Diag, Socket, Transport},
};

/// How often connections are listed and destroyed before they count as not to be held: a process may make new ones to
/// where the capture lets it.
const ROUNDS_MAX: usize = 16;

/// A descriptor that no program on its process's cgroup governs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    pub pid: u32,
    pub descriptor: i32,
    pub what: HeldKind,
}

/// What it is open for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HeldKind {
    /// A TCP or UDP socket that was made in another cgroup: by whoever started the process, or before it moved.
    Foreign,
    /// A socket of a family that leaves by no cgroup hook, by its number (`AF_PACKET` 17, `AF_VSOCK` 40).
    Family(i32),
    /// An `io_uring`, whose registered files no list shows.
    IoUring,
    /// A program, map or link of BPF.
    Bpf,
    /// A network device of the process's own making.
    Tunnel,
    /// Something that could not be looked at.
    Unknown,
}

impl Capture {
    /// Destroys the connections that processes of a captured cgroup hold, by its path below the mount; answers how
    /// many. Those that lead to the daemon stay. Blocks: call it where that is allowed.
    ///
    /// Capture the cgroup first: its packets are dropped from then on, so that nothing goes out in between.
    ///
    /// # Errors
    /// [`CaptureError::Destroy`] where the kernel cannot (`CONFIG_INET_DIAG_DESTROY`), or connections stay.
    pub fn cut(&self, cgroup: &Path) -> Result<usize, CaptureError> {
        let port = self.maps.listener_port()?;
        let (members, open) = self.look(cgroup)?;
        let held: HashSet<u32> = open.iter().filter_map(Descriptor::socket).collect();
        let uncaptured = |socket: &Socket| {
            let own = socket.cgroup_id.is_some_and(|id| members.cgroups.contains(&id));
            let captured = own && socket.peer.is_loopback() && socket.peer_port == port;
            socket.is_held() && socket.is_connected() && !captured && (own || held.contains(&socket.inode))
        };
        let mut destroyed = 0;
        for namespace in namespaces(&members)? {
            let cut = enter_and(namespace.as_fd(), || destroy(uncaptured));
            destroyed += cut.map_err(CaptureError::Destroy)?;
        }
        Ok(destroyed)
    }

    /// The descriptors of a cgroup's processes that its capture does not govern, by its path below the mount. Blocks.
    ///
    /// Of a cgroup that is not captured, only what is bound or connected shows where it was made.
    pub fn held(&self, cgroup: &Path) -> Result<Vec<Held>, CaptureError> {
        let (members, open) = self.look(cgroup)?;
        let (mut own, mut known) = (HashSet::new(), HashSet::new());
        for namespace in namespaces(&members)? {
            let listed = enter_and(namespace.as_fd(), list).map_err(CaptureError::Destroy)?;
            let is_own = |socket: &&Socket| socket.cgroup_id.is_some_and(|id| members.cgroups.contains(&id));
            own.extend(listed.iter().filter(is_own).map(|socket| socket.inode));
            known.extend(listed.iter().map(|socket| socket.inode));
        }
        let is_captured = self.governs(cgroup);
        let can_ask = can_ask().map_err(CaptureError::Destroy)?;
        let held = |open: &Descriptor| {
            let what = match open.socket() {
                Some(inode) if own.contains(&inode) => return None,
                Some(inode) => kind(open, can_ask).filter(|what| {
                    // What would become of it is not known yet.
                    is_captured || known.contains(&inode) || *what != HeldKind::Foreign
                }),
                None => kind(open, can_ask),
            };
            Some(Held { pid: open.pid, descriptor: open.number, what: what? })
        };
        Ok(open.iter().filter_map(held).collect())
    }

    /// The processes of a cgroup and below, by its path below the mount.
    pub fn processes(&self, cgroup: &Path) -> Result<Vec<u32>, CaptureError> {
        let directory = self.hierarchy.directory(cgroup);
        Ok(Members::of(&directory).map_err(at("read the processes of", &directory))?.pids)
    }

    /// The processes of a cgroup and all that they have open.
    fn look(&self, cgroup: &Path) -> Result<(Members, Vec<Descriptor>), CaptureError> {
        let directory = self.hierarchy.directory(cgroup);
        let members = Members::of(&directory).map_err(at("read the processes of", &directory))?;
        let mut open = Vec::new();
        for pid in &members.pids {
            open.extend(descriptors(*pid).map_err(at("read", format!("/proc/{pid}/fd")))?);
        }
        Ok((members, open))
    }
}

/// The network namespaces that processes are in.
fn namespaces(members: &Members) -> Result<Vec<Namespace>, CaptureError> {
    let mut met: HashSet<NamespaceFile> = HashSet::new();
    let mut namespaces = Vec::new();
    for pid in &members.pids {
        // Who has ended has no namespace.
        let Ok(file) = NamespaceFile::of_process(*pid) else { continue };
        if met.insert(file) {
            match Namespace::of_process(*pid) {
                Ok(namespace) => namespaces.push(namespace),
                Err(error) if error.kind() == io::ErrorKind::NotFound => drop(met.remove(&file)),
                Err(error) => return Err(CaptureError::Namespace(error)),
            }
        }
    }
    Ok(namespaces)
}

/// Every socket of the network namespace that the calling thread is in.
fn list() -> io::Result<Vec<Socket>> {
    let diag = Diag::open()?;
    let mut sockets = Vec::new();
    for transport in Transport::ALL {
        sockets.extend(diag.list(transport)?);
    }
    Ok(sockets)
}

/// Destroys what is wanted until none of it is left.
fn destroy(wanted: impl Fn(&Socket) -> bool) -> io::Result<usize> {
    let diag = Diag::open()?;
    let mut destroyed = 0;
    for _ in 0..ROUNDS_MAX {
        let mut sockets = list()?;
        sockets.retain(&wanted);
        if sockets.is_empty() {
            return Ok(destroyed);
        }
        for socket in sockets {
            destroyed += usize::from(diag.destroy(&socket)?);
        }
    }
    Err(io::Error::other("new connections come faster than they can be cut"))
}

/// What a descriptor is, unless it is of a kind that a capture need not govern or governs.
fn kind(open: &Descriptor, can_ask: bool) -> Option<HeldKind> {
    const ANONYMOUS: &str = "anon_inode:";
    match open.link.strip_prefix(ANONYMOUS).map(|name| name.trim_matches(['[', ']'])) {
        Some("io_uring") => return Some(HeldKind::IoUring),
        Some(name) => return name.starts_with("bpf").then_some(HeldKind::Bpf),
        None => {}
    }
    if open.link.starts_with("/dev/net/") || open.link.starts_with("/dev/tap") {
        return Some(HeldKind::Tunnel);
    }
    open.socket()?;
    match open.borrow() {
        Ok(socket) => kind_of_socket(&socket, can_ask),
        // It was closed in the meantime.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ESRCH | libc::EBADF)) => None,
        Err(_) => Some(HeldKind::Unknown),
    }
}

fn kind_of_socket(socket: &OwnedFd, can_ask: bool) -> Option<HeldKind> {
    match option(socket.as_fd(), libc::SO_DOMAIN) {
        Ok(libc::AF_UNIX | libc::AF_NETLINK) => None,
        Ok(libc::AF_INET | libc::AF_INET6) if can_ask => match refuses_mark(socket.as_fd()) {
            Ok(governed) => (!governed).then_some(HeldKind::Foreign),
            Err(_) => Some(HeldKind::Unknown),
        },
        Ok(libc::AF_INET | libc::AF_INET6) => Some(HeldKind::Unknown),
        Ok(family) => Some(HeldKind::Family(family)),
        Err(_) => Some(HeldKind::Unknown),
    }
}

/// Asks the kernel whether the capture governs a socket: its program refuses `SO_MARK`, to the daemon as well, by the
/// cgroup that the socket was made in. Where nothing refuses it, the socket is marked as it already was.
fn refuses_mark(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let mark = option(socket, libc::SO_MARK)?;
    let length = size_of_val(&mark) as libc::socklen_t;
    let value = (&raw const mark).cast();
    // SAFETY: reads `length` bytes of `mark`.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MARK, value, length) };
    match set {
        0 => Ok(false),
        _ => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::EPERM) => Ok(true),
            error => Err(error),
        },
    }
}

/// Whether a refused mark means anything: not where the kernel refuses it to this process on any socket.
fn can_ask() -> io::Result<bool> {
    let own = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(!refuses_mark(own.as_fd())?)
}

fn option(socket: BorrowedFd<'_>, name: libc::c_int) -> io::Result<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut length = size_of_val(&value) as libc::socklen_t;
    let place = (&raw mut value).cast();
    // SAFETY: writes at most `length` bytes into `value`.
    match unsafe { libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, place, &raw mut length) } {
        0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}
