use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const CLASSES: [&str; 5] = ["credit_card", "ssn", "email", "iban", "secret"];

const CARDS: [&str; 16] = [
    "4111111111111111",
    "4111 1111 1111 1111",
    "4111-1111-1111-1111",
    "4111.1111.1111.1111",
    "4222222222222",
    "4222 2222 2222 2",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "3782 822463 10005",
    "30569309025904",
    "3056 930902 5904",
    "6011111111111117",
    "3530111333300000",
    "6304000000000000",
    "6200000000000000000",
];
const SSNS: [&str; 4] = ["123-45-6789", "123 45 6789", "123.45.6789", "899-99-9999"];
const EMAILS: [&str; 9] = [
    "ann@example.com",
    "a@b.io",
    "ann.lee+tag@mail.example.co.uk",
    "o'brien@example.org",
    "x_1%y@sub-domain.example.museum",
    "jürgen@müller.de",
    "ann@example.xn--p1ai",
    "ann@例え.テスト",
    "_svc@10.example.com",
];
const IBANS: [&str; 7] = [
    "DE89370400440532013000",
    "DE89 3704 0044 0532 0130 00",
    "DE89-3704-0044-0532-0130-00",
    "de89370400440532013000",
    "GB82 WEST 1234 5698 7654 32",
    "NO9386011117947",
    "MT84MALT011000012345MTLCAST001S",
];
const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq83vEjRWeJA=\n-----END RSA PRIVATE KEY-----";
const SECRETS: [&str; 8] = [
    "AKIAIOSFODNN7EXAMPLE",
    "ASIAJEXAMPLEXEG2JICE",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE9",
    JWT,
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM",
    KEY,
    "-----BEGIN PRIVATE KEY-----\\nMIIEpAIBAAKC",
];

/// What is no sensitive content, however much it looks like it.
const INNOCENT: [&str; 42] = [
    // Numbers: wrong check digit, unknown issuer, too short, too long, times, fractions, digests.
    "4111111111111112",
    "1111111111111117",
    "411111111111",
    "41111111111111111111",
    "1700000000000",
    "20240101123045",
    "0.4111111111111111",
    "4111 1111 1111 1112",
    "4111 1111-1111 1111",
    "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3",
    "a1b4111111111111111d2f",
    "identification4111111111111111",
    "550e8400-e29b-41d4-a716-446655440000",
    "2026-11-21 10:52:24.123456+00",
    // Social security numbers that were never issued, and other groups of digits.
    "000-12-3456",
    "666-12-3456",
    "900-12-3456",
    "123-00-4567",
    "123-45-0000",
    "123-45-67890",
    "123-456-7890",
    "123-45 6789",
    "1-123-45-6789",
    "123456789",
    "order 123456789",
    // No addresses.
    "@ann",
    "ann@",
    "ann@localhost",
    "ann@example.c",
    "ann@10.0.0.1",
    "{\"@type\": \"x\"}",
    "a @ b.com",
    // No accounts: wrong checksum, wrong length, unknown country.
    "DE88370400440532013000",
    "DE8937040044053201300",
    "ZZ89370400440532013000",
    "XDE89370400440532013000",
    // No secrets.
    "AKIAIOSFODNN7EXAMPL",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "eyJhbGciOiJIUzI1NiJ9",
    "eyJub3RoaW5n.abc",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----",
];

fn all(method: Method) -> Detectors {
    only(&CLASSES, method)
}

fn only(classes: &[&str], method: Method) -> Detectors {
    Detectors::for_masks(&classes.iter().map(|class| (Class::from(*class), method)).collect())
}

fn masker() -> Masker {
    Masker::new([7; 32])
}

/// The value as the workload receives it; panics if nothing was found.
fn masked(detectors: &Detectors, value: &str) -> String {
    match detectors.scan(&masker(), value.as_bytes()) {
        Some(Masked::Value(masked)) => String::from_utf8(masked).unwrap(),
        Some(Masked::Null) => "NULL".to_owned(),
        None => panic!("nothing found in {value}"),
    }
}

fn samples() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of = |class, values: &'static [&'static str]| values.iter().map(move |value| (class, *value));
    of("credit_card", &CARDS)
        .chain(of("ssn", &SSNS))
        .chain(of("email", &EMAILS))
        .chain(of("iban", &IBANS))
        .chain(of("secret", &SECRETS))
}

#[test]
fn every_sample_is_found_by_its_class_and_masked_whole() {
    for (class, value) in samples() {
        assert_eq!(masked(&only(&[class], Method::Redact), value), "[redacted]", "{value}");
    }
}

#[test]
fn every_sample_is_found_inside_text() {
    for (class, value) in samples() {
        let detectors = only(&[class], Method::Redact);
        // A bare secret key says nothing of itself: its name has to stand before it.
        for (head, tail) in [("AWS: \"", "\""), ("aws=", "\nnext"), ("(secret ", ")"), ("{\"secret\":[\"", "\",1]}")] {
            let text = format!("{head}{value}{tail}");
            let found = masked(&detectors, &text);
            let cut_off = class == "secret" && !value.ends_with("KEY-----") && value.contains("BEGIN");
            let expected = if cut_off { format!("{head}[redacted]") } else { format!("{head}[redacted]{tail}") };
            assert_eq!(found, expected, "{text}");
        }
    }
}

