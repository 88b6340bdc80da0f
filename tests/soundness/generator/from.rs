//! FROM clauses: tables, views, sub-queries, functions, and joins of them.

use super::{Generator, Item, Query, Value, expression::Place};
use crate::world::{CUSTOMERS, Grade, Kind, RELATIONS};

/// Most things that are joined.
const JOINED_MAX: usize = 3;

impl Generator {
    /// A FROM clause and what it brings into scope. `outer` is what LATERAL may see.
    pub(super) fn from(&mut self, depth: u32, outer: &[Item]) -> (String, Vec<Item>) {
        let count = match self.number(0..10) {
            0..6 => 1,
            6..9 => 2,
            _ => JOINED_MAX,
        };
        let (mut sql, first) = self.item(depth, outer);
        let mut items = vec![first];
        for _ in 1..count {
            let visible: Vec<Item> = items.iter().chain(outer).cloned().collect();
            let (text, item) = self.item(depth, &visible);
            let (word, condition) = self.join(&items, &item);
            sql = format!("{sql}{word} {text}{condition}");
            items.push(item);
        }
        (sql, items)
    }

    /// How two things are joined: the words between them, and those behind.
    fn join(&mut self, left: &[Item], right: &Item) -> (String, String) {
        let both: Vec<Item> = left.iter().chain([right]).cloned().collect();
        match self.number(0..10) {
            0..2 => (" cross join".to_owned(), String::new()),
            2..4 => (",".to_owned(), String::new()),
            4..7 if let Some((a, b)) = self.equal_pair(left, right) => {
                let word = self.word(&[" join", " left join", " full join", " right join"]);
                (word.to_owned(), format!(" on {a} = {b}"))
            }
            _ => {
                let word = self.word(&[" join", " left join"]);
                (word.to_owned(), format!(" on {}", self.condition(&both, 1).sql))
            }
        }
    }

    /// A column on each side of one type: clean ones, or secrets as they are, which are equal alike in both editions.
    fn equal_pair(&mut self, left: &[Item], right: &Item) -> Option<(String, String)> {
        let left: Vec<&Value> = left.iter().flat_map(|item| &item.columns).collect();
        let mut pairs = Vec::new();
        for a in left.into_iter().filter(|column| column.grade < Grade::Derived) {
            let fit = right.columns.iter().filter(|b| b.kind == a.kind && b.grade == a.grade);
            pairs.extend(fit.map(|b| (a.sql.clone(), b.sql.clone())));
        }
        self.rng.choice(pairs)
    }

    fn item(&mut self, depth: u32, outer: &[Item]) -> (String, Item) {
        match self.number(0..100) {
            0..18 if depth > 0 => self.sub_query(depth - 1, &[], ""),
            18..30 if depth > 0 && !outer.is_empty() => self.sub_query(depth - 1, outer, "lateral "),
            30..38 if !outer.is_empty() => self.rows_of(outer),
            38..50 if !self.named.is_empty() => self.common(),
            50..54 => self.values(),
            54..58 => self.series(),
            58..62 => self.everyone(),
            _ => self.relation(),
        }
    }

    fn relation(&mut self) -> (String, Item) {
        let Some(relation) = self.pick(RELATIONS) else { return self.values() };
        let alias = self.alias("t");
        let named = |alias: &str, name: &str, kind, grade| Value { sql: format!("{alias}.{name}"), kind, grade };
        let (only, sample) = match self.number(0..20) {
            0 => ("only ", ""),
            1 if relation.name == "orders" => ("", " tablesample system (100)"),
            _ => ("", ""),
        };
        if self.chance(15) {
            // Other names for the first columns.
            let columns: Vec<Value> = (1..)
                .zip(relation.columns)
                .map(|(number, &(_, kind, grade))| named(&alias, &format!("c{number}"), kind, grade))
                .collect();
            let list: Vec<String> = (1..=columns.len()).map(|number| format!("c{number}")).collect();
            return (format!("{only}{} as {alias} ({})", relation.name, list.join(", ")), Item { alias, columns });
        }
        let columns = relation.columns.iter().map(|&(name, kind, grade)| named(&alias, name, kind, grade)).collect();
        (format!("{only}{} as {alias}{sample}", relation.name), Item { alias, columns })
    }

