//! What an attacker is told of its surroundings. An attack that needs luck or a search proves nothing by failing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The near end of the wire, in the namespace that plays the host. RFC 2544 and RFC 3849: networks for tests.
pub const NEAR_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
pub const NEAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x18, 0, 0, 0, 0, 1);
/// Another host, at the far end: everything that arrives there is heard.
pub const FAR_V4: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
pub const FAR_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x18, 0, 0, 0, 0, 2);
/// The host's resolver, also at the far end.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 53);
/// The wire's device in the host's namespace.
pub const DEVICE: &str = "near0";
/// Its peer.
pub const FAR_DEVICE: &str = "far0";

/// Descriptors that an attacker is started with, made outside of the workload.
pub const INHERITED_TCP: i32 = 10;
pub const INHERITED_UDP: i32 = 11;
pub const INHERITED_ESTABLISHED: i32 = 12;

#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// What must not be heard.
    pub marker: String,
    /// Where listeners of this one attempt are, on the far host and on this one.
    pub port: u16,
    pub daemon_port: u16,
    /// The daemon's control socket.
    pub control: String,
    /// Sockets of processes outside.
    pub directory: String,
    /// What abstract names begin with.
    pub instance: String,
    /// A process outside of the same user, a descriptor of its that leads to the far host, and memory that it reads.
    pub victim: i32,
    pub victim_descriptor: i32,
    pub victim_memory: u64,
    /// A cgroup that is not governed.
    pub free_cgroup: String,
    /// The attacker's own cgroup, where it is not in a jail.
    pub own_cgroup: String,
    /// A file of the far host's network namespace.
    pub far_namespace: String,
    /// Where the links of the attacker's cgroup are pinned.
    pub links: String,
    /// Where the maps of all programs are pinned.
    pub maps: String,
    /// Where a process outside serves a file system.
    pub served: String,
    /// Whether this is a throw-away machine, on which anything may be tried.
    pub guest: bool,
    /// Whether the attacker is governed; one that is free takes nobody's guard away.
    pub governed: bool,
}

impl Scene {
    pub fn far(&self) -> SocketAddr {
        SocketAddr::new(FAR_V4.into(), self.port)
    }

    pub fn far6(&self) -> SocketAddr {
        SocketAddr::new(FAR_V6.into(), self.port)
    }

    /// The far host's IPv4 address as an IPv6 socket says it.
    pub fn far_mapped(&self) -> SocketAddr {
        SocketAddr::new(FAR_V4.to_ipv6_mapped().into(), self.port)
    }

    pub fn on(&self, host: impl Into<IpAddr>) -> SocketAddr {
        SocketAddr::new(host.into(), self.port)
    }

    pub fn marker(&self) -> &[u8] {
        self.marker.as_bytes()
    }

    /// A multicast group that nobody else joins.
    pub fn group(&self) -> Ipv4Addr {
        let [high, low] = self.port.to_be_bytes();
        Ipv4Addr::new(239, 195, high, low)
    }

    pub fn group6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xff0e, 0, 0, 0, 0, 0, 0xc3c3, self.port)
    }

    /// A socket of a process outside.
    pub fn door(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    pub fn abstract_door(&self, name: &str) -> String {
        format!("@{}-{name}", self.instance)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "marker": self.marker, "port": self.port, "daemon_port": self.daemon_port, "directory": self.directory,
            "control": self.control,
            "instance": self.instance, "victim": self.victim, "victim_descriptor": self.victim_descriptor,
            "victim_memory": self.victim_memory, "free_cgroup": self.free_cgroup, "own_cgroup": self.own_cgroup,
            "far_namespace": self.far_namespace, "links": self.links, "maps": self.maps,
            "served": self.served, "guest": self.guest,
            "governed": self.governed,
        })
    }

    pub fn from_json(text: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let word = |key: &str| -> Result<String> {
            Ok(value.get(key).and_then(Value::as_str).with_context(|| format!("no `{key}`"))?.to_owned())
        };
        let number = |key: &str| value.get(key).and_then(Value::as_u64).with_context(|| format!("no `{key}`"));
        let truth = |key: &str| value.get(key).and_then(Value::as_bool).with_context(|| format!("no `{key}`"));
        Ok(Self {
            marker: word("marker")?,
            port: number("port")?.try_into()?,
            daemon_port: number("daemon_port")?.try_into()?,
            control: word("control")?,
            directory: word("directory")?,
            instance: word("instance")?,
            victim: number("victim")?.try_into()?,
            victim_descriptor: number("victim_descriptor")?.try_into()?,
            victim_memory: number("victim_memory")?,
            free_cgroup: word("free_cgroup")?,
            own_cgroup: word("own_cgroup")?,
            far_namespace: word("far_namespace")?,
            links: word("links")?,
            maps: word("maps")?,
            served: word("served")?,
            guest: truth("guest")?,
            governed: truth("governed")?,
        })
    }
}
