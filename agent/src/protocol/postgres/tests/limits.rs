//! Answers that are held to limits, and requests that wait for answers.

use std::time::Duration;

use super::*;
use crate::{
    gate::{Permit, Verdict},
    policy::{Bound, Limits, Obligations, RuleId},
    request::{Request, Transaction},
};

fn bound<T>(most: T) -> Option<Bound<T>> {
    Some(Bound { most, rule: RuleId("short".into()) })
}

fn permit_within(limits: Limits) -> Verdict {
    Verdict::Forward(Permit::for_playbook(Obligations { limits, ..Obligations::default() }))
}

fn two_rows(_: &Request) -> Verdict {
    permit_within(Limits { rows: bound(2), ..Limits::default() })
}

fn two_rows_of_reads(request: &Request) -> Verdict {
    if request.summary.to_string().starts_with("SELECT") { two_rows(request) } else { permit(request) }
}

fn masked_two_rows(request: &Request) -> Verdict {
    let Verdict::Forward(permit) = permit_masked(request) else { panic!("a permit") };
    let limits = Limits { rows: bound(2), ..Limits::default() };
    Verdict::Forward(Permit::for_playbook(Obligations { limits, ..(**permit.obligations()).clone() }))
}

fn forty_bytes(_: &Request) -> Verdict {
    permit_within(Limits { bytes: bound(40), ..Limits::default() })
}

fn a_second(_: &Request) -> Verdict {
    permit_within(Limits { time: bound(Duration::from_secs(1)), ..Limits::default() })
}

/// Asks to be asked again until everything before it is answered.
fn when_settled(request: &Request) -> Verdict {
    if request.standing.is_settled { permit(request) } else { Verdict::Settle }
}

fn row(value: &[u8]) -> Vec<u8> {
    write::data_row(&[Some(value)]).to_vec()
}

fn orders() -> Vec<u8> {
    write::row_description(&[field("id", 16385, 1, 23)]).to_vec()
}

fn rows(count: usize) -> Vec<u8> {
    row(b"1").repeat(count)
}

fn done(tag: &str, status: Status) -> Vec<u8> {
    [write::complete(tag.as_bytes()), write::ready(status)].concat()
}

fn cancelled(status: Status) -> Vec<u8> {
    [write::notice(b'E', [(b'C', &b"57014"[..]), (b'M', b"canceling statement")]), write::ready(status)].concat()
}

fn select() -> Vec<u8> {
    [write::parse(b"", b"SELECT id FROM orders"), write::bind(b"", b"", &[], &[]), write::execute(b"")].concat()
}

#[test]
fn an_answer_within_its_limit_passes_as_it_came() {
    let mut book = logged_in(two_rows);
    let answer = [orders(), rows(2), done("SELECT 2", Status::Idle)].concat();
    book.down(&write::query(b"SELECT id FROM orders"));
    book.up(&answer);
    assert_eq!((book.downstream == answer, book.cancels.len(), book.alarm), (true, 0, None));
}

#[test]
fn an_answer_beyond_its_limit_ends_with_an_error_that_names_the_rule() {
    let mut book = logged_in(two_rows);
    book.down(&write::query(b"SELECT id FROM orders"));
    book.up(&[orders(), rows(3)].concat());
    assert_eq!((tags(&book.downstream), book.cancels.len()), ("TDDE".to_owned(), 1));
    assert!(shows(&book.downstream, "C54000") && shows(&book.downstream, "2 rows, the most that rule `short`"));
    book.up(&[rows(5), cancelled(Status::Idle)].concat());
    book.input(Input::Cancelled);
    assert_eq!((tags(&book.downstream), book.alarm), ("TDDEZ".to_owned(), None));
    assert!(!shows(&book.downstream, "canceling"), "the workload has its error");
}

