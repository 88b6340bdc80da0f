//! Masking: how a sensitive value is changed before the workload sees it.
//!
//! Two ways lead here. A column whose data class is known has each of its values masked whole
//! ([`Masker::apply`]). Values of no known class are searched for content that gives itself away
//! ([`Detectors::scan`]), and what is found is masked inside its text. The second way is the last
//! line of defence, never the first: `README.md` beside this file says what it cannot see.

pub mod body;
mod detect;
pub mod json;
mod names;
mod number;
mod pseudonym;
mod shape;
mod token;

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use self::pseudonym::Pseudonyms;
pub use self::{
    detect::{DETECTED, Detectors, Sieve, Sifted},
    names::class_of_name,
};
use crate::target::Class;

/// What stands where a value was redacted.
pub const REDACTED: &str = "[redacted]";

/// How a value is masked. Ordered from lenient to strict: the strictest of several wins by `max`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// All but the last four characters.
    Last4,
    /// Enough of the value's shape to recognise it: `a***@e***.com`.
    Partial,
    /// Other digits in place of the digits, by a key; a keyed hash for what is not digits.
    Pseudonym,
    /// A keyed hash: the same value gives the same token, and nobody can go back.
    Hash,
    /// A fixed word.
    Redact,
    /// No value at all.
    Null,
}

/// What the workload receives in a value's place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Masked {
    Value(Vec<u8>),
    Null,
}

/// Masks values by class and method.
///
/// Its key makes the tokens of [`Method::Hash`] and [`Method::Pseudonym`]: who holds it can test guesses against the
/// first, and undo the second.
#[derive(Clone)]
pub struct Masker {
    key: [u8; 32],
    pseudonyms: Pseudonyms,
}

impl Masker {
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, pseudonyms: Pseudonyms::new(&key) }
    }

    /// Masks one whole value.
    ///
    /// An empty value stays empty, for it tells nothing but that. A value that is not UTF-8 cannot
    /// be shown in part, so that every method but [`Method::Null`] redacts it.
    pub fn apply(&self, method: Method, class: &Class, value: &[u8]) -> Masked {
        if method == Method::Null {
            return Masked::Null;
        }
        if value.is_empty() {
            return Masked::Value(Vec::new());
        }
        let masked = match (method, str::from_utf8(value)) {
            (Method::Last4, Ok(text)) => shape::last4(text),
            (Method::Partial, Ok(text)) => shape::partial(text),
            (Method::Pseudonym, Ok(text)) => match self.pseudonyms.text(class, text) {
                Some(text) => text,
                None => token::token(&self.key, class, text),
            },
            (Method::Hash, Ok(text)) => token::token(&self.key, class, text),
            (Method::Redact | Method::Null, Ok(_)) | (_, Err(_)) => REDACTED.to_owned(),
        };
        Masked::Value(masked.into_bytes())
    }

    /// Searches one value for what `masks` names, and masks what it finds; `None`: nothing found.
    ///
    /// Who has many values to search compiles [`Detectors`] once.
    pub fn scan(&self, value: &[u8], masks: &BTreeMap<Class, Method>) -> Option<Masked> {
        Detectors::for_masks(masks).scan(self, value)
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
