use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::*;
use crate::{
    approval::Approver,
    policy::{Settings, Store},
    principal::{Principal, Process},
    record::{
        Outcome as Ending, Recorder, RecorderConfig, SessionHeader, path_of,
        reader::{Part, Recording},
    },
    request::{Access, Facts, Footprint, Operation, Resource, Stage, Standing, Summary, sql},
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
        let state = TempDir::new().unwrap();
        let recorder = Recorder::open(&RecorderConfig::new(state.path())).unwrap();
        let header = SessionHeader {
            principal: None,
            target: None,
            protocol: None,
            destination: "10.0.3.7:5432".to_owned(),
            upstream: None,
            policy_generation: 1,
        };
        let policy = Store::open(Settings { directory: None, state_dir: state.path().to_owned() });
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
    let access = Access {
        operation: Operation::Sql(operation),
        resource: Resource::Table(table),
        facts: Facts { verb, has_where: true, ..Facts::default() },
    };
    let footprint = Arc::new(Footprint { accesses: vec![access], ..Footprint::default() });
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
