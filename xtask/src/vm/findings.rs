//! What one guest's answers mean.

use serde_json::{Value, json};

use super::guest::Answer;

/// With what a step ends that has nothing to do on a kernel without capture.
const NOT_HERE: i32 = 3;

#[derive(Clone, Debug)]
pub struct Findings {
    /// Required things that `portcullis doctor` misses: the daemon must not start.
    pub missing: Vec<String>,
    /// Layers beyond the required ones that this kernel has not.
    pub absent: Vec<String>,
    /// All that doctor said.
    pub facts: Value,
    pub daemon: Daemon,
    /// None where the tests did not run.
    pub tests: Option<Tests>,
    /// None where the attack table did not run.
    pub table: Option<Table>,
    complaints: String,
}

/// What `portcullis up` and `portcullis prove` did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Daemon {
    /// It started; how many attempts were held, which got out, and of which nothing is known.
    Proved { held: usize, escaped: Vec<String>, unknown: Vec<String> },
    /// It ended by itself, with these words.
    Refused(String),
    /// Neither.
    Silent,
}

/// The tests of `tests/tests/capture`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tests {
    pub passed: usize,
    pub failed: Vec<String>,
    /// Whether the program came to its end.
    pub ended: bool,
}

/// What `attack-table --json` says, each attempt as `NAME in PLACE`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    pub attempts: u64,
    /// Attempts that got out where they are claimed to be held.
    pub leaks: Vec<String>,
    /// Attempts that came out otherwise than the table says, leaks among them.
    pub differing: Vec<String>,
    /// Attempts that get out, as the table says that they do.
    pub open: Vec<String>,
    /// Layers that the configuration had to allow to be missing; without that the daemon did not start.
    pub allowed: Vec<String>,
    pub ended: bool,
}

impl Findings {
    pub fn of(answers: &[Answer]) -> Self {
        let find = |name: &str| answers.iter().find(|answer| answer.name == name);
        let ran = |name: &str| find(name).filter(|answer| answer.status != NOT_HERE);
        let facts = find("doctor").and_then(|answer| serde_json::from_str(&answer.output).ok()).unwrap_or_default();
        let failed = answers.iter().filter(|answer| answer.status != 0);
        Self {
            missing: lacking(&facts, true),
            absent: lacking(&facts, false),
            facts,
            daemon: find("daemon").map_or(Daemon::Silent, Daemon::of),
            tests: ran("capture").map(Tests::of),
            table: ran("table").map(Table::of),
            complaints: failed.map(Answer::complaint).collect::<Vec<_>>().join("\n"),
        }
    }

    /// Whether all held where capture starts, and nothing started where it cannot.
    pub fn holds(&self) -> bool {
        if !self.facts.is_array() {
            return false;
        }
        if !self.missing.is_empty() {
            return matches!(self.daemon, Daemon::Refused(_)) && self.tests.is_none() && self.table.is_none();
        }
        let proved = matches!(
            &self.daemon,
            Daemon::Proved { held, escaped, unknown } if *held > 0 && escaped.is_empty() && unknown.is_empty()
        );
        let tests = self.tests.as_ref().is_some_and(|tests| tests.ended && tests.passed > 0 && tests.failed.is_empty());
        let table = self.table.as_ref().is_none_or(|table| {
            table.ended && table.attempts > 0 && table.leaks.is_empty() && table.differing.is_empty()
        });
        proved && tests && table
    }

    /// What the steps that failed said.
    pub fn complaint(&self) -> String {
        self.complaints.clone()
    }

    pub fn json(&self) -> Value {
        let tests = self
            .tests
            .as_ref()
            .map(|tests| json!({ "passed": tests.passed, "failed": tests.failed, "ended": tests.ended }));
        let table = self.table.as_ref().map(|table| {
            json!({
                "attempts": table.attempts, "leaks": table.leaks, "differing": table.differing, "open": table.open,
                "allowed_missing": table.allowed, "ended": table.ended,
            })
        });
        let daemon = match &self.daemon {
            Daemon::Proved { held, escaped, unknown } => {
                json!({ "held": held, "escaped": escaped, "unknown": unknown })
            }
            Daemon::Refused(why) => json!({ "refused": why }),
            Daemon::Silent => Value::Null,
        };
        json!({ "facts": self.facts, "daemon": daemon, "tests": tests, "attacks": table })
    }
}

/// The names of facts that are not present, required ones or the others.
fn lacking(facts: &Value, required: bool) -> Vec<String> {
    let facts = facts.as_array().map(Vec::as_slice).unwrap_or_default();
    let is = |fact: &Value, key: &str, value: bool| fact.get(key).and_then(Value::as_bool) == Some(value);
    let lacking = facts.iter().filter(|fact| is(fact, "present", false) && is(fact, "required", required));
    lacking.filter_map(|fact| fact.get("name").and_then(Value::as_str)).map(str::to_owned).collect()
}

impl Daemon {
    fn of(answer: &Answer) -> Self {
        if answer.status == NOT_HERE {
            return Self::Refused(answer.errors.clone());
        }
        let Ok(Value::Array(attempts)) = serde_json::from_str(&answer.output) else { return Self::Silent };
        let is = |attempt: &Value, key: &str| attempt.get(key).and_then(Value::as_bool) == Some(true);
        let name = |attempt: &Value| format!("{} ({})", word(attempt, "name"), word(attempt, "outcome"));
        let (held, others): (Vec<_>, Vec<_>) = attempts.iter().partition(|attempt| is(attempt, "held"));
        // What does not say that it is unknown counts as out.
        let (unknown, escaped): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|attempt| attempt.get("escaped").and_then(Value::as_bool) == Some(false));
        let names = |attempts: Vec<&Value>| attempts.into_iter().map(name).collect();
        Self::Proved { held: held.len(), escaped: names(escaped), unknown: names(unknown) }
    }
}

