//! Which addresses a name may stand for: an answer must not lead a workload, or the daemon after it, to this host.
//!
//! Whoever answers for an allowed name chooses its addresses ("DNS rebinding"). So a name leads to the public Internet,
//! and to the company's own networks where the configuration has spelled it out; to this host, its neighbours on the link
//! and the cloud's metadata only where the configuration says so.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hickory_proto::rr::Name;

use super::{Pattern, names};

/// Where the cloud tells machines who they are, with credentials: those that are no link's own addresses alone.
///
/// AWS (also of its containers), Alibaba, Azure, Oracle, Google.
const METADATA: [IpAddr; 9] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Where an address leads, by the address alone (the IANA's registries of special-purpose addresses, RFC 6890).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reach {
    Public,
    /// A network of somebody's own: RFC 1918, RFC 4193, RFC 6598, RFC 2544.
    Private,
    Loopback,
    Link,
    Metadata,
    /// Nobody, or everybody: unspecified, multicast, broadcast, reserved, tunnels whose other end cannot be told.
    Nobody,
}

/// Why a name may not stand for an address, and what says that it may.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Stray {
    #[error("a name under a wildcard may lead to a private network where `[dns] private` says so")]
    Private,
    #[error("it is this host's loopback, where a name may lead if `[dns] private` says so")]
    Loopback,
    #[error("it is the link's own, where a name may lead if `[dns] private` says so")]
    Link,
    #[error("it is this host's own, where a name may lead if `[dns] private` says so")]
    Own,
    #[error("it is a metadata service, where no name leads unless a target's `address` is that very address")]
    Metadata,
    #[error("it is nobody's address")]
    Nobody,
}

/// What the configuration says of where names lead.
#[derive(Clone, Debug, Default)]
pub struct Homes {
    private: Vec<Pattern>,
    /// Addresses that targets have by number.
    literal: HashSet<IpAddr>,
}

impl Homes {
    pub fn new<'a>(hosts: impl IntoIterator<Item = &'a str>, private: &[Pattern]) -> Self {
        let literal = hosts.into_iter().filter_map(|host| host.parse().ok()).map(|ip: IpAddr| ip.to_canonical());
        Self { private: private.to_vec(), literal: literal.collect() }
    }

    /// The same for a host name that is spelled out in the configuration, and that the daemon has resolved itself. Another
    /// target's literal address is no excuse: this one's credential would go there.
    pub fn judge_host(&self, host: &str, address: IpAddr, own: &HashSet<IpAddr>) -> Result<(), Stray> {
        let name = Name::from_ascii(host).map_err(|_| Stray::Nobody)?.to_lowercase();
        if names::is_localhost(&name) && reach(address.to_canonical()) == Reach::Loopback {
            return Ok(());
        }
        self.judge_name(&fully_qualified(name), false, address, own)
    }

    /// Whether a name may stand for an address; `wild`: a workload has chosen a part of it; `own`: this host's addresses.
    ///
    /// A workload may dial a target's literal address by itself, so that it may hear of it too.
    pub(super) fn judge(&self, name: &Name, wild: bool, address: IpAddr, own: &HashSet<IpAddr>) -> Result<(), Stray> {
        match self.judge_name(name, wild, address, own) {
            Err(Stray::Nobody) => Err(Stray::Nobody),
            Err(_) if self.literal.contains(&address.to_canonical()) => Ok(()),
            judged => judged,
        }
    }

    fn judge_name(&self, name: &Name, wild: bool, address: IpAddr, own: &HashSet<IpAddr>) -> Result<(), Stray> {
        let address = address.to_canonical();
        let inner = embedded(address).unwrap_or(address);
        let at_home = self.private.iter().any(|pattern| pattern.covers(name));
        match reach(inner) {
            Reach::Nobody => Err(Stray::Nobody),
            Reach::Metadata => Err(Stray::Metadata),
            Reach::Public | Reach::Private | Reach::Loopback | Reach::Link if at_home => Ok(()),
            Reach::Loopback => Err(Stray::Loopback),
            Reach::Link => Err(Stray::Link),
            Reach::Public | Reach::Private if own.contains(&inner) => Err(Stray::Own),
            Reach::Private if wild => Err(Stray::Private),
            Reach::Public | Reach::Private => Ok(()),
        }
    }
}

fn fully_qualified(mut name: Name) -> Name {
    name.set_fqdn(true);
    name
}

