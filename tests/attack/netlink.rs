//! Routing netlink, as far as the rig needs it to build a wire and an attacker to bend it. A guest has no `ip`.
//!
//! Source: `rtnetlink(7)`, `linux/if_link.h`, `linux/netfilter/nf_tables.h`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use nix::libc;

use crate::sys;

const REQUEST: u16 = (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
const MAKE: u16 = REQUEST | (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;

/// A message under way: its body grows by attributes.
struct Message {
    kind: u16,
    flags: u16,
    body: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        Self { kind, flags, body: header.to_vec() }
    }

    fn with(mut self, attribute: &[u8]) -> Self {
        self.body.extend_from_slice(attribute);
        self
    }

    /// Asks the kernel and waits for its acknowledgement.
    fn ask(&self) -> io::Result<()> {
        let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
        exchange(&socket, &self.bytes(1))
    }

    fn bytes(&self, sequence: u32) -> Vec<u8> {
        let length = (16 + self.body.len()) as u32;
        let (kind, flags) = (self.kind.to_ne_bytes(), self.flags.to_ne_bytes());
        [&length.to_ne_bytes()[..], &kind, &flags, &sequence.to_ne_bytes(), &[0; 4], &self.body].concat()
    }
}

/// Sends, and reads the first error or acknowledgement.
fn exchange(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    sys::patient(socket)?;
    sys::send(socket, bytes, 0)?;
    let mut answer = [0_u8; 1024];
    // SAFETY: a buffer as long as said.
    let length = unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    sys::checked(length as libc::c_long)?;
    let error = answer.get(16..20).and_then(|word| word.try_into().ok()).map_or(-libc::EPROTO, i32::from_ne_bytes);
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-error)) }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (4 + value.len()) as u16;
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn name(name: &str) -> Vec<u8> {
    attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat())
}

/// `struct ifinfomsg`.
fn link(index: u32, flags: i32) -> Vec<u8> {
    let flags = (flags as u32).to_ne_bytes();
    [&[0; 4][..], &index.to_ne_bytes(), &flags, &flags].concat()
}

