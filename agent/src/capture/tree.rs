//! What is captured as one, by one set of links: looked at, attached again and proven on its own.

use std::{fmt, path::Path, sync::Arc};

use super::{Capture, CaptureError, Enrolment, at, attachment::Attachment, cgroup::Cgroup, enrolment};

/// What the cgroup of a canary inside somebody else's cgroup is called.
const CANARY: &str = "portcullis-canary";

/// A captured cgroup with everything below it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Tree {
    /// The workloads of `portcullis run`, all together.
    Runs,
    /// A cgroup that somebody else manages, by the name of its [`Existing`](super::Existing).
    Existing(Arc<str>),
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Runs => f.write_str("run"),
            Self::Existing(name) => write!(f, "existing {name}"),
        }
    }
}

impl Capture {
    /// Everything that is captured.
    pub fn captured(&self) -> Vec<Tree> {
        let existing = self.existing.all();
        let existing = existing.iter().map(|tree| Tree::Existing(tree.existing.name.as_str().into()));
        [Tree::Runs].into_iter().chain(existing).collect()
    }

    /// The workload's name of a cgroup, by its path below the mount.
    pub fn workload_at(&self, cgroup: &Path) -> Option<Arc<str>> {
        self.name_of(cgroup)
    }

    /// The tree that a cgroup, by its path below the mount, belongs to.
    pub fn tree_of(&self, cgroup: &Path) -> Option<Tree> {
        if enrolment::name_of(cgroup, &self.root.join("workloads")).is_some() {
            return Some(Tree::Runs);
        }
        self.existing.of(cgroup).map(|tree| Tree::Existing(tree.existing.name.as_str().into()))
    }

    /// Asks the kernel whether every program is in force on this tree, and whether it would stay without the daemon.
    pub fn verify_tree(&self, tree: &Tree) -> Result<(), CaptureError> {
        self.verify_hooks()?;
        self.attached(tree, |attachment, pins| {
            attachment.verify(&self.programs)?;
            attachment.verify_pins(&self.programs, &self.pins, pins)
        })
    }

    /// Attaches to this tree what is missing there. What still is attached stays, without a moment in between.
    pub fn reattach(&self, tree: &Tree) -> Result<(), CaptureError> {
        self.pins.renew(&self.programs)?;
        let again = |attachment: &mut Attachment, pins: &str| {
            let cgroup = Cgroup::open(attachment.cgroup().directory().to_owned());
            let cgroup = cgroup.map_err(at("open the cgroup", attachment.cgroup().directory()))?;
            *attachment = Attachment::ensure(&self.programs, &self.pins, pins, cgroup, attachment.scope())?;
            Ok(())
        };
        self.attached(tree, again)?;
        self.lsm.as_ref().map_or(Ok(()), |lsm| lsm.pin_again(&self.pins))?;
        // A cgroup that was made anew has another number.
        self.govern()
    }

    /// Makes a cgroup in this tree for a canary, which nobody else enters.
    pub fn enrol_canary(&self, tree: &Tree) -> Result<Enrolment, CaptureError> {
        match tree {
            Tree::Runs => self.enrol("canary"),
            Tree::Existing(_) => self.attached(tree, |attachment, _| {
                // One of an earlier daemon that was killed in the middle; where it is not empty, the next number is free.
                for left in Enrolment::all(attachment.cgroup().directory())? {
                    if **left.name() == *CANARY {
                        let _ = left.release();
                    }
                }
                Enrolment::create(attachment.cgroup().directory(), CANARY)
            }),
        }
    }

    /// Hands over the tree's attachment, and the name under which its links are pinned.
    fn attached<T>(
        &self,
        tree: &Tree,
        look: impl FnOnce(&mut Attachment, &str) -> Result<T, CaptureError>,
    ) -> Result<T, CaptureError> {
        match tree {
            Tree::Runs => look(&mut self.workloads.lock(), "workloads"),
            Tree::Existing(name) => {
                let gone = || CaptureError::NoTree(name.clone());
                let tree = self.existing.named(name).ok_or_else(gone)?;
                let mut attachment = tree.attachment.lock();
                // Released while this waited: nothing may be attached there again.
                self.existing.named(name).ok_or_else(gone)?;
                look(&mut attachment, &tree.existing.pins())
            }
        }
    }
}
