//! Searches a value that comes in pieces and is too long to be held.
//!
//! How it is cut into pieces makes no difference: what is let go is decided by the text alone. Held is the word that has
//! not ended, and what stands before it as far as a number in groups could reach; a private key from its beginning on.

use super::{
    super::{Masked, Masker},
    Detectors, pem,
};

/// Longest word that is held to be searched whole. Of a longer one, matches of up to [`OVERLAP`] bytes are found for
/// certain, and of a longer match the rest of the word goes with it.
const WORD_MAX: usize = 1 << 14;
/// Longest private key that is held to be masked whole. Of a longer one the rest is left out.
const KEY_MAX: usize = 1 << 14;
/// How much of a long word is searched again with what follows it.
const OVERLAP: usize = 320;
/// How far before a word that has not ended a match with spaces in it may begin: more than any of those is long.
const GROUPS: usize = 64;
/// How much of what was let go is kept to see what stands before a match: more than any detector looks at.
const CONTEXT: usize = 128;
/// Most bytes that are looked at in one go.
const PIECE: usize = 1 << 14;

/// Finds and masks content in one decoded value that comes in pieces.
///
/// It finds what [`Detectors::scan`] finds, with three exceptions: the end of a private key whose beginning is missing; an
/// AWS secret whose key id stands behind it; and one that is alone in the value but for white space. One that is alone on
/// a line is found instead. A match that must be null is left out, since the value has begun to pass.
#[derive(Debug, Default)]
pub struct Sieve {
    /// What was let go last, and what is held.
    text: Vec<u8>,
    /// Where in `text` that begins which is held.
    held: usize,
    has_passed: bool,
    has_passed_id: bool,
    left_out: LeftOut,
}

/// What follows a match too long to be held, and belongs to it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum LeftOut {
    #[default]
    Nothing,
    Word,
    Key,
}

/// What becomes of the next bytes of the value.
#[derive(Debug, Eq, PartialEq)]
pub enum Sifted<'a> {
    Kept(&'a [u8]),
    /// So many bytes, in whose place this text stands.
    Masked {
        length: usize,
        text: Vec<u8>,
    },
}

