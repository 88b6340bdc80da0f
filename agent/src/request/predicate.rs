//! What a statement tells about columns that it does not answer with.

use std::fmt;

use crate::target::Class;

/// One way in which rows, their number or their order depend on a classified column.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Predicate {
    pub kind: PredicateKind,
    /// `None`: values of unknown origin, which may be of any class.
    pub class: Option<Class>,
    /// `schema.table.column`; empty where the origin is unknown.
    pub column: String,
}

/// How a predicate uses values.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PredicateKind {
    /// The column as it stands is compared with constants or parameters, by `=`, `IN (…)` or `= ANY (…)`. Whoever
    /// asks so learns nothing but whether a guess is right.
    Equality,
    /// GROUP BY, DISTINCT, UNION, PARTITION BY.
    Grouping,
    /// ORDER BY.
    Order,
    /// Any other condition, join, or number of rows.
    Filter,
}

impl PredicateKind {
    const fn verb(self) -> &'static str {
        match self {
            Self::Equality => "compares",
            Self::Grouping => "groups by",
            Self::Order => "sorts by",
            Self::Filter => "filters by",
        }
    }
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.class {
            Some(class) => write!(f, "{} {} (class {class})", self.kind.verb(), self.column),
            None => write!(f, "{} values of unknown origin", self.kind.verb()),
        }
    }
}
