//! The trees for which the gate is closed, because their capture does not hold.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use parking_lot::RwLock;

use crate::{capture::Tree, gate::Denial};

/// Why and since when nothing of a tree passes.
#[derive(Clone, Debug)]
pub struct Closure {
    /// For operators: it may say where the capture has its hole.
    pub reason: Arc<str>,
    pub since: SystemTime,
}

/// Every closed tree. A tree that is not here is open.
#[derive(Debug, Default)]
pub struct Closures(RwLock<BTreeMap<Tree, Closure>>);

impl Closures {
    /// What a workload may read about its own closure.
    pub const MESSAGE: &str = "the gate is closed for this workload, because its capture is not proven";
    const HINT: &str =
        "it opens again by itself when the capture is proven; `portcullis status` tells the operator why";

    /// What a session of a closed tree ends with.
    pub fn denial() -> Denial {
        let (message, hint) = (Self::MESSAGE.to_owned(), Self::HINT.to_owned());
        Denial { message, rule: None, hint, reference: String::new() }
    }

    /// Closes; whether it was open before.
    pub fn close(&self, tree: Tree, reason: &str) -> bool {
        let mut closed = self.0.write();
        let since = closed.get(&tree).map_or_else(SystemTime::now, |closure| closure.since);
        closed.insert(tree, Closure { reason: reason.into(), since }).is_none()
    }

    /// Opens again; the closure that ends by it.
    pub fn open(&self, tree: &Tree) -> Option<Closure> {
        self.0.write().remove(tree)
    }

    pub fn is_closed(&self, tree: &Tree) -> bool {
        self.0.read().contains_key(tree)
    }

    pub fn list(&self) -> BTreeMap<Tree, Closure> {
        self.0.read().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_stays_closed_since_its_first_closing() {
        let closures = Closures::default();
        assert!(closures.close(Tree::Runs, "`egress` is gone"));
        let since = closures.list()[&Tree::Runs].since;
        assert!(!closures.close(Tree::Runs, "`connect4` is gone"));
        assert!(closures.is_closed(&Tree::Runs));
        assert!(!closures.is_closed(&Tree::Existing("ci".into())), "another tree stays open");
        let closure = closures.open(&Tree::Runs).unwrap();
        assert_eq!((closure.since, &*closure.reason), (since, "`connect4` is gone"));
        assert!(!closures.is_closed(&Tree::Runs));
        assert!(closures.open(&Tree::Runs).is_none());
    }
}
