//! Tags, and how characters are written.

use std::{borrow::Cow, ops::Range};

use super::Malformed;

/// An attribute of a tag.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    /// As written, without its quotation marks.
    pub(super) value: &'a str,
    /// Where the value stands in the tag.
    pub(super) range: Range<usize>,
}

/// Name and attributes of a tag that begins an element, and whether it ends it too.
pub(super) fn start_tag(tag: &str) -> Result<(&str, Vec<Attribute<'_>>, bool), Malformed> {
    let inside = tag.strip_prefix('<').and_then(|tag| tag.strip_suffix('>')).ok_or(Malformed::Tag)?;
    let (inside, is_empty) = match inside.strip_suffix('/') {
        Some(inside) => (inside, true),
        None => (inside, false),
    };
    let length = inside.find(|c: char| c.is_ascii_whitespace()).unwrap_or(inside.len());
    let (name, mut rest) = inside.split_at(length);
    if !is_name(name) {
        return Err(Malformed::Tag);
    }
    let mut attributes = Vec::new();
    loop {
        let trimmed = rest.trim_ascii_start();
        if trimmed.is_empty() {
            return Ok((name, attributes, is_empty));
        }
        if trimmed.len() == rest.len() {
            return Err(Malformed::Tag);
        }
        let (name, value) = trimmed.split_once('=').ok_or(Malformed::Tag)?;
        let name = name.trim_ascii_end();
        let value = value.trim_ascii_start();
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\'')).ok_or(Malformed::Tag)?;
        let (value, after) = value.get(1..).and_then(|value| value.split_once(quote)).ok_or(Malformed::Tag)?;
        if !is_name(name) || value.contains('<') {
            return Err(Malformed::Tag);
        }
        let end = 1 + inside.len() - after.len() - 1;
        attributes.push(Attribute { name, value, range: end - value.len()..end });
        rest = after;
    }
}

/// Whether nothing in it could be taken for other markup. Which letters a name may have is for others to say.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte > b' ' && !matches!(byte, b'<' | b'>' | b'/' | b'=' | b'"' | b'\'' | b'&'))
}

/// Refuses a declaration of another encoding than ours.
pub(super) fn check_declaration(instruction: &str) -> Result<(), Malformed> {
    let Some(declared) = instruction.strip_prefix("<?xml").filter(|rest| rest.starts_with(char::is_whitespace)) else {
        return Ok(());
    };
    let Some((_, encoding)) = declared.split_once("encoding") else { return Ok(()) };
    let encoding = encoding.trim_ascii_start().strip_prefix('=').map(str::trim_ascii_start).unwrap_or_default();
    let quote = encoding.chars().next().filter(|quote| matches!(quote, '"' | '\''));
    let named = quote.and_then(|quote| encoding.get(1..)?.split_once(quote)).map(|(name, _)| name.to_ascii_lowercase());
    match named.as_deref() {
        Some("utf-8" | "us-ascii" | "ascii") => Ok(()),
        _ => Err(Malformed::Encoding),
    }
}

/// What a text or an attribute's value means.
pub(super) fn unescaped(written: &str) -> Result<Cow<'_, str>, Malformed> {
    let Some((mut meant, mut rest)) = written.split_once('&').map(|(head, rest)| (head.to_owned(), rest)) else {
        return Ok(Cow::Borrowed(written));
    };
    loop {
        let (entity, after) = rest.split_once(';').ok_or(Malformed::Entity)?;
        meant.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            entity => character(entity).ok_or(Malformed::Entity)?,
        });
        match after.split_once('&') {
            Some((plain, next)) => {
                meant.push_str(plain);
                rest = next;
            }
            None => {
                meant.push_str(after);
                return Ok(Cow::Owned(meant));
            }
        }
    }
}

/// The character of `#52` or `#x34`.
fn character(reference: &str) -> Option<char> {
    let digits = reference.strip_prefix('#')?;
    let code = match digits.strip_prefix('x') {
        Some(digits) if !digits.starts_with('+') => u32::from_str_radix(digits, 16).ok()?,
        None if !digits.starts_with('+') => digits.parse().ok()?,
        Some(_) | None => return None,
    };
    char::from_u32(code).filter(|c| *c != '\0')
}

/// A text as it may stand anywhere in a document.
pub(super) fn escaped(meant: &str) -> String {
    let mut written = String::with_capacity(meant.len());
    for c in meant.chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&apos;"),
            c => written.push(c),
        }
    }
    written
}
