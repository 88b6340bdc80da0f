//! The local API: one JSON command a line over a Unix socket, one JSON reply a line back.
//!
//! Who may do what follows from the peer's credentials, as the kernel gives them (unix(7),
//! `SO_PEERCRED`). A process of a workload may do nothing here.

mod client;
mod peer;
mod server;
mod tree;

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use client::{Client, ClientError, socket_path};
pub use peer::{Peer, Role};
pub use server::{Control, serve};
pub use tree::{Captured, Examined, Place};

use crate::{
    accept::findings::Risk,
    approval::{Grant, PendingView},
};

/// Most bytes of one command line; a longer one closes the connection.
pub const COMMAND_BYTES_MAX: u64 = 64 * 1024;
/// Most control connections at once; one more is closed at once.
pub const CONNECTIONS_MAX: usize = 64;

/// What a person, or `portcullis run`, wants of the daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    Status,
    Metrics,
    /// Puts the sending process under capture, as a workload of this name.
    Enrol {
        name: Option<String>,
        /// Whether it has made its network namespace for itself alone: what becomes of it may then talk to itself
        /// over the loopback.
        #[serde(default)]
        jail: bool,
    },
    /// Puts processes of somebody else's under capture; `accept_risks` names what capture alone cannot hold of them.
    Capture {
        place: Place,
        name: String,
        accept_risks: Vec<Risk>,
    },
    /// Lets a tree go that was put under capture by command.
    Release {
        workload: String,
    },
    /// Looks at what capture alone cannot hold of a workload, or of all.
    Examine {
        workload: Option<String>,
    },
    /// Looks at what putting processes under capture would find.
    Preview {
        place: Place,
        name: String,
    },
    Approvals,
    Approve {
        id: String,
        reason: Option<String>,
    },
    Deny {
        id: String,
        reason: Option<String>,
    },
    Grants,
    RevokeGrant {
        id: String,
    },
    LiveSessions,
    KillSession {
        id: String,
        reason: Option<String>,
    },
    ReloadPolicy,
    /// Asks for everything that the daemon has, to go on in its place. It is answered by a handover, not by a reply.
    TakeOver {
        instance: String,
        /// The port that the sender would listen on; zero: whichever it is.
        port: u16,
    },
}

impl Command {
    /// What it changes, in words for the host's record; `None` when it only asks. Enrolments are told on their own.
    pub fn change(&self) -> Option<String> {
        match self {
            Self::Status | Self::Metrics | Self::Enrol { .. } | Self::Approvals | Self::Grants | Self::LiveSessions => {
                None
            }
            Self::Capture { .. } | Self::Examine { .. } | Self::Preview { .. } => None,
            Self::Release { workload } => Some(format!("release {workload}")),
            Self::Approve { id, .. } => Some(format!("approve {id}")),
            Self::Deny { id, .. } => Some(format!("deny {id}")),
            Self::RevokeGrant { id } => Some(format!("revoke grant {id}")),
            Self::KillSession { id, .. } => Some(format!("kill session {id}")),
            Self::ReloadPolicy => Some("reload the policy".to_owned()),
            Self::TakeOver { .. } => Some("take over".to_owned()),
        }
    }

    /// What a peer must be for it.
    pub fn role(&self) -> Role {
        match self {
            // Whether this person may answer this request is the desk's to say.
            Self::Status
            | Self::Metrics
            | Self::Approvals
            | Self::Approve { .. }
            | Self::Deny { .. }
            | Self::Grants => Role::Approver,
            Self::Enrol { .. } | Self::RevokeGrant { .. } | Self::LiveSessions => Role::Operator,
            Self::KillSession { .. } | Self::ReloadPolicy | Self::TakeOver { .. } => Role::Operator,
            Self::Capture { .. } | Self::Release { .. } => Role::Operator,
            Self::Examine { .. } | Self::Preview { .. } => Role::Operator,
        }
    }
}

