//! How long an uncached decision takes: `cargo run --release -p portcullis --example decide`.

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use portcullis::{
    policy::{Bundle, Clock, Engine, Question, Source, Weekday},
    principal::{Principal, Process},
    request::{Access, Footprint, Request, Stage, Standing, Summary, sql},
    target::{Target, Verify},
};

const ROUNDS: usize = 5_000;

fn main() -> anyhow::Result<()> {
    let started = Instant::now();
    let embedded = Engine::compile(&Bundle::embedded(), 1)?;
    println!("{:<46} {:>9.1?}", format!("compile {} rules", embedded.rules().len()), started.elapsed());
    let thousand = Engine::compile(&with_rules(1000), 1)?;
    let select = |name: &str| access(sql::Operation::Select, name);
    let point = vec![select("orders"), call("count")];
    let join = vec![select("orders"), select("customers"), select("products")];
    let update = vec![access(sql::Operation::Update, "orders")];
    for (name, engine) in [("embedded", &embedded), ("embedded and 1,000 more", &thousand)] {
        for (what, accesses) in
            [("select and one function", &point), ("three-table join", &join), ("update in production", &update)]
        {
            let (median, high) = measure(engine, accesses);
            println!("{:<46} {median:>9.1?} median {high:>9.1?} p99", format!("{name}: {what}"));
        }
    }
    Ok(())
}

fn measure(engine: &Engine, accesses: &[Access]) -> (Duration, Duration) {
    let (principal, target, approvals) = (principal(), target(), BTreeSet::new());
    let footprint = Arc::new(Footprint { accesses: accesses.to_vec(), ..Footprint::default() });
    let request = Request {
        summary: Summary("".into()),
        arguments: None,
        stage: Stage::Execute,
        footprint,
        standing: Standing::default(),
    };
    let clock = Clock { hour: 12, minute: 0, weekday: Weekday::Monday };
    let question = Question { principal: &principal, target: &target, request: &request, clock, approvals: &approvals };
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            black_box(engine.decide(black_box(&question)));
            started.elapsed()
        })
        .collect();
    times.sort();
    let at = |share: usize| times.get(ROUNDS * share / 100).copied().unwrap_or_default();
    (at(50), at(99))
}

/// The embedded rules and others like them, for other workloads and other tables.
fn with_rules(count: usize) -> Bundle {
    let mut bundle = Bundle::embedded();
    let rule = |n: usize| match n % 2 {
        0 => format!(
            "@id(\"n{n}\") permit (principal == Workload::\"bot-{n}\", action in Sql::Action::\"read\", resource is Sql::Table) when {{ resource.schema == \"team_{n}\" }};\n"
        ),
        _ => format!(
            "@id(\"n{n}\") forbid (principal in Group::\"analysts\", action in Sql::Action::\"write\", resource is Sql::Table) when {{ resource.name like \"archive_{n}_*\" }};\n"
        ),
    };
    bundle.rules.push(Source { name: "more.cedar".to_owned(), text: (0..count).map(rule).collect() });
    bundle
}

fn access(operation: sql::Operation, name: &str) -> Access {
    let table = sql::Table {
        database: "shop".to_owned(),
        schema: "public".to_owned(),
        name: name.to_owned(),
        columns: ["id", "total", "status"].map(str::to_owned).into(),
        classes: None,
        read_classes: BTreeSet::new(),
    };
    let facts = sql::Facts { verb: "SELECT", has_where: true, ..sql::Facts::default() };
    Access::Sql(sql::Access { operation, resource: sql::Resource::Table(table), facts })
}

fn call(name: &str) -> Access {
    let function =
        sql::Function { database: "shop".to_owned(), schema: "pg_catalog".to_owned(), name: name.to_owned() };
    let facts = sql::Facts { verb: "SELECT", ..sql::Facts::default() };
    Access::Sql(sql::Access { operation: sql::Operation::Call, resource: sql::Resource::Function(function), facts })
}

fn principal() -> Principal {
    let process = Process {
        pid: 1,
        uid: 1000,
        user: "agent".to_owned(),
        executable: Some(PathBuf::from("/usr/bin/psql")),
        executable_hash: None,
        command_line: Vec::new(),
        parents: Vec::new(),
        cgroup: "/portcullis/agent".to_owned(),
        cgroup_id: 1,
    };
    Principal { workload: "agent".into(), groups: vec!["agents".into()], owner: None, process }
}

fn target() -> Target {
    Target {
        name: "shop".into(),
        protocol: "postgres".into(),
        addresses: Vec::new(),
        upstream: None,
        tls: Verify::Off,
        credential: None,
        labels: BTreeMap::from([("environment".to_owned(), "prod".to_owned())]),
        classes: BTreeMap::new(),
        paths: Default::default(),
    }
}
