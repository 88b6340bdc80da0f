use std::{fmt, num::NonZeroUsize};

use lru::LruCache;
use parking_lot::Mutex;
use zeroize::Zeroize;

/// Most pairs of salt and iteration count that one credential remembers.
///
/// A server keeps one pair for each user until the password changes; more than one is met only where
/// a credential serves several servers.
pub const SCRAM_KEYS_MAX: usize = 16;

const CAPACITY: NonZeroUsize = match NonZeroUsize::new(SCRAM_KEYS_MAX) {
    Some(capacity) => capacity,
    None => NonZeroUsize::MIN,
};

/// The two keys that SCRAM-SHA-256 derives from a password ([RFC 5802, section 3]).
/// Overwritten when dropped.
///
/// [RFC 5802, section 3]: https://www.rfc-editor.org/rfc/rfc5802#section-3
#[derive(Clone, Eq, PartialEq)]
pub struct SessionKeys {
    /// `ClientKey`: whoever has it can log in.
    pub client: [u8; 32],
    /// `ServerKey`: proves that the server knows the password too.
    pub server: [u8; 32],
}

impl Drop for SessionKeys {
    fn drop(&mut self) {
        self.client.zeroize();
        self.server.zeroize();
    }
}

impl fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKeys(…)")
    }
}

/// The derived keys of one password, by the salt and iteration count that the server asked for.
///
/// It lives inside the credential, so that a rotated password starts with an empty cache.
pub struct ScramKeys(Mutex<LruCache<Salting, SessionKeys>>);

#[derive(Eq, Hash, PartialEq)]
struct Salting {
    salt: Box<[u8]>,
    iterations: u32,
}

impl ScramKeys {
    /// The keys for `salt` and `iterations`, derived by `derive` where they are not known yet.
    ///
    /// No lock is held while `derive` runs: two sessions that ask at the same time both derive.
    pub fn keys_for(&self, salt: &[u8], iterations: u32, derive: impl FnOnce() -> SessionKeys) -> SessionKeys {
        let salting = Salting { salt: salt.into(), iterations };
        if let Some(known) = self.0.lock().get(&salting) {
            return known.clone();
        }
        let derived = derive();
        self.0.lock().put(salting, derived.clone());
        derived
    }
}

impl Default for ScramKeys {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(CAPACITY)))
    }
}

impl fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(byte: u8) -> SessionKeys {
        SessionKeys { client: [byte; 32], server: [byte; 32] }
    }

    #[test]
    fn a_salt_is_derived_once() {
        let cache = ScramKeys::default();
        assert_eq!(cache.keys_for(b"salt", 4096, || keys(1)), keys(1));
        assert_eq!(cache.keys_for(b"salt", 4096, || panic!("derived again")), keys(1));
    }

    #[test]
    fn another_salt_or_count_never_gives_known_keys() {
        let cache = ScramKeys::default();
        cache.keys_for(b"salt", 4096, || keys(1));
        assert_eq!(cache.keys_for(b"salt", 4097, || keys(2)), keys(2));
        assert_eq!(cache.keys_for(b"tlas", 4096, || keys(3)), keys(3));
    }

    #[test]
    fn a_server_that_changes_its_salt_each_time_cannot_grow_the_cache() {
        let cache = ScramKeys::default();
        for salt in 0..10 * SCRAM_KEYS_MAX {
            cache.keys_for(&salt.to_le_bytes(), 4096, || keys(0));
        }
        assert_eq!(cache.0.lock().len(), SCRAM_KEYS_MAX);
    }

    #[test]
    fn nothing_is_shown() {
        let cache = ScramKeys::default();
        cache.keys_for(b"salt", 4096, || keys(0xab));
        assert_eq!(format!("{cache:?} {:?}", keys(0xab)), "ScramKeys(…) SessionKeys(…)");
    }
}
