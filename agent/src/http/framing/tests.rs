use bytes::Bytes;

use super::*;

fn request(method: &str, version: &str, fields: &str) -> Result<BodyLength, Malformed> {
    let head = Bytes::from(format!("{method} / {version}\r\nHost: a\r\n{fields}\r\n"));
    BodyLength::of_request(&RequestHead::read(&head)?.expect("a whole head").0)
}

fn response(method: &str, status: u16, fields: &str) -> Result<BodyLength, Malformed> {
    let head = Bytes::from(format!("HTTP/1.1 {status} \r\n{fields}\r\n"));
    BodyLength::of_response(method.as_bytes(), &ResponseHead::read(&head)?.expect("a whole head").0)
}

#[test]
fn a_request_has_the_length_that_it_states() {
    let rows = [
        ("", BodyLength::None),
        ("Content-Length: 0\r\n", BodyLength::Exact(0)),
        ("content-LENGTH:\t12 \r\n", BodyLength::Exact(12)),
        ("Content-Length: 9223372036854775807\r\n", BodyLength::Exact(i64::MAX as u64)),
        ("Transfer-Encoding: chunked\r\n", BodyLength::Chunked),
        ("transfer-encoding:ChUnKeD\r\n", BodyLength::Chunked),
    ];
    for (fields, length) in rows {
        assert_eq!(request("POST", "HTTP/1.1", fields), Ok(length), "{fields}");
    }
}

