//! Where the session stands, for policy: its transaction, and what has passed so far.

use std::sync::Arc;

use super::Conversation;
use crate::{
    protocol::postgres::codec::backend::Status,
    request::{
        Estimable, Footprint, Standing, Transaction, UNCOUNTED, Usage,
        sql::{self, Resource},
    },
    sql::{Classified, Statement, StatementKind, Step, Trace},
};

/// What is known of the session beside its names.
#[derive(Debug)]
pub struct Record {
    /// `None`: a statement began or ended a transaction since the server last said where it stands.
    transaction: Option<Transaction>,
    is_read_only: bool,
    session: Usage,
    in_transaction: Usage,
    /// Whether the session may do things as somebody else than a new one would: its role was changed.
    is_estranged: bool,
}

impl Record {
    pub fn new(status: Status) -> Self {
        Self {
            transaction: Some(transaction(status)),
            is_read_only: false,
            session: Usage::default(),
            in_transaction: Usage::default(),
            is_estranged: false,
        }
    }

    /// Rows are on their way to the workload.
    pub fn returned(&mut self, rows: u64) {
        self.add(Usage { rows_returned: rows, rows_affected: 0 });
    }

    /// The server says how its transaction stands.
    pub fn ready(&mut self, status: Status) {
        self.transaction = Some(transaction(status));
        if status == Status::Idle {
            self.is_read_only = false;
            self.in_transaction = Usage::default();
        }
    }

    /// A request was sent.
    pub fn sent(&mut self, classified: &Classified) {
        self.is_estranged |= estranges(&classified.footprint);
        self.is_read_only &= !classified.statements.iter().any(|statement| statement.kind.trace().may_change_mode());
    }

    /// A statement is complete; `rows` of its answer passed.
    pub fn completed(&mut self, statement: &Statement, tag: &[u8], rows: u64) {
        match statement.kind.trace() {
            Trace::Transaction(Step::Begin) => {
                self.transaction = Some(Transaction::Open);
                self.is_read_only = statement.is_read_only;
            }
            // With AND CHAIN the next one has begun already.
            Trace::Transaction(Step::Commit | Step::Rollback) | Trace::Code | Trace::Unknown => {
                self.transaction = None;
            }
            Trace::Transaction(Step::Savepoint | Step::RollbackTo | Step::Mode)
            | Trace::Nothing
            | Trace::Prepared(_)
            | Trace::Cursor(_)
            | Trace::Temporary { .. }
            | Trace::NoTemporary
            | Trace::Setting
            | Trace::Path(_)
            | Trace::NoSettings
            | Trace::Definitions
            | Trace::Rows
            | Trace::Afresh => {}
        }
        self.add(Usage { rows_returned: 0, rows_affected: affected(statement, tag, rows) });
    }

    fn add(&mut self, more: Usage) {
        self.session.add(more);
        self.in_transaction.add(more);
    }
}

impl Conversation {
    /// What policy may know as this is asked.
    pub(super) fn standing(&self, classified: &Classified, types: Arc<[u32]>) -> Standing {
        let record = &self.record;
        Standing {
            transaction: record.transaction.filter(|_| !controls_in_between(classified)),
            is_read_only: record.is_read_only,
            session: record.session,
            in_transaction: record.in_transaction,
            is_settled: self.ledger.is_settled(),
            estimable: self.is_estimable(classified).then(|| Estimable { database: self.database.clone(), types }),
            estimate: None,
        }
    }

    /// Whether another session would plan the same statement alike, and planning it runs nothing of a user's.
    fn is_estimable(&self, classified: &Classified) -> bool {
        let [statement] = classified.statements.as_slice() else { return false };
        statement.kind.is_planned()
            && !self.record.is_estranged
            && self.state.temporary.is_empty()
            && self.state.path.now() == Some(&None)
            && calls_only_the_servers(&classified.footprint)
    }
}

fn transaction(status: Status) -> Transaction {
    match status {
        Status::Idle => Transaction::Idle,
        Status::InTransaction => Transaction::Open,
        Status::Failed => Transaction::Failed,
    }
}

