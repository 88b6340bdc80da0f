//! AWS access keys: the id, which says what it is, and the secret, which does not.

use std::ops::Range;

use super::{runs::runs, sieve::Passing};

/// Characters of an access key id, prefix included.
const ID: usize = 20;
/// Long-term, temporary, bearer and context keys.
/// Source: IAM user guide, "IAM identifiers", unique identifiers.
const ID_PREFIXES: [&[u8; 4]; 4] = [b"AKIA", b"ASIA", b"ABIA", b"ACCA"];
/// Characters of a secret access key.
const SECRET: usize = 40;
/// How far a secret may reach from where the sweep meets its run: a window, and its own length.
const NEAR: usize = super::planes::WINDOW + SECRET;
/// How far before a secret a word that names it may begin.
const CONTEXT_MAX: usize = 64;

pub(super) fn find_ids(text: &[u8], found: &mut Vec<Range<usize>>) {
    let words = runs(text, |byte| byte.is_ascii_alphanumeric());
    found.extend(words.filter(|word| word.len() == ID && is_id(text.get(word.clone()).unwrap_or_default())));
}

/// Whether an access key id stands here, whatever is beside it.
pub(super) fn is_id_at(text: &[u8], start: usize) -> bool {
    text.get(start..start + ID).is_some_and(is_id)
}

/// Whether twenty letters and digits are an access key id.
fn is_id(word: &[u8]) -> bool {
    ID_PREFIXES.iter().any(|prefix| word.starts_with(*prefix))
        && word.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Finds secrets: forty characters of base64, neither hexadecimal nor a mere word, that are the whole
/// value, stand shortly after a word that names them, or share the value with an access key id.
pub(super) fn find_secrets(text: &[u8], found: &mut Vec<Range<usize>>) {
    let mut ids = None;
    for run in runs(text, is_base64) {
        if run.len() != SECRET || !is_random(text.get(run.clone()).unwrap_or_default()) {
            continue;
        }
        let mut beside_id = || *ids.get_or_insert_with(|| has_id(text));
        if text.trim_ascii().len() == SECRET || is_named(text, run.start) || beside_id() {
            found.push(run);
        }
    }
}

/// The same in a value that has not come whole: secrets that are alone on a line, named, or behind a key id.
pub(super) fn find_passing_secrets(passing: Passing<'_>, found: &mut Vec<Range<usize>>) {
    let text = passing.text;
    let mut ids = Vec::new();
    find_ids(text, &mut ids);
    for run in runs(text, is_base64) {
        if run.len() != SECRET || !is_random(text.get(run.clone()).unwrap_or_default()) {
            continue;
        }
        let begins = run.start.checked_sub(1).map_or(passing.is_start, |before| text.get(before) == Some(&b'\n'));
        let ends = text.get(run.end).map_or(passing.is_end, |byte| matches!(byte, b'\r' | b'\n'));
        let is_behind_id = || passing.has_passed_id || ids.iter().any(|id| id.end <= run.start);
        if begins && ends || is_named(text, run.start) || is_behind_id() {
            found.push(run);
        }
    }
}

/// Whether the run of base64 around a position could have a secret in it, whatever is beside that.
///
/// A run longer than [`NEAR`] on either side is judged by that much of it.
pub(super) fn is_secret_near(text: &[u8], position: usize) -> bool {
    let near = text.get(position.saturating_sub(NEAR)..text.len().min(position + NEAR)).unwrap_or_default();
    if !near.iter().fold(false, |any, byte| any | byte.is_ascii_uppercase()) {
        return false; // Without a branch in its loop the compiler looks at many bytes at once.
    }
    let (head, tail) = near.split_at(position.min(NEAR).min(near.len()));
    let before = head.iter().rev().take_while(|byte| is_base64(**byte)).count();
    let after = tail.iter().take_while(|byte| is_base64(**byte)).count();
    before + after >= SECRET && near.get(head.len() - before..head.len() + after).is_some_and(is_random)
}

/// The bytes of standard base64 but for its padding (RFC 4648, section 4).
pub(super) const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// Whether it has letters in both cases and digits, as all but one in a thousand secrets have, and
/// no hexadecimal digest does.
fn is_random(text: &[u8]) -> bool {
    let has = |class: fn(&u8) -> bool| text.iter().any(class);
    has(u8::is_ascii_uppercase)
        && has(u8::is_ascii_lowercase)
        && has(u8::is_ascii_digit)
        && !text.iter().all(u8::is_ascii_hexdigit)
}

fn is_named(text: &[u8], start: usize) -> bool {
    let context = text.get(start.saturating_sub(CONTEXT_MAX)..start).unwrap_or_default();
    [b"aws".as_slice(), b"secret"]
        .iter()
        .any(|word| context.windows(word.len()).any(|candidate| candidate.eq_ignore_ascii_case(word)))
}

pub(super) fn has_id(text: &[u8]) -> bool {
    let mut ids = Vec::new();
    find_ids(text, &mut ids);
    !ids.is_empty()
}
