//! The users of workloads: each has one of its own, while it lasts.

use std::{
    collections::{HashMap, HashSet},
    ops::RangeInclusive,
};

/// Which workload, by its cgroup, is which user.
#[derive(Debug, Default)]
pub struct Users {
    taken: HashMap<u64, u32>,
    uids: HashSet<u32>,
    /// Where the last search ended: a number comes back as late as can be.
    next: u32,
}

impl Users {
    /// A user of the range that no living workload is; `None` when there is none.
    pub fn claim(&mut self, cgroup_id: u64, range: &RangeInclusive<u32>) -> Option<u32> {
        let (first, last) = (*range.start(), *range.end());
        let from = if range.contains(&self.next) { self.next } else { first };
        let mut candidates = (from..=last).chain(first..from);
        let uid = candidates.find(|uid| !self.uids.contains(uid))?;
        self.note(cgroup_id, uid);
        self.next = uid.saturating_add(1);
        Some(uid)
    }

    /// A workload of an earlier daemon is this user.
    pub fn note(&mut self, cgroup_id: u64, uid: u32) {
        self.taken.insert(cgroup_id, uid);
        self.uids.insert(uid);
        self.next = self.next.max(uid.saturating_add(1));
    }

    pub fn release(&mut self, cgroup_id: u64) {
        if let Some(uid) = self.taken.remove(&cgroup_id) {
            self.uids.remove(&uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_living_workloads_are_one_user() {
        let mut users = Users::default();
        users.note(1, 101);
        let claimed: Vec<_> = (2..5).map(|cgroup| users.claim(cgroup, &(100..=102))).collect();
        assert_eq!(claimed, [Some(102), Some(100), None]);
        users.release(1);
        assert_eq!(users.claim(9, &(100..=102)), Some(101));
    }

    #[test]
    fn a_number_comes_back_late() {
        let mut users = Users::default();
        assert_eq!(users.claim(1, &(100..=200)), Some(100));
        users.release(1);
        assert_eq!(users.claim(2, &(100..=200)), Some(101));
    }
}
