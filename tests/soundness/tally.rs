//! Figures of a run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::verdict::{Columns, Outcome, Verdict};

/// How many questions came to what.
#[derive(Debug, Default)]
pub struct Tally {
    pub asked: usize,
    pub answered: usize,
    denied: BTreeMap<String, usize>,
    failed: BTreeMap<String, usize>,
    too_much: usize,
    columns: Columns,
    /// Answered questions that would leak without the gate.
    secret: usize,
}

/// The smallest share of the answered questions that must hold secrets before masking, in per cent.
const SECRET_MIN: usize = 15;

impl Tally {
    /// Counts a question, by what came of it through the gate and what would have come of it without.
    pub fn note(&mut self, verdict: &Verdict, unguarded: &Verdict) {
        self.asked += 1;
        self.secret += usize::from(verdict.outcome == Outcome::Answered && !unguarded.leaks.is_empty());
        match &verdict.outcome {
            Outcome::Denied(reason) => *self.denied.entry(reason.clone()).or_default() += 1,
            Outcome::Failed(code) => *self.failed.entry(code.clone()).or_default() += 1,
            Outcome::TooMuch => self.too_much += 1,
            Outcome::Answered => self.answered += 1,
            Outcome::Changed(_) => {}
        }
        self.columns.dependent += verdict.columns.dependent;
        self.columns.independent += verdict.columns.independent;
        self.columns.over_masked += verdict.columns.over_masked;
    }

    /// Whether enough answers held secrets for the figures to mean something.
    pub fn would_notice(&self) -> bool {
        self.secret * 100 >= self.answered * SECRET_MIN
    }

    /// Columns that were masked although they do not follow the secrets, in per cent of those that do not.
    fn over_masked(&self) -> f64 {
        percent(self.columns.over_masked, self.columns.independent)
    }

    /// The figures for programs, keys in a fixed order.
    pub fn json(&self, seed: u64, leaks: usize, changed: usize) -> Value {
        json!({
            "seed": seed,
            "asked": self.asked,
            "answered": self.answered,
            "denied": self.denied.values().sum::<usize>(),
            "failed": self.failed.values().sum::<usize>(),
            "too_much": self.too_much,
            "changed": changed,
            "would_leak": self.secret,
            "leaks": leaks,
            "dependent_columns": self.columns.dependent,
            "independent_columns": self.columns.independent,
            "over_masked_columns": self.columns.over_masked,
            "over_masked_percent": (self.over_masked() * 10.0).round() / 10.0,
            "denied_by_reason": self.denied,
            "failed_by_code": self.failed,
        })
    }

    /// The figures for people.
    pub fn text(&self, leaks: usize) -> String {
        let denied: usize = self.denied.values().sum();
        let failed: usize = self.failed.values().sum();
        let share = |count| percent(count, self.asked);
        let mut text = format!(
            "{} queries: {} answered ({:.0} %), {denied} denied ({:.0} %), {failed} refused by the server ({:.0} %), {} too slow or big\n\
             {} answers hold secrets before masking: {leaks} leaks\n\
             {} columns follow the secrets; {} do not, of which {} are over-masked ({:.1} %)\n",
            self.asked,
            self.answered,
            share(self.answered),
            share(denied),
            share(failed),
            self.too_much,
            self.secret,
            self.columns.dependent,
            self.columns.independent,
            self.columns.over_masked,
            self.over_masked(),
        );
        let mut reasons: Vec<_> = self.denied.iter().collect();
        reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(**count), reason.as_str()));
        for (reason, count) in reasons {
            text.push_str(&format!("  denied {count:>6}  {reason}\n"));
        }
        text
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}
