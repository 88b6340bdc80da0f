//! The database that is asked: its relations as the generator knows them, and the SQL that makes it.

use std::fmt::Write as _;

use self::{
    Grade::{Clean, Derived, Secret},
    Kind::{Bool, Bytes, Date, Float, Int, Json, Number, Place, Range, Stamp, Text, Texts, Uuid},
};
use crate::secret::Edition;

const TABLES: &str = include_str!("world.sql");
const OBJECTS: &str = include_str!("objects.sql");

/// Rows of each table.
const ROWS: usize = 6;
/// Secrets of each kind that the rows take.
pub const SECRETS: usize = 100;

/// What masks which secret: every method is met, by values of several types.
pub const CLASSES: &str = r#""public.customers.email" = "email"
"public.customers.ssn" = "ssn"
"public.customers.balance" = "pii"
"public.customers.score" = "secret"
"public.customers.born" = "pii"
"public.customers.seen" = "iban"
"public.customers.photo" = "secret"
"public.customers.profile" = "pii"
"public.customers.tags" = "secret"
"public.customers.badge" = "pii"
"public.customers.bounds" = "iban"
"public.customers.home" = "secret"
"public.customers.pass" = "secret"
"public.customers.weight" = "pii"
"public.orders.card" = "credit_card"
"public.payments.iban" = "iban"
"public.people.pin" = "ssn"
"public.employees.wage" = "pii"
"#;

/// A type, as far as expressions care.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    Int,
    Number,
    Float,
    Text,
    Date,
    Stamp,
    Bool,
    Bytes,
    Json,
    Texts,
    Uuid,
    Range,
    Place,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::Int,
        Self::Number,
        Self::Float,
        Self::Text,
        Self::Date,
        Self::Stamp,
        Self::Bool,
        Self::Bytes,
        Self::Json,
        Self::Texts,
        Self::Uuid,
        Self::Range,
        Self::Place,
    ];
}

/// How much a value tells of secrets.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Grade {
    Clean,
    /// A secret as it is: it compares alike in both editions.
    Secret,
    /// Something computed from a secret: it may compare otherwise in the other edition.
    Derived,
}

