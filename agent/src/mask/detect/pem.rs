//! Private keys in PEM (RFC 7468), whole or cut off at either end.

use std::ops::Range;

use super::{runs::before, sieve::Passing};

const LABEL: &[u8] = b"PRIVATE KEY";
/// What OpenPGP writes between label and dashes (RFC 9580, section 6.2).
const OPENPGP: &[u8] = b" BLOCK";
const DASHES: &[u8] = b"-----";

/// Finds blocks from `-----BEGIN … PRIVATE KEY-----` to the matching end. Without an end the rest of
/// the value belongs to it; an end without beginning takes the text before it that could be a key.
pub(super) fn find(text: &[u8], found: &mut Vec<Range<usize>>) {
    let mut open = None;
    let mut closed = 0;
    for boundary in boundaries(text) {
        match (open, boundary.ends) {
            (Some(_), false) => {}
            (None, false) => open = Some(boundary.start),
            (begin, true) => {
                let start = begin.unwrap_or_else(|| body_start(text, closed, boundary.start));
                found.push(start..boundary.end);
                open = None;
                closed = boundary.end;
            }
        }
    }
    if let Some(start) = open {
        found.push(start..text.len());
    }
}

/// The same in a value that has not come whole: blocks that begin in what is held.
pub(super) fn find_passing(passing: Passing<'_>, found: &mut Vec<Range<usize>>) {
    let mut open = None;
    for boundary in boundaries(passing.text).filter(|boundary| boundary.start >= passing.from) {
        match open {
            None if !boundary.ends => open = Some(boundary.start),
            Some(start) if boundary.ends => {
                found.push(start..boundary.end);
                open = None;
            }
            None | Some(_) => {}
        }
    }
    found.extend(open.map(|start| start..passing.text.len()));
}

/// Where the end stands of a key that has begun before.
pub(super) fn end_of_key(text: &[u8]) -> Option<usize> {
    boundaries(text).find(|boundary| boundary.ends).map(|boundary| boundary.end)
}

fn boundaries(text: &[u8]) -> impl Iterator<Item = Boundary> {
    memchr::memmem::find_iter(text, LABEL).filter_map(|label| Boundary::at(text, label))
}

/// Whether dashes begin at a position, behind what may be a label: `PRIVATE KEY` or `PRIVATE KEY BLOCK`.
pub(super) fn label_ends_at(text: &[u8], position: usize) -> bool {
    matches!(before(text, position), Some(b'Y' | b'K')) && text.get(position) == Some(&b'-')
}

/// One `-----BEGIN …-----` or `-----END …-----`.
struct Boundary {
    start: usize,
    end: usize,
    ends: bool,
}

impl Boundary {
    fn at(text: &[u8], label: usize) -> Option<Self> {
        let (head, tail) = text.split_at(label);
        let rest = tail.get(LABEL.len()..)?;
        let rest = rest.strip_prefix(OPENPGP).unwrap_or(rest);
        let rest = rest.strip_prefix(DASHES)?;
        let words = head.iter().rev().take_while(|byte| byte.is_ascii_uppercase() || **byte == b' ').count();
        let (before, words) = head.split_at(head.len() - words);
        let dashes = before.iter().rev().take_while(|byte| **byte == b'-').count();
        Some(Self { start: before.len() - dashes, end: text.len() - rest.len(), ends: words.starts_with(b"END ") })
    }
}

/// How far back from `end` the text could be a key's base64 and line ends, escaped ones included.
fn body_start(text: &[u8], from: usize, end: usize) -> usize {
    let before = text.get(from..end).unwrap_or_default();
    let body = before.iter().rev().take_while(|byte| is_body(**byte)).count();
    end - body
}

fn is_body(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || matches!(byte, b'+' | b'/' | b'=' | b'\\')
}
