//! What may be asked about columns that are masked.

use crate::{
    policy::{Obligations, Rule},
    request::{Footprint, PredicateKind},
    target::Class,
};

/// Which predicates on a masked column a rule lets pass. Ordered from lenient to strict.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Predicates {
    /// All of them: whoever asks often enough learns the values.
    Allow,
    /// Comparison of the whole column with constants: guesses, one at a time.
    Equality,
    /// None.
    #[default]
    Refuse,
}

/// The names that `@predicates` uses.
pub const PREDICATES: [(&str, Predicates); 3] =
    [("allow", Predicates::Allow), ("equality", Predicates::Equality), ("refuse", Predicates::Refuse)];

impl Predicates {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Equality => "equality",
            Self::Refuse => "refuse",
        }
    }

    const fn lets_pass(self, kind: PredicateKind) -> bool {
        match (self, kind) {
            (Self::Allow, _) | (Self::Equality, PredicateKind::Equality) => true,
            (Self::Equality, PredicateKind::Grouping | PredicateKind::Order | PredicateKind::Filter)
            | (
                Self::Refuse,
                PredicateKind::Equality | PredicateKind::Grouping | PredicateKind::Order | PredicateKind::Filter,
            ) => false,
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Allow => "",
            Self::Equality => {
                "the whole column may be compared by `=`, `IN (…)` or `= ANY (…)` with constants or parameters, and nothing else"
            }
            Self::Refuse => "rows may be chosen, sorted and grouped by other columns only; `IS NULL` is allowed",
        }
    }
}

/// What a statement would tell about masked columns, and may not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    pub message: String,
    /// `None`: any class.
    pub class: Option<Class>,
    pub terms: Predicates,
}

/// Why a statement is refused that needs no other reason; `None`: it is not.
pub fn refusal(obligations: &Obligations, footprint: &Footprint) -> Option<Refusal> {
    let terms = &obligations.predicates;
    let rule_of = |class: &Option<Class>| match class {
        Some(class) => terms.get(class).copied(),
        // Values of unknown origin may be of any class.
        None => terms.values().copied().max(),
    };
    let refused = footprint.predicates.iter().find_map(|predicate| {
        let terms = rule_of(&predicate.class)?;
        (!terms.lets_pass(predicate.kind)).then_some((predicate, terms))
    });
    refused.map(|(predicate, terms)| {
        let told = super::message::presentable(&predicate.to_string());
        let message = format!("this statement {told}, which is masked: {}", terms.advice());
        Refusal { message, class: predicate.class.clone(), terms }
    })
}

impl Refusal {
    /// Whether a rule is among those that want it.
    pub fn is_wanted_by(&self, rule: &Rule) -> bool {
        let terms = &rule.remedy.predicates;
        match &self.class {
            Some(class) => terms.get(class) == Some(&self.terms),
            None => terms.values().any(|terms| *terms == self.terms),
        }
    }
}
