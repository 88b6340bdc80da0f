use std::{collections::BTreeMap, sync::LazyLock};

use proptest::prelude::*;

use super::*;
use crate::{
    mask::{
        Method,
        body::path::{Path, Rule},
    },
    target::Class,
};

fn plan(paths: &[(&str, &str)], masks: &[(&str, Method)]) -> Arc<BodyPlan> {
    let paths: Vec<_> = paths.iter().map(|(path, class)| (Path::parse(path).unwrap(), Class::from(*class))).collect();
    let masks: BTreeMap<_, _> = masks.iter().map(|(class, method)| (Class::from(*class), *method)).collect();
    Arc::new(BodyPlan::new(&paths, &masks, true).unwrap())
}

static MASKER: LazyLock<Arc<Masker>> = LazyLock::new(|| Arc::new(Masker::new([7; 32])));

fn fed<'a>(
    plan: &Arc<BodyPlan>,
    documents: Documents,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, BodyError> {
    let mut mask = JsonMask::new(plan, &MASKER, documents);
    let mut out = Vec::new();
    for piece in pieces {
        mask.feed(piece, &mut out)?;
    }
    mask.finish(&mut out)?;
    Ok(out)
}

fn shown(plan: &Arc<BodyPlan>, body: &str) -> String {
    String::from_utf8(fed(plan, Documents::One, [body.as_bytes()]).unwrap()).unwrap()
}

fn refused(body: &[u8]) -> Malformed {
    let by = plan(&[("/x", "pii")], &[("pii", Method::Redact), ("email", Method::Redact)]);
    match fed(&by, Documents::One, [body]) {
        Err(BodyError::Json { what, .. }) => what,
        other => panic!("{other:?} for {}", String::from_utf8_lossy(body)),
    }
}

