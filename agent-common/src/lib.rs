//! What the kernel side and the daemon say to each other: keys and values of the maps that they share.
//!
//! Every type here is `repr(C)` without implicit padding. A change to one of them changes [`LAYOUT`], so that
//! a newer daemon never reads the maps of an older one.

#![no_std]

/// The version of the maps' layout; it stands in the path under which maps are pinned.
pub const LAYOUT: u32 = 5;

/// Most connections that are between their SYN and their accept at one moment.
pub const FLOWS_MAX: usize = 65_536;

/// Most datagrams to the daemon whose origin is kept at one moment.
pub const DATAGRAMS_MAX: usize = 16_384;

/// Most network namespaces whose sockets may be captured.
pub const NAMESPACES_MAX: usize = 1024;

/// Bytes of the buffer in which refused attempts wait for the daemon.
pub const ATTEMPTS_BYTES: usize = 256 * 1024;

/// Most bursts of refused attempts that are told apart at one moment.
pub const BURSTS_MAX: usize = 8192;

/// How long a refusal that happens again is the same burst, in nanoseconds.
pub const BURST_NANOSECONDS: u64 = 1_000_000_000;

/// Most attempts that are told of one cgroup in one second; the others are counted as lost.
pub const ATTEMPTS_PER_SECOND_MAX: u64 = 100;

/// Most cgroups whose attempts are counted at one moment.
pub const SPENDERS_MAX: usize = 4096;

/// Most cgroups that are governed, counting the one of all workloads as one.
pub const GOVERNED_MAX: usize = 8192;

/// Deepest level of a governed cgroup below the mount of cgroup v2, which is level 0.
pub const GOVERNED_LEVEL_MAX: u32 = 15;

/// The port of DNS: datagrams to it go to the daemon, as every TCP connect does.
pub const DNS_PORT: u16 = 53;

/// The `SO_PRIORITY` of what the daemon listens on. Whoever gives a socket more than 6 needs `CAP_NET_ADMIN` or
/// `CAP_NET_RAW` over its network namespace (socket(7)): no other user makes one. The loopback has no queue to sort.
pub const LISTENER_PRIORITY: u32 = 0x5043_0001;

/// The index that the loopback interface has in every network namespace.
pub const LOOPBACK_INDEX: u32 = 1;

/// An IPv6 address in network order; IPv4 is written as `::ffff:a.b.c.d`.
pub type Address = [u8; 16];

/// `127.0.0.1` as an [`Address`].
pub const LOOPBACK_V4: Address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1];

/// `::1` as an [`Address`].
pub const LOOPBACK_V6: Address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

/// Longest name of a Unix socket in bytes: `sun_path` of `struct sockaddr_un` (unix(7)).
pub const UNIX_PATH_MAX: usize = 108;

/// Most names of Unix sockets that workloads may dial.
pub const UNIX_ALLOWED_MAX: usize = 256;

/// The name of a Unix socket. Its alignment lets the kernel side copy it by words.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixName {
    /// Padded by zeros. An abstract name begins with a zero.
    pub bytes: [u8; UNIX_PATH_MAX],
    /// Of an abstract name the zeros at its end are part; of a path, the zero behind it is not.
    pub length: u32,
}

impl UnixName {
    /// That of no socket.
    pub const NONE: Self = Self { bytes: [0; UNIX_PATH_MAX], length: 0 };
}

/// Whom the loopback of a captured network namespace leads to.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loopback {
    /// Services that no workload may reach but through the daemon.
    Shared = 1,
    /// Nobody but the one workload that lives there, and the daemon.
    Private = 2,
}

/// What the daemon tells the programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// Where the daemon listens, on `127.0.0.1` and `::1`, in host order. Zero refuses every connect.
    pub port: u16,
    /// Zero when the daemon does not listen on `::1`: IPv6 connects are then refused.
    pub ipv6: u8,
    pub reserved: u8,
}

/// Who connected, and where to: written in the context of the connecting process.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Origin {
    pub address: Address,
    pub netns_cookie: u64,
    /// The cgroup of the connecting process.
    pub cgroup_id: u64,
    /// Nanoseconds since boot, sleep included.
    pub connected_at: u64,
    /// Thread group id in the initial PID namespace.
    pub pid: u32,
    pub uid: u32,
    /// Host order.
    pub port: u16,
    pub reserved: [u8; 6],
}

/// A connection or a datagram under way, by its source: unique while the port is held.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Flow {
    pub address: Address,
    pub netns_cookie: u64,
    /// Host order.
    pub port: u32,
    /// Of a datagram, the identifier of the DNS message (RFC 1035, section 4.1.1): one socket may ask many servers at
    /// once, and a port changes hands sooner than the daemon reads. Zero of a connection.
    pub query: u32,
}

