use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;
use crate::{
    approval::Approver,
    policy::{Settings, Store},
    principal::{Principal, Process},
    record::{Outcome as Ending, Recorder, RecorderConfig, Recording, SessionHeader, path_of, reader::Part},
    request::{Estimable, Estimate, Footprint, Stage, Standing, Summary, Usage, sql},
    target::{Target, Verify},
};

/// A gate on the embedded rules, before a target in production.
struct Rig {
    gate: Arc<Gate>,
    desk: Arc<Desk>,
    recorder: Recorder,
    state: TempDir,
}

impl Rig {
    fn new() -> Self {
        Self::on(None, TempDir::new().unwrap())
    }

    /// A gate on rules of its own.
    fn ruled(rules: &str) -> Self {
        let state = TempDir::new().unwrap();
        let directory = state.path().join("policies");
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("site.cedarschema"), &policy::Bundle::embedded().site.text).unwrap();
        std::fs::write(directory.join("rules.cedar"), format!("{READ}\n{rules}")).unwrap();
        Self::on(Some(directory), state)
    }

    fn on(directory: Option<std::path::PathBuf>, state: TempDir) -> Self {
        let recorder = Recorder::open(&RecorderConfig::new(state.path())).unwrap();
        let header = SessionHeader {
            principal: None,
            target: None,
            protocol: None,
            destination: "10.0.3.7:5432".to_owned(),
            upstream: None,
            policy_generation: 1,
        };
        let policy = Store::open(Settings { directory, state_dir: state.path().to_owned() });
        let desk = Arc::new(Desk::default());
        let asker = Asker { principal: principal(), target: target(), time_zone: TimeZone::UTC };
        let gate = Gate::new(asker, recorder.begin(&header).unwrap(), policy, desk.clone());
        Self { gate: Arc::new(gate), desk, recorder, state }
    }

    /// The kinds of what was recorded, in order.
    async fn recorded(&self) -> Vec<&'static str> {
        self.recorder.flush().await.unwrap();
        let root = RecorderConfig::new(self.state.path()).directory;
        let recording = Recording::open(&path_of(&root, self.gate.recorder().id())).unwrap();
        let kind = |part: Result<Part, _>| match part.unwrap() {
            Part::Entry(entry) => entry.kind.map_or("unknown", Kind::name),
            Part::Damage => "damage",
        };
        recording.entries().map(kind).collect()
    }
}

const READ: &str = r#"@id("read") permit (principal, action in Sql::Action::"read", resource is Sql::Table);"#;

fn principal() -> Arc<Principal> {
    let process = Process {
        pid: 1,
        uid: 1000,
        user: "bot".to_owned(),
        executable: None,
        executable_hash: None,
        command_line: Vec::new(),
        parents: Vec::new(),
        cgroup: String::new(),
        cgroup_id: 1,
    };
    Arc::new(Principal { workload: "bot".into(), groups: vec!["agents".into()], owner: None, process })
}

fn target() -> Arc<Target> {
    Arc::new(Target {
        name: "shop".into(),
        protocol: "postgres".into(),
        addresses: Vec::new(),
        upstream: None,
        tls: Verify::Off,
        credential: None,
        labels: BTreeMap::from([("environment".to_owned(), "prod".to_owned())]),
        classes: BTreeMap::new(),
        paths: Default::default(),
    })
}

fn request(operation: sql::Operation, verb: &'static str, stage: Stage) -> Request {
    let table = sql::Table {
        database: "shop".to_owned(),
        schema: "public".to_owned(),
        name: "orders".to_owned(),
        columns: Default::default(),
        classes: None,
        read_classes: Default::default(),
    };
    let facts = sql::Facts { verb, has_where: true, ..sql::Facts::default() };
    let access = sql::Access { operation, resource: sql::Resource::Table(table), facts };
    let footprint = Arc::new(Footprint { accesses: vec![access.into()], ..Footprint::default() });
    Request { summary: Summary(verb.into()), arguments: None, stage, footprint, standing: Standing::default() }
}

fn dba() -> Approver {
    Approver { uid: 7, name: "eve".to_owned(), groups: Some(vec!["dba".into()]) }
}

