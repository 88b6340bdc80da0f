//! Table tests of a bundle: raw statements through the real classifier, and what is expected of them.

mod expect;
mod fixtures;
mod standing;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use self::standing::StandingFixture;
pub use self::{expect::Expect, fixtures::Stage};
use crate::{
    http::Understood,
    policy::{Bundle, Clock, Decision, Engine, Finding, Findings, Question, RuleId, Source, explain::Verdict, schema},
    request::{Footprint, Request, Stage as When, Standing, Summary, sql},
};

/// One file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    suite: String,
    #[serde(default)]
    defaults: Defaults,
    tests: Vec<Case>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    workload: Option<String>,
    target: Option<String>,
    #[serde(default, deserialize_with = "moment")]
    at: Option<Timestamp>,
}

/// One test: who asks for what, when, with whose approval.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    workload: Option<String>,
    target: Option<String>,
    /// A moment in RFC 3339; noon of a Wednesday when neither the test nor the suite says.
    #[serde(default, deserialize_with = "moment")]
    at: Option<Timestamp>,
    /// Groups of which a member has approved.
    #[serde(default)]
    approvals: BTreeSet<Arc<str>>,
    sql: Option<String>,
    /// The database to log in to, instead of a statement.
    connect: Option<String>,
    /// An HTTP request, instead of a statement: `GET https://api.example.com/v1/orders`.
    http: Option<String>,
    /// Header fields of that request.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Where the session stands; fresh when the test does not say.
    #[serde(default)]
    session: StandingFixture,
    expect: Expect,
}

/// What came of a bundle's tests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub passed: usize,
    pub failed: usize,
    #[serde(skip_serializing_if = "Findings::is_empty")]
    pub findings: Findings,
}

/// Fixtures and tests of a bundle, read once and run against any engine.
#[derive(Debug)]
pub struct Tests {
    stage: Stage,
    suites: Vec<(Source, Suite)>,
}

/// Compiles a bundle, compares it with its manifest and runs its own tests: an engine that may be put in force.
pub fn activate(bundle: &Bundle, generation: u64) -> Result<Engine, Findings> {
    let missing = crate::policy::Manifest::check(bundle);
    Findings::new(missing).into_result()?;
    let engine = Engine::compile(bundle, generation)?;
    let report = Tests::read(bundle)?.run(&engine);
    report.findings.into_result().map(|()| engine)
}

/// One test that two engines decide differently.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    pub test: String,
    pub before: String,
    pub after: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  - {}\n  + {}", self.test, self.before, self.after)
    }
}

impl Tests {
    pub fn read(bundle: &Bundle) -> Result<Self, Findings> {
        let (_, vocabulary) = schema::build(bundle)?;
        let mut findings = Vec::new();
        let stage = Stage::set(bundle, &vocabulary, &mut findings);
        let mut suites = Vec::new();
        for source in &bundle.suites {
            match serde_yaml_ng::from_str(&source.text) {
                Ok(suite) => suites.push((source.clone(), suite)),
                Err(error) => findings.push(yaml_finding(source, &error)),
            }
        }
        Findings::new(findings).into_result().map(|()| Self { stage, suites })
    }

    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Runs every test.
    pub fn run(&self, engine: &Engine) -> Report {
        let mut report = Report::default();
        let mut findings = Vec::new();
        for (source, suite) in &self.suites {
            for case in &suite.tests {
                match self.differences(engine, suite, case) {
                    differences if differences.is_empty() => report.passed += 1,
                    differences => {
                        report.failed += 1;
                        findings.push(case.finding(source, &suite.suite, &differences));
                    }
                }
            }
        }
        report.findings = Findings::new(findings);
        report
    }

    /// Rules whose removal no test notices.
    pub fn unpinned(&self, engine: &Engine) -> Result<Vec<RuleId>, Findings> {
        let mut unpinned = Vec::new();
        for rule in engine.rules() {
            if self.run(&engine.without(&rule.id)?).failed == 0 {
                unpinned.push(rule.id.clone());
            }
        }
        Ok(unpinned)
    }

