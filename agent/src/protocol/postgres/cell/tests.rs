use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::*;
use crate::{
    mask::Masker,
    policy::Obligations,
    protocol::postgres::playbook::catalogue,
    sql::{Classifier, SessionState},
};

const SECRET: &str = "536-90-4399";
const METHODS: [Method; 6] =
    [Method::Last4, Method::Partial, Method::Pseudonym, Method::Hash, Method::Redact, Method::Null];

/// A duty to mask social security numbers and cards.
fn shield(method: Method) -> Arc<Shield> {
    let masks = BTreeMap::from([(Class::from("ssn"), method), (Class::from("credit_card"), method)]);
    let obligations = Arc::new(Obligations { masks, ..Obligations::default() });
    let classifier = Arc::new(Classifier::new(catalogue()));
    let classified = classifier.classify(&Bytes::from_static(b"SELECT ssn FROM customers"), &SessionState::default());
    Shield::new(&Arc::new(Masker::new([7; 32])), &obligations, &classifier, &classified, false).unwrap()
}

fn masked(type_oid: u32, is_binary: bool, method: Method, value: &[u8]) -> Option<Vec<u8>> {
    masked_by(&shield(method), type_oid, is_binary, method, value)
}

fn masked_by(shield: &Shield, type_oid: u32, is_binary: bool, method: Method, value: &[u8]) -> Option<Vec<u8>> {
    match Shape::of(type_oid, is_binary).mask(shield, &Class::from("ssn"), method, value) {
        Change::Value(value) => Some(value),
        Change::Null => None,
        Change::None => panic!("a value of a masked class passed as it came"),
    }
}

fn masked_text(type_oid: u32, method: Method, value: &str) -> Option<String> {
    masked(type_oid, false, method, value.as_bytes()).map(|value| String::from_utf8(value).unwrap())
}

fn scanned(type_oid: u32, is_binary: bool, value: &[u8]) -> Change {
    Shape::of(type_oid, is_binary).scan(&shield(Method::Redact), value)
}

#[test]
fn a_masked_value_is_in_no_type_and_no_format() {
    let forms = [SECRET.to_owned(), format!("{{{SECRET}}}"), format!("({SECRET},1)"), format!("{{\"{SECRET}\":[1]}}")];
    for method in METHODS {
        let shield = shield(method);
        for (type_oid, is_binary) in (1..4200).chain([16_384]).flat_map(|oid| [(oid, false), (oid, true)]) {
            for form in &forms {
                let shown = masked_by(&shield, type_oid, is_binary, method, form.as_bytes()).unwrap_or_default();
                let finds = memchr::memmem::find(&shown, SECRET.as_bytes()).is_some();
                assert!(!finds, "{type_oid} {is_binary} {method:?}: {}", String::from_utf8_lossy(&shown));
            }
        }
    }
}

#[test]
fn a_masked_number_is_the_same_number_in_both_formats() {
    for (type_oid, kind) in [
        (20, Kind::Int8),
        (21, Kind::Int2),
        (23, Kind::Int4),
        (26, Kind::Oid),
        (700, Kind::Float4),
        (701, Kind::Float8),
        (1700, Kind::Numeric),
    ] {
        for method in METHODS {
            let text = masked(type_oid, false, method, b"12345").map(|value| kind.whole(&value, false).unwrap());
            let value = kind.write(12_345, true).unwrap();
            let binary = masked(type_oid, true, method, &value).map(|value| kind.whole(&value, true).unwrap());
            assert_eq!(text, binary, "{kind:?} {method:?}");
            assert_eq!(text.is_some(), matches!(method, Method::Hash | Method::Pseudonym), "{kind:?} {method:?}");
        }
    }
    assert_eq!(masked_text(1700, Method::Last4, "536904399.00").as_deref(), Some("4399"));
    assert_eq!(masked_text(1700, Method::Hash, "1.5"), None);
    assert_eq!(masked_text(23, Method::Pseudonym, "536904399").unwrap().len(), 9);
}

#[test]
fn a_masked_uuid_is_the_same_uuid_in_both_formats() {
    let text = masked_text(2950, Method::Hash, "00112233-4455-6677-8899-aabbccddeeff").unwrap();
    let value = hex::decode("00112233445566778899aabbccddeeff").unwrap();
    let binary = masked(2950, true, Method::Hash, &value).unwrap();
    assert_eq!(text.replace('-', ""), hex::encode(binary));
    assert_eq!(text.len(), 36);
    assert_eq!(masked_text(2950, Method::Partial, "00112233-4455-6677-8899-aabbccddeeff"), None);
}

