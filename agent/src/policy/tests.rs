//! What every policy is promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::*;
use crate::{
    mask::Method,
    principal::{Principal, Process},
    request::{Access, Facts, Footprint, Operation, Request, Resource, Stage, Summary, sql},
    target::{Class, Target, Verify},
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
    let facts = Facts { verb: "SELECT", has_where: true, has_limit: false };
    Access { operation: Operation::Sql(operation), resource: Resource::Table(table), facts }
}

fn request(accesses: Vec<Access>) -> Request {
    let footprint = Arc::new(Footprint { accesses, caveats: Vec::new() });
    Request { summary: Summary("SELECT".into()), stage: Stage::Execute, footprint }
}

const NOON: Clock = Clock { hour: 12, minute: 0, weekday: Weekday::Monday };

fn ask(engine: &Engine, principal: &Principal, target: &Target, accesses: Vec<Access>, approvals: &[&str]) -> Decision {
    let approvals = approvals.iter().map(|group| Arc::from(*group)).collect();
    let request = request(accesses);
    engine.decide(&Question { principal, target, request: &request, clock: NOON, approvals: &approvals })
}

fn embedded() -> Engine {
    Engine::compile(&Bundle::embedded(), 1).unwrap_or_else(|findings| panic!("{findings}"))
}

#[test]
fn the_embedded_policy_has_no_mistakes() {
    assert!(embedded().rules().len() > 20);
}

#[test]
fn a_permitted_select_carries_every_mask() {
    let decision = ask(
        &embedded(),
        &principal("bot", &["agents"]),
        &target(None),
        vec![access(sql::Operation::Select, table("orders"))],
        &[],
    );
    assert_eq!(decision.effect, Effect::Allow, "{decision:?}");
    assert_eq!(decision.obligations.masks[&Class::from("email")], Method::Partial);
    assert_eq!(decision.obligations.masks[&Class::from("secret")], Method::Redact);
    assert_eq!(decision.obligations.masks.len(), 6);
    assert_eq!(decision.obligations.approval, None);
}

#[test]
fn what_no_rule_permits_is_denied_by_name() {
    let decision = ask(
        &embedded(),
        &principal("bot", &[]),
        &target(None),
        vec![access(sql::Operation::CreateTable, table("orders"))],
        &[],
    );
    assert_eq!(decision.effect, Effect::Deny);
    assert_eq!(decision.rules, []);
    assert_eq!(decision.message, "no policy allows bot create_table on shop/shop/public.orders");
}

#[test]
fn a_risky_update_waits_for_a_person() {
    let update = || vec![access(sql::Operation::Update, table("orders"))];
    let (engine, bot, prod) = (embedded(), principal("bot", &[]), target(Some("prod")));
    let decision = ask(&engine, &bot, &prod, update(), &[]);
    assert_eq!(decision.effect, Effect::RequireApproval, "{decision:?}");
    let terms = decision.obligations.approval.expect("terms");
    assert_eq!(terms.groups, vec![vec![Arc::<str>::from("dba")]]);
    assert_eq!(ask(&engine, &bot, &prod, update(), &["sre-oncall"]).effect, Effect::RequireApproval);
    assert_eq!(ask(&engine, &bot, &prod, update(), &["dba"]).effect, Effect::Allow);
}

#[test]
fn every_operation_is_an_action_and_every_action_an_operation() {
    for (position, operation) in sql::Operation::ALL.into_iter().enumerate() {
        assert_eq!(operation as usize, position);
    }
    assert_eq!(sql::Operation::Unknown as usize + 1, sql::Operation::ALL.len());
    let (schema, _) = schema::build(&Bundle::embedded()).expect("the schema is valid");
    let groups: BTreeSet<String> = schema.action_groups().map(|uid| uid.id().unescaped().to_owned()).collect();
    let actions: BTreeSet<String> = schema.actions().map(|uid| uid.id().unescaped().to_owned()).collect();
    let names: BTreeSet<String> =
        sql::Operation::ALL.into_iter().map(|operation| operation.name().to_owned()).collect();
    assert_eq!(actions.difference(&groups).cloned().collect::<BTreeSet<_>>(), names);
}

/// The repository's `policies/`.
fn repository() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies")
}

fn with_rules(text: &str) -> Bundle {
    let source = Source { name: "rules.cedar".to_owned(), text: text.to_owned() };
    Bundle { rules: vec![source], ..Bundle::embedded() }
}

#[test]
fn every_planted_mistake_is_refused_in_its_own_words() {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("bad")).expect("bad") {
        let path = entry.expect("entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let expected = text.lines().next().and_then(|line| line.strip_prefix("// expect: ")).expect("an expectation");
        let findings = Engine::compile(&with_rules(&text), 1).err().unwrap_or_else(|| panic!("{path:?} is accepted"));
        assert!(findings.iter().any(|finding| finding.message.contains(expected)), "{path:?}:\n{findings}");
        assert!(findings.iter().all(|finding| finding.line > 0 && finding.column > 0), "{path:?}:\n{findings}");
        assert!(findings.iter().count() <= 3, "{path:?}:\n{findings}");
        seen += 1;
    }
    assert!(seen >= 20);
}
