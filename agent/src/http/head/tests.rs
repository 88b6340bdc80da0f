use super::*;

fn request(head: &str) -> Result<Option<(RequestHead, usize)>, Malformed> {
    RequestHead::read(&Bytes::copy_from_slice(head.as_bytes()))
}

fn response(head: &str) -> Result<Option<(ResponseHead, usize)>, Malformed> {
    ResponseHead::read(&Bytes::copy_from_slice(head.as_bytes()))
}

#[test]
fn a_request_is_read_as_it_came() {
    let text =
        "PATCH /a%2fb?q=1#x HTTP/1.1\r\nHost:  example.com \t\r\nX-Empty:\r\nAccept: a\r\naccept: b, ,c\r\n\r\nrest";
    let (head, taken) = request(text).unwrap().unwrap();
    assert_eq!((head.method(), head.target()), (&b"PATCH"[..], &b"/a%2fb?q=1#x"[..]));
    assert_eq!(head.version(), Version::Http11);
    assert_eq!(taken, text.len() - "rest".len());
    assert_eq!(head.bytes(), &text.as_bytes()[..taken]);
    let fields: Vec<_> = head.fields().iter().collect();
    let expected: [(&[u8], &[u8]); 4] =
        [(b"Host", b"example.com"), (b"X-Empty", b""), (b"Accept", b"a"), (b"accept", b"b, ,c")];
    assert_eq!(fields, expected);
    assert_eq!(head.fields().value("HOST"), Ok(Some(&b"example.com"[..])));
    assert_eq!(head.fields().value("absent"), Ok(None));
    assert!(head.fields().value("accept").is_err(), "two stand there");
    assert_eq!(head.fields().elements("accept").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
}

#[test]
fn one_empty_line_before_a_request_is_skipped_and_no_more() {
    let (head, taken) = request("\r\nGET / HTTP/1.1\r\n\r\n").unwrap().unwrap();
    assert_eq!((head.bytes().as_ref(), taken), (&b"GET / HTTP/1.1\r\n\r\n"[..], 20));
    assert!(request("\r\n\r\nGET / HTTP/1.1\r\n\r\n").is_err());
    assert!(response("\r\nHTTP/1.1 200 OK\r\n\r\n").is_err());
}

#[test]
fn a_head_that_others_could_read_differently_is_refused() {
    let lines = [
        ("GET / HTTP/1.1\nHost: a\n\n", "bare LF"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", "bare LF after a field"),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", "bare LF as the empty line"),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", "bare CR after the first line"),
        ("GET / HTTP/1.1\r\nA: b\rHost: a\r\n\r\n", "bare CR in a value"),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "two CR"),
        ("GET / HTTP/1.1\r\n\rHost: a\r\n\r\n", "CR before a name"),
        ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "obs-fold"),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", "space before the first field"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "space before the colon"),
        ("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", "tab before the colon"),
        ("GET / HTTP/1.1\r\nHost\r\n\r\n", "no colon"),
        ("GET / HTTP/1.1\r\n: a\r\n\r\n", "no name"),
        ("GET / HTTP/1.1\r\nHo(st: a\r\n\r\n", "a name that is no token"),
        ("GET / HTTP/1.1\r\nHöst: a\r\n\r\n", "a name that is not ASCII"),
        ("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", "NUL in a value"),
        ("GET / HTTP/1.1\r\nHost: a\x0bb\r\n\r\n", "vertical tab in a value"),
        ("GET / HTTP/1.1\r\nHost: a\x7f\r\n\r\n", "DEL in a value"),
        ("GET  / HTTP/1.1\r\n\r\n", "two spaces"),
        ("GET /  HTTP/1.1\r\n\r\n", "two spaces before the version"),
        ("GET\t/ HTTP/1.1\r\n\r\n", "tab for space"),
        (" GET / HTTP/1.1\r\n\r\n", "space first"),
        ("GET / a HTTP/1.1\r\n\r\n", "space in the target"),
        ("GET /ä HTTP/1.1\r\n\r\n", "a target that is not ASCII"),
        ("GET /\x0c HTTP/1.1\r\n\r\n", "form feed in the target"),
        ("GET / HTTP/1.1 \r\n\r\n", "space behind the version"),
        ("GET / http/1.1\r\n\r\n", "small letters"),
        ("GET / HTTP/1.10\r\n\r\n", "two digits"),
        ("GET / HTTP/01.1\r\n\r\n", "zero in front"),
        ("GET / HTTP/+1.1\r\n\r\n", "a sign"),
        ("GET / HTTPS/1.1\r\n\r\n", "another protocol"),
        ("GET / \r\n\r\n", "no version"),
        ("GET /\r\n\r\n", "HTTP/0.9"),
        ("GET\r\n\r\n", "no target"),
        ("G{T / HTTP/1.1\r\n\r\n", "a method that is no token"),
        ("\x16\x03\x01", "TLS"),
        ("GET / HTTP/1.1\r\nContent_Length: 5\r\n\r\n", "a name that variables take for another"),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "two hosts"),
        ("GET / HTTP/1.1\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", "two authorizations"),
        ("GET / HTTP/1.1\r\nContent-Type: a\r\nX: y\r\ncontent-TYPE: a\r\n\r\n", "two content types"),
    ];
    for (head, why) in lines {
        let malformed = request(head).expect_err(why);
        assert_eq!(malformed.status(), 400, "{why}: {malformed}");
    }
}

