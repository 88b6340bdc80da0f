//! Runs of bytes of one class, and what stands beside them.

use std::ops::Range;

/// The maximal runs of bytes that belong to a class.
pub(super) fn runs(text: &[u8], member: impl Fn(u8) -> bool) -> impl Iterator<Item = Range<usize>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let before = rest.iter().position(|byte| member(*byte))?;
        let (_, run) = rest.split_at(before);
        let length = run.iter().position(|byte| !member(*byte)).unwrap_or(run.len());
        let start = text.len() - run.len();
        rest = run.get(length..).unwrap_or_default();
        Some(start..start + length)
    })
}

/// The byte just before a position; `None` at the start of the value.
pub(super) fn before(text: &[u8], position: usize) -> Option<u8> {
    text.get(position.checked_sub(1)?).copied()
}

/// How many bytes from `start` on belong to a class, counted up to `limit`.
pub(super) fn length_at(text: &[u8], start: usize, limit: usize, member: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    rest.iter().take(limit).take_while(|byte| member(**byte)).count()
}

/// Whether a byte belongs to the same word as a letter or digit beside it.
pub(super) fn in_word(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// Longest word that may stand glued to a number, as in `card4111…`; beyond it is an identifier.
const GLUED_WORD_MAX: usize = 12;

/// Whether a number stands for itself: beside it there is at most a plain word, not the rest of an
/// identifier such as a hex digest.
pub(super) fn stands_apart(text: &[u8], number: &Range<usize>) -> bool {
    let (head, tail) = (text.get(..number.start).unwrap_or_default(), text.get(number.end..).unwrap_or_default());
    is_plain(head.iter().rev()) && is_plain(tail.iter())
}

/// Whether what stands beside begins with no more than a plain word.
fn is_plain<'a>(beside: impl Iterator<Item = &'a u8>) -> bool {
    for (letters, byte) in beside.enumerate() {
        if !byte.is_ascii_alphabetic() {
            return !byte.is_ascii_digit();
        }
        if letters == GLUED_WORD_MAX {
            return false;
        }
    }
    true
}

/// What people write between the groups of a number.
pub(super) fn is_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_maximal_and_in_order() {
        let found: Vec<_> = runs(b"12ab3", |byte| byte.is_ascii_digit()).collect();
        assert_eq!(found, [0..2, 4..5]);
        assert_eq!(runs(b"", |_| true).count(), 0);
    }
}
