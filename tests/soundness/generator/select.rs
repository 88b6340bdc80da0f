//! Queries: SELECT with all its clauses, set operations and WITH.

use super::{Generator, Item, Query, Value, expression::Place, from::renamed};
use crate::world::{CUSTOMERS, Grade, Kind, RELATIONS};

/// Most columns of a query whose columns nobody asked for.
const COLUMNS_MAX: usize = 4;

impl Generator {
    /// A query of any shape; `wanted` are the types of its columns where they matter.
    pub(super) fn query(&mut self, depth: u32, outer: &[Item], wanted: Option<&[Kind]>) -> Query {
        match self.number(0..100) {
            0..15 if depth > 0 => self.set_operation(depth - 1, outer, wanted),
            15..27 if depth > 0 => self.with(depth - 1, outer, wanted),
            27..31 if wanted.is_none() => self.whole_table(),
            _ => self.select(depth, outer, wanted, false),
        }
    }

    /// One SELECT; `is_single` when it must give one row.
    pub(super) fn select(&mut self, depth: u32, outer: &[Item], wanted: Option<&[Kind]>, is_single: bool) -> Query {
        let (from, items) = self.from(depth, outer);
        let mut scope = items.clone();
        if self.chance(40) {
            scope.extend_from_slice(outer);
        }
        let kinds = match wanted {
            Some(kinds) => kinds.to_vec(),
            None => (0..self.number(1..COLUMNS_MAX + 1)).map(|_| self.kind()).collect(),
        };
        let condition = self.chance(40).then(|| self.condition(&scope, depth));
        let filter = condition.map_or_else(String::new, |condition| format!(" where {}", condition.sql));
        if is_single || self.chance(22) {
            return self.grouped(&from, &filter, &scope, &kinds, is_single);
        }
        let columns = match wanted {
            None if self.chance(12) => star(&items),
            Some(_) | None => {
                kinds.iter().map(|&kind| self.expression(kind, &scope, Place::Target, depth.min(2))).collect()
            }
        };
        let (distinct, order) = self.order(&scope, &columns);
        Query { sql: format!("select {distinct}{} from {from}{filter}{order}", list(&columns)), columns }
    }

    /// DISTINCT, and ORDER BY with LIMIT.
    fn order(&mut self, scope: &[Item], columns: &[Value]) -> (&'static str, String) {
        match self.number(0..100) {
            0..8 => {
                self.infers |= columns.iter().any(|column| column.grade == Grade::Derived);
                ("distinct ", String::new())
            }
            8..25 => {
                let key = self.key(scope);
                let direction = self.word(&["", " desc", " nulls first", " desc nulls last"]);
                let limit = self.word(&["", " limit 3", " offset 1", " fetch first 2 rows only"]);
                ("", format!(" order by {}{direction}{limit}", key.sql))
            }
            25..28 => ("", " limit 4".to_owned()),
            _ => ("", String::new()),
        }
    }

    fn grouped(&mut self, from: &str, filter: &str, scope: &[Item], kinds: &[Kind], is_single: bool) -> Query {
        let columns: Vec<Value> = kinds.iter().map(|&kind| self.aggregate(kind, scope)).collect();
        let mut sql = format!("select {} from {from}{filter}", list(&columns));
        if !is_single && self.chance(60) {
            let key = self.key(scope);
            let by = match self.number(0..6) {
                0 => format!("rollup ({})", key.sql),
                1 => format!("grouping sets (({}), ())", key.sql),
                _ => key.sql,
            };
            sql = format!("{sql} group by {by}");
            if self.chance(15) {
                sql.push_str(" having count(*) > 1");
            }
            // Groups come in their order.
            sql.push_str(" order by 1");
            self.infers |= columns.first().is_some_and(|column| column.grade == Grade::Derived);
        }
        Query { sql, columns }
    }

