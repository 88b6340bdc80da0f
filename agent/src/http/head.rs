//! Heads of requests and responses (RFC 9112, sections 2 to 5).

use std::{fmt, ops::Range};

use bytes::Bytes;

use super::{
    Excerpt, FIELDS_MAX, Fields, Found, HEAD_MAX, Limit, METHOD_MAX, Malformed, REQUEST_TARGET_MAX,
    fields::{is_token, require_value},
};

/// The version of a message. What is sent to HTTP/1.1 in HTTP/1.0's name has other rules for length and persistence.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Version {
    Http10,
    Http11,
}

impl Version {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }

    fn read(text: &[u8]) -> Result<Self, Malformed> {
        match text {
            b"HTTP/1.0" => Ok(Self::Http10),
            b"HTTP/1.1" => Ok(Self::Http11),
            [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => Err(Malformed::Version(text.into())),
            _ => Err(Malformed::Text { part: "first line", expected: "HTTP/1.0 or HTTP/1.1", found: text.into() }),
        }
    }
}

/// The head of a request, as it came.
#[derive(Clone)]
pub struct RequestHead {
    bytes: Bytes,
    method: Range<usize>,
    target: Range<usize>,
    version: Version,
    fields: Fields,
}

impl RequestHead {
    /// Reads the head at the start of `arrived`, and says how many bytes it took; `None` while it is not whole.
    ///
    /// One empty line before it belongs to nothing and is skipped (RFC 9112, section 2.2). After [`HEAD_MAX`] bytes
    /// without an end it is refused.
    pub fn read(arrived: &Bytes) -> Result<Option<(Self, usize)>, Malformed> {
        let skipped = if arrived.starts_with(b"\r\n") { 2 } else { 0 };
        let arrived = arrived.slice(skipped..);
        require_start(&arrived, |byte| is_token(byte) || (byte == b'\r' && skipped == 0), "a method")?;
        let Some(extent) = Extent::of(&arrived)? else {
            refuse_long_target(&arrived)?;
            return Ok(None);
        };
        let bytes = arrived.slice(..extent.end);
        let line = bytes.get(..extent.first_line).unwrap_or_default();
        let (method, target, version) = request_line(line)?;
        let fields = Fields::read(&bytes, extent.first_line + 2, extent.fields)?;
        fields.refuse_repeated()?;
        Ok(Some((Self { bytes, method, target, version, fields }, skipped + extent.end)))
    }

    /// A token; methods are told apart by case.
    pub fn method(&self) -> &[u8] {
        self.bytes.get(self.method.clone()).unwrap_or_default()
    }

    /// The request target as it came: visible ASCII, judged by nobody yet.
    pub fn target(&self) -> &[u8] {
        self.bytes.get(self.target.clone()).unwrap_or_default()
    }

    pub const fn version(&self) -> Version {
        self.version
    }

    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The head as it came, from the method to the empty line.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Shows no values and no query: both may hold secrets.
impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target().split(|byte| *byte == b'?').next().unwrap_or_default();
        let line = format!("{} {} {}", Excerpt::from(self.method()), Excerpt::from(path), self.version.name());
        f.debug_struct("RequestHead").field("line", &line).field("fields", &self.fields).finish()
    }
}

/// The head of a response, as it came.
#[derive(Clone)]
pub struct ResponseHead {
    bytes: Bytes,
    status: u16,
    reason: Range<usize>,
    version: Version,
    fields: Fields,
}

impl ResponseHead {
    /// Reads the head at the start of `arrived`, and says how many bytes it took; `None` while it is not whole.
    ///
    /// After [`HEAD_MAX`] bytes without an end it is refused.
    pub fn read(arrived: &Bytes) -> Result<Option<(Self, usize)>, Malformed> {
        require_start(arrived, |byte| byte == b'H', "a version")?;
        let Some(extent) = Extent::of(arrived)? else { return Ok(None) };
        let bytes = arrived.slice(..extent.end);
        let line = bytes.get(..extent.first_line).unwrap_or_default();
        let (version, status, reason) = status_line(line)?;
        let fields = Fields::read(&bytes, extent.first_line + 2, extent.fields)?;
        Ok(Some((Self { bytes, status, reason, version, fields }, extent.end)))
    }

    /// 100 to 599.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Words for people, which may be empty.
    pub fn reason(&self) -> &[u8] {
        self.bytes.get(self.reason.clone()).unwrap_or_default()
    }

    pub const fn version(&self) -> Version {
        self.version
    }

    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The head as it came, from the version to the empty line.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

/// Shows no values and no words: both may hold secrets.
impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = format!("{} {}", self.version.name(), self.status);
        f.debug_struct("ResponseHead").field("line", &line).field("fields", &self.fields).finish()
    }
}

