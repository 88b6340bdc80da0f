//! Ways out for masked values that an attacker tried.

use super::{
    super::{
        codec::{backend::Status, write},
        playbook::*,
    },
    shows,
};

fn failure(words: &[u8]) -> Vec<u8> {
    [write::notice(b'E', [(b'C', &b"22P02"[..]), (b'M', words)]), write::ready(Status::Idle)].concat()
}

/// A function that is declared immutable is run while the server plans, which it does at Bind.
#[test]
fn an_error_while_binding_quotes_nothing_masked() {
    let mut book = logged_in(permit_masked);
    let batch =
        [write::parse(b"", b"SELECT ssn::int FROM customers"), write::bind(b"", b"", &[], &[]), write::bare(b'H')];
    book.down(&batch.concat());
    book.up(&write::bare(b'1'));
    book.up(&failure(b"invalid input syntax: \"Ann Liddell\""));
    assert!(shows(&book.downstream, "22P02"));
    assert!(!shows(&book.downstream, "Ann Liddell"));
}

/// The function's value is nowhere in the answer, but whatever it read may be in its errors.
#[test]
fn an_error_of_an_unknown_function_quotes_nothing() {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"SELECT id FROM orders WHERE lookup(id)::int > 0"));
    book.up(&failure(b"invalid input syntax: \"Ann Liddell\""));
    assert!(shows(&book.downstream, "22P02"));
    assert!(!shows(&book.downstream, "Ann Liddell"));
}

/// Somebody added it after the catalogue was read, or in the place of another.
#[test]
fn a_column_that_the_catalogue_does_not_know_is_masked() {
    let mut book = logged_in(permit_masked);
    book.surveys = 0;
    book.down(&write::query(b"SELECT * FROM customers"));
    let columns = [("id", 1), ("email", 2), ("note", 4), ("maiden_name", 5)];
    let described = columns.map(|(name, number)| field(name, CUSTOMERS, number, 25));
    let row = write::data_row(&[Some(b"1"), Some(b"a@b.io"), Some(b"n"), Some(b"Pleasance")]);
    let done = [write::complete(b"SELECT 1"), write::ready(Status::Idle)].concat();
    book.up(&[write::row_description(&described), row, done.into()].concat());
    assert_eq!((book.surveys, tags(&book.downstream).as_str()), (1, "TDCZ"));
    assert!(!shows(&book.downstream, "Pleasance"));
}

#[test]
fn system_columns_are_known_without_a_catalogue() {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"SELECT ctid FROM orders"));
    let done = [write::complete(b"SELECT 1"), write::ready(Status::Idle)].concat();
    let described = write::row_description(&[field("ctid", CUSTOMERS + 1, -1, 27)]);
    book.up(&[described, write::data_row(&[Some(b"(0,1)")]), done.into()].concat());
    assert!(shows(&book.downstream, "(0,1)"));
}

#[test]
fn no_side_channel_takes_a_masked_value() {
    for text in [
        "SELECT set_config('application_name', ssn, false) FROM customers",
        "SELECT count(set_config('application_name', ssn, false)) FROM customers",
        "SELECT pg_notify('channel', ssn) FROM customers",
        "SELECT 1 FROM customers WHERE set_config('application_name', ssn, false) IS NULL",
        "SELECT 1 FROM customers ORDER BY pg_notify('channel', ssn)::text",
        "SELECT lo_from_bytea(0, ssn::bytea) FROM customers",
    ] {
        let mut book = logged_in(permit_masked);
        book.down(&write::query(text.as_bytes()));
        assert!(!shows(&book.upstream, "ssn"), "{text}");
    }
}
