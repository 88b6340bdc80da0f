//! The governed process trees, by cgroup.

use std::{collections::HashMap, sync::Arc};

use parking_lot::RwLock;

/// A process tree under capture.
#[derive(Clone, Debug)]
pub struct Workload {
    pub name: Arc<str>,
    pub groups: Vec<Arc<str>>,
    /// The person who started it, where known.
    pub owner: Option<String>,
    /// Path below the cgroup v2 mount, with a leading `/`.
    pub cgroup: String,
    pub cgroup_id: u64,
}

/// Every workload of this daemon.
#[derive(Debug, Default)]
pub struct Workloads(RwLock<HashMap<u64, Arc<Workload>>>);

impl Workloads {
    pub fn enrol(&self, workload: Workload) {
        self.0.write().insert(workload.cgroup_id, Arc::new(workload));
    }

    pub fn release(&self, cgroup_id: u64) -> Option<Arc<Workload>> {
        self.0.write().remove(&cgroup_id)
    }

    pub fn list(&self) -> Vec<Arc<Workload>> {
        self.0.read().values().cloned().collect()
    }

    /// The workload of a process: by its cgroup, or by the nearest cgroup above that is a workload's.
    pub fn find(&self, cgroup_id: u64, cgroup: &str) -> Option<Arc<Workload>> {
        let workloads = self.0.read();
        if let Some(workload) = workloads.get(&cgroup_id) {
            return Some(workload.clone());
        }
        workloads.values().filter(|workload| is_below(cgroup, &workload.cgroup)).max_by_key(|it| it.cgroup.len()).cloned()
    }
}

fn is_below(cgroup: &str, above: &str) -> bool {
    cgroup.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(cgroup: &str, cgroup_id: u64) -> Workload {
        Workload { name: cgroup.into(), groups: Vec::new(), owner: None, cgroup: cgroup.to_owned(), cgroup_id }
    }

    #[test]
    fn a_child_cgroup_belongs_to_the_nearest_workload_above() {
        let workloads = Workloads::default();
        workloads.enrol(workload("/a", 1));
        workloads.enrol(workload("/a/b", 2));
        let name = |id, path| workloads.find(id, path).map(|found| found.name.to_string());
        assert_eq!(name(2, "/a/b"), Some("/a/b".to_owned()));
        assert_eq!(name(9, "/a/b/c"), Some("/a/b".to_owned()));
        assert_eq!(name(9, "/a/x"), Some("/a".to_owned()));
        assert_eq!(name(9, "/ab"), None);
    }
}
