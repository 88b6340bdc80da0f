//! Pseudonyms that keep a number's format: digits for digits, by a key.
//!
//! FF1 of NIST SP 800-38G over AES-256: a permutation of all numbers of one length, so that two values never
//! meet and columns stay joinable. <https://doi.org/10.6028/NIST.SP.800-38Gr1-draft>

use std::sync::Arc;

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};

use crate::target::Class;

/// Fewest digits: below a domain of one million the cipher can be tried out (SP 800-38G Rev. 1, section 5.2).
pub(super) const DIGITS_MIN: usize = 6;
/// Most digits of one value; no number of people, cards or accounts is longer.
const DIGITS_MAX: usize = 64;
/// Characters that people write between digits.
const SEPARATORS: &str = " -./()+";
/// What the cipher's key is derived for.
const PURPOSE: &str = "portcullis mask pseudonym v1";
/// Most encryptions until a number fits its type: of ten digits one in nine fits an `int4`, the worst case.
const WALK_MAX: usize = 1000;
const RADIX: u32 = 10;

/// The permutation of one site.
#[derive(Clone)]
pub(super) struct Pseudonyms(Option<Arc<FF1<Aes256>>>);

impl Pseudonyms {
    pub fn new(key: &[u8; 32]) -> Self {
        let key = blake3::derive_key(PURPOSE, key);
        Self(FF1::new(&key, RADIX).ok().map(Arc::new))
    }

    /// A text with other digits in place of its own; `None` for what is not digits with separators.
    pub fn text(&self, class: &Class, text: &str) -> Option<String> {
        if !text.chars().all(|c| c.is_ascii_digit() || SEPARATORS.contains(c)) {
            return None;
        }
        let digits: Vec<u16> =
            text.chars().filter_map(|c| c.to_digit(RADIX)).map_while(|d| d.try_into().ok()).collect();
        let mut digits = self.permuted(class, digits)?.into_iter();
        let replaced = |c: char| if c.is_ascii_digit() { digits.next().and_then(digit) } else { Some(c) };
        text.chars().map(replaced).collect()
    }

    /// Another number with as many digits, at most `max`; `None` for a number with too few.
    ///
    /// Encrypts until the outcome fits, which is a permutation of the numbers that fit.
    pub fn number(&self, class: &Class, number: u64, max: u64) -> Option<u64> {
        let mut digits: Vec<u16> = number.to_string().bytes().map(|digit| u16::from(digit - b'0')).collect();
        for _ in 0..WALK_MAX {
            digits = self.permuted(class, digits)?;
            let text: String = digits.iter().copied().map_while(digit).collect();
            let fits = text.parse().ok().filter(|number: &u64| *number <= max && !text.starts_with('0'));
            if fits.is_some() {
                return fits;
            }
        }
        None
    }

    fn permuted(&self, class: &Class, digits: Vec<u16>) -> Option<Vec<u16>> {
        if !(DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()) {
            return None;
        }
        let permuted = self.0.as_ref()?.encrypt(class.0.as_bytes(), &FlexibleNumeralString::from(digits)).ok()?;
        Some(permuted.into())
    }
}

fn digit(numeral: u16) -> Option<char> {
    char::from_digit(numeral.into(), RADIX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn text(text: &str) -> Option<String> {
        Pseudonyms::new(&[7; 32]).text(&Class::from("ssn"), text)
    }

    #[test]
    fn digits_keep_their_number_and_their_places() {
        let shown = text("536-90-4399").unwrap();
        assert!(shown != "536-90-4399" && shown.len() == 11);
        assert!(shown.chars().zip("536-90-4399".chars()).all(|(a, b)| a.is_ascii_digit() == b.is_ascii_digit()));
        assert_eq!(text("536904399").unwrap(), shown.replace('-', ""), "however it is written");
    }

    #[test]
    fn what_has_too_few_digits_or_letters_has_no_pseudonym() {
        for plain in ["12345", "", "---", "A123456", "DE89370400440532013000", "１２３４５６７８"] {
            assert_eq!(text(plain), None, "{plain}");
        }
        assert_eq!(text(&"1".repeat(DIGITS_MAX + 1)), None);
    }

    #[test]
    fn a_number_stays_in_its_type_and_no_two_meet() {
        let pseudonyms = Pseudonyms::new(&[7; 32]);
        let max = u64::from(i32::MAX.unsigned_abs());
        let shown: BTreeSet<u64> = (2_000_000_000..2_000_000_200)
            .map(|number| pseudonyms.number(&Class::from("ssn"), number, max).unwrap())
            .collect();
        assert_eq!(shown.len(), 200);
        assert!(shown.iter().all(|number| (1_000_000_000..=max).contains(number)));
    }

    #[test]
    fn pseudonyms_differ_by_class_and_by_key_and_stay_the_same_otherwise() {
        let of = |key: u8, class: &str| Pseudonyms::new(&[key; 32]).text(&Class::from(class), "4111111111111111");
        assert_eq!(of(7, "credit_card"), of(7, "credit_card"));
        assert_ne!(of(7, "credit_card"), of(8, "credit_card"));
        assert_ne!(of(7, "credit_card"), of(7, "ssn"));
    }
}
