//! What must be masked, and every way around it.

use super::{
    super::{
        codec::{
            HEAD,
            backend::{self, Field, Status},
            write,
        },
        playbook::*,
    },
    shows,
};
use crate::protocol::Input;

const EMAIL: &[u8] = b"ann@example.com";
const SSN: &[u8] = b"078-05-1120";

/// Runs one query that is answered with this result, and returns what the workload reads.
fn answered(statement: &[u8], fields: &[Field], row: &[Option<&[u8]>]) -> Vec<u8> {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(statement));
    assert_eq!(tags(&book.upstream), "Q", "{}", String::from_utf8_lossy(&book.downstream));
    let done = [write::complete(b"SELECT 1"), write::ready(Status::Idle)].concat();
    book.up(&[write::row_description(fields), write::data_row(row), done.into()].concat());
    book.downstream
}

#[test]
fn a_column_is_masked_by_its_origin_whatever_its_name() {
    let told = answered(
        b"SELECT email AS id, ssn AS note, id FROM customers",
        &[field("id", CUSTOMERS, 2, 25), field("note", CUSTOMERS, 3, 25), field("id", CUSTOMERS, 1, 23)],
        &[Some(EMAIL), Some(SSN), Some(b"42")],
    );
    assert!(shows(&told, "a***@e***.com") && shows(&told, "[redacted]") && shows(&told, "42"));
    assert!(!shows(&told, "ann@example.com") && !shows(&told, "078-05-1120"));
}

#[test]
fn an_expression_is_masked_by_what_flows_into_it() {
    let fields = [field("upper", 0, 0, 25), field("length", 0, 0, 23), field("total", 0, 0, 20)];
    let told = answered(
        b"SELECT reverse(ssn), length(ssn), count(*) FROM customers GROUP BY ssn",
        &fields,
        &[Some(b"0211-50-870"), Some(b"11"), Some(b"7")],
    );
    assert!(!shows(&told, "0211-50-870"));
    assert!(told.windows(9).any(|seen| seen == b"\xff\xff\xff\xff\0\0\0\x017"), "length is NULL, the count is told");
}

#[test]
fn content_that_gives_itself_away_is_masked_in_columns_of_no_class() {
    let told = answered(
        b"SELECT note FROM customers",
        &[field("note", CUSTOMERS, 4, 25)],
        &[Some(b"card 4111 1111 1111 1111, ok")],
    );
    assert!(!shows(&told, "4111 1111 1111 1111") && shows(&told, "1111, ok"));
}

