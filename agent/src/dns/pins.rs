//! Which names each workload was told for an address: what it means when it dials that address.

use std::{
    net::IpAddr,
    num::NonZeroUsize,
    sync::Arc,
    time::{Duration, Instant},
};

use hickory_proto::rr::Name;
use lru::LruCache;
use parking_lot::Mutex;

/// Workloads that are remembered; of more of them, those that asked last.
pub const WORKLOADS_MAX: usize = 4096;
/// Most addresses that one workload was told of, and most names for one of them; the latest stay.
pub const ADDRESSES_MAX: usize = 1024;
pub const NAMES_MAX: usize = 64;

/// How long an answer is remembered: as long as its records say, within these. Programs keep what they were told, too,
/// and dial it later.
pub const PIN_MIN: Duration = Duration::from_secs(600);
pub const PIN_MAX: Duration = Duration::from_secs(3600);

/// The addresses that one workload was told of.
type Addresses = LruCache<IpAddr, Vec<Pin>>;

/// What each workload was told. It is pure: who asks says what time it is.
#[derive(Debug)]
pub struct Pins(Mutex<LruCache<Arc<str>, Addresses>>);

#[derive(Clone, Debug)]
struct Pin {
    name: Arc<str>,
    until: Instant,
}

impl Default for Pins {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(capacity(WORKLOADS_MAX))))
    }
}

impl Pins {
    /// Remembers that a workload was told this address for a name, to be kept this long.
    pub fn pin(&self, workload: &Arc<str>, name: &Name, address: IpAddr, lifetime: Duration, now: Instant) {
        let name: Arc<str> = plain(name).into();
        let pin = Pin { name: name.clone(), until: now + lifetime.clamp(PIN_MIN, PIN_MAX) };
        let mut workloads = self.0.lock();
        let addresses = workloads.get_or_insert_mut(workload.clone(), || LruCache::new(capacity(ADDRESSES_MAX)));
        let pins = addresses.get_or_insert_mut(address.to_canonical(), Vec::new);
        // The latest last, so that the oldest goes first.
        pins.retain(|pin| pin.name != name && now < pin.until);
        if pins.len() >= NAMES_MAX {
            pins.remove(0);
        }
        pins.push(pin);
    }

    /// The names that a workload was told to be at an address, in lower case and without a dot at the end; the latest
    /// first.
    pub fn names_at(&self, workload: &str, address: IpAddr, now: Instant) -> Vec<Arc<str>> {
        let workloads = self.0.lock();
        let pins = workloads.peek(workload).and_then(|addresses| addresses.peek(&address.to_canonical()));
        let valid = pins.into_iter().flatten().rev().filter(|pin| now < pin.until);
        valid.map(|pin| pin.name.clone()).collect()
    }
}

fn plain(name: &Name) -> String {
    name.to_lowercase().to_string().trim_end_matches('.').to_owned()
}

const fn capacity(number: usize) -> NonZeroUsize {
    match NonZeroUsize::new(number) {
        Some(number) => number,
        None => NonZeroUsize::MIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_secs(1);

    struct Asked {
        pins: Pins,
        start: Instant,
    }

    impl Asked {
        fn new() -> Self {
            Self { pins: Pins::default(), start: Instant::now() }
        }

        fn pin(&self, workload: &str, name: &str, address: &str, lifetime: Duration, after: Duration) {
            let name = Name::from_ascii(name).unwrap();
            self.pins.pin(&workload.into(), &name, address.parse().unwrap(), lifetime, self.start + after);
        }

        fn names(&self, workload: &str, address: &str, after: Duration) -> Vec<String> {
            let names = self.pins.names_at(workload, address.parse().unwrap(), self.start + after);
            names.iter().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn several_names_behind_one_address_are_told_the_latest_first() {
        let asked = Asked::new();
        for name in ["A.cdn.example.", "b.cdn.example.", "a.cdn.example."] {
            asked.pin("agent", name, "192.0.2.1", SHORT, Duration::ZERO);
        }
        assert_eq!(asked.names("agent", "192.0.2.1", SHORT), ["a.cdn.example", "b.cdn.example"]);
        assert_eq!(asked.names("agent", "::ffff:192.0.2.1", SHORT).len(), 2);
        assert!(asked.names("agent", "192.0.2.2", SHORT).is_empty());
        assert!(asked.names("other", "192.0.2.1", SHORT).is_empty(), "what another workload was told is not its own");
    }

    #[test]
    fn an_answer_is_remembered_as_long_as_it_says_within_bounds() {
        let asked = Asked::new();
        let day = Duration::from_secs(86_400);
        asked.pin("agent", "short.example.", "192.0.2.1", SHORT, Duration::ZERO);
        asked.pin("agent", "long.example.", "192.0.2.2", day, Duration::ZERO);
        assert_eq!(asked.names("agent", "192.0.2.1", PIN_MIN - SHORT).len(), 1);
        assert!(asked.names("agent", "192.0.2.1", PIN_MIN).is_empty());
        assert_eq!(asked.names("agent", "192.0.2.2", PIN_MAX - SHORT).len(), 1);
        assert!(asked.names("agent", "192.0.2.2", PIN_MAX).is_empty());
    }

    #[test]
    fn a_workload_that_asks_for_ever_new_names_cannot_grow_the_memory() {
        let asked = Asked::new();
        for number in 0..2 * NAMES_MAX {
            asked.pin("agent", &format!("n{number}.example."), "192.0.2.1", SHORT, Duration::ZERO);
        }
        let names = asked.names("agent", "192.0.2.1", SHORT);
        assert_eq!((names.len(), names.first().map(String::as_str)), (NAMES_MAX, Some("n127.example")));
        for number in 0..2 * ADDRESSES_MAX {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + u32::try_from(number).unwrap()).to_string();
            asked.pin("agent", "a.example.", &address, SHORT, Duration::ZERO);
        }
        assert_eq!(asked.pins.0.lock().peek("agent").unwrap().len(), ADDRESSES_MAX);
        for number in 0..2 * WORKLOADS_MAX {
            asked.pin(&format!("w{number}"), "a.example.", "192.0.2.1", SHORT, Duration::ZERO);
        }
        assert_eq!(asked.pins.0.lock().len(), WORKLOADS_MAX);
    }
}