#[test]
fn values_at_a_path_are_masked_and_all_else_stays() {
    let by =
        plan(&[("/customers/*/ssn", "ssn"), ("**/name", "pii")], &[("ssn", Method::Last4), ("pii", Method::Redact)]);
    for (body, masked) in [
        (
            r#"{"customers": [ {"ssn":"536-90-4399", "n": 1.50} ]}"#,
            r#"{"customers": [ {"ssn":"***-**-4399", "n": 1.50} ]}"#,
        ),
        (
            r#"{"customers":[{"ssn":536904399},{"ssn":true},{"ssn":null}]}"#,
            r#"{"customers":[{"ssn":4399},{"ssn":null},{"ssn":null}]}"#,
        ),
        (
            r#"{"\u0063ustomers":[{"s\u0073n":"536-90-43\u0039\u0039"}]}"#,
            r#"{"\u0063ustomers":[{"s\u0073n":"***-**-4399"}]}"#,
        ),
        (
            r#"{"a":{"name":["Ann",{"first":"A\"n","age":7}]}}"#,
            r#"{"a":{"name":["[redacted]",{"first":"[redacted]","age":null}]}}"#,
        ),
        (r#"{"customers":[],"ssn":"x","caf\u00e9":"\/"}"#, r#"{"customers":[],"ssn":"x","caf\u00e9":"\/"}"#),
        ("", ""),
        (" 17 ", " 17 "),
    ] {
        assert_eq!(shown(&by, body), masked);
    }
}

#[test]
fn a_number_stays_a_number_where_the_method_has_one() {
    for (method, number) in
        [(Method::Pseudonym, true), (Method::Hash, true), (Method::Redact, false), (Method::Null, false)]
    {
        let by = plan(&[("/id", "ssn")], &[("ssn", method)]);
        let body: serde_json::Value = serde_json::from_str(&shown(&by, r#"{"id":536904399}"#)).unwrap();
        assert_eq!(body["id"].is_i64(), number, "{method:?}");
        assert_ne!(body["id"], 536_904_399);
        assert_eq!(shown(&by, r#"{"id":5.36904399e8}"#), r#"{"id":null}"#);
    }
}

#[test]
fn of_what_must_be_null_not_even_the_shape_is_shown() {
    let by = plan(&[("/a", "pii"), ("/b/*", "pii")], &[("pii", Method::Null)]);
    assert_eq!(shown(&by, r#"{"a": {"k": [1,{"x":2}]} ,"c":[3]}"#), r#"{"a": null ,"c":[3]}"#);
    assert_eq!(shown(&by, r#"{"b":[[1],"x",{}],"a":7}"#), r#"{"b":[null,null,null],"a":null}"#);
}

#[test]
fn an_escape_hides_nothing_from_the_detectors() {
    let by = plan(&[], &[("credit_card", Method::Last4), ("email", Method::Redact)]);
    for (body, masked) in [
        (r#"["4111111111111111"]"#, r#"["************1111"]"#),
        (r#"["\u0034111111111111111"]"#, r#"["************1111"]"#),
        (r#"{"ann\u0040example.com":1}"#, r#"{"[redacted]":1}"#),
        (r#"[4111111111111111, 4111111111111112]"#, r#"[null, 4111111111111112]"#),
        (r#"["a\tb \u0034"]"#, r#"["a\tb \u0034"]"#),
    ] {
        assert_eq!(shown(&by, body), masked);
    }
}

#[test]
fn what_two_readers_could_take_differently_is_refused() {
    for (body, what) in [
        (br#"{"a":1,"\u0061":2}"#.as_slice(), Malformed::Duplicate),
        (br#"["\ud800"]"#, Malformed::Escape),
        (br#"["\ud800\u0041"]"#, Malformed::Surrogate),
        (br#"["\ud8"]"#, Malformed::Escape),
        (br#"["\x41"]"#, Malformed::Escape),
        (b"[\"a\nb\"]", Malformed::Control),
        (b"[\"\xff\"]", Malformed::Utf8),
        (b"[\"\xc3\"]", Malformed::Utf8),
        (b"[1] 2", Malformed::Unexpected),
        (b"[1,]", Malformed::Unexpected),
        (b"{\"a\" 1}", Malformed::Unexpected),
        (b"{a:1}", Malformed::Unexpected),
        (b"{\"a\":1,}", Malformed::Unexpected),
        (b"[1}", Malformed::Unexpected),
        (b"]", Malformed::Unexpected),
        (b"\xef\xbb\xbf[]", Malformed::Scalar),
        (b"['a']", Malformed::Scalar),
        (b"[NaN]", Malformed::Scalar),
        (b"[01]", Malformed::Scalar),
        (b"[1 2]", Malformed::Unexpected),
        (b"[1", Malformed::Truncated),
        (b"[\"a", Malformed::Truncated),
        (b" ", Malformed::Truncated),
    ] {
        assert_eq!(refused(body), what, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn limits_hold() {
    let deep = "[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX);
    assert_eq!(shown(&plan(&[], &[]), &deep), deep);
    assert_eq!(refused(format!("[{deep}]").as_bytes()), Malformed::Depth);
    assert_eq!(refused("7".repeat(NUMBER_MAX + 1).as_bytes()), Malformed::Number);
    assert_eq!(refused(format!("{{\"{}\":1}}", "a".repeat(NAME_MAX)).as_bytes()), Malformed::Name);
    let names: String = (0..=NAMES_MAX).map(|name| format!("\"{name}\":1,")).collect();
    assert_eq!(refused(format!("{{{names}\"\":1}}").as_bytes()), Malformed::Names);
}

#[test]
fn a_text_too_long_to_be_masked_whole_is_redacted() {
    let by = plan(&[("/t", "pii")], &[("pii", Method::Last4)]);
    let body = format!(r#"{{"t":"{}","u":1}}"#, "secret".repeat(MASKED_MAX / 6 + 1));
    assert!(shown(&by, &body) == r#"{"t":"[redacted]","u":1}"#);
    let by = plan(&[("/t", "pii")], &[("pii", Method::Null)]);
    assert!(shown(&by, &body) == r#"{"t":null,"u":1}"#);
    let cut = format!(r#"{{"t":"{}\ud800","u":1}}"#, "secret".repeat(MASKED_MAX / 6 + 1));
    assert!(fed(&by, Documents::One, [cut.as_bytes()]).is_err());
}

#[test]
fn a_long_text_is_searched_as_it_streams_and_passes_as_it_was_written() {
    let by = plan(&[], &[("credit_card", Method::Last4)]);
    let filler = r"caf\u00e9 \/ \ud83d\ude00 and so on, é. ".repeat(SEARCHED_MAX / 20);
    let body = format!(r#"["{filler}4111 1111 1111 111\u0031 {filler}"]"#);
    let masked = format!(r#"["{filler}**** **** **** 1111 {filler}"]"#);
    for size in [1, 7, 4096, body.len()] {
        let out = fed(&by, Documents::One, body.as_bytes().chunks(size)).unwrap();
        assert!(out == masked.as_bytes(), "in pieces of {size}");
    }
}

#[test]
fn each_line_is_a_document_of_its_own() {
    let by = plan(&[("/ssn", "ssn")], &[("ssn", Method::Redact)]);
    let fed = |body: &str| fed(&by, Documents::Lines, [body.as_bytes()]);
    let masked = "{\"ssn\":\"[redacted]\"}\n\n{\"ssn\":\"[redacted]\"}\r\n7\n8";
    assert_eq!(fed("{\"ssn\":\"1\"}\n\n{\"ssn\":\"2\"}\r\n7\n8").unwrap(), masked.as_bytes());
    assert!(fed("{} {}\n").is_err());
    assert!(fed("{\"a\"").is_err());
    assert_eq!(fed("").unwrap(), b"");
}

/// A document without white space, as text.
fn documents() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i32>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| format!("{number:e}")),
        texts(),
    ];
    leaf.prop_recursive(4, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(" ,\n"))),
            prop::collection::btree_map("[a-d]{1,3}|\\PC{0,4}", inner, 0..5).prop_map(|members| {
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(name, value)| format!("{} : {value}", String::from_utf8(string::quoted(&name)).unwrap()))
                    .collect();
                format!("{{{}}}", members.join(",\t"))
            }),
        ]
    })
}

/// A string in which some characters are escaped that need not be.
fn texts() -> impl Strategy<Value = String> {
    (".{0,24}", any::<bool>()).prop_map(|(text, escape)| {
        if !escape {
            return String::from_utf8(string::quoted(&text)).unwrap();
        }
        let units: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        format!("\"{units}\"")
    })
}

fn same_shape(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (one, other) {
        (Array(one), Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_shape(one, other))
        }
        (Object(one), Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same_shape(value, other)))
        }
        (one, other) => !(one.is_array() || one.is_object() || other.is_array() || other.is_object()),
    }
}

/// Cuts at these places, taken modulo the length.
fn cut<'a>(body: &'a [u8], places: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places.iter().map(|place| place % (body.len() + 1)).collect();
    places.sort_unstable();
    let mut pieces = Vec::new();
    let mut start = 0;
    for place in places {
        pieces.push(&body[start..place]);
        start = place;
    }
    pieces.push(&body[start..]);
    pieces
}

proptest! {
    #[test]
    fn what_no_path_names_passes_as_it_was_written(document in documents()) {
        let by = plan(&[("/no/such/place", "pii")], &[("pii", Method::Redact), ("ssn", Method::Redact)]);
        prop_assert_eq!(shown(&by, &document), document);
    }

    #[test]
    fn how_a_body_is_cut_makes_no_difference(
        document in documents(),
        places in prop::collection::vec(any::<usize>(), 0..8),
        method in prop_oneof![Just(Method::Last4), Just(Method::Hash), Just(Method::Null)],
    ) {
        let by = plan(&[("**/a", "pii"), ("/*/1", "pii")], &[("pii", method), ("email", Method::Redact)]);
        let whole = fed(&by, Documents::One, [document.as_bytes()]);
        prop_assert_eq!(fed(&by, Documents::One, cut(document.as_bytes(), &places)), whole.clone());
        prop_assert_eq!(fed(&by, Documents::One, document.as_bytes().chunks(1)), whole);
    }

    #[test]
    fn a_masked_document_keeps_its_shape(document in documents()) {
        let by = plan(&[("**/a", "pii"), ("/*/1", "pii")], &[("pii", Method::Hash)]);
        let before: serde_json::Value = serde_json::from_str(&document).unwrap();
        let after: serde_json::Value = serde_json::from_str(&shown(&by, &document)).unwrap();
        prop_assert!(same_shape(&before, &after), "{} {}", before, after);
    }

    #[test]
    fn a_secret_at_a_masked_path_never_appears(
        document in documents(),
        secret in "[a-z]{12}",
        escaped in any::<bool>(),
        size in 1_usize..40,
    ) {
        let spelled: String = secret.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        let written = if escaped { &spelled } else { &secret };
        let by = plan(&[("/data/**/key", "secret")], &[("secret", Method::Hash)]);
        let body = format!(r#"{{"other":{document},"data":[{{"key":"{written}"}},{{"x":{{"key":["{written}"]}}}}]}}"#);
        let out = String::from_utf8(fed(&by, Documents::One, body.as_bytes().chunks(size)).unwrap()).unwrap();
        prop_assert!(!out.contains(&secret) && !out.contains(&spelled));
        let parsed: serde_json::Value = serde_json::from_str(&out).unwrap();
        prop_assert!(!parsed.to_string().contains(&secret));
    }

    #[test]
    fn any_bytes_are_taken_or_refused(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"{}[]:,\"\\u0123tfn ".to_vec())], 0..64),
        size in 1_usize..9,
    ) {
        let by = plan(&[("**/a", "pii")], &[("pii", Method::Hash), ("ssn", Method::Redact)]);
        let whole = fed(&by, Documents::One, [bytes.as_slice()]);
        let parts = fed(&by, Documents::One, bytes.chunks(size));
        prop_assert_eq!(whole.is_ok(), parts.is_ok());
        if let Ok(out) = whole.and_then(|whole| parts.map(|parts| (whole, parts))) {
            prop_assert_eq!(&out.0, &out.1);
            prop_assert!(bytes.is_empty() || serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
        }
    }
}

#[test]
fn names_are_forgotten_with_their_objects() {
    let mut names = Names::default();
    for _ in 0..2 {
        names.open();
        (0..1000).for_each(|name| names.add(&name.to_string()).unwrap());
        names.open();
        assert_eq!(names.add("7"), Ok(()));
        assert_eq!(names.add("7"), Err(Malformed::Duplicate));
        names.close();
        assert_eq!(names.add("7"), Err(Malformed::Duplicate));
        names.close();
    }
    assert!(names.is_empty());
}

#[test]
fn rules_are_ordered_by_strictness() {
    let rule = |method| Rule { class: Class::from("pii"), method };
    let paths = Paths::new(&[
        (Path::parse("/a").unwrap(), rule(Method::Null)),
        (Path::parse("/b").unwrap(), rule(Method::Last4)),
    ])
    .unwrap();
    let id = |name| paths.rule_at(paths.member(Paths::ROOT, name));
    assert!(id("a") > id("b"));
}