/// Makes a cable between this network namespace and another.
pub fn add_veth(near: &str, far: &str, namespace: BorrowedFd<'_>) -> io::Result<()> {
    const VETH_INFO_PEER: u16 = 1;
    let peer_namespace = attribute(libc::IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
    let peer = attribute(VETH_INFO_PEER, &[link(0, 0), name(far), peer_namespace].concat());
    add_link(near, "veth", &attribute(libc::IFLA_INFO_DATA, &peer))
}

/// Makes a device and takes it away again.
pub fn try_device(device: &str) -> io::Result<()> {
    add_link(device, "veth", &[])?;
    let index = sys::interface(device)?;
    Message::new(libc::RTM_DELLINK, REQUEST, &link(index, 0)).ask()
}

/// Makes the hook `clsact` on a device, `tc(8)`, and takes it away again.
pub fn try_classes(device: &str) -> io::Result<()> {
    const HANDLE: u32 = 0xffff_0000;
    const PARENT: u32 = 0xffff_fff1;
    // `struct tcmsg`: family, device, handle, parent, information.
    let index = sys::interface(device)?;
    let header: Vec<u8> = [0, index, HANDLE, PARENT, 0].into_iter().flat_map(u32::to_ne_bytes).collect();
    Message::new(libc::RTM_NEWQDISC, MAKE, &header).with(&attribute(libc::TCA_KIND, b"clsact\0")).ask()?;
    Message::new(libc::RTM_DELQDISC, REQUEST, &header).ask()
}

fn add_link(device: &str, kind: &str, data: &[u8]) -> io::Result<()> {
    let info = [attribute(libc::IFLA_INFO_KIND, kind.as_bytes()), data.to_vec()].concat();
    Message::new(libc::RTM_NEWLINK, MAKE, &link(0, 0))
        .with(&name(device))
        .with(&attribute(libc::IFLA_LINKINFO, &info))
        .ask()
}

pub fn set_up(device: &str) -> io::Result<()> {
    Message::new(libc::RTM_NEWLINK, REQUEST, &link(sys::interface(device)?, libc::IFF_UP)).ask()
}

/// Gives a device an address; an IPv6 one is used at once, without detection of duplicates.
pub fn add_address(device: &str, address: IpAddr, prefix: u8) -> io::Result<()> {
    let (family, bytes) = match address {
        IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
    };
    let flags = if family == libc::AF_INET6 { libc::IFA_F_NODAD as u8 } else { 0 };
    let header = [&[family as u8, prefix, flags, 0][..], &sys::interface(device)?.to_ne_bytes()].concat();
    let message = Message::new(libc::RTM_NEWADDR, MAKE, &header);
    let message = message.with(&attribute(libc::IFA_LOCAL, &bytes)).with(&attribute(libc::IFA_ADDRESS, &bytes));
    let broadcast = attribute(libc::IFA_BROADCAST, &[198, 18, 0, 255]);
    if family == libc::AF_INET { message.with(&broadcast).ask() } else { message.ask() }
}

pub fn add_route(network: [u8; 4], prefix: u8, device: &str) -> io::Result<()> {
    route(libc::RTM_NEWROUTE, MAKE, libc::RT_TABLE_MAIN, network, prefix, device)
}

pub fn remove_route(network: [u8; 4], prefix: u8, device: &str) -> io::Result<()> {
    route(libc::RTM_DELROUTE, REQUEST, libc::RT_TABLE_MAIN, network, prefix, device)
}

/// A route in a table that is asked before that of local addresses.
pub fn prefer_route(host: [u8; 4], device: &str) -> io::Result<()> {
    route(libc::RTM_NEWROUTE, MAKE, EARLY_TABLE, host, 32, device)?;
    rule(libc::RTM_NEWRULE, MAKE, EARLY_TABLE, 5)?;
    // The rule of the local table stands first of all: another after ours, then that one goes.
    rule(libc::RTM_NEWRULE, MAKE, libc::RT_TABLE_LOCAL, 10)?;
    rule(libc::RTM_DELRULE, REQUEST, libc::RT_TABLE_LOCAL, 0)
}

pub fn forget_preferred_route(host: [u8; 4], device: &str) -> io::Result<()> {
    rule(libc::RTM_NEWRULE, MAKE, libc::RT_TABLE_LOCAL, 0)?;
    rule(libc::RTM_DELRULE, REQUEST, libc::RT_TABLE_LOCAL, 10)?;
    rule(libc::RTM_DELRULE, REQUEST, EARLY_TABLE, 5)?;
    route(libc::RTM_DELROUTE, REQUEST, EARLY_TABLE, host, 32, device)
}

const EARLY_TABLE: u8 = 77;

fn route(kind: u16, flags: u16, table: u8, network: [u8; 4], prefix: u8, device: &str) -> io::Result<()> {
    // `struct rtmsg`.
    let scope = libc::RT_SCOPE_LINK;
    let header = [libc::AF_INET as u8, prefix, 0, 0, table, libc::RTPROT_STATIC, scope, libc::RTN_UNICAST, 0, 0, 0, 0];
    let index = sys::interface(device)?.to_ne_bytes();
    Message::new(kind, flags, &header)
        .with(&attribute(libc::RTA_DST, &network))
        .with(&attribute(libc::RTA_OIF, &index))
        .ask()
}

/// `struct fib_rule_hdr`.
fn rule(kind: u16, flags: u16, table: u8, priority: u32) -> io::Result<()> {
    const FRA_PRIORITY: u16 = 6;
    const FR_ACT_TO_TBL: u8 = 1;
    let header = [libc::AF_INET as u8, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0, 0, 0, 0];
    Message::new(kind, flags, &header).with(&attribute(FRA_PRIORITY, &priority.to_ne_bytes())).ask()
}

/// Makes a table of nftables, in a batch as its subsystem wants it.
pub fn add_table(table: &str) -> io::Result<()> {
    const BATCH_BEGIN: u16 = 16;
    const BATCH_END: u16 = 17;
    const NEW_TABLE: u16 = 10 << 8;
    const NFTA_TABLE_NAME: u16 = 1;
    let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER)?;
    // `struct nfgenmsg`: family, version, and for the batch the subsystem.
    let batch = [0, 0, 0, 10];
    let name = attribute(NFTA_TABLE_NAME, &[table.as_bytes(), &[0]].concat());
    let flags = REQUEST | libc::NLM_F_CREATE as u16;
    let make = Message::new(NEW_TABLE, flags, &[2, 0, 0, 0]).with(&name);
    let begin = Message::new(BATCH_BEGIN, libc::NLM_F_REQUEST as u16, &batch).bytes(1);
    let end = Message::new(BATCH_END, libc::NLM_F_REQUEST as u16, &batch).bytes(3);
    exchange(&socket, &[begin, make.bytes(2), end].concat())
}

/// Where a packet without a better route goes.
pub fn add_default_route(device: &str) -> io::Result<()> {
    route(libc::RTM_NEWROUTE, MAKE, libc::RT_TABLE_MAIN, Ipv4Addr::UNSPECIFIED.octets(), 0, device)
}
