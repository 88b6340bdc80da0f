//! What is sent ahead of the answers that it depends on means what it means to the server.

use super::{
    super::codec::{backend::Status, write},
    super::playbook::*,
    shows,
};
use crate::protocol::playbook::Playbook;

const BEGUN: &[u8] = b"BEGIN";
const DECLARED: &[u8] = b"DECLARE CURSOR";

/// Parse, Bind and Execute of one statement.
fn runs(text: &str) -> Vec<u8> {
    [write::parse(b"", text.as_bytes()), write::bind(b"", b"", &[], &[]), write::execute(b"")].concat()
}

fn ran(tag: &[u8]) -> Vec<u8> {
    [write::bare(b'1'), write::bare(b'2'), write::complete(tag)].concat()
}

fn failed() -> Vec<u8> {
    write::notice(b'E', [(b'S', &b"ERROR"[..]), (b'C', b"42P03"), (b'M', b"no")]).to_vec()
}

fn is_understood(book: &Playbook) -> bool {
    book.asked.last().is_some_and(|request| request.footprint.caveats.is_empty())
}

#[test]
fn a_fetch_behind_its_declare_waits_for_it_within_one_batch() {
    let mut book = logged_in(permit);
    let batch = [runs("BEGIN"), runs("DECLARE c CURSOR FOR SELECT id FROM orders"), runs("FETCH 2 FROM c")];
    book.down(&batch.concat());
    assert!(shows(&book.upstream, "DECLARE") && !shows(&book.upstream, "FETCH"));
    assert!(tags(&book.upstream).ends_with('H'), "the server is asked for its answers");
    book.up(&[ran(BEGUN), ran(DECLARED)].concat());
    assert!(shows(&book.upstream, "FETCH") && is_understood(&book));
}

#[test]
fn an_execute_behind_its_prepare_waits_for_it() {
    let mut book = logged_in(permit);
    book.down(&write::query(b"PREPARE p AS SELECT id FROM orders"));
    book.down(&write::query(b"EXECUTE p"));
    assert!(!shows(&book.upstream, "EXECUTE"));
    book.up(&[write::complete(b"PREPARE"), write::ready(Status::Idle)].concat());
    assert!(shows(&book.upstream, "EXECUTE") && is_understood(&book));
}

#[test]
fn a_fetch_behind_a_declare_that_failed_is_not_taken_for_what_it_would_have_made() {
    let mut book = logged_in(permit);
    book.down(&write::query(b"DECLARE c CURSOR WITH HOLD FOR SELECT id FROM orders"));
    book.down(&write::query(b"FETCH ALL FROM c"));
    book.up(&[failed(), write::ready(Status::Idle).to_vec()].concat());
    assert!(!is_understood(&book), "somebody else's cursor has the name");
}

#[test]
fn what_waits_in_a_batch_that_failed_is_skipped() {
    let mut book = logged_in(permit);
    let batch = [runs("DECLARE c CURSOR FOR SELECT id FROM orders"), runs("FETCH 2 FROM c")];
    book.down(&[batch.concat(), write::bare(b'S').to_vec()].concat());
    book.up(&[&write::bare(b'1')[..], &failed()].concat());
    book.up(&write::ready(Status::Idle));
    assert!(!shows(&book.upstream, "FETCH"));
    assert_eq!(tags(&book.downstream), "1EZ");
    assert!(tags(&book.upstream).ends_with('S'));
}

#[test]
fn what_is_not_understood_once_all_is_answered_waits_for_nothing() {
    let mut book = logged_in(permit);
    book.down(&write::query(b"FETCH ALL FROM nowhere"));
    assert!(!book.asked.is_empty() && !is_understood(&book));
}
