//! Cgroups that somebody else manages: captured where they are, each by links of its own.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

use super::{
    Capture, CaptureError, at,
    attachment::Attachment,
    bpf,
    cgroup::{Cgroup, Hierarchy},
    check_name,
    layer::Scope,
};

/// Most cgroups of others that one daemon captures; each costs the kernel a link for every program.
pub const EXISTING_MAX: usize = 4096;

/// Passes over a cgroup that is emptied: its processes may start others in the meantime.
const PUT_BACK_PASSES_MAX: usize = 64;

/// Stands between the name of a workload and the number of one of its passing cgroups.
const PASSING: char = '@';

/// A cgroup that somebody else manages.
///
/// Its own sockets are governed from the moment of attachment. What its processes hold that was made elsewhere is not,
/// and they keep the privileges that they have: [`Capture::cut`](super::Capture::cut) and `accept::findings` see to that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Existing {
    /// The workload's name; of a passing cgroup with a number behind it, see [`Existing::passing`].
    pub name: String,
    /// A path below the cgroup v2 mount (`/system.slice/ci.service`) or the name of a systemd slice (`ci.slice`).
    pub cgroup: String,
}

impl Existing {
    /// One of several cgroups of a workload, released when it is gone instead of made anew: a container's, most often.
    pub fn passing(workload: &str, cgroup: &Path, cgroup_id: u64) -> Self {
        Self { name: format!("{workload}{PASSING}{cgroup_id}"), cgroup: cgroup.display().to_string() }
    }

    /// The name that policy knows.
    pub fn workload(&self) -> &str {
        self.name.split_once(PASSING).map_or(&*self.name, |(workload, _)| workload)
    }

    /// Whether it is released when it is gone.
    pub fn is_passing(&self) -> bool {
        self.name.contains(PASSING)
    }

    /// The path below the mount: of a slice `a-b.slice`, `/a.slice/a-b.slice`, as `systemd.slice(5)` has it.
    pub fn path(&self) -> PathBuf {
        let Some(name) = self.cgroup.strip_suffix(".slice").filter(|name| !name.contains('/')) else {
            return Path::new("/").join(&self.cgroup);
        };
        let mut path = PathBuf::from("/");
        for (end, _) in name.match_indices('-').chain([(name.len(), "")]) {
            path.push(format!("{}.slice", name.get(..end).unwrap_or(name)));
        }
        path
    }

    /// Where its links are pinned. The BPF file system keeps dots in names to itself.
    pub(super) fn pins(&self) -> String {
        format!("existing-{}", self.name.replace('.', "+"))
    }

    fn check(&self) -> Result<(), CaptureError> {
        check_name(self.workload())?;
        let numbered = |(_, number): (&str, &str)| number.parse::<u64>().is_ok();
        match self.name.split_once(PASSING).is_none_or(numbered) {
            true => Ok(()),
            false => Err(CaptureError::InvalidName(self.name.clone())),
        }
    }
}

/// The captured cgroups of others.
#[derive(Default)]
pub(super) struct Trees(RwLock<Vec<Arc<Captured>>>);

/// One of them.
pub(super) struct Captured {
    pub(super) existing: Existing,
    pub(super) path: PathBuf,
    pub(super) attachment: Mutex<Attachment>,
}

impl Trees {
    pub(super) fn all(&self) -> Vec<Arc<Captured>> {
        self.0.read().clone()
    }

    /// The tree that a cgroup, by its path below the mount, is in.
    pub(super) fn of(&self, cgroup: &Path) -> Option<Arc<Captured>> {
        self.0.read().iter().find(|tree| cgroup.starts_with(&tree.path)).cloned()
    }

    pub(super) fn named(&self, name: &str) -> Option<Arc<Captured>> {
        self.0.read().iter().find(|tree| tree.existing.name == name).cloned()
    }

    pub(super) fn add(&self, existing: Existing, attachment: Attachment) {
        let (path, attachment) = (existing.path(), attachment.into());
        self.0.write().push(Arc::new(Captured { existing, path, attachment }));
    }

    fn remove(&self, name: &str) {
        self.0.write().retain(|tree| tree.existing.name != name);
    }

