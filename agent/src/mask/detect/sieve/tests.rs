use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{mask::Method, target::Class};

fn detectors() -> Detectors {
    let classes = ["credit_card", "ssn", "email", "iban", "secret"];
    Detectors::for_masks(&BTreeMap::from(classes.map(|class| (Class::from(class), Method::Redact))))
}

fn sifted<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let (detectors, masker, mut sieve) = (detectors(), Masker::new([7; 32]), Sieve::default());
    let (mut out, mut length, mut fed) = (Vec::new(), 0, 0);
    let mut each = |next: Sifted<'_>| match next {
        Sifted::Kept(text) => {
            length += text.len();
            out.extend_from_slice(text);
        }
        Sifted::Masked { length: masked, text } => {
            length += masked;
            out.extend_from_slice(&text);
        }
    };
    for piece in pieces {
        fed += piece.len();
        sieve.feed(&detectors, &masker, piece, &mut each);
        assert!(sieve.holds() <= 8 * PIECE, "{}", sieve.holds());
    }
    sieve.finish(&detectors, &masker, &mut each);
    assert_eq!(length, fed, "each byte is accounted for");
    out
}

const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc=\n-----END RSA PRIVATE KEY-----";

#[test]
fn what_is_found_whole_is_found_in_pieces() {
    let long = "aGVsbG8".repeat(300);
    for text in [
        "call 4111 1111 1111 1111 now".to_owned(),
        "DE89 3704 0044 0532 0130 00".to_owned(),
        "ssn is 536904399, or 536-90-4399.".to_owned(),
        "to ann@example.com, bob@example.com".to_owned(),
        format!("x {KEY} y"),
        format!("token eyJhbGciOiJIUzI1NiJ9.{long}.{long} end"),
        "AKIAIOSFODNN7EXAMPLE,wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
    ] {
        let whole = detectors().scan(&Masker::new([7; 32]), text.as_bytes());
        let Some(Masked::Value(whole)) = whole else { panic!("{text}") };
        for size in [1, 3, 64, text.len()] {
            assert_eq!(sifted(text.as_bytes().chunks(size)), whole, "{text} in pieces of {size}");
        }
    }
}

#[test]
fn what_ends_in_a_line_is_let_go_with_it() {
    let (detectors, masker, mut sieve) = (detectors(), Masker::new([7; 32]), Sieve::default());
    let mut out = Vec::new();
    sieve.feed(&detectors, &masker, b"4111 1111 1111 1111 is a card\n", &mut |next| {
        if let Sifted::Kept(text) = next {
            out.extend_from_slice(text);
        }
    });
    assert_eq!(out, b" is a card\n");
}

#[test]
fn of_a_key_too_long_to_be_held_nothing_passes() {
    let body = "MIIEpAIBAAKCAQEA\n".repeat(3000);
    let text = format!("a\n-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\nz");
    for size in [7, 1000, text.len()] {
        assert_eq!(sifted(text.as_bytes().chunks(size)), b"a\n[redacted]\nz", "in pieces of {size}");
    }
    let open = format!("a\n-----BEGIN PRIVATE KEY-----\n{body}");
    assert_eq!(sifted(open.as_bytes().chunks(100)), b"a\n[redacted]");
}

#[test]
fn a_long_word_is_cut_alike_and_hides_nothing_on_its_border() {
    for filler in [WORD_MAX - OVERLAP - 8, WORD_MAX - 8, 2 * WORD_MAX, 3 * WORD_MAX + 17] {
        let text = format!("{}!4111-1111-1111-1111!{}", "x".repeat(filler), "y".repeat(WORD_MAX));
        let whole = sifted([text.as_bytes()]);
        assert!(!whole.windows(4).any(|digits| digits == b"1111"), "{filler}");
        assert_eq!(sifted(text.as_bytes().chunks(501)), whole, "{filler}");
    }
    let token = format!("eyJhbGciOiJIUzI1NiJ9.{} end", "a".repeat(3 * WORD_MAX));
    assert_eq!(sifted(token.as_bytes().chunks(999)), b"[redacted] end");
}

fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("4111 1111 1111 1111"),
        Just("4111111111111111"),
        Just("536-90-4399"),
        Just("ann@example.com"),
        Just("DE89 3704 0044 0532 0130 00"),
        Just("AKIAIOSFODNN7EXAMPLE"),
        Just("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        Just("secret"),
        Just("-----BEGIN PRIVATE KEY-----"),
        Just("-----END PRIVATE KEY-----"),
        Just("ssn "),
        Just("536904399"),
        Just(" "),
        Just("\n"),
        Just(", "),
        Just("word"),
        Just("12 34"),
        Just("é"),
        Just("-"),
        Just("."),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn how_a_text_is_cut_makes_no_difference(text in texts(), size in 1_usize..50) {
        let whole = sifted([text.as_bytes()]);
        prop_assert_eq!(sifted(text.as_bytes().chunks(size)), whole, "in pieces of {}", size);
    }

    #[test]
    fn any_bytes_pass_or_are_masked(bytes in prop::collection::vec(any::<u8>(), 0..600), size in 1_usize..90) {
        prop_assert_eq!(sifted(bytes.chunks(size)), sifted([bytes.as_slice()]));
    }
}
