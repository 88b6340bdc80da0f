//! Which rule decided and why, access by access.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::policy::{Decision, Engine, Obligations, Pass, Predicates, Question, Rule, annotation::METHODS};

/// A decision with everything that led to it.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    pub workload: String,
    pub target: String,
    pub request: String,
    #[serde(flatten)]
    pub decision: Verdict,
    /// In the order in which the statement needs them.
    pub accesses: Vec<AccessExplanation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caveats: Vec<String>,
    /// By which classified columns it chooses, sorts or groups rows.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decides_by: Vec<String>,
}

/// A decision in words that scripts can read.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub decision: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub masks: BTreeMap<String, &'static str>,
    /// Which predicates on masked classes are let pass.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub predicates: BTreeMap<String, &'static str>,
    /// By what is limited: `rows`, `bytes`, `time`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalExplanation>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ApprovalExplanation {
    /// Every entry is needed, each from any one of its groups.
    pub groups: Vec<Vec<String>>,
    pub wait_seconds: u64,
    pub valid_seconds: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct AccessExplanation {
    pub operation: String,
    pub resource: String,
    #[serde(flatten)]
    pub decision: Verdict,
    /// Nothing granted but what was approved before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_1: Option<PassExplanation>,
    /// What the first pass asked for granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pass_2: Option<PassExplanation>,
}

#[derive(Clone, Debug, Serialize)]
pub struct PassExplanation {
    pub permits: Vec<RulePlace>,
    pub forbids: Vec<RulePlace>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// A rule and where it stands.
#[derive(Clone, Debug, Serialize)]
pub struct RulePlace {
    pub id: String,
    pub file: String,
    pub line: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Decides, and keeps what led to the decision.
pub fn explain(engine: &Engine, question: &Question<'_>) -> Explanation {
    let accesses = engine.judgements(question).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    let access = |judgement: &crate::policy::Judgement<'_>| AccessExplanation {
        operation: judgement.access.operation().to_string(),
        resource: judgement.access.resource().to_string(),
        decision: Verdict::from(&judgement.decision),
        pass_1: judgement.first.as_ref().map(PassExplanation::from),
        pass_2: judgement.second.as_ref().map(PassExplanation::from),
    };
    Explanation {
        workload: question.principal.workload.to_string(),
        target: question.target.name.to_string(),
        request: question.request.summary.to_string(),
        decision: Verdict::from(&engine.decide(question)),
        accesses: accesses.iter().map(access).collect(),
        caveats: question.request.footprint.caveats.clone(),
        decides_by: question.request.footprint.predicates.iter().map(ToString::to_string).collect(),
    }
}

impl From<&Decision> for Verdict {
    fn from(decision: &Decision) -> Self {
        let Obligations { masks, predicates, limits, approval } = &decision.obligations;
        let method = |method| METHODS.iter().find(|(_, known)| known == method).map_or("?", |(name, _)| *name);
        Self {
            decision: decision.effect.name(),
            rules: decision.rules.iter().map(ToString::to_string).collect(),
            message: decision.message.clone(),
            masks: masks.iter().map(|(class, way)| (class.to_string(), method(way))).collect(),
            predicates: predicates.iter().map(|(class, terms)| (class.to_string(), terms.name())).collect(),
            limits: limits.described().map(|(limit, most)| (limit.name(), most)).collect(),
            approval: approval.as_ref().map(|terms| ApprovalExplanation {
                groups: terms.groups.iter().map(|any| any.iter().map(ToString::to_string).collect()).collect(),
                wait_seconds: terms.wait.as_secs(),
                valid_seconds: terms.valid.as_secs(),
            }),
        }
    }
}

impl From<&Pass<'_>> for PassExplanation {
    fn from(pass: &Pass<'_>) -> Self {
        let places = |rules: &[&Rule]| rules.iter().map(|rule| RulePlace::from(*rule)).collect();
        Self { permits: places(&pass.permits), forbids: places(&pass.forbids), errors: pass.errors.clone() }
    }
}

impl From<&Rule> for RulePlace {
    fn from(rule: &Rule) -> Self {
        Self {
            id: rule.id.to_string(),
            file: rule.file.to_string(),
            line: rule.line,
            description: rule.description.clone(),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} on {}: {}", self.workload, self.target, self.decision)?;
        for access in &self.accesses {
            writeln!(f, "\n  {} {}: {}", access.operation, access.resource, access.decision)?;
            for (name, pass) in [("pass 1, nothing granted", &access.pass_1), ("pass 2, all granted", &access.pass_2)] {
                if let Some(pass) = pass {
                    writeln!(f, "    {name}:{pass}")?;
                }
            }
        }
        if self.accesses.is_empty() {
            writeln!(f, "\n  nothing is touched")?;
        }
        self.decides_by.iter().try_for_each(|predicate| writeln!(f, "\n  {predicate}"))?;
        self.caveats.iter().try_for_each(|caveat| writeln!(f, "\n  caveat: {caveat}"))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.decision)?;
        if !self.rules.is_empty() {
            write!(f, " by {}", self.rules.join(", "))?;
        }
        if !self.message.is_empty() {
            write!(f, " ({})", self.message)?;
        }
        if let Some(approval) = &self.approval {
            let groups: Vec<String> = approval.groups.iter().map(|any| any.join(" or ")).collect();
            write!(f, "; asks {} for {}s", groups.join(" and "), approval.wait_seconds)?;
        }
        if !self.masks.is_empty() {
            let masks: Vec<String> = self.masks.iter().map(|(class, method)| format!("{class}={method}")).collect();
            write!(f, "; masks {}", masks.join(","))?;
        }
        let lenient = self.predicates.iter().filter(|(_, terms)| **terms != Predicates::Refuse.name());
        let lenient: Vec<String> = lenient.map(|(class, terms)| format!("{class}={terms}")).collect();
        if !lenient.is_empty() {
            write!(f, "; predicates {}", lenient.join(","))?;
        }
        if !self.limits.is_empty() {
            let limits: Vec<String> = self.limits.iter().map(|(limit, most)| format!("{limit}={most}")).collect();
            write!(f, "; limits {}", limits.join(","))?;
        }
        Ok(())
    }
}

impl fmt::Display for PassExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.permits.is_empty() && self.forbids.is_empty() && self.errors.is_empty() {
            return f.write_str(" no rule matches");
        }
        for (word, rules) in [("forbid", &self.forbids), ("permit", &self.permits)] {
            for rule in rules {
                write!(f, "\n      {word} {} ({}:{})", rule.id, rule.file, rule.line)?;
            }
        }
        self.errors.iter().try_for_each(|error| write!(f, "\n      error {error}"))
    }
}
