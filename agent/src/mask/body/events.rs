//! Server-sent events: <https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream>.
//!
//! An event is held until the empty line that ends it. Its data are masked as JSON where they are JSON, and else as text;
//! everything else passes as it was written, searched like text.

use std::sync::Arc;

use super::{
    BodyError, BodyPlan,
    json::{Documents, JsonMask},
};
use crate::mask::{Masked, Masker};

/// Longest event, in bytes as written.
pub const EVENT_MAX: usize = 1 << 20;

/// Masks one stream of events.
#[derive(Debug)]
pub struct EventsMask {
    plan: Arc<BodyPlan>,
    masker: Arc<Masker>,
    /// The event that has not ended.
    held: Vec<u8>,
    /// Where in it the line begins that has not ended.
    line: usize,
    /// The last byte was a carriage return, to which a line feed may belong.
    after_return: bool,
    has_begun: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl EventsMask {
    pub fn new(plan: &Arc<BodyPlan>, masker: &Arc<Masker>) -> Self {
        Self {
            plan: Arc::clone(plan),
            masker: Arc::clone(masker),
            held: Vec::new(),
            line: 0,
            after_return: false,
            has_begun: false,
        }
    }

    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), BodyError> {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let was_after_return = std::mem::replace(&mut self.after_return, piece.ends_with(b"\r"));
            if was_after_return && piece == b"\n" {
                self.join_return(out);
                continue;
            }
            if self.held.len() + piece.len() > EVENT_MAX {
                return Err(BodyError::Event);
            }
            self.held.extend_from_slice(piece);
            if piece.ends_with(b"\n") || piece.ends_with(b"\r") {
                self.end_line(out)?;
            }
        }
        Ok(())
    }

    /// Takes the end. An event that has not ended is dropped by every reader; here it ends masked like any other.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        self.end_event(out)
    }

    /// Adds the line feed of a carriage return that ended a line, and maybe an event that has left already.
    fn join_return(&mut self, out: &mut Vec<u8>) {
        if self.held.is_empty() {
            out.push(b'\n');
        } else {
            self.held.push(b'\n');
            self.line = self.held.len();
        }
    }

    fn end_line(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let line = self.held.get(self.line..).unwrap_or_default();
        let is_first = !self.has_begun && self.line == 0;
        let line = if is_first { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        if matches!(line, b"\n" | b"\r") {
            return self.end_event(out);
        }
        self.line = self.held.len();
        Ok(())
    }

    /// Writes the event that has ended.
    fn end_event(&mut self, out: &mut Vec<u8>) -> Result<(), BodyError> {
        let held = std::mem::take(&mut self.held);
        self.line = 0;
        let mut event = held.as_slice();
        if !std::mem::replace(&mut self.has_begun, true)
            && let Some(rest) = event.strip_prefix(BYTE_ORDER_MARK)
        {
            out.extend_from_slice(BYTE_ORDER_MARK);
            event = rest;
        }
        let lines = Line::all(event);
        let data: Vec<&[u8]> = lines.iter().filter_map(|line| line.data).collect();
        let masked = if data.is_empty() { None } else { self.mask_data(&data.join(&b'\n'))? };
        let mut masked = masked.as_ref().map(|masked| masked.split(|byte| *byte == b'\n'));
        for line in &lines {
            match (line.data, masked.as_mut()) {
                (Some(_), None) => out.extend_from_slice(line.whole),
                (None, _) => self.put_text(line, out),
                // As many lines as there are now, all where the first one was.
                (Some(_), Some(data)) => data.by_ref().for_each(|data| {
                    out.extend_from_slice(b"data: ");
                    out.extend_from_slice(data);
                    out.extend_from_slice(line.ending());
                }),
            }
        }
        Ok(())
    }

    /// Data without what must not be seen; `None`: they may be seen as they are.
    fn mask_data(&self, data: &[u8]) -> Result<Option<Vec<u8>>, BodyError> {
        let mut masked = Vec::with_capacity(data.len());
        let mut json = JsonMask::new(&self.plan, &self.masker, Documents::One);
        let done = json.feed(data, &mut masked).and_then(|()| json.finish(&mut masked));
        match done {
            Ok(()) => Ok((masked != data).then_some(masked)),
            Err(error) if could_be_json(data) => Err(error),
            Err(_) if memchr::memchr(0, data).is_some() => Err(BodyError::NoText { at: 0 }),
            Err(_) => Ok(self.found_in(data)),
        }
    }

    fn put_text(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        let ending = line.ending();
        let text = line.whole.strip_suffix(ending).unwrap_or(line.whole);
        match self.found_in(text) {
            Some(masked) => {
                out.extend(masked.into_iter().filter(|byte| !matches!(byte, b'\r' | b'\n')));
                out.extend_from_slice(ending);
            }
            None => out.extend_from_slice(line.whole),
        }
    }

    fn found_in(&self, text: &[u8]) -> Option<Vec<u8>> {
        Some(match self.plan.detectors.scan(&self.masker, text)? {
            Masked::Value(masked) => masked,
            Masked::Null => Vec::new(),
        })
    }
}

/// Whether a reader more lenient than ours could take this for JSON with names or texts in it.
fn could_be_json(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    let begins = data.strip_prefix(BYTE_ORDER_MARK).unwrap_or(data).first();
    matches!(begins, Some(b'{' | b'[' | b'"')) && memchr::memchr2(b'"', b'\'', data).is_some()
}

/// One line of an event.
struct Line<'a> {
    /// With what ends it.
    whole: &'a [u8],
    /// What it adds to the event's data.
    data: Option<&'a [u8]>,
}

impl<'a> Line<'a> {
    fn all(event: &'a [u8]) -> Vec<Self> {
        let mut lines = Vec::new();
        let mut rest = event;
        while !rest.is_empty() {
            let length = match memchr::memchr2(b'\r', b'\n', rest) {
                Some(end) if rest.get(end..end + 2) == Some(b"\r\n") => end + 2,
                Some(end) => end + 1,
                None => rest.len(),
            };
            let (whole, after) = rest.split_at(length);
            let text = without_ending(whole);
            let data = match text.strip_prefix(b"data") {
                Some([]) => Some(&b""[..]),
                Some([b':', b' ', data @ ..] | [b':', data @ ..]) => Some(data),
                _ => None,
            };
            lines.push(Self { whole, data });
            rest = after;
        }
        lines
    }

    /// What ends the line: `\n`, `\r`, both, or nothing.
    fn ending(&self) -> &'a [u8] {
        let text = without_ending(self.whole);
        self.whole.get(text.len()..).unwrap_or_default()
    }
}

/// Without the line feed, carriage return, or both at the end.
fn without_ending(line: &[u8]) -> &[u8] {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    text.strip_suffix(b"\r").unwrap_or(text)
}