/// Whether transactions begin or end between the statements of one text.
fn controls_in_between(classified: &Classified) -> bool {
    classified.statements.len() > 1
        && classified.statements.iter().any(|statement| {
            matches!(statement.kind, StatementKind::Transaction(Step::Begin | Step::Commit | Step::Rollback))
        })
}

/// How many rows a statement wrote: what its command tag says, and more than any budget where that does not count all.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>, "CommandComplete"
fn affected(statement: &Statement, tag: &[u8], rows: u64) -> u64 {
    if statement.writes_within {
        return UNCOUNTED;
    }
    let tag = tag.strip_suffix(b"\0").unwrap_or(tag);
    let words: Vec<&[u8]> = tag.split(|&byte| byte == b' ').collect();
    let number = |word: &[u8]| str::from_utf8(word).ok().and_then(|word| word.parse().ok()).unwrap_or(UNCOUNTED);
    match words.as_slice() {
        [b"INSERT", _, count] | [b"UPDATE" | b"DELETE" | b"MERGE", count] => number(count),
        // Also of CREATE TABLE AS and SELECT INTO, which write what they select.
        [b"SELECT", count] if rows == 0 && !statement.returns_rows => number(count),
        [b"COPY", count] if statement.kind != StatementKind::CopyOut => number(count),
        _ => 0,
    }
}

fn estranges(footprint: &Footprint) -> bool {
    const SETTINGS: [&str; 3] = ["role", "row_security", "session_authorization"];
    footprint.sql().any(|access| match &access.resource {
        Resource::Setting(setting) => SETTINGS.contains(&setting.name.as_str()),
        Resource::Database(_) | Resource::Table(_) | Resource::Function(_) => {
            matches!(access.operation, sql::Operation::SetRole | sql::Operation::Unknown)
        }
    })
}

fn calls_only_the_servers(footprint: &Footprint) -> bool {
    footprint.sql().all(|access| match &access.resource {
        Resource::Function(function) => function.schema == "pg_catalog",
        Resource::Database(_) | Resource::Table(_) | Resource::Setting(_) => true,
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{protocol::postgres::playbook, sql::Classifier};

    fn statement(text: &str) -> Statement {
        let classifier = Classifier::new(playbook::catalogue());
        let classified = classifier.classify(&Bytes::copy_from_slice(text.as_bytes()), &Default::default());
        classified.statements[0].clone()
    }

    #[test]
    fn command_tags_count_what_is_written() {
        for (text, tag, rows, expected) in [
            ("INSERT INTO orders VALUES (1, 2)", "INSERT 0 7\0", 0, 7),
            ("UPDATE orders SET total = 1 RETURNING id", "UPDATE 3\0", 3, 3),
            ("SELECT id FROM orders", "SELECT 9\0", 9, 0),
            ("SELECT id FROM orders WHERE false", "SELECT 0\0", 0, 0),
            ("SELECT id INTO copy FROM orders", "SELECT 9\0", 0, 9),
            ("CREATE TABLE copy AS SELECT id FROM orders", "SELECT 9\0", 0, 9),
            ("COPY orders FROM STDIN", "COPY 5\0", 0, 5),
            ("COPY orders TO STDOUT", "COPY 5\0", 5, 0),
            ("BEGIN", "BEGIN\0", 0, 0),
            ("DELETE FROM orders", "DELETE many\0", 0, UNCOUNTED),
        ] {
            assert_eq!(affected(&statement(text), tag.as_bytes(), rows), expected, "{text}");
        }
    }

    #[test]
    fn what_no_tag_counts_is_more_than_any_budget() {
        for text in [
            "WITH gone AS (DELETE FROM orders RETURNING id) SELECT count(*) FROM gone",
            "WITH gone AS (DELETE FROM orders RETURNING id) UPDATE orders SET total = 1 WHERE false",
            "EXPLAIN ANALYZE DELETE FROM orders",
        ] {
            assert_eq!(affected(&statement(text), b"SELECT 1\0", 1), UNCOUNTED, "{text}");
        }
        assert_eq!(affected(&statement("EXPLAIN DELETE FROM orders"), b"EXPLAIN\0", 1), 0);
        assert_eq!(affected(&statement("EXPLAIN ANALYZE SELECT id FROM orders"), b"EXPLAIN\0", 1), 0);
    }
}
