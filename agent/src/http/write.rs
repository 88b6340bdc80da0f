//! What the gate itself writes: heads with other fields, chunks, and answers of its own.

use std::{fmt, ops::Range};

use bytes::Bytes;

use super::{
    Excerpt, Found, Malformed, RequestHead, ResponseHead,
    fields::{Fields, is_token, require_value},
    names,
};

/// Fields that speak to the next hop alone (RFC 9110, section 7.6.1). What a body's length is stands in none of them.
pub const HOP_BY_HOP: [&str; 6] = ["connection", "http2-settings", "keep-alive", "proxy-connection", "te", "upgrade"];

/// Changes to a head. What they leave alone is written as it came.
#[derive(Default)]
pub struct Edits {
    target: Option<String>,
    removed: Vec<String>,
    added: Vec<(String, Vec<u8>)>,
}

impl Edits {
    /// Has the request ask for this target: visible ASCII.
    pub fn target(mut self, target: &str) -> Result<Self, Malformed> {
        let odd = target.bytes().find(|byte| !byte.is_ascii_graphic());
        if odd.is_some() || target.is_empty() {
            let expected = "visible ASCII characters";
            return Err(Malformed::Byte { part: "request target", expected, found: Found(odd) });
        }
        self.target = Some(target.to_owned());
        Ok(self)
    }

    /// Leaves out every field of this name, also where it is spelled with `_` for `-`: to some servers it is the same.
    pub fn remove(mut self, name: &str) -> Self {
        self.removed.push(name.to_owned());
        self
    }

    /// Leaves out what speaks to the next hop alone.
    pub fn remove_hop_by_hop(self) -> Self {
        HOP_BY_HOP.into_iter().fold(self, Self::remove)
    }

    /// Adds a field behind those that came. A value that would end its line is refused, wherever it came from.
    pub fn add(mut self, name: &str, value: &[u8]) -> Result<Self, Malformed> {
        require_field(name, value)?;
        self.added.push((name.to_owned(), value.to_vec()));
        Ok(self)
    }

    /// Has one field of this name, with this value.
    pub fn set(self, name: &str, value: &[u8]) -> Result<Self, Malformed> {
        self.remove(name).add(name, value)
    }

    /// Whether there is nothing to change, and the head may go as it came.
    pub fn is_empty(&self) -> bool {
        self.target.is_none() && self.removed.is_empty() && self.added.is_empty()
    }

    /// Writes a request's head with these changes.
    pub fn request(&self, head: &RequestHead) -> Bytes {
        let mut out = self.room(head.bytes());
        match &self.target {
            Some(target) => {
                for part in [head.method(), b" ", target.as_bytes(), b" ", head.version().name().as_bytes(), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
            None => out.extend_from_slice(first_line(head.bytes())),
        }
        self.fields(head.fields(), &mut out);
        out.into()
    }

    /// Writes a response's head with these changes.
    pub fn response(&self, head: &ResponseHead) -> Bytes {
        let mut out = self.room(head.bytes());
        out.extend_from_slice(first_line(head.bytes()));
        self.fields(head.fields(), &mut out);
        out.into()
    }

    fn fields(&self, fields: &Fields, out: &mut Vec<u8>) {
        let is_removed = |name| self.removed.iter().any(|removed| names::same_variable(removed.as_bytes(), name));
        for (_, line) in fields.lines().filter(|(name, _)| !is_removed(name)) {
            out.extend_from_slice(line);
        }
        for (name, value) in &self.added {
            write_field(name, value, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn room(&self, head: &[u8]) -> Vec<u8> {
        let added: usize = self.added.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        Vec::with_capacity(head.len() + added + self.target.as_ref().map_or(0, String::len))
    }
}

/// Shows no values: they may be credentials.
impl fmt::Debug for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let added: Vec<&str> = self.added.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Edits").field("removed", &self.removed).field("added", &added).finish_non_exhaustive()
    }
}

/// An answer that the gate gives itself.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub status: u16,
    /// Beside its length and whether the connection ends, which are written by [`bytes`](Self::bytes).
    pub fields: &'a [(&'a str, &'a str)],
    pub body: &'a [u8],
    /// The method that it answers: HEAD is told the length, and sent no body.
    pub method: &'a [u8],
    /// Whether the connection ends behind it.
    pub closes: bool,
}

impl Answer<'_> {
    /// Writes it whole.
    pub fn bytes(&self) -> Result<Bytes, Malformed> {
        let mut out = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)).into_bytes();
        for (name, value) in self.fields {
            require_field(name, value.as_bytes())?;
            write_field(name, value.as_bytes(), &mut out);
        }
        write_field("Content-Length", self.body.len().to_string().as_bytes(), &mut out);
        if self.closes {
            write_field("Connection", b"close", &mut out);
        }
        out.extend_from_slice(b"\r\n");
        if self.method != b"HEAD" {
            out.extend_from_slice(self.body);
        }
        Ok(out.into())
    }
}

/// Tells a sender that waits before its body to go on (RFC 9110, section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Writes payload as one chunk. Nothing makes none, because a chunk of no bytes ends the body.
pub fn chunk(payload: &[u8], out: &mut Vec<u8>) {
    if payload.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Ends a chunked body, with the trailers that it came with.
pub fn last_chunk(trailers: &Fields, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    for (_, line) in trailers.lines() {
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

fn require_field(name: &str, value: &[u8]) -> Result<(), Malformed> {
    if name.is_empty() || !name.bytes().all(is_token) {
        let found = Excerpt::from(name.as_bytes());
        return Err(Malformed::Text { part: "field name", expected: "token characters", found });
    }
    require_value(value)
}

/// The first line, with its CRLF.
fn first_line(head: &[u8]) -> &[u8] {
    let line: Range<usize> = 0..memchr::memchr(b'\n', head).map_or(0, |end| end + 1);
    head.get(line).unwrap_or_default()
}

/// Words for the statuses that the gate answers with; others have none (RFC 9112, section 4).
pub const fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests;
