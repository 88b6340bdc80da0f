//! Masking: how a sensitive value is changed before the workload sees it.

use serde::{Deserialize, Serialize};

/// How a value is masked. Ordered from lenient to strict: the strictest of several wins by `max`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// All but the last four characters.
    Last4,
    /// Enough of the value's shape to recognise it: `a***@e***.com`.
    Partial,
    /// A keyed hash: the same value gives the same token, and nobody can go back.
    Hash,
    /// A fixed word.
    Redact,
    /// No value at all.
    Null,
}

/// Masks values by class and method, and finds sensitive content in values of no known class.
#[derive(Debug)]
pub struct Masker;
