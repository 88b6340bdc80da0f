//! When the catalogue is read again: after changes that others can see, and not before.

use std::sync::Arc;

use super::{
    super::codec::{backend::Status, write},
    *,
};
use crate::sql::Classifier;

/// Two sessions of one database.
fn pair() -> [Playbook; 2] {
    let shared = Arc::new(Classifier::new(catalogue()));
    [(); 2].map(|()| {
        let mut book = logged_in_under(permit, Arc::clone(&shared));
        book.surveys = 0;
        book
    })
}

fn run(book: &mut Playbook, statement: &str, tag: &str, status: Status) {
    book.down(&write::query(statement.as_bytes()));
    book.up(&[write::complete(tag.as_bytes()), write::ready(status)].concat());
}

/// How often the catalogue is read for one more statement.
fn surveys(book: &mut Playbook) -> usize {
    book.surveys = 0;
    run(book, "SELECT 1", "SELECT 1", Status::Idle);
    book.surveys
}

#[test]
fn a_change_is_read_once_by_each_session_that_goes_on() {
    let [mut one, mut other] = pair();
    assert_eq!((surveys(&mut one), surveys(&mut other)), (0, 0));
    run(&mut one, "CREATE TABLE more (id int)", "CREATE TABLE", Status::Idle);
    assert_eq!((surveys(&mut other), surveys(&mut other)), (1, 0));
    run(&mut one, "DROP TABLE more", "DROP TABLE", Status::Idle);
    assert_eq!((surveys(&mut one), surveys(&mut one)), (1, 0));
}

#[test]
fn a_change_is_not_read_before_it_is_committed() {
    let [mut one, mut other] = pair();
    run(&mut one, "BEGIN", "BEGIN", Status::InTransaction);
    run(&mut one, "CREATE TABLE more (id int)", "CREATE TABLE", Status::InTransaction);
    assert_eq!(surveys(&mut other), 0);
    run(&mut one, "COMMIT", "COMMIT", Status::Idle);
    assert_eq!(surveys(&mut other), 1);
}

/// What is under way behind it may take as long as whoever sent it likes.
#[test]
fn a_change_is_read_though_its_session_goes_on_without_waiting() {
    let [mut one, mut other] = pair();
    one.down(&[write::query(b"CREATE TABLE more (id int)"), write::query(b"SELECT pg_sleep(3600)")].concat());
    assert_eq!(surveys(&mut other), 0);
    one.up(&[write::complete(b"CREATE TABLE"), write::ready(Status::Idle)].concat());
    assert_eq!(surveys(&mut other), 1);
}

/// Whether the other session reads the catalogue after one has run these.
fn is_noticed(statements: &[&str]) -> bool {
    let [mut one, mut other] = pair();
    for statement in statements {
        surveys(&mut other);
        run(&mut one, statement, "CREATE TABLE", Status::Idle);
    }
    surveys(&mut other) > 0
}

#[test]
fn what_only_one_session_has_is_read_by_no_other() {
    for statements in [
        &["CREATE TEMP TABLE own (id int)"][..],
        &["CREATE TABLE pg_temp.own (id int)"],
        &["CREATE TEMP TABLE own AS SELECT id FROM customers"],
        &["SELECT id INTO TEMP own FROM customers"],
        &["CREATE TEMP VIEW own AS SELECT id FROM customers"],
        &["CREATE TEMP SEQUENCE own"],
        &["CREATE TEMP TABLE own (id int)", "ALTER TABLE own ADD COLUMN name text"],
        &["CREATE TEMP TABLE own (id int)", "CREATE INDEX ON own (id)"],
        &["CREATE TEMP TABLE own (id int)", "DROP TABLE own"],
        &["CREATE TEMP TABLE own (id int)", "DROP TABLE pg_temp.own"],
    ] {
        assert!(!is_noticed(statements), "{statements:?}");
    }
}

#[test]
fn what_others_may_have_too_is_read_by_them() {
    for statements in [
        &["CREATE TABLE more (id int)"][..],
        &["CREATE VIEW more AS SELECT id FROM customers"],
        &["CREATE SEQUENCE more"],
        &["CREATE FUNCTION pg_temp.code() RETURNS int LANGUAGE sql AS 'SELECT 1'"],
        &["CREATE TEMP TABLE own (id int)", "CREATE FUNCTION code(pg_temp.own) RETURNS int LANGUAGE sql AS 'SELECT 1'"],
        // It shows its rows to whoever reads the parent.
        &["CREATE TEMP TABLE own () INHERITS (orders)"],
        &["CREATE TEMP TABLE own (id int)", "ALTER TABLE own INHERIT orders"],
        // A function may take its rows.
        &["CREATE TEMP TABLE own (id int)", "DROP TABLE own CASCADE"],
        &["CREATE TEMP TABLE own (id int)", "ALTER TABLE own DROP COLUMN id CASCADE"],
        // The name may mean either.
        &["CREATE TEMP TABLE orders (id int)", "ALTER TABLE orders ADD COLUMN name text"],
        &["CREATE TEMP TABLE orders (id int)", "CREATE INDEX ON orders (id)"],
        &["CREATE TEMP TABLE orders (id int)", "DROP TABLE orders"],
        &["CREATE TEMP TABLE orders (id int)", "CREATE VIEW seen AS SELECT id FROM orders"],
        &["DROP TABLE IF EXISTS own"],
        &["CREATE TEMP TABLE own (id int)", "CREATE TRIGGER t BEFORE INSERT ON own EXECUTE FUNCTION code()"],
        &["CREATE TEMP TABLE own (id int)", "CREATE RULE r AS ON INSERT TO own DO INSTEAD NOTHING"],
        &["CREATE TEMP TABLE own (id int); CREATE TABLE more (id int)"],
    ] {
        assert!(is_noticed(statements), "{statements:?}");
    }
}
