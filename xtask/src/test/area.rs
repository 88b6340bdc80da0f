//! Parts of the tests that make sense alone.

use crate::prerequisites::Need;

/// A part of the tests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Area {
    Unit,
    Laws,
    Sql,
    Record,
    Capture,
    Jail,
    Postgres,
    Http,
    Clients,
    Containers,
    Vm,
}

impl Area {
    /// All of them, those that answer soonest first.
    pub const ALL: [Self; 11] = [
        Self::Unit,
        Self::Laws,
        Self::Sql,
        Self::Record,
        Self::Capture,
        Self::Jail,
        Self::Postgres,
        Self::Http,
        Self::Clients,
        Self::Containers,
        Self::Vm,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Laws => "laws",
            Self::Sql => "sql",
            Self::Record => "record",
            Self::Capture => "capture",
            Self::Jail => "jail",
            Self::Postgres => "postgres",
            Self::Http => "http",
            Self::Clients => "clients",
            Self::Containers => "containers",
            Self::Vm => "vm",
        }
    }

    pub fn about(self) -> &'static str {
        match self {
            Self::Unit => "every package's own tests, apart from those below",
            Self::Laws => "the laws that every protocol's session obeys; a short fuzz run where nightly Rust is",
            Self::Sql => "SQL text to accesses and lineage",
            Self::Record => "recorder, verifier, and what a crash of the daemon leaves (root)",
            Self::Capture => "the kernel programs, the daemon around them and the attack table, on this kernel (root)",
            Self::Jail => "what a command can and cannot do under `portcullis run`, with ordinary tools (root)",
            Self::Postgres => "PostgreSQL through the gate, end to end, and releases 14 to 18 on the wire (root)",
            Self::Http => "HTTP through the gate, end to end: a real server, real clients (root)",
            Self::Clients => "clients, tools and a driver's own tests, directly and through the gate (root)",
            Self::Containers => "network namespaces and containers under the gate, and DNS in them (root)",
            Self::Vm => "capture on the newest distribution kernel in QEMU, with BPF LSM; `cargo xtask vm` has more",
        }
    }

    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    pub fn needs_root(self) -> bool {
        match self {
            Self::Unit | Self::Laws | Self::Sql | Self::Vm => false,
            Self::Record
            | Self::Capture
            | Self::Jail
            | Self::Postgres
            | Self::Http
            | Self::Clients
            | Self::Containers => true,
        }
    }

    pub fn needs(self) -> &'static [Need] {
        match self {
            Self::Laws | Self::Sql => &[Need::Build],
            Self::Unit | Self::Record | Self::Capture => &[Need::Build, Need::Postgres],
            Self::Jail => &[Need::Build, Need::Postgres, Need::Clients, Need::Tools],
            Self::Postgres => &[Need::Build, Need::Postgres, Need::Releases],
            Self::Http => &[Need::Build, Need::Postgres, Need::Web],
            Self::Clients => &[Need::Build, Need::Postgres, Need::Releases, Need::Clients],
            Self::Containers => &[Need::Build, Need::Postgres, Need::Containers],
            Self::Vm => &[Need::Build, Need::Vm],
        }
    }
}