#[test]
fn a_refusal_has_its_status() {
    let long = "a".repeat(REQUEST_TARGET_MAX);
    let many = "A: b\r\n".repeat(FIELDS_MAX + 1);
    let rows = [
        (format!("GET /{long} HTTP/1.1\r\n\r\n"), 414),
        (format!("GET /{long}{long}"), 414),
        (format!("GET / HTTP/1.1\r\n{many}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(HEAD_MAX)), 431),
        (format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(HEAD_MAX)), 431),
        (format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(METHOD_MAX + 1)), 501),
        ("GET / HTTP/1.2\r\n\r\n".into(), 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), 505),
    ];
    for (head, status) in rows {
        let malformed = request(&head).expect_err(&head);
        assert_eq!(malformed.status(), status, "{malformed}");
    }
}

#[test]
fn what_is_just_within_the_limits_is_read() {
    let target = format!("/{}", "a".repeat(REQUEST_TARGET_MAX - 1));
    let fields = "A: b\r\n".repeat(FIELDS_MAX);
    let (head, _) = request(&format!("GET {target} HTTP/1.1\r\n{fields}\r\n")).unwrap().unwrap();
    assert_eq!((head.target().len(), head.fields().len()), (REQUEST_TARGET_MAX, FIELDS_MAX));
    let frame = "GET / HTTP/1.1\r\nA: \r\n\r\n".len();
    let text = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(HEAD_MAX - frame));
    assert_eq!(request(&text).unwrap().unwrap().1, HEAD_MAX);
}

#[test]
fn a_head_that_is_not_whole_needs_more() {
    let text = "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..text.len() {
        assert!(request(&text[..end]).unwrap().is_none(), "{end}");
    }
    assert!(request(text).unwrap().is_some());
}

#[test]
fn a_response_is_read_as_it_came() {
    let rows = [
        ("HTTP/1.1 200 OK\r\n\r\n", 200, "OK"),
        ("HTTP/1.1 404 \r\n\r\n", 404, ""),
        ("HTTP/1.1 500\r\n\r\n", 500, ""),
        ("HTTP/1.0 302 Fo\u{fc}nd  there\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n", 302, "Fo\u{fc}nd  there"),
    ];
    for (text, status, reason) in rows {
        let (head, taken) = response(text).unwrap().unwrap();
        assert_eq!((head.status(), head.reason(), taken), (status, reason.as_bytes(), text.len()));
    }
}

#[test]
fn a_status_line_that_others_could_read_differently_is_refused() {
    for line in [
        "HTTP/1.1  200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1 600 OK",
        "HTTP/1.1 +20 OK",
        "HTTP/1.1 200\tOK",
        "HTTP/1.1 200OK",
        "HTTP/1.1",
        "HTTP/2 200 OK",
        "HTTP/1.1 200 O\0K",
        "ICY 200 OK",
    ] {
        response(&format!("{line}\r\n\r\n")).expect_err(line);
    }
}

#[test]
fn values_do_not_show_when_a_head_is_printed() {
    let head = "GET /p?key=hunter2 HTTP/1.1\r\nAuthorization: hunter2\r\n\r\n";
    let printed = format!("{:?}", request(head).unwrap().unwrap().0);
    assert!(printed.contains("Authorization") && !printed.contains("hunter2"), "{printed}");
    let printed = format!("{:?}", response("HTTP/1.1 200 hunter2\r\nSet-Cookie: hunter2\r\n\r\n").unwrap().unwrap().0);
    assert!(printed.contains("Set-Cookie") && !printed.contains("hunter2"), "{printed}");
}
