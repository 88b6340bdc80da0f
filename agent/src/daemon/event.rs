//! What the host's record tells.

use std::time::Duration;

use crate::control::Peer;

/// Something that befell the daemon or the capture, or that somebody changed.
#[derive(Clone, Debug)]
pub enum Event {
    Started {
        version: String,
        pid: u32,
        instance: String,
    },
    Stopping,
    /// A record grew long.
    ContinuedIn {
        record: String,
    },
    ContinuationOf {
        record: String,
    },
    /// The record could not take these.
    Missed {
        events: u64,
    },
    Enrolled {
        workload: String,
        cgroup: String,
        owner: String,
        by: Peer,
    },
    Released {
        workload: String,
        cgroup: String,
    },
    /// Connections that a tree held when it was captured were destroyed.
    Cut {
        cgroup: String,
        connections: usize,
    },
    /// A tree that somebody else started has nothing that its capture cannot hold, or it was accepted.
    Fit {
        workload: String,
        cgroup: String,
    },
    /// Nothing of it passes any more.
    Unfit {
        workload: String,
        cgroup: String,
        reason: String,
        sessions: usize,
    },
    /// A canary was captured: the first time, after a closure, and then now and again.
    Proven {
        tree: String,
    },
    /// Nothing is known, because a canary could not be sent or did not come back.
    Unproven {
        tree: String,
        reason: String,
    },
    Closed {
        tree: String,
        reason: String,
        sessions: usize,
    },
    Reopened {
        tree: String,
        after: Duration,
    },
    ReattachFailed {
        tree: String,
        reason: String,
    },
    /// The kernel refused what a process tried. One for each burst.
    Attempt {
        workload: String,
        refusal: &'static str,
        protocol: String,
        destination: String,
        process: Suspect,
        /// How often the same was refused in the burst before.
        repeated: u64,
    },
    /// Attempts of a workload beyond those that are told one by one.
    MoreAttempts {
        workload: String,
        refusal: &'static str,
        count: u64,
    },
    /// A workload asked for a name that it may not ask, or that led where it may not.
    NameRefused {
        workload: String,
        name: String,
        kind: String,
        why: String,
    },
    /// A workload asked for a name, and was answered. Told once for the same answer, then how often it came again.
    NameAnswered {
        workload: String,
        name: String,
        kind: String,
        answer: String,
        again: u64,
    },
    /// Attempts that the kernel could not tell of, or too many names at once.
    LostAttempts {
        count: u64,
    },
    /// A governed process spoke to the control socket.
    ControlRefused {
        by: Peer,
    },
    /// Somebody changed something, or tried to.
    Command {
        command: String,
        done: bool,
        by: Peer,
    },
    Policy {
        generation: u64,
    },
    /// Another daemon takes over from this one.
    HandingOver {
        to: Peer,
    },
    /// This daemon took over from another.
    TookOver {
        from: u32,
        sockets: usize,
    },
    /// The daemon that was to take over did not come up.
    Resumed {
        reason: String,
    },
}

/// The process of an attempt, as the kernel saw it.
#[derive(Clone, Debug)]
pub struct Suspect {
    pub pid: u32,
    pub uid: u32,
    pub command: String,
    pub cgroup: String,
}