/// Name, type and grade of a column.
pub type Known = (&'static str, Kind, Grade);

/// A relation that can be read.
#[derive(Debug)]
pub struct Relation {
    pub name: &'static str,
    pub columns: &'static [Known],
}

/// The columns of `customers`.
pub const CUSTOMERS: &[Known] = &[
    ("id", Int, Clean),
    ("name", Text, Clean),
    ("city", Text, Clean),
    ("level", Int, Clean),
    ("joined", Date, Clean),
    ("email", Text, Secret),
    ("ssn", Text, Secret),
    ("balance", Number, Secret),
    ("score", Number, Secret),
    ("born", Date, Secret),
    ("seen", Stamp, Secret),
    ("photo", Bytes, Secret),
    ("profile", Json, Secret),
    ("tags", Texts, Secret),
    ("badge", Uuid, Secret),
    ("bounds", Range, Secret),
    ("home", Place, Secret),
    ("pass", Text, Secret),
    ("weight", Float, Secret),
];
const PAYMENTS: &[Known] = &[
    ("id", Int, Clean),
    ("order_id", Int, Clean),
    ("amount", Number, Clean),
    ("day", Date, Clean),
    ("iban", Text, Secret),
];

/// Everything that may stand in FROM.
pub const RELATIONS: &[Relation] = &[
    Relation { name: "customers", columns: CUSTOMERS },
    Relation { name: "public.customers", columns: CUSTOMERS },
    Relation {
        name: "orders",
        columns: &[
            ("id", Int, Clean),
            ("customer_id", Int, Clean),
            ("item", Text, Clean),
            ("amount", Number, Clean),
            ("paid", Bool, Clean),
            ("placed", Stamp, Clean),
            ("facts", Json, Clean),
            ("parts", Texts, Clean),
            ("card", Text, Secret),
        ],
    },
    Relation { name: "payments", columns: PAYMENTS },
    Relation { name: "payments_low", columns: PAYMENTS },
    Relation { name: "people", columns: &[("id", Int, Clean), ("name", Text, Clean), ("pin", Number, Secret)] },
    Relation {
        name: "employees",
        columns: &[
            ("id", Int, Clean),
            ("name", Text, Clean),
            ("pin", Number, Secret),
            ("boss", Int, Clean),
            ("wage", Number, Secret),
        ],
    },
    Relation { name: "contacts", columns: &[("id", Int, Clean), ("name", Text, Clean), ("contact", Text, Secret)] },
    Relation {
        name: "rich",
        columns: &[("id", Int, Clean), ("name", Text, Clean), ("wealth", Number, Derived), ("item", Text, Clean)],
    },
    Relation { name: "cities", columns: &[("city", Text, Clean), ("heads", Number, Clean), ("top", Text, Secret)] },
    Relation {
        name: "plain_orders",
        columns: &[("id", Int, Clean), ("item", Text, Clean), ("amount", Number, Clean), ("paid", Bool, Clean)],
    },
    Relation { name: "twice", columns: &[("id", Int, Clean), ("contact", Text, Secret)] },
    Relation {
        name: "snapshot",
        columns: &[("id", Int, Clean), ("name", Text, Clean), ("ssn", Text, Secret), ("profile", Json, Secret)],
    },
    Relation { name: "items", columns: &[("item", Text, Clean), ("total", Number, Clean)] },
];

/// The SQL that fills an empty database with one edition.
pub fn script(edition: &Edition) -> String {
    let mut next = Supply::new(edition);
    let mut sql = format!("{TABLES}\n");
    for id in 1..=ROWS {
        let _ = writeln!(sql, "insert into customers values ({});", customer(id, &mut next));
        let _ = writeln!(
            sql,
            "insert into orders values ({id}, {}, 'item {}', {}.50, {}, '2024-05-0{id} 12:00', '{{\"k\": \"fact {id}\", \"n\": {id}}}', '{{part {id},bolt}}', {});",
            1 + id % 4,
            id % 3,
            id * 10,
            id % 2 == 0,
            next.text(),
        );
        let _ = writeln!(sql, "insert into payments values ({id}, {id}, {id}.25, '2024-06-0{id}', {});", next.text());
        let _ = writeln!(sql, "insert into people values ({id}, 'person {id}', {});", next.number());
        let (pin, wage) = (next.number(), next.number());
        let _ = writeln!(sql, "insert into employees values ({}, 'clerk {id}', {pin}, {id}, {wage});", id + ROWS);
    }
    sql.push_str(OBJECTS);
    sql
}

fn customer(id: usize, next: &mut Supply<'_>) -> String {
    let city = ["Oslo", "Lima", "Bern"].get(id % 3).unwrap_or(&"Rome");
    let (low, high) = (next.number(), next.number());
    [
        format!("{id}, 'name {id}', '{city}', {}, '2020-01-0{id}'", id % 4),
        next.text(),
        next.text(),
        format!("{}.5", next.number()),
        next.number().to_string(),
        next.date(),
        format!("{} + interval '1 hour'", next.date()),
        next.bytes(),
        format!(
            "jsonb_build_object('k', {}, 'n', {}, 'list', jsonb_build_array({}))",
            next.text(),
            next.number(),
            next.text()
        ),
        format!("array[{}, {}]", next.text(), next.text()),
        format!("'{:032x}'", next.uuid()),
        format!("int8range({}, {})", low.min(high), low.max(high)),
        format!("row({}, {})::place", next.text(), next.text()),
        next.text(),
        format!("{}::float8", next.number()),
    ]
    .join(", ")
}

/// Hands out an edition's secrets in order; both editions are asked in the same order.
struct Supply<'a> {
    texts: std::slice::Iter<'a, String>,
    numbers: std::slice::Iter<'a, u64>,
    days: std::slice::Iter<'a, u32>,
    uuids: std::slice::Iter<'a, u128>,
    bytes: std::slice::Iter<'a, [u8; 16]>,
}

impl<'a> Supply<'a> {
    fn new(edition: &'a Edition) -> Self {
        Self {
            texts: edition.texts.iter(),
            numbers: edition.numbers.iter(),
            days: edition.days.iter(),
            uuids: edition.uuids.iter(),
            bytes: edition.bytes.iter(),
        }
    }

    fn text(&mut self) -> String {
        format!("'{}'", self.texts.next().map(String::as_str).unwrap_or_default())
    }

    fn number(&mut self) -> u64 {
        self.numbers.next().copied().unwrap_or_default()
    }

    fn date(&mut self) -> String {
        format!("date '1900-01-01' + {}", self.days.next().copied().unwrap_or_default())
    }

    fn uuid(&mut self) -> u128 {
        self.uuids.next().copied().unwrap_or_default()
    }

    fn bytes(&mut self) -> String {
        let bytes = self.bytes.next().copied().unwrap_or_default();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("'\\x{hex}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_enough_secrets() {
        let [edition, _] = crate::secret::editions(&mut fastrand::Rng::with_seed(1), SECRETS);
        let script = script(&edition);
        assert!(edition.texts.iter().filter(|text| script.contains(*text)).count() < SECRETS);
        assert!(!script.contains("''"), "a text secret was missing");
    }
}