/// An attempt that a program refused.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// Who, where to, and when: zeros for what the program could not know. Programs on packets run at a time when no
    /// process does; they tell the process that connected the socket, or none.
    pub origin: Origin,
    /// The process's name, as `/proc/PID/comm`; zeros where no process is known.
    pub comm: [u8; 16],
    /// A [`Refusal`].
    pub refusal: u32,
    /// Of IP. Of [`Refusal::Option`], the option's level, and the origin's port is the option's number.
    pub protocol: u32,
    /// How often the same was refused in the burst before this one without being told.
    pub repeated: u64,
    /// Of [`Refusal::Unix`], the name that was dialled; zeros otherwise.
    pub name: UnixName,
}

/// What makes refused attempts one burst.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Burst {
    pub address: Address,
    pub cgroup_id: u64,
    pub pid: u32,
    pub refusal: u32,
    pub protocol: u32,
    pub port: u32,
}

/// What is counted within a time: the moment of its beginning, in nanoseconds since boot, and how often since.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tally {
    pub since: u64,
    pub count: u64,
}

/// Whose processes a governed cgroup has.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Governed {
    /// Each child is a workload of its own, and was started in a jail.
    Runs = 1,
    /// It is one workload, which somebody else started.
    Existing = 2,
}

/// Where fields are in this kernel's structures, in bytes: from its BTF, by the names beside them.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Fields {
    /// `socket.sk`
    pub socket_sock: u32,
    /// `sock.__sk_common.skc_family`
    pub sock_family: u32,
    /// `sock.sk_cgrp_data.cgroup`
    pub sock_cgroup: u32,
    /// `unix_sock.addr`
    pub unix_address: u32,
    /// `unix_address.len`
    pub unix_length: u32,
    /// `unix_address.name`
    pub unix_name: u32,
    /// `task_struct.cgroups`
    pub task_set: u32,
    /// `css_set.dfl_cgrp`
    pub set_cgroup: u32,
    /// `cgroup.level`
    pub cgroup_level: u32,
    /// `cgroup.ancestors` (pointers) or `cgroup.ancestor_ids` (numbers)
    pub cgroup_ancestors: u32,
    /// Whether the ancestors are numbers, as they were before Linux 6.1.
    pub ancestors_are_ids: u32,
    /// `cgroup.kn`
    pub cgroup_node: u32,
    /// `kernfs_node.id`
    pub node_id: u32,
    /// `file.f_inode`
    pub file_inode: u32,
    /// `file.private_data`
    pub file_data: u32,
    /// `inode.i_sb`
    pub inode_superblock: u32,
    /// `inode.i_mode`
    pub inode_mode: u32,
    /// `inode.i_rdev`
    pub inode_device: u32,
    /// `super_block.s_magic`
    pub superblock_magic: u32,
    /// `vfsmount.mnt_sb`
    pub mount_superblock: u32,
}

/// A security hook; of [`Refusal::Hook`], the attempt's protocol.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    SocketCreate = 1,
    SocketConnect = 2,
    SocketSendmsg = 3,
    SocketSetsockopt = 4,
    UnixStreamConnect = 5,
    UnixMaySend = 6,
    FileReceive = 7,
    FileOpen = 8,
    InodePermission = 9,
    SbUmount = 10,
    PtraceAccessCheck = 11,
    TaskKill = 12,
    Bpf = 13,
    KeyAlloc = 14,
}

/// Why a program refused; the index into the map of counters.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// A connect from a network namespace that is not captured.
    Namespace = 0,
    /// A connect by a protocol that cannot be captured.
    Connect = 1,
    /// A connect to the daemon's own listener.
    Loop = 2,
    /// A datagram to anything but DNS.
    Datagram = 3,
    /// A socket of a type or protocol that cannot be captured.
    Socket = 4,
    /// A bind of the daemon's port.
    Bind = 5,
    /// A socket option that steers packets around the capture.
    Option = 6,
    /// A packet that no other program had stopped.
    Packet = 7,
    /// A packet from anywhere but the daemon.
    Inbound = 8,
    /// A Unix socket that is not allowed by its name.
    Unix = 9,
    /// What a security hook refused; the attempt's protocol is a [`Hook`].
    Hook = 10,
    /// A connect while somebody else has taken the daemon's port.
    Listener = 11,
}

impl Refusal {
    pub const ALL: [Self; 12] = [
        Self::Namespace,
        Self::Connect,
        Self::Loop,
        Self::Datagram,
        Self::Socket,
        Self::Bind,
        Self::Option,
        Self::Packet,
        Self::Inbound,
        Self::Unix,
        Self::Hook,
        Self::Listener,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Connect => "connect",
            Self::Loop => "loop",
            Self::Datagram => "datagram",
            Self::Socket => "socket",
            Self::Bind => "bind",
            Self::Option => "option",
            Self::Packet => "packet",
            Self::Inbound => "inbound",
            Self::Unix => "unix",
            Self::Hook => "hook",
            Self::Listener => "listener",
        }
    }
}

#[cfg(feature = "user")]
mod user {
    // SAFETY: `repr(C)`, integers only, no implicit padding.
    unsafe impl aya::Pod for super::Settings {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Origin {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Flow {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::UnixName {}
    // SAFETY: as above.
    unsafe impl aya::Pod for super::Fields {}
}
