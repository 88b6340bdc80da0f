//! Texts that nobody writes: deep, long, broken. Each is understood or unknown, and nothing worse.
//!
//! They are classified on a stack as small as a session's, so that a walk that goes too deep would end the test.

use std::{fmt::Write as _, thread};

use super::*;
use crate::request::{ACCESSES_MAX, Footprint, sql};

/// The stack of a thread of the daemon, where sessions run: tokio's default.
const STACK: usize = 2 << 20;

fn classify(text: &[u8]) -> Classified {
    let text = text.to_vec();
    let table = ("public".to_owned(), "t".to_owned(), vec![("a".to_owned(), vec!["pii".into()])]);
    let classify = move || {
        let classifier = Classifier::new(Catalogue::from_tables("d", &["pg_catalog", "public"], [table]));
        classifier.classify_afresh(&text, &SessionState::default())
    };
    thread::Builder::new().stack_size(STACK).spawn(classify).unwrap().join().unwrap()
}

fn is_unknown(footprint: &Footprint) -> bool {
    footprint.sql().any(|access| access.operation == sql::Operation::Unknown)
}

/// Whether the classifier has seen that the text reads the table.
fn reads_table(classified: &Classified) -> bool {
    classified.footprint.sql().any(|access| access.operation == sql::Operation::Select)
}

/// Shapes that grow with a number; each reads `t`.
fn shapes(count: usize) -> Vec<(&'static str, String)> {
    let wrapped = |open: &str, inner: &str, close: &str| {
        format!("SELECT {}{inner}{} FROM t", open.repeat(count), close.repeat(count))
    };
    let chain = |first: &str, link: &str| format!("SELECT {first}{} FROM t", link.repeat(count));
    vec![
        ("parentheses", wrapped("(", "a", ")")),
        ("functions", wrapped("lower(", "a", ")")),
        ("sub-queries", wrapped("(SELECT ", "a", ")")),
        ("arrays", wrapped("ARRAY[", "a", "]")),
        ("rows", wrapped("ROW(", "a", ", 1)")),
        ("cases", wrapped("CASE WHEN true THEN ", "a", " END")),
        ("coalesces", wrapped("COALESCE(NULL, ", "a", ")")),
        ("XML elements", wrapped("xmlelement(name x, ", "a", ")")),
        ("negations", wrapped("NOT ", "a IS NULL", "")),
        ("signs", wrapped("- ", "1", "")),
        ("sums", chain("a", " + 1")),
        ("conjunctions", chain("a = a", " AND a = a")),
        ("disjunctions", chain("a = a", " OR a = a")),
        ("casts", chain("a", "::text")),
        ("subscripts", chain("(ARRAY[a])", "[1]")),
        ("fields", chain("(a)", ".b")),
        ("collations", chain("a", " COLLATE \"C\"")),
        ("columns", chain("a", ", a")),
        ("list", format!("SELECT a FROM t WHERE a IN ('x'{})", ", 'x'".repeat(count))),
        ("values", format!("SELECT a FROM t WHERE a IN (VALUES ('x'){})", ", ('x')".repeat(count))),
        ("joins", format!("SELECT t.a FROM t{}", " CROSS JOIN t".repeat(count))),
        ("commas", format!("SELECT t.a FROM t{}", ", t AS x".repeat(count))),
        ("unions", format!("SELECT a FROM t{}", " UNION ALL SELECT a FROM t".repeat(count))),
        ("left unions", format!("{}SELECT a FROM t{}", "(".repeat(count), " UNION SELECT a FROM t)".repeat(count))),
        ("derived tables", format!("SELECT a FROM {}t{}", "(SELECT a FROM ".repeat(count), ") x".repeat(count))),
        ("common table expressions", format!("WITH {} SELECT a FROM t", common(count))),
        ("nested WITH", format!("{}SELECT a FROM t{}", "WITH x AS (".repeat(count), ") SELECT a FROM x".repeat(count))),
        ("explains", format!("{}SELECT a FROM t", "EXPLAIN ".repeat(count))),
        ("strings", format!("SELECT a, '{}' FROM t", "''".repeat(count))),
        ("dollar quotes", format!("SELECT a, $q${}$q$ FROM t", "$".repeat(count))),
        ("comments side by side", format!("SELECT {} a FROM t", "/**/".repeat(count))),
        ("lines of comment", format!("SELECT {} a FROM t", "--\n".repeat(count))),
        ("a long name", format!("SELECT a AS {} FROM t", "n".repeat(count))),
    ]
}

