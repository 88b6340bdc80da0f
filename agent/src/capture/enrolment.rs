//! Workloads: a cgroup each, below the one that is captured.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{CaptureError, at, cgroup::Cgroup, check_name};

/// How often a workload's cgroup is asked whether anybody is left.
const RELEASE_POLL: Duration = Duration::from_millis(200);

/// Most workloads of one name at one moment.
const SAME_NAME_MAX: u32 = 65_536;

/// The workload of a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WorkloadId {
    pub name: Arc<str>,
    /// The connecting process's cgroup, below the cgroup v2 mount.
    pub cgroup: PathBuf,
}

/// An enrolled workload. Dropping it releases nothing: its processes stay captured.
#[derive(Debug)]
pub struct Enrolment {
    name: Arc<str>,
    cgroup: Cgroup,
}

impl Enrolment {
    pub(super) fn create(workloads: &Path, name: &str) -> Result<Self, CaptureError> {
        check_name(name)?;
        for number in 1..SAME_NAME_MAX {
            let directory = workloads.join(format!("{name}-{number}"));
            match fs::create_dir(&directory) {
                Ok(()) => {
                    let cgroup = Cgroup::open(directory).map_err(at("open the new cgroup in", workloads))?;
                    return Ok(Self { name: name.into(), cgroup });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(at("make the cgroup", directory)(error)),
            }
        }
        Err(at("find a free number for a cgroup in", workloads)(io::ErrorKind::QuotaExceeded.into()))
    }

    pub(super) fn all(workloads: &Path) -> Result<Vec<Self>, CaptureError> {
        let mut enrolments = Vec::new();
        for entry in fs::read_dir(workloads).map_err(at("read", workloads))? {
            let directory = entry.map_err(at("read", workloads))?.path();
            let Some(name) = name_of(&directory, workloads).map(Arc::from) else { continue };
            let cgroup = Cgroup::open(directory).map_err(at("open a cgroup in", workloads))?;
            enrolments.push(Self { name, cgroup });
        }
        Ok(enrolments)
    }

    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What origins of its first processes carry.
    pub fn cgroup_id(&self) -> u64 {
        self.cgroup.id()
    }

    pub fn directory(&self) -> &Path {
        self.cgroup.directory()
    }

    /// Moves a process in. Sockets that it has already made stay uncaptured: let it close them first.
    pub fn admit(&self, pid: u32) -> Result<(), CaptureError> {
        self.cgroup.admit(pid).map_err(at("move a process into", self.directory()))
    }

    /// Whether a process is left.
    pub fn is_populated(&self) -> Result<bool, CaptureError> {
        self.cgroup.is_populated().map_err(at("read the state of", self.directory()))
    }

    /// Kills every process of it.
    pub fn kill(&self) -> Result<(), CaptureError> {
        self.cgroup.kill().map_err(at("kill", self.directory()))
    }

    /// Removes the cgroup; fails while a process is left.
    pub fn release(&self) -> Result<(), CaptureError> {
        match self.cgroup.remove() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", self.directory())(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Waits until the last process is gone, then releases. Call it after the first process was admitted.
    pub async fn released(self) -> Result<(), CaptureError> {
        while self.is_populated()? {
            tokio::time::sleep(RELEASE_POLL).await;
        }
        self.release()
    }
}

/// The workload's name, from the path of its cgroup or one below: `<workloads>/<name>-<number>/…`.
pub(super) fn name_of<'a>(path: &'a Path, workloads: &Path) -> Option<&'a str> {
    let directory = path.strip_prefix(workloads).ok()?.components().next()?;
    let (name, number) = directory.as_os_str().to_str()?.rsplit_once('-')?;
    number.parse::<u32>().is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_from_the_path() {
        let workloads = Path::new("/portcullis/default/workloads");
        let name = |path| name_of(Path::new(path), workloads);
        assert_eq!(name("/portcullis/default/workloads/ci-runner-12"), Some("ci-runner"));
        assert_eq!(name("/portcullis/default/workloads/ci-3/child/x"), Some("ci"));
        assert_eq!(name("/portcullis/default/workloads/stray"), None);
        assert_eq!(name("/portcullis/default/workloads"), None);
        assert_eq!(name("/portcullis/other/workloads/ci-3"), None);
    }
}
