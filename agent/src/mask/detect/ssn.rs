//! US social security numbers.
//!
//! Written `AAA-GG-SSSS` (or with spaces or dots) they are recognised anywhere. Nine bare digits
//! are an order number far more often, so that they count only shortly after the words.

use std::ops::Range;

use super::runs::{is_separator, runs, stands_apart};

const WRITTEN: usize = "AAA-GG-SSSS".len();
pub(super) const BARE: usize = 9;
/// How far before nine bare digits a word that names them may begin.
const CONTEXT_MAX: usize = 32;

pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    for run in runs(text, |byte| byte.is_ascii_digit()) {
        let length = match run.len() {
            3 if is_written(text, run.start) => WRITTEN,
            BARE if is_bare(text, run.start) => BARE,
            _ => continue,
        };
        let number = run.start..run.start + length;
        if stands_apart(text, &number) {
            found.push(number);
        }
    }
}

/// Whether nine digits that start here stand shortly after a word that names them.
pub(super) fn is_named(text: &[u8], start: usize) -> bool {
    let context = text.get(start.saturating_sub(CONTEXT_MAX)..start).unwrap_or_default();
    memchr::memchr2_iter(b's', b'S', context).any(|word| {
        let word = context.get(word..).unwrap_or_default();
        [b"ssn".as_slice(), b"social"]
            .iter()
            .any(|name| word.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name)))
    })
}

fn is_bare(text: &[u8], start: usize) -> bool {
    let Some([a, b, c, d, e, f, g, h, i]) = text.get(start..start + BARE) else { return false };
    is_issued(&[*a, *b, *c], &[*d, *e], &[*f, *g, *h, *i]) && is_named(text, start)
}

/// Whether `AAA-GG-SSSS` stands here, and not as part of a longer row of groups.
fn is_written(text: &[u8], start: usize) -> bool {
    let Some([a, b, c, separator, d, e, second, f, g, h, i]) = text.get(start..start + WRITTEN) else { return false };
    let digits = [a, b, c, d, e, f, g, h, i];
    separator == second
        && is_separator(*separator)
        && digits.iter().all(|digit| digit.is_ascii_digit())
        && is_issued(&[*a, *b, *c], &[*d, *e], &[*f, *g, *h, *i])
        && !continues(text, start, *separator)
}

/// Whether more groups precede or follow: then it is a telephone or an order number.
fn continues(text: &[u8], start: usize, separator: u8) -> bool {
    let (head, tail) = text.split_at(start.min(text.len()));
    let precedes = matches!(head, [.., digit, last] if digit.is_ascii_digit() && *last == separator);
    let follows =
        matches!(tail.get(WRITTEN..), Some([next, digit, ..]) if *next == separator && digit.is_ascii_digit());
    precedes || follows
}

/// Whether the Social Security Administration may have issued the number: areas 000, 666 and 900
/// to 999, group 00 and serial 0000 never were (SSA POMS RM 10201.035).
fn is_issued(area: &[u8], group: &[u8], serial: &[u8]) -> bool {
    !matches!(area, b"000" | b"666" | [b'9', ..]) && group != b"00" && serial != b"0000"
}
