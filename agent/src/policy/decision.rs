//! Policy's answer to one request.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fmt, mem,
    sync::Arc,
    time::Duration,
};

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

impl Decision {
    /// Allows without obligations, as these rules want.
    pub fn allow(rules: Vec<RuleId>) -> Self {
        Self { effect: Effect::Allow, obligations: Obligations::default(), rules, message: String::new() }
    }

    /// Denies for a reason that is no rule's.
    pub fn deny(message: String) -> Self {
        Self { effect: Effect::Deny, obligations: Obligations::default(), rules: Vec::new(), message }
    }

    /// Adds the decision on one more access; the worst rules stand first.
    pub fn add(&mut self, next: Self) {
        self.obligations.tighten(next.obligations);
        let (mut worse, better) = if next.effect > self.effect {
            self.message = next.message;
            (next.rules, mem::take(&mut self.rules))
        } else {
            (mem::take(&mut self.rules), next.rules)
        };
        worse.extend(better);
        let mut seen = BTreeSet::new();
        worse.retain(|rule| seen.insert(rule.clone()));
        self.rules = worse;
        self.effect = self.effect.max(next.effect);
    }
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

impl Obligations {
    /// Obliges to both: the strictest of each wins, and everybody who is needed has to agree.
    pub fn tighten(&mut self, more: Self) {
        strictest(&mut self.masks, more.masks);
        strictest(&mut self.predicates, more.predicates);
        self.limits.tighten(&more.limits);
        self.approval = match (self.approval.take(), more.approval) {
            (Some(known), Some(more)) => Some(known.and(more)),
            (known, more) => known.or(more),
        };
    }
}

fn strictest<T: Ord>(known: &mut BTreeMap<Class, T>, more: BTreeMap<Class, T>) {
    for (class, terms) in more {
        match known.entry(class) {
            Entry::Occupied(mut known) if *known.get() < terms => {
                known.insert(terms);
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert(terms);
            }
        }
    }
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

impl Terms {
    /// Everybody who is needed, and the shorter of the times.
    fn and(mut self, more: Self) -> Self {
        for any_of in more.groups {
            if !self.groups.contains(&any_of) {
                self.groups.push(any_of);
            }
        }
        self.wait = self.wait.min(more.wait);
        self.valid = self.valid.min(more.valid);
        self
    }
}

/// The `@id` of a rule.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RuleId(pub Arc<str>);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
