//! Conversations byte by byte: what is asked, what goes on, what is refused.

use super::{codec, conversation, playbook::*};
use crate::protocol::{
    Input, Side,
    postgres::playbook::{permit_all, refuse},
};
use crate::{gate::Verdict, request::Request};

fn permit(_: &Request) -> Verdict {
    permit_all()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a connection that permits everything answers to these bytes at once.
fn answered(bytes: &str) -> (String, String) {
    let mut book = fresh(permit);
    book.down(bytes.as_bytes());
    (text(&book.downstream), text(&book.upstream))
}

#[test]
fn each_request_is_asked_for_by_its_url() {
    let mut book = fresh(permit);
    book.down(&request("GET /a/b?c=d", &[], ""));
    assert_eq!(book.asked[0].summary.to_string(), "GET http://api.example.com/a/b?c=d");
    assert_eq!(book.asked[0].footprint.described(), ["GET http://api.example.com/a/b"]);
}

#[test]
fn the_next_request_waits_for_the_answer_to_the_one_before() {
    let mut book = fresh(permit);
    book.down(&[request("GET /a", &[], ""), request("GET /b", &[], "")].concat());
    assert_eq!(book.asked.len(), 1);
    book.up(&answer("first"));
    assert_eq!(book.asked.len(), 2);
    book.up(&answer("second"));
    assert!(text(&book.downstream).contains("first") && text(&book.downstream).ends_with("second"));
}

#[test]
fn a_refused_body_is_thrown_away_and_the_next_request_heard() {
    let mut book = fresh(refuse);
    book.down(&request("PUT /a", &["Content-Length: 5"], "GET /"));
    book.down(&request("GET /b", &[], ""));
    assert_eq!(text(&book.downstream).matches("HTTP/1.1 403 ").count(), 2);
    assert_eq!((book.asked.len(), book.upstream.len(), book.is_closed), (2, 0, false));
}

#[test]
fn a_refused_body_of_any_length_is_not_heard_without_end() {
    let mut book = fresh(refuse);
    book.down(&request("PUT /a", &[&format!("Content-Length: {}", u64::MAX >> 1)], ""));
    let piece = vec![b'x'; 64 * 1024];
    for _ in 0..=conversation::DROPPED_MAX / 65536 {
        book.down(&piece);
    }
    assert!(book.is_closed);
}

#[test]
fn whoever_waits_before_the_body_is_told_no_and_let_go() {
    let mut book = fresh(refuse);
    book.down(&request("PUT /a", &["Content-Length: 5", "Expect: 100-continue"], ""));
    assert!(text(&book.downstream).contains("Connection: close") && book.is_closed);
}

#[test]
fn bytes_that_could_be_read_in_two_ways_go_nowhere() {
    let rows = [
        ("two lengths", request("POST /", &["Content-Length: 4", "Transfer-Encoding: chunked"], "0\r\n\r\n")),
        ("two values", request("POST /", &["Content-Length: 4", "Content-Length: 5"], "abcde")),
        ("an unknown coding", request("POST /", &["Transfer-Encoding: xchunked"], "0\r\n\r\n")),
        ("space before the colon", request("POST /", &["Transfer-Encoding : chunked"], "0\r\n\r\n")),
        ("a folded line", request("GET /", &["X: a", " b"], "")),
        ("two hosts", request("GET /", &["Host: other.example.com"], "")),
    ];
    for (what, bytes) in rows {
        let (said, sent) = answered(&text(&bytes));
        assert!(said.starts_with("HTTP/1.1 4") || said.starts_with("HTTP/1.1 501"), "{what}: {said}");
        assert_eq!(sent, "", "{what}");
    }
}

#[test]
fn a_server_that_speaks_out_of_turn_is_not_believed() {
    let mut book = fresh(permit);
    book.down(&request("GET /a", &[], ""));
    book.up(&[&answer("first")[..], b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"].concat());
    assert!(book.is_closed && !text(&book.downstream).contains("poison"), "{}", text(&book.downstream));
}

#[test]
fn a_protocol_that_was_not_offered_is_not_changed_to() {
    let mut book = fresh(permit);
    let offer = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"];
    book.down(&request("GET /a", &offer, ""));
    assert!(!text(&book.upstream).to_lowercase().contains("upgrade"), "{}", text(&book.upstream));
    book.up(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nanything");
    assert!(book.is_closed && text(&book.downstream).starts_with("HTTP/1.1 502 "));
    assert!(!text(&book.downstream).contains("anything"));
}

#[test]
fn a_websocket_is_refused_in_words() {
    let offer = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"];
    let (said, sent) = answered(&text(&request("GET /ws", &offer, "")));
    assert!(said.contains("does not speak WebSocket") && sent.is_empty(), "{said}");
}

#[test]
fn a_server_that_leaves_is_answered_for() {
    let mut book = fresh(permit);
    book.down(&request("GET /a", &[], ""));
    book.input(Input::Closed(Side::Upstream));
    assert!(text(&book.downstream).starts_with("HTTP/1.1 502 ") && book.is_closed);
}

#[test]
fn an_answer_without_a_length_ends_with_the_connection() {
    let mut book = fresh(permit);
    book.down(&request("GET /a", &[], ""));
    book.up(b"HTTP/1.1 200 OK\r\n\r\nall of it");
    book.input(Input::Closed(Side::Upstream));
    assert!(text(&book.downstream).ends_with("all of it") && book.is_closed);
}

#[test]
fn a_workload_that_ends_its_side_still_gets_its_answer() {
    let mut book = fresh(permit);
    book.down(&request("GET /a", &[], ""));
    book.input(Input::Closed(Side::Downstream));
    assert!(!book.is_closed);
    book.up(&answer("late"));
    assert!(text(&book.downstream).ends_with("late") && book.is_closed);
}

#[test]
fn a_head_that_never_ends_is_waited_for_no_longer_than_it_may() {
    let mut book = fresh(permit);
    book.down(b"GET / HTTP/1.1\r\nHost: api");
    assert_eq!(book.alarm, Some(conversation::HEAD_TIMEOUT));
    book.input(Input::Alarm);
    assert!(text(&book.downstream).starts_with("HTTP/1.1 408 ") && book.is_closed);
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let mut book = fresh(permit);
    book.down(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n").as_bytes());
    for _ in 0..=codec::HEAD_MAX / 1000 {
        book.down(format!("X: {}\r\n", "y".repeat(1000)).as_bytes());
    }
    assert!(text(&book.downstream).starts_with("HTTP/1.1 431 ") && book.is_closed);
}

#[test]
fn the_workloads_credentials_are_kept_out_of_the_record() {
    let mut book = fresh(permit);
    book.down(&request("GET /a", &["authorization: Bearer s3cret", "Cookie: id=s3cret", "Accept: */*"], ""));
    let recorded = text(&book.recorded);
    assert!(recorded.contains("Accept: */*") && !recorded.contains("s3cret"), "{recorded}");
    assert!(text(&book.upstream).contains("Bearer s3cret"));
    assert!(!format!("{:?}", book.asked).contains("s3cret"));
}

/// What an answer with this head and body becomes where e-mail addresses and cards are masked.
fn masked(request_line: &str, head: &str, body: &[u8]) -> (String, bool) {
    let mut book = fresh(permit_masked);
    book.down(format!("{request_line}\r\nHost: {HOST}\r\n\r\n").as_bytes());
    book.up(head.as_bytes());
    body.chunks(7).for_each(|piece| book.up(piece));
    book.input(Input::Closed(Side::Upstream));
    (text(&book.downstream), book.is_closed)
}

const ANN: &[u8] = br#"{"email":"ann@example.com","note":"4111111111111111 \u0061nn@example.com"}"#;

#[test]
fn an_answer_is_masked_and_framed_anew() {
    let length = ANN.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nETag: \"a\"\r\nX-Kept: 1\r\n\r\n"
    );
    let (said, _) = masked("GET /a HTTP/1.1", &head, ANN);
    assert!(said.contains("Transfer-Encoding: chunked") && said.contains("X-Kept: 1"), "{said}");
    assert!(!said.contains("Content-Length") && !said.contains("ETag"), "{said}");
    assert!(
        said.ends_with("0\r\n\r\n") && !said.contains("ann@example") && !said.contains("4111111111111111"),
        "{said}"
    );
}

#[test]
fn who_knows_no_chunks_gets_a_masked_answer_that_ends_with_the_connection() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = [format!("{:x}\r\n", ANN.len()).as_bytes(), ANN, b"\r\n0\r\n\r\n"].concat();
    let (said, is_closed) = masked("GET /a HTTP/1.0", head, &body);
    assert!(said.contains("Connection: close") && !said.contains("chunked") && is_closed, "{said}");
    assert!(said.contains("\"email\"") && !said.contains("ann@example"), "{said}");
}

#[test]
fn an_answer_that_ends_with_the_connection_is_masked_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n";
    let (said, is_closed) = masked("GET /a HTTP/1.1", head, b"write to ann@example.com");
    assert!(said.contains("write to a") && said.ends_with("0\r\n\r\n") && is_closed, "{said}");
    assert!(!said.contains("ann@example"), "{said}");
}

#[test]
fn what_cannot_be_masked_is_not_passed_on() {
    let rows = [
        ("HTTP/1.1 200 OK\r\nContent-Type: image/png", "of type `image/png`"),
        ("HTTP/1.1 200 OK", "of what type it is"),
        ("HTTP/1.1 206 Partial Content\r\nContent-Type: application/json", "a part of another"),
        ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: lzma", "lzma"),
        ("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-16", "utf-16"),
    ];
    for (head, why) in rows {
        let (said, is_closed) = masked("GET /a HTTP/1.1", &format!("{head}\r\nContent-Length: 3\r\n\r\n"), b"ann");
        assert!(said.starts_with("HTTP/1.1 502 ") && said.contains(why) && is_closed, "{head}: {said}");
    }
}

#[test]
fn a_body_that_breaks_off_under_its_mask_has_no_end() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n";
    let (said, is_closed) = masked("GET /a HTTP/1.1", head, b"{\"a\": nonsense");
    assert!(!said.ends_with("0\r\n\r\n") && is_closed, "{said}");
}
