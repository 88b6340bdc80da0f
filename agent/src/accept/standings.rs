//! Whether the process trees that somebody else started are fit to pass the gate: each risk that they have must have
//! been accepted by name.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;

use super::findings::{Finding, Risk, unaccepted};
use crate::gate::Denial;

/// What is known of one tree.
#[derive(Clone, Debug)]
pub struct Standing {
    pub workload: Arc<str>,
    pub accepted: Vec<Risk>,
    pub known: Known,
}

/// What examining a tree has shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Known {
    /// It has not been looked at yet.
    Nothing,
    /// It could not be looked at; `cut`: but what it held was cut.
    Failed {
        cut: bool,
        error: String,
    },
    Findings(Vec<Finding>),
}

impl Standing {
    /// Why nothing of it may pass; `None`: it may.
    pub fn refusal(&self) -> Option<String> {
        match &self.known {
            Known::Nothing => Some("it has not been examined yet".to_owned()),
            Known::Failed { error, .. } => Some(format!("it could not be examined: {error}")),
            Known::Findings(findings) => {
                let open = unaccepted(findings, &self.accepted)?;
                Some(format!("its capture alone cannot hold it: {open}"))
            }
        }
    }

    /// Whether the connections that it held when it was captured may still be there.
    pub fn must_be_cut(&self) -> bool {
        match &self.known {
            Known::Nothing | Known::Failed { cut: false, .. } => true,
            Known::Failed { cut: true, .. } | Known::Findings(_) => false,
        }
    }

    pub fn findings(&self) -> &[Finding] {
        match &self.known {
            Known::Findings(findings) => findings,
            Known::Nothing | Known::Failed { .. } => &[],
        }
    }
}

/// Every tree that must be fit, by its cgroup below the mount. What `portcullis run` starts is not among them.
#[derive(Debug, Default)]
pub struct Standings(RwLock<BTreeMap<PathBuf, Standing>>);

impl Standings {
    /// What a workload may read about itself; why, its operator reads.
    pub const MESSAGE: &str = "the gate is closed for this workload, because it has privileges that nobody accepted";

    /// What a session of a tree ends with that is not fit any more.
    pub fn denial() -> Denial {
        let hint = "the operator sees why: `portcullis doctor --workload NAME`";
        Denial { message: Self::MESSAGE.to_owned(), rule: None, hint: hint.to_owned(), reference: String::new() }
    }

    /// Expects a tree: until it is examined, nothing of it passes. Do this before it is captured.
    pub fn expect(&self, cgroup: PathBuf, workload: Arc<str>, accepted: Vec<Risk>) {
        self.0.write().insert(cgroup, Standing { workload, accepted, known: Known::Nothing });
    }

    /// Takes in what examining a tree has shown; answers its refusal before and now.
    pub fn learn(&self, cgroup: &Path, known: Known) -> Option<(Option<String>, Option<String>)> {
        let mut standings = self.0.write();
        let standing = standings.get_mut(cgroup)?;
        let before = standing.refusal();
        standing.known = known;
        Some((before, standing.refusal()))
    }

    pub fn forget(&self, cgroup: &Path) {
        self.0.write().remove(cgroup);
    }

    /// Why nothing may pass of the tree that a cgroup is in.
    pub fn refusal(&self, cgroup: &Path) -> Option<String> {
        let standings = self.0.read();
        cgroup.ancestors().find_map(|cgroup| standings.get(cgroup)).and_then(Standing::refusal)
    }

    pub fn find(&self, cgroup: &Path) -> Option<Standing> {
        self.0.read().get(cgroup).cloned()
    }

    pub fn list(&self) -> BTreeMap<PathBuf, Standing> {
        self.0.read().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expecting(accepted: &[Risk]) -> Standings {
        let standings = Standings::default();
        standings.expect("/ci.slice".into(), "ci".into(), accepted.to_vec());
        standings
    }

    fn root() -> Known {
        Known::Findings(vec![Finding { risk: Risk::Root, detail: "uid 0".into() }])
    }

    #[test]
    fn nothing_passes_before_a_tree_is_known_to_be_fit() {
        let standings = expecting(&[]);
        let refused = || standings.refusal(Path::new("/ci.slice/job")).is_some();
        assert!(refused(), "not examined");
        for (known, fit) in [
            (Known::Failed { cut: true, error: "x".into() }, false),
            (Known::Findings(Vec::new()), true),
            (root(), false),
            (Known::Nothing, false),
        ] {
            let learnt = standings.learn(Path::new("/ci.slice"), known.clone()).unwrap();
            assert_eq!((!refused(), learnt.1.is_none()), (fit, fit), "{known:?}");
        }
    }

    #[test]
    fn an_accepted_risk_passes_and_stays_known() {
        let standings = expecting(&[Risk::Root]);
        standings.learn(Path::new("/ci.slice"), root());
        assert_eq!(standings.refusal(Path::new("/ci.slice")), None);
        assert_eq!(standings.list()[Path::new("/ci.slice")].known, root());
    }

    #[test]
    fn another_tree_is_not_refused() {
        let standings = expecting(&[]);
        assert_eq!(standings.refusal(Path::new("/ci.slice-2/job")), None);
        assert_eq!(standings.learn(Path::new("/other"), root()), None);
    }
}
