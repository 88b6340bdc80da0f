//! A catalogue in the making: relations, and how classes pass between them.

use std::collections::{BTreeSet, HashMap};

use crate::{
    protocol::postgres::seen::Seen,
    sql::{Column, ColumnRef, Definition, Relation, RelationKind, SETTINGS},
    target::{Class, ColumnName, Target},
};

/// Columns of the server's own relations that hold values of tables: statistics, large objects, other people's
/// statements, defaults of columns that were added later.
const COPIES: [(&str, &str); 23] = [
    ("pg_attribute", "attmissingval"),
    ("pg_largeobject", "data"),
    ("pg_stat_activity", "application_name"),
    ("pg_stat_activity", "query"),
    ("pg_stat_statements", "query"),
    ("pg_statistic", "stavalues1"),
    ("pg_statistic", "stavalues2"),
    ("pg_statistic", "stavalues3"),
    ("pg_statistic", "stavalues4"),
    ("pg_statistic", "stavalues5"),
    ("pg_statistic_ext_data", "stxdexpr"),
    ("pg_statistic_ext_data", "stxdmcv"),
    ("pg_stats", "histogram_bounds"),
    ("pg_stats", "most_common_elems"),
    ("pg_stats", "most_common_vals"),
    ("pg_stats", "range_bounds_histogram"),
    ("pg_stats_ext", "most_common_vals"),
    ("pg_stats_ext_exprs", "histogram_bounds"),
    ("pg_stats_ext_exprs", "most_common_elems"),
    ("pg_stats_ext_exprs", "most_common_vals"),
    ("pg_stats_ext_exprs", "range_bounds_histogram"),
    ("pg_stats_ext_exprs", "range_length_histogram"),
    ("pg_stats", "range_length_histogram"),
];

/// A catalogue in the making: relations, and how classes pass between them.
#[derive(Default)]
pub struct Plan {
    relations: HashMap<u32, Relation>,
    /// View, base relation, base column or zero.
    sights: Vec<(u32, u32, i32)>,
    /// Child and parent.
    kin: Vec<(u32, u32)>,
}

/// A relation as `pg_class` lists it.
pub struct Listed {
    pub oid: u32,
    pub schema: String,
    pub name: String,
    pub kind: String,
}

impl Plan {
    pub fn add(&mut self, target: &Target, seen: &Seen, listed: Listed, columns: impl Iterator<Item = (i16, String)>) {
        let Listed { oid, schema, name, kind } = listed;
        let named =
            |column: &str| ColumnName { schema: schema.clone(), table: name.clone(), column: column.to_owned() };
        let is_view = matches!(&*kind, "v" | "m");
        let columns = columns
            .map(|(number, column)| {
                let mut classes = target.classes.get(&named(&column)).cloned().unwrap_or_default();
                join(&mut classes, seen.of(ColumnRef { relation: oid, column: number }));
                Column { number, name: column, classes, computed: is_view }
            })
            .collect();
        let kind = match &*kind {
            "r" | "p" => RelationKind::Table,
            "v" => RelationKind::View,
            "m" => RelationKind::MaterializedView,
            "f" => RelationKind::Foreign,
            "S" => RelationKind::Sequence,
            _ => RelationKind::Other,
        };
        self.relations.insert(oid, Relation { oid, schema, name, kind, columns, classified: false });
    }

    /// The query of a view, beside the classes that its columns have by name.
    pub fn definition(&self, view: u32, query: String) -> Definition {
        let columns = self.relations.get(&view).into_iter().flat_map(|view| &view.columns);
        Definition { query, own: columns.map(|column| (column.number, column.classes.clone())).collect() }
    }

    pub fn sees(&mut self, view: u32, base: u32, column: i32) {
        self.sights.push((view, base, column));
    }

    /// Views through which settings are changed.
    pub fn settings(&self) -> BTreeSet<u32> {
        let is_server = |relation: &&Relation| relation.schema == "pg_catalog" && relation.name == SETTINGS;
        let mut found: BTreeSet<u32> = self.relations.values().filter(is_server).map(|relation| relation.oid).collect();
        loop {
            let known = found.len();
            let views = self.sights.iter().filter(|(_, base, _)| found.contains(base)).map(|(view, ..)| *view);
            let views: Vec<u32> = views.collect();
            found.extend(views);
            if found.len() == known {
                return found;
            }
        }
    }

    pub fn shares_rows(&mut self, child: u32, parent: u32) {
        self.kin.push((child, parent));
    }

    /// Passes classes on until nothing changes: a view of a view, a partition of a partition.
    pub fn draw(mut self, target: &Target) -> HashMap<u32, Relation> {
        let own = self.relations.values().flat_map(|relation| &relation.columns).flat_map(|column| &column.classes);
        let everything: BTreeSet<Class> = target.classes.values().flatten().chain(own).cloned().collect();
        for relation in self.relations.values_mut() {
            let table = relation.name.as_str();
            let copies = |column: &&mut Column| COPIES.contains(&(table, column.name.as_str()));
            for column in relation.columns.iter_mut().filter(copies) {
                join(&mut column.classes, everything.iter());
            }
        }
        let (sights, kin) = (std::mem::take(&mut self.sights), std::mem::take(&mut self.kin));
        let mut changed = !everything.is_empty();
        while changed {
            changed = false;
            for (view, base, column) in &sights {
                let seen = if *base == 0 { everything.clone() } else { self.classes(*base, *column) };
                changed |= self.spread(*view, &seen);
            }
            for (child, parent) in &kin {
                changed |= self.equalise(*child, *parent);
                changed |= self.equalise(*parent, *child);
            }
        }
        for relation in self.relations.values_mut() {
            relation.classified = relation.columns.iter().any(|column| !column.classes.is_empty());
        }
        self.relations
    }

