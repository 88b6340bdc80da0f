//! How much of the host's record one workload may fill.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Entries of one workload in one [`WINDOW`]; what exceeds them is counted and told at the window's end.
pub const NOTED_MAX: u32 = 20;
pub const WINDOW: Duration = Duration::from_secs(60);
/// Workloads that have a quota of their own at one moment; more of them share the last.
pub const WORKLOADS_MAX: usize = 4096;

/// Under what name workloads beyond [`WORKLOADS_MAX`] are told together.
const OTHERS: &str = "(others)";

/// The quota of each workload that has used some.
#[derive(Debug, Default)]
pub(super) struct Quotas(BTreeMap<Arc<str>, Window>);

#[derive(Debug)]
struct Window {
    begun: Instant,
    noted: u32,
    /// Those beyond the quota, by kind.
    held: BTreeMap<&'static str, u64>,
}

/// What a workload did beyond its quota, in one window.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Excess {
    pub workload: Arc<str>,
    pub kind: &'static str,
    pub count: u64,
}

impl Quotas {
    /// Whether one more entry of this workload may be written; if not, it is counted.
    pub(super) fn take(&mut self, workload: &Arc<str>, kind: &'static str, now: Instant) -> bool {
        let full = self.0.len() >= WORKLOADS_MAX && !self.0.contains_key(workload);
        let key = if full { OTHERS.into() } else { workload.clone() };
        let window = self.0.entry(key).or_insert_with(|| Window { begun: now, noted: 0, held: BTreeMap::new() });
        if window.noted < NOTED_MAX {
            window.noted += 1;
            return true;
        }
        *window.held.entry(kind).or_default() += 1;
        false
    }

    /// Ends the windows that are over, and tells what they held back.
    pub(super) fn end_windows(&mut self, now: Instant) -> Vec<Excess> {
        let over = |window: &Window| now.saturating_duration_since(window.begun) >= WINDOW;
        let ended: Vec<_> = self.0.extract_if(.., |_, window| over(window)).collect();
        let excess = ended.into_iter().flat_map(|(workload, window)| {
            let told = move |(kind, count)| Excess { workload: workload.clone(), kind, count };
            window.held.into_iter().map(told)
        });
        excess.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_workload_fills_its_own_quota_and_no_other() {
        let (mut quotas, now) = (Quotas::default(), Instant::now());
        let (hostile, quiet): (Arc<str>, Arc<str>) = ("hostile".into(), "quiet".into());
        let written = (0..1000).filter(|_| quotas.take(&hostile, "socket", now)).count();
        assert_eq!(written, NOTED_MAX as usize);
        assert!(!quotas.take(&hostile, "connect", now));
        assert!(quotas.take(&quiet, "connect", now));

        assert_eq!(quotas.end_windows(now), [], "the window goes on");
        let told = quotas.end_windows(now + WINDOW);
        let excess = |kind, count| Excess { workload: hostile.clone(), kind, count };
        assert_eq!(told, [excess("connect", 1), excess("socket", 1000 - u64::from(NOTED_MAX))]);
        assert!(quotas.take(&hostile, "socket", now + WINDOW), "a new window has a new quota");
    }

    #[test]
    fn workloads_without_end_take_no_memory_without_end() {
        let (mut quotas, now) = (Quotas::default(), Instant::now());
        for number in 0..2 * WORKLOADS_MAX {
            quotas.take(&format!("w{number}").into(), "socket", now);
        }
        assert!(quotas.0.len() <= WORKLOADS_MAX + 1);
        let told = quotas.end_windows(now + WINDOW);
        assert_eq!(told.len(), 1);
        assert_eq!((&*told[0].workload, told[0].count), (OTHERS, WORKLOADS_MAX as u64 - u64::from(NOTED_MAX)));
    }
}
