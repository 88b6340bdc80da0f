//! How much of an answer has passed, and how much may.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;

use crate::{
    policy::{Limits, Obligations, RuleId},
    protocol::postgres::reply,
};

/// How much of one answer has passed, over all the messages that ask for parts of it.
#[derive(Debug, Default)]
pub struct Meter {
    rows: AtomicU64,
    bytes: AtomicU64,
}

/// One running answer and its limits.
pub struct Watch {
    obligations: Arc<Obligations>,
    /// Its own, and those of the cursors that it reads from.
    meters: Vec<Arc<Meter>>,
    /// Whether the workload has been told that it ends here.
    is_cut: bool,
}

/// What a limit is about, with the rule that set it and its words.
struct Excess<'a> {
    rule: &'a RuleId,
    what: String,
}

impl Watch {
    pub fn new(obligations: Arc<Obligations>, meters: Vec<Arc<Meter>>) -> Self {
        Self { obligations, meters, is_cut: false }
    }

    /// The workload has been told that the answer ends here.
    pub fn cut(&mut self) {
        self.is_cut = true;
    }

    pub fn limits(&self) -> &Limits {
        &self.obligations.limits
    }

    /// Takes a row of so many bytes; the error for the workload when it goes beyond a limit.
    pub fn take(&self, bytes: usize) -> Result<(), Bytes> {
        self.count(bytes as u64).map_err(|Excess { rule, what }| {
            let problem = format!("the answer has more than {what}");
            let detail = "What came before this error is not the whole answer.";
            stopped("54000", rule, &problem, detail, "add a LIMIT, or ask for less at once")
        })
    }

    fn count(&self, bytes: u64) -> Result<(), Excess<'_>> {
        let Limits { rows: most_rows, bytes: most_bytes, time: _ } = self.limits();
        for meter in &self.meters {
            if let Some(bound) = most_rows.as_ref().filter(|bound| meter.rows.load(Ordering::Relaxed) >= bound.most) {
                return Err(Excess { rule: &bound.rule, what: format!("{} rows", bound.most) });
            }
            let sum = meter.bytes.load(Ordering::Relaxed).saturating_add(bytes);
            if let Some(bound) = most_bytes.as_ref().filter(|bound| sum > bound.most) {
                return Err(Excess { rule: &bound.rule, what: format!("{} bytes of rows", bound.most) });
            }
        }
        for meter in &self.meters {
            meter.rows.fetch_add(1, Ordering::Relaxed);
            meter.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Takes what is no row but counts as bytes, such as the end of binary COPY data.
    pub fn take_bytes(&self, bytes: usize) {
        for meter in &self.meters {
            meter.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Whether it has.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}

/// An answer that ends before its end.
pub fn stopped(sqlstate: &str, rule: &RuleId, problem: &str, consequence: &str, hint: &str) -> Bytes {
    let message = format!("stopped: {problem}, the most that rule `{rule}` lets through");
    let detail = format!("Rule: {rule}. {consequence}");
    reply::error_in_detail(sqlstate, &message, &detail, hint)
}