    fn sub_query(&mut self, depth: u32, outer: &[Item], lateral: &str) -> (String, Item) {
        let query = self.query(depth, outer, None);
        let alias = self.alias("s");
        let columns = renamed(&query, &alias);
        let list: Vec<String> = (1..=columns.len()).map(|number| format!("c{number}")).collect();
        (format!("{lateral}({}) as {alias} ({})", query.sql, list.join(", ")), Item { alias, columns })
    }

    /// Rows that a value is taken apart into.
    fn rows_of(&mut self, outer: &[Item]) -> (String, Item) {
        let alias = self.alias("f");
        let column = |name: &str, kind, grade| Value { sql: format!("{alias}.{name}"), kind, grade };
        let (sql, columns) = match self.number(0..5) {
            0 => {
                let value = self.expression(Kind::Texts, outer, Place::Row, 1);
                (format!("unnest({}) as {alias} (c1)", value.sql), vec![column("c1", Kind::Text, value.grade)])
            }
            1 => {
                let value = self.expression(Kind::Json, outer, Place::Row, 1);
                self.infers |= value.grade == Grade::Derived;
                let columns = vec![column("key", Kind::Text, value.grade), column("value", Kind::Text, value.grade)];
                (format!("jsonb_each_text({}) as {alias}", value.sql), columns)
            }
            2 => {
                let value = self.expression(Kind::Text, outer, Place::Row, 0);
                let sql = format!("regexp_split_to_table({}, '') with ordinality as {alias} (c1, c2)", value.sql);
                (sql, vec![column("c1", Kind::Text, value.grade), column("c2", Kind::Number, Grade::Clean)])
            }
            3 => {
                let value = self.expression(Kind::Json, outer, Place::Row, 0);
                let sql = format!("jsonb_to_record({}) as {alias} (k text, n numeric)", value.sql);
                (sql, vec![column("k", Kind::Text, value.grade), column("n", Kind::Number, value.grade)])
            }
            _ => {
                let value = self.expression(Kind::Text, outer, Place::Row, 0);
                let sql =
                    format!("rows from (unnest(array[{}]), generate_series(1, 2)) as {alias} (c1, c2)", value.sql);
                (sql, vec![column("c1", Kind::Text, value.grade), column("c2", Kind::Int, Grade::Clean)])
            }
        };
        (format!("lateral {sql}"), Item { alias, columns })
    }

    fn common(&mut self) -> (String, Item) {
        let Some(named) = self.rng.choice(self.named.clone()) else { return self.values() };
        let alias = self.alias("w");
        let columns = (1..)
            .zip(&named.columns)
            .map(|(number, column)| Value { sql: format!("{alias}.c{number}"), ..column.clone() })
            .collect();
        (format!("{} as {alias}", named.alias), Item { alias, columns })
    }

    fn values(&mut self) -> (String, Item) {
        let alias = self.alias("v");
        let column = |name: &str, kind| Value { sql: format!("{alias}.{name}"), kind, grade: Grade::Clean };
        let columns = vec![column("c1", Kind::Int), column("c2", Kind::Text)];
        (format!("(values (1, 'one'), (2, 'two')) as {alias} (c1, c2)"), Item { alias, columns })
    }

    fn series(&mut self) -> (String, Item) {
        let alias = self.alias("g");
        let columns = vec![Value { sql: format!("{alias}.c1"), kind: Kind::Int, grade: Grade::Clean }];
        (format!("generate_series(1, 3) as {alias} (c1)"), Item { alias, columns })
    }

    /// A function of the database that reads on its own.
    fn everyone(&mut self) -> (String, Item) {
        let alias = self.alias("e");
        let columns = CUSTOMERS
            .iter()
            .map(|&(name, kind, grade)| Value { sql: format!("{alias}.{name}"), kind, grade })
            .collect();
        (format!("everyone() as {alias}"), Item { alias, columns })
    }
}

/// A query's columns under a name, numbered.
pub(super) fn renamed(query: &Query, alias: &str) -> Vec<Value> {
    (1..)
        .zip(&query.columns)
        .map(|(number, column)| Value { sql: format!("{alias}.c{number}"), ..column.clone() })
        .collect()
}