#[test]
fn masked_rows_are_counted_the_same() {
    let mut book = logged_in(masked_two_rows);
    let customers = write::row_description(&[field("email", CUSTOMERS, 2, 25)]);
    book.down(&write::query(b"SELECT email FROM customers"));
    book.up(&[customers.to_vec(), row(b"ann@example.com").repeat(7), done("SELECT 7", Status::Idle)].concat());
    assert_eq!(tags(&book.downstream), "TDDEZ");
    assert!(!shows(&book.downstream, "ann@example.com"));
}

#[test]
fn bytes_are_counted_as_the_server_sends_them() {
    let mut book = logged_in(forty_bytes);
    book.down(&write::query(b"SELECT id FROM orders"));
    let (fits, long) = (row(b"123456789"), row(&[b'x'; 20]));
    book.up(&[orders(), fits.clone(), long, fits, done("SELECT 3", Status::Idle)].concat());
    assert_eq!(tags(&book.downstream), "TDEZ");
    assert!(shows(&book.downstream, "40 bytes of rows"));
}

#[test]
fn a_transaction_fails_even_when_the_server_was_faster_than_its_cancel() {
    let mut book = logged_in(two_rows_of_reads);
    book.down(&write::query(b"BEGIN"));
    book.up(&done("BEGIN", Status::InTransaction));
    book.forget();
    book.down(&write::query(b"SELECT id FROM orders"));
    book.up(&[orders(), rows(3), done("SELECT 3", Status::InTransaction)].concat());
    assert_eq!(tags(&book.downstream), "TDDE", "the server believes the transaction to be well");
    assert!(shows(&book.upstream, "DENIED BY PORTCULLIS"));
    book.up(&[write::notice(b'E', [(b'C', &b"42601"[..])]), write::ready(Status::Failed)].concat());
    assert_eq!(tags(&book.downstream), "TDDEZ");
    assert!(book.downstream.ends_with(b"E"), "the transaction has failed on both sides");
}

#[test]
fn what_follows_waits_until_the_server_has_stopped() {
    let mut book = logged_in(two_rows);
    book.down(&[write::query(b"SELECT id FROM orders"), write::query(b"SELECT total FROM orders")].concat());
    assert_eq!((tags(&book.upstream), book.asked.len()), ("Q".to_owned(), 1));
    book.up(&[orders(), rows(3), cancelled(Status::Idle)].concat());
    assert_eq!(tags(&book.upstream), "Q", "the cancel request might meet it");
    book.input(Input::Cancelled);
    assert_eq!(tags(&book.upstream), "QQ");
}

#[test]
fn a_batch_behind_a_limited_execute_is_skipped_when_it_is_cut() {
    let mut book = logged_in(two_rows_of_reads);
    let delete = [
        write::parse(b"d", b"DELETE FROM orders WHERE id = 1"),
        write::bind(b"d", b"d", &[], &[]),
        write::execute(b"d"),
    ];
    book.down(&[select(), delete.concat(), write::bare(b'S').to_vec()].concat());
    assert_eq!(tags(&book.upstream), "PBEH", "nothing is sent behind it, and its answer is asked for");
    book.up(&[write::bare(b'1').to_vec(), write::bare(b'2').to_vec(), rows(3)].concat());
    book.up(&write::complete(b"SELECT 3"));
    book.input(Input::Cancelled);
    assert!(!shows(&book.upstream, "DELETE"));
    book.up(&write::notice(b'E', [(b'C', &b"42601"[..])]));
    book.up(&write::ready(Status::Idle));
    assert_eq!(tags(&book.downstream), "12DDEZ");
    assert!(book.upstream.ends_with(&write::bare(b'S')));
    book.forget();
    book.down(&write::query(b"SELECT 1"));
    assert_eq!(tags(&book.upstream), "Q", "the session is usable");
}