impl Sieve {
    /// Takes more of the value, and hands out what can be let go. Parts no character that was not parted.
    pub fn feed(&mut self, by: &Detectors, masker: &Masker, text: &[u8], each: &mut dyn FnMut(Sifted<'_>)) {
        for piece in text.chunks(PIECE) {
            self.text.extend_from_slice(piece);
            while self.leave_out(each) && self.settle(by, masker, false, each) {}
            self.forget();
        }
    }

    /// Takes the value's end, and hands out the rest.
    pub fn finish(&mut self, by: &Detectors, masker: &Masker, each: &mut dyn FnMut(Sifted<'_>)) {
        while self.leave_out(each) && self.settle(by, masker, true, each) {}
        let length = self.text.len() - self.held;
        if length > 0 {
            each(Sifted::Masked { length, text: Vec::new() });
        }
        *self = Self::default();
    }

    /// How many bytes it holds on to.
    pub const fn holds(&self) -> usize {
        self.text.capacity()
    }

    /// Drops what belongs to a match that was masked already; `false`: all there is may belong to it.
    fn leave_out(&mut self, each: &mut dyn FnMut(Sifted<'_>)) -> bool {
        let held = self.text.get(self.held..).unwrap_or_default();
        let (length, is_over) = match self.left_out {
            LeftOut::Nothing => return true,
            LeftOut::Word => match held.iter().position(|byte| !is_word(*byte)) {
                Some(end) => (end, true),
                None => (held.len(), false),
            },
            LeftOut::Key => match pem::end_of_key(held) {
                Some(end) => (end, true),
                None => (held.len().saturating_sub(CONTEXT), false),
            },
        };
        if length > 0 {
            each(Sifted::Masked { length, text: Vec::new() });
        }
        self.held += length;
        if is_over {
            self.left_out = LeftOut::Nothing;
            // What stood before is no context: a match's own bytes.
            self.text.drain(..self.held);
            self.held = 0;
        }
        is_over
    }

    /// Lets go of what nothing that follows could change; `false`: of nothing.
    fn settle(&mut self, by: &Detectors, masker: &Masker, is_end: bool, each: &mut dyn FnMut(Sifted<'_>)) -> bool {
        let Some(reach) = self.reach(is_end) else { return false };
        let text = self.text.get(..reach.view).unwrap_or_default();
        let is_end = is_end && reach.view == self.text.len();
        let passing =
            Passing { text, from: self.held, is_start: !self.has_passed, is_end, has_passed_id: self.has_passed_id };
        let (mut at, mut until) = (self.held, reach.until);
        for found in by.find_passing(passing) {
            let range = found.range.start.max(self.held)..found.range.end;
            if range.end <= self.held || range.start >= until {
                continue;
            }
            let is_long_key = found.is_key && range.len() > KEY_MAX;
            let goes_on = range.end > until && !is_end || found.is_key && range.end == text.len() && !is_end;
            if range.start > self.held && (goes_on || is_long_key) {
                until = range.start; // Seen again with what follows it.
                break;
            }
            if goes_on && found.is_key && !is_long_key {
                return false;
            }
            let end = if is_long_key { range.start + KEY_MAX } else { range.end };
            keep(text, at, range.start, each);
            let whole = text.get(range.start..end).unwrap_or_default();
            let masked = match masker.apply(found.method, found.class, whole) {
                Masked::Value(masked) => masked,
                Masked::Null => Vec::new(),
            };
            each(Sifted::Masked { length: whole.len(), text: masked });
            at = end;
            if is_long_key {
                self.left_out = LeftOut::Key;
                until = end;
                break;
            }
            if end == text.len() && !is_end {
                self.left_out = LeftOut::Word;
            }
        }
        until = until.max(at);
        keep(text, at, until, each);
        self.has_passed_id |= by.has_id(text.get(..until).unwrap_or_default());
        self.has_passed |= until > self.held;
        let has_settled = until > self.held;
        self.held = until;
        has_settled
    }

    /// How much may be looked at, and how much of that let go; `None`: nothing.
    fn reach(&self, is_end: bool) -> Option<Reach> {
        let held = self.text.get(self.held..)?;
        let length = match long_word(held) {
            Some(0) => {
                let view = self.held + WORD_MAX;
                return Some(Reach { view, until: character_start(&self.text, view - OVERLAP) });
            }
            Some(start) => start,
            None if is_end => held.len(),
            None => settled(held),
        };
        (length > 0).then_some(Reach { view: self.text.len(), until: self.held + length })
    }

    fn forget(&mut self) {
        if self.held > 8 * CONTEXT {
            self.text.drain(..self.held - CONTEXT);
            self.held = CONTEXT;
        }
    }
}

/// What of a value has come, for detectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing<'a> {
    pub(super) text: &'a [u8],
    /// What stands before it was let go.
    pub(super) from: usize,
    /// The first byte is the value's first.
    pub(super) is_start: bool,
    /// The last byte is the value's last.
    pub(super) is_end: bool,
    pub(super) has_passed_id: bool,
}

/// Positions up to which something may be done.
struct Reach {
    view: usize,
    until: usize,
}

/// Where the first word begins of which [`WORD_MAX`] bytes are there.
fn long_word(held: &[u8]) -> Option<usize> {
    let mut start = 0;
    while held.len() - start >= WORD_MAX {
        let word = held.get(start..start + WORD_MAX)?;
        match word.iter().rposition(|byte| !is_word(*byte)) {
            Some(last) => start += last + 1,
            None => return Some(start),
        }
    }
    None
}

/// How many bytes belong to no match that has not ended.
fn settled(held: &[u8]) -> usize {
    let word = held.iter().rposition(|byte| !is_word(*byte)).map_or(0, |last| last + 1);
    if held.len() - word > GROUPS {
        return word;
    }
    let from = word.saturating_sub(GROUPS);
    let before = held.get(from..word).unwrap_or_default();
    match before.iter().rposition(|byte| is_break(*byte)) {
        Some(last) => from + last + 1,
        None if from == 0 => 0,
        // Maybe within a word: a number may stand at its end, and go on behind it.
        None => character_start(held, from),
    }
}

fn keep(text: &[u8], from: usize, to: usize, each: &mut dyn FnMut(Sifted<'_>)) {
    if let Some(kept) = text.get(from..to).filter(|kept| !kept.is_empty()) {
        each(Sifted::Kept(kept));
    }
}

/// The last position up to this one at which a character of UTF-8 begins.
fn character_start(text: &[u8], at: usize) -> usize {
    let inside = (0..3).take_while(|back| text.get(at - back).is_some_and(|byte| byte & 0xc0 == 0x80)).count();
    at - inside
}

/// What may stand within a match.
fn is_word(byte: u8) -> bool {
    byte != b' ' && !is_break(byte)
}

/// What stands within no match but a private key.
fn is_break(byte: u8) -> bool {
    byte < b' '
        || matches!(
            byte,
            b'"' | b','
                | b';'
                | b':'
                | b'<'
                | b'>'
                | b'('
                | b')'
                | b'['
                | b']'
                | b'{'
                | b'}'
                | b'|'
                | b'\\'
                | b'?'
                | b'&'
                | b'`'
                | b'='
        )
}

#[cfg(test)]
mod tests;
