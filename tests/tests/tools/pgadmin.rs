//! pgAdmin, headless: every node of its tree with each tab, its dashboards, its search, grids of rows and the query tool.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use serde_json::Value;

use super::{application::PGADMIN, *};

/// What an operator adds for pgAdmin.
const EXAMPLE: &str = "agents-use-pgadmin.cedar";

/// What is refused all the same: the template of the query, and the access that it lacked.
///
/// What other sessions of the role ask, how a subscription and a user of a foreign server log in, and an extension's function.
const REFUSED: [(&str, &str); 10] = [
    ("", "DROP TABLE destroys what it names and is not allowed"),
    ("dashboard/sql/default/activity.sql", "select on shop/shop/pg_catalog.pg_stat_activity"),
    ("dashboard/sql/default/dashboard_stats.sql", "select on shop/shop/pg_catalog.pg_stat_activity"),
    ("dashboard/sql/default/replication_stats.sql", "select on shop/shop/pg_catalog.pg_stat_replication"),
    ("extensions/sql/properties.sql", "call on shop/shop/pg_catalog.pg_available_extensions()"),
    ("search_objects/sql/pg/default/search.sql", "call on shop/shop/pg_catalog.pg_available_extensions()"),
    ("servers/sql/default/stats.sql", "select on shop/shop/pg_catalog.pg_stat_activity"),
    ("subscriptions/sql/15_plus/properties.sql", "select on shop/shop/pg_catalog.pg_subscription"),
    ("subscriptions/sql/default/stats.sql", "select on shop/shop/pg_catalog.pg_stat_subscription"),
    ("user_mappings/sql/default/properties.sql", "select on shop/shop/pg_catalog.pg_user_mappings"),
];

/// Answers that differ though nothing was refused, and why.
const DIFFERENT: [&str; 10] = [
    // `pg_show_all_settings()` may hold values of any class for all that the gate knows, so they come back as NULL; the tabs
    // read the defaults of autovacuum and of storage there.
    "mview/obj",
    "mview/sql",
    "partition/obj",
    "partition/sql",
    // E-mail addresses, masked by what they look like.
    "query_3/rows",
    // NULL for what `pg_is_wal_replay_paused()` would tell, and no password in what pgAdmin knows of its connection.
    "server/connect",
    "server/nodes",
    "server/obj",
    "table/obj",
    "table/sql",
];

/// Kinds of objects that cannot be opened, because the list of them was refused.
const HIDDEN: [&str; 2] = ["extension", "user_mapping"];

/// One answer of pgAdmin, and the statements that it took.
struct Answer(Value);

impl Answer {
    /// Reads what the walk printed; pgAdmin itself prints a heading.
    fn all(output: &Output) -> Result<Vec<Self>> {
        let text = said(output)?;
        let lines = text.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| Ok(Self(serde_json::from_str(line)?))).collect()
    }

    fn text(&self, key: &str) -> String {
        self.0.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned)).unwrap_or_default()
    }

    fn question(&self) -> (String, String) {
        (self.text("name"), self.text("address"))
    }

    fn statements(&self) -> impl Iterator<Item = &Value> {
        self.0.get("statements").and_then(Value::as_array).into_iter().flatten()
    }

    fn templates(&self) -> impl Iterator<Item = &str> {
        self.0.get("templates").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// Template and access of each statement that the gate denied.
    fn refusals(&self) -> impl Iterator<Item = (String, String)> {
        self.statements().filter_map(|statement| {
            let word = |key| statement.get(key).and_then(Value::as_str);
            let (_, access) = word("error")?.split_once("denied: ")?;
            let access = access.split_once("agent ").map_or(access, |(_, access)| access);
            Some((word("template")?.to_owned(), access.to_owned()))
        })
    }
}

#[test]
fn pgadmin_shows_what_it_shows_without_a_gate() -> Result<()> {
    let server = server()?;
    server.shop(&std::fs::read_to_string(place::repository().join("tests/tools/pgadmin/objects.sql"))?)?;
    let policies = policies()?;
    std::fs::copy(place::repository().join("policies/examples").join(EXAMPLE), policies.path().join(EXAMPLE))?;
    let setup = Setup { policies: Some(policies.path().to_owned()), classes: "", ..Setup::default() };
    let gate = Gate::with(&server, &setup)?;
    let (ungoverned, governed) = thread::scope(|scope| {
        let ungoverned = scope.spawn(|| PGADMIN.directly(&server));
        let governed = PGADMIN.governed(&gate, &server);
        (ungoverned.join(), governed)
    });
    let ungoverned = Answer::all(&ungoverned.ok().context("the walk without a gate")??)?;
    let governed = Answer::all(&governed?).with_context(|| format!("the daemon's log:\n{}", gate.log()))?;

    let expected: BTreeMap<_, _> = ungoverned.iter().map(|answer| (answer.question(), answer)).collect();
    let refusals: BTreeSet<_> = governed.iter().flat_map(Answer::refusals).collect();
    let (mut alike, mut differing) = (0, BTreeSet::new());
    for answer in &governed {
        match expected.get(&answer.question()).is_some_and(|direct| direct.text("answer") == answer.text("answer")) {
            true => alike += 1,
            false if answer.refusals().next().is_some() => {}
            false => drop(differing.insert(answer.text("name"))),
        }
    }
    let statements = ungoverned.iter().flat_map(Answer::statements).count();
    let templates = ungoverned.iter().flat_map(Answer::templates).collect::<BTreeSet<_>>().len();
    println!("{statements} statements from {templates} templates: {alike} of {} answers alike", ungoverned.len());
    refusals.iter().for_each(|(template, message)| println!("refused: {template}: {message}"));

    let refused: Vec<_> = refusals.iter().map(|(template, access)| (template.as_str(), access.as_str())).collect();
    assert_eq!(refused, REFUSED);
    assert_eq!(differing.into_iter().collect::<Vec<_>>(), DIFFERENT);
    let shown: BTreeSet<_> = governed.iter().map(Answer::question).collect();
    let hidden = expected.keys().filter(|question| !shown.contains(*question));
    let hidden: BTreeSet<_> = hidden.filter_map(|(name, _)| name.split('/').next()).collect();
    assert_eq!(hidden.into_iter().collect::<Vec<_>>(), HIDDEN);
    gate.ask(["sessions", "verify", "--all"]).map(drop)
}
