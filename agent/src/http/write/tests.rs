use super::*;
use crate::http::{BodyLength, BodyReader};

fn request(head: &str) -> RequestHead {
    RequestHead::read(&Bytes::copy_from_slice(head.as_bytes())).unwrap().expect("a whole head").0
}

fn response(head: &str) -> ResponseHead {
    ResponseHead::read(&Bytes::copy_from_slice(head.as_bytes())).unwrap().expect("a whole head").0
}

#[test]
fn no_change_leaves_a_head_as_it_came() {
    let text = "GET /a?b HTTP/1.0\r\nhost:a\r\nX:  \t y \r\nAccept: *\r\n\r\n";
    let edits = Edits::default();
    assert!(edits.is_empty());
    assert_eq!(edits.request(&request(text)), text);
    let text = "HTTP/1.1 200\r\nX:\r\n\r\n";
    assert_eq!(edits.response(&response(text)), text);
    assert_eq!(edits.response(&response("HTTP/1.0 200 \r\n\r\n")), "HTTP/1.0 200 \r\n\r\n");
}

#[test]
fn changes_touch_what_they_name() {
    let head = request(
        "PUT http://A/x HTTP/1.1\r\nHost: A\r\nX-Api-Key: mine\r\nx_api_key: mine\r\nX_API-KEY: mine\r\nAccept:  *\r\n\
         Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
    );
    let edits = Edits::default().remove_hop_by_hop().target("/x").unwrap();
    let edits = edits.set("Host", b"a").unwrap().set("X-Api-Key", b"secret").unwrap().add("Via", b"x").unwrap();
    let expected = "PUT /x HTTP/1.1\r\nAccept:  *\r\nHost: a\r\nX-Api-Key: secret\r\nVia: x\r\n\r\n";
    assert_eq!(edits.request(&head), expected);
    assert!(!edits.is_empty());
    assert!(!format!("{edits:?}").contains("secret"));
}

#[test]
fn a_value_cannot_end_its_line() {
    for value in [&b"a\r\nX: y"[..], b"a\nb", b"a\rb", b"a\0b"] {
        assert!(Edits::default().add("X", value).is_err(), "{}", value.escape_ascii());
        let text = std::str::from_utf8(value).unwrap();
        let answer = Answer { status: 403, fields: &[("X", text)], body: b"", method: b"GET", closes: false };
        assert!(answer.bytes().is_err());
    }
    for name in ["", "a b", "a:", "a\r\n", "ä"] {
        assert!(Edits::default().set(name, b"x").is_err(), "{name}");
    }
    for target in ["", "/a b", "/\r\n", "/ä"] {
        assert!(Edits::default().target(target).is_err(), "{target}");
    }
}

#[test]
fn an_answer_is_whole_and_read_back() {
    let fields = [("Content-Type", "application/problem+json")];
    for (method, closes, body) in [("GET", false, "{}"), ("POST", true, "{}"), ("HEAD", false, "")] {
        let answer = Answer { status: 403, fields: &fields, body: b"{}", method: method.as_bytes(), closes };
        let bytes = answer.bytes().unwrap();
        let (head, taken) = ResponseHead::read(&bytes).unwrap().unwrap();
        assert_eq!((head.status(), head.reason()), (403, &b"Forbidden"[..]));
        assert_eq!(head.fields().value("content-length"), Ok(Some(&b"2"[..])));
        assert_eq!(head.fields().contains("connection"), closes);
        assert_eq!(&bytes[taken..], body.as_bytes());
        let length = BodyLength::of_response(method.as_bytes(), &head).unwrap();
        let mut reader = BodyReader::of_response(length);
        assert_eq!(reader.pass(&bytes[taken..]), Ok(body.len()));
        assert!(reader.has_ended());
    }
}

#[test]
fn trailers_are_written_as_they_came() {
    let body = b"3\r\nabc\r\n0\r\nX-Sum:  1\r\nY: z\r\n\r\n";
    let mut reader = BodyReader::of_response(BodyLength::Chunked);
    assert_eq!(reader.pass(body), Ok(body.len()));
    let mut out = Vec::new();
    chunk(b"abc", &mut out);
    chunk(b"", &mut out);
    last_chunk(reader.trailers(), &mut out);
    assert_eq!(out, body);
}