#[test]
fn the_sync_of_a_lone_execute_goes_with_it() {
    let mut book = logged_in(two_rows);
    book.down(&[select(), write::bare(b'S').to_vec(), write::bare(b'S').to_vec()].concat());
    assert_eq!(tags(&book.upstream), "PBES", "one, and no more");
    book.up(&[write::bare(b'1').to_vec(), write::bare(b'2').to_vec(), rows(2), done("SELECT 2", Status::Idle)].concat());
    assert_eq!((tags(&book.downstream), tags(&book.upstream)), ("12DDCZ".to_owned(), "PBESS".to_owned()));
}

#[test]
fn the_sync_of_what_would_have_to_be_undone_waits() {
    let mut book = logged_in(two_rows_of_reads);
    let insert = [
        write::parse(b"i", b"INSERT INTO orders VALUES (1, 2)"),
        write::bind(b"i", b"i", &[], &[]),
        write::execute(b"i"),
    ];
    book.down(&[insert.concat(), select(), write::bare(b'S').to_vec()].concat());
    let ready = [write::bare(b'1'), write::bare(b'2'), write::complete(b"INSERT 0 1")].concat();
    book.up(&[ready, write::bare(b'1').to_vec(), write::bare(b'2').to_vec()].concat());
    assert!(!tags(&book.upstream).contains('S'), "Sync commits");
    book.up(&[rows(3), write::complete(b"SELECT 3").to_vec()].concat());
    book.input(Input::Cancelled);
    assert!(shows(&book.upstream, "DENIED BY PORTCULLIS"), "the batch must fail before it is committed");
    book.up(&write::notice(b'E', [(b'C', &b"42601"[..])]));
    assert!(book.upstream.ends_with(&write::bare(b'S')));
    book.up(&write::ready(Status::Idle));
    assert_eq!(tags(&book.downstream), "12C12DDEZ");
}

#[test]
fn a_portal_is_counted_over_all_its_parts() {
    let mut book = logged_in(two_rows);
    let part = || [write::execute(b""), write::bare(b'H')].concat();
    book.down(&[write::parse(b"", b"SELECT id FROM orders"), write::bind(b"", b"", &[], &[])].concat());
    book.down(&part());
    book.up(&[write::bare(b'1').to_vec(), write::bare(b'2').to_vec(), rows(1), write::bare(b's').to_vec()].concat());
    book.down(&part());
    book.up(&[rows(1), write::bare(b's').to_vec()].concat());
    assert_eq!(tags(&book.downstream), "12DsDs");
    book.down(&part());
    book.up(&[rows(1), write::bare(b's').to_vec()].concat());
    assert_eq!(tags(&book.downstream), "12DsDsE");
}

#[test]
fn a_cursor_is_counted_over_all_its_fetches() {
    let mut book = logged_in(two_rows);
    let mut say = |text: &[u8], answer: Vec<u8>| {
        book.forget();
        book.down(&write::query(text));
        book.up(&answer);
        tags(&book.downstream)
    };
    say(b"BEGIN", done("BEGIN", Status::InTransaction));
    say(b"DECLARE c CURSOR FOR SELECT id FROM orders", done("DECLARE CURSOR", Status::InTransaction));
    let fetched = |count| [orders(), rows(count), done("FETCH 1", Status::InTransaction)].concat();
    assert_eq!(say(b"FETCH 2 FROM c", fetched(2)), "TDDCZ");
    assert_eq!(say(b"FETCH 1 FROM c", fetched(1)), "TE");
}

