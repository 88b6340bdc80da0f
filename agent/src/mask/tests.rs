use super::*;

fn apply(method: Method, class: &str, value: &[u8]) -> Masked {
    Masker::new([7; 32]).apply(method, &Class::from(class), value)
}

fn value(text: &str) -> Masked {
    Masked::Value(text.as_bytes().to_vec())
}

#[test]
fn each_method_masks_a_whole_value() {
    let card = b"4111 1111 1111 1111";
    assert_eq!(apply(Method::Last4, "credit_card", card), value("**** **** **** 1111"));
    assert_eq!(apply(Method::Partial, "email", b"ann@example.com"), value("a***@e***.com"));
    assert_eq!(apply(Method::Redact, "pii", b"anything"), value(REDACTED));
    assert_eq!(apply(Method::Null, "pii", b"anything"), Masked::Null);
    let Masked::Value(token) = apply(Method::Hash, "email", b"ann@example.com") else { panic!() };
    assert!(token.starts_with(b"email_") && token.len() == "email_".len() + 20);
}

#[test]
fn a_pseudonym_keeps_digits_and_is_a_token_for_all_else() {
    let Masked::Value(shown) = apply(Method::Pseudonym, "ssn", b"123-45-6789") else { panic!() };
    assert!(shown.len() == 11 && shown[3] == b'-' && shown != b"123-45-6789");
    assert_eq!(apply(Method::Pseudonym, "pii", b"Ann"), apply(Method::Hash, "pii", b"Ann"));
}

#[test]
fn an_empty_value_stays_empty_unless_it_must_be_null() {
    for method in [Method::Last4, Method::Partial, Method::Pseudonym, Method::Hash, Method::Redact] {
        assert_eq!(apply(method, "pii", b""), value(""));
    }
    assert_eq!(apply(Method::Null, "pii", b""), Masked::Null);
}

#[test]
fn what_is_not_utf8_is_never_shown_in_part() {
    for method in [Method::Last4, Method::Partial, Method::Pseudonym, Method::Hash, Method::Redact] {
        assert_eq!(apply(method, "pii", b"secret\xff12345678"), value(REDACTED));
    }
    assert_eq!(apply(Method::Null, "pii", b"\xff"), Masked::Null);
}

#[test]
fn stricter_methods_win_by_max() {
    let ordered = [Method::Last4, Method::Partial, Method::Pseudonym, Method::Hash, Method::Redact, Method::Null];
    assert!(ordered.is_sorted());
}

#[test]
fn the_key_stays_out_of_debug_output() {
    assert_eq!(format!("{:?}", Masker::new([7; 32])), "Masker { .. }");
}

#[test]
fn scan_finds_what_the_masks_name() {
    let masker = Masker::new([7; 32]);
    let masks = BTreeMap::from([(Class::from("ssn"), Method::Last4)]);
    assert_eq!(masker.scan(b"it is 123-45-6789", &masks), Some(value("it is ***-**-6789")));
    assert_eq!(masker.scan(b"it is ann@example.com", &masks), None);
}