/// How far a head goes.
struct Extent {
    /// Bytes of the first line, without its CRLF.
    first_line: usize,
    fields: usize,
    /// Bytes of all, the empty line included.
    end: usize,
}

impl Extent {
    /// Looks for the empty line; every line on the way has to end with CRLF, so that no other reader sees an end before.
    fn of(bytes: &[u8]) -> Result<Option<Self>, Malformed> {
        let head = bytes.get(..HEAD_MAX).unwrap_or(bytes);
        let (mut lines, mut first_line, mut start) = (0, 0, 0);
        for end in memchr::memchr_iter(b'\n', head) {
            let line = head.get(start..end).unwrap_or_default();
            let Some((b'\r', line)) = line.split_last() else {
                let found = Found(Some(b'\n'));
                return Err(Malformed::Byte { part: "end of a line", expected: "CR before LF", found });
            };
            match (lines, line.is_empty()) {
                (0, true) => return Err(Malformed::Missing("a first line")),
                (0, false) => first_line = line.len(),
                (_, true) => return Ok(Some(Self { first_line, fields: lines - 1, end: end + 1 })),
                (_, false) if lines > FIELDS_MAX => return Err(Malformed::TooLong(Limit::Fields)),
                (_, false) => {}
            }
            (lines, start) = (lines + 1, end + 1);
        }
        if bytes.len() >= HEAD_MAX { Err(Malformed::TooLong(Limit::Head)) } else { Ok(None) }
    }
}

/// Refuses what cannot become a head, without waiting for its end.
fn require_start(bytes: &[u8], fits: impl Fn(u8) -> bool, expected: &'static str) -> Result<(), Malformed> {
    match bytes.first() {
        Some(byte) if !fits(*byte) => Err(Malformed::Byte { part: "first line", expected, found: Found(Some(*byte)) }),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a first line that is too long already, though its end has not come.
fn refuse_long_target(bytes: &[u8]) -> Result<(), Malformed> {
    const LINE_MAX: usize = METHOD_MAX + 1 + REQUEST_TARGET_MAX + " HTTP/1.1\r".len();
    let too_long = bytes.len() > LINE_MAX && memchr::memchr(b'\n', bytes).is_none();
    if too_long { Err(Malformed::TooLong(Limit::RequestTarget)) } else { Ok(()) }
}

/// Method, target and version, with one space between them (RFC 9112, section 3).
fn request_line(line: &[u8]) -> Result<(Range<usize>, Range<usize>, Version), Malformed> {
    let method = line.iter().position(|byte| !is_token(*byte)).unwrap_or(line.len());
    let rest = line.get(method..).unwrap_or_default();
    let Some((b' ', rest)) = rest.split_first().filter(|_| method > 0) else {
        let expected = "a method of token characters and one space";
        return Err(Malformed::Byte { part: "request line", expected, found: Found(rest.first().copied()) });
    };
    if method > METHOD_MAX {
        return Err(Malformed::TooLong(Limit::Method));
    }
    let target = rest.iter().position(|byte| !byte.is_ascii_graphic()).unwrap_or(rest.len());
    let after = rest.get(target..).unwrap_or_default();
    let Some((b' ', version)) = after.split_first().filter(|_| target > 0) else {
        let expected = "a target of visible ASCII characters and one space";
        return Err(Malformed::Byte { part: "request line", expected, found: Found(after.first().copied()) });
    };
    if target > REQUEST_TARGET_MAX {
        return Err(Malformed::TooLong(Limit::RequestTarget));
    }
    let start = method + 1;
    Ok((0..method, start..start + target, Version::read(version)?))
}

/// Version, status and reason (RFC 9112, section 4). The space before an empty reason may be missing.
fn status_line(line: &[u8]) -> Result<(Version, u16, Range<usize>), Malformed> {
    let wrong = |found: &[u8]| {
        let expected = "a version, one space, a status of 100 to 599, and words";
        Malformed::Text { part: "status line", expected, found: found.into() }
    };
    let (version, rest) = line.split_at_checked("HTTP/1.1".len()).ok_or_else(|| wrong(line))?;
    let version = Version::read(version)?;
    let (status, reason) = match rest {
        [b' ', a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', reason @ ..] => {
            let status = [a, b, c].into_iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
            (status, reason)
        }
        _ => return Err(wrong(rest)),
    };
    match reason {
        [] => Ok((version, status, line.len()..line.len())),
        [b' ', reason @ ..] => {
            require_value(reason)?;
            Ok((version, status, line.len() - reason.len()..line.len()))
        }
        _ => Err(wrong(rest)),
    }
}

#[cfg(test)]
mod tests;