#[test]
fn copy_data_is_counted_by_rows_and_its_end_is_none() {
    for (is_binary, data) in [
        (false, [write::copy_data(b"1\n"), write::copy_data(b"2\n")].concat()),
        (
            true,
            [
                write::copy_data(b"\0\x01\0\0\0\x011"),
                write::copy_data(b"\0\x01\0\0\0\x011"),
                write::copy_data(b"\xff\xff"),
            ]
            .concat(),
        ),
    ] {
        let mut book = logged_in(two_rows);
        let ended = [write::bare(b'c').to_vec(), done("COPY 2", Status::Idle)].concat();
        book.down(&write::query(b"COPY orders TO STDOUT (FORMAT binary)"));
        book.up(&[write::copy_response(b'H', is_binary, 1).to_vec(), data.clone(), ended.clone()].concat());
        assert!(tags(&book.downstream).ends_with("cCZ"), "{}", tags(&book.downstream));
        book.forget();
        book.down(&write::query(b"COPY orders TO STDOUT (FORMAT binary)"));
        let more = [data.clone(), write::copy_data(b"3\n").to_vec(), data];
        book.up(&[write::copy_response(b'H', is_binary, 1).to_vec(), more.concat(), ended].concat());
        assert!(tags(&book.downstream).ends_with("dEZ"), "{}", tags(&book.downstream));
    }
}

#[test]
fn what_could_not_be_undone_is_refused_under_a_limit() {
    for text in [
        &b"DELETE FROM orders RETURNING id"[..],
        b"WITH gone AS (DELETE FROM orders RETURNING id) SELECT id FROM gone",
        b"COPY (DELETE FROM orders RETURNING id) TO STDOUT",
        b"SELECT id FROM orders; DELETE FROM orders",
    ] {
        let mut book = logged_in(two_rows);
        book.down(&write::query(text));
        let said = (tags(&book.downstream), book.upstream.is_empty());
        assert_eq!(said, ("EZ".to_owned(), true), "{}", String::from_utf8_lossy(text));
    }
    let mut book = logged_in(two_rows);
    book.down(&write::query(b"DELETE FROM orders"));
    assert_eq!(tags(&book.upstream), "Q", "nothing is returned, and nothing cut");
}

#[test]
fn a_statement_whose_time_is_over_is_stopped_and_its_end_is_the_servers() {
    let mut book = logged_in(a_second);
    book.down(&write::query(b"UPDATE orders SET total = 1"));
    assert_eq!(book.alarm, Some(Duration::from_secs(1)));
    book.input(Input::Alarm);
    assert_eq!((book.cancels.len(), book.downstream.len()), (1, 0), "it may still succeed");
    book.up(&cancelled(Status::Idle));
    assert_eq!(tags(&book.downstream), "EZ");
    assert!(shows(&book.downstream, "longer than 1 s, the most that rule `short`"));
    book.input(Input::Cancelled);
    assert_eq!(book.alarm, None);
    book.forget();
    book.down(&write::query(b"UPDATE orders SET total = 1"));
    book.input(Input::Alarm);
    book.up(&done("UPDATE 3", Status::Idle));
    assert_eq!(tags(&book.downstream), "CZ", "it has happened, and nothing else is said");
}

#[test]
fn a_statement_that_ends_in_time_disarms_the_alarm() {
    let mut book = logged_in(a_second);
    book.down(&[select(), write::bare(b'S').to_vec()].concat());
    book.up(&[write::bare(b'1').to_vec(), write::bare(b'2').to_vec(), done("SELECT 0", Status::Idle)].concat());
    assert_eq!(book.alarm, None);
    book.input(Input::Alarm);
    assert!(book.cancels.is_empty() && !book.is_closed, "a stale alarm stops nothing");
}

#[test]
fn a_server_that_does_not_stop_loses_the_session() {
    let mut book = logged_in(a_second);
    book.down(&write::query(b"SELECT id FROM orders"));
    book.input(Input::Alarm);
    book.input(Input::Cancelled);
    book.input(Input::Alarm);
    assert!(book.is_closed && shows(&book.downstream, "did not stop"));
}

#[test]
fn a_rule_that_reads_answers_waits_for_them() {
    let mut book = logged_in(when_settled);
    book.down(&[write::query(b"BEGIN"), write::query(b"DELETE FROM orders")].concat());
    assert_eq!((tags(&book.upstream), book.asked.len()), ("Q".to_owned(), 2));
    book.up(&done("BEGIN", Status::InTransaction));
    assert_eq!((tags(&book.upstream), book.asked.len()), ("QQ".to_owned(), 3));
    assert_eq!(book.asked[0].standing.transaction, Some(Transaction::Idle));
    assert_eq!(book.asked[2].standing.transaction, Some(Transaction::Open));
}

