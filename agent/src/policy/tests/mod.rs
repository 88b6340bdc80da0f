//! What every policy is promised.

mod decisions;
mod limits;
mod loading;
mod predicates;
mod storing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use super::*;
use crate::{
    principal::{Principal, Process},
    request::{Access, Footprint, Operation, Request, Stage, Standing, Summary, sql},
    target::{Target, Verify},
};

fn principal(workload: &str, groups: &[&str]) -> Principal {
    Principal {
        workload: workload.into(),
        groups: groups.iter().map(|group| Arc::from(*group)).collect(),
        owner: Some("alice".to_owned()),
        process: Process {
            pid: 7,
            uid: 1000,
            user: "agent".to_owned(),
            executable: Some("/usr/bin/psql".into()),
            executable_hash: Some("00ff".to_owned()),
            command_line: vec!["psql".to_owned()],
            parents: Vec::new(),
            cgroup: "/portcullis/agent".to_owned(),
            cgroup_id: 1,
        },
    }
}

fn target(environment: Option<&str>) -> Target {
    let labels = environment.map(|value| ("environment".to_owned(), value.to_owned()));
    Target {
        name: "shop".into(),
        protocol: "postgres".into(),
        addresses: Vec::new(),
        upstream: None,
        tls: Verify::Off,
        credential: None,
        labels: labels.into_iter().collect(),
        classes: BTreeMap::new(),
        paths: Default::default(),
    }
}

fn table(name: &str) -> sql::Table {
    sql::Table {
        database: "shop".to_owned(),
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: BTreeSet::new(),
        classes: None,
        read_classes: BTreeSet::new(),
    }
}

fn access(operation: sql::Operation, table: sql::Table) -> Access {
    let facts = sql::Facts { verb: "SELECT", has_where: true, ..sql::Facts::default() };
    Access::Sql(sql::Access { operation, resource: sql::Resource::Table(table), facts })
}

fn request(accesses: Vec<Access>) -> Request {
    let footprint = Arc::new(Footprint { accesses, ..Footprint::default() });
    let summary = Summary("SELECT".into());
    Request { summary, arguments: None, stage: Stage::Execute, footprint, standing: Standing::default() }
}

const NOON: Clock = Clock { hour: 12, minute: 0, weekday: Weekday::Monday };

fn ask(engine: &Engine, principal: &Principal, target: &Target, accesses: Vec<Access>, approvals: &[&str]) -> Decision {
    let approvals = approvals.iter().map(|group| Arc::from(*group)).collect();
    let request = request(accesses);
    engine.decide(&Question { principal, target, request: &request, clock: NOON, approvals: &approvals })
}

fn embedded() -> &'static Engine {
    static EMBEDDED: LazyLock<Engine> =
        LazyLock::new(|| Engine::compile(&Bundle::embedded(), 1).unwrap_or_else(|findings| panic!("{findings}")));
    &EMBEDDED
}

/// The repository's `policies/`.
fn repository() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

fn with_rules(text: &str) -> Bundle {
    let source = Source { name: "rules.cedar".to_owned(), text: text.to_owned() };
    Bundle { rules: vec![source], ..Bundle::embedded() }
}
