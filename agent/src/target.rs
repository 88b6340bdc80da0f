//! A place that workloads dial, by the name that policy uses.

mod socket_path;

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

pub use socket_path::{SOCKET_PATH_MAX, SocketPath, SocketPathError};

/// A data class such as `email` or `credit_card`: what policy masks by.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Class(pub Arc<str>);

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Class {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

/// A configured destination.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: Arc<str>,
    /// The registered protocol's name; the bytes must agree with it.
    pub protocol: Arc<str>,
    /// What workloads dial.
    pub addresses: Vec<Address>,
    /// Where the daemon dials; `None`: where the workload did.
    pub upstream: Option<Address>,
    /// `Off` wherever a Unix socket is dialled.
    pub tls: Verify,
    /// The name of a configured credential.
    pub credential: Option<Arc<str>>,
    pub labels: BTreeMap<String, String>,
    /// Data classes by column, written `schema.table.column`.
    pub classes: BTreeMap<ColumnName, Vec<Class>>,
    /// Data classes of what stands in message bodies, by path: `/customers/*/ssn`.
    pub paths: BTreeMap<String, Vec<Class>>,
}

impl Target {
    /// The name that stands for "no target is declared there"; configured names cannot hold parentheses.
    pub const UNDECLARED: &str = "(undeclared)";

    pub fn is_declared(&self) -> bool {
        *self.name != *Self::UNDECLARED
    }

    /// The label `environment`, or `unknown`.
    pub fn environment(&self) -> &str {
        self.labels.get("environment").map_or("unknown", String::as_str)
    }
}

/// A column by its full name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ColumnName {
    pub schema: String,
    pub table: String,
    pub column: String,
}

/// A place that is dialled, as the configuration names it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Address {
    Tcp(HostPort),
    Unix(SocketPath),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(place) => place.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}

/// A host name or address, and a port.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// How the upstream's certificate is verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verify {
    /// Chain and host name, against `ca` or the system's roots.
    Full { ca: Option<PathBuf> },
    /// Certificate chain only, against `ca`: for servers whose certificate names another host.
    Ca { ca: PathBuf },
    /// No TLS upstream at all: for servers on this host.
    Off,
}

/// Where the workload wanted to go, as the kernel kept it. Never taken from the wire.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum OriginalDestination {
    Tcp(SocketAddr),
    /// The path that the doorway stands for.
    Unix(SocketPath),
}

impl OriginalDestination {
    /// The address; `None` for Unix sockets.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }

    /// The port; `None` for Unix sockets.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(address) => Some(address.port()),
            Self::Unix(_) => None,
        }
    }

    pub fn is_unix(&self) -> bool {
        matches!(self, Self::Unix(_))
    }
}

impl fmt::Display for OriginalDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.fmt(f),
        }
    }
}
