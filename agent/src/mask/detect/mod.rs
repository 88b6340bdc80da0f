//! Finds sensitive content in values of no known class.
//!
//! A coarse sweep over raw bytes ([`Detectors::prefilter`]) tells within a fraction of a nanosecond
//! per byte that nothing can be there; what it cannot clear is searched value by value.

mod aws;
mod card;
mod coarse;
mod email;
mod iban;
mod jwt;
mod kind;
mod pem;
mod planes;
mod runs;
mod sieve;
mod ssn;

use std::{collections::BTreeMap, ops::Range};

pub use self::sieve::{Sieve, Sifted};
use self::{
    kind::{Kind, Kinds},
    sieve::Passing,
};
use super::{Masked, Masker, Method};
use crate::target::Class;

/// The classes of which content can be found.
pub const DETECTED: [&str; 5] = ["credit_card", "ssn", "email", "iban", "secret"];

/// The detectors that one set of mask obligations calls for. Compiled once, used for each value.
#[derive(Clone, Debug, Default)]
pub struct Detectors {
    wanted: Kinds,
    rules: Vec<Rule>,
}

/// What to do with one kind of content.
#[derive(Clone, Debug)]
struct Rule {
    kind: Kind,
    class: Class,
    method: Method,
}

/// A stretch of a value, and the rule that masks it.
#[derive(Debug)]
struct Found<'a> {
    range: Range<usize>,
    class: &'a Class,
    method: Method,
    /// Length of the match that gave the class: the longest of those that overlap.
    longest: usize,
    /// It is, or holds, a private key, which may go on for long.
    is_key: bool,
}

impl Detectors {
    /// Takes the detectors of the classes that are masked. Classes of which no content is known
    /// (`pii`) have none: they are masked by column only.
    pub fn for_masks(masks: &BTreeMap<Class, Method>) -> Self {
        let rules: Vec<_> = Kind::ALL
            .into_iter()
            .filter_map(|kind| {
                let (class, method) = masks.get_key_value(&Class::from(kind.class()))?;
                Some(Rule { kind, class: class.clone(), method: *method })
            })
            .collect();
        let wanted = rules.iter().fold(Kinds::NONE, |kinds, rule| kinds.with(rule.kind));
        Self { wanted, rules }
    }

    /// Whether there is nothing to look for.
    pub const fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Whether any value within these bytes *could* hold something to mask.
    ///
    /// `bytes` may be many values with anything between them, such as rows on the wire, as long as
    /// each value is whole. Never misses what [`Detectors::scan`] would find in one of them.
    pub fn prefilter(&self, bytes: &[u8]) -> bool {
        !self.wanted.is_empty() && coarse::any(bytes, self.wanted)
    }

    /// Masks what is found in one decoded value, in its place; `None`: nothing was found.
    ///
    /// Where matches overlap, the stretch that they cover is masked as one, by the strictest of
    /// their methods, under the class of the longest. A match that must be null makes the value null.
    pub fn scan(&self, masker: &Masker, value: &[u8]) -> Option<Masked> {
        if self.wanted.is_empty() {
            return None;
        }
        let found = self.find(value);
        if found.is_empty() {
            return None;
        }
        Some(replace(masker, value, &found))
    }

    /// What is to be masked, in order and apart from each other.
    fn find(&self, value: &[u8]) -> Vec<Found<'_>> {
        self.find_by(value, |kind, ranges| kind.find(value, ranges))
    }

    /// What is to be masked in a value that has not come whole.
    fn find_passing(&self, passing: Passing<'_>) -> Vec<Found<'_>> {
        self.find_by(passing.text, |kind, ranges| kind.find_passing(passing, ranges))
    }

    /// Whether an AWS key id stands here, where these are looked for.
    fn has_id(&self, text: &[u8]) -> bool {
        let ids = Kinds::NONE.with(Kind::AwsId);
        self.wanted.contains(Kind::AwsId) && coarse::any(text, ids) && aws::has_id(text)
    }

    fn find_by(&self, value: &[u8], find: impl Fn(Kind, &mut Vec<Range<usize>>)) -> Vec<Found<'_>> {
        let likely = coarse::kinds(value, self.wanted);
        let mut found = Vec::new();
        let mut ranges = Vec::new();
        for rule in self.rules.iter().filter(|rule| likely.contains(rule.kind)) {
            find(rule.kind, &mut ranges);
            found.extend(ranges.drain(..).map(|range| Found {
                longest: range.len(),
                is_key: rule.kind == Kind::PrivateKey,
                range,
                class: &rule.class,
                method: rule.method,
            }));
        }
        found.sort_by_key(|found| found.range.start);
        found.dedup_by(|next, first| first.absorb(next));
        found
    }
}

impl<'a> Found<'a> {
    /// Takes in a match that overlaps with this one; `false`: it stands apart.
    fn absorb(&mut self, next: &Found<'a>) -> bool {
        if next.range.start >= self.range.end {
            return false;
        }
        if next.longest > self.longest {
            self.longest = next.longest;
            self.class = next.class;
        }
        self.range.end = self.range.end.max(next.range.end);
        self.method = self.method.max(next.method);
        self.is_key |= next.is_key;
        true
    }
}

fn replace(masker: &Masker, value: &[u8], found: &[Found<'_>]) -> Masked {
    let mut masked = Vec::with_capacity(value.len());
    let mut done = 0;
    for found in found {
        let (Some(between), Some(stretch)) = (value.get(done..found.range.start), value.get(found.range.clone()))
        else {
            return Masked::Null;
        };
        masked.extend_from_slice(between);
        match masker.apply(found.method, found.class, stretch) {
            Masked::Value(text) => masked.extend_from_slice(&text),
            Masked::Null => return Masked::Null,
        }
        done = found.range.end;
    }
    masked.extend_from_slice(value.get(done..).unwrap_or_default());
    Masked::Value(masked)
}

#[cfg(test)]
mod tests;
