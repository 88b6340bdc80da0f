//! Credentials that the daemon holds and workloads never see.

use std::{fmt, sync::Arc};

/// What the daemon logs in with upstream.
#[derive(Debug)]
pub struct Credential {
    pub name: Arc<str>,
    pub user: String,
    pub password: Option<Secret>,
}

/// Bytes that are never shown: not by `Debug`, not in logs, errors or records.
pub struct Secret(Vec<u8>);

impl Secret {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that must send or derive from them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
