//! What stands between a string's quotation marks: RFC 8259, section 7.

use std::borrow::Cow;

use super::Malformed;

/// A piece of a string as it is written.
#[derive(Debug)]
pub(super) enum Unit<'a> {
    /// Written as it is meant.
    Plain(&'a str),
    /// One character, by its escape.
    Escaped(char),
}

/// Takes a string's inside apart, as far as it is there.
#[derive(Debug)]
pub(super) struct Units<'a> {
    /// What was not taken yet. At the end it holds a unit whose rest is missing, if anything.
    pub(super) rest: &'a [u8],
}

impl<'a> Units<'a> {
    pub(super) fn next(&mut self) -> Result<Option<Unit<'a>>, Malformed> {
        let (unit, rest) = match self.rest.first() {
            None => return Ok(None),
            Some(b'\\') => match escaped(self.rest)? {
                Some((meant, rest)) => (Unit::Escaped(meant), rest),
                None => return Ok(None),
            },
            Some(_) => {
                let length = memchr::memchr(b'\\', self.rest).unwrap_or(self.rest.len());
                let (run, _) = self.rest.split_at(length);
                let text = plain(run, length == self.rest.len())?;
                if text.is_empty() {
                    return Ok(None);
                }
                (Unit::Plain(text), self.rest.get(text.len()..).unwrap_or_default())
            }
        };
        self.rest = rest;
        Ok(Some(unit))
    }
}

/// The text of a whole string, given without its quotation marks.
pub(super) fn decoded(inside: &[u8]) -> Result<Cow<'_, str>, Malformed> {
    if memchr::memchr(b'\\', inside).is_none() {
        return plain(inside, false).map(Cow::Borrowed);
    }
    let mut text = String::with_capacity(inside.len());
    let mut units = Units { rest: inside };
    while let Some(unit) = units.next()? {
        unit.append_to(&mut text);
    }
    if units.rest.is_empty() { Ok(Cow::Owned(text)) } else { Err(Malformed::Escape) }
}

impl Unit<'_> {
    pub(super) fn append_to(&self, text: &mut String) {
        match self {
            Self::Plain(plain) => text.push_str(plain),
            Self::Escaped(meant) => text.push(*meant),
        }
    }
}

/// A run without escapes; one that `goes_on` may end within a character, which is left out.
fn plain(run: &[u8], goes_on: bool) -> Result<&str, Malformed> {
    // Without a branch in its loop the compiler looks at many bytes at once.
    if run.iter().fold(false, |any, byte| any | (*byte < b' ')) {
        return Err(Malformed::Control);
    }
    match str::from_utf8(run) {
        Ok(text) => Ok(text),
        Err(error) if goes_on && error.error_len().is_none() => {
            Ok(run.get(..error.valid_up_to()).and_then(|run| str::from_utf8(run).ok()).unwrap_or_default())
        }
        Err(_) => Err(Malformed::Utf8),
    }
}

/// The character that an escape means, and what follows it; `None`: its rest is missing.
fn escaped(raw: &[u8]) -> Result<Option<(char, &[u8])>, Malformed> {
    let meant = match raw {
        [b'\\', letter, rest @ ..] => match letter {
            b'"' | b'\\' | b'/' => (char::from(*letter), rest),
            b'b' => ('\u{8}', rest),
            b'f' => ('\u{c}', rest),
            b'n' => ('\n', rest),
            b'r' => ('\r', rest),
            b't' => ('\t', rest),
            b'u' => return code_point(rest),
            _ => return Err(Malformed::Escape),
        },
        _ => return Ok(None),
    };
    Ok(Some(meant))
}

/// The character behind `\u`, of which those beyond the basic plane take two escapes.
fn code_point(raw: &[u8]) -> Result<Option<(char, &[u8])>, Malformed> {
    let Some((first, rest)) = code_unit(raw)? else { return Ok(None) };
    if let Some(meant) = char::from_u32(u32::from(first)) {
        return Ok(Some((meant, rest)));
    }
    let second = match rest {
        [b'\\', b'u', second @ ..] => second,
        [] | [b'\\'] => return Ok(None),
        _ => return Err(Malformed::Surrogate),
    };
    let Some((second, rest)) = code_unit(second)? else { return Ok(None) };
    let meant = char::decode_utf16([first, second]).next().and_then(Result::ok).ok_or(Malformed::Surrogate)?;
    Ok(Some((meant, rest)))
}

fn code_unit(raw: &[u8]) -> Result<Option<(u16, &[u8])>, Malformed> {
    let (digits, rest) = raw.split_at(raw.len().min(4));
    let mut unit = 0;
    for digit in digits {
        let digit = char::from(*digit).to_digit(16).ok_or(Malformed::Escape)?;
        unit = unit << 4 | u16::try_from(digit).map_err(|_| Malformed::Escape)?;
    }
    Ok((digits.len() == 4).then_some((unit, rest)))
}

/// How many bytes belong to a string up to and with the quotation mark that ends it; `None`: it goes on.
///
/// `is_escaped` says whether the byte before the first one escapes it, and afterwards whether the last one escapes the next.
pub(super) fn end(bytes: &[u8], is_escaped: &mut bool) -> Option<usize> {
    if bytes.is_empty() {
        return None;
    }
    let mut at = usize::from(std::mem::take(is_escaped));
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)? + 1;
        if bytes.get(at - 1) == Some(&b'"') {
            return Some(at);
        }
        *is_escaped = at == bytes.len();
        at += 1;
    }
}

/// A text as a string; `null` should there be no way to write it.
pub(super) fn quoted(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_else(|_| b"null".to_vec())
}
