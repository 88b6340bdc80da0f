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
