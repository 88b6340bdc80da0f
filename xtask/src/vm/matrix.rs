//! What the guests said, as a table for people and as JSON for programs.

use serde_json::{Value, json};

use super::guest::Answer;

/// One guest's row.
#[derive(Clone, Debug)]
pub struct Row {
    pub kernel: &'static str,
    pub release: String,
    pub bpf_lsm: bool,
    pub outcome: Outcome,
}

/// What came of a guest.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It did its steps.
    Done(Findings),
    /// It did not: why.
    Failed(String),
}

#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// What `portcullis doctor` misses, with the detail: required things.
    pub missing: Vec<String>,
    /// Everything that doctor said.
    pub facts: Value,
    pub tests: Option<Tests>,
    pub table: Option<Table>,
}

/// The tests of `tests/tests/capture`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tests {
    pub passed: u64,
    pub failed: Vec<String>,
    /// Whether the program came to its end.
    pub ended: bool,
}

/// The attack table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    pub tried: u64,
    pub leaks: Vec<String>,
    /// Rows that came out otherwise than expected.
    pub differing: Vec<String>,
    pub ended: bool,
}

impl Findings {
    pub fn of(answers: &[Answer]) -> Self {
        let find = |name: &str| answers.iter().find(|answer| answer.name == name);
        let facts = find("doctor").and_then(|answer| serde_json::from_str(&answer.output).ok()).unwrap_or_default();
        Self {
            missing: missing(&facts),
            facts,
            tests: find("capture").map(Tests::of),
            table: find("table").map(Table::of),
        }
    }

    /// Whether capture starts here at all.
    fn captures(&self) -> bool {
        self.facts.is_array() && self.missing.is_empty()
    }
}

/// Required things that doctor found missing.
fn missing(facts: &Value) -> Vec<String> {
    let text = |fact: &Value, key: &str| fact.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let wanted = |fact: &&Value| fact.get("required") == Some(&json!(true)) && fact.get("present") == Some(&json!(false));
    let facts = facts.as_array().map(Vec::as_slice).unwrap_or_default();
    facts.iter().filter(wanted).map(|fact| format!("{}: {}", text(fact, "name"), text(fact, "detail"))).collect()
}

impl Tests {
    fn of(answer: &Answer) -> Self {
        let lines = || answer.output.lines();
        let outcome = |line: &str, end: &str| {
            line.strip_prefix("test ").and_then(|line| line.strip_suffix(end)).map(|name| name.trim_end().to_owned())
        };
        Self {
            passed: lines().filter(|line| outcome(line, "... ok").is_some()).count() as u64,
            failed: lines().filter_map(|line| outcome(line, "... FAILED")).collect(),
            ended: lines().any(|line| line.starts_with("test result: ")),
        }
    }
}

impl Table {
    /// Reads `attack-table --json`: an object with `tried`, and the names under `leaks` and `differing`.
    fn of(answer: &Answer) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(&answer.output) else { return Self::default() };
        let names = |key: &str| {
            let names = value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Self {
            tried: value.get("tried").and_then(Value::as_u64).unwrap_or_default(),
            leaks: names("leaks"),
            differing: names("differing"),
            ended: true,
        }
    }
}

impl Row {
    /// Whether the guest did what its kernel promises: all passes where capture starts, nothing starts elsewhere.
    pub fn holds(&self) -> bool {
        let Outcome::Done(findings) = &self.outcome else { return false };
        if !findings.captures() {
            return findings.tests.as_ref().is_some_and(|tests| tests.passed == 0) && !findings.missing.is_empty();
        }
        findings.tests.as_ref().is_none_or(|tests| tests.ended && tests.failed.is_empty())
            && findings.table.as_ref().is_none_or(|table| {
                table.ended && table.tried > 0 && table.leaks.is_empty() && table.differing.is_empty()
            })
    }
}
