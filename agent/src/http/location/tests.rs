use super::*;

fn read(method: &str, target: &str, host: &str, scheme: Scheme) -> Result<Location, Malformed> {
    Location::read(method.as_bytes(), target.as_bytes(), host.as_bytes(), scheme, EscapedSlash::Refused)
}

#[test]
fn a_location_is_judged_and_sent_in_one_spelling() {
    use Scheme::{Http, Https};
    let rows = [
        ("GET", "/a?b", "example.com", Http, "example.com", 80, "/a?b"),
        ("GET", "/a/../b?x=%41", "EXAMPLE.com.:80", Http, "example.com", 80, "/b?x=%41"),
        ("GET", "/?", "example.com:8080", Http, "example.com:8080", 8080, "/?"),
        ("GET", "/", "example.com:443", Https, "example.com", 443, "/"),
        ("GET", "/", "example.com:80", Https, "example.com:80", 80, "/"),
        ("GET", "/", "[2001:DB8::1]:8443", Https, "[2001:db8::1]:8443", 8443, "/"),
        ("GET", "/a?u=http://b/../c", "a", Http, "a", 80, "/a?u=http://b/../c"),
        ("GET", "http://example.com/a/%2e?b", "Example.com", Http, "example.com", 80, "/a/?b"),
        ("GET", "HTTPS://EXAMPLE.COM:443/a", "example.com", Https, "example.com", 443, "/a"),
        ("GET", "http://example.com", "example.com:80", Http, "example.com", 80, "/"),
        ("GET", "http://example.com?a", "example.com", Http, "example.com", 80, "/?a"),
        ("OPTIONS", "*", "example.com", Http, "example.com", 80, "*"),
        ("OPTIONS", "http://example.com", "example.com", Http, "example.com", 80, "*"),
        ("OPTIONS", "/a", "example.com", Http, "example.com", 80, "/a"),
        ("CONNECT", "Example.com:443", "example.com:443", Http, "example.com:443", 443, "example.com:443"),
        ("CONNECT", "example.com:443", "example.com", Http, "example.com:443", 443, "example.com:443"),
        ("CONNECT", "[::1]:80", "[::1]", Http, "[::1]:80", 80, "[::1]:80"),
    ];
    for (method, target, host, scheme, authority, port, sent) in rows {
        let location = read(method, target, host, scheme).expect(target);
        assert_eq!((location.authority().as_str(), location.port), (authority, port), "{target}");
        assert_eq!(location.target(), sent, "{target}");
        let again = read(method, &location.target(), &location.authority(), scheme);
        assert_eq!(again, Ok(location), "what is sent reads as what was judged");
    }
}

#[test]
fn a_location_that_has_two_readings_is_refused() {
    let rows = [
        ("GET", "http://example.com/", "evil.test"),
        ("GET", "http://example.com/", "example.com:8080"),
        ("GET", "http://example.com:8080/", "example.com"),
        ("GET", "https://example.com/", "example.com"),
        ("GET", "ftp://example.com/", "example.com"),
        ("GET", "http://user@example.com/", "example.com"),
        ("GET", "http://example.com@evil.test/", "example.com"),
        ("GET", "http://example.com\\@evil.test/", "example.com"),
        ("GET", "http://example.com:80:80/", "example.com"),
        ("GET", "http:///a", "example.com"),
        ("GET", "http:/a", "example.com"),
        ("GET", "http:a", "example.com"),
        ("GET", "http", "example.com"),
        ("GET", "http://", "example.com"),
        ("GET", "http://example.com#a", "example.com"),
        ("GET", "http://example.com/#a", "example.com"),
        ("GET", "http://example.com/a?b#c", "example.com"),
        ("GET", "//example.com/a", "example.com"),
        ("GET", "a", "example.com"),
        ("GET", "?a", "example.com"),
        ("GET", "*", "example.com"),
        ("GET", "example.com:80", "example.com"),
        ("options", "*", "example.com"),
        ("OPTIONS", "**", "example.com"),
        ("OPTIONS", "*?a", "example.com"),
        ("CONNECT", "/a", "example.com"),
        ("CONNECT", "*", "example.com"),
        ("CONNECT", "http://example.com:80", "example.com"),
        ("CONNECT", "example.com", "example.com"),
        ("CONNECT", "example.com:443", "evil.test:443"),
        ("CONNECT", "example.com:443", "example.com:80"),
        ("CONNECT", "example.com:443/", "example.com"),
        ("CONNECT", "user@example.com:443", "example.com"),
        ("CONNECT", ":443", "example.com"),
        ("GET", "/", ""),
        ("GET", "/", ":80"),
        ("GET", "/", "user@example.com"),
        ("GET", "/", "example.com, evil.test"),
        ("GET", "/", "example.com/a"),
        ("GET", "/", "example.com:"),
        ("GET", "/", "127.1"),
        ("GET", "/", "http://example.com"),
        ("GET", "", "example.com"),
    ];
    for (method, target, host) in rows {
        assert!(read(method, target, host, Scheme::Http).is_err(), "{method} {target} {host}");
    }
}

#[test]
fn a_request_names_its_host_once() {
    let request = |fields: &str, version: &str| {
        let head = bytes::Bytes::from(format!("GET /a {version}\r\n{fields}\r\n"));
        let (head, _) = RequestHead::read(&head)?.expect("a whole head");
        Location::of_request(&head, Scheme::Http, EscapedSlash::Refused)
    };
    assert_eq!(request("hOST: a\r\n", "HTTP/1.0").unwrap().authority(), "a");
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        for fields in
            ["", "Host:\r\n", "Host: a\r\nHost: a\r\n", "Host: a\r\nHOST: b\r\n", "Host: a, b\r\n", "Host: a b\r\n"]
        {
            assert_eq!(request(fields, version).unwrap_err().status(), 400, "{fields}");
        }
    }
}

#[test]
fn what_a_target_holds_is_not_in_an_error() {
    for target in [
        "hunter2",
        "http://hunter2@example.com/",
        "http://user:hunter2@example.com/",
        "ftp://a/hunter2",
        "/%zz?key=hunter2",
        "/a?key=hunter2;",
        "/hunter2\\",
        "/hunter2//",
    ] {
        let malformed = read("GET", target, "example.com", Scheme::Http).expect_err(target);
        assert!(!malformed.to_string().contains("hunter2"), "{malformed}");
    }
}
