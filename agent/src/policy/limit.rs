//! What an answer is held to: the most rows, the most bytes, the longest time.

use std::{fmt, time::Duration};

use crate::policy::RuleId;

/// What can be limited.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Limit {
    Rows,
    Bytes,
    Time,
}

impl Limit {
    pub const ALL: [Self; 3] = [Self::Rows, Self::Bytes, Self::Time];

    /// As the schema and tests write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rows => "rows",
            Self::Bytes => "bytes",
            Self::Time => "time",
        }
    }

    /// The annotation that sets it.
    pub const fn annotation(self) -> &'static str {
        match self {
            Self::Rows => "limit_rows",
            Self::Bytes => "limit_bytes",
            Self::Time => "statement_timeout",
        }
    }
}

/// The tightest bounds of all rules that matched.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Rows of one answer.
    pub rows: Option<Bound<u64>>,
    /// Bytes of one answer's rows, as the server sends them.
    pub bytes: Option<Bound<u64>>,
    /// For one statement to run.
    pub time: Option<Bound<Duration>>,
}

/// The most that a rule lets through.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bound<T> {
    pub most: T,
    pub rule: RuleId,
}

impl Limits {
    pub const fn is_empty(&self) -> bool {
        self.rows.is_none() && self.bytes.is_none() && self.time.is_none()
    }

    /// Which limits are set, in the order of [`Limit::ALL`].
    pub fn kinds(&self) -> impl Iterator<Item = Limit> + use<> {
        let set = [self.rows.is_some(), self.bytes.is_some(), self.time.is_some()];
        Limit::ALL.into_iter().zip(set).filter_map(|(limit, is_set)| is_set.then_some(limit))
    }

    /// Takes the lower of each bound; of two that are the same, the first rule stays.
    pub fn tighten(&mut self, other: &Self) {
        lower(&mut self.rows, &other.rows);
        lower(&mut self.bytes, &other.bytes);
        lower(&mut self.time, &other.time);
    }

    /// Each limit that is set and its bound, for people and tests.
    pub fn described(&self) -> impl Iterator<Item = (Limit, String)> + use<> {
        let rows = self.rows.as_ref().map(|bound| (Limit::Rows, bound.most.to_string()));
        let bytes = self.bytes.as_ref().map(|bound| (Limit::Bytes, bound.most.to_string()));
        let time = self.time.as_ref().map(|bound| (Limit::Time, format!("{}s", bound.most.as_secs())));
        [rows, bytes, time].into_iter().flatten()
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn lower<T: Ord + Copy>(known: &mut Option<Bound<T>>, other: &Option<Bound<T>>) {
    let Some(other) = other else { return };
    if known.as_ref().is_none_or(|known| other.most < known.most) {
        *known = Some(other.clone());
    }
}
