//! Who is judged: a workload, its owner and the process that connected, all as the kernel tells it.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

/// The party of a connection. It stands in every decision and every record.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Principal {
    /// The workload's name, from `portcullis run --name` or the configuration.
    pub workload: Arc<str>,
    /// Policy groups of the workload.
    pub groups: Vec<Arc<str>>,
    /// The person for whom it acts, where known: the user who started it.
    pub owner: Option<String>,
    pub process: Process,
}

/// The connecting process at the moment of its `connect`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub uid: u32,
    /// The user's name, or the number where it has none.
    pub user: String,
    /// `None` when the process was gone before it could be read: short-lived connectors.
    pub executable: Option<PathBuf>,
    /// BLAKE3 of the executable's bytes, in hexadecimal.
    pub executable_hash: Option<String>,
    /// Bounded to [`COMMAND_LINE_MAX`] bytes.
    pub command_line: Vec<String>,
    /// From the parent upwards, ending at the workload's first process or at init.
    pub parents: Vec<Ancestor>,
    /// Path below the cgroup v2 mount.
    pub cgroup: String,
    pub cgroup_id: u64,
}

/// One process of the parent chain.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Ancestor {
    pub pid: u32,
    pub executable: Option<PathBuf>,
}

/// Most bytes of a command line that are kept.
pub const COMMAND_LINE_MAX: usize = 4096;

/// Most ancestors that are kept.
pub const ANCESTORS_MAX: usize = 16;
