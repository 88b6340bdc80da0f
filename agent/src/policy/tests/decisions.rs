//! What follows from the rules.

use proptest::prelude::*;

use super::*;
use crate::{
    mask::Method,
    policy::entities::Touched,
    request::{ACCESSES_MAX, Estimate, http},
    target::Class,
};

#[test]
fn a_permitted_select_carries_every_mask() {
    let decision = ask(
        embedded(),
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
        embedded(),
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
    let decision = ask(engine, &bot, &prod, update(), &[]);
    assert_eq!(decision.effect, Effect::RequireApproval, "{decision:?}");
    let terms = decision.obligations.approval.expect("terms");
    assert_eq!(terms.groups, vec![vec![Arc::<str>::from("dba")]]);
    assert_eq!(ask(engine, &bot, &prod, update(), &["sre-oncall"]).effect, Effect::RequireApproval);
    assert_eq!(ask(engine, &bot, &prod, update(), &["dba"]).effect, Effect::Allow);
}

fn bot() -> Principal {
    principal("bot", &["agents"])
}

pub fn engine(rules: &str) -> Engine {
    Engine::compile(&with_rules(rules), 1).unwrap_or_else(|findings| panic!("{findings}"))
}

fn select(name: &str) -> Vec<Access> {
    vec![access(sql::Operation::Select, table(name))]
}

const READ: &str = r#"@id("read") permit (principal, action in Sql::Action::"read", resource is Sql::Table);
@id("write") permit (principal, action in Sql::Action::"write", resource is Sql::Table);"#;

fn effects(rules: &str, accesses: Vec<Access>, approvals: &[&str]) -> (Effect, Vec<String>) {
    let decision = ask(&engine(&format!("{READ}\n{rules}")), &bot(), &target(Some("prod")), accesses, approvals);
    (decision.effect, decision.rules.iter().map(ToString::to_string).collect())
}

#[test]
fn nobody_is_asked_to_approve_what_would_be_refused_anyway() {
    let rules = r#"
        @id("ask") @approval("dba") forbid (principal, action, resource) unless { context.approvals.contains(Group::"dba") };
        @id("never") forbid (principal, action, resource is Sql::Table) when { resource.name == "orders" };"#;
    assert_eq!(effects(rules, select("orders"), &[]), (Effect::Deny, vec!["never".to_owned(), "ask".to_owned()]));
    assert_eq!(effects(rules, select("products"), &[]).0, Effect::RequireApproval);
    let create = vec![access(sql::Operation::CreateTable, table("new"))];
    assert_eq!(effects(rules, create, &[]), (Effect::Deny, vec![]), "without a permit an approval cannot help");
}

#[test]
fn the_worst_access_wins_and_obligations_add_up() {
    let rules = r#"
        @id("mail") @mask("email=partial,ssn=last4") forbid (principal, action == Sql::Action::"select", resource)
        unless { context.masked.containsAll([DataClass::"email", DataClass::"ssn"]) };
        @id("strict") @mask("email=hash") forbid (principal, action == Sql::Action::"update", resource)
        unless { context.masked.contains(DataClass::"email") };
        @id("ask") @approval("dba|ci") @approval_wait("1h") @approval_valid("10m")
        forbid (principal, action == Sql::Action::"update", resource)
        unless { context.approvals.containsAny([Group::"dba", Group::"ci"]) };
        @id("ask-too") @approval("sre-oncall") @approval_wait("90s")
        forbid (principal, action == Sql::Action::"select", resource is Sql::Table) when { resource.name == "secret" }
        unless { context.approvals.contains(Group::"sre-oncall") };"#;
    let engine = engine(&format!("{READ}\n{rules}"));
    let all = vec![
        access(sql::Operation::Select, table("orders")),
        access(sql::Operation::Update, table("orders")),
        access(sql::Operation::Select, table("secret")),
    ];
    let decision = ask(&engine, &bot(), &target(None), all.clone(), &[]);
    assert_eq!(decision.effect, Effect::RequireApproval);
    let masks = BTreeMap::from([(Class::from("email"), Method::Hash), (Class::from("ssn"), Method::Last4)]);
    assert_eq!(decision.obligations.masks, masks, "the strictest method wins");
    let terms = decision.obligations.approval.expect("terms");
    let groups: Vec<Vec<&str>> = terms.groups.iter().map(|any| any.iter().map(AsRef::as_ref).collect()).collect();
    assert_eq!(groups, [vec!["dba", "ci"], vec!["sre-oncall"]]);
    assert_eq!(terms.wait.as_secs(), 90);
    assert_eq!(terms.valid.as_secs(), 0, "one of them is for this once");
    let half = ask(&engine, &bot(), &target(None), all.clone(), &["ci"]);
    assert_eq!(half.effect, Effect::RequireApproval);
    let whole = ask(&engine, &bot(), &target(None), all, &["ci", "sre-oncall"]);
    assert_eq!((whole.effect, whole.obligations.masks), (Effect::Allow, masks));
}

#[test]
fn a_denied_access_denies_the_whole_request() {
    let forbid =
        r#"@id("no") forbid (principal, action, resource is Sql::Table) when { resource.name == "customers" };"#;
    let both = [select("orders"), select("customers")].concat();
    assert_eq!(effects(forbid, both, &[]).0, Effect::Deny);
}

#[test]
fn an_approval_by_an_unknown_group_counts_for_nothing() {
    let rules = r#"@id("ask") @approval("dba") forbid (principal, action, resource) unless { context.approvals.contains(Group::"dba") };"#;
    assert_eq!(effects(rules, select("orders"), &["dbas", "DBA", "dba "]).0, Effect::RequireApproval);
    assert_eq!(effects(rules, select("orders"), &["dba"]).0, Effect::Allow);
}

#[test]
fn rules_for_a_group_and_for_a_workload_bind_only_those() {
    let rules = engine(
        r#"@id("agents") permit (principal in Group::"agents", action == Sql::Action::"select", resource);
           @id("bot") permit (principal == Workload::"bot", action == Sql::Action::"insert", resource);
           @id("is") permit (principal is Workload in Group::"ci", action == Sql::Action::"delete", resource);
           @id("owner") permit (principal, action == Sql::Action::"update", resource)
           when { principal has owner && principal.owner == User::"alice" };"#,
    );
    let effect =
        |who: &Principal, operation| ask(&rules, who, &target(None), vec![access(operation, table("t"))], &[]).effect;
    assert_eq!(effect(&bot(), sql::Operation::Select), Effect::Allow);
    assert_eq!(effect(&bot(), sql::Operation::Insert), Effect::Allow);
    assert_eq!(effect(&bot(), sql::Operation::Delete), Effect::Deny);
    assert_eq!(effect(&bot(), sql::Operation::Update), Effect::Allow);
    let other = principal("robot", &["ci", "no-such-group"]);
    assert_eq!(effect(&other, sql::Operation::Select), Effect::Deny);
    assert_eq!(effect(&other, sql::Operation::Insert), Effect::Deny);
    assert_eq!(effect(&other, sql::Operation::Delete), Effect::Allow);
    let nobody = Principal { owner: None, ..other };
    assert_eq!(effect(&nobody, sql::Operation::Update), Effect::Deny);
}

#[test]
fn names_with_slashes_are_not_mistaken_for_paths() {
    let rules = engine(
        r#"@id("one") permit (principal, action, resource == Sql::Table::"shop/shop/public/orders");
           @id("all") permit (principal, action == Sql::Action::"insert", resource in Sql::Schema::"shop/shop/public");"#,
    );
    let effect = |operation, schema: &str, name: &str| {
        let table = sql::Table { schema: schema.to_owned(), ..table(name) };
        ask(&rules, &bot(), &target(None), vec![access(operation, table)], &[]).effect
    };
    assert_eq!(effect(sql::Operation::Select, "public", "orders"), Effect::Allow);
    assert_eq!(effect(sql::Operation::Select, "public/orders", ""), Effect::Deny);
    assert_eq!(effect(sql::Operation::Select, "", "public/orders"), Effect::Deny);
    assert_eq!(effect(sql::Operation::Insert, "public", "a/b"), Effect::Allow);
    assert_eq!(effect(sql::Operation::Insert, "public/a", "b"), Effect::Deny);
    assert_eq!(effect(sql::Operation::Insert, "public%2Fa", "b"), Effect::Deny);
}

#[test]
fn what_the_schema_does_not_list_is_denied() {
    let rules = engine(READ);
    let strange = ask(&rules, &bot(), &target(Some("produktion")), select("orders"), &[]);
    assert_eq!(strange.effect, Effect::Deny);
    assert!(strange.message.contains("environment=`produktion`"), "{}", strange.message);
    let classified = sql::Table { read_classes: BTreeSet::from([Class::from("phi")]), ..table("patients") };
    let unmaskable = ask(&rules, &bot(), &target(None), vec![access(sql::Operation::Select, classified)], &[]);
    assert_eq!(unmaskable.effect, Effect::Deny);
    assert!(unmaskable.message.contains("`phi`"), "{}", unmaskable.message);
    let other = Target { protocol: "telnet".into(), ..target(None) };
    assert_eq!(ask(&rules, &bot(), &other, select("orders"), &[]).effect, Effect::Deny);
    let mismatch = access(sql::Operation::DropDatabase, table("orders"));
    assert_eq!(ask(&rules, &bot(), &target(None), vec![mismatch], &[]).effect, Effect::Deny);
}

#[test]
fn more_accesses_than_anybody_can_judge_are_denied() {
    let rules = engine(READ);
    let some = |count| vec![access(sql::Operation::Select, table("orders")); count];
    assert_eq!(ask(&rules, &bot(), &target(None), some(ACCESSES_MAX), &[]).effect, Effect::Allow);
    let denied = ask(&rules, &bot(), &target(None), some(ACCESSES_MAX + 1), &[]);
    assert_eq!(denied.effect, Effect::Deny);
    assert!(denied.message.contains("at most 256"), "{}", denied.message);
}

#[test]
fn what_touches_nothing_is_allowed_unless_it_was_not_understood() {
    let rules = engine(READ);
    assert_eq!(ask(&rules, &bot(), &target(None), vec![], &[]).effect, Effect::Allow);
    let footprint = Arc::new(Footprint { caveats: vec!["too deep".to_owned()], ..Footprint::default() });
    let request = Request { footprint, ..request(vec![]) };
    let (bot, target, none) = (bot(), target(None), BTreeSet::new());
    let decision =
        rules.decide(&Question { principal: &bot, target: &target, request: &request, clock: NOON, approvals: &none });
    assert_eq!(decision.effect, Effect::Deny);
    assert!(decision.message.contains("too deep"));
}

#[test]
fn what_was_not_understood_is_denied_with_the_reason() {
    let unknown = Access::Sql(sql::Access {
        operation: sql::Operation::Unknown,
        resource: sql::Resource::Database(sql::Database { name: "shop".to_owned() }),
        facts: sql::Facts::default(),
    });
    for (engine, rules) in [(embedded(), vec!["no-unknown"]), (&engine(READ), vec![])] {
        let footprint = Arc::new(Footprint {
            accesses: vec![unknown.clone()],
            caveats: vec!["DO runs code\u{7}".to_owned()],
            ..Footprint::default()
        });
        let request = Request { footprint, ..request(vec![]) };
        let (bot, target, none) = (bot(), target(None), BTreeSet::new());
        let decision = engine.decide(&Question {
            principal: &bot,
            target: &target,
            request: &request,
            clock: NOON,
            approvals: &none,
        });
        assert_eq!(decision.effect, Effect::Deny);
        assert_eq!(decision.rules.iter().map(ToString::to_string).collect::<Vec<_>>(), rules);
        assert!(decision.message.ends_with("DO runs code?"), "{}", decision.message);
    }
}

#[test]
fn without_a_policy_everything_is_denied() {
    let closed = Engine::closed("no policy", 3);
    assert_eq!(closed.generation(), 3);
    assert_eq!(ask(&closed, &bot(), &target(None), select("orders"), &[]).effect, Effect::Deny);
    assert_eq!(ask(&closed, &bot(), &target(None), vec![], &[]).effect, Effect::Deny);
}

/// Cedar skips a rule that cannot be evaluated; a forbid that vanishes must not open the way.
#[test]
fn a_rule_that_fails_denies_what_it_was_asked_about() {
    let (schema, vocabulary) = schema::build(&Bundle::embedded()).expect("schema");
    let text =
        format!(r#"{READ} @id("broken") forbid (principal, action, resource) when {{ resource.nothing == 1 }};"#);
    let mut findings = Vec::new();
    let rules = rule::parse(&with_rules(&text).rules[0], &vocabulary, &mut findings);
    assert_eq!((rules.len(), findings.len()), (3, 0));
    let engine = Engine::of(rules, schema, vocabulary, 1).expect("engine");
    let decision = ask(&engine, &bot(), &target(None), select("orders"), &[]);
    assert_eq!(decision.effect, Effect::Deny);
    assert!(decision.message.contains("could not be evaluated"), "{}", decision.message);
}

#[test]
fn the_time_of_day_counts_in_the_configured_zone() {
    let rules = format!(
        r#"{READ} @id("hours") @message("only on working days from 9 to 18") forbid (principal, action in Sql::Action::"write", resource)
        unless {{ context.clock.hour >= 9 && context.clock.hour < 18 && context.clock.weekday != Weekday::"sun" }};"#
    );
    let rules = engine(&rules);
    let on_orders =
        Footprint { accesses: vec![access(sql::Operation::Insert, table("orders"))], ..Footprint::default() };
    assert!(rules.needs(&on_orders).clock);
    assert!(!engine(READ).needs(&on_orders).clock);
    assert_eq!(embedded().needs(&on_orders), Needs::default(), "decisions of the embedded rules may be kept");
    let berlin = jiff::tz::TimeZone::get("Europe/Berlin").expect("zone");
    let clock = |text: &str| Clock::at(text.parse().expect("moment"), &berlin);
    assert_eq!(clock("2026-07-05T22:30:00Z"), Clock { hour: 0, minute: 30, weekday: Weekday::Monday });
    let (bot, target, none, request) =
        (bot(), target(None), BTreeSet::new(), request(vec![access(sql::Operation::Insert, table("t"))]));
    let effect = |clock| {
        rules.decide(&Question { principal: &bot, target: &target, request: &request, clock, approvals: &none }).effect
    };
    assert_eq!(effect(clock("2026-07-06T07:00:00Z")), Effect::Allow);
    assert_eq!(effect(clock("2026-07-06T06:59:59Z")), Effect::Deny);
    assert_eq!(effect(clock("2026-07-06T16:00:00Z")), Effect::Deny);
    assert_eq!(effect(clock("2026-07-05T10:00:00Z")), Effect::Deny);
}

#[test]
fn messages_name_what_was_touched_and_carry_no_control_characters() {
    let rules = engine(
        r#"@id("no") @message("{principal.name}: {action} of {resource.schema}.{resource.name} on {target} by {statement.verb}") forbid (principal, action, resource);"#,
    );
    let decision = ask(&rules, &bot(), &target(None), select("a\u{1b}[31m\nb"), &[]);
    assert_eq!(decision.message, "bot: select of public.a?[31m?b on shop by SELECT");
    let long = ask(&rules, &bot(), &target(None), select(&"x".repeat(10_000)), &[]);
    assert!(long.message.len() < 300);
}

#[test]
fn an_explanation_shows_both_passes() {
    let (engine, bot, target, none) = (embedded(), bot(), target(Some("prod")), BTreeSet::new());
    let request = request(vec![access(sql::Operation::Update, table("orders"))]);
    let question = Question { principal: &bot, target: &target, request: &request, clock: NOON, approvals: &none };
    let text = explain(engine, &question).to_string();
    for part in ["approval by approve-production-change", "pass 1", "pass 2", "permit write-tables (baseline.cedar:"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
}

/// Everything that can be asked has exactly the attributes, parents and context that the schema declares:
/// otherwise the type checker would prove something about other requests.
#[test]
fn every_request_is_one_that_the_schema_describes() {
    let (schema, vocabulary) = schema::build(&Bundle::embedded()).expect("schema");
    let names = entities::Names::parse().expect("names");
    let classes = BTreeSet::from([Class::from("email")]);
    let full = sql::Table {
        classes: Some(classes.clone()),
        read_classes: classes,
        columns: BTreeSet::from(["a".into()]),
        ..table("t")
    };
    let text = |text: &str| text.to_owned();
    let resources = [
        sql::Resource::Table(table("t")),
        sql::Resource::Table(full),
        sql::Resource::Database(sql::Database { name: text("shop") }),
        sql::Resource::Function(sql::Function {
            database: text("shop"),
            schema: text("pg_catalog"),
            name: text("now"),
        }),
        sql::Resource::Setting(sql::Setting { database: text("shop"), name: text("timezone") }),
    ];
    let facts = sql::Facts { limit: Some(5), ..sql::Facts::default() };
    let on = |operation| resources.iter().map(move |resource| (operation, resource.clone()));
    let statements = sql::Operation::ALL.into_iter().flat_map(on);
    let statements = statements.map(|(operation, resource)| sql::Access { operation, resource, facts }.into());
    let facts = Arc::new(http::Facts {
        method: text("PURGE"),
        headers: [(text("accept"), text("*/*"))].into(),
        query: [(text("q"), [text("a"), text("b")].into())].into(),
        content_type: Some(text("application/json")),
        content_length: Some(u64::MAX),
    });
    let endpoint = http::Endpoint { scheme: http::Scheme::Https, host: text("h"), port: 443, path: text("/") };
    let messages = http::Operation::ALL.into_iter();
    let messages =
        messages.map(|operation| http::Access { operation, endpoint: endpoint.clone(), facts: facts.clone() });
    let accesses: Vec<Access> = statements.chain(messages.map(Access::from)).collect();
    let bot = bot();
    let identities = names.identities(&bot, &vocabulary);
    let workload = names.workload(&bot, &identities).expect("workload");
    let mut asked = BTreeSet::new();
    for access in accesses {
        let target = match access {
            Access::Sql(_) => target(Some("prod")),
            Access::Http(_) => Target { protocol: "http".into(), ..target(Some("prod")) },
        };
        let place = names.target(&target, &vocabulary).expect("target");
        let action = names.action(access.operation());
        let Touched { resource, others } = names.touched(&target, &access, &vocabulary).expect("resource");
        let applies =
            schema.resources_for_action(&action).expect("action").any(|kind| kind == resource.uid().type_name());
        if !applies {
            continue;
        }
        let email = Class::from("email");
        let grants = entities::Grants {
            approvals: BTreeSet::from(["dba"]),
            masked: BTreeSet::from([&email]),
            limited: Limit::ALL.into(),
        };
        let standing = Standing { estimate: Some(Estimate::default()), ..Standing::fresh() };
        let context = names.context(NOON, &access, &standing, &grants).expect("context");
        cedar_policy::Request::new(workload.uid(), action, resource.uid(), context, Some(&schema)).expect("request");
        let all = [workload.clone(), place, resource].into_iter().chain(others);
        cedar_policy::Entities::from_entities(all, Some(&schema)).expect("entities");
        asked.insert(access.operation());
    }
    assert_eq!(asked.len(), Operation::all().count(), "every operation applies to something");
}

/// A target speaks one protocol: what another one's rules permit there is not asked.
#[test]
fn what_belongs_to_another_protocol_is_denied() {
    let endpoint = http::Endpoint { scheme: http::Scheme::Http, host: "h".into(), port: 80, path: "/".into() };
    let access = http::Access { operation: http::Operation::Get, endpoint, facts: Arc::default() };
    let rules = engine(r#"@id("read") permit (principal, action, resource is Http::Endpoint);"#);
    let decision = ask(&rules, &bot(), &target(None), vec![access.clone().into()], &[]);
    assert_eq!(decision.effect, Effect::Deny);
    assert!(decision.message.contains("speaks `postgres`"), "{}", decision.message);
    let site = Target { protocol: "http".into(), ..target(None) };
    assert_eq!(ask(&rules, &bot(), &site, vec![access.into()], &[]).effect, Effect::Allow);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Adding accesses can only make a decision worse, and never takes an obligation away.
    #[test]
    fn more_accesses_never_help(kinds in prop::collection::vec(0..sql::Operation::ALL.len(), 1..6), has_where: bool) {
        let engine = embedded();
        let accesses: Vec<Access> = kinds.iter().map(|kind| {
            let facts = sql::Facts { verb: "SELECT", has_where, ..sql::Facts::default() };
            let resource = sql::Resource::Table(table("orders"));
            Access::Sql(sql::Access { operation: sql::Operation::ALL[*kind], resource, facts })
        }).collect();
        let mut last = ask(engine, &bot(), &target(Some("prod")), vec![], &[]);
        for count in 1..=accesses.len() {
            let next = ask(engine, &bot(), &target(Some("prod")), accesses[..count].to_vec(), &[]);
            prop_assert!(next.effect >= last.effect);
            if next.effect != Effect::Deny {
                for (class, method) in &last.obligations.masks {
                    prop_assert!(next.obligations.masks[class] >= *method);
                }
            }
            last = next;
        }
    }

    /// Whatever the names are, a question is answered, and by the same answer every time.
    #[test]
    fn arbitrary_names_are_answered(schema in ".*", name in ".*", column in ".*", workload in ".*", group in ".*") {
        let engine = embedded();
        let table = sql::Table { schema, columns: BTreeSet::from([column]), ..table(&name) };
        let who = principal(&workload, &[group.as_str()]);
        let accesses = vec![access(sql::Operation::Select, table)];
        let first = ask(engine, &who, &target(None), accesses.clone(), &[]);
        prop_assert_eq!(first, ask(engine, &who, &target(None), accesses, &[]));
    }
}

/// Rules whose scopes name everything that the index divides by.
const SCOPES: &str = r#"
    @id("p-any") permit (principal, action in Sql::Action::"read", resource is Sql::Table);
    @id("p-group") permit (principal in Group::"agents", action, resource is Sql::Table);
    @id("p-is-group") permit (principal is Workload in Group::"ci", action in [Sql::Action::"write", Sql::Action::"call"], resource);
    @id("p-in-self") permit (principal in Workload::"bot", action == Sql::Action::"connect", resource in Target::"shop");
    @id("p-eq") permit (principal == Workload::"bot", action == Sql::Action::"set", resource);
    @id("p-is") permit (principal is Workload, action == Sql::Action::"maintain", resource is Sql::Database in Target::"shop");
    @id("p-names") permit (principal, action, resource is Sql::Function) when { resource.schema == "s" && ["e", "f"].contains(resource.name) };
    @id("p-other-names") permit (principal, action, resource is Sql::Function) when { ["g", "h"].contains(resource.name) };
    @id("p-one-of") permit (principal, action == Sql::Action::"set", resource) when { ["x"].contains(resource.name) || resource.name like "j*" };
    @id("p-twice") permit (principal, action == Sql::Action::"set", resource) when { ["x", "jit"].contains(resource.name) && ["jit"].contains(resource.name) };
    @id("p-names-group") permit (principal in Group::"dba", action == Sql::Action::"call", resource) when { ["f"].contains(resource.name) };
    @id("p-unless") permit (principal, action == Sql::Action::"notify", resource) unless { ["x"].contains(resource.name) };
    @id("f-names") forbid (principal in Group::"ci", action == Sql::Action::"call", resource) when { ["f"].contains(resource.name) };
    @id("f-any") forbid (principal, action in [Sql::Action::"ddl", Sql::Action::"admin"], resource);
    @id("f-group") forbid (principal in Group::"ci", action in Sql::Action::"read", resource);
    @id("f-eq") forbid (principal == Workload::"bot", action == Sql::Action::"delete", resource == Sql::Table::"shop/shop/public/t");
    @id("f-other") forbid (principal == Workload::"robot", action, resource);
"#;

static SCHEMA: LazyLock<(cedar_policy::Schema, Vocabulary)> =
    LazyLock::new(|| schema::build(&Bundle::embedded()).expect("schema"));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The index only leaves out rules that cannot match: Cedar over all rules at once says the same.
    #[test]
    fn the_index_changes_no_decision(
        kind in 0..sql::Operation::ALL.len(),
        workload in prop::sample::select(vec!["bot", "robot", "other"]),
        groups in prop::sample::subsequence(vec!["agents", "ci", "dba"], 0..=3),
    ) {
        static INDEXED: LazyLock<Engine> = LazyLock::new(|| engine(SCOPES));
        let operation = sql::Operation::ALL[kind];
        let (schema, vocabulary) = &*SCHEMA;
        let names = entities::Names::parse().expect("names");
        let (who, place) = (principal(workload, &groups), target(None));
        let resources = [
            sql::Resource::Table(table("t")),
            sql::Resource::Database(sql::Database { name: "shop".to_owned() }),
            sql::Resource::Function(sql::Function { database: "shop".to_owned(), schema: "s".to_owned(), name: "f".to_owned() }),
            sql::Resource::Setting(sql::Setting { database: "shop".to_owned(), name: "jit".to_owned() }),
        ];
        let action = names.action(Operation::Sql(operation));
        let access = |resource| Access::Sql(sql::Access { operation, resource, facts: sql::Facts::default() });
        let described = |access: &Access| names.touched(&place, access, vocabulary).expect("resource").resource;
        let access = resources
            .map(access)
            .into_iter()
            .find(|access| schema.resources_for_action(&action).expect("action").any(|kind| kind == described(access).uid().type_name()))
            .expect("a resource");

        let set = cedar_policy::PolicySet::from_policies(INDEXED.rules().into_iter().map(|rule| rule.policy.clone())).expect("set");
        let workload = names.workload(&who, &names.identities(&who, vocabulary)).expect("workload");
        let entity = described(&access);
        let context = names.context(NOON, &access, &Standing::fresh(), &entities::Grants::default()).expect("context");
        let request = cedar_policy::Request::new(workload.uid(), action, entity.uid(), context, Some(schema)).expect("request");
        let parties = [workload, names.target(&place, vocabulary).expect("target"), entity];
        let entities = cedar_policy::Entities::from_entities(parties, Some(schema)).expect("entities");
        let response = cedar_policy::Authorizer::new().is_authorized(&request, &set, &entities);
        let mut reasons: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        reasons.sort();

        let decision = ask(&INDEXED, &who, &place, vec![access], &[]);
        let rules: Vec<String> = decision.rules.iter().map(ToString::to_string).collect();
        prop_assert_eq!(decision.effect == Effect::Allow, response.decision() == cedar_policy::Decision::Allow);
        prop_assert_eq!(rules, reasons);
    }
}
