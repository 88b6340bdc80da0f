//! Continuous proof: each captured tree is looked at every few seconds and proven by a canary every minute.
//!
//! A tree of which a program is missing, or whose canary gets out, is *closed*: its sessions end, its connections are
//! refused with the reason. Its programs are attached again, and it opens when a canary is captured.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::Mutex;

use super::{audit::Audit, event::Event};
use crate::{
    accept::Closures,
    capture::{
        Tree,
        canary::{self, CanaryError},
    },
    connection::Gatehouse,
};

/// How often the kernel is asked whether every program is in force.
pub const VERIFY_INTERVAL: Duration = Duration::from_secs(2);
/// How often a canary proves that capture holds.
pub const CANARY_INTERVAL: Duration = Duration::from_secs(60);
/// How many canaries in a row may come to nothing before the tree is closed. One that gets out closes it at once.
pub const UNPROVEN_MAX: u32 = 3;
/// How often the record repeats that a tree is proven.
pub const PROVEN_NOTE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// What is known of the capture of every tree.
pub struct Prover {
    gatehouse: Arc<Gatehouse>,
    audit: Arc<Audit>,
    trees: Mutex<BTreeMap<Tree, Proof>>,
}

/// What canaries have shown of one tree.
#[derive(Clone, Debug, Default)]
pub struct Proof {
    /// When the last canary was captured.
    pub proven: Option<SystemTime>,
    pub held: u64,
    pub failed: u64,
    /// Canaries in a row that showed nothing.
    unproven: u32,
    /// When the last canary was sent.
    tried: Option<Instant>,
    noted: Option<Instant>,
}

impl Prover {
    pub fn new(gatehouse: Arc<Gatehouse>, audit: Arc<Audit>) -> Self {
        Self { gatehouse, audit, trees: Mutex::default() }
    }

    /// Proves every tree before the first workload may come.
    ///
    /// # Errors
    /// When the tree of `portcullis run` is not proven. Another tree that is not is closed, and opens when it is.
    pub async fn prove_all(&self) -> Result<(), CanaryError> {
        for tree in self.gatehouse.capture.captured() {
            match (self.send(&tree).await, &tree) {
                (Ok(()), _) => self.held(&tree),
                (Err(error), Tree::Runs) => return Err(error),
                (Err(error), Tree::Existing(_)) => self.close(&tree, &chain(&error)),
            }
        }
        Ok(())
    }

    /// Looks at every tree, again and again.
    pub async fn keep_proving(self: Arc<Self>) -> anyhow::Result<()> {
        loop {
            tokio::time::sleep(VERIFY_INTERVAL).await;
            let trees = self.gatehouse.capture.captured();
            self.trees.lock().retain(|tree, _| trees.contains(tree));
            for tree in trees {
                self.look_at(&tree).await;
            }
        }
    }

    /// What is known of each tree.
    pub fn proofs(&self) -> BTreeMap<Tree, Proof> {
        self.trees.lock().clone()
    }

    async fn look_at(&self, tree: &Tree) {
        let missing = self.gatehouse.capture.verify_tree(tree).err();
        if let Some(error) = &missing {
            self.close(tree, &chain(error));
            if let Err(error) = self.gatehouse.capture.reattach(tree) {
                self.audit.note(&Event::ReattachFailed { tree: tree.to_string(), reason: chain(&error) });
                return;
            }
        }
        let proof = self.trees.lock().get(tree).cloned().unwrap_or_default();
        let due = proof.unproven > 0 || proof.tried.is_none_or(|at| at.elapsed() >= CANARY_INTERVAL);
        if due || self.gatehouse.closures.is_closed(tree) {
            match self.send(tree).await {
                Ok(()) => self.held(tree),
                Err(error) => self.failed(tree, &error),
            }
        }
    }

    /// Sends a canary process through the capture, and waits for it to come out at the gate.
    async fn send(&self, tree: &Tree) -> Result<(), CanaryError> {
        let mut command = tokio::process::Command::new("/proc/self/exe");
        command.arg("canary");
        let result = canary::prove(&self.gatehouse.capture, &self.gatehouse.canary, tree, command).await;
        let mut trees = self.trees.lock();
        let proof = trees.entry(tree.clone()).or_default();
        proof.tried = Some(Instant::now());
        match &result {
            Ok(()) => proof.held += 1,
            Err(_) => proof.failed += 1,
        }
        result
    }

    fn held(&self, tree: &Tree) {
        let reopened = self.gatehouse.closures.open(tree);
        let tell = {
            let mut trees = self.trees.lock();
            let proof = trees.entry(tree.clone()).or_default();
            proof.proven = Some(SystemTime::now());
            let tell = proof.unproven > 0 || proof.noted.is_none_or(|at| at.elapsed() >= PROVEN_NOTE_INTERVAL);
            proof.unproven = 0;
            if tell {
                proof.noted = Some(Instant::now());
            }
            tell
        };
        if let Some(closure) = reopened {
            let after = closure.since.elapsed().unwrap_or_default();
            self.audit.note(&Event::Reopened { tree: tree.to_string(), after });
        } else if tell {
            self.audit.note(&Event::Proven { tree: tree.to_string() });
        }
    }

    fn failed(&self, tree: &Tree, error: &CanaryError) {
        let unproven = {
            let mut trees = self.trees.lock();
            let proof = trees.entry(tree.clone()).or_default();
            proof.unproven = proof.unproven.saturating_add(1);
            proof.unproven
        };
        if error.is_escape() || unproven >= UNPROVEN_MAX {
            self.close(tree, &chain(error));
        } else if !self.gatehouse.closures.is_closed(tree) {
            self.audit.note(&Event::Unproven { tree: tree.to_string(), reason: chain(error) });
        }
    }

    /// Lets nothing of this tree pass any more.
    fn close(&self, tree: &Tree, reason: &str) {
        let newly = self.gatehouse.closures.close(tree.clone(), reason);
        let of_tree = |cgroup: &str| self.gatehouse.capture.tree_of(cgroup.as_ref()).as_ref() == Some(tree);
        let sessions = self.gatehouse.live.end_where(&Closures::denial(), |session| of_tree(&session.cgroup));
        if newly {
            self.audit.note(&Event::Closed { tree: tree.to_string(), reason: reason.to_owned(), sessions });
        }
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
