//! One name, two meanings: what the session judges is what the server runs.

use super::{
    super::codec::{backend::Status, write},
    super::playbook::*,
    shows,
};
use crate::gate::Verdict;
use crate::request::{Request, Stage};

/// Permits all but running what reads `ssn`.
fn no_ssn(request: &Request) -> Verdict {
    match request.stage {
        Stage::Prepare => permit(request),
        Stage::Execute if request.summary.to_string().contains("ssn") => refuse(request),
        Stage::Execute => permit(request),
    }
}

fn failed() -> Vec<u8> {
    [write::notice(b'E', [(b'S', &b"ERROR"[..]), (b'C', b"42P05"), (b'M', b"no")]), write::ready(Status::Idle)].concat()
}

#[test]
fn a_parse_that_failed_leaves_the_old_statement_under_its_name() {
    let mut book = logged_in(no_ssn);
    book.down(&[write::parse(b"s", b"SELECT ssn FROM customers"), write::bare(b'S')].concat());
    book.up(&[write::bare(b'1'), write::ready(Status::Idle)].concat());
    // The server refuses the second one: the name is taken.
    book.down(&[write::parse(b"s", b"SELECT id FROM orders"), write::bare(b'S')].concat());
    book.up(&failed());
    book.forget();
    book.down(&[write::bind(b"", b"s", &[], &[]), write::execute(b""), write::bare(b'S')].concat());
    assert!(book.asked.last().unwrap().summary.to_string().contains("ssn"), "the old one is judged");
    assert!(!tags(&book.upstream).contains('E'), "and never runs");
}

#[test]
fn what_was_sent_behind_a_failure_keeps_its_own_meaning() {
    let mut book = logged_in(no_ssn);
    book.down(&[write::parse(b"s", b"SELECT id FROM orders"), write::bare(b'S')].concat());
    book.up(&[write::bare(b'1'), write::ready(Status::Idle)].concat());
    let failing = [write::parse(b"s", b"SELECT total FROM orders"), write::bare(b'S')];
    let replacing = [write::close_statement(b"s"), write::parse(b"s", b"SELECT ssn FROM customers"), write::bare(b'S')];
    book.down(&[failing.concat(), replacing.concat()].concat());
    book.up(&failed());
    book.up(&[write::bare(b'3'), write::bare(b'1'), write::ready(Status::Idle)].concat());
    book.forget();
    book.down(&[write::bind(b"", b"s", &[], &[]), write::execute(b""), write::bare(b'S')].concat());
    assert!(!tags(&book.upstream).contains('E'));
    assert!(shows(&book.downstream, "denied") || tags(&book.upstream).contains('P'));
}

#[test]
fn sql_text_that_takes_a_name_over_is_not_run_under_its_old_meaning() {
    let mut book = logged_in(no_ssn);
    book.down(&[write::parse(b"s", b"SELECT id FROM orders"), write::bare(b'S')].concat());
    book.up(&[write::bare(b'1'), write::ready(Status::Idle)].concat());
    book.down(&write::query(b"DEALLOCATE s"));
    book.up(&[write::complete(b"DEALLOCATE"), write::ready(Status::Idle)].concat());
    book.forget();
    book.down(&[write::bind(b"", b"s", &[], &[]), write::execute(b""), write::bare(b'S')].concat());
    assert!(book.upstream.is_empty() && shows(&book.downstream, "C26000"));
}

#[test]
fn a_cursor_is_not_executed_as_the_portal_that_had_its_name() {
    let mut book = logged_in(permit);
    let batch = [
        write::parse(b"", b"SELECT id FROM orders"),
        write::bind(b"c", b"", &[], &[]),
        write::execute(b"c"),
        write::bare(b'S'),
    ];
    book.down(&batch.concat());
    let done = [write::bare(b'1'), write::bare(b'2'), write::complete(b"SELECT 0"), write::ready(Status::Idle)];
    book.up(&done.concat());
    book.down(&write::query(b"DECLARE c CURSOR WITH HOLD FOR SELECT ssn FROM customers"));
    book.up(&[write::complete(b"DECLARE CURSOR"), write::ready(Status::Idle)].concat());
    book.forget();
    book.down(&[write::execute(b"c"), write::bare(b'S')].concat());
    assert!(book.upstream.is_empty() && shows(&book.downstream, "C34000"));
}

#[test]
fn a_transaction_that_ends_takes_its_portals_along() {
    let mut book = logged_in(permit);
    let batch = [write::parse(b"s", b"SELECT id FROM orders"), write::bind(b"p", b"s", &[], &[]), write::bare(b'S')];
    book.down(&batch.concat());
    book.up(&[write::bare(b'1'), write::bare(b'2'), write::ready(Status::InTransaction)].concat());
    book.down(&[write::execute(b"p"), write::bare(b'S')].concat());
    book.up(&[write::complete(b"SELECT 0"), write::ready(Status::Idle)].concat());
    book.forget();
    book.down(&[write::execute(b"p"), write::bare(b'S')].concat());
    assert!(book.upstream.is_empty() && shows(&book.downstream, "C34000"));
}

/// The server lets EXECUTE run whatever Parse has prepared.
#[test]
fn execute_of_what_lasts_is_not_understood() {
    for text in
        ["SET search_path = secret", "SELECT set_config('search_path', 'secret', false)", "COMMIT", "DISCARD ALL"]
    {
        let mut book = logged_in(permit);
        book.down(&[write::parse(b"s", text.as_bytes()), write::bare(b'S')].concat());
        book.up(&[write::bare(b'1'), write::ready(Status::Idle)].concat());
        book.down(&write::query(b"EXECUTE s"));
        assert!(!book.asked.last().unwrap().footprint.caveats.is_empty(), "{text}");
    }
    let mut book = logged_in(permit);
    book.down(&[write::parse(b"s", b"SELECT id FROM orders"), write::bare(b'S')].concat());
    book.up(&[write::bare(b'1'), write::ready(Status::Idle)].concat());
    book.down(&write::query(b"EXECUTE s"));
    assert!(book.asked.last().unwrap().footprint.caveats.is_empty());
}