    fn classes(&self, relation: u32, number: i32) -> BTreeSet<Class> {
        let columns = self.relations.get(&relation).into_iter().flat_map(|relation| &relation.columns);
        let wanted = columns.filter(|column| number == 0 || i32::from(column.number) == number);
        wanted.flat_map(|column| column.classes.iter().cloned()).collect()
    }

    /// Every column of a view may show every value that the view can reach.
    fn spread(&mut self, view: u32, classes: &BTreeSet<Class>) -> bool {
        let columns = self.relations.get_mut(&view).into_iter().flat_map(|relation| &mut relation.columns);
        columns.fold(false, |changed, column| join(&mut column.classes, classes.iter()) | changed)
    }

    /// A table's rows show through its parent under the same column names, and the parent's classes hold for them.
    fn equalise(&mut self, from: u32, to: u32) -> bool {
        let Some(source) = self.relations.get(&from) else { return false };
        let given: Vec<(String, Vec<Class>)> = source
            .columns
            .iter()
            .filter(|column| !column.classes.is_empty())
            .map(|column| (column.name.clone(), column.classes.clone()))
            .collect();
        let Some(receiver) = self.relations.get_mut(&to) else { return false };
        given.iter().fold(false, |changed, (name, classes)| {
            let column = receiver.columns.iter_mut().find(|column| column.name == *name);
            column.is_some_and(|column| join(&mut column.classes, classes.iter())) | changed
        })
    }
}

fn join<'a>(known: &mut Vec<Class>, more: impl Iterator<Item = &'a Class>) -> bool {
    let before = known.len();
    for class in more {
        if !known.contains(class) {
            known.push(class.clone());
        }
    }
    known.len() > before
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::target::Verify;

    fn target() -> Target {
        let email = ColumnName { schema: "public".into(), table: "customers".into(), column: "email".into() };
        Target {
            name: "shop".into(),
            protocol: "postgres".into(),
            addresses: Vec::new(),
            upstream: None,
            tls: Verify::Off,
            credential: None,
            labels: BTreeMap::new(),
            classes: BTreeMap::from([(email, vec![Class::from("email")])]),
            paths: BTreeMap::new(),
        }
    }

    fn plan(target: &Target) -> Plan {
        commented(target, &Seen::default())
    }

    fn commented(target: &Target, seen: &Seen) -> Plan {
        let mut plan = Plan::default();
        let mut add = |oid, name: &str, kind: &str, columns: &[&str]| {
            let columns = (1..).zip(columns.iter().map(|&column| column.to_owned()));
            let (schema, name, kind) = ("public".to_owned(), name.to_owned(), kind.to_owned());
            plan.add(target, seen, Listed { oid, schema, name, kind }, columns);
        };
        add(1, "customers", "p", &["id", "email"]);
        add(2, "customers_old", "r", &["id", "email"]);
        add(3, "mails", "v", &["address"]);
        add(4, "mails_again", "m", &["a", "b"]);
        add(5, "ids", "v", &["id"]);
        plan
    }

    fn classes(relations: &HashMap<u32, Relation>, oid: u32) -> Vec<usize> {
        relations[&oid].columns.iter().map(|column| column.classes.len()).collect()
    }

    #[test]
    fn a_view_of_a_view_has_the_classes_of_what_it_reaches() {
        let target = target();
        let mut plan = plan(&target);
        plan.sees(4, 3, 1);
        plan.sees(3, 1, 2);
        plan.sees(5, 1, 1);
        let relations = plan.draw(&target);
        assert_eq!(classes(&relations, 3), [1]);
        assert_eq!(classes(&relations, 4), [1, 1]);
        assert_eq!(classes(&relations, 5), [0]);
        assert!(relations[&4].classified && !relations[&5].classified);
    }

    #[test]
    fn statistics_have_the_classes_of_all_that_they_copy() {
        let target = target();
        let mut plan = plan(&target);
        let columns = [(1, "attname"), (2, "most_common_vals")].map(|(number, name)| (number, name.to_owned()));
        let listed =
            Listed { oid: 6, schema: "pg_catalog".to_owned(), name: "pg_stats".to_owned(), kind: "v".to_owned() };
        plan.add(&target, &Seen::default(), listed, columns.into_iter());
        assert_eq!(classes(&plan.draw(&target), 6), [0, 1]);
    }

    #[test]
    fn a_whole_row_or_an_unknown_function_reaches_everything() {
        let target = target();
        let mut plan = plan(&target);
        plan.sees(3, 1, 0);
        plan.sees(5, 0, 0);
        let relations = plan.draw(&target);
        assert_eq!((classes(&relations, 3), classes(&relations, 5)), (vec![1], vec![1]));
    }

    #[test]
    fn partitions_share_the_classes_of_their_parent() {
        let target = target();
        let mut plan = plan(&target);
        plan.shares_rows(2, 1);
        assert_eq!(classes(&plan.draw(&target), 2), [0, 1]);
    }

    #[test]
    fn classes_by_comment_add_to_those_of_the_configuration_and_pass_on() {
        let target = Target { classes: BTreeMap::new(), ..target() };
        let mut seen = Seen::default();
        assert!(seen.comment(1, 2, "@class(email)") && seen.comment(2, 0, "@class(pii)"));
        let mut plan = commented(&target, &seen);
        plan.sees(3, 1, 2);
        plan.sees(5, 0, 0);
        let relations = plan.draw(&target);
        assert_eq!((classes(&relations, 1), classes(&relations, 2)), (vec![0, 1], vec![1, 1]));
        assert_eq!((classes(&relations, 3), classes(&relations, 5)), (vec![1], vec![2]));
    }
}