#[test]
fn json_keeps_its_shape_and_the_names_of_columns_alone() {
    let row = format!(r#"{{"id":1,"ssn":"{SECRET}","{SECRET}":[true,null,"x"]}}"#);
    let shown = r#"{"id":null,"ssn":"[redacted]","[redacted]":[null,null,"[redacted]"]}"#;
    assert_eq!(masked_text(114, Method::Redact, &row).as_deref(), Some(shown));
    let binary = masked(3802, true, Method::Redact, format!("\x01{row}").as_bytes()).unwrap();
    assert_eq!(binary, format!("\x01{shown}").as_bytes());
    assert_eq!(masked_text(114, Method::Last4, &format!("\"{SECRET}\"")).as_deref(), Some("\"***-**-4399\""));
    assert_eq!(masked_text(114, Method::Redact, "broken"), None);
}

#[test]
fn arrays_are_masked_element_by_element() {
    assert_eq!(
        masked_text(1009, Method::Last4, "{{536-90-4399,NULL},{\"078-05-1120\",\"\"}}").as_deref(),
        Some(r#"{{"***-**-4399",NULL},{"***-**-1120",""}}"#)
    );
    assert_eq!(masked_text(1007, Method::Redact, "{536904399,5}").as_deref(), Some("{NULL,NULL}"));
    assert_eq!(masked_text(1182, Method::Hash, "{1970-01-01}").as_deref(), Some("{NULL}"));
    assert_eq!(masked_text(1009, Method::Null, "{a}"), None);
    assert_eq!(masked_text(2249, Method::Redact, "(1,536-90-4399)").as_deref(), Some("(,)"));
}

#[test]
fn a_record_in_binary_is_masked_by_the_types_of_its_fields() {
    let record = [&b"\0\0\0\x02\0\0\0\x17\0\0\0\x04\x20\0\x6f\x7f\0\0\0\x19\0\0\0\x0b"[..], SECRET.as_bytes()].concat();
    let shown = masked(2249, true, Method::Redact, &record).unwrap();
    assert_eq!(shown, b"\0\0\0\x02\0\0\0\x17\xff\xff\xff\xff\0\0\0\x19\0\0\0\x0a[redacted]");
}

#[test]
fn nesting_ends_somewhere() {
    let mut record = b"\0\0\0\x01\0\0\0\x19\0\0\0\x01x".to_vec();
    for _ in 0..10_000 {
        let length = u32::try_from(record.len()).unwrap().to_be_bytes();
        record = [&b"\0\0\0\x01\0\0\x08\xc9"[..], &length, &record].concat();
    }
    assert!(masked(2249, true, Method::Redact, &record).unwrap().len() < record.len());
    assert_ne!(scanned(2249, true, &record), Change::None);
}

#[test]
fn bytes_are_masked_and_searched_as_bytes_in_either_format() {
    assert_eq!(unhex(b"\\x6162"), b"ab");
    assert_eq!(unhex(b"ab\\001"), b"ab\\001");
    let hexadecimal = format!("\\x{}", hex::encode(SECRET));
    let shown = masked_text(17, Method::Last4, &hexadecimal).unwrap();
    assert_eq!(shown, format!("\\x{}", hex::encode("***-**-4399")));
    assert_eq!(scanned(17, false, hexadecimal.as_bytes()), Change::Null);
}

#[test]
fn no_mark_up_is_made() {
    assert_eq!(masked_text(142, Method::Partial, "<ssn>536</ssn>").as_deref(), Some("[redacted]"));
    assert_eq!(masked_text(142, Method::Redact, "<ssn/>").as_deref(), Some("[redacted]"));
}

#[test]
fn content_is_found_inside_arrays_records_and_numbers() {
    let card = 4_111_111_111_111_111_i64;
    let array = [&b"\0\0\0\x01\0\0\0\0\0\0\0\x14\0\0\0\x01\0\0\0\x01\0\0\0\x08"[..], &card.to_be_bytes()].concat();
    assert!(!Shape::of(1016, true).is_scannable_raw());
    let Change::Value(shown) = scanned(1016, true, &array) else { panic!() };
    assert!(shown.ends_with(b"\xff\xff\xff\xff"));
    let record = [&b"\0\0\0\x01\0\0\0\x14\0\0\0\x08"[..], &card.to_be_bytes()].concat();
    assert!(!Shape::of(2249, true).is_scannable_raw());
    assert!(matches!(scanned(2249, true, &record), Change::Value(_)));
    assert_eq!(scanned(701, true, &(card as f64).to_be_bytes()), Change::Null);
    assert_eq!(
        scanned(1009, false, br#"{"4111 1111 1111 1111",fine}"#),
        Change::Value(br#"{"[redacted]",fine}"#.to_vec())
    );
    assert_eq!(scanned(1009, false, b"{fine,NULL}"), Change::None);
    assert_eq!(guessed_digits(&card.to_be_bytes()).as_deref(), Some("4111111111111111"));
    assert_eq!(guessed_digits(&1.0_f64.to_be_bytes()), None, "a float's bits are no card");
}

#[test]
fn types_of_extensions_are_searched_inside_and_never_replaced() {
    assert_eq!(Shape::of(16999, false), Shape::Loose);
    assert_eq!(Shape::of(16999, true), Shape::Opaque);
    assert_eq!(masked_text(16999, Method::Redact, SECRET), None);
    assert_eq!(Shape::of(1043, true), Shape::Text);
}
