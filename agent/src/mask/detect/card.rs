//! Payment card numbers (ISO/IEC 7812): 13 to 19 digits, a known issuer, a valid check digit.

use std::ops::{Range, RangeInclusive};

use super::runs::{is_separator, length_at, runs, stands_apart};

const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;
/// How numbers are printed on cards and typed into forms, longest first.
const GROUPINGS: [&[usize]; 9] = [
    &[4, 4, 4, 4, 3],
    &[4, 4, 4, 4, 2],
    &[4, 4, 4, 4, 1],
    &[4, 4, 4, 4],
    &[4, 4, 4, 3],
    &[4, 4, 4, 2],
    &[4, 4, 4, 1],
    &[4, 6, 5],
    &[4, 6, 4],
];
/// Most digits of a group that are worth counting.
const GROUP_MAX: usize = 7;

/// First four digits and lengths of the networks' numbers.
/// Source: ISO/IEC 7812 issuer ranges as the networks publish them.
const ISSUERS: [(RangeInclusive<u32>, RangeInclusive<usize>); 17] = [
    (4000..=4999, 13..=13), // Visa
    (4000..=4999, 16..=16),
    (4000..=4999, 19..=19),
    (5100..=5599, 16..=16), // Mastercard
    (2221..=2720, 16..=16),
    (3400..=3499, 15..=15), // American Express
    (3700..=3799, 15..=15),
    (3000..=3059, 14..=19), // Diners Club
    (3095..=3095, 14..=19),
    (3600..=3699, 14..=19),
    (3800..=3999, 14..=19),
    (3528..=3589, 16..=19), // JCB
    (2200..=2204, 16..=19), // Mir
    (5000..=5099, 13..=19), // Maestro
    (5600..=5899, 13..=19),
    (6000..=6999, 13..=19), // Maestro, Discover, UnionPay, RuPay
    (8100..=8299, 16..=19), // UnionPay, RuPay
];

pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    for run in runs(text, |byte| byte.is_ascii_digit()) {
        let end = match run.len() {
            4 => grouped(text, run.start),
            DIGITS_MIN..=DIGITS_MAX => plain(text, run.clone()),
            _ => None,
        };
        let number = run.start..end.unwrap_or(run.start);
        if !number.is_empty() && !is_fraction(text, run.start) && stands_apart(text, &number) {
            found.push(number);
        }
    }
}

/// Whether the digits that begin here stand behind a decimal point.
fn is_fraction(text: &[u8], start: usize) -> bool {
    matches!(text.get(..start), Some([.., digit, b'.']) if digit.is_ascii_digit())
}

fn plain(text: &[u8], run: Range<usize>) -> Option<usize> {
    let digits = text.get(run.clone())?;
    is_number(digits.iter().copied()).then_some(run.end)
}

/// The end of a number in groups, with the same separator between all of them.
fn grouped(text: &[u8], start: usize) -> Option<usize> {
    let separator = text.get(start + 4).copied().filter(|byte| is_separator(*byte))?;
    let groups = group_lengths(text, start, separator);
    GROUPINGS.iter().filter(|grouping| groups.starts_with(grouping)).find_map(|grouping| {
        let end = start + grouping.iter().sum::<usize>() + grouping.len() - 1;
        let digits = text.get(start..end)?.iter().copied().filter(u8::is_ascii_digit);
        is_number(digits).then_some(end)
    })
}

/// How many digits the groups have that begin here, up to as many as a number has; zero: no more.
fn group_lengths(text: &[u8], start: usize, separator: u8) -> [usize; 5] {
    let mut lengths = [0; 5];
    let mut position = start;
    for length in &mut lengths {
        *length = length_at(text, position, GROUP_MAX, |byte| byte.is_ascii_digit());
        position += *length;
        if *length == 0 || text.get(position) != Some(&separator) {
            break;
        }
        position += 1;
    }
    lengths
}

fn is_number(digits: impl Iterator<Item = u8> + Clone) -> bool {
    let issuer = digits.clone().take(4).fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
    let length = digits.clone().count();
    let known = ISSUERS.iter().any(|(range, lengths)| range.contains(&issuer) && lengths.contains(&length));
    known && check_digit_is_right(digits, length)
}

/// Luhn's formula (ISO/IEC 7812-1, annex B).
fn check_digit_is_right(digits: impl Iterator<Item = u8>, length: usize) -> bool {
    let sum: u32 = digits
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(digit - b'0');
            let doubled = (length - index).is_multiple_of(2);
            if doubled { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}
