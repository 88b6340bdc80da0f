//! A walk over the processes of all governed cgroups, in steps of bounded size.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::capture::{CaptureError, namespace::NamespaceFile};

/// Most cgroups that one step opens.
const CGROUPS_MAX: usize = 1024;
/// Most processes that one step looks at.
const PROCESSES_MAX: usize = 8192;
/// Most unknown namespaces that one step answers.
const FOUND_MAX: usize = 16;

/// How far the walk is. After its end it begins anew.
#[derive(Debug, Default)]
pub(super) struct Walk {
    begun: bool,
    /// Still to be read, each with the tree that it belongs to.
    cgroups: Vec<(PathBuf, PathBuf)>,
    /// Of the cgroup read last.
    processes: Vec<u32>,
    tree: PathBuf,
    met: HashSet<NamespaceFile>,
}

/// What one step came by.
pub(super) struct Step {
    /// Processes in namespaces that are not known.
    pub found: Vec<Found>,
    /// At the walk's end: every namespace that it met.
    pub met: Option<HashSet<NamespaceFile>>,
}

/// A governed process, when it was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Found {
    pub pid: u32,
    /// The directory of its workload.
    pub tree: PathBuf,
}

impl Walk {
    /// Goes on where the last step stopped; `trees` lists the directories that a new walk begins with.
    pub(super) fn step(
        &mut self,
        trees: impl FnOnce() -> Result<Vec<PathBuf>, CaptureError>,
        known: &HashSet<NamespaceFile>,
    ) -> Result<Step, CaptureError> {
        if !self.begun {
            self.cgroups = trees()?.into_iter().map(|tree| (tree.clone(), tree)).collect();
            self.begun = true;
        }
        let (mut cgroups, mut processes, mut found) = (0, 0, Vec::new());
        while processes < PROCESSES_MAX && found.len() < FOUND_MAX {
            let Some(pid) = self.processes.pop() else {
                if cgroups == CGROUPS_MAX || !self.open_next() {
                    break;
                }
                cgroups += 1;
                continue;
            };
            processes += 1;
            // Who has ended has no namespace.
            let Ok(namespace) = NamespaceFile::of_process(pid) else { continue };
            if self.met.insert(namespace) && !known.contains(&namespace) {
                found.push(Found { pid, tree: self.tree.clone() });
            }
        }
        let ended = self.processes.is_empty() && self.cgroups.is_empty();
        let met = ended.then(|| std::mem::take(self).met);
        Ok(Step { found, met })
    }

    /// Reads the next cgroup; false when there is none.
    fn open_next(&mut self) -> bool {
        let Some((directory, tree)) = self.cgroups.pop() else { return false };
        // A cgroup that is gone has no processes; those of a threaded one are listed further up (cgroups(7)).
        self.processes = processes(&directory).unwrap_or_default();
        let below = children(&directory).unwrap_or_default();
        self.cgroups.extend(below.into_iter().map(|child| (child, tree.clone())));
        self.tree = tree;
        true
    }
}

fn processes(cgroup: &Path) -> io::Result<Vec<u32>> {
    let listed = fs::read_to_string(cgroup.join("cgroup.procs"))?;
    // A process of another PID namespace than ours is listed as 0.
    Ok(listed.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect())
}

fn children(cgroup: &Path) -> io::Result<Vec<PathBuf>> {
    let mut children = Vec::new();
    for entry in fs::read_dir(cgroup)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            children.push(entry.path());
        }
    }
    Ok(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like a cgroup with these processes.
    fn cgroup(directory: &Path, processes: &[u32]) {
        fs::create_dir_all(directory).unwrap();
        let lines: String = processes.iter().map(|pid| format!("{pid}\n")).collect();
        fs::write(directory.join("cgroup.procs"), lines).unwrap();
    }

    fn own() -> NamespaceFile {
        NamespaceFile::of_process(std::process::id()).unwrap()
    }

    #[test]
    fn a_process_below_is_found_for_its_tree_and_a_namespace_once() {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("agent-1");
        cgroup(&tree, &[0, u32::MAX]);
        cgroup(&tree.join("child"), &[std::process::id(), std::process::id()]);
        let mut walk = Walk::default();
        let step = walk.step(|| Ok(vec![tree.clone()]), &HashSet::new()).unwrap();
        assert_eq!(step.found, [Found { pid: std::process::id(), tree }]);
        assert_eq!(step.met, Some([own()].into()));
    }

    #[test]
    fn a_known_namespace_is_met_and_not_found() {
        let root = tempfile::tempdir().unwrap();
        cgroup(root.path(), &[std::process::id()]);
        let step = Walk::default().step(|| Ok(vec![root.path().into()]), &[own()].into()).unwrap();
        assert_eq!((step.found, step.met), (Vec::new(), Some([own()].into())));
    }

    #[test]
    fn a_crowd_takes_more_than_one_step_and_every_process_is_looked_at() {
        let root = tempfile::tempdir().unwrap();
        let mut crowd = vec![u32::MAX; PROCESSES_MAX * 2];
        // Looked at last.
        crowd.insert(0, std::process::id());
        cgroup(root.path(), &crowd);
        let mut walk = Walk::default();
        let mut step = || walk.step(|| Ok(vec![root.path().into()]), &HashSet::new()).unwrap();
        for _ in 0..2 {
            let step = step();
            assert_eq!((step.found.len(), step.met), (0, None));
        }
        assert_eq!(step().met, Some([own()].into()));
    }

    #[test]
    fn a_tree_that_is_gone_ends_the_walk() {
        let step = Walk::default().step(|| Ok(vec!["/nowhere".into()]), &HashSet::new()).unwrap();
        assert_eq!(step.met, Some(HashSet::new()));
    }
}
