//! How fast a workload may ask, and how much it may spell in what it asks.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use hickory_proto::rr::Name;

use super::{ASKED_MAX, PACE_WINDOW, WILD_ASKED_MAX, WILD_SPELLED_MAX};

/// Workloads that are paced each for itself; more of them share a pace.
const WORKLOADS_MAX: usize = 4096;

/// What each workload has asked in its window.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<Arc<str>, Window>);

#[derive(Debug)]
struct Window {
    begun: Instant,
    asked: u32,
    wild: u32,
    /// Names that the workload has chosen a part of, at most as many as were asked, and the characters of those parts.
    names: HashSet<Name>,
    spelled: usize,
}

/// A name that a workload has chosen so many characters of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spelled<'a>(pub &'a Name, pub usize);

/// What a workload has done too much of in its window.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum TooMuch {
    #[error("too many questions in one minute")]
    Questions,
    #[error("too many names of the workload's own choice in one minute")]
    Names,
    #[error("too many characters of the workload's own choice in one minute")]
    Characters,
}

impl Pace {
    /// Whether one more question may go on.
    pub(super) fn admits(
        &mut self,
        workload: &Arc<str>,
        wild: Option<Spelled<'_>>,
        now: Instant,
    ) -> Result<(), TooMuch> {
        if self.0.len() >= WORKLOADS_MAX && !self.0.contains_key(workload) {
            self.0.retain(|_, window| now.saturating_duration_since(window.begun) < PACE_WINDOW);
        }
        let full = self.0.len() >= WORKLOADS_MAX && !self.0.contains_key(workload);
        let key = if full { "".into() } else { workload.clone() };
        let window = self.0.entry(key).or_insert_with(|| Window::begin(now));
        if now.saturating_duration_since(window.begun) >= PACE_WINDOW {
            *window = Window::begin(now);
        }
        if window.asked >= ASKED_MAX {
            return Err(TooMuch::Questions);
        }
        if let Some(spelled) = wild {
            window.admit(spelled)?;
        }
        window.asked += 1;
        Ok(())
    }
}

impl Window {
    fn begin(now: Instant) -> Self {
        Self { begun: now, asked: 0, wild: 0, names: HashSet::new(), spelled: 0 }
    }

    /// A name that was asked before says nothing new, but when it is asked.
    fn admit(&mut self, Spelled(name, characters): Spelled<'_>) -> Result<(), TooMuch> {
        if self.wild >= WILD_ASKED_MAX {
            return Err(TooMuch::Names);
        }
        if !self.names.contains(name) {
            let spelled = self.spelled.saturating_add(characters);
            if spelled > WILD_SPELLED_MAX {
                return Err(TooMuch::Characters);
            }
            self.spelled = spelled;
            self.names.insert(name.clone());
        }
        self.wild += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::WILD_MAX;

    fn name(number: usize) -> Name {
        Name::from_ascii(format!("n{number}.wild.example.")).unwrap()
    }

    #[test]
    fn names_of_the_workloads_choice_come_slowly() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let (agent, other): (Arc<str>, Arc<str>) = ("agent".into(), "other".into());
        let mut asks = |workload, number, now| pace.admits(workload, Some(Spelled(&name(number), 4)), now);
        let admitted = (0..1000).filter(|number| asks(&agent, *number, now).is_ok()).count();
        assert_eq!(admitted, WILD_ASKED_MAX as usize);
        assert_eq!(asks(&agent, 0, now), Err(TooMuch::Names));
        assert_eq!(asks(&other, 0, now), Ok(()), "another workload has its own pace");
        assert_eq!(asks(&agent, 0, now + PACE_WINDOW), Ok(()));
        assert_eq!(pace.admits(&agent, None, now), Ok(()), "names that are known go on");
    }

    #[test]
    fn what_is_spelled_in_names_is_little() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let mut asks = |number| pace.admits(&"agent".into(), Some(Spelled(&name(number), WILD_MAX)), now);
        let admitted = (0..1000).take_while(|number| asks(*number).is_ok()).count();
        assert_eq!(admitted, WILD_SPELLED_MAX / WILD_MAX);
        assert_eq!(asks(admitted), Err(TooMuch::Characters));
        assert_eq!(asks(0), Ok(()), "what was asked before says nothing new");
    }

    #[test]
    fn a_flood_of_known_names_ends() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let admitted = (0..2 * ASKED_MAX).filter(|_| pace.admits(&"agent".into(), None, now).is_ok()).count();
        assert_eq!(admitted, ASKED_MAX as usize);
        assert_eq!(pace.admits(&"agent".into(), None, now), Err(TooMuch::Questions));
    }

    #[test]
    fn workloads_without_end_take_no_memory_without_end() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        for number in 0..2 * WORKLOADS_MAX {
            let _ = pace.admits(&format!("w{number}").into(), None, now);
        }
        assert_eq!(pace.0.len(), WORKLOADS_MAX + 1);
        assert_eq!(pace.admits(&"late".into(), None, now + PACE_WINDOW), Ok(()));
        assert_eq!(pace.0.len(), 1);
    }
}
