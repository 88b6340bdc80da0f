use proptest::prelude::*;

use super::*;

#[test]
fn a_host_has_one_spelling() {
    let rows = [
        ("example.com", "example.com"),
        ("EXAMPLE.Com.", "example.com"),
        ("localhost", "localhost"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("r3---sn.example", "r3---sn.example"),
        ("_http._tcp.example", "_http._tcp.example"),
        ("1password.com", "1password.com"),
        ("1.2.3.example", "1.2.3.example"),
        ("0xcafe.example", "0xcafe.example"),
        ("10.0.3.7", "10.0.3.7"),
        ("10.0.3.7.", "10.0.3.7"),
        ("[2001:DB8:0:0::1]", "[2001:db8::1]"),
        ("[::1]", "[::1]"),
        ("[::]", "[::]"),
    ];
    for (text, host) in rows {
        assert_eq!(Host::read(text.as_bytes()).unwrap().to_string(), host, "{text}");
    }
    assert_eq!(Host::read(b"[::1]").unwrap().name(), "::1");
}

#[test]
fn what_could_name_another_host_is_refused() {
    let long = format!("{}.example", "a".repeat(LABEL_MAX + 1));
    let longer = format!("{}a", "a.".repeat(NAME_MAX / 2 + 1));
    let rows = [
        "",
        ".",
        "..",
        "a..b",
        ".a",
        "a..",
        "-a.b",
        "a-.b",
        "a b",
        " a",
        "a\t",
        "a\0b",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "user@host",
        "user:pass@host",
        "a%2eb",
        "a%00.b",
        "b\u{fc}cher.example",
        "a\u{3002}b",
        "\u{ff41}.b",
        "a,b",
        "a;b",
        "*",
        "*.a",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0x7f000001",
        "0177.0.0.1",
        "127.0.0.01",
        "1.2.3.256",
        "1.2.3",
        "1.2.3.4.5",
        "a.1",
        "a.0x1",
        "a.0x",
        "0",
        "[",
        "[]",
        "[::1",
        "::1]",
        "::1",
        "[[::1]]",
        "[::1].a",
        "[127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::7f00:1]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[v1.x]",
        "[::g]",
        "[ ::1]",
        &long,
        &longer,
    ];
    for text in rows {
        assert!(Host::read(text.as_bytes()).is_err(), "{text}");
        assert!(Host::with_port(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn a_port_is_a_number_in_one_spelling() {
    let rows = [
        ("a.b:1", "a.b", Some(1)),
        ("a.b:65535", "a.b", Some(65535)),
        ("a.b", "a.b", None),
        ("10.0.0.1:80", "10.0.0.1", Some(80)),
        ("10.0.0.1", "10.0.0.1", None),
        ("[::1]:443", "[::1]", Some(443)),
        ("[::1]", "[::1]", None),
    ];
    for (text, host, port) in rows {
        let (read, read_port) = Host::with_port(text.as_bytes()).unwrap();
        assert_eq!((read.to_string().as_str(), read_port), (host, port), "{text}");
    }
    for text in [
        "a:",
        "a:0",
        "a:080",
        "a:65536",
        "a:99999999999",
        "a:+80",
        "a:-1",
        "a: 80",
        "a:80 ",
        "a:8o",
        "a:80:80",
        "a::80",
        ":80",
        "[::1]:",
        "[::1]80",
        "[::1:80",
        "u@a:80",
        "u:1@a:80",
        "a:80@b",
    ] {
        assert!(Host::with_port(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn a_wildcard_is_one_label() {
    let pattern: HostPattern = "*.Example.com".parse().unwrap();
    for (host, matches) in [
        ("a.example.com", true),
        ("A.EXAMPLE.COM.", true),
        ("example.com", false),
        ("evilexample.com", false),
        ("a.b.example.com", false),
        ("a.example.com.evil.test", false),
        ("a.example.co", false),
        ("10.0.0.1", false),
    ] {
        assert_eq!(Host::read(host.as_bytes()).unwrap().matches(&pattern), matches, "{host}");
    }
    let exact: HostPattern = "10.0.0.1".parse().unwrap();
    assert!(Host::read(b"10.0.0.1").unwrap().matches(&exact));
    assert!(!Host::read(b"10.0.0.2").unwrap().matches(&exact));
    for pattern in ["*", "*.", "*a.b", "a.*.b", "**.a", "*.10.0.0.1", "*.[::1]", "*.*.a"] {
        assert!(pattern.parse::<HostPattern>().is_err(), "{pattern}");
    }
}

proptest! {
    #[test]
    fn a_spelling_reads_as_itself(text in "[a-zA-Z0-9.:_\\[\\]x-]{0,20}") {
        if let Ok((host, port)) = Host::with_port(text.as_bytes()) {
            prop_assert_eq!(Host::read(host.to_string().as_bytes()), Ok(host.clone()));
            let with_port = port.map_or(host.to_string(), |port| format!("{host}:{port}"));
            prop_assert_eq!(Host::with_port(with_port.as_bytes()), Ok((host, port)));
        }
    }
}
