//! What was heard outside of the workload. An attacker's own belief counts for nothing.

use std::{
    collections::BTreeSet,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::scene::Scene;

/// Longest that a fence may take from one end of the wire to the other.
const FENCE_MAX: Duration = Duration::from_secs(5);

/// Collects, from all listeners, what belongs to the attempt that is under way.
#[derive(Default)]
pub struct Ear {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Byte strings that nobody but the attacker would say.
    marks: Vec<Vec<u8>>,
    /// Whether events count as well.
    events: bool,
    heard: BTreeSet<String>,
    /// The newest fence that came through.
    fence: u64,
}

/// What stands before a fence's number on the wire.
pub const FENCE: &[u8] = b"portcullis-fence:";

impl Ear {
    /// From now on listens for this attempt.
    pub fn listen(&self, scene: &Scene) {
        let mut state = self.state();
        state.marks = vec![scene.marker().to_vec(), scene.group().octets().to_vec(), scene.group6().octets().to_vec()];
        state.events = true;
        state.heard.clear();
    }

    /// For the rest of this attempt only bytes count.
    pub fn overlook_events(&self) {
        self.state().events = false;
    }

    /// Ends the attempt; answers where it was heard.
    pub fn close(&self) -> BTreeSet<String> {
        let mut state = self.state();
        state.marks.clear();
        std::mem::take(&mut state.heard)
    }

    /// Takes note of bytes that arrived somewhere.
    pub fn hear(&self, place: &str, bytes: &[u8]) {
        let mut state = self.state();
        if state.marks.iter().any(|mark| contains(bytes, mark)) {
            state.heard.insert(place.to_owned());
        }
    }

    /// Takes note of an event that nobody but the attacker can have caused.
    pub fn notice(&self, event: &str) {
        let mut state = self.state();
        if !state.marks.is_empty() && state.events {
            state.heard.insert(event.to_owned());
        }
    }

    /// Notes a fence; true when the bytes are one.
    pub fn pass_fence(&self, bytes: &[u8]) -> bool {
        let Some(at) = find(bytes, FENCE) else { return false };
        let number =
            bytes.get(at + FENCE.len()..).and_then(|rest| rest.first_chunk()).map(|it| u64::from_be_bytes(*it));
        self.state().fence = number.unwrap_or_default();
        self.changed.notify_all();
        true
    }

    /// Waits until a fence has come through, and with it everything that was sent before it.
    pub fn await_fence(&self, number: u64) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), FENCE_MAX, |state| state.fence < number);
        waited.is_ok_and(|(_, timeout)| !timeout.timed_out())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    find(bytes, wanted).is_some()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scene(marker: &str) -> Scene {
        Scene { marker: marker.into(), port: 7001, ..Scene::default() }
    }

    #[test]
    fn only_the_attempt_under_way_is_heard() {
        let ear = Ear::default();
        ear.hear("wire", b"..marker-1..");
        ear.notice("a connection");
        ear.listen(&scene("marker-2"));
        ear.hear("wire", b"..marker-1..");
        assert!(ear.close().is_empty());
        ear.listen(&scene("marker-3"));
        ear.hear("wire", b"..marker-3..");
        assert_eq!(ear.close(), BTreeSet::from(["wire".to_owned()]));
    }

    #[test]
    fn events_can_be_overlooked_and_bytes_cannot() {
        let ear = Ear::default();
        for overlooked in [false, true] {
            ear.listen(&scene("marker"));
            if overlooked {
                ear.overlook_events();
            }
            ear.notice("a connect");
            ear.hear("wire", b"marker");
            assert_eq!(ear.close().contains("a connect"), !overlooked);
        }
    }

    #[test]
    fn a_group_is_a_mark() {
        let ear = Ear::default();
        let scene = scene("marker");
        ear.listen(&scene);
        ear.hear("wire", &[&[0x16, 0, 0, 0][..], &scene.group().octets()].concat());
        assert_eq!(ear.close().len(), 1);
    }

    #[test]
    fn a_fence_ends_the_wait_for_it() {
        let ear = Ear::default();
        assert!(!ear.pass_fence(b"something else"));
        assert!(ear.pass_fence(&[FENCE, &7_u64.to_be_bytes()].concat()));
        assert!(ear.await_fence(7));
    }
}
