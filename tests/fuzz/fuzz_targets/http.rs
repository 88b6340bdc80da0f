//! Any bytes of a workload or a server are messages or refused, alike in whatever pieces they come, and little is held.
#![no_main]

use bytes::Bytes;
use portcullis::{
    http::{
        BodyLength, BodyReader, Connection, EscapedSlash, HEAD_MAX, Location, RequestHead, ResponseHead, write::Edits,
    },
    request::http::Scheme,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    request(&bytes);
    if let Ok(Some((head, taken))) = ResponseHead::read(&bytes) {
        assert!(taken <= HEAD_MAX && Edits::default().response(&head) == head.bytes());
        let _ = Connection::of_response(&head);
        for method in [&b"GET"[..], b"HEAD", b"CONNECT"] {
            if let Ok(length) = BodyLength::of_response(method, &head) {
                body(|| BodyReader::of_response(length), &bytes[taken..]);
            }
        }
    }
    body(|| BodyReader::of_response(BodyLength::Chunked), &bytes);
});

/// What is judged of a request is what is sent of it.
fn request(bytes: &Bytes) {
    let Ok(Some((head, taken))) = RequestHead::read(bytes) else { return };
    assert!(taken <= HEAD_MAX + 2 && Edits::default().request(&head) == head.bytes());
    let _ = Connection::of_request(&head);
    if let Ok(location) = Location::of_request(&head, Scheme::Https, EscapedSlash::Kept) {
        let edits = Edits::default().target(&location.target()).unwrap();
        let sent = edits.set("Host", location.authority().as_bytes()).unwrap().request(&head);
        if let Ok(Some((sent, _))) = RequestHead::read(&sent) {
            assert_eq!(Location::of_request(&sent, Scheme::Https, EscapedSlash::Kept), Ok(location));
        }
    }
    if let Ok(length) = BodyLength::of_request(&head) {
        body(|| BodyReader::of_request(length), &bytes[taken..]);
    }
}

/// A body is the same in one piece and byte by byte.
fn body(reader: impl Fn() -> BodyReader, bytes: &[u8]) {
    let (mut whole, mut pieces) = (reader(), reader());
    let taken = whole.pass(bytes);
    let byte_by_byte = bytes.iter().try_fold(0, |sum, byte| pieces.pass(&[*byte]).map(|taken| sum + taken));
    assert_eq!(taken, byte_by_byte);
    assert!(taken.is_err() || whole.has_ended() == pieces.has_ended());
}
