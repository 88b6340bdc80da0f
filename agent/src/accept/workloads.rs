//! The governed process trees, by cgroup.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
    path::PathBuf,
    sync::Arc,
};

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::users::Users;
use crate::capture::WorkloadId;

/// A process tree under capture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Workload {
    pub name: Arc<str>,
    pub groups: Vec<Arc<str>>,
    /// The person who started it, where known.
    pub owner: Option<String>,
    /// Below the cgroup v2 mount.
    pub cgroup: PathBuf,
    pub cgroup_id: u64,
}

/// Every workload of this daemon.
#[derive(Debug, Default)]
pub struct Workloads(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    enrolled: HashMap<u64, Arc<Workload>>,
    /// Those whose first process has entered.
    settled: HashSet<u64>,
    users: Users,
    /// Groups of the workloads that the configuration names.
    configured: HashMap<Arc<str>, Vec<Arc<str>>>,
}

impl Workloads {
    /// A workload of the configuration, whose cgroup somebody else manages.
    pub fn configure(&self, name: Arc<str>, groups: Vec<Arc<str>>) {
        self.0.write().configured.insert(name, groups);
    }

    pub fn enrol(&self, workload: Workload) {
        self.0.write().enrolled.insert(workload.cgroup_id, Arc::new(workload));
    }

    /// Gives a workload a user of its own; `None` when every one of the range is a living workload's.
    pub fn claim_user(&self, cgroup_id: u64, range: &RangeInclusive<u32>) -> Option<u32> {
        self.0.write().users.claim(cgroup_id, range)
    }

    /// A workload that an earlier daemon enrolled is this user.
    pub fn note_user(&self, cgroup_id: u64, uid: u32) {
        self.0.write().users.note(cgroup_id, uid);
    }

    /// The first process is in: from now on an empty cgroup means that the workload has ended.
    pub fn settle(&self, cgroup_id: u64) {
        self.0.write().settled.insert(cgroup_id);
    }

    pub fn is_settled(&self, cgroup_id: u64) -> bool {
        self.0.read().settled.contains(&cgroup_id)
    }

    pub fn release(&self, cgroup_id: u64) {
        let mut known = self.0.write();
        known.enrolled.remove(&cgroup_id);
        known.settled.remove(&cgroup_id);
        known.users.release(cgroup_id);
    }

    pub fn list(&self) -> Vec<Arc<Workload>> {
        self.0.read().enrolled.values().cloned().collect()
    }

    /// The workload that the kernel names. Of the configured ones, only name and groups are known here.
    pub fn find(&self, cgroup_id: u64, id: &WorkloadId) -> Arc<Workload> {
        let known = self.0.read();
        let above = || known.enrolled.values().find(|workload| id.cgroup.starts_with(&workload.cgroup));
        if let Some(workload) = known.enrolled.get(&cgroup_id).or_else(above) {
            return workload.clone();
        }
        Arc::new(Workload {
            name: id.name.clone(),
            groups: known.configured.get(&id.name).cloned().unwrap_or_default(),
            owner: None,
            cgroup: id.cgroup.clone(),
            cgroup_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str, cgroup: &str) -> WorkloadId {
        WorkloadId { name: name.into(), cgroup: cgroup.into() }
    }

    #[test]
    fn a_child_cgroup_belongs_to_its_workload() {
        let workloads = Workloads::default();
        let (name, owner) = ("bot".into(), Some("alice".to_owned()));
        workloads.enrol(Workload { name, groups: Vec::new(), owner, cgroup: "/w/bot-1".into(), cgroup_id: 1 });
        assert_eq!(workloads.find(1, &id("bot", "/w/bot-1")).owner.as_deref(), Some("alice"));
        assert_eq!(workloads.find(9, &id("bot", "/w/bot-1/child")).owner.as_deref(), Some("alice"));
        assert_eq!(workloads.find(9, &id("bot", "/w/bot-12")).owner, None, "a longer name is another cgroup");
    }

    #[test]
    fn a_configured_workload_has_its_groups() {
        let workloads = Workloads::default();
        workloads.configure("ci".into(), vec!["builders".into()]);
        assert_eq!(workloads.find(5, &id("ci", "/ci.slice/job")).groups, ["builders".into()]);
    }
}
