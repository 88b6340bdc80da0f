//! The gate: the only maker of permits.

use crate::policy::{Obligations, RuleId};

/// What is enforced.
#[derive(Debug)]
pub enum Verdict {
    Forward(Permit),
    Block(Denial),
}

/// The right to send one request upstream. Only [`Gate`] makes one.
#[derive(Debug)]
pub struct Permit {
    obligations: Obligations,
}

impl Permit {
    pub fn obligations(&self) -> &Obligations {
        &self.obligations
    }
}

/// What the workload may read of a refusal. What is logged is more; this is all it learns.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    /// The rule's message, or what had no permit.
    pub message: String,
    /// The deciding rule, where there is one.
    pub rule: Option<RuleId>,
    /// How to ask for access.
    pub hint: String,
    /// The entry in the record: `<session>/<sequence>`.
    pub reference: String,
}
