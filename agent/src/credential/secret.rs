use std::fmt;

use zeroize::Zeroizing;

/// Bytes that are never shown, not by `Debug`, not in logs, errors or records, and are overwritten when dropped.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the one place that must send or derive from them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be read into. Growing leaves the old place behind, not overwritten: reserve room first.
    pub(super) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