#[test]
fn innocent_values_pass_untouched() {
    let detectors = all(Method::Redact);
    for value in INNOCENT {
        assert_eq!(detectors.scan(&masker(), value.as_bytes()), None, "{value}");
    }
}

#[test]
fn a_class_that_is_not_masked_is_not_searched() {
    for (class, value) in samples() {
        let others: Vec<_> = CLASSES.into_iter().filter(|other| *other != class).collect();
        let detectors = only(&others, Method::Redact);
        assert_eq!(detectors.scan(&masker(), value.as_bytes()), None, "{class} {value}");
    }
    assert!(Detectors::default().is_empty());
    assert!(only(&["pii", "health"], Method::Null).is_empty());
    assert!(!Detectors::default().prefilter(CARDS[0].as_bytes()));
}

#[test]
fn each_method_masks_in_place() {
    let text = "card 4111 1111 1111 1111, ann@example.com, 123-45-6789.";
    assert_eq!(masked(&all(Method::Last4), text), "card **** **** **** 1111, **********e*com, ***-**-6789.");
    assert_eq!(masked(&all(Method::Partial), text), "card **** **** **** 1111, a***@e***.com, ***-**-6789.");
    assert_eq!(masked(&all(Method::Redact), text), "card [redacted], [redacted], [redacted].");
    assert_eq!(masked(&all(Method::Null), text), "NULL");
    let hashed = masked(&all(Method::Hash), text);
    assert!(hashed.starts_with("card credit_card_") && hashed.contains(", email_") && hashed.contains(", ssn_"));
}

#[test]
fn a_token_in_text_is_the_token_of_the_column() {
    let Masked::Value(column) = masker().apply(Method::Hash, &Class::from("email"), b"Ann@Example.com") else {
        panic!()
    };
    let text = masked(&all(Method::Hash), "to ann@example.com!");
    assert_eq!(text, format!("to {}!", String::from_utf8(column).unwrap()));
}

#[test]
fn overlapping_matches_are_masked_as_one_by_the_strictest() {
    let masks = BTreeMap::from([
        (Class::from("email"), Method::Redact),
        (Class::from("credit_card"), Method::Last4),
        (Class::from("ssn"), Method::Partial),
    ]);
    let detectors = Detectors::for_masks(&masks);
    assert_eq!(masked(&detectors, "4111111111111111@example.com"), "[redacted]");
    assert_eq!(masked(&detectors, "x 123-45-6789@example.com"), "x [redacted]");
    assert_eq!(masked(&detectors, "4111 1111 4115 1111 1111 1117"), "**** **** **** **** **** 1117");
}

#[test]
fn one_value_that_must_be_null_makes_the_whole_null() {
    let masks = BTreeMap::from([(Class::from("email"), Method::Hash), (Class::from("ssn"), Method::Null)]);
    let detectors = Detectors::for_masks(&masks);
    assert_eq!(masked(&detectors, "ann@example.com 123-45-6789"), "NULL");
    assert_ne!(masked(&detectors, "ann@example.com"), "NULL");
}

#[test]
fn numbers_are_found_beside_dates_and_codes() {
    let detectors = only(&["credit_card"], Method::Redact);
    assert_eq!(masked(&detectors, "4111 1111 1111 1111 12/27 123"), "[redacted] 12/27 123");
    assert_eq!(masked(&detectors, "4111 1111 1111 1111 2027"), "[redacted] 2027");
    assert_eq!(masked(&detectors, "2027 4111 1111 1111 1111"), "2027 [redacted]");
    assert_eq!(masked(&detectors, "card4111111111111111exp"), "card[redacted]exp");
    assert_eq!(masked(&detectors, "4111111111111111.00"), "[redacted].00");
}

#[test]
fn nine_digits_are_a_social_security_number_only_when_named() {
    let detectors = only(&["ssn"], Method::Redact);
    assert_eq!(masked(&detectors, "{\"ssn\": \"123456789\"}"), "{\"ssn\": \"[redacted]\"}");
    assert_eq!(masked(&detectors, "Social Security No. 123456789"), "Social Security No. [redacted]");
    let far = format!("ssn{}123456789", " ".repeat(40));
    assert_eq!(detectors.scan(&masker(), far.as_bytes()), None);
}

#[test]
fn a_secret_key_is_found_beside_its_id() {
    let text = "AKIAIOSFODNN7EXAMPLE,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE9";
    assert_eq!(masked(&all(Method::Redact), text), "[redacted],[redacted]");
    let alone = "x,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE9";
    assert_eq!(all(Method::Redact).scan(&masker(), alone.as_bytes()), None);
}

