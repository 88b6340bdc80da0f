//! Policy's answer to one request.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use crate::{
    mask::Method,
    policy::{Limits, Predicates},
    target::Class,
};

/// What policy says of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    pub effect: Effect,
    pub obligations: Obligations,
    /// The rules that decided, worst first. Empty on a default deny.
    pub rules: Vec<RuleId>,
    /// What the workload may read: the rule's message, or which access had no permit.
    pub message: String,
}

/// Ordered so that the worst of several wins by `max`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Effect {
    Allow,
    RequireApproval,
    Deny,
}

impl Effect {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::RequireApproval => "approval",
            Self::Deny => "deny",
        }
    }
}

/// What must happen for the request to be allowed. Whoever cannot fulfil one must block.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Obligations {
    /// The strictest method for each data class.
    pub masks: BTreeMap<Class, Method>,
    /// For each class that is masked, which predicates on it are let pass.
    pub predicates: BTreeMap<Class, Predicates>,
    /// What the answer is held to.
    pub limits: Limits,
    /// Who has to agree, where a person must.
    pub approval: Option<Terms>,
}

/// Under which terms a request may be approved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    /// Every entry must be satisfied, each by a member of any one of its groups.
    pub groups: Vec<Vec<Arc<str>>>,
    /// How long the request is held before it is denied.
    pub wait: Duration,
    /// How long a grant serves for the same request again; zero: this once.
    pub valid: Duration,
}

/// The `@id` of a rule.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RuleId(pub Arc<str>);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
