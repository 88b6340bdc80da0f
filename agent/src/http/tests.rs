//! What holds of the codec as a whole, and a second opinion: `httparse`, which is more lenient, but must see the same.

use bytes::Bytes;
use proptest::prelude::*;

use super::{write::Edits, *};
use crate::request::http::Scheme;

/// Method, target, minor version and fields, as `httparse` reads them.
type Seen = (String, String, u8, Vec<(String, Vec<u8>)>);

fn second_opinion(head: &[u8]) -> Seen {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())), "{}", head.escape_ascii());
    let fields = request.headers.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
    (request.method.unwrap().to_owned(), request.path.unwrap().to_owned(), request.version.unwrap(), fields)
}

fn opinion(head: &RequestHead) -> Seen {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ASCII");
    let fields = head.fields().iter().map(|(name, value)| (text(name), value.to_vec())).collect();
    let minor = if head.version() == Version::Http11 { 1 } else { 0 };
    (text(head.method()), text(head.target()), minor, fields)
}

proptest! {
    #[test]
    fn another_parser_sees_what_is_read_here(bytes in heads()) {
        let bytes = Bytes::from(bytes);
        if let Ok(Some((head, taken))) = RequestHead::read(&bytes) {
            prop_assert!(bytes[..taken].ends_with(head.bytes()));
            prop_assert_eq!(opinion(&head), second_opinion(head.bytes()));
        }
    }

    #[test]
    fn another_parser_sees_what_is_written_here(bytes in heads(), value in "[ -~]{0,9}") {
        let Ok(Some((head, _))) = RequestHead::read(&bytes.into()) else { return Ok(()) };
        let edits = Edits::default().remove("x").target("/b").unwrap().set("hOST", value.trim().as_bytes()).unwrap();
        let mut expected = opinion(&head);
        expected.1 = "/b".into();
        expected.3.retain(|(name, _)| !["x", "host"].contains(&name.to_ascii_lowercase().as_str()));
        expected.3.push(("hOST".into(), value.trim().as_bytes().to_vec()));
        let written = edits.request(&head);
        prop_assert_eq!(second_opinion(&written), expected.clone());
        let (read, taken) = RequestHead::read(&written).unwrap().expect("a whole head");
        prop_assert_eq!((opinion(&read), taken), (expected, written.len()));
    }

    #[test]
    fn another_parser_reads_the_same_response(bytes in heads()) {
        let bytes = Bytes::from(bytes);
        if let Ok(Some((head, taken))) = ResponseHead::read(&bytes) {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
            let mut response = httparse::Response::new(&mut fields);
            prop_assert_eq!(response.parse(&bytes[..taken]), Ok(httparse::Status::Complete(taken)));
            prop_assert_eq!(response.code, Some(head.status()));
            let seen: Vec<_> = response.headers.iter().map(|field| (field.name.as_bytes(), field.value)).collect();
            prop_assert_eq!(seen, head.fields().iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_head_is_the_same_however_it_arrives(bytes in heads()) {
        let whole = Bytes::from(bytes);
        let read = RequestHead::read(&whole).map(|read| read.map(|(head, taken)| (opinion(&head), taken)));
        for end in 0..whole.len() {
            match RequestHead::read(&whole.slice(..end)) {
                Ok(None) => {}
                Ok(Some((head, taken))) => prop_assert_eq!(&read, &Ok(Some((opinion(&head), taken)))),
                Err(_) => prop_assert!(read.is_err()),
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = (RequestHead::read(&bytes), ResponseHead::read(&bytes), Query::read(&bytes), Host::with_port(&bytes));
        let _ = Location::read(b"GET", &bytes, b"a", Scheme::Http, EscapedSlash::Kept);
    }
}

/// Bytes that are nearly heads: of parts that belong there, and of a few that do not.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let first = mostly(
        &[
            "GET / HTTP/1.1\r\n",
            "\r\nPOST /a?b=|c HTTP/1.0\r\n",
            "M-SEARCH * HTTP/1.1\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.0 404\r\n",
        ],
        &["GET  / HTTP/1.1\r\n", "GET / HTTP/1.1\n", "\r\n\r\nGET / HTTP/1.1\r\n", ""],
    );
    let fine = [
        "X:\r\n",
        "X: \t y \t \r\n",
        "x: y, z\r\n",
        "x_y: a:b\r\n",
        "Accept: \r\n",
        "!#$%&'*+-.^_`|~09azAZ: \u{e9}\u{80}\r\n",
    ];
    let odd = ["Host: a\r\n", "Content-Length: 5\r\n", "X : y\r\n", " y\r\n", "X: y\n", "X: \ry\r\n", "X: \0\r\n", ":"];
    let end = mostly(&["\r\n", "\r\nrest"], &["\n", "\r", ""]);
    let whole = (first, prop::collection::vec(mostly(&fine, &odd), 0..6), end);
    whole.prop_map(|(first, lines, end)| [first, &lines.concat(), end].concat().into_bytes())
}

/// One of `fine`, and of `odd` now and then.
fn mostly(fine: &[&'static str], odd: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
    prop_oneof![8 => prop::sample::select(fine.to_vec()), 1 => prop::sample::select(odd.to_vec())]
}