    /// An aggregate of a type; of a type that has none, a constant.
    fn aggregate(&mut self, kind: Kind, scope: &[Item]) -> Value {
        self.expression(kind, scope, Place::Group, 2)
    }

    fn set_operation(&mut self, depth: u32, outer: &[Item], wanted: Option<&[Kind]>) -> Query {
        let left = self.select(depth, outer, wanted, false);
        let kinds: Vec<Kind> = left.columns.iter().map(|column| column.kind).collect();
        let right = self.select(depth, outer, Some(&kinds), false);
        let word =
            self.word(&["union all", "union all", "union", "except", "intersect", "except all", "intersect all"]);
        let columns: Vec<Value> = left
            .columns
            .iter()
            .zip(&right.columns)
            .map(|(left, right)| Value { grade: left.grade.max(right.grade), ..left.clone() })
            .collect();
        self.infers |= word != "union all" && columns.iter().any(|column| column.grade == Grade::Derived);
        Query { sql: format!("({}) {word} ({})", left.sql, right.sql), columns }
    }

    fn with(&mut self, depth: u32, outer: &[Item], wanted: Option<&[Kind]>) -> Query {
        let before = self.named.len();
        let mut parts = Vec::new();
        let mut recursive = "";
        for _ in 0..self.number(1..3) {
            let alias = self.alias("cte");
            let (text, query) = match self.number(0..10) {
                0..2 => {
                    recursive = "recursive ";
                    self.recursive(depth, &alias)
                }
                _ => {
                    let query = self.query(depth, &[], None);
                    (query.sql.clone(), query)
                }
            };
            let columns = renamed(&query, &alias);
            let names: Vec<String> = (1..=columns.len()).map(|number| format!("c{number}")).collect();
            let materialized = self.word(&["", "", "materialized ", "not materialized "]);
            parts.push(format!("{alias} ({}) as {materialized}({text})", names.join(", ")));
            self.named.push(Item { alias, columns });
        }
        let main = self.select(depth, outer, wanted, false);
        self.named.truncate(before);
        Query { sql: format!("with {recursive}{} {}", parts.join(", "), main.sql), columns: main.columns }
    }

    /// A recursive query: what goes round is a number, a text and whatever the first round gave.
    fn recursive(&mut self, depth: u32, alias: &str) -> (String, Query) {
        let first = self.select(depth, &[], Some(&[Kind::Int, Kind::Text, Kind::Text]), true);
        let grade = first.columns.iter().map(|column| column.grade).max().unwrap_or(Grade::Clean);
        let again = self.word(&["c3, c2 || '.'", "c3, c2", "c2, c3 || c2", "c2 || '!', left(c3, 20)"]);
        let union = self.word(&["union all", "union"]);
        let sql = format!(
            "select 1, r.b, r.c from ({}) as r (a, b, c) {union} select c1 + 1, {again} from {alias} where c1 < 3",
            first.sql
        );
        let columns = first.columns.into_iter().zip([Kind::Int, Kind::Text, Kind::Text]);
        let columns = columns
            .map(|(column, kind)| Value { kind, grade: if kind == Kind::Int { Grade::Clean } else { grade }, ..column })
            .collect();
        (sql.clone(), Query { sql, columns })
    }

    /// TABLE, or a whole row.
    fn whole_table(&mut self) -> Query {
        let (name, columns) =
            self.pick(RELATIONS).map_or(("customers", CUSTOMERS), |known| (known.name, known.columns));
        let columns = columns.iter().map(|&(name, kind, grade)| Value { sql: name.to_owned(), kind, grade });
        Query { sql: format!("table {name}"), columns: columns.collect() }
    }
}

/// All columns of what is in FROM.
fn star(items: &[Item]) -> Vec<Value> {
    items.iter().flat_map(|item| item.columns.iter().cloned()).collect()
}

fn list(columns: &[Value]) -> String {
    columns.iter().map(|column| column.sql.as_str()).collect::<Vec<_>>().join(", ")
}
