//! The attempts: each a small function, and what is expected of it in each place.

mod cgroup;
mod family;
mod host;
mod inbound;
mod kernel;
mod membership;
mod namespace;
pub mod needs;
mod packet;
mod passed;
mod process;
mod program;
mod raw;
mod tcp;
mod udp;
mod unix;
mod uring;

pub use needs::Needs;
pub use unix::queue_key;

use crate::{
    scene::Scene,
    sys::{Refused, Tried},
};

/// One way that a workload's process tries to be heard outside.
pub struct Attempt {
    pub name: &'static str,
    /// What it does, for people.
    pub about: &'static str,
    pub how: fn(&Scene) -> Tried,
    pub evidence: Evidence,
    pub entry: Entry,
    /// What would close it for an unprivileged process in a captured cgroup, where nothing does.
    pub open_in_cgroup: Option<Needs>,
    /// The same for root with all capabilities, where that is more.
    pub open_for_root: Option<Needs>,
    /// The same under `portcullis run`.
    pub open_in_jail: Option<Needs>,
    /// Whether it may be tried on a throw-away machine only.
    pub guest_only: bool,
    /// Whether root takes the guard away by it, so that it has to be put back.
    pub breaks: bool,
}

/// What counts as a leak.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Evidence {
    /// The marker was heard outside of the workload.
    Marker,
    /// The kernel agreed: what follows would be too harmful to do on a machine that is in use.
    Consent,
}

/// How the attacker comes into the workload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    /// It begins there.
    Started,
    /// With sockets made outside, as descriptors 10 to 12.
    WithSockets,
    /// With a connection to the far host as its standard input.
    WithConnectionAsInput,
    /// It makes sockets outside, and is moved in while it holds them.
    Moved,
    /// Others call it while it runs.
    Called,
    /// The daemon is killed when it has begun, and somebody outside listens on its port.
    Orphaned,
}

impl Attempt {
    const fn new(name: &'static str, about: &'static str, how: fn(&Scene) -> Tried) -> Self {
        Self {
            name,
            about,
            how,
            evidence: Evidence::Marker,
            entry: Entry::Started,
            open_in_cgroup: None,
            open_for_root: None,
            open_in_jail: None,
            guest_only: false,
            breaks: false,
        }
    }

    /// Root in a captured cgroup gets out; `what` would hold it.
    const fn root_needs(mut self, what: Needs) -> Self {
        self.open_for_root = Some(what);
        self
    }

    /// Anybody in a captured cgroup gets out; `what` would hold them.
    const fn needs(mut self, what: Needs) -> Self {
        self.open_in_cgroup = Some(what);
        self.open_for_root = Some(what);
        self
    }

    /// Even a jailed process gets out where the kernel lacks this.
    const fn jail_needs(mut self, what: Needs) -> Self {
        self.open_in_jail = Some(what);
        self
    }

    const fn by_consent(mut self) -> Self {
        self.evidence = Evidence::Consent;
        self
    }

    const fn entering(mut self, entry: Entry) -> Self {
        self.entry = entry;
        self
    }

    const fn breaking(mut self) -> Self {
        self.breaks = true;
        self
    }

    const fn in_guests(mut self) -> Self {
        self.guest_only = true;
        self
    }
}

const GROUPS: &[&[Attempt]] = &[
    tcp::ALL,
    host::ALL,
    udp::ALL,
    raw::ALL,
    family::ALL,
    packet::ALL,
    uring::ALL,
    membership::ALL,
    inbound::ALL,
    passed::ALL,
    unix::ALL,
    process::ALL,
    cgroup::ALL,
    namespace::ALL,
    kernel::ALL,
    // Last: whoever may, takes the guard away.
    program::ALL,
];

/// All of them, in the order in which they are tried.
pub fn all() -> impl Iterator<Item = &'static Attempt> {
    GROUPS.iter().copied().flatten()
}

pub fn find(name: &str) -> Option<&'static Attempt> {
    all().find(|attempt| attempt.name == name)
}

/// A plain connect to the far host with the marker: what follows an escape.
fn dial(scene: &Scene) -> Tried {
    tcp::dial(scene, scene.far())
}

/// That something is not there to be tried.
fn absent(step: &'static str) -> Refused {
    Refused { step, error: std::io::ErrorKind::Unsupported.into() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_plain() {
        let names: BTreeSet<_> = all().map(|attempt| attempt.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')));
    }

    #[test]
    fn what_is_open_for_anybody_is_open_for_root() {
        assert!(all().all(|attempt| attempt.open_in_cgroup.is_none() || attempt.open_for_root.is_some()));
    }
}
