//! Stable tokens in place of values.

use crate::target::Class;

/// Bits of the hash that a token carries: 100, so that two values never meet by chance.
const TOKEN_CHARS: usize = 20;
/// RFC 4648 base32 in lower case. Its few digits keep tokens from looking like a card number.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The token of a value: its class, and a keyed hash of class and canonical value.
///
/// The same value of the same class gives the same token under one key, however it is written.
pub(super) fn token(key: &[u8; 32], class: &Class, text: &str) -> String {
    format!("{class}_{}", base32(&digest(key, class, &canonical(&class.0, text))))
}

/// The keyed hash of a class and a value in its canonical spelling.
pub(super) fn digest(key: &[u8; 32], class: &Class, canonical: &str) -> [u8; 32] {
    let class = class.0.as_bytes();
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&(class.len() as u64).to_le_bytes());
    hasher.update(class);
    hasher.update(canonical.as_bytes());
    hasher.finalize().into()
}

/// One spelling for the many in which a value may be written.
fn canonical(class: &str, text: &str) -> String {
    match class {
        "email" => text.trim().to_lowercase(),
        "credit_card" | "ssn" | "iban" => {
            text.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_uppercase()).collect()
        }
        _ => text.trim().to_owned(),
    }
}

fn base32(hash: &[u8; 32]) -> String {
    let (bits, _) = hash.split_at(16);
    let mut bits = bits.iter().fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
    let mut text = String::with_capacity(TOKEN_CHARS);
    for _ in 0..TOKEN_CHARS {
        let letter = ALPHABET.get((bits & 31) as usize).copied().unwrap_or_default();
        text.push(char::from(letter));
        bits >>= 5;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(class: &str, text: &str) -> String {
        token(&[7; 32], &Class::from(class), text)
    }

    #[test]
    fn one_value_has_one_token_however_it_is_written() {
        assert_eq!(hash("email", "Ann@Example.com "), hash("email", "ann@example.com"));
        assert_eq!(hash("credit_card", "4111-1111-1111-1111"), hash("credit_card", "4111111111111111"));
        assert_eq!(hash("iban", "de89 3704 0044 0532 0130 00"), hash("iban", "DE89370400440532013000"));
    }

    #[test]
    fn tokens_differ_by_value_by_class_and_by_key() {
        let one = hash("pii", "ann");
        assert_ne!(one, hash("pii", "Ann"));
        assert_ne!(hash("email", "ann").trim_start_matches("email_"), one.trim_start_matches("pii_"));
        assert_ne!(token(&[8; 32], &Class::from("pii"), "ann"), one);
        assert_ne!(hash("a", "bc").trim_start_matches("a_"), hash("ab", "c").trim_start_matches("ab_"));
    }

    #[test]
    fn tokens_are_stable_across_versions() {
        assert_eq!(hash("email", "ann@example.com"), "email_w5eth6loeknqis5dq4t4");
    }
}