/// The variants of public collections of request smuggling (CL.TE, TE.CL, TE.TE and disguises), each in our own words.
#[test]
fn a_length_that_could_be_read_in_two_ways_is_refused() {
    let rows = [
        ("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Content-Length: 6\r\nTransfer-Encoding: identity\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        ("Content-Length: 5\r\ncontent-length: 0\r\n", 400),
        ("Content-Length: 5, 5\r\n", 400),
        ("Content-Length: 5,6\r\n", 400),
        ("Content-Length:\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: -5\r\n", 400),
        ("Content-Length: -0\r\n", 400),
        ("Content-Length: 005\r\n", 400),
        ("Content-Length: 00\r\n", 400),
        ("Content-Length: 0x5\r\n", 400),
        ("Content-Length: 5 6\r\n", 400),
        ("Content-Length: 5;\r\n", 400),
        ("Content-Length: 5.0\r\n", 400),
        ("Content-Length: 5e1\r\n", 400),
        ("Content-Length: 1_0\r\n", 400),
        ("Content-Length: \"5\"\r\n", 400),
        ("Content-Length: ５\r\n", 400),
        ("Content-Length: 9223372036854775808\r\n", 400),
        ("Content-Length: 18446744073709551621\r\n", 400),
        ("Content-Length : 5\r\n", 400),
        ("Content-Length\0: 5\r\n", 400),
        ("Content_Length: 5\r\n", 400),
        ("X: y\r\n Content-Length: 5\r\n", 400),
        ("X: y\rContent-Length: 5\r\n", 400),
        ("X: y\nContent-Length: 5\r\n", 400),
        ("Transfer-Encoding: identity\r\n", 501),
        ("Transfer-Encoding: gzip\r\n", 501),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: chunked, gzip\r\n", 501),
        ("Transfer-Encoding: chunked, chunked\r\n", 501),
        ("Transfer-Encoding: chunked, identity\r\n", 501),
        ("Transfer-Encoding: identity, chunked\r\n", 501),
        ("Transfer-Encoding: chunked,\r\n", 501),
        ("Transfer-Encoding: ,chunked\r\n", 501),
        ("Transfer-Encoding: xchunked\r\n", 501),
        ("Transfer-Encoding: chunkedx\r\n", 501),
        ("Transfer-Encoding: chunk\r\n", 501),
        ("Transfer-Encoding: chunked;q=1\r\n", 501),
        ("Transfer-Encoding: chunked;\r\n", 501),
        ("Transfer-Encoding: x chunked\r\n", 501),
        ("Transfer-Encoding:\r\n", 400),
        ("Transfer-Encoding: \"chunked\"\r\n", 400),
        ("Transfer-Encoding: chunked\u{a0}\r\n", 400),
        ("Transfer-Encoding: \u{a0}chunked\r\n", 400),
        ("Transfer-Encoding: \x0bchunked\r\n", 400),
        ("Transfer-Encoding: \x0cchunked\r\n", 400),
        ("Transfer-Encoding: chunked\x0c\r\n", 400),
        ("Transfer-Encoding: chunked\0\r\n", 400),
        ("Transfer-Encoding: \x01chunked\r\n", 400),
        ("Transfer-Encoding: chun\u{212a}ed\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", 400),
        ("Transfer-Encoding: x\r\ntransfer-encoding: chunked\r\n", 400),
        ("Transfer-Encoding : chunked\r\n", 400),
        ("Transfer-Encoding\t: chunked\r\n", 400),
        (" Transfer-Encoding: chunked\r\n", 400),
        ("\tTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding:\r\n chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\n x\r\n", 400),
        ("Transfer-Encoding\r\n: chunked\r\n", 400),
        ("X: y\nTransfer-Encoding: chunked\r\n", 400),
        ("X: y\rTransfer-Encoding: chunked\r\n", 400),
        ("X: y\r\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer_Encoding: chunked\r\n", 400),
        ("Transfer-Encoding\u{a0}: chunked\r\n", 400),
        ("\u{feff}Transfer-Encoding: chunked\r\n", 400),
        ("Transfer\u{2010}Encoding: chunked\r\n", 400),
    ];
    for (fields, status) in rows {
        let malformed = request("POST", "HTTP/1.1", fields).expect_err(fields);
        assert_eq!(malformed.status(), status, "{fields:?}: {malformed}");
    }
}

#[test]
fn http_1_0_has_no_transfer_coding() {
    assert_eq!(request("POST", "HTTP/1.0", "Transfer-Encoding: chunked\r\n").unwrap_err().status(), 400);
    assert_eq!(request("POST", "HTTP/1.0", "Content-Length: 3\r\n"), Ok(BodyLength::Exact(3)));
}

#[test]
fn a_tunnel_and_a_trace_have_no_content() {
    for method in ["CONNECT", "TRACE"] {
        assert_eq!(request(method, "HTTP/1.1", ""), Ok(BodyLength::None));
        assert_eq!(request(method, "HTTP/1.1", "Content-Length: 0\r\n"), Ok(BodyLength::Exact(0)));
        for fields in ["Content-Length: 1\r\n", "Transfer-Encoding: chunked\r\n"] {
            assert!(request(method, "HTTP/1.1", fields).is_err(), "{method} {fields}");
        }
    }
}

#[test]
fn a_response_has_the_length_that_method_status_and_fields_make() {
    let (exact, chunked) = ("Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n");
    let rows = [
        ("GET", 200, "", BodyLength::UntilClose),
        ("GET", 200, exact, BodyLength::Exact(7)),
        ("GET", 200, chunked, BodyLength::Chunked),
        ("GET", 404, "", BodyLength::UntilClose),
        ("GET", 205, "Content-Length: 0\r\n", BodyLength::Exact(0)),
        ("HEAD", 200, "", BodyLength::None),
        ("HEAD", 200, exact, BodyLength::None),
        ("HEAD", 200, chunked, BodyLength::None),
        ("head", 200, exact, BodyLength::Exact(7)),
        ("GET", 304, "", BodyLength::None),
        ("GET", 304, exact, BodyLength::None),
        ("GET", 304, chunked, BodyLength::None),
        ("GET", 100, "", BodyLength::None),
        ("GET", 101, "", BodyLength::None),
        ("POST", 103, "", BodyLength::None),
        ("DELETE", 204, "", BodyLength::None),
        ("DELETE", 204, "Content-Length: 0\r\n", BodyLength::None),
        ("CONNECT", 200, "", BodyLength::None),
        ("CONNECT", 407, exact, BodyLength::Exact(7)),
    ];
    for (method, status, fields, length) in rows {
        assert_eq!(response(method, status, fields), Ok(length), "{method} {status} {fields}");
    }
}

#[test]
fn a_response_that_one_reader_would_end_before_another_is_refused() {
    let rows = [
        ("GET", 204, "Content-Length: 7\r\n"),
        ("GET", 204, "Transfer-Encoding: chunked\r\n"),
        ("GET", 100, "Content-Length: 7\r\n"),
        ("GET", 101, "Transfer-Encoding: chunked\r\n"),
        ("CONNECT", 200, "Content-Length: 7\r\n"),
        ("GET", 200, "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n"),
        ("HEAD", 200, "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n"),
        ("HEAD", 200, "Content-Length: 7\r\nContent-Length: 8\r\n"),
        ("GET", 304, "Content-Length: x\r\n"),
        ("GET", 200, "Transfer-Encoding: gzip, chunked\r\n"),
        ("GET", 200, "Content-Length: 7\r\nContent-Length: 7\r\n"),
    ];
    for (method, status, fields) in rows {
        response(method, status, fields).expect_err(fields);
    }
}
