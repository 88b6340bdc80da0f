use proptest::prelude::*;

use super::*;

#[test]
fn a_path_has_one_spelling() {
    let rows = [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b/"),
        ("/%41%7e%2Da", "/A~-a"),
        ("/%c3%a9%3f%23%3b%20", "/%C3%A9%3F%23%3B%20"),
        ("/a|b{c}^[d]\"<>`", "/a%7Cb%7Bc%7D%5E%5Bd%5D%22%3C%3E%60"),
        ("/v1/users/@me:x!$&'()*+,=", "/v1/users/@me:x!$&'()*+,="),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2E/b", "/a/b"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/.", "/"),
        ("/./", "/"),
        ("/a/../", "/"),
        ("/a/b/../../c", "/c"),
        ("/...", "/..."),
        ("/..a/.b", "/..a/.b"),
        ("/100%25", "/100%25"),
        ("/100%25/x", "/100%25/x"),
        ("/%25g", "/%25g"),
    ];
    for (path, spelled) in rows {
        assert_eq!(normalised(path.as_bytes(), EscapedSlash::Refused).as_deref(), Ok(spelled), "{path}");
    }
}

#[test]
fn a_path_that_has_two_readings_is_refused() {
    for path in [
        "",
        "a",
        "*",
        "\\",
        "//",
        "//a",
        "/a//b",
        "/a//",
        "/a/..//b",
        "/a/.//",
        "/..",
        "/../a",
        "/a/../..",
        "/a/../../b",
        "/%2e%2e",
        "/./..",
        "/a;b=c/d",
        "/a/..;/b",
        "/;",
        "/a\\b",
        "/a%5Cb",
        "/a%5cb",
        "/..%5c",
        "/a%2Fb",
        "/a%2fb",
        "/..%2f",
        "/%252e%252e/a",
        "/%252f",
        "/%25%32%65",
        "/%2525",
        "/%25%32%35",
        "/%00",
        "/a%00.txt",
        "/%0d%0a",
        "/%09",
        "/%1f",
        "/%7f",
        "/%c0%af",
        "/%C0%AE%C0%AE",
        "/%ff",
        "/%E0%80%AF",
        "/%ed%a0%80",
        "/%c3",
        "/%",
        "/%4",
        "/%zz",
        "/%u002e",
        "/%+1",
        "/%%34%31",
        "/a b",
        "/\u{fc}",
        "/a\t",
        "/a\0",
        "/a\x7f",
        "/a#b",
        "/a?b",
    ] {
        let malformed = normalised(path.as_bytes(), EscapedSlash::Refused).expect_err(path);
        assert_eq!(malformed.status(), 400, "{path}");
    }
}

#[test]
fn an_escaped_slash_may_be_kept_where_it_changes_no_segments() {
    for (path, spelled) in [("/@types%2fnode", "/@types%2Fnode"), ("/g%2Fs%2Fp/x", "/g%2Fs%2Fp/x")] {
        assert_eq!(normalised(path.as_bytes(), EscapedSlash::Kept).as_deref(), Ok(spelled));
    }
    for path in
        ["/..%2fa", "/a%2f..", "/a%2f%2e%2e%2fb", "/a%2f.%2fb", "/%2fa", "/a%2f", "/a%2f%2fb", "/a%252fb", "/a%5cb"]
    {
        assert!(normalised(path.as_bytes(), EscapedSlash::Kept).is_err(), "{path}");
    }
}

proptest! {
    #[test]
    fn a_spelling_reads_as_itself(path in "/([a.%25EeFf/|é~;2]|%2e|%41|%25|/\\.\\.|/\\.){0,16}", kept in any::<bool>()) {
        let slash = if kept { EscapedSlash::Kept } else { EscapedSlash::Refused };
        if let Ok(spelled) = normalised(path.as_bytes(), slash) {
            prop_assert_eq!(normalised(spelled.as_bytes(), slash), Ok(spelled.clone()));
            let decoded = unescaped(&spelled);
            let decoded = String::from_utf8(decoded).expect("UTF-8");
            prop_assert!(decoded.starts_with('/') && !decoded.contains("//"), "{}", decoded);
            prop_assert!(decoded.split('/').all(|segment| !matches!(segment, "." | "..")), "{}", decoded);
        }
    }
}
