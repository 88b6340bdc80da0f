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

/// Whoever sends ahead must not have another statement's duty in the place of the first one's.
#[test]
fn an_error_while_binding_falls_under_its_own_statement_whatever_was_sent_behind_it() {
    let prepared = |name: &[u8], text: &[u8]| write::parse(name, text);
    let mut book = logged_in(permit_masked);
    let batch = [
        prepared(b"a", b"SELECT ssn::int FROM customers"),
        write::bind(b"", b"a", &[], &[]),
        prepared(b"b", b"SELECT id FROM orders"),
        write::bind(b"p", b"b", &[], &[]),
        write::bare(b'S'),
    ];
    book.down(&batch.concat());
    book.up(&write::bare(b'1'));
    book.up(&failure(b"invalid input syntax: \"Ann Liddell\""));
    assert!(shows(&book.downstream, "22P02") && !shows(&book.downstream, "Ann Liddell"));
}

/// DEFERRABLE constraints and constraint triggers are checked at COMMIT, which touches nothing itself.
#[test]
fn an_error_of_a_deferred_check_quotes_nothing_masked() {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"BEGIN; INSERT INTO customers VALUES (1, 'x', 'y', 'z')"));
    book.up(&[write::complete(b"BEGIN"), write::complete(b"INSERT 0 1"), write::ready(Status::InTransaction)].concat());
    book.down(&write::query(b"SELECT id FROM orders"));
    let about_orders = write::notice(b'E', [(b'C', &b"22P02"[..]), (b'M', b"this one is about orders")]);
    book.up(&[about_orders, write::ready(Status::InTransaction)].concat());
    assert!(shows(&book.downstream, "about orders"), "a read checks nothing");
    book.forget();
    book.down(&write::query(b"COMMIT"));
    book.up(&failure(b"Key (ssn)=(Ann Liddell) already exists."));
    assert!(shows(&book.downstream, "22P02") && !shows(&book.downstream, "Ann Liddell"));
    book.forget();
    book.down(&write::query(b"VACUUM"));
    book.up(&failure(b"words that nobody has to hide"));
    assert!(shows(&book.downstream, "nobody has to hide"), "the transaction is over");
}

/// `RAISE … USING ERRCODE = left(ssn, 5), CONSTRAINT = ssn, COLUMN = ssn`.
#[test]
fn a_function_cannot_put_values_into_the_fields_of_an_error() {
    let raised = |fields: &[(u8, &[u8])]| {
        let mut book = logged_in(permit_masked);
        book.down(&write::query(b"SELECT lookup(id) FROM orders"));
        book.up(&[write::notice(b'E', fields.iter().copied()), write::ready(Status::Idle)].concat());
        book.downstream
    };
    let names: [(u8, &[u8]); 5] =
        [(b's', b"public"), (b't', b"customers"), (b'c', b"53690"), (b'n', b"53690"), (b'd', b"53690")];
    let told =
        raised(&[&[(b'C', &b"53690"[..]), (b'F', b"pl_exec.c"), (b'R', b"exec_stmt_raise")], &names[..]].concat());
    assert!(!shows(&told, "53690") && shows(&told, "P0001") && shows(&told, "customers"));
    let own = [(b'C', &b"23505"[..]), (b'F', b"nbtinsert.c"), (b'R', b"_bt_check_unique")];
    let told = raised(&[&own[..], &[(b's', &b"public"[..]), (b't', b"customers"), (b'n', b"customers_pkey")]].concat());
    assert!(shows(&told, "23505") && shows(&told, "customers_pkey"), "the server's own checks are told");
}

#[test]
fn a_function_cannot_put_values_into_settings_that_are_reported() {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"SELECT lookup(id) FROM orders"));
    book.up(&write::parameter(b"application_name", b"Ann Liddell"));
    book.up(&write::parameter(b"TimeZone", b"<Ann>0"));
    book.up(&write::parameter(b"IntervalStyle", b"iso_8601"));
    assert!(!shows(&book.downstream, "Ann") && shows(&book.downstream, "iso_8601"));
}

#[test]
fn a_setting_that_a_function_may_have_made_is_not_shown() {
    let shown = |first: &[u8]| {
        let mut book = logged_in(permit_masked);
        book.down(&write::query(first));
        book.up(&[write::complete(b"SELECT 1"), write::ready(Status::Idle)].concat());
        book.down(&write::query(b"SELECT current_setting('application_name')"));
        let answer = [write::row_description(&[field("current_setting", 0, 0, 25)]), write::data_row(&[Some(b"Ann")])];
        book.up(&answer.concat());
        shows(&book.downstream, "Ann")
    };
    assert!(shown(b"SELECT id FROM orders"));
    assert!(!shown(b"SELECT lookup(id) FROM orders"));
}

/// A trigger of somebody else's change may send whole rows.
#[test]
fn a_listener_learns_that_something_was_sent_and_by_whom_but_not_what() {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"LISTEN news"));
    book.up(&[write::complete(b"LISTEN"), write::ready(Status::Idle)].concat());
    book.up(&write::notification(7, b"news", b"Ann Liddell"));
    assert!(shows(&book.downstream, "news") && !shows(&book.downstream, "Ann Liddell"));
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