impl Event {
    /// Part of the record: it never changes its meaning.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Stopping => "stopping",
            Self::ContinuedIn { .. } => "continued in",
            Self::ContinuationOf { .. } => "continuation of",
            Self::Missed { .. } => "missed",
            Self::Enrolled { .. } => "enrolled",
            Self::Released { .. } => "released",
            Self::Cut { .. } => "cut",
            Self::Fit { .. } => "fit",
            Self::Unfit { .. } => "unfit",
            Self::Proven { .. } => "proven",
            Self::Unproven { .. } => "unproven",
            Self::Closed { .. } => "closed",
            Self::Reopened { .. } => "reopened",
            Self::ReattachFailed { .. } => "reattach failed",
            Self::Attempt { .. } => "attempt",
            Self::MoreAttempts { .. } => "more attempts",
            Self::NameRefused { .. } => "name refused",
            Self::NameAnswered { .. } => "name answered",
            Self::LostAttempts { .. } => "lost attempts",
            Self::ControlRefused { .. } => "control refused",
            Self::Command { .. } => "command",
            Self::Policy { .. } => "policy",
            Self::HandingOver { .. } => "handing over",
            Self::TookOver { .. } => "took over",
            Self::Resumed { .. } => "resumed",
        }
    }

    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let by =
            |peer: &Peer| vec![("by", peer.name.clone()), ("uid", peer.uid.to_string()), ("pid", peer.pid.to_string())];
        match self.clone() {
            Self::Started { version, pid, instance } => {
                vec![("version", version), ("pid", pid.to_string()), ("instance", instance)]
            }
            Self::Stopping => Vec::new(),
            Self::ContinuedIn { record } | Self::ContinuationOf { record } => vec![("record", record)],
            Self::Missed { events } => vec![("events", events.to_string())],
            Self::Enrolled { workload, cgroup, owner, by: peer } => {
                [by(&peer), vec![("workload", workload), ("cgroup", cgroup), ("owner", owner)]].concat()
            }
            Self::Released { workload, cgroup } | Self::Fit { workload, cgroup } => {
                vec![("workload", workload), ("cgroup", cgroup)]
            }
            Self::Cut { cgroup, connections } => {
                vec![("cgroup", cgroup), ("connections", connections.to_string())]
            }
            Self::Unfit { workload, cgroup, reason, sessions } => {
                vec![("workload", workload), ("cgroup", cgroup), ("reason", reason), ("sessions", sessions.to_string())]
            }
            Self::Proven { tree } => vec![("tree", tree)],
            Self::Unproven { tree, reason } | Self::ReattachFailed { tree, reason } => {
                vec![("tree", tree), ("reason", reason)]
            }
            Self::Closed { tree, reason, sessions } => {
                vec![("tree", tree), ("reason", reason), ("sessions", sessions.to_string())]
            }
            Self::Reopened { tree, after } => vec![("tree", tree), ("seconds", after.as_secs().to_string())],
            Self::Attempt { workload, refusal, protocol, destination, process, repeated } => vec![
                ("workload", workload),
                ("refusal", refusal.to_owned()),
                ("protocol", protocol),
                ("destination", destination),
                ("pid", process.pid.to_string()),
                ("uid", process.uid.to_string()),
                ("command", process.command),
                ("cgroup", process.cgroup),
                ("repeated", repeated.to_string()),
            ],
            Self::MoreAttempts { workload, refusal, count } => {
                vec![("workload", workload), ("refusal", refusal.to_owned()), ("count", count.to_string())]
            }
            Self::NameRefused { workload, name, kind, why } => {
                vec![("workload", workload), ("name", name), ("kind", kind), ("why", why)]
            }
            Self::NameAnswered { workload, name, kind, answer, again } => vec![
                ("workload", workload),
                ("name", name),
                ("kind", kind),
                ("answer", answer),
                ("again", again.to_string()),
            ],
            Self::LostAttempts { count } => vec![("count", count.to_string())],
            Self::ControlRefused { by: peer } => {
                let cgroup = peer.cgroup.as_ref().map(|cgroup| cgroup.display().to_string());
                [by(&peer), vec![("cgroup", cgroup.unwrap_or_default())]].concat()
            }
            Self::Command { command, done, by: peer } => {
                [by(&peer), vec![("command", command), ("done", done.to_string())]].concat()
            }
            Self::Policy { generation } => vec![("generation", generation.to_string())],
            Self::HandingOver { to } => by(&to),
            Self::TookOver { from, sockets } => vec![("from", from.to_string()), ("sockets", sockets.to_string())],
            Self::Resumed { reason } => vec![("reason", reason)],
        }
    }

    /// Says it in the daemon's log, at the level that it deserves.
    pub(super) fn log(&self) {
        let facts: Vec<_> = self.facts().iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let (event, facts) = (self.name(), facts.join(" "));
        match self {
            Self::Closed { .. } | Self::ReattachFailed { .. } | Self::Missed { .. } | Self::Unfit { .. } => {
                tracing::error!("{event} {facts}")
            }
            Self::Unproven { .. } | Self::Attempt { .. } | Self::MoreAttempts { .. } | Self::LostAttempts { .. } => {
                tracing::warn!("{event} {facts}");
            }
            Self::ControlRefused { .. } | Self::Resumed { .. } => tracing::warn!("{event} {facts}"),
            Self::Started { .. }
            | Self::Stopping
            | Self::ContinuedIn { .. }
            | Self::ContinuationOf { .. }
            | Self::Enrolled { .. }
            | Self::Released { .. }
            | Self::Cut { .. }
            | Self::Fit { .. }
            | Self::Proven { .. }
            | Self::Reopened { .. }
            | Self::Command { .. }
            | Self::NameRefused { .. }
            | Self::Policy { .. }
            | Self::HandingOver { .. }
            | Self::TookOver { .. } => tracing::info!("{event} {facts}"),
            Self::NameAnswered { .. } => tracing::debug!("{event} {facts}"),
        }
    }
}