#[test]
fn json_stays_json_and_hides_nothing_behind_escapes() {
    let told = answered(
        b"SELECT note FROM customers",
        &[field("note", CUSTOMERS, 4, 114)],
        &[Some(br#"{"a":"\u0061nn@example.com","n":4111111111111111}"#)],
    );
    assert!(!shows(&told, "nn@example.com") && !shows(&told, "4111111111111111"));
    assert!(shows(&told, r#""n":"************1111""#));
}

#[test]
fn a_relation_that_nobody_knows_is_surveyed_once_and_then_masked() {
    let mut book = logged_in(permit_masked);
    book.surveys = 0;
    book.down(&write::query(b"SELECT total FROM orders"));
    let done = [write::complete(b"SELECT 1"), write::ready(Status::Idle)].concat();
    let row = [write::row_description(&[field("total", 99_999, 1, 25)]), write::data_row(&[Some(b"secret")])].concat();
    book.up(&[row, done].concat());
    assert_eq!((book.surveys, tags(&book.downstream)), (1, "TDCZ".to_owned()));
    assert!(!shows(&book.downstream, "secret"));
}

#[test]
fn rows_without_a_description_are_described_for_the_session_alone() {
    let mut book = logged_in(permit_masked);
    let batch = [
        write::parse(b"", b"SELECT ssn FROM customers"),
        write::bind(b"", b"", &[], &[1]),
        write::execute(b""),
        write::bare(b'S'),
    ];
    book.down(&batch.concat());
    assert_eq!(tags(&book.upstream), "PBDES");
    let described = Field { is_binary: true, ..field("ssn", CUSTOMERS, 3, 25) };
    let answer = [
        write::bare(b'1'),
        write::bare(b'2'),
        write::row_description(&[described]),
        write::data_row(&[Some(SSN)]),
        write::complete(b"SELECT 1"),
        write::ready(Status::Idle),
    ];
    book.up(&answer.concat());
    assert_eq!(tags(&book.downstream), "12DCZ");
    assert!(!shows(&book.downstream, "078-05-1120"));
}

#[test]
fn a_described_statement_is_masked_in_the_formats_of_its_portal() {
    let mut book = logged_in(permit_masked);
    let prepare =
        [write::parse(b"s", b"SELECT id, ssn FROM customers"), write::describe_statement(b"s"), write::bare(b'S')];
    book.down(&prepare.concat());
    let fields = [field("id", CUSTOMERS, 1, 23), field("ssn", CUSTOMERS, 3, 1700)];
    let described = [write::bare(b'1'), write::bare(b't'), write::row_description(&fields), write::ready(Status::Idle)];
    book.up(&described.concat().replace_parameters());
    book.forget();
    book.down(&[write::bind(b"", b"s", &[], &[1]), write::execute(b""), write::bare(b'S')].concat());
    assert_eq!(tags(&book.upstream), "BES", "nothing has to be asked again");
    let row = write::data_row(&[Some(b"\0\0\0\x07"), Some(b"\0\x01\0\0\0\0\0\0\0\x07")]);
    book.up(&[write::bare(b'2'), row, write::complete(b"SELECT 1"), write::ready(Status::Idle)].concat());
    let masked = write::data_row(&[Some(b"\0\0\0\x07"), None]);
    assert!(memchr::memmem::find(&book.downstream, &masked).is_some(), "a number of a masked class is NULL");
}

/// A ParameterDescription without parameters has a body, which [`write::bare`] does not.
trait Parameters {
    fn replace_parameters(self) -> Vec<u8>;
}

impl Parameters for Vec<u8> {
    fn replace_parameters(self) -> Vec<u8> {
        let bare = write::bare(b't');
        let at = memchr::memmem::find(&self, &bare).unwrap();
        [&self[..at], b"t\0\0\0\x06\0\0", &self[at + bare.len()..]].concat()
    }
}

#[test]
fn the_servers_words_are_withheld_where_masked_data_was_touched() {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"SELECT id FROM customers WHERE ssn::int = 1"));
    let words =
        [(b'S', &b"ERROR"[..]), (b'C', b"22P02"), (b'M', b"invalid input: \"078051120x\""), (b'D', b"078051120x")];
    book.up(&[write::notice(b'E', words), write::ready(Status::Idle)].concat());
    let parts = backend::notice(&book.downstream[HEAD..book.downstream.len() - 6]).unwrap();
    assert!(parts.contains(&(b'C', b"22P02")), "what kind of error it was stays");
    assert!(!shows(&book.downstream, "078051120x"));
}

#[test]
fn masked_values_are_never_stored_unmasked() {
    for statement in
        [&b"INSERT INTO orders SELECT id, ssn::int FROM customers"[..], b"CREATE TABLE c AS SELECT * FROM customers"]
    {
        let mut book = logged_in(permit_masked);
        book.down(&write::query(statement));
        assert!(book.upstream.is_empty() && shows(&book.downstream, "C42501"));
    }
}

#[test]
fn copy_is_masked_by_column_or_refused() {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"COPY customers (id, email, ssn) TO STDOUT"));
    let data = write::copy_data(b"1\tann@example.com\t078-05-1120\n");
    book.up(&[write::copy_response(b'H', false, 3), data, write::bare(b'c')].concat());
    assert!(shows(&book.downstream, "1\ta***@e***.com\t[redacted]\n"));
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"COPY (SELECT id, ssn FROM customers) TO STDOUT (FORMAT binary)"));
    let data = write::copy_data(b"\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x0b078-05-1120");
    book.up(&[write::copy_response(b'H', true, 2), data].concat());
    assert!(!shows(&book.downstream, "078") && shows(&book.downstream, "\0\0\0\x01"));
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"COPY customers TO STDOUT (FORMAT csv, ENCODING 'latin1')"));
    assert!(book.upstream.is_empty() && shows(&book.downstream, "C42501"));
}

