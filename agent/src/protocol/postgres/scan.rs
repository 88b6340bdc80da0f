//! What columns seem to hold, by their names and a sample of their values. Values are looked at here and go nowhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::Client;

use super::{
    seen::Seen,
    survey::{SurveyError, log_in, read},
};
use crate::{
    credential::Credential,
    mask::{DETECTED, Detectors, Masker, Method, class_of_name},
    sql::{Relation, RelationKind},
    target::{Class, ColumnName, Target},
};

/// Most rows of one table that are looked at.
pub const ROWS_MAX: u32 = 10_000;
/// Most tables that are looked at; of further ones only the names count.
pub const TABLES_MAX: usize = 2_000;
/// Longest part of one value that is looked at, in characters.
const VALUE_CHARS_MAX: u32 = 1_000;
/// For the server to give one table's sample.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(5);
/// One value in so many makes a column suspicious.
const SUSPICIOUS: u32 = 5;

/// One column and what it seems to hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Impression {
    pub column: ColumnName,
    /// The classes that it has already, by configuration, by comment or through what a view reads.
    pub known: BTreeSet<Class>,
    /// The class that its name suggests.
    pub by_name: Option<&'static str>,
    /// Values that were looked at.
    pub sampled: u32,
    /// Those in which content of a class was found.
    pub found: BTreeMap<&'static str, u32>,
}

/// What a scan brought.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    pub impressions: Vec<Impression>,
    /// Tables that could not be sampled, and why.
    pub unread: Vec<(String, String)>,
}

impl Impression {
    /// The classes that somebody should consider, and what speaks for each.
    pub fn proposals(&self) -> BTreeMap<&'static str, String> {
        let mut proposals = BTreeMap::new();
        for (class, count) in self.found.iter().filter(|(_, count)| **count * SUSPICIOUS >= self.sampled) {
            proposals.insert(*class, format!("{count} of {} values", self.sampled));
        }
        if let Some(class) = self.by_name {
            let why = proposals.get(class).map_or_else(|| "its name".to_owned(), |why| format!("its name, {why}"));
            proposals.insert(class, why);
        }
        proposals.retain(|class, _| !self.known.contains(&Class::from(*class)));
        proposals
    }
}

/// Looks at the tables of `database` over `stream`, which is dialled and, where the target asks for it, secured:
/// at most `rows` of each.
pub async fn scan(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    credential: &Credential,
    database: &str,
    target: &Target,
    rows: u32,
) -> Result<Scan, SurveyError> {
    let (client, connection) = log_in(stream, credential, database, "portcullis scan").await?;
    tokio::select! {
        scan = look(&client, database, target, rows.min(ROWS_MAX)) => scan,
        ended = connection => Err(ended.err().map_or(SurveyError::Closed, SurveyError::Server)),
    }
}

async fn look(client: &Client, database: &str, target: &Target, rows: u32) -> Result<Scan, SurveyError> {
    let timeout = SAMPLE_TIMEOUT.as_millis();
    client.batch_execute(&format!("SET default_transaction_read_only = on; SET statement_timeout = {timeout}")).await?;
    let catalogue = read(client, database, target, &mut Seen::default()).await?;
    let mut relations: Vec<Relation> = catalogue.relations.into_values().filter(is_of_users).collect();
    relations.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    let content = Content::new();
    let mut scan = Scan::default();
    for (number, relation) in relations.iter().enumerate() {
        let mut impressions: Vec<Impression> =
            relation.columns.iter().map(|column| impression(relation, column)).collect();
        if number < TABLES_MAX
            && !impressions.is_empty()
            && let Err(error) = sample(client, relation, rows, &content, &mut impressions).await
        {
            scan.unread.push((format!("{}.{}", relation.schema, relation.name), reason(&error)));
        }
        scan.impressions.extend(impressions);
    }
    Ok(scan)
}

fn is_of_users(relation: &Relation) -> bool {
    let is_stored = match relation.kind {
        RelationKind::Table | RelationKind::MaterializedView | RelationKind::Foreign => true,
        RelationKind::View | RelationKind::Sequence | RelationKind::Other => false,
    };
    is_stored && !relation.schema.starts_with("pg_") && relation.schema != "information_schema"
}

fn impression(relation: &Relation, column: &crate::sql::Column) -> Impression {
    let (schema, table) = (relation.schema.clone(), relation.name.clone());
    Impression {
        column: ColumnName { schema, table, column: column.name.clone() },
        known: column.classes.iter().cloned().collect(),
        by_name: class_of_name(&column.name),
        sampled: 0,
        found: BTreeMap::new(),
    }
}

/// Reads some rows of one table, each column as text.
async fn sample(
    client: &Client,
    relation: &Relation,
    rows: u32,
    content: &Content,
    impressions: &mut [Impression],
) -> Result<(), tokio_postgres::Error> {
    let columns: Vec<String> = relation
        .columns
        .iter()
        .map(|column| format!("pg_catalog.left({}::pg_catalog.text, {VALUE_CHARS_MAX})", quoted(&column.name)))
        .collect();
    let (schema, table) = (quoted(&relation.schema), quoted(&relation.name));
    let text = format!("SELECT {} FROM {schema}.{table} LIMIT {rows}", columns.join(", "));
    for row in client.query(&text, &[]).await? {
        for (index, impression) in impressions.iter_mut().enumerate() {
            let value: Option<&str> = row.try_get(index)?;
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                impression.sampled += 1;
                content.find(value, &mut impression.found);
            }
        }
    }
    Ok(())
}

/// An identifier as SQL writes it, whatever it holds.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The server's own words; they name tables, not values.
fn reason(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.code().code().to_owned())
}

/// The detectors of each class, apart.
struct Content {
    detectors: Vec<(&'static str, Detectors)>,
    masker: Masker,
}

impl Content {
    fn new() -> Self {
        let of = |class: &'static str| {
            (class, Detectors::for_masks(&BTreeMap::from([(Class::from(class), Method::Redact)])))
        };
        Self { detectors: DETECTED.map(of).into(), masker: Masker::new([0; 32]) }
    }

    fn find(&self, value: &str, found: &mut BTreeMap<&'static str, u32>) {
        for (class, detectors) in &self.detectors {
            if detectors.scan(&self.masker, value.as_bytes()).is_some() {
                *found.entry(class).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn impression(name: &str, values: &[&str]) -> Impression {
        let column = ColumnName { schema: "public".into(), table: "t".into(), column: name.into() };
        let (by_name, sampled) = (class_of_name(name), values.len() as u32);
        let mut impression = Impression { column, known: BTreeSet::new(), by_name, sampled, found: BTreeMap::new() };
        values.iter().for_each(|value| Content::new().find(value, &mut impression.found));
        impression
    }

    #[test]
    fn a_column_is_proposed_by_its_values_or_its_name() {
        let mixed = ["ann@example.com", "call back", "bob@example.com", "-"];
        assert_eq!(impression("contact", &mixed).proposals(), BTreeMap::from([("email", "2 of 4 values".to_owned())]));
        assert_eq!(impression("ssn", &[]).proposals(), BTreeMap::from([("ssn", "its name".to_owned())]));
        assert_eq!(impression("note", &["x", "4111111111111111", "y", "z", "a", "b"]).proposals(), BTreeMap::new());
    }

    #[test]
    fn what_is_classified_is_not_proposed_again() {
        let mut known = impression("email", &["ann@example.com"]);
        known.known.insert(Class::from("email"));
        assert_eq!(known.proposals(), BTreeMap::new());
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        assert_eq!(quoted("a\"; DROP TABLE t --"), "\"a\"\"; DROP TABLE t --\"");
    }
}