#[test]
fn a_private_key_cut_off_at_the_front_is_found_by_its_end() {
    let detectors = only(&["secret"], Method::Redact);
    assert_eq!(masked(&detectors, "AIBAAKCAQEA\nq83v=\n-----END RSA PRIVATE KEY-----\nbye"), "[redacted]\nbye");
    assert_eq!(masked(&detectors, "GIN PRIVATE KEY-----\nMIIE"), "[redacted]");
    let two = format!("{KEY}\n{KEY}");
    assert_eq!(masked(&detectors, &two), "[redacted]\n[redacted]");
}

#[test]
fn text_that_is_not_utf8_is_searched_too() {
    let detectors = all(Method::Last4);
    let value = b"\xff 4111111111111111 \xfe";
    assert_eq!(detectors.scan(&masker(), value), Some(Masked::Value(b"\xff ************1111 \xfe".to_vec())));
    let address = b"\xff@example.com";
    assert_eq!(detectors.scan(&masker(), address), Some(Masked::Value(b"[redacted]".to_vec())));
}

/// Every byte may be looked at a bounded number of times; what is found is bounded by what is there.
#[test]
fn hostile_text_is_searched_in_linear_work() {
    for unit in [
        "@",
        "a@",
        "a@b.",
        "4",
        "4444 ",
        "eyJ",
        "eyJ.",
        "eyJ_.",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "DE89 ",
        "AKIA",
        "ssn 1",
    ] {
        let text = unit.repeat(1 << 20 >> unit.len().ilog2());
        for kind in Kind::ALL {
            let mut found = Vec::new();
            kind.find(text.as_bytes(), &mut found);
            let covered: usize = found.iter().map(ExactSizeIterator::len).sum();
            assert!(covered <= 5 * text.len(), "{kind:?} {unit}");
        }
        let _ = all(Method::Last4).scan(&masker(), text.as_bytes());
    }
}

/// Text in which sensitive content is likely, whole, broken or glued together.
fn text() -> impl Strategy<Value = String> {
    let sample = proptest::sample::select(samples().map(|(_, value)| value).collect::<Vec<_>>());
    let part = prop_oneof![
        4 => sample.prop_map(str::to_owned),
        2 => "[0-9]{1,20}",
        2 => "[ -.@,;:_/\"{}\\n]{1,3}",
        2 => "[a-zA-Z]{1,12}",
        1 => "\\PC{0,6}",
        1 => Just("ssn secret AKIA eyJ ".to_owned()),
    ];
    proptest::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn the_prefilter_never_misses(before: Vec<u8>, value in text(), after: Vec<u8>, pad in 0_usize..130) {
        let wire = [vec![b' '; pad], before, value.clone().into_bytes(), after].concat();
        for class in CLASSES {
            let detectors = only(&[class], Method::Redact);
            let mut found = Vec::new();
            for rule in &detectors.rules {
                rule.kind.find(value.as_bytes(), &mut found);
            }
            if !found.is_empty() {
                prop_assert!(detectors.prefilter(&wire), "{} {:?}", class, value);
                prop_assert!(detectors.scan(&masker(), value.as_bytes()).is_some());
            }
        }
    }

    #[test]
    fn what_was_found_occurs_nowhere_in_what_leaves(value in text()) {
        for method in [Method::Last4, Method::Partial, Method::Hash, Method::Redact] {
            let detectors = all(method);
            let Some(Masked::Value(masked)) = detectors.scan(&masker(), value.as_bytes()) else { continue };
            let found = detectors.find(value.as_bytes());
            for secret in found.iter().map(|found| &value[found.range.clone()]) {
                // Glued to an identifier the same digits are no match, and stay.
                let matches = found.iter().filter(|found| value[found.range.clone()].contains(secret)).count();
                if value.matches(secret).count() == matches {
                    prop_assert!(memchr::memmem::find(&masked, secret.as_bytes()).is_none(), "{:?} {:?}", method, value);
                }
            }
        }
    }

    #[test]
    fn nothing_is_found_in_what_was_masked(index in 0_usize..44, head in "[a-z ,;\"]{0,5} ", tail in " [a-z ,;\"]{0,5}") {
        let (_, value) = samples().nth(index).unwrap();
        for method in [Method::Last4, Method::Partial, Method::Hash, Method::Redact] {
            let detectors = all(method);
            if let Some(Masked::Value(masked)) = detectors.scan(&masker(), format!("{head}{value}{tail}").as_bytes()) {
                prop_assert_eq!(detectors.scan(&masker(), &masked), None);
            }
        }
    }

    #[test]
    fn any_bytes_are_searched_without_panic(value: Vec<u8>) {
        let _ = all(Method::Partial).scan(&masker(), &value);
    }

    #[test]
    fn matches_are_in_order_and_apart(value in text()) {
        let detectors = all(Method::Redact);
        let found = detectors.find(value.as_bytes());
        prop_assert!(found.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
    }
}

#[test]
fn every_kind_of_content_has_its_class_among_the_detected() {
    for kind in Kind::ALL {
        assert!(DETECTED.contains(&kind.class()), "{kind:?}");
    }
    assert!(DETECTED.iter().all(|class| Kind::ALL.iter().any(|kind| kind.class() == *class)));
}
