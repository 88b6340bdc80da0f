//! Expressions, predicates and orders over what is in scope.

use super::{
    Generator, Item, Value,
    template::{Part, Template},
};
use crate::world::{Grade, Kind};

/// What an expression may be, where it stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// No aggregate and no window.
    Row,
    /// An item of a target list: windows too.
    Target,
    /// An item of a target list over groups: an aggregate around expressions of rows.
    Group,
}

impl Generator {
    /// An expression of a type. `depth` bounds how deep expressions stand in one another.
    pub(super) fn expression(&mut self, kind: Kind, scope: &[Item], place: Place, depth: u32) -> Value {
        let column = (place != Place::Group).then(|| self.column(kind, scope)).flatten();
        if let Some(column) = column.filter(|_| depth == 0 || self.chance(45)) {
            return column;
        }
        let wanted = |template: &&Template| match place {
            Place::Row => !template.is_aggregate && !template.is_window,
            Place::Target => !template.is_aggregate,
            Place::Group => template.is_aggregate,
        };
        let of_kind = self.templates.get(&kind).into_iter().flatten().filter(wanted);
        let template = self.rng.choice(of_kind.collect::<Vec<_>>()).cloned();
        match template.filter(|_| depth > 0 || place == Place::Group) {
            Some(template) => self.fill(kind, &template, scope, depth.saturating_sub(1)),
            None => self.literal(kind),
        }
    }

    /// A column of that type in scope; secrets more often than not.
    fn column(&mut self, kind: Kind, scope: &[Item]) -> Option<Value> {
        let all: Vec<&Value> =
            scope.iter().flat_map(|item| &item.columns).filter(|column| column.kind == kind).collect();
        let secret: Vec<&Value> = all.iter().copied().filter(|column| column.grade > Grade::Clean).collect();
        let from = if !secret.is_empty() && self.chance(70) { secret } else { all };
        self.rng.choice(from).cloned()
    }

    fn fill(&mut self, kind: Kind, template: &Template, scope: &[Item], depth: u32) -> Value {
        let mut sql = String::from("(");
        let mut grade = Grade::Clean;
        for part in &template.parts {
            let value = match part {
                Part::Literal(text) => {
                    sql.push_str(text);
                    continue;
                }
                Part::Value(kind) => self.expression(*kind, scope, Place::Row, depth),
                Part::Any => {
                    let kind = self.kind();
                    self.expression(kind, scope, Place::Row, depth)
                }
                Part::Row => self.row(scope),
                Part::Key | Part::Window => self.key(scope),
                Part::Condition => self.condition(scope, depth),
                Part::Query(kind) => self.scalar(*kind, scope, depth),
            };
            grade = grade.max(value.grade);
            sql.push_str(&value.sql);
        }
        sql.push(')');
        // Whatever is computed from a secret may compare otherwise in the other edition.
        let grade = if grade == Grade::Clean { Grade::Clean } else { Grade::Derived };
        Value { sql, kind, grade }
    }

    pub(super) fn kind(&mut self) -> Kind {
        match self.pick(&Kind::ALL) {
            Some(kind) if !self.chance(50) => *kind,
            _ => Kind::Text,
        }
    }

    fn literal(&mut self, kind: Kind) -> Value {
        let sql = match kind {
            Kind::Int => "7",
            Kind::Number => "12.5",
            Kind::Float => "1.5::float8",
            Kind::Text => "'bolt'",
            Kind::Date => "date '2001-02-03'",
            Kind::Stamp => "timestamp '2001-02-03 04:05'",
            Kind::Bool => "true",
            Kind::Bytes => "'\\x0102'::bytea",
            Kind::Json => "'{\"k\": \"x\", \"n\": 5}'::jsonb",
            Kind::Texts => "array['nut', 'bolt']",
            Kind::Uuid => "'00000000-0000-0000-0000-000000000001'::uuid",
            Kind::Range => "int8range(1, 5)",
            Kind::Place => "row('street', 'code')::place",
        };
        Value { sql: sql.to_owned(), kind, grade: Grade::Clean }
    }

    /// The name of something in FROM, which stands for its whole row.
    fn row(&mut self, scope: &[Item]) -> Value {
        match self.pick(scope) {
            Some(item) => Value { sql: item.alias.clone(), kind: Kind::Text, grade: item.grade() },
            None => Value { sql: "row(1, 2)".to_owned(), kind: Kind::Text, grade: Grade::Clean },
        }
    }

    /// What rows are told apart, ordered or grouped by: seldom by what was computed from secrets, and then the
    /// editions may answer with other rows.
    pub(super) fn key(&mut self, scope: &[Item]) -> Value {
        let grade = match self.number(0..100) {
            0..85 => Grade::Clean,
            85..95 => Grade::Secret,
            _ => Grade::Derived,
        };
        if grade == Grade::Derived {
            let kind = self.kind();
            let value = self.expression(kind, scope, Place::Row, 1);
            self.infers |= value.grade == Grade::Derived;
            return value;
        }
        let columns: Vec<&Value> = scope.iter().flat_map(|item| &item.columns).collect();
        let fit: Vec<&Value> =
            columns.into_iter().filter(|column| column.grade == grade && column.kind != Kind::Json).collect();
        self.rng.choice(fit).cloned().unwrap_or_else(|| self.literal(Kind::Text))
    }

    /// A predicate. What it tells of secrets by choosing rows is not masked, and so it is mostly on other columns.
    pub(super) fn condition(&mut self, scope: &[Item], depth: u32) -> Value {
        let clean: Vec<Item> = scope.iter().map(without_secrets).collect();
        let value = match self.number(0..100) {
            0..60 => {
                let key = self.key(&clean);
                let test = self.word(&["is not null", "is distinct from null", "is not distinct from null"]);
                Value { sql: format!("{} {test}", key.sql), ..key }
            }
            60..92 => self.expression(Kind::Bool, &clean, Place::Row, depth.min(1)),
            _ => self.expression(Kind::Bool, scope, Place::Row, depth.min(1)),
        };
        self.infers |= value.grade > Grade::Clean;
        Value { sql: format!("({})", value.sql), kind: Kind::Bool, ..value }
    }

    /// A query that gives one value.
    fn scalar(&mut self, kind: Kind, scope: &[Item], depth: u32) -> Value {
        if depth == 0 {
            let value = self.expression(kind, scope, Place::Row, 0);
            return Value { sql: format!("(select {})", value.sql), ..value };
        }
        let query = self.select(depth - 1, scope, Some(&[kind]), true);
        let grade = query.columns.iter().map(|column| column.grade).max().unwrap_or(Grade::Clean);
        Value { sql: format!("({})", query.sql), kind, grade }
    }
}

fn without_secrets(item: &Item) -> Item {
    let columns = item.columns.iter().filter(|column| column.grade == Grade::Clean).cloned().collect();
    Item { alias: item.alias.clone(), columns }
}