/// Checks in a task of its own, and waits until a person is asked.
async fn held(rig: &Rig) -> (tokio::task::JoinHandle<Verdict>, String) {
    let gate = rig.gate.clone();
    let update = request(sql::Operation::Update, "UPDATE", Stage::Execute);
    let task = tokio::spawn(async move { gate.check(update).await });
    loop {
        if let Some(view) = rig.desk.list().first() {
            return (task, view.id.to_string());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_is_permitted_is_recorded_first() {
    let rig = Rig::new();
    let verdict = rig.gate.check(request(sql::Operation::Select, "SELECT", Stage::Execute)).await;
    assert!(matches!(verdict, Verdict::Forward(permit) if !permit.obligations().masks.is_empty()));
    assert_eq!(rig.recorded().await, ["begin", "decision"]);
}

#[tokio::test]
async fn no_record_means_no_permit() {
    let rig = Rig::new();
    rig.gate.recorder().clone().end(Ending::Failed);
    let verdict = rig.gate.check(request(sql::Operation::Select, "SELECT", Stage::Execute)).await;
    assert!(matches!(verdict, Verdict::Block(denial) if denial.message.contains("cannot record")));
}

#[tokio::test]
async fn a_denial_names_its_rule_and_its_entry() {
    let rig = Rig::new();
    let verdict = rig.gate.check(request(sql::Operation::Truncate, "TRUNCATE", Stage::Execute)).await;
    let Verdict::Block(denial) = verdict else { panic!("truncated") };
    assert_eq!(denial.rule, Some(RuleId("no-destructive-definition".into())));
    assert_eq!(denial.reference, format!("{}/1", rig.gate.recorder().id()));
    assert_eq!(rig.recorded().await, ["begin", "denial"]);
}

#[tokio::test]
async fn nobody_is_asked_before_it_would_run() {
    let rig = Rig::new();
    let verdict = rig.gate.check(request(sql::Operation::Update, "UPDATE", Stage::Prepare)).await;
    assert!(matches!(verdict, Verdict::Forward(_)));
    assert!(rig.desk.list().is_empty());
}

#[tokio::test]
async fn a_person_lets_it_go_on() {
    let rig = Rig::new();
    let (task, id) = held(&rig).await;
    assert!(!task.is_finished());
    rig.desk.approve(&id, &dba(), None).unwrap();
    assert!(matches!(task.await.unwrap(), Verdict::Forward(_)));
    assert_eq!(rig.recorded().await, ["begin", "approval", "approval", "decision"]);
}

#[tokio::test]
async fn a_persons_no_is_a_denial() {
    let rig = Rig::new();
    let (task, id) = held(&rig).await;
    rig.desk.deny(&id, &dba(), Some("not today".to_owned())).unwrap();
    assert!(matches!(task.await.unwrap(), Verdict::Block(denial) if denial.message.contains("not today")));
    assert_eq!(rig.recorded().await, ["begin", "approval", "approval", "denial"]);
}

#[tokio::test]
async fn what_is_withdrawn_leaves_the_desk_and_stays_in_the_record() {
    let rig = Rig::new();
    let (task, _) = held(&rig).await;
    let denial = rig.gate.withdraw("cancelled by the workload").await.unwrap();
    assert!(denial.is_some_and(|denial| denial.message.contains("cancelled")));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(rig.desk.list().is_empty());
    assert_eq!(rig.recorded().await, ["begin", "approval", "approval"]);
    assert!(rig.gate.withdraw("again").await.unwrap().is_none());
}

#[tokio::test]
async fn a_closed_gate_lets_nothing_pass() {
    let Rig { gate, desk: _desk, recorder: _recorder, state: _state } = Rig::new();
    let gate = Arc::into_inner(gate).unwrap().closed("no target is declared for 10.0.0.9:5432".to_owned());
    let verdict = gate.check(request(sql::Operation::Select, "SELECT", Stage::Execute)).await;
    assert!(matches!(verdict, Verdict::Block(denial) if denial.message.contains("no target is declared")));
}

const BUDGET: &str = r#"@id("budget") forbid (principal, action in Sql::Action::"read", resource)
    when { context.usage.session.rows_returned >= 10 };"#;

fn select(standing: Standing) -> Request {
    Request { standing, ..request(sql::Operation::Select, "SELECT", Stage::Execute) }
}

fn after(rows_returned: u64) -> Standing {
    Standing { session: Usage { rows_returned, rows_affected: 0 }, ..Standing::fresh() }
}

#[tokio::test]
async fn a_decision_does_not_outlive_the_usage_that_it_read() {
    let rig = Rig::ruled(BUDGET);
    // The same footprint throughout: it is what decisions are remembered by.
    let asked = select(after(9));
    assert!(matches!(rig.gate.check(asked.clone()).await, Verdict::Forward(_)));
    let later = Request { standing: after(10), ..asked.clone() };
    assert!(
        matches!(rig.gate.check(later).await, Verdict::Block(denial) if denial.rule == Some(RuleId("budget".into())))
    );
    assert!(matches!(rig.gate.check(asked).await, Verdict::Forward(_)));
}

#[tokio::test]
async fn what_a_rule_reads_of_answers_is_waited_for_and_nothing_else() {
    let unsettled = || Standing { is_settled: false, ..Standing::fresh() };
    assert!(matches!(Rig::ruled(BUDGET).gate.check(select(unsettled())).await, Verdict::Settle));
    assert!(matches!(Rig::new().gate.check(select(unsettled())).await, Verdict::Forward(_)));
}

const PLANNED: &str = r#"@id("planned") forbid (principal, action, resource)
    unless { context has estimate && context.estimate.rows <= 5 };
    @id("never") forbid (principal, action == Sql::Action::"copy_out", resource);"#;

#[tokio::test]
async fn nothing_is_planned_that_would_be_refused_anyway() {
    let rig = Rig::ruled(PLANNED);
    let estimable = || Standing {
        estimable: Some(Estimable { database: "shop".into(), types: Arc::default() }),
        ..Standing::fresh()
    };
    let refused = Request { standing: estimable(), ..request(sql::Operation::CopyOut, "COPY", Stage::Execute) };
    let prepared = Request { stage: Stage::Prepare, ..select(estimable()) };
    assert!(rig.gate.wants_estimate(&select(estimable())));
    assert!(!rig.gate.wants_estimate(&refused));
    assert!(!rig.gate.wants_estimate(&prepared), "its arguments are not known yet");
    assert!(!rig.gate.wants_estimate(&select(Standing::fresh())), "its plan would be another's");
    assert!(!Rig::new().gate.wants_estimate(&select(estimable())), "no rule reads it");
    assert!(matches!(rig.gate.check(prepared).await, Verdict::Forward(_)));
}

#[tokio::test]
async fn an_estimate_decides_and_none_refuses() {
    let rig = Rig::ruled(PLANNED);
    let expecting = |rows| select(Standing { estimate: Some(Estimate { rows, cost: 1 }), ..Standing::fresh() });
    assert!(matches!(rig.gate.check(expecting(5)).await, Verdict::Forward(_)));
    assert!(matches!(rig.gate.check(expecting(6)).await, Verdict::Block(_)));
    assert!(matches!(rig.gate.check(select(Standing::fresh())).await, Verdict::Block(_)));
}
