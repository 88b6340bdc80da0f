//! Answers by text: of repeated texts, and of texts that differ in their integers only.

use std::{cell::RefCell, num::NonZeroUsize, sync::Arc};

use bytes::Bytes;
use lru::LruCache;
use parking_lot::Mutex;

use super::Classified;

/// Most texts that are remembered, in each of the two ways.
pub const CACHED_TEXTS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4095);

/// Longest text that is remembered, in bytes.
pub const CACHED_TEXT_BYTES_MAX: usize = 16 << 10;

/// Most bytes of text that are remembered, in each of the two ways.
pub const CACHED_BYTES_MAX: usize = 8 << 20;

/// Most digits of an integer that another may stand for; more could be another type.
const DIGITS_MAX: usize = 9;

/// Words before a number that is kept: `LIMIT 5`, `FETCH FIRST 5 ROWS`.
const LIMITING: [&[u8]; 3] = [b"limit", b"first", b"next"];

/// Remembers answers until others are asked for more.
#[derive(Debug)]
pub struct Cache {
    /// By the text itself.
    texts: Mutex<Texts>,
    /// By the text with each integer replaced by `0`.
    shapes: Mutex<Texts>,
}

impl Cache {
    pub fn new() -> Self {
        Self { texts: Mutex::new(Texts::new()), shapes: Mutex::new(Texts::new()) }
    }

    pub fn find(&self, text: &[u8]) -> Option<Arc<Classified>> {
        if text.len() > CACHED_TEXT_BYTES_MAX {
            return None;
        }
        let shaped = with_shape(text, |shape| shape.and_then(|shape| self.shapes.lock().find(shape)));
        shaped.or_else(|| self.texts.lock().find(text))
    }

    pub fn keep(&self, text: &Bytes, classified: &Arc<Classified>) {
        if text.len() > CACHED_TEXT_BYTES_MAX {
            return;
        }
        let shape = with_shape(text, |shape| shape.filter(|_| classified.numbers_inert).map(Bytes::copy_from_slice));
        match shape {
            Some(shape) => self.shapes.lock().keep(shape, classified),
            // A copy: the text may be a small part of a large buffer.
            None => self.texts.lock().keep(Bytes::copy_from_slice(text), classified),
        }
    }
}

/// A bounded map from text to answer.
#[derive(Debug)]
struct Texts {
    known: LruCache<Bytes, Arc<Classified>>,
    bytes: usize,
}

impl Texts {
    fn new() -> Self {
        Self { known: LruCache::new(CACHED_TEXTS_MAX), bytes: 0 }
    }

    fn find(&mut self, text: &[u8]) -> Option<Arc<Classified>> {
        self.known.get(text).map(Arc::clone)
    }

    fn keep(&mut self, text: Bytes, classified: &Arc<Classified>) {
        self.bytes += text.len();
        if let Some((replaced, _)) = self.known.push(text, Arc::clone(classified)) {
            self.bytes -= replaced.len();
        }
        while self.bytes > CACHED_BYTES_MAX {
            let Some((oldest, _)) = self.known.pop_lru() else { break };
            self.bytes -= oldest.len();
        }
    }
}

/// Calls `then` with a text's shape, or with nothing when the text has parts that are not plain.
fn with_shape<T>(text: &[u8], then: impl FnOnce(Option<&[u8]>) -> T) -> T {
    thread_local! {
        static SHAPE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    SHAPE.with_borrow_mut(|shape| {
        shape.clear();
        let plain = write_shape(text, shape);
        then(plain.then_some(shape.as_slice()))
    })
}

/// Writes a text with each integer replaced by `0`; says whether that could be done without reading it as the
/// server does. Only words, integers and the simplest operators are plain: no quotes, comments, parameters,
/// casts, decimals, exponents, and no integer beside a letter or a dot.
fn write_shape(text: &[u8], shape: &mut Vec<u8>) -> bool {
    let mut rest = text;
    let mut before = b' ';
    // Policy may read how many rows a statement asks for.
    let mut is_limit = false;
    while let [byte, tail @ ..] = rest {
        if byte.is_ascii_digit() {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (_, after) = rest.split_at(digits);
            let beside = |byte: u8| byte == b'.' || is_word(byte);
            if digits > DIGITS_MAX || beside(before) || after.first().is_some_and(|&byte| beside(byte)) {
                return false;
            }
            let (digits, _) = rest.split_at(digits);
            shape.extend_from_slice(if is_limit { digits } else { b"0" });
            before = b'0';
            rest = after;
            continue;
        }
        if is_word(*byte) {
            let word = rest.iter().take_while(|&&byte| is_word(byte) || byte.is_ascii_digit()).count();
            let (word, after) = rest.split_at(word);
            is_limit = LIMITING.iter().any(|limiting| word.eq_ignore_ascii_case(limiting));
            shape.extend_from_slice(word);
            before = b'a';
            rest = after;
            continue;
        }
        let comment = matches!((before, byte), (b'-', b'-'));
        if comment || !is_plain(*byte) {
            return false;
        }
        shape.push(*byte);
        before = *byte;
        rest = tail;
    }
    true
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

const fn is_plain(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\n' | b'\t' | b',' | b'.' | b'(' | b')' | b'*' | b'=' | b'<' | b'>' | b'+' | b'-' | b';' | b'%'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Option<String> {
        with_shape(text.as_bytes(), |shape| shape.map(|shape| String::from_utf8_lossy(shape).into_owned()))
    }

    #[test]
    fn free_standing_integers_are_one_shape() {
        assert_eq!(
            shape("SELECT a1 FROM t_2 WHERE id=4711 LIMIT 5;").as_deref(),
            Some("SELECT a1 FROM t_2 WHERE id=0 LIMIT 5;")
        );
        assert_eq!(shape("select -1+20").as_deref(), Some("select -0+0"));
    }

    #[test]
    fn how_many_rows_are_asked_for_is_part_of_the_shape() {
        assert_ne!(shape("SELECT 1 LIMIT 5"), shape("SELECT 1 LIMIT 5000"));
        assert_ne!(shape("SELECT 1 Limit(5)"), shape("SELECT 1 Limit(50)"));
        assert_ne!(shape("TABLE t FETCH FIRST 1 ROWS ONLY"), shape("TABLE t FETCH FIRST 9 ROWS ONLY"));
        assert_eq!(shape("SELECT 1 LIMIT 5 OFFSET 10"), shape("SELECT 1 LIMIT 5 OFFSET 20"));
    }

    #[test]
    fn what_is_not_plain_has_no_shape() {
        for text in [
            "SELECT '1'",
            "SELECT 1 -- 2",
            "SELECT 1 /* 2 */",
            "SELECT $1",
            "SELECT 1.5",
            "SELECT 1e5",
            "SELECT .5",
            "SELECT 0x1F",
            "SELECT 1_000",
            "SELECT \"a\"",
            "SELECT 1::int",
            "SELECT 1234567890",
            "SELECT a.1",
            "SELECT é",
            "SELECT E\\1",
            "SELECT 1/2",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
    }
}
