//! Playbooks: one screen a case, bytes in and outputs out.

mod ahead;
mod freshness;
mod leaks;
mod lies;
mod limits;
mod long;
mod masking;
mod names;
mod path;

use bytes::Bytes;

use super::{
    codec::{backend::Status, write},
    playbook::*,
};
use crate::{
    protocol::{Input, Output, Side},
    request::Stage,
    target::Verify,
};

fn shows(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[test]
fn a_login_is_asked_for_and_needs_no_password_of_the_workload() {
    let mut book = fresh(permit, Verify::Off);
    book.down(&startup());
    assert_eq!(book.asked[0].summary.to_string(), "connect to database shop as ann");
    assert!(shows(&book.upstream, "user\0app\0database\0shop\0"));
    assert!(shows(&book.upstream, "client_encoding\0UTF8\0"));
    book.up(&write::authentication(5, b"salt"));
    assert!(shows(&book.upstream, "md5"));
    book.up(&write::authentication(0, b""));
    book.up(&write::parameter(b"server_version", b"15.4"));
    book.up(&write::key_data(7, b"key!"));
    book.up(&write::ready(Status::Idle));
    assert_eq!(tags(&book.downstream), "RSKZ");
    assert_eq!(book.surveys, 1);
    assert!(!shows(&book.downstream, "key!"), "the server's cancel key stays here");
}

#[test]
fn a_login_that_is_denied_never_dials() {
    let mut book = fresh(refuse, Verify::Off);
    book.down(&startup());
    assert_eq!(tags(&book.downstream), "E");
    assert!(shows(&book.downstream, "denied: not for agents"));
    assert!(book.upstream.is_empty() && book.is_closed);
}

#[test]
fn a_server_without_tls_gets_no_login_where_tls_is_wanted() {
    let mut book = fresh(permit, Verify::Full { ca: None });
    book.down(&startup());
    assert_eq!(book.upstream, &write::ssl_request()[..]);
    book.up(b"N");
    assert_eq!(book.upstream, &write::ssl_request()[..]);
    assert!(book.is_closed && shows(&book.downstream, "does not offer TLS"));
}

#[test]
fn bytes_in_the_clear_before_the_servers_handshake_end_the_login() {
    let mut book = fresh(permit, Verify::Full { ca: None });
    book.down(&startup());
    book.up(b"SR");
    assert!(book.is_closed && !shows(&book.upstream, "app"));
}

#[test]
fn a_refused_credential_is_told_without_its_name() {
    let mut book = fresh(permit, Verify::Off);
    book.down(&startup());
    book.up(&write::notice(b'E', [(b'C', &b"28P01"[..]), (b'M', b"password authentication failed for user \"app\"")]));
    assert!(shows(&book.downstream, "28P01") && !shows(&book.downstream, "app"));
    assert!(book.is_closed);
}

#[test]
fn a_permitted_query_passes_verbatim_in_both_directions() {
    let mut book = logged_in(permit);
    let query = write::query(b"SELECT id FROM orders");
    book.down(&query);
    assert_eq!(book.upstream, query);
    let answer = [
        write::row_description(&[field("id", 16385, 1, 23)]),
        write::data_row(&[Some(b"1")]),
        write::complete(b"SELECT 1"),
        write::ready(Status::Idle),
    ]
    .concat();
    book.up(&answer);
    assert_eq!(book.downstream, answer);
}

#[test]
fn a_denied_query_outside_a_transaction_is_answered_here() {
    let mut book = logged_in(no_drop);
    book.down(&write::query(b"DROP TABLE orders"));
    assert!(book.upstream.is_empty());
    assert_eq!(tags(&book.downstream), "EZ");
    assert!(shows(&book.downstream, "C42501") && shows(&book.downstream, "Rule: no-drop."));
    book.forget();
    book.down(&write::query(b"SELECT id FROM orders"));
    assert_eq!(tags(&book.upstream), "Q", "the session stays usable");
}

#[test]
fn a_denied_query_aborts_the_transaction_as_the_server_would() {
    let mut book = logged_in(no_drop);
    book.down(&write::query(b"BEGIN"));
    book.up(&[write::complete(b"BEGIN"), write::ready(Status::InTransaction)].concat());
    book.forget();
    book.down(&write::query(b"DROP TABLE orders"));
    assert_eq!(tags(&book.upstream), "Q");
    assert!(!shows(&book.upstream, "DROP"));
    assert!(book.downstream.is_empty(), "the answer comes when the server has failed");
    book.up(&[write::notice(b'E', [(b'C', &b"42601"[..])]), write::ready(Status::Failed)].concat());
    assert_eq!(tags(&book.downstream), "EZ");
    assert!(shows(&book.downstream, "denied: not for agents") && !shows(&book.downstream, "42601"));
    assert!(book.downstream.ends_with(b"E"));
}

#[test]
fn a_denied_parse_skips_to_sync() {
    let mut book = logged_in(no_drop);
    book.down(
        &[write::parse(b"", b"DROP TABLE orders"), write::bind(b"", b"", &[], &[]), write::execute(b"")].concat(),
    );
    assert_eq!(tags(&book.downstream), "E");
    book.down(&write::bare(b'S'));
    assert_eq!(tags(&book.downstream), "EZ");
    assert!(book.upstream.is_empty());
    assert_eq!(book.asked[0].stage, Stage::Prepare);
}

#[test]
fn a_denial_in_the_middle_of_a_pipeline_keeps_the_order_of_the_server() {
    let mut book = logged_in(no_drop);
    let first =
        [write::parse(b"", b"INSERT INTO orders VALUES (1, 2)"), write::bind(b"", b"", &[], &[]), write::execute(b"")]
            .concat();
    book.down(&[first.clone(), write::parse(b"", b"DROP TABLE orders").to_vec(), write::bare(b'S').to_vec()].concat());
    assert!(book.upstream.starts_with(&first));
    assert_eq!(tags(&book.upstream), "PBEPS");
    assert!(!shows(&book.upstream, "DROP"));
    let done = [write::bare(b'1'), write::bare(b'2'), write::complete(b"INSERT 0 1")].concat();
    book.up(&done);
    book.up(&[write::notice(b'E', [(b'C', &b"42601"[..])]), write::ready(Status::Idle)].concat());
    assert_eq!(tags(&book.downstream), "12CEZ");
    assert!(shows(&book.downstream, "not for agents"));
}

#[test]
fn messages_behind_a_held_question_wait_with_it() {
    let mut book = logged_in(permit);
    book.is_held = true;
    book.down(&write::query(b"SELECT id FROM orders"));
    book.down(&write::query(b"SELECT total FROM orders"));
    assert_eq!((book.asked.len(), book.upstream.len()), (1, 0));
    book.answer();
    assert_eq!((book.asked.len(), tags(&book.upstream)), (2, "Q".to_owned()));
    book.answer();
    assert_eq!(tags(&book.upstream), "QQ");
}

#[test]
fn a_server_error_in_a_batch_takes_its_followers_along() {
    let mut book = logged_in(permit);
    book.down(&[write::parse(b"s", b"SELECT id FROM orders"), write::bind(b"", b"s", &[], &[])].concat());
    book.up(&write::notice(b'E', [(b'C', &b"42P05"[..]), (b'M', b"exists")]));
    book.forget();
    book.down(&write::execute(b""));
    assert!(book.upstream.is_empty(), "the server would skip it");
    book.down(&write::bare(b'S'));
    book.up(&write::ready(Status::Idle));
    assert_eq!((tags(&book.upstream), tags(&book.downstream)), ("S".to_owned(), "Z".to_owned()));
    book.down(&write::bind(b"", b"s", &[], &[]));
    assert!(shows(&book.downstream, "C26000"), "the statement never came to exist");
}

#[test]
fn copy_in_overlooks_a_sync_that_came_early() {
    let mut book = logged_in(permit);
    let batch = [
        write::parse(b"", b"COPY orders FROM STDIN"),
        write::bind(b"", b"", &[], &[]),
        write::execute(b""),
        write::bare(b'S'),
    ];
    book.down(&batch.concat());
    book.up(&[write::bare(b'1'), write::bare(b'2'), write::copy_response(b'G', false, 2)].concat());
    book.forget();
    book.down(&[write::copy_data(b"1\t2\n"), write::bare(b'c'), write::bare(b'S')].concat());
    assert_eq!(tags(&book.upstream), "dcS");
    book.up(&[write::complete(b"COPY 1"), write::ready(Status::Idle)].concat());
    assert_eq!(tags(&book.downstream), "CZ");
    assert!(!book.is_closed);
}

#[test]
fn copy_data_that_does_not_wait_to_be_asked_for_passes() {
    let mut book = logged_in(permit);
    let data = [write::copy_data(b"1\t2\n"), write::bare(b'c')].concat();
    let request = write::query(b"COPY orders FROM STDIN");
    book.down(&[&request[..], &data].concat());
    assert_eq!(tags(&book.upstream), "Qdc");
    book.up(&write::copy_response(b'G', false, 2));
    book.up(&[write::complete(b"COPY 1"), write::ready(Status::Idle)].concat());
    book.forget();
    book.down(&write::query(b"SELECT id FROM orders"));
    assert_eq!((tags(&book.upstream), book.is_closed), ("Q".to_owned(), false));
}

#[test]
fn copy_data_behind_a_refused_copy_never_leaves() {
    let mut book = logged_in(refuse);
    book.down(&[write::query(b"COPY orders FROM STDIN"), write::copy_data(b"1\t2\n"), write::bare(b'c')].concat());
    assert_eq!((tags(&book.downstream), book.upstream.len(), book.is_closed), ("EZ".to_owned(), 0, false));
}

#[test]
fn absurd_lengths_are_not_waited_for() {
    for tag in 0..=255_u8 {
        let head = [&[tag][..], &(super::codec::FRAME_MAX as u32).to_be_bytes()].concat();
        let mut book = logged_in(permit_masked);
        book.down(&head);
        // Requests that are too long are refused alone, and COPY data passes in pieces.
        assert!(book.is_closed || b"dQPBF".contains(&tag), "{tag:#x}");
        let mut book = logged_in(permit_masked);
        book.down(&write::query(b"SELECT id FROM customers"));
        book.up(&write::row_description(&[field("id", CUSTOMERS, 2, 25)]));
        book.up(&head);
        assert!(book.is_closed || tag == b'd', "{tag:#x}");
    }
}

#[test]
fn a_request_over_the_limit_is_refused_alone_and_never_leaves() {
    let long = "x".repeat(super::codec::TEXT_MAX);
    let mut book = logged_in(permit);
    let text = write::query(format!("SELECT '{long}'").as_bytes());
    text.chunks(1 << 16).for_each(|piece| book.down(piece));
    assert_eq!((tags(&book.downstream), book.upstream.len()), ("EZ".to_owned(), 0));
    assert!(shows(&book.downstream, "C54000") && !book.is_closed);
    book.forget();
    book.down(&[write::parse(b"", long.as_bytes()), write::bind(b"", b"", &[], &[]), write::bare(b'S')].concat());
    assert_eq!((tags(&book.downstream), book.upstream.len()), ("EZ".to_owned(), 0));
    book.forget();
    book.down(&write::query(b"SELECT id FROM orders"));
    assert_eq!(tags(&book.upstream), "Q");
}

#[test]
fn a_request_over_the_limit_fails_the_transaction_that_it_is_part_of() {
    let mut book = logged_in(permit);
    book.down(&write::query(b"BEGIN"));
    book.up(&[write::complete(b"BEGIN"), write::ready(Status::InTransaction)].concat());
    book.forget();
    book.down(&write::query("x".repeat(super::codec::TEXT_MAX).as_bytes()));
    assert_eq!(tags(&book.upstream), "Q");
    assert!(shows(&book.upstream, "DENIED BY PORTCULLIS"));
}

#[test]
fn function_calls_and_replication_are_refused() {
    let mut book = logged_in(permit);
    book.down(b"F\0\0\0\x0e\0\0\0\x01\0\0\0\0\0\0");
    assert_eq!((tags(&book.downstream), book.upstream.len()), ("EZ".to_owned(), 0));
    assert!(shows(&book.downstream, "C42501") && !book.is_closed);
    let mut book = fresh(permit, Verify::Off);
    book.down(&write::startup(0, [(&b"user"[..], &b"a"[..]), (b"replication", b"database")]));
    assert!(book.is_closed && book.asked.is_empty());
}

#[test]
fn an_unknown_message_ends_the_session_with_a_clear_error() {
    let mut book = logged_in(permit);
    book.down(b"!\0\0\0\x04");
    assert!(book.is_closed && shows(&book.downstream, "C08P01"));
}

#[test]
fn a_session_that_the_gate_ends_says_why() {
    let mut book = logged_in(permit);
    let crate::gate::Verdict::Block(denial) = refuse(&book_request()) else { panic!() };
    book.input(Input::Terminate(denial));
    assert!(shows(&book.downstream, "FATAL") && shows(&book.downstream, "C57P01"));
    assert_eq!((tags(&book.upstream), book.is_closed), ("X".to_owned(), true));
}

fn book_request() -> crate::request::Request {
    super::classify::login("shop", b"ann")
}

#[test]
fn a_cancel_request_is_mapped_to_the_servers_key() {
    let opening = opening(Verify::Off);
    let ours = super::login::own_key(&opening.seed, 7, false);
    let server = super::cancel::Key { process: 99, secret: b"srvr".to_vec() };
    let _lease = opening.cancels.lease(ours.clone(), server, &opening);
    let mut session = super::PostgresSession::new(opening);
    let request = write::cancel_request(ours.process, &ours.secret);
    crate::protocol::Session::handle(&mut session, Input::Bytes(Side::Downstream, request)).unwrap();
    let Some(Output::Send(Side::Upstream, sent)) = crate::protocol::Session::poll(&mut session) else { panic!() };
    assert_eq!(sent, write::cancel_request(99, b"srvr"));
    let guess = Bytes::from_static(b"\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\x07\x01\x02\x03\x04");
    let mut book = fresh(permit, Verify::Off);
    book.down(&guess);
    assert!(book.upstream.is_empty() && book.is_closed);
}

#[test]
fn what_the_server_could_not_parse_is_a_mistake_and_goes_nowhere() {
    for judge in [permit, refuse] {
        let mut book = logged_in(judge);
        book.down(&write::query(b"SELEKT 1"));
        assert!(shows(&book.downstream, "C42601") && shows(&book.downstream, "syntax error at or near \"SELEKT\""));
        assert_eq!(tags(&book.downstream), "EZ");
        book.down(&[write::parse(b"", b"SELECT 'open"), write::bare(b'S')].concat());
        assert_eq!(tags(&book.downstream), "EZEZ");
        assert!(book.upstream.is_empty());
        assert_eq!(book.asked.len(), 2, "each is a request of its own");
    }
}

#[test]
fn a_mistake_fails_the_transaction_that_it_is_made_in() {
    let mut book = logged_in(permit);
    book.down(&write::query(b"BEGIN"));
    book.up(&[write::complete(b"BEGIN"), write::ready(Status::InTransaction)].concat());
    book.down(&write::query(b"SELEKT 1"));
    book.up(&[write::notice(b'E', [(b'C', &b"42601"[..])]), write::ready(Status::Failed)].concat());
    assert!(shows(&book.downstream, "SELEKT") && !shows(&book.upstream, "SELEKT"));
    assert!(shows(&book.upstream, "DENIED BY PORTCULLIS"));
}

#[test]
fn what_only_the_gate_cannot_read_is_no_mistake() {
    let mut book = logged_in(refuse);
    let nested = ["/*".repeat(40), "*/".repeat(40), "SELECT 1".to_owned()].concat();
    book.down(&write::query(nested.as_bytes()));
    assert!(shows(&book.downstream, "C42501"));
}
