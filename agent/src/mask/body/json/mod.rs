//! JSON (RFC 8259) that is masked as it streams.
//!
//! Everything passes as it was written, but for the values that are masked. Whatever two readers could take differently
//! is refused: names that are there twice, lone surrogates, control characters, what is not UTF-8, bytes behind the end.
//!
//! A text at a path of a masked class is masked whole. A whole number becomes another number where the method has one;
//! any other number, `true` and `false` become `null`. Of an object or array each value inside is masked, and by the
//! method `null` the whole is `null`. Names are structure: they are searched by the detectors and not masked by path.

mod chunk;
mod long;
mod names;
mod number;
mod string;

use std::sync::Arc;

use self::{chunk::Chunk, long::Long, names::Names};
use super::{
    BodyError, BodyPlan,
    path::{Paths, Place, RuleId},
};
use crate::mask::{Masked, Masker};

pub use self::names::NAMES_MAX;

/// Deepest nesting of arrays and objects.
pub const DEPTH_MAX: usize = 128;
/// Longest number, in bytes.
pub const NUMBER_MAX: usize = 1024;
/// Longest name of a member, in bytes as written.
pub const NAME_MAX: usize = 1 << 16;
/// Longest text that is held to be masked whole, in bytes as written. A longer one at a path is redacted by any method.
pub const MASKED_MAX: usize = 1 << 20;
/// Longest text that is searched whole, in bytes as written. A longer one is searched as it streams.
pub const SEARCHED_MAX: usize = 1 << 16;

/// What is wrong with a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Malformed {
    #[error("unexpected byte")]
    Unexpected,
    #[error("neither a number nor `true`, `false` or `null`")]
    Scalar,
    #[error("a control character in a string")]
    Control,
    #[error("a string that is not UTF-8")]
    Utf8,
    #[error("an unknown or unfinished escape in a string")]
    Escape,
    #[error("half of a surrogate pair in a string")]
    Surrogate,
    #[error("a name that its object has already")]
    Duplicate,
    #[error("the document ends too early")]
    Truncated,
    #[error("nested deeper than {DEPTH_MAX}")]
    Depth,
    #[error("a number of more than {NUMBER_MAX} bytes")]
    Number,
    #[error("a name of more than {NAME_MAX} bytes")]
    Name,
    #[error("more than {NAMES_MAX} names in objects that are open at once")]
    Names,
}

/// How many documents a body has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Documents {
    One,
    /// Any number, each on lines of its own: <https://github.com/ndjson/ndjson-spec>.
    Lines,
}

/// Masks one body of JSON.
#[derive(Debug)]
pub struct JsonMask {
    plan: Arc<BodyPlan>,
    masker: Arc<Masker>,
    documents: Documents,
    containers: Vec<Container>,
    names: Names,
    expects: Expects,
    /// Where the next value stands.
    site: Site,
    open: Option<Open>,
    /// How many containers were open where a container began of which nothing is shown.
    hidden_from: Option<usize>,
    passed: u64,
}

/// What may come next, white space aside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Expects {
    Value,
    ItemOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
    /// Nothing more, or another document behind the end of the line.
    Nothing,
}

/// Where a value stands, and by what rule it is masked.
#[derive(Clone, Copy, Debug)]
struct Site {
    place: Place,
    rule: Option<RuleId>,
}

#[derive(Debug)]
struct Container {
    is_object: bool,
    site: Site,
    items: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Token {
    Name,
    Text,
    /// A number, `true`, `false` or `null`.
    Bare,
}

/// A token whose end has not come yet.
#[derive(Debug)]
enum Open {
    Held {
        token: Token,
        raw: Vec<u8>,
        /// The last byte escapes the next one.
        is_escaped: bool,
    },
    Long {
        long: Box<Long>,
        is_escaped: bool,
    },
}

impl JsonMask {
    pub fn new(plan: &Arc<BodyPlan>, masker: &Arc<Masker>, documents: Documents) -> Self {
        Self {
            plan: Arc::clone(plan),
            masker: Arc::clone(masker),
            documents,
            containers: Vec::new(),
            names: Names::default(),
            expects: Expects::Value,
            site: Site { place: Paths::ROOT, rule: plan.paths.rule_at(Paths::ROOT) },
            open: None,
            hidden_from: None,
            passed: 0,
        }
    }