/// Runs one COPY that is answered with these messages, and returns what the workload reads.
fn copied(statement: &[u8], columns: u16, messages: &[&[u8]]) -> Vec<u8> {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(statement));
    assert_eq!(tags(&book.upstream), "Q", "{}", String::from_utf8_lossy(&book.downstream));
    book.up(&write::copy_response(b'H', false, columns));
    messages.iter().for_each(|message| book.up(&write::copy_data(message)));
    book.downstream
}

#[test]
fn csv_is_masked_cell_by_cell_behind_its_header() {
    let told = copied(
        b"COPY customers (id, email, ssn) TO STDOUT (FORMAT csv, HEADER, DELIMITER ';')",
        3,
        &[b"id;email;ssn\n", b"1;\"ann@exam\"\"ple.com\";078-05-1120\n", b"2;;\n"],
    );
    assert!(shows(&told, "id;email;ssn\n") && shows(&told, "1;\"a***@e***.com\";\"[redacted]\"\n"));
    assert!(shows(&told, "2;;\n"), "NULL stays NULL");
}

#[test]
fn a_copied_query_shows_no_piece_of_what_it_computes() {
    let told = copied(b"COPY (SELECT reverse(email) FROM customers) TO STDOUT", 1, &[b"moc.elpmaxe@nna\n"]);
    assert!(shows(&told, "\\N\n") && !shows(&told, "m***") && !shows(&told, "[redacted]"));
}

#[test]
fn copied_data_of_another_shape_than_asked_for_ends_the_session() {
    for (columns, messages) in [(2, &[][..]), (3, &[&b"1\tann@example.com\n"[..]]), (3, &[b"1\tann@example.com\tx"])] {
        let told = copied(b"COPY customers (id, email, ssn) TO STDOUT", columns, messages);
        assert!(shows(&told, "08P01") && !shows(&told, "ann@example.com"));
    }
}

#[test]
fn what_is_computed_shows_no_piece_and_no_token() {
    let told = answered(
        b"SELECT left(email, 1), email FROM customers",
        &[field("left", 0, 0, 25), field("email", CUSTOMERS, 2, 25)],
        &[Some(b"nnnnn"), Some(EMAIL)],
    );
    assert!(!shows(&told, "n***") && !shows(&told, "[redacted]") && shows(&told, "a***@e***.com"));
}

#[test]
fn what_is_computed_looks_the_same_whether_empty_or_null_or_neither() {
    let told = |value: Option<&[u8]>| {
        answered(b"SELECT nullif(left(email, 1), 'a') FROM customers", &[field("nullif", 0, 0, 25)], &[value])
    };
    assert_eq!(told(Some(b"n")), told(None));
    assert_eq!(told(Some(b"")), told(None));
}

#[test]
fn notifications_and_settings_are_searched() {
    let mut book = logged_in(permit_masked);
    book.down(&write::query(b"SELECT id FROM orders"));
    book.up(&[write::complete(b"SELECT 0"), write::ready(Status::Idle)].concat());
    book.up(&write::notification(7, b"news", b"ann@example.com"));
    book.up(&write::parameter(b"application_name", b"ann@example.com"));
    assert_eq!(tags(&book.downstream), "CZAS");
    assert!(!shows(&book.downstream, "ann@example.com"));
}

#[test]
fn a_catalogue_that_comes_unasked_does_not_stand_for_one_that_is_newer_than_a_change() {
    let mut book = logged_in(permit_masked);
    book.surveys = 0;
    book.down(&write::query(b"ALTER TABLE orders ADD COLUMN x int"));
    book.up(&[write::complete(b"ALTER TABLE"), write::ready(Status::Idle)].concat());
    let unasked = book.classifier.clone();
    book.input(Input::Surveyed(Ok(unasked)));
    book.down(&write::query(b"SELECT id FROM orders"));
    assert_eq!(book.surveys, 1, "the catalogue is read again before the next statement");
    assert_eq!(tags(&book.upstream), "QQ");
}