/// Each is made of the one before.
fn common(count: usize) -> String {
    let mut text = String::from("c0 AS (SELECT a FROM t)");
    for number in 1..=count {
        let _ = write!(text, ", c{number} AS (SELECT a FROM c{})", number - 1);
    }
    text
}

#[test]
fn nothing_is_too_deep_or_too_long_to_be_answered() {
    for count in [3, 30, 300, 3_000, 30_000] {
        for (name, text) in shapes(count) {
            let classified = classify(text.as_bytes());
            let footprint = &classified.footprint;
            assert!(is_unknown(footprint) || reads_table(&classified), "{count} {name} read nothing");
            assert!(!is_unknown(footprint) || !footprint.caveats.is_empty(), "{count} {name}: unknown for no reason");
            assert!(footprint.accesses.len() <= ACCESSES_MAX + 1, "{count} {name}");
        }
    }
}

#[test]
fn what_people_write_is_not_too_deep() {
    // EXPLAIN of EXPLAIN and collations of collations are no SQL.
    let impossible = ["explains", "collations"];
    for (name, text) in shapes(8).into_iter().filter(|(name, _)| !impossible.contains(name)) {
        let classified = classify(text.as_bytes());
        assert!(!is_unknown(&classified.footprint), "{name}: {:?}", classified.footprint.caveats);
    }
}

#[test]
fn a_mebibyte_of_nested_comments_is_unknown() {
    let half = (STATEMENT_BYTES_MAX - 40) / 4;
    for text in [
        format!("SELECT 1 {}{}", "/*".repeat(half), "*/".repeat(half)),
        format!("SELECT 1 {}", "/*".repeat(half * 2)),
        format!("SELECT '{}'", "/*".repeat(half)),
        format!("SELECT 1 {}", "/*/".repeat(half)),
    ] {
        assert!(is_unknown(&classify(text.as_bytes()).footprint), "{:.40}", text);
    }
    let shallow = format!("SELECT a {} FROM t", "/* /* */ */".repeat(90_000));
    assert!(reads_table(&classify(shallow.as_bytes())));
}

#[test]
fn what_is_not_utf8_is_unknown_wherever_it_stands() {
    let invalid: [&[u8]; 9] = [
        b"\xff",
        b"\xc0\xaf",
        b"\xe4\xb8",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
        // What ends a string early where the server reads GBK.
        b"\xe5\x5c\x27",
        b"\xbf\x5c\x27",
    ];
    for bytes in invalid {
        for (before, behind) in
            [("SELECT '", "'"), ("SELECT 1 -- ", ""), ("SELECT \"", "\""), ("", "SELECT 1"), ("SELECT 1", "")]
        {
            let text = [before.as_bytes(), bytes, behind.as_bytes()].concat();
            assert!(is_unknown(&classify(&text).footprint), "{}", text.escape_ascii());
        }
    }
}

#[test]
fn a_nul_is_unknown_wherever_it_stands() {
    let text = "SELECT 'a' /* b */ FROM t -- c";
    for position in 0..=text.len() {
        let (before, behind) = text.split_at(position);
        let text = [before.as_bytes(), b"\0", behind.as_bytes()].concat();
        assert!(is_unknown(&classify(&text).footprint), "a NUL at {position}");
    }
}

#[test]
fn a_text_over_the_limit_is_unknown_and_one_at_it_is_not() {
    let at = |length: usize| format!("SELECT a FROM t{}", " ".repeat(length - "SELECT a FROM t".len()));
    assert!(reads_table(&classify(at(STATEMENT_BYTES_MAX).as_bytes())));
    assert!(is_unknown(&classify(at(STATEMENT_BYTES_MAX + 1).as_bytes()).footprint));
}

#[test]
fn a_text_cut_anywhere_is_understood_or_unknown() {
    let text = "WITH x AS (SELECT a, 'it''s' AS \"q\" FROM t WHERE a = $1) INSERT INTO t SELECT E'\\n' || a FROM x RETURNING *";
    for end in 0..text.len() {
        let footprint = classify(&text.as_bytes()[..end]).footprint;
        assert!(!is_unknown(&footprint) || !footprint.caveats.is_empty(), "{}", &text[..end]);
    }
}