/// What the daemon answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    Status(Box<Status>),
    /// OpenMetrics text.
    Metrics {
        text: String,
    },
    Enrolled(Enrolled),
    Captured(Captured),
    Examined {
        workloads: Vec<Examined>,
    },
    Approvals {
        pending: Vec<PendingView>,
    },
    Approved {
        complete: bool,
        grant: Option<Grant>,
    },
    Grants {
        grants: Vec<Grant>,
    },
    LiveSessions {
        sessions: Vec<LiveView>,
    },
    Done {
        message: String,
    },
    Refused {
        error: String,
        hint: Option<String>,
    },
}

/// The daemon at a glance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    pub pid: u32,
    pub started_unix: u64,
    pub instance: String,
    pub config: Option<PathBuf>,
    pub state_dir: PathBuf,
    pub listen: Vec<String>,
    pub capture: String,
    /// When a canary process last was captured.
    pub canary_unix: Option<u64>,
    /// Each cgroup that is captured as one: what is proven, and what is closed.
    pub trees: Vec<TreeStatus>,
    pub policy: PolicyStatus,
    pub recorder: String,
    pub targets: Vec<TargetStatus>,
    pub workloads: Vec<WorkloadStatus>,
    pub live_sessions: usize,
    pub pending_approvals: usize,
    /// What the kernel programs have refused, by kind.
    pub refusals: BTreeMap<String, u64>,
    /// What the configuration allows and nothing here can hold.
    pub warnings: Vec<String>,
}

/// The proof of one captured tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TreeStatus {
    /// `run` for the workloads of `portcullis run`, else `existing` and the workload's name.
    pub name: String,
    /// Why nothing of it passes, where its capture does not hold.
    pub closed: Option<String>,
    /// When a canary in it last was captured.
    pub proven_unix: Option<u64>,
}

/// Which policy is in force.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyStatus {
    pub source: String,
    pub generation: u64,
    pub rules: usize,
    /// Why the newest files are not in force, where they are broken.
    pub broken: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TargetStatus {
    pub name: String,
    pub protocol: String,
    pub addresses: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkloadStatus {
    pub name: String,
    pub cgroup: String,
    pub owner: Option<String>,
    /// Why nothing of it passes, where it has privileges that nobody accepted.
    pub closed: Option<String>,
    /// Names of the risks that it has and that were accepted.
    pub accepted: Vec<String>,
}

/// A session that runs now.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LiveView {
    pub id: String,
    pub workload: String,
    pub target: String,
    pub destination: String,
    pub pid: u32,
    pub started_unix: u64,
}

/// The sender now is in its workload's cgroup, and must prove it before it runs anything.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enrolled {
    pub workload: String,
    pub cgroup: String,
    /// What the canary connection must bring back, in hexadecimal.
    pub token: String,
    /// The user that belongs to this workload alone, while it lasts.
    pub uid: Option<u32>,
    /// Unix sockets that the workload finds under the paths that it dials.
    pub doorways: Vec<Doorway>,
    /// The certificate of the authority that vouches for targets towards workloads, as PEM.
    pub authority: Option<String>,
}

/// A Unix socket that a workload finds at a path that it dials.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Doorway {
    /// In the workload's view of the file system.
    pub path: PathBuf,
    /// The socket that answers there, in the host's view.
    pub listener: PathBuf,
    pub leads: Leads,
}

/// Where a doorway leads, and with it what a jail has to mount.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leads {
    /// To the daemon, which listens for this workload alone.
    ///
    /// A new daemon makes the socket anew: a mount of the file itself would lead nowhere from then on. What stays is its
    /// directory, which holds such sockets alone, under the names that they have at `path`: mount it over the directory
    /// of `path`.
    ToTarget,
    /// To a service of this host that the configuration allows, past the gate: `listener` is the service's own socket.
    /// Mount the file alone: nothing else in its directory is allowed.
    ToHost,
}
