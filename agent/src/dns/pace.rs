//! How fast a workload may ask.

use std::{collections::HashMap, sync::Arc, time::Instant};

use super::{ASKED_MAX, PACE_WINDOW, WILD_ASKED_MAX};

/// Workloads that are paced each for itself; more of them share a pace.
const WORKLOADS_MAX: usize = 4096;

/// What each workload has asked of resolvers in its window.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<Arc<str>, Window>);

#[derive(Clone, Copy, Debug)]
struct Window {
    begun: Instant,
    asked: u32,
    wild: u32,
}

impl Pace {
    /// Whether one more question may go on; `wild` is one whose name the workload has chosen a part of.
    pub(super) fn admits(&mut self, workload: &Arc<str>, wild: bool, now: Instant) -> bool {
        if self.0.len() >= WORKLOADS_MAX && !self.0.contains_key(workload) {
            self.0.retain(|_, window| now.saturating_duration_since(window.begun) < PACE_WINDOW);
        }
        let full = self.0.len() >= WORKLOADS_MAX && !self.0.contains_key(workload);
        let key = if full { "".into() } else { workload.clone() };
        let fresh = Window { begun: now, asked: 0, wild: 0 };
        let window = self.0.entry(key).or_insert(fresh);
        if now.saturating_duration_since(window.begun) >= PACE_WINDOW {
            *window = fresh;
        }
        if window.asked >= ASKED_MAX || (wild && window.wild >= WILD_ASKED_MAX) {
            return false;
        }
        window.asked += 1;
        window.wild += u32::from(wild);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_workloads_choice_come_slowly() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let (agent, other): (Arc<str>, Arc<str>) = ("agent".into(), "other".into());
        let admitted = (0..1000).filter(|_| pace.admits(&agent, true, now)).count();
        assert_eq!(admitted, WILD_ASKED_MAX as usize);
        assert!(pace.admits(&agent, false, now), "names that are known go on");
        assert!(pace.admits(&other, true, now), "another workload has its own pace");
        assert!(pace.admits(&agent, true, now + PACE_WINDOW));
    }

    #[test]
    fn a_flood_of_known_names_ends() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let admitted = (0..2 * ASKED_MAX).filter(|_| pace.admits(&"agent".into(), false, now)).count();
        assert_eq!(admitted, ASKED_MAX as usize);
    }

    #[test]
    fn workloads_without_end_take_no_memory_without_end() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for number in 0..2 * WORKLOADS_MAX {
            pace.admits(&format!("w{number}").into(), false, now);
        }
        assert_eq!(pace.0.len(), WORKLOADS_MAX + 1);
        assert!(pace.admits(&"late".into(), false, now + PACE_WINDOW));
        assert_eq!(pace.0.len(), 1);
    }
}
