//! International bank account numbers (ISO 13616): a country's length, and a checksum of 1.

use std::ops::Range;

use super::runs::{in_word, runs};

/// Country, check digits: what comes before the account number.
const HEAD: usize = 4;
/// Digits or letters in each printed group.
const GROUP: usize = 4;
/// Where the running number of the checksum is reduced, long before it could overflow.
const REDUCED_BELOW: u64 = u64::MAX >> 8;
/// Countries and the length of their numbers, from the SWIFT IBAN registry.
#[rustfmt::skip]
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24), (b"AE", 23), (b"AL", 28), (b"AT", 20), (b"AZ", 28), (b"BA", 20), (b"BE", 16), (b"BG", 22),
    (b"BH", 22), (b"BI", 27), (b"BR", 29), (b"BY", 28), (b"CH", 21), (b"CR", 22), (b"CY", 28), (b"CZ", 24),
    (b"DE", 22), (b"DJ", 27), (b"DK", 18), (b"DO", 28), (b"EE", 20), (b"EG", 29), (b"ES", 24), (b"FI", 18),
    (b"FK", 18), (b"FO", 18), (b"FR", 27), (b"GB", 22), (b"GE", 22), (b"GI", 23), (b"GL", 18), (b"GR", 27),
    (b"GT", 28), (b"HN", 28), (b"HR", 21), (b"HU", 28), (b"IE", 22), (b"IL", 23), (b"IQ", 23), (b"IS", 26),
    (b"IT", 27), (b"JO", 30), (b"KW", 30), (b"KZ", 20), (b"LB", 28), (b"LC", 32), (b"LI", 21), (b"LT", 20),
    (b"LU", 20), (b"LV", 21), (b"LY", 25), (b"MC", 27), (b"MD", 24), (b"ME", 22), (b"MK", 19), (b"MN", 20),
    (b"MR", 27), (b"MT", 31), (b"MU", 30), (b"NI", 28), (b"NL", 18), (b"NO", 15), (b"OM", 23), (b"PK", 24),
    (b"PL", 28), (b"PS", 29), (b"PT", 25), (b"QA", 29), (b"RO", 24), (b"RS", 22), (b"RU", 33), (b"SA", 24),
    (b"SC", 31), (b"SD", 18), (b"SE", 24), (b"SI", 19), (b"SK", 24), (b"SM", 27), (b"SO", 23), (b"ST", 25),
    (b"SV", 28), (b"TL", 23), (b"TN", 24), (b"TR", 26), (b"UA", 29), (b"VA", 22), (b"VG", 24), (b"XK", 20),
    (b"YE", 30),
];

pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    for word in runs(text, |byte| byte.is_ascii_alphanumeric()) {
        let end = end_of_number(text, word.start).filter(|end| !in_word(text.get(*end).copied()));
        found.extend(end.map(|end| word.start..end));
    }
}

/// Where the number ends that begins here, whatever stands beside it.
pub(super) fn end_of_number(text: &[u8], start: usize) -> Option<usize> {
    let [a, b, c, d] = text.get(start..start + HEAD)? else { return None };
    if !(c.is_ascii_digit() && d.is_ascii_digit()) {
        return None;
    }
    let length = length_of(*a, *b)?;
    let end = if in_word(text.get(start + HEAD).copied()) { start + length } else { grouped_end(text, start, length)? };
    checksum_is_right(text.get(start..end)?).then_some(end)
}

fn length_of(a: u8, b: u8) -> Option<usize> {
    let country = [a.to_ascii_uppercase(), b.to_ascii_uppercase()];
    let index = LENGTHS.binary_search_by_key(&&country, |(code, _)| *code).ok()?;
    LENGTHS.get(index).map(|(_, length)| *length)
}

/// Where a number of this length ends that is printed in groups of four.
fn grouped_end(text: &[u8], start: usize, length: usize) -> Option<usize> {
    let separators = (length - 1) / GROUP;
    let end = start + length + separators;
    let separator = text.get(start + GROUP).copied().filter(|byte| matches!(byte, b' ' | b'-'))?;
    text.get(start..end)?
        .chunks(GROUP + 1)
        .all(|chunk| chunk.get(GROUP).is_none_or(|byte| *byte == separator))
        .then_some(end)
}

/// ISO 7064 MOD 97-10 over letters and digits, separators left out; anything else is wrong.
fn checksum_is_right(number: &[u8]) -> bool {
    let (head, account) = number.split_at(HEAD.min(number.len()));
    let mut rest = 0_u64;
    for byte in account.iter().chain(head) {
        rest = match byte {
            b'0'..=b'9' => rest * 10 + u64::from(byte - b'0'),
            b'a'..=b'z' => rest * 100 + u64::from(byte - b'a') + 10,
            b'A'..=b'Z' => rest * 100 + u64::from(byte - b'A') + 10,
            b' ' | b'-' => continue,
            _ => return false,
        };
        if rest > REDUCED_BELOW {
            rest %= 97;
        }
    }
    rest % 97 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_are_in_order() {
        assert!(LENGTHS.is_sorted_by(|one, next| one.0 < next.0));
    }
}