    /// Takes the next bytes, and appends what is to be sent for them.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        let mut chunk = Chunk::new(bytes, out, self.hidden_from.is_some());
        chunk.is_clear = !self.plan.detectors.prefilter(bytes);
        let done = self.take(&mut chunk);
        let at = self.passed + chunk.at as u64;
        done.map_err(|what| BodyError::Json { at, what })?;
        chunk.keep();
        self.passed += bytes.len() as u64;
        Ok(())
    }

    /// Takes the end of the body. A body without a single byte is none, and passes.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let at = self.passed;
        let mut chunk = Chunk::new(&[], out, self.hidden_from.is_some());
        let closed = match self.open.take() {
            Some(Open::Held { token: Token::Bare, raw, .. }) => self.close(&mut chunk, Token::Bare, &raw, true),
            Some(Open::Held { .. } | Open::Long { .. }) => Err(Malformed::Truncated),
            None => Ok(()),
        };
        let is_whole = match (self.expects, self.documents) {
            (Expects::Nothing, _) => true,
            (Expects::Value, Documents::One) => at == 0,
            (Expects::Value, Documents::Lines) => self.containers.is_empty(),
            _ => false,
        };
        let ended = if is_whole { Ok(()) } else { Err(Malformed::Truncated) };
        closed.and(ended).map_err(|what| BodyError::Json { at, what })
    }

    /// Whether the last byte ended a document.
    pub fn is_between_documents(&self) -> bool {
        self.expects == Expects::Nothing && self.open.is_none()
    }

    fn take(&mut self, chunk: &mut Chunk<'_>) -> Result<(), Malformed> {
        if let Some(open) = self.open.take() {
            self.go_on(chunk, open)?;
        }
        while let Some(byte) = chunk.next() {
            match byte {
                b' ' | b'\t' | b'\r' => chunk.at += 1,
                b'\n' => {
                    chunk.at += 1;
                    self.end_line();
                }
                b'{' | b'[' => self.open_container(chunk, byte == b'{')?,
                b'}' | b']' => self.close_container(chunk, byte == b'}')?,
                b',' => self.comma(chunk)?,
                b':' => {
                    self.expect(&[Expects::Colon])?;
                    self.expects = Expects::Value;
                    chunk.at += 1;
                }
                b'"' if matches!(self.expects, Expects::Name | Expects::NameOrEnd) => {
                    self.begin(chunk, Token::Name)?;
                }
                _ => {
                    self.expect(&[Expects::Value, Expects::ItemOrEnd])?;
                    self.begin(chunk, if byte == b'"' { Token::Text } else { Token::Bare })?;
                }
            }
        }
        Ok(())
    }

    fn expect(&self, any: &[Expects]) -> Result<(), Malformed> {
        if any.contains(&self.expects) { Ok(()) } else { Err(Malformed::Unexpected) }
    }

    fn end_line(&mut self) {
        if self.documents == Documents::Lines && self.expects == Expects::Nothing {
            self.expects = Expects::Value;
            self.site = Site { place: Paths::ROOT, rule: self.plan.paths.rule_at(Paths::ROOT) };
        }
    }

    fn open_container(&mut self, chunk: &mut Chunk<'_>, is_object: bool) -> Result<(), Malformed> {
        self.expect(&[Expects::Value, Expects::ItemOrEnd])?;
        if self.containers.len() == DEPTH_MAX {
            return Err(Malformed::Depth);
        }
        if self.hidden_from.is_none() && self.site.rule.is_some_and(|rule| self.plan.hides(rule)) {
            self.hidden_from = Some(self.containers.len());
            chunk.hide(b"null");
        }
        let site = self.site;
        self.containers.push(Container { is_object, site, items: 0 });
        chunk.at += 1;
        if is_object {
            self.names.open();
            self.expects = Expects::NameOrEnd;
        } else {
            self.site = self.site_inside(site, |paths, place| paths.item(place, 0));
            self.expects = Expects::ItemOrEnd;
        }
        Ok(())
    }

    fn close_container(&mut self, chunk: &mut Chunk<'_>, is_object: bool) -> Result<(), Malformed> {
        let at_start = if is_object { Expects::NameOrEnd } else { Expects::ItemOrEnd };
        self.expect(&[at_start, Expects::CommaOrEnd])?;
        let closed = self.containers.pop().filter(|container| container.is_object == is_object);
        closed.ok_or(Malformed::Unexpected)?;
        if is_object {
            self.names.close();
        }
        chunk.at += 1;
        if self.hidden_from == Some(self.containers.len()) {
            self.hidden_from = None;
            chunk.show();
        }
        self.end_value();
        Ok(())
    }

    fn comma(&mut self, chunk: &mut Chunk<'_>) -> Result<(), Malformed> {
        self.expect(&[Expects::CommaOrEnd])?;
        let container = self.containers.last_mut().ok_or(Malformed::Unexpected)?;
        chunk.at += 1;
        if container.is_object {
            self.expects = Expects::Name;
            return Ok(());
        }
        container.items += 1;
        let (site, index) = (container.site, container.items);
        self.site = self.site_inside(site, |paths, place| paths.item(place, index));
        self.expects = Expects::Value;
        Ok(())
    }

    fn end_value(&mut self) {
        self.expects = if self.containers.is_empty() { Expects::Nothing } else { Expects::CommaOrEnd };
    }

    /// What is masked stays so inside; a stricter rule there wins.
    fn site_inside(&self, outer: Site, step: impl FnOnce(&Paths, Place) -> Place) -> Site {
        let place = step(&self.plan.paths, outer.place);
        Site { place, rule: outer.rule.max(self.plan.paths.rule_at(place)) }
    }

    /// Takes a token that begins here.
    fn begin(&mut self, chunk: &mut Chunk<'_>, token: Token) -> Result<(), Malformed> {
        let rest = chunk.rest();
        let mut is_escaped = false;
        let end = match token {
            // Behind the quotation mark that begins it.
            Token::Name | Token::Text => {
                rest.get(1..).and_then(|inside| string::end(inside, &mut is_escaped)).map(|length| length + 1)
            }
            Token::Bare => end_of_bare(rest),
        };
        match end.and_then(|end| rest.get(..end)) {
            Some(raw) if raw.len() <= self.longest(token) => {
                let is_clear = chunk.is_clear;
                self.close(chunk, token, raw, !is_clear)
            }
            _ => {
                chunk.keep();
                let open = Open::Held { token, raw: Vec::new(), is_escaped: false };
                self.go_on(chunk, open)
            }
        }
    }

    /// Goes on with a token of which no more than its beginning has come before.
    fn go_on(&mut self, chunk: &mut Chunk<'_>, open: Open) -> Result<(), Malformed> {
        let (token, mut raw, mut is_escaped) = match open {
            Open::Held { token, raw, is_escaped } => (token, raw, is_escaped),
            Open::Long { long, is_escaped } => return self.go_on_long(chunk, long, is_escaped),
        };
        if raw.is_empty() && token != Token::Bare {
            raw.push(b'"');
            chunk.drop_to(chunk.at + 1);
        }
        let rest = chunk.rest();
        let was_escaped = is_escaped;
        let end = match token {
            Token::Name | Token::Text => string::end(rest, &mut is_escaped),
            Token::Bare => end_of_bare(rest),
        };
        let piece = end.and_then(|end| rest.get(..end)).unwrap_or(rest);
        if raw.len() + piece.len() > self.longest(token) {
            let long = match token {
                Token::Text => Box::new(self.long(&raw)?),
                Token::Name => return Err(Malformed::Name),
                Token::Bare => return Err(Malformed::Number),
            };
            return self.go_on_long(chunk, long, was_escaped);
        }
        raw.extend_from_slice(piece);
        chunk.drop_to(chunk.at + piece.len());
        match end {
            Some(_) => self.close(chunk, token, &raw, true),
            None => {
                self.open = Some(Open::Held { token, raw, is_escaped });
                Ok(())
            }
        }
    }

    fn go_on_long(
        &mut self,
        chunk: &mut Chunk<'_>,
        mut long: Box<Long>,
        mut is_escaped: bool,
    ) -> Result<(), Malformed> {
        let rest = chunk.rest();
        let end = string::end(rest, &mut is_escaped);
        let piece = end.and_then(|end| rest.get(..end - 1)).unwrap_or(rest);
        long.feed(&self.plan.detectors, &self.masker, piece, chunk)?;
        chunk.drop_to(chunk.at + end.unwrap_or(piece.len()));
        if end.is_none() {
            self.open = Some(Open::Long { long, is_escaped });
            return Ok(());
        }
        long.finish(&self.plan.detectors, &self.masker, chunk)?;
        self.end_value();
        Ok(())
    }

    /// How long a token may be to be looked at whole, in bytes as written.
    fn longest(&self, token: Token) -> usize {
        match token {
            Token::Name => NAME_MAX,
            Token::Bare => NUMBER_MAX,
            Token::Text if self.site.rule.is_some() => MASKED_MAX,
            Token::Text => SEARCHED_MAX,
        }
    }

    /// A text that is too long to be held; `raw` is what was held of it.
    fn long(&self, raw: &[u8]) -> Result<Long, Malformed> {
        let inside = raw.get(1..).unwrap_or_default();
        Ok(match self.site.rule {
            Some(rule) => Long::hidden(inside, !self.plan.hides(rule)),
            None => Long::searched(inside),
        })
    }

    /// Takes a whole token; what is sent for it is what it was, or what stands in its place.
    fn close(&mut self, chunk: &mut Chunk<'_>, token: Token, raw: &[u8], could_hold: bool) -> Result<(), Malformed> {
        let masked = match token {
            Token::Name => self.name(raw, could_hold)?,
            Token::Text => self.text(raw, could_hold)?,
            Token::Bare => self.bare(raw, could_hold)?,
        };
        chunk.token(raw, masked.as_deref());
        match token {
            Token::Name => self.expects = Expects::Colon,
            Token::Text | Token::Bare => self.end_value(),
        }
        Ok(())
    }

    /// A member's name. One that must be null becomes empty.
    fn name(&mut self, raw: &[u8], could_hold: bool) -> Result<Option<Vec<u8>>, Malformed> {
        let name = string::decoded(inside(raw))?;
        self.names.add(&name)?;
        let container = self.containers.last().ok_or(Malformed::Unexpected)?;
        self.site = self.site_inside(container.site, |paths, place| paths.member(place, &name));
        Ok(self.found_in(&name, raw, could_hold).map(|found| found.unwrap_or_else(|| b"\"\"".to_vec())))
    }

    fn text(&mut self, raw: &[u8], could_hold: bool) -> Result<Option<Vec<u8>>, Malformed> {
        let text = string::decoded(inside(raw))?;
        let masked = match self.site.rule {
            Some(rule) => Some(self.plan.mask(&self.masker, rule, text.as_bytes()).map(|masked| quoted(&masked))),
            None => self.found_in(&text, raw, could_hold),
        };
        Ok(masked.map(|masked| masked.unwrap_or_else(|| b"null".to_vec())))
    }

    fn bare(&mut self, raw: &[u8], could_hold: bool) -> Result<Option<Vec<u8>>, Malformed> {
        let is_word = matches!(raw, b"true" | b"false");
        if !is_word && raw != b"null" && !number::is_number(raw) {
            return Err(Malformed::Scalar);
        }
        let null = || b"null".to_vec();
        Ok(match self.site.rule {
            _ if raw == b"null" => None,
            Some(rule) => {
                let number = str::from_utf8(raw).ok().and_then(|digits| digits.parse().ok());
                let other = number.and_then(|number| self.plan.mask_number(&self.masker, rule, number));
                Some(other.map_or_else(null, |other| other.to_string().into_bytes()))
            }
            None if is_word || !could_hold => None,
            None => self.plan.detectors.scan(&self.masker, raw).map(|_| null()),
        })
    }

    /// A string without what detectors find in it; the inner `None` is for null. An escape may hide something from a look at
    /// the bytes as written.
    fn found_in(&self, text: &str, raw: &[u8], could_hold: bool) -> Option<Option<Vec<u8>>> {
        if !could_hold && text.len() + 2 == raw.len() {
            return None;
        }
        match self.plan.detectors.scan(&self.masker, text.as_bytes())? {
            Masked::Value(masked) => Some(Some(quoted(&masked))),
            Masked::Null => Some(None),
        }
    }
}

/// A string without its quotation marks.
fn inside(raw: &[u8]) -> &[u8] {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}

fn quoted(text: &[u8]) -> Vec<u8> {
    string::quoted(&String::from_utf8_lossy(text))
}

/// How many bytes belong to a number or a word; `None`: it may go on.
fn end_of_bare(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.')))
}

#[cfg(test)]
mod tests;