fn reach(address: IpAddr) -> Reach {
    if METADATA.contains(&address) {
        return Reach::Metadata;
    }
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

fn reach_v4(address: Ipv4Addr) -> Reach {
    match address.octets() {
        [0 | 224..=255, ..] => Reach::Nobody,
        [127, ..] => Reach::Loopback,
        [169, 254, ..] => Reach::Link,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Reach::Private,
        [198, 18 | 19, ..] | [192, 0, 0, _] => Reach::Private,
        [..] => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        // Unspecified and what is left of the addresses before it; Teredo, ORCHID, discard-only, multicast.
        [0, 0, 0, 0, ..] | [0x2001, 0, ..] | [0x0100, ..] | [0xff00..=0xffff, ..] => Reach::Nobody,
        [0xfe80..=0xfebf, ..] => Reach::Link,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Reach::Private,
        [..] => Reach::Public,
    }
}

/// The address of IPv4 that one of IPv6 leads to: NAT64's (RFC 6052), 6to4's (RFC 3056).
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    let joined = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)).into());
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => joined(high, low),
        [0x2002, high, low, ..] => joined(high, low),
        [..] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "203.0.113.9";

    fn homes() -> Homes {
        Homes::new(["db.internal", "127.0.0.7", "169.254.169.254"], &["*.home.example".parse().unwrap()])
    }

    fn judged(name: &str, wild: bool, address: &str) -> Result<(), Stray> {
        let own = HashSet::from([OWN.parse().unwrap()]);
        homes().judge(&Name::from_ascii(name).unwrap(), wild, address.parse().unwrap(), &own)
    }

    #[test]
    fn no_answer_leads_to_this_host_its_link_or_the_clouds_metadata() {
        for (address, stray) in [
            ("127.0.0.1", Stray::Loopback),
            ("127.255.255.254", Stray::Loopback),
            ("::1", Stray::Loopback),
            ("::ffff:127.0.0.1", Stray::Loopback),
            ("64:ff9b::7f00:1", Stray::Loopback),
            ("2002:7f00:1::", Stray::Loopback),
            ("0.0.0.0", Stray::Nobody),
            ("0.1.2.3", Stray::Nobody),
            ("::", Stray::Nobody),
            ("::7f00:1", Stray::Nobody),
            ("224.0.0.251", Stray::Nobody),
            ("255.255.255.255", Stray::Nobody),
            ("240.0.0.1", Stray::Nobody),
            ("ff02::1", Stray::Nobody),
            ("2001::1", Stray::Nobody),
            ("169.254.1.1", Stray::Link),
            ("fe80::1", Stray::Link),
            ("169.254.170.2", Stray::Metadata),
            ("fd00:ec2::254", Stray::Metadata),
            ("64:ff9b::a9fe:aa02", Stray::Metadata),
            ("100.100.100.200", Stray::Metadata),
            (OWN, Stray::Own),
            ("::ffff:203.0.113.9", Stray::Own),
        ] {
            for wild in [false, true] {
                assert_eq!(judged("db.internal.", wild, address), Err(stray), "{address}");
            }
        }
    }

    #[test]
    fn a_private_network_is_for_names_that_somebody_has_spelled_out() {
        for address in ["10.0.3.7", "172.16.0.1", "172.31.255.1", "192.168.1.1", "100.64.0.1", "fd12::1", "fec0::1"] {
            assert_eq!(judged("db.internal.", false, address), Ok(()), "{address}");
            assert_eq!(judged("any.example.", true, address), Err(Stray::Private), "{address}");
            assert_eq!(judged("any.home.example.", true, address), Ok(()), "{address}");
        }
        for address in ["192.0.2.99", "172.32.0.1", "8.8.8.8", "2606:4700::1"] {
            assert_eq!(judged("any.example.", true, address), Ok(()), "{address}");
        }
    }

    #[test]
    fn a_name_that_lives_here_may_say_so_but_never_that_it_is_the_cloud() {
        for address in ["127.0.0.1", "::1", "fe80::1", "169.254.1.1", OWN] {
            assert_eq!(judged("any.home.example.", true, address), Ok(()), "{address}");
        }
        assert_eq!(judged("any.home.example.", true, "169.254.170.2"), Err(Stray::Metadata));
        assert_eq!(judged("any.home.example.", true, "0.0.0.0"), Err(Stray::Nobody));
        assert_eq!(judged("home.example.", true, "127.0.0.1"), Err(Stray::Loopback));
    }

    #[test]
    fn a_host_that_the_daemon_resolves_itself_is_judged_alike() {
        let judged = |host: &str, address: &str| {
            homes().judge_host(host, address.parse().unwrap(), &HashSet::from([OWN.parse().unwrap()]))
        };
        for host in ["localhost", "app.LOCALHOST."] {
            assert_eq!(judged(host, "127.0.0.1"), Ok(()));
            assert_eq!(judged(host, "169.254.1.1"), Err(Stray::Link), "that name is the loopback's alone");
        }
        assert_eq!(judged("db.internal", "127.0.0.1"), Err(Stray::Loopback));
        assert_eq!(judged("db.internal", "127.0.0.7"), Err(Stray::Loopback), "though it is another target's address");
        assert_eq!(judged("db.internal", OWN), Err(Stray::Own));
        assert_eq!(judged("db.internal", "10.0.3.7"), Ok(()));
        assert_eq!(judged("DB.home.example", "127.0.0.1"), Ok(()));
    }

    #[test]
    fn an_address_that_a_target_has_by_number_is_no_surprise() {
        assert_eq!(judged("db.internal.", false, "127.0.0.7"), Ok(()));
        assert_eq!(judged("db.internal.", false, "::ffff:127.0.0.7"), Ok(()));
        assert_eq!(judged("db.internal.", false, "169.254.169.254"), Ok(()));
        assert_eq!(judged("db.internal.", false, "127.0.0.8"), Err(Stray::Loopback));
    }
}
