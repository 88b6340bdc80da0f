//! XML 1.0 that is masked as it streams: texts and the values of attributes, by path and by content.
//!
//! A path names elements from the root by their local names, `/order/card`, and attributes by `@` and theirs:
//! `/order/@id`. Everything inside a masked element is masked. Document types and entities of their own are refused, for
//! they let a text be written where nobody looks for it.

mod markup;

use std::sync::Arc;

use self::markup::{Attribute, escaped, unescaped};
use super::{
    BodyError, BodyPlan,
    path::{Paths, Place, RuleId},
};
use crate::mask::{Masked, Masker, REDACTED};

/// Longest text, tag or comment, in bytes as written.
pub const TOKEN_MAX: usize = 1 << 20;
/// Deepest nesting of elements.
pub const DEPTH_MAX: usize = 256;
/// Longest name of an element.
pub const NAME_MAX: usize = 1 << 10;

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    #[error("a document type or another declaration")]
    Declaration,
    #[error("an encoding other than UTF-8")]
    Encoding,
    #[error("a text, tag or comment of more than {TOKEN_MAX} bytes")]
    Token,
    #[error("a tag that cannot be read")]
    Tag,
    #[error("a tag that ends what did not begin")]
    Unbalanced,
    #[error("an entity that is not one of XML's own")]
    Entity,
    #[error("nested deeper than {DEPTH_MAX}")]
    Depth,
    #[error("an element's name of more than {NAME_MAX} bytes")]
    Name,
    #[error("the document ends too early")]
    Truncated,
}

/// Masks one document.
#[derive(Debug)]
pub struct XmlMask {
    plan: Arc<BodyPlan>,
    masker: Arc<Masker>,
    /// What has begun and not ended: a text, or markup.
    held: Vec<u8>,
    /// How much of it holds no end.
    searched: usize,
    /// Within a tag, the quotation mark that is open.
    quote: Option<u8>,
    elements: Vec<Element>,
}

#[derive(Debug)]
struct Element {
    name: Box<str>,
    site: Site,
    /// A text stood in it already.
    has_text: bool,
}

/// Where something stands, and by what rule it is masked.
#[derive(Clone, Copy, Debug)]
struct Site {
    place: Place,
    rule: Option<RuleId>,
}

