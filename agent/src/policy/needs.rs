//! What a decision depends on beside its request: found from what the rules read.

use cedar_policy::pst::Clause;

use crate::policy::{Rule, expression::ContextUse};

/// What may change the answer to the same request of the same principal.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Needs {
    /// The time of day.
    pub clock: bool,
    /// Where the session stands: its transaction, and what has passed so far.
    pub standing: bool,
    /// What the server's planner expects.
    pub estimate: bool,
}

impl Needs {
    /// What one rule reads. A rule that cannot be examined reads everything.
    pub fn of(rule: &Rule) -> Self {
        let Ok(policy) = rule.policy.to_pst() else { return Self { clock: true, standing: true, estimate: true } };
        let mut uses = ContextUse::default();
        for clause in policy.body().clauses() {
            match clause {
                Clause::When(expression) | Clause::Unless(expression) => uses.add(expression),
            }
        }
        Self {
            clock: uses.mentions("clock"),
            standing: uses.mentions("transaction") || uses.mentions("usage"),
            estimate: uses.mentions("estimate"),
        }
    }

    pub const fn and(self, other: Self) -> Self {
        Self {
            clock: self.clock || other.clock,
            standing: self.standing || other.standing,
            estimate: self.estimate || other.estimate,
        }
    }

    /// Whether a decision holds only for the moment in which it is taken.
    pub const fn varies(self) -> bool {
        self.standing || self.estimate
    }
}
