//! What capture is made of: each layer closes ways out that the others leave open.

use std::{fmt, str::FromStr};

use serde::Serialize;

use super::{
    bpf::AttachType,
    kernel::{self, Release},
};

/// A program by its name in the object, and its attach point.
pub(super) type Entry = (&'static str, AttachType);

/// A layer, in the order of attachment: the floor first, so that a load that stops half-way refuses.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    Egress,
    Ingress,
    Connect,
    Datagram,
    Socket,
    Bind,
    Option,
    Peer,
    Origin,
    Unix,
}

/// Which cgroup programs are attached to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scope {
    /// Workloads of `portcullis run`: their mount namespace decides which Unix sockets they can name.
    Runs,
    /// A cgroup that somebody else manages.
    Existing,
    /// The daemon's own.
    Daemon,
}

impl Layer {
    pub const ALL: [Self; 10] = [
        Self::Egress,
        Self::Ingress,
        Self::Connect,
        Self::Datagram,
        Self::Socket,
        Self::Bind,
        Self::Option,
        Self::Peer,
        Self::Origin,
        Self::Unix,
    ];

    /// As the configuration and people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
            Self::Connect => "connect",
            Self::Datagram => "datagram",
            Self::Socket => "socket",
            Self::Bind => "bind",
            Self::Option => "option",
            Self::Peer => "peer",
            Self::Origin => "origin",
            Self::Unix => "unix",
        }
    }

    /// What it does.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Egress => "drops every packet that leads elsewhere than to the daemon",
            Self::Ingress => "drops every packet that comes from elsewhere than the daemon",
            Self::Connect => "sends each connect to the daemon",
            Self::Datagram => "sends DNS to the daemon, and refuses every other datagram",
            Self::Socket => "refuses sockets that are neither TCP nor UDP",
            Self::Bind => "keeps the daemon's port from workloads",
            Self::Option => "refuses socket options that steer packets",
            Self::Peer => "tells a workload the address that it dialled",
            Self::Origin => "tells the daemon who connected, and where to",
            Self::Unix => "refuses Unix sockets that are not allowed by name, to processes without a jail",
        }
    }

    /// What is lost without it.
    pub fn lost(self) -> &'static str {
        match self {
            Self::Egress => "datagrams, raw sockets and chosen interfaces lead out",
            Self::Ingress => "a workload that listens is reached by whatever egress lets it answer",
            Self::Connect => "nothing reaches the daemon",
            Self::Datagram => "names cannot be resolved, and refused datagrams hang instead of failing",
            Self::Socket => "raw packets and other protocols are held by the egress layer alone",
            Self::Bind => "a workload can take the daemon's port while it is down, and hear what others say",
            Self::Option => "group membership reports leave the host, about 28 bits each",
            Self::Peer => "a workload sees the daemon's address as its peer",
            Self::Origin => "the daemon knows nobody, and refuses everything",
            Self::Unix => {
                "processes without a jail reach every Unix socket that file permissions let them, docker.sock \
                           and ssh-agent among them"
            }
        }
    }

    /// The first release of Linux that has it.
    pub(super) fn since(self) -> Release {
        match self {
            Self::Egress
            | Self::Ingress
            | Self::Connect
            | Self::Datagram
            | Self::Socket
            | Self::Bind
            | Self::Option
            | Self::Peer
            | Self::Origin => kernel::RELEASE_MIN,
            Self::Unix => (6, 7),
        }
    }

    /// What to do where it is missing.
    pub fn remedy(self) -> String {
        let (major, minor) = self.since();
        match self.is_essential() {
            true => format!("run Linux {major}.{minor} or newer"),
            false => format!(
                "run Linux {major}.{minor} or newer, or go without it by `allow_missing = [\"{self}\"]` under `[capture]`"
            ),
        }
    }

    /// Whether nothing is captured without it, so that the configuration cannot allow its absence.
    pub fn is_essential(self) -> bool {
        match self {
            Self::Egress | Self::Connect | Self::Origin => true,
            Self::Ingress | Self::Datagram | Self::Socket | Self::Bind | Self::Option | Self::Peer | Self::Unix => {
                false
            }
        }
    }

    /// Whether such cgroups need it, and the configuration does not allow it to be missing.
    pub(super) fn is_required(self, scopes: &[Scope], allowed: &[Self]) -> bool {
        let is_allowed = allowed.contains(&self) && !self.is_essential();
        !is_allowed && scopes.iter().any(|scope| !self.programs(*scope).is_empty())
    }

    /// Its programs on such a cgroup.
    pub(super) fn programs(self, scope: Scope) -> &'static [Entry] {
        match (scope, self) {
            (Scope::Daemon, Self::Origin) => &[("flow_in", AttachType::SockOps)],
            (Scope::Daemon, _) | (Scope::Runs, Self::Unix) => &[],
            (Scope::Runs | Scope::Existing, Self::Egress) => &[("egress", AttachType::Egress)],
            (Scope::Runs | Scope::Existing, Self::Ingress) => &[("ingress", AttachType::Ingress)],
            (Scope::Runs | Scope::Existing, Self::Connect) => {
                &[("connect4", AttachType::Connect4), ("connect6", AttachType::Connect6)]
            }
            (Scope::Runs | Scope::Existing, Self::Datagram) => &[
                ("sendmsg4", AttachType::Sendmsg4),
                ("sendmsg6", AttachType::Sendmsg6),
                ("recvmsg4", AttachType::Recvmsg4),
                ("recvmsg6", AttachType::Recvmsg6),
            ],
            (Scope::Runs | Scope::Existing, Self::Socket) => &[("sock_create", AttachType::SockCreate)],
            (Scope::Runs | Scope::Existing, Self::Bind) => {
                &[("bind4", AttachType::Bind4), ("bind6", AttachType::Bind6)]
            }
            (Scope::Runs | Scope::Existing, Self::Option) => &[("setsockopt", AttachType::Setsockopt)],
            (Scope::Runs | Scope::Existing, Self::Peer) => {
                &[("getpeername4", AttachType::Getpeername4), ("getpeername6", AttachType::Getpeername6)]
            }
            (Scope::Runs | Scope::Existing, Self::Origin) => &[("flow_out", AttachType::SockOps)],
            (Scope::Existing, Self::Unix) => {
                &[("unix_connect", AttachType::UnixConnect), ("unix_sendmsg", AttachType::UnixSendmsg)]
            }
        }
    }

    /// All of its programs.
    pub(super) fn all_programs(self) -> impl Iterator<Item = Entry> {
        self.programs(Scope::Existing).iter().chain(self.programs(Scope::Daemon)).copied()
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no layer of this name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnknownLayer;

impl FromStr for Layer {
    type Err = UnknownLayer;

    fn from_str(name: &str) -> Result<Self, UnknownLayer> {
        Self::ALL.into_iter().find(|layer| layer.name() == name).ok_or(UnknownLayer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_comes_first() {
        assert_eq!(Layer::ALL.first(), Some(&Layer::Egress));
        assert!(Layer::ALL.is_sorted());
    }

    #[test]
    fn a_jail_goes_without_unix_hooks_and_without_nothing_else() {
        for layer in Layer::ALL {
            let (runs, existing) = (layer.programs(Scope::Runs), layer.programs(Scope::Existing));
            assert_eq!(runs == existing, layer != Layer::Unix, "{layer}");
        }
    }

    #[test]
    fn a_missing_layer_is_required_where_it_is_promised() {
        let (runs, everywhere) = ([Scope::Runs, Scope::Daemon], [Scope::Runs, Scope::Existing]);
        assert!(!Layer::Unix.is_required(&runs, &[]), "a jail needs none");
        assert!(Layer::Unix.is_required(&everywhere, &[]));
        assert!(!Layer::Unix.is_required(&everywhere, &[Layer::Unix]));
        assert!(Layer::Option.is_required(&runs, &[Layer::Unix]));
        for layer in Layer::ALL.into_iter().filter(|layer| layer.is_essential()) {
            assert!(layer.is_required(&runs, &Layer::ALL), "{layer}");
        }
    }

    #[test]
    fn a_name_is_read_back() {
        for layer in Layer::ALL {
            assert_eq!(layer.name().parse(), Ok(layer));
        }
        assert_eq!("lsm2".parse::<Layer>(), Err(UnknownLayer));
    }
}