    /// Refuses a cgroup that a captured one is in, or that is in a captured one: a process has one workload.
    fn check_apart(&self, path: &Path) -> Result<(), CaptureError> {
        let overlaps = |tree: &&Arc<Captured>| tree.path.starts_with(path) || path.starts_with(&tree.path);
        match self.0.read().iter().find(overlaps) {
            Some(tree) => Err(CaptureError::AlreadyCaptured {
                cgroup: path.into(),
                workload: tree.existing.workload().into(),
                captured: tree.path.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// Opens a cgroup of somebody else's, and makes it where its unit has not started yet: systemd takes what is there.
/// `None`: a passing one that is gone.
pub(super) fn open(hierarchy: &Hierarchy, existing: &Existing, root: &Path) -> Result<Option<Cgroup>, CaptureError> {
    existing.check()?;
    let path = existing.path();
    check_place(&path, root)?;
    let directory = hierarchy.directory(&path);
    if existing.is_passing() && !directory.exists() {
        return Ok(None);
    }
    hierarchy.create(&path).map(Some).map_err(at("open the cgroup", directory))
}

/// Refuses what would capture the daemon, or somebody's other instance; `root` is this instance's.
fn check_place(path: &Path, root: &Path) -> Result<(), CaptureError> {
    if path.parent().is_none() {
        return Err(CaptureError::HierarchyRoot);
    }
    let daemon = root.join("daemon");
    if daemon.starts_with(path) || path.starts_with(&daemon) {
        return Err(CaptureError::HoldsDaemon(path.into()));
    }
    match path.starts_with("/portcullis") {
        true => Err(CaptureError::OfInstance(path.into())),
        false => Ok(()),
    }
}

impl Capture {
    /// Captures a cgroup that is there, with everything below it; answers its id.
    ///
    /// # Errors
    /// [`CaptureError::AlreadyCaptured`], also when another workload's cgroup is in it or around it;
    /// [`CaptureError::NameInUse`]; [`CaptureError::NoCgroup`]; [`CaptureError::HierarchyRoot`];
    /// [`CaptureError::HoldsDaemon`]; [`CaptureError::OfInstance`]; [`CaptureError::MissingLayer`].
    pub fn capture_existing(&self, existing: &Existing) -> Result<u64, CaptureError> {
        let _one_at_a_time = self.capturing.lock();
        self.check_existing(existing)?;
        let path = existing.path();
        let cgroup = open(&self.hierarchy, existing, &self.root)?.ok_or(CaptureError::NoCgroup(path))?;
        let id = cgroup.id();
        self.existing.add(existing.clone(), self.attach(existing, cgroup)?);
        self.govern()?;
        Ok(id)
    }

    /// Whether a cgroup could be captured, as far as that shows without doing it; the errors are the same.
    pub fn check_existing(&self, existing: &Existing) -> Result<(), CaptureError> {
        existing.check()?;
        self.programs.require(&[Scope::Existing], &self.allow_missing)?;
        let path = existing.path();
        check_place(&path, &self.root)?;
        self.existing.check_apart(&path)?;
        if self.existing.named(&existing.name).is_some() {
            return Err(CaptureError::NameInUse(existing.workload().into()));
        }
        if self.existing.all().len() >= EXISTING_MAX {
            return Err(CaptureError::TooManyTrees);
        }
        match self.hierarchy.directory(&path).is_dir() {
            true => Ok(()),
            false => Err(CaptureError::NoCgroup(path)),
        }
    }

    fn attach(&self, existing: &Existing, cgroup: Cgroup) -> Result<Attachment, CaptureError> {
        let attachment = Attachment::ensure(&self.programs, &self.pins, &existing.pins(), cgroup, Scope::Existing);
        attachment.inspect_err(|_| {
            // Half of the programs on a cgroup that nobody lists would cut it off for good.
            if let Err(error) = self.pins.remove_links(&existing.pins()) {
                tracing::error!(error = &error as &dyn std::error::Error, "links are left of a failed capture");
            }
        })
    }

    /// Lets a cgroup go that was captured under this name: nothing in it is governed any more. False: there is none.
    pub fn release_existing(&self, name: &str) -> Result<bool, CaptureError> {
        let _one_at_a_time = self.capturing.lock();
        let Some(tree) = self.existing.named(name) else { return Ok(false) };
        let mut attachment = tree.attachment.lock();
        attachment.let_go();
        self.pins.remove_links(&tree.existing.pins())?;
        self.existing.remove(name);
        drop(attachment);
        self.govern()?;
        Ok(true)
    }

    /// Every captured cgroup of somebody else's.
    pub fn existing(&self) -> Vec<Existing> {
        self.existing.all().iter().map(|tree| tree.existing.clone()).collect()
    }

    /// Captures cgroups anew that were removed and made again, as systemd does when a unit restarts; answers which.
    /// A passing one that is gone is released.
    ///
    /// One that is gone is made at once, so that whoever makes it later finds it captured. Where they are quicker,
    /// their processes are free until the next look: capture a slice that stays, where that matters.
    pub fn recapture(&self) -> Result<Vec<Existing>, CaptureError> {
        let (mut recaptured, mut failed) = (Vec::new(), None);
        for tree in self.existing.all() {
            let is_current = tree.attachment.lock().cgroup().is_current();
            if is_current {
                continue;
            }
            // One that cannot be captured keeps no other from it.
            match self.recapture_tree(&tree) {
                Ok(true) => recaptured.push(tree.existing.clone()),
                Ok(false) => {}
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(recaptured), Err)
    }

    fn recapture_tree(&self, tree: &Captured) -> Result<bool, CaptureError> {
        let passed = || self.release_existing(&tree.existing.name).map(|_| false);
        if tree.existing.is_passing() {
            // Another cgroup by its path is another container, and has its own number.
            return passed();
        }
        let Some(cgroup) = open(&self.hierarchy, &tree.existing, &self.root)? else { return passed() };
        let name = tree.existing.pins();
        *tree.attachment.lock() = Attachment::ensure(&self.programs, &self.pins, &name, cgroup, Scope::Existing)?;
        self.govern()?;
        Ok(true)
    }

    /// Moves every process of one cgroup into another, by their paths below the mount; to the root of all cgroups where
    /// that one is gone.
    pub fn put_back(&self, from: &Path, to: &Path) -> Result<(), CaptureError> {
        let to = Cgroup::open(self.hierarchy.directory(to)).or_else(|_| Cgroup::open(self.hierarchy.mount().into()));
        let to = to.map_err(at("open", self.hierarchy.mount()))?;
        for _ in 0..PUT_BACK_PASSES_MAX {
            let members = self.processes(from)?;
            if members.is_empty() {
                return Ok(());
            }
            for pid in members {
                match to.admit(pid) {
                    // It has ended.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                    moved => moved.map_err(at("move a process into", to.directory()))?,
                }
            }
        }
        Err(at("move every process out of", self.hierarchy.directory(from))(io::ErrorKind::ResourceBusy.into()))
    }

    /// The programs of others that run for sockets of a cgroup, by its path below the mount: `connect4: 17 cil_sock4`.
    pub fn foreign_programs(&self, cgroup: &Path) -> Result<Vec<String>, CaptureError> {
        let directory = self.hierarchy.directory(cgroup);
        let cgroup = Cgroup::open(directory.clone()).map_err(at("open the cgroup", &directory))?;
        let mut foreign = Vec::new();
        for (program, attach_type) in self.programs.entries(Scope::Existing) {
            let own = self.programs.id(program)?;
            let read = |source| CaptureError::Attach { program, cgroup: directory.clone(), source };
            let ids = bpf::effective_programs(std::os::fd::AsFd::as_fd(&cgroup), attach_type).map_err(read)?;
            foreign.extend(ids.into_iter().filter(|id| *id != own).map(|id| {
                let name = bpf::program_name(id).unwrap_or_else(|error: io::Error| format!("({error})"));
                format!("{program}: {id} {name}")
            }));
        }
        Ok(foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn existing(cgroup: &str) -> Existing {
        Existing { name: "ci".into(), cgroup: cgroup.into() }
    }

    #[test]
    fn a_slice_is_found_where_systemd_puts_it() {
        let path = |cgroup| existing(cgroup).path();
        assert_eq!(path("ci.slice"), Path::new("/ci.slice"));
        assert_eq!(path("ci-nightly-x.slice"), Path::new("/ci.slice/ci-nightly.slice/ci-nightly-x.slice"));
        assert_eq!(path("/system.slice/ci.service"), Path::new("/system.slice/ci.service"));
    }

    #[test]
    fn a_passing_cgroup_has_its_workloads_name_and_pins_of_its_own() {
        let one = Existing::passing("pods.eu", Path::new("/kubepods/x"), 17);
        assert_eq!((one.workload(), one.is_passing(), &*one.pins()), ("pods.eu", true, "existing-pods+eu@17"));
        assert!(one.check().is_ok());
        let lasting = existing("/x");
        assert_eq!((lasting.workload(), lasting.is_passing()), ("ci", false));
        for name in ["pods@", "pods@x", "pods@1@2", "@1", "a/b@1"] {
            assert!(Existing { name: name.into(), cgroup: "/x".into() }.check().is_err(), "{name}");
        }
    }

    #[test]
    fn nobody_captures_the_daemon_or_everything() {
        let root = Path::new("/portcullis/main");
        let refused = |path: &str| check_place(Path::new(path), root).is_err();
        for path in ["/", "/portcullis", "/portcullis/main", "/portcullis/main/daemon", "/portcullis/main/daemon/x"] {
            assert!(refused(path), "{path}");
        }
        for path in ["/portcullis/main/workloads/a-1", "/portcullis/other/daemon", "/portcullis/other/workloads"] {
            assert!(refused(path), "{path}");
        }
        assert!(!refused("/portcullis-test.slice"));
        assert!(!refused("/system.slice"));
    }
}