    /// How many tests there are.
    pub fn count(&self) -> usize {
        self.suites.iter().map(|(_, suite)| suite.tests.len()).sum()
    }

    /// The tests whose decisions differ between two engines, whatever was expected.
    pub fn differences_between(&self, before: &Engine, after: &Engine) -> Vec<Change> {
        let cases = self.suites.iter().flat_map(|(_, suite)| suite.tests.iter().map(move |case| (suite, case)));
        let change = |(suite, case): (&Suite, &Case)| {
            let decide = |engine| {
                self.decide(engine, &suite.defaults, case).map(|decision| Verdict::from(&decision).to_string())
            };
            let (before, after) = (decide(before), decide(after));
            let (before, after) = (before.unwrap_or_else(|error| error), after.unwrap_or_else(|error| error));
            let test = format!("{}: {}", suite.suite, case.name);
            (before != after).then_some(Change { test, before, after })
        };
        cases.filter_map(change).collect()
    }

    fn differences(&self, engine: &Engine, suite: &Suite, case: &Case) -> Vec<String> {
        match self.decide(engine, &suite.defaults, case) {
            Ok(decision) => case.expect.compare(&decision),
            Err(reason) => vec![reason],
        }
    }

    fn decide(&self, engine: &Engine, defaults: &Defaults, case: &Case) -> Result<Decision, String> {
        let named = |own: &Option<String>, default: &Option<String>, what: &str| {
            own.clone()
                .or_else(|| default.clone())
                .ok_or_else(|| format!("neither the test nor `defaults` names a {what}"))
        };
        let workload = named(&case.workload, &defaults.workload, "workload")?;
        let target = named(&case.target, &defaults.target, "target")?;
        let principal = self.stage.workload(&workload)?;
        let place = self.stage.target(&target)?;
        let moment = case.at.or(defaults.at).unwrap_or(MOMENT);
        let request = match (&case.sql, &case.connect, &case.http) {
            (Some(sql), None, None) => {
                let footprint = self.stage.footprint(&target, sql);
                Request { standing: case.session.standing()?, ..execute(sql, footprint) }
            }
            (None, Some(database), None) => login(database),
            (None, None, Some(line)) => {
                Understood::of_line(line, &case.headers).map_err(|error| error.to_string())?.request()
            }
            _ => return Err("a test has one of `sql`, `connect` and `http`".to_owned()),
        };
        let clock = Clock::at(moment, &self.stage.zone);
        let question = Question { principal, target: place, request: &request, clock, approvals: &case.approvals };
        Ok(engine.decide(&question))
    }
}

/// 2026-11-18T12:00:00Z.
const MOMENT: Timestamp = Timestamp::constant(1_795_003_200, 0);

/// A statement that would run now.
pub fn execute(sql: &str, footprint: Arc<Footprint>) -> Request {
    Request {
        summary: Summary(sql.to_owned().into()),
        arguments: None,
        stage: When::Execute,
        footprint,
        standing: Standing::fresh(),
    }
}

/// A login to a database.
pub fn login(database: &str) -> Request {
    let access = sql::Access {
        operation: sql::Operation::Connect,
        resource: sql::Resource::Database(sql::Database { name: database.to_owned() }),
        facts: sql::Facts { verb: "CONNECT", ..sql::Facts::default() },
    };
    execute("", Arc::new(Footprint { accesses: vec![access.into()], ..Footprint::default() }))
}

impl Case {
    fn finding(&self, source: &Source, suite: &str, differences: &[String]) -> Finding {
        let label = format!("name: {}", self.name);
        let offset = source.text.find(&label).or_else(|| source.text.find(&self.name)).unwrap_or_default();
        Finding::at(source, offset, format!("{suite}: {}: {}", self.name, differences.join("; ")))
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(|error| D::Error::custom(format!("`{text}` is no moment in RFC 3339: {error}")))
}

fn yaml_finding(source: &Source, error: &serde_yaml_ng::Error) -> Finding {
    let offset = error.location().map_or(0, |location| location.index());
    Finding::at(source, offset, error.to_string())
}