impl Tests {
    /// Reads what libtest prints.
    fn of(answer: &Answer) -> Self {
        let outcomes = |end: &'static str| {
            let named = move |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(end)?.trim_end().to_owned());
            answer.output.lines().filter_map(named)
        };
        Self {
            passed: outcomes("... ok").count(),
            failed: outcomes("... FAILED").collect(),
            ended: answer.output.lines().any(|line| line.starts_with("test result: ")),
        }
    }
}

impl Table {
    fn of(answer: &Answer) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(&answer.output) else { return Self::default() };
        let mut table = Self {
            attempts: value.get("attempts").and_then(Value::as_u64).unwrap_or_default(),
            allowed: list(&value, "allowed_missing").iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            ended: true,
            ..Self::default()
        };
        for row in list(&value, "rows") {
            for place in list(row, "places") {
                table.add(format!("{} in {}", word(row, "name"), word(place, "place")), place);
            }
        }
        table
    }

    fn add(&mut self, name: String, place: &Value) {
        let (leaked, differs) = (word(place, "outcome") == "leaked", !word(place, "differs").is_empty());
        if differs {
            self.differing.push(name.clone());
        }
        match leaked {
            true if differs => self.leaks.push(name),
            true if !word(place, "open").is_empty() => self.open.push(name),
            // Where nothing governs, getting out is what shows that the attempt works.
            true | false => {}
        }
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"[{"name":"kernel","present":true,"required":true},
                            {"name":"BPF LSM","present":false,"required":false}]"#;
    const OLD: &str = r#"[{"name":"kernel","present":false,"required":true}]"#;
    const PROOF: &str = r#"[{"name":"UDP","held":true}]"#;
    const PASSED: &str = "test a ... ok\ntest result: ok. 1 passed";

    const LEAKS: &str = r#"{"attempts":1,"rows":[{"name":"rds","places":[
        {"place":"free","outcome":"leaked","open":null,"differs":null},
        {"place":"cgroup, root","outcome":"leaked","open":"needs BPF LSM","differs":null},
        {"place":"jail","outcome":"leaked","open":null,"differs":"got out"},
        {"place":"cgroup","outcome":"held","open":"needs BPF LSM","differs":"held after all"}]}]}"#;

    fn findings(answers: &[(&str, &str, i32)]) -> Findings {
        let answer = |&(name, output, status): &(&str, &str, i32)| Answer {
            name: name.into(),
            output: output.into(),
            errors: String::new(),
            status,
        };
        Findings::of(&answers.iter().map(answer).collect::<Vec<_>>())
    }

    #[test]
    fn a_kernel_holds_when_everything_does() {
        let held = findings(&[("doctor", WHOLE, 0), ("daemon", PROOF, 0), ("capture", PASSED, 0)]);
        assert!(held.holds());
        assert_eq!(
            (held.missing.as_slice(), held.absent.as_slice()),
            ([].as_slice(), ["BPF LSM".to_owned()].as_slice())
        );

        for (step, output) in [
            ("daemon", r#"[{"name":"UDP","held":false,"escaped":true}]"#),
            ("daemon", r#"[{"name":"TCP","held":true},{"name":"UDP","held":false,"escaped":false}]"#),
            ("daemon", "[]"),
            ("daemon", ""),
            ("capture", "test a ... ok\ntest b ... FAILED\ntest result: FAILED."),
            ("capture", "test a ... ok"),
            ("capture", "test result: ok. 0 passed"),
            ("table", LEAKS),
            ("table", r#"{"attempts":0,"rows":[]}"#),
            ("table", "killed"),
            ("doctor", ""),
        ] {
            let mut answers = vec![("doctor", WHOLE, 0), ("daemon", PROOF, 0), ("capture", PASSED, 0)];
            answers.retain(|(name, ..)| *name != step);
            answers.push((step, output, 0));
            assert!(!findings(&answers).holds(), "{step}: {output}");
        }
    }

    #[test]
    fn what_nobody_answered_is_not_said_to_have_got_out() {
        let proof = r#"[{"name":"TCP","held":false,"escaped":false,"outcome":"no answer"},
                        {"name":"UDP","held":false,"escaped":true,"outcome":"was possible"}]"#;
        let daemon = findings(&[("doctor", WHOLE, 0), ("daemon", proof, 1)]).daemon;
        let (escaped, unknown) = (vec!["UDP (was possible)".to_owned()], vec!["TCP (no answer)".to_owned()]);
        assert_eq!(daemon, Daemon::Proved { held: 0, escaped, unknown });
    }

    #[test]
    fn a_leak_is_told_from_a_way_that_is_said_to_be_open() {
        let table = findings(&[("table", LEAKS, 1)]).table.unwrap();
        assert_eq!(table.leaks, ["rds in jail"]);
        assert_eq!(table.differing, ["rds in jail", "rds in cgroup"]);
        assert_eq!(table.open, ["rds in cgroup, root"]);
    }

    #[test]
    fn a_kernel_without_capture_holds_when_nothing_starts() {
        let refused = [("doctor", OLD, 1), ("daemon", "", NOT_HERE), ("capture", "", NOT_HERE)];
        assert!(findings(&refused).holds());
        assert!(!findings(&[("doctor", OLD, 1), ("daemon", PROOF, 0), ("capture", "", NOT_HERE)]).holds());
        assert!(!findings(&[("doctor", OLD, 1), ("daemon", "", NOT_HERE), ("capture", PASSED, 0)]).holds());
    }
}