impl XmlMask {
    pub fn new(plan: &Arc<BodyPlan>, masker: &Arc<Masker>) -> Self {
        Self {
            plan: Arc::clone(plan),
            masker: Arc::clone(masker),
            held: Vec::new(),
            searched: 0,
            quote: None,
            elements: Vec::new(),
        }
    }

    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        // Small pieces, so that what is held stays near its limit.
        for piece in bytes.chunks(1 << 14) {
            self.held.extend_from_slice(piece);
            self.take(out).map_err(BodyError::Xml)?;
        }
        Ok(())
    }

    /// Takes the end of the body. A body without a single byte is none, and passes.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let held = std::mem::take(&mut self.held);
        if held.starts_with(b"<") || !self.elements.is_empty() {
            return Err(BodyError::Xml(Malformed::Truncated));
        }
        self.text(&held, out).map_err(BodyError::Xml)
    }

    fn take(&mut self, out: &mut Vec<u8>) -> Result<(), Malformed> {
        let held = std::mem::take(&mut self.held);
        let mut rest = held.as_slice();
        while let Some(end) = self.end_of_token(rest) {
            let (token, after) = rest.split_at(end);
            if token.len() > TOKEN_MAX {
                return Err(Malformed::Token);
            }
            (self.searched, self.quote) = (0, None);
            match token {
                [b'<', ..] => self.markup(token, out)?,
                _ => self.text(token, out)?,
            }
            rest = after;
        }
        if rest.len() > TOKEN_MAX {
            return Err(Malformed::Token);
        }
        self.held = rest.to_vec();
        Ok(())
    }

    /// Where the text or markup ends that begins here; `None`: not yet.
    fn end_of_token(&mut self, held: &[u8]) -> Option<usize> {
        let from = std::mem::replace(&mut self.searched, held.len());
        let closed_by = |mark: &[u8], least: usize| {
            let from = from.saturating_sub(mark.len()).max(least);
            let found = held.get(from..).and_then(|rest| memchr::memmem::find(rest, mark));
            found.map(|at| from + at + mark.len())
        };
        match held {
            [] => None,
            [b'<', b'!', b'-', b'-', ..] => closed_by(b"-->", 4),
            [b'<', b'!', ..] if held.starts_with(b"<![CDATA[") => closed_by(b"]]>", 9),
            [b'<', b'!', ..] if held.len() < 9 => None,
            // Refused as soon as it is looked at.
            [b'<', b'!', ..] => Some(held.len()),
            [b'<', b'?', ..] => closed_by(b"?>", 2),
            [b'<', ..] => {
                let at = held.iter().skip(from).position(|byte| match (self.quote, byte) {
                    (None, b'>') => true,
                    (None, b'"' | b'\'') => {
                        self.quote = Some(*byte);
                        false
                    }
                    (Some(quote), byte) if quote == *byte => {
                        self.quote = None;
                        false
                    }
                    (None | Some(_), _) => false,
                });
                at.map(|at| from + at + 1)
            }
            text => text.get(from..).and_then(|rest| memchr::memchr(b'<', rest)).map(|at| from + at),
        }
    }

    fn markup(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        if let Some(inside) = token.strip_prefix(b"<![CDATA[").and_then(|inside| inside.strip_suffix(b"]]>")) {
            let text = utf8(inside)?;
            match self.masked_text(text) {
                Some(masked) => out.extend_from_slice(escaped(&masked).as_bytes()),
                None => out.extend_from_slice(token),
            }
            return Ok(());
        }
        match token {
            [b'<', b'!', b'-', b'-', ..] => {
                self.aside(token, out);
                Ok(())
            }
            [b'<', b'!', ..] => Err(Malformed::Declaration),
            [b'<', b'?', ..] => {
                markup::check_declaration(utf8(token)?)?;
                self.aside(token, out);
                Ok(())
            }
            [b'<', b'/', ..] => self.end_tag(token, out),
            _ => self.start_tag(token, out),
        }
    }

    /// A comment or an instruction: dropped where something is masked, or found in it.
    fn aside(&self, token: &[u8], out: &mut Vec<u8>) {
        let is_masked = self.elements.last().is_some_and(|element| element.site.rule.is_some());
        if !is_masked && self.plan.detectors.scan(&self.masker, token).is_none() {
            out.extend_from_slice(token);
        }
    }

    fn start_tag(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let text = utf8(token)?;
        let (name, attributes, is_empty) = markup::start_tag(text)?;
        if name.len() > NAME_MAX {
            return Err(Malformed::Name);
        }
        if self.elements.len() == DEPTH_MAX {
            return Err(Malformed::Depth);
        }
        let site = self.site_inside(local(name));
        let mut done = 0;
        for Attribute { name, value, range } in attributes {
            let place = self.plan.paths.member(site.place, &format!("@{}", local(name)));
            let rule = site.rule.max(self.plan.paths.rule_at(place));
            let meant = unescaped(value)?;
            if let Some(masked) = self.masked(rule, &meant) {
                out.extend_from_slice(text.get(done..range.start).unwrap_or_default().as_bytes());
                out.extend_from_slice(escaped(&masked).as_bytes());
                done = range.end;
            }
        }
        out.extend_from_slice(text.get(done..).unwrap_or_default().as_bytes());
        if !is_empty {
            self.elements.push(Element { name: name.into(), site, has_text: false });
        }
        Ok(())
    }

    fn end_tag(&mut self, token: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let name = utf8(token)?.get(2..token.len() - 1).unwrap_or_default().trim_end();
        let element = self.elements.pop().ok_or(Malformed::Unbalanced)?;
        if *element.name != *name {
            return Err(Malformed::Unbalanced);
        }
        out.extend_from_slice(token);
        Ok(())
    }

    fn text(&mut self, written: &[u8], out: &mut Vec<u8>) -> Result<(), Malformed> {
        let meant = unescaped(utf8(written)?)?;
        match self.masked_text(&meant) {
            Some(masked) => out.extend_from_slice(escaped(&masked).as_bytes()),
            None => out.extend_from_slice(written),
        }
        Ok(())
    }

    /// A text, masked. Of an element whose text comes in several pieces all but the first are redacted, so that no
    /// method shows some of each.
    fn masked_text(&mut self, meant: &str) -> Option<String> {
        let Some(element) = self.elements.last_mut() else { return self.masked(None, meant) };
        let rule = element.site.rule;
        if rule.is_some() && meant.trim().is_empty() {
            return None;
        }
        let had_text = std::mem::replace(&mut element.has_text, true);
        match rule {
            Some(rule) if had_text => Some(if self.plan.hides(rule) { String::new() } else { REDACTED.to_owned() }),
            rule => self.masked(rule, meant),
        }
    }

    /// A value without what must not be seen; `None`: it may be seen as it is. What must be null becomes empty.
    fn masked(&self, rule: Option<RuleId>, meant: &str) -> Option<String> {
        let masked = match rule {
            Some(rule) => self.plan.mask(&self.masker, rule, meant.as_bytes()).unwrap_or_default(),
            None => match self.plan.detectors.scan(&self.masker, meant.as_bytes())? {
                Masked::Value(masked) => masked,
                Masked::Null => Vec::new(),
            },
        };
        Some(String::from_utf8_lossy(&masked).into_owned())
    }

    fn site_inside(&self, name: &str) -> Site {
        let (place, rule) = match self.elements.last() {
            Some(element) => (element.site.place, element.site.rule),
            None => (Paths::ROOT, self.plan.paths.rule_at(Paths::ROOT)),
        };
        let place = self.plan.paths.member(place, name);
        Site { place, rule: rule.max(self.plan.paths.rule_at(place)) }
    }
}

/// Text without zero bytes.
fn utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    match str::from_utf8(bytes) {
        Ok(text) if memchr::memchr(0, bytes).is_none() => Ok(text),
        Ok(_) | Err(_) => Err(Malformed::Encoding),
    }
}

/// A name without its prefix, which is the server's choice.
fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

#[cfg(test)]
mod tests;