#[test]
fn within_a_batch_answers_are_asked_for() {
    let mut book = logged_in(when_settled);
    book.down(&[select(), write::bare(b'S').to_vec()].concat());
    assert_eq!(tags(&book.upstream), "PBH", "Execute waits for what Parse and Bind are answered");
    book.up(&[write::bare(b'1'), write::bare(b'2')].concat());
    assert_eq!(tags(&book.upstream), "PBHES");
}

#[test]
fn a_request_that_waits_for_answers_is_skipped_when_one_is_an_error() {
    let mut book = logged_in(when_settled);
    book.down(&[select(), write::bare(b'S').to_vec()].concat());
    book.up(&write::notice(b'E', [(b'C', &b"42P01"[..]), (b'M', b"gone")]));
    assert_eq!(tags(&book.upstream), "PBHS");
    book.up(&write::ready(Status::Idle));
    assert_eq!(tags(&book.downstream), "EZ");
}

#[test]
fn usage_is_what_passed_and_what_the_server_counts() {
    let mut book = logged_in(permit);
    book.down(&write::query(b"BEGIN READ ONLY"));
    book.up(&done("BEGIN", Status::InTransaction));
    book.down(&write::query(b"SELECT id FROM orders"));
    book.up(&[orders(), rows(3), done("SELECT 3", Status::InTransaction)].concat());
    book.down(&write::query(b"UPDATE orders SET total = 1"));
    book.up(&done("UPDATE 5", Status::InTransaction));
    book.down(&write::query(b"COMMIT"));
    let standing = book.asked.last().unwrap().standing.clone();
    assert_eq!((standing.session, standing.is_read_only), (standing.in_transaction, true));
    assert_eq!((standing.session.rows_returned, standing.session.rows_affected), (3, 5));
    book.up(&done("COMMIT", Status::Idle));
    book.down(&write::query(b"SELECT 1"));
    let standing = book.asked.last().unwrap().standing.clone();
    assert_eq!((standing.in_transaction.rows_returned, standing.session.rows_returned), (0, 3));
    assert!(!standing.is_read_only);
}

#[test]
fn a_mode_that_may_have_changed_is_not_read_only() {
    for text in [&b"SET TRANSACTION READ WRITE"[..], b"SET transaction_read_only = off", b"RESET ALL"] {
        let mut book = logged_in(permit);
        book.down(&write::query(b"START TRANSACTION READ ONLY"));
        book.up(&done("START TRANSACTION", Status::InTransaction));
        book.down(&write::query(text));
        book.up(&done("SET", Status::InTransaction));
        book.down(&write::query(b"SELECT 1"));
        assert!(!book.asked.last().unwrap().standing.is_read_only, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn what_another_session_would_plan_otherwise_has_no_estimate() {
    let mut book = logged_in(permit);
    let estimable = |text: &[u8], book: &mut Playbook| {
        book.down(&write::query(text));
        book.up(&done("SELECT 0", Status::Idle));
        book.asked.last().unwrap().standing.estimable.is_some()
    };
    assert!(estimable(b"SELECT id FROM orders", &mut book));
    assert!(estimable(b"DELETE FROM orders", &mut book));
    for text in [
        &b"SELECT id FROM orders; SELECT 1"[..],
        b"COPY orders TO STDOUT",
        b"SELECT f(id) FROM orders",
        b"EXPLAIN SELECT 1",
    ] {
        assert!(!estimable(text, &mut book), "{}", String::from_utf8_lossy(text));
    }
    estimable(b"SET ROLE ann", &mut book);
    assert!(!estimable(b"SELECT id FROM orders", &mut book), "the role is another");
}
