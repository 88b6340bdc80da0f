//! The search path: names mean what they mean to the server, through every transaction.

use super::{
    super::codec::{backend::Status, write},
    super::playbook::*,
};
use crate::protocol::playbook::Playbook;

/// Has the server run one statement; an empty tag is an error.
fn run(book: &mut Playbook, statement: &str, tag: &str, status: Status) {
    book.down(&write::query(statement.as_bytes()));
    answer(book, tag, status);
}

fn answer(book: &mut Playbook, tag: &str, status: Status) {
    let said = if tag.is_empty() { failure() } else { write::complete(tag.as_bytes()) };
    book.up(&[said, write::ready(status)].concat());
}

fn failure() -> bytes::Bytes {
    write::notice(b'E', [(b'S', &b"ERROR"[..]), (b'C', b"22012")])
}

/// What the gate makes of a query that looks `orders` up: known, or why not.
fn looked_up(book: &mut Playbook) -> &'static str {
    book.asked.clear();
    book.down(&write::query(b"SELECT id FROM orders"));
    caveat(book)
}

fn caveat(book: &Playbook) -> &'static str {
    let request = book.asked.first().expect("a question");
    match request.footprint.caveats.first() {
        None => "known",
        Some(caveat) if caveat.contains("is not in the catalogue") => MISSING,
        Some(caveat) if caveat.contains("the search path is not known") => LOST,
        Some(caveat) => panic!("{caveat}"),
    }
}

const MISSING: &str = "not there";
const LOST: &str = "not known";

/// What `orders` is after these statements, each with the tag of its answer and the state that it leaves.
fn after(statements: &[(&str, &str, Status)]) -> &'static str {
    let mut book = logged_in(permit);
    statements.iter().for_each(|(statement, tag, status)| run(&mut book, statement, tag, *status));
    looked_up(&mut book)
}

#[test]
fn names_are_looked_up_where_the_session_says() {
    use Status::Idle;
    assert_eq!(after(&[]), "known");
    assert_eq!(after(&[("SET search_path = elsewhere", "SET", Idle)]), MISSING);
    assert_eq!(after(&[("SET search_path = elsewhere, public", "SET", Idle)]), "known");
    assert_eq!(after(&[("SELECT pg_catalog.set_config('search_path', '', false)", "SELECT 1", Idle)]), MISSING);
    assert_eq!(after(&[("SET search_path = elsewhere", "", Idle)]), "known");
    let back = [("SET search_path = elsewhere", "SET", Idle), ("RESET search_path", "RESET", Idle)];
    assert_eq!(after(&back), "known");
    let back = [("SET search_path = elsewhere", "SET", Idle), ("DISCARD ALL", "DISCARD ALL", Idle)];
    assert_eq!(after(&back), "known");
}

#[test]
fn a_transaction_takes_the_path_with_it() {
    use Status::{Failed, Idle, InTransaction};
    let begun = [("BEGIN", "BEGIN", InTransaction), ("SET search_path = elsewhere", "SET", InTransaction)];
    let then = |rest: &[(&'static str, &'static str, Status)]| after(&[&begun[..], rest].concat());
    assert_eq!(then(&[]), MISSING);
    assert_eq!(then(&[("COMMIT", "COMMIT", Idle)]), MISSING);
    assert_eq!(then(&[("ROLLBACK", "ROLLBACK", Idle)]), "known");
    assert_eq!(then(&[("SELECT 1/0", "", Failed), ("COMMIT", "ROLLBACK", Idle)]), "known");
    assert_eq!(then(&[("ROLLBACK TO s", "ROLLBACK", InTransaction)]), LOST);
    assert_eq!(then(&[("SET LOCAL search_path = public", "SET", InTransaction)]), "known");
    let local = [("SET LOCAL search_path = public", "SET", InTransaction), ("COMMIT", "COMMIT", Idle)];
    assert_eq!(then(&local), MISSING);
    assert_eq!(after(&[("SET LOCAL search_path = elsewhere", "SET", Idle)]), "known");
}

#[test]
fn a_path_that_is_lost_is_found_by_setting_it() {
    use Status::{Idle, InTransaction};
    let lost = [
        ("BEGIN", "BEGIN", InTransaction),
        ("SET search_path = elsewhere", "SET", InTransaction),
        ("ROLLBACK TO s", "ROLLBACK", InTransaction),
        ("COMMIT", "COMMIT", Idle),
        ("SET search_path = public", "SET", Idle),
    ];
    assert_eq!(after(&lost), "known");
}

#[test]
fn statements_of_one_text_see_the_path_that_those_before_them_set() {
    for (text, is_known) in [
        ("SET search_path = elsewhere; SELECT id FROM orders", false),
        ("SELECT id FROM orders; SET search_path = elsewhere", true),
        ("BEGIN; SET search_path = elsewhere; ROLLBACK; SELECT id FROM orders", true),
        ("BEGIN; SET LOCAL search_path = elsewhere; COMMIT; SELECT id FROM orders", true),
        ("SET search_path = elsewhere; RESET ALL; SELECT id FROM orders", true),
    ] {
        let mut book = logged_in(permit);
        book.down(&write::query(text.as_bytes()));
        assert_eq!(book.asked.iter().all(|request| request.footprint.caveats.is_empty()), is_known, "{text}");
    }
}

