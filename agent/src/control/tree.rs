//! What is asked and told of process trees that somebody else started.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::accept::findings::{Finding, Risk, Starter};

/// What to put under capture.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "place", rename_all = "snake_case")]
pub enum Place {
    /// A cgroup below the mount; one that lasts is captured anew when it is made anew.
    Cgroup { path: PathBuf, lasting: bool },
    /// A process with its descendants: their cgroup where nobody else is in it, else they are moved into a new one.
    Process { pid: u32 },
}

/// A tree that now is under capture.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Captured {
    pub workload: String,
    /// Below the mount.
    pub cgroup: PathBuf,
    /// Processes that were moved there.
    pub moved: usize,
    /// Connections that were destroyed.
    pub cut: usize,
    /// What capture alone cannot hold, each of it accepted.
    pub accepted: Vec<Finding>,
}

/// What examining a tree has shown.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Examined {
    pub workload: String,
    pub cgroup: PathBuf,
    /// Why nothing of it passes.
    pub closed: Option<String>,
    pub findings: Vec<Finding>,
    pub accepted: Vec<Risk>,
    /// Programs of others that run for its sockets beside the capture's.
    pub foreign_programs: Vec<String>,
    /// What would end the findings of a service of systemd's.
    pub drop_in: Option<String>,
    /// Tools of this host that start what lands in another cgroup, and whether this tree may.
    pub starters: Vec<Starter>,
}