/// What the gate makes of a query that is sent ahead of these answers, of which only the last settles what it means.
fn looked_up_ahead_of(book: &mut Playbook, answers: &[(&str, Status)]) -> &'static str {
    book.asked.clear();
    book.down(&write::query(b"SELECT id FROM orders"));
    for (tag, status) in answers {
        assert!(book.asked.is_empty(), "asked ahead of {tag}");
        answer(book, tag, *status);
    }
    caveat(book)
}

#[test]
fn what_is_sent_behind_a_change_waits_for_its_answer() {
    for (change, tag, meaning) in [
        ("SET search_path = elsewhere", "SET", MISSING),
        ("SET search_path = elsewhere", "", "known"),
        ("SET search_path = public", "SET", "known"),
        ("RESET ALL", "RESET", "known"),
    ] {
        let mut book = logged_in(permit);
        book.down(&write::query(change.as_bytes()));
        assert_eq!(looked_up_ahead_of(&mut book, &[(tag, Status::Idle)]), meaning, "{change}");
    }
    // An error of what was sent before settles nothing of what was sent behind it.
    let mut book = logged_in(permit);
    book.down(&[write::query(b"SELECT 1/0"), write::query(b"SET search_path = elsewhere")].concat());
    assert_eq!(looked_up_ahead_of(&mut book, &[("", Status::Idle), ("SET", Status::Idle)]), MISSING);
}

#[test]
fn a_path_that_ends_with_the_batch_is_not_taken_for_the_next_one() {
    let mut book = logged_in(permit);
    let set = [write::parse(b"", b"SET LOCAL search_path = elsewhere"), write::bind(b"", b"", &[], &[])];
    book.down(&[set.concat(), write::execute(b"").to_vec(), write::bare(b'S').to_vec()].concat());
    book.up(&[write::bare(b'1'), write::bare(b'2'), write::complete(b"SET")].concat());
    book.asked.clear();
    book.down(&write::query(b"SELECT id FROM orders"));
    assert!(book.asked.is_empty());
    book.up(&write::ready(Status::Idle));
    assert_eq!(caveat(&book), "known");
}

#[test]
fn a_prepared_statement_is_judged_by_where_the_server_looks_now() {
    let mut book = logged_in(permit);
    book.down(&[write::parse(b"s", b"SELECT id FROM orders"), write::bare(b'S')].concat());
    book.up(&[write::bare(b'1'), write::ready(Status::Idle)].concat());
    run(&mut book, "SET search_path = elsewhere", "SET", Status::Idle);
    book.asked.clear();
    book.down(&[write::bind(b"", b"s", &[], &[]), write::execute(b"")].concat());
    assert!(!book.asked[0].footprint.caveats.is_empty());
}

#[test]
fn a_portal_that_was_planned_under_another_path_is_not_run() {
    let mut book = logged_in(permit);
    run(&mut book, "BEGIN", "BEGIN", Status::InTransaction);
    let bound = [write::parse(b"", b"SELECT id FROM orders"), write::bind(b"p", b"", &[], &[]), write::bare(b'S')];
    book.down(&bound.concat());
    book.up(&[write::bare(b'1'), write::bare(b'2'), write::ready(Status::InTransaction)].concat());
    run(&mut book, "SET search_path = elsewhere", "SET", Status::InTransaction);
    book.forget();
    book.down(&write::execute(b"p"));
    assert!(!tags(&book.upstream).contains('E'));
}

#[test]
fn no_call_that_might_not_happen_is_followed() {
    for text in [
        "SELECT set_config('search_path', 'elsewhere', false) WHERE false",
        "SELECT set_config('search_path', 'elsewhere', false) FROM orders",
        "SELECT CASE WHEN true THEN set_config('search_path', 'elsewhere', false) END",
        "SELECT set_config('search_path', 'else' || 'where', false)",
        "SELECT set_config('search_path', 'elsewhere', id > 1) FROM orders",
        "SELECT set_config('search_path', $1, false)",
        "SELECT public.set_config('search_path', 'elsewhere', false)",
        "EXPLAIN ANALYZE SELECT set_config('search_path', 'elsewhere', false)",
        "PREPARE p AS SELECT set_config('search_path', 'elsewhere', false)",
        "DECLARE c CURSOR FOR SELECT set_config('search_path', 'elsewhere', false)",
        "SET search_path = pg_temp, public",
    ] {
        let mut book = logged_in(permit);
        book.down(&write::query(text.as_bytes()));
        assert!(!book.asked[0].footprint.caveats.is_empty(), "{text}");
    }
}
